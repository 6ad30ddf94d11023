# SPDX-License-Identifier: Apache-2.0
"""Hosts without a shared store: the same manifests on each, addresses by host-local from the Node's podCIDRs."""
import json
import os

import pytest

import cluster as places
from cluster import Cluster, wait_for
from containers import LIST, ROOT, Podman
from snapshot import difference, snapshot
from test_podman import PODMANS

MANIFESTS = """# The same file on each host.
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.10.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n3}
spec: {podCIDRs: [10.244.3.0/24]}
status: {addresses: [{type: InternalIP, address: 10.20.0.3}]}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: containers}
spec: {cidr: 10.244.0.0/16, ipipMode: Always, natOutgoing: true}
---
# Podman names a container to its network as Kubernetes does a pod: a Pod object gives it labels.
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {role: web}}
spec: {nodeName: n1, containers: [{name: web, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: near, namespace: default, labels: {role: web}}
spec: {nodeName: n3, containers: [{name: near, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: default, labels: {role: store}}
spec: {nodeName: n3, containers: [{name: store, image: none}]}
"""
POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: store, namespace: default}
spec:
  podSelector: {matchLabels: {role: store}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - ipBlock: {cidr: 10.244.1.0/24, except: [10.244.1.9/32]}
    - podSelector: {matchLabels: {role: web}}
    ports:
    - {protocol: TCP, port: 6379}
"""
IPAM = {"type": "host-local", "subnet": "usePodCidr"}


class Hosts:
    def __init__(self, cluster):
        self.cluster, self.before, self.plan, self.plan_left = cluster, {}, [], []
        self.n1, self.n3 = cluster["n1"], cluster["n3"]
        plugins = [dict(LIST["plugins"][0], ipam=IPAM), *LIST["plugins"][1:]]
        self.p1, self.p3 = (Podman(node, dict(LIST, plugins=plugins)) for node in (self.n1, self.n3))

    def manifest(self, name, text):
        for node in (self.n1, self.n3):
            node.run("tee", f"/etc/margay/manifests.d/{name}", stdin=text)

    def start(self):
        for node in (self.n1, self.n3):
            # A store of its own: what the hosts share is a file.
            node.sh("umount /var/lib/margay/store && mkdir -p -m 0700 /var/lib/margay/store /etc/margay/manifests.d")
            node.run("podman", "ps")
            self.before[node.name] = snapshot(node)
        self.manifest("hosts.yaml", MANIFESTS)
        untouched = snapshot(self.n1)
        self.plan = json.loads(self.n1.ctl("node", "plan", "-o", "json"))
        self.plan_left = difference(untouched, snapshot(self.n1))
        self.cluster.start()
        self.p1.run("web")
        self.p1.run("batch", "--ip", "10.244.1.9")
        self.p3.run("store")
        self.p3.run("near")
        self.p3.serve("store", 6379, "stored")

    def close(self):
        self.p1.close()
        self.p3.close()


@pytest.fixture(scope="module")
def hosts():
    with Cluster(("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16")
        world = Hosts(made)
        try:
            world.start()
            yield world
        finally:
            world.close()


def test_the_plan_tells_what_comes(hosts):
    assert not hosts.plan_left, "node plan changes nothing"
    where = {}
    for row in hosts.plan:
        where.setdefault(row["what"], {})[row["where"]] = row["detail"]
    # An agent without --cgroup takes the whole hierarchy; those of tests are told a folder of it.
    assert list(where["attach"]) == ["eth0"] + ([os.path.dirname(places.CGROUP)] if places.CGROUP else [])
    assert "10.10.0.1/24" in where["address"]["IPv4"]
    assert "lo" in where["leave alone"]
    # The routes that were told are those the kernel has now; containers' own are /32, by their interfaces.
    routes = {row["dst"]: row for row in json.loads(hosts.n1.run("ip", "-j", "route", "show", "proto", "80"))
              if not row.get("dev", "").startswith("cali")}
    assert set(where["route"]) == set(routes)
    assert where["route"]["10.244.3.0/24"] == "to n3 by eth0 via 10.10.0.254, mtu 1480"
    assert routes["10.244.3.0/24"]["gateway"] == "10.10.0.254" and routes["10.244.3.0/24"]["metrics"] == [{"mtu": 1480}]
    assert routes["10.244.1.0/24"]["type"] == "blackhole" and "blackhole" in where["route"]["10.244.1.0/24"]
    assert "selectors end at the host" in where["note"]["podCIDRs"]
    attached = [row for row in hosts.n1.tail(1000).split("\n") if "msg=attached" in row and "cgroup=" not in row]
    assert attached and all("eth0" in row for row in attached)


def test_addresses_come_from_the_hosts_range(hosts):
    assert hosts.p1.address("web").startswith("10.244.1.") and hosts.p3.address("store").startswith("10.244.3.")
    assert hosts.p1.address("batch") == "10.244.1.9"


def test_routes_lead_to_the_other_hosts_range(hosts):
    assert "10.244.3.0/24" in hosts.n1.run("ip", "route", "show", "proto", "80")
    assert "10.244.1.0/24" in hosts.n3.run("ip", "route", "show", "proto", "80")
    # No block of the hosts' own is cut from the pool: each range belongs to its host alone.
    for node in (hosts.n1, hosts.n3):
        assert not json.loads(node.ctl("get", "ipamblocks", "-o", "json"))["items"]


def test_containers_reach_each_other(hosts):
    assert hosts.p1.ping("web", hosts.p1.address("batch"))
    capture = hosts.cluster.router.capture("ip proto 4", count=2)
    assert hosts.p1.ping("web", hosts.p3.address("store"))
    assert hosts.p1.address("web") in hosts.cluster.router.captured(capture)
    assert hosts.p3.ping("near", hosts.p1.address("batch"))
    assert hosts.p3.ping("near", "192.0.2.1"), "outside, by the host's address"


def test_vxlan_by_manifest(hosts):
    store = hosts.p3.address("store")
    hosts.manifest("hosts.yaml", MANIFESTS.replace("ipipMode: Always", "vxlanMode: Always"))
    capture = hosts.cluster.router.capture("udp port 4789 and host 10.20.0.3", count=2)
    wait_for(lambda: hosts.p1.ping("web", store) and capture.poll() is not None, "VXLAN carries it", 20)
    assert store in hosts.cluster.router.captured(capture)
    assert hosts.p1.tcp("web", store, 6379) == "stored"
    hosts.manifest("hosts.yaml", MANIFESTS)
    wait_for(lambda: hosts.p1.ping("web", store), "IP-in-IP carries it again", 20)


def test_rules_with_nets_reach_across_those_with_selectors_do_not(hosts):
    store = hosts.p3.address("store")
    hosts.manifest("policy.yaml", POLICY)
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) is None, "batch is denied: its address is excepted")
    assert hosts.p1.tcp("web", store, 6379) == "stored", "by its range"
    assert hosts.p3.tcp("near", store, 6379) == "stored", "by its label, which its own host knows"
    selector = POLICY.replace("    - ipBlock: {cidr: 10.244.1.0/24, except: [10.244.1.9/32]}\n", "")
    hosts.manifest("policy.yaml", selector)
    wait_for(lambda: hosts.p1.tcp("web", store, 6379) is None, "web's label is not known at the other host")
    assert hosts.p3.tcp("near", store, 6379) == "stored"


def test_a_removed_file_takes_its_objects_along(hosts):
    store = hosts.p3.address("store")
    for node in (hosts.n1, hosts.n3):
        node.run("rm", "/etc/margay/manifests.d/policy.yaml")
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) == "stored", "no policy is left")


def test_a_refused_address_leaves_nothing(hosts):
    done = hosts.n3.try_run("podman", "run", "-d", "--cgroup-parent", "/" + hosts.p3.parent, "--name", "taken", "--network",
                            "margay", "--ip", hosts.p3.address("store"), "--rootfs", ROOT, "sleep", "1000", timeout=120)
    hosts.n3.try_run("podman", "rm", "-f", "taken")
    assert done.returncode != 0 and "failed (delete)" not in done.stderr
    assert hosts.p1.ping("web", hosts.p3.address("near"))


def test_restart_of_an_agent(hosts):
    store = hosts.p3.address("store")
    hosts.n3.kill_agent()
    assert hosts.p1.tcp("web", store, 6379) == "stored"
    hosts.n3.start_agent()
    assert hosts.p1.tcp("web", store, 6379) == "stored"


def test_removed_without_a_trace(hosts):
    for podman in (hosts.p1, hosts.p3):
        podman.close()
    for node in (hosts.n1, hosts.n3):
        node.kill_agent(15)
        node.ctl("node", "reset", "--yes")
        node.sh("rm /etc/margay/manifests.d/hosts.yaml")
        rows = difference(hosts.before[node.name], snapshot(node))
        assert not [row for row in rows if not PODMANS.match(row)]
