# SPDX-License-Identifier: Apache-2.0
"""Hosts without Kubernetes: podman with containers from busybox, on two hosts with one shared store."""
import json
import re

import pytest

from cluster import Cluster, wait_for
from containers import LIST, ROOT, Podman
from snapshot import difference, snapshot

POOLS = """apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: containers}
spec: {cidr: 10.244.0.0/16, ipipMode: CrossSubnet, natOutgoing: true}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: containers6}
spec: {cidr: "fd00:244::/48", ipipMode: CrossSubnet, natOutgoing: true}
"""
# What podman, runc, libcni (its results) and host-local (its networks) leave of their own, and lists that a test wrote.
PODMANS = re.compile("files: left: (/run/(containers|libpod|netns|runc)|.*/own/(etc/up/cni/net.d|var/lib/up/(containers|cni|rootfs))(/|$))")
POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: store, namespace: default}
spec:
  podSelector: {matchLabels: {role: store}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {matchLabels: {role: web}}
    ports:
    - {protocol: TCP, port: 6379}
"""


def endpoint(node, name):
    """The WorkloadEndpoint of a container, which podman names by its id."""
    container = node.run("podman", "inspect", "-f", "{{.Id}}", name).strip()
    items = json.loads(node.ctl("get", "workloadendpoints", "-o", "json"))["items"]
    (found,) = [item for item in items if item["spec"]["containerID"] == container]
    return found


def label(node, name, *labels):
    node.ctl("label", "workloadendpoint", endpoint(node, name)["metadata"]["name"], *labels)


class Hosts:
    """n1 has the containers web and batch, n3 store and spare; n3 is behind the router."""

    def __init__(self, cluster):
        self.cluster, self.before = cluster, {}
        self.n1, self.n3 = cluster["n1"], cluster["n3"]
        self.p1, self.p3 = Podman(self.n1), Podman(self.n3)

    def start(self):
        for node in (self.n1, self.n3):
            # Published ports pass the host's stack, which must forward for that.
            node.sysctl(net__ipv4__ip_forward=1)
            # Podman makes its own folders at its first start; they are none of ours.
            node.run("podman", "ps")
            self.before[node.name] = snapshot(node)
        self.cluster.start()
        self.n1.apply(POOLS)
        self.p1.labelled("margay-web", role="web")
        self.p3.labelled("margay-store", role="store")
        self.p1.run("web", network="margay-web")
        self.p1.run("batch")
        self.p3.run("store", network="margay-store")
        self.p3.run("spare")
        self.p3.serve("store", 6379, "stored")

    def close(self):
        self.p1.close()
        self.p3.close()


@pytest.fixture(scope="module")
def hosts():
    with Cluster(("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        world = Hosts(made)
        try:
            world.start()
            yield world
        finally:
            world.close()


def test_each_container_is_an_endpoint(hosts):
    rows = {name: endpoint(node, name) for node, name in
            ((hosts.n1, "web"), (hosts.n1, "batch"), (hosts.n3, "store"), (hosts.n3, "spare"))}
    for name, podman in (("web", hosts.p1), ("batch", hosts.p1), ("store", hosts.p3), ("spare", hosts.p3)):
        nets = rows[name]["spec"]["ipNetworks"]
        assert podman.address(name) + "/32" in nets
        assert rows[name]["spec"]["node"] == podman.node.name
    assert rows["web"]["metadata"]["labels"]["role"] == "web"
    assert "role" not in rows["batch"]["metadata"]["labels"]


def test_containers_reach_each_other(hosts):
    assert hosts.p1.ping("web", hosts.p1.address("batch"))
    for name in ("store", "spare"):
        assert hosts.p1.ping("web", hosts.p3.address(name))
        assert hosts.p1.ping("web", hosts.p3.address(name, 6))


def test_policy_by_label(hosts):
    store = hosts.p3.address("store")
    assert hosts.p1.tcp("batch", store, 6379) == "stored"
    hosts.n1.apply(POLICY)
    # One of another host, one without the label on it, one on its own host; ping is no TCP.
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) is None, "batch is denied")
    assert hosts.p1.tcp("web", store, 6379) == "stored"
    assert hosts.p3.tcp("spare", store, 6379) is None
    assert not hosts.p1.ping("web", store)


def test_labels_change_live(hosts):
    store, web = hosts.p3.address("store"), hosts.p1.address("web")
    hosts.n1.apply(POLICY)
    wait_for(lambda: hosts.p3.tcp("spare", store, 6379) is None, "spare is denied")
    # The peer's label, given at another host and at its own.
    label(hosts.n1, "batch", "role=web")
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) == "stored", "batch is let in by its label")
    label(hosts.n1, "batch", "role-")
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) is None, "batch is denied again")
    # The endpoint's own label: web becomes one that the policy selects.
    assert hosts.p1.ping("batch", web)
    label(hosts.n1, "web", "role=store", "--overwrite")
    wait_for(lambda: not hosts.p1.ping("batch", web), "the policy selects web")
    label(hosts.n1, "web", "role=web", "--overwrite")
    wait_for(lambda: hosts.p1.ping("batch", web), "the policy selects web no more")


def test_labels_live_on_over_a_restart_of_the_agent(hosts):
    store = hosts.p3.address("store")
    hosts.n1.apply(POLICY)
    label(hosts.n3, "spare", "role=web")
    wait_for(lambda: hosts.p3.tcp("spare", store, 6379) == "stored", "spare is let in by its label")
    hosts.n3.kill_agent()
    assert hosts.p3.tcp("spare", store, 6379) == "stored"
    hosts.n3.start_agent()
    assert hosts.p3.tcp("spare", store, 6379) == "stored"
    assert hosts.p1.tcp("web", store, 6379) == "stored"
    assert hosts.p1.tcp("batch", store, 6379) is None
    assert endpoint(hosts.n3, "spare")["metadata"]["labels"]["role"] == "web"
    label(hosts.n3, "spare", "role-")


def check_published(hosts, network=None):
    hosts.p1.run("shown", "-p", "8080:80", network=network)
    hosts.p1.serve("shown", 80, "hello from the port")
    for place in (hosts.n3, hosts.cluster.outside):
        assert place.run("socat", "-T2", "-u", "TCP:10.10.0.1:8080,connect-timeout=2", "-").strip() == "hello from the port"
    # A container of another host reaches it by the host's address too.
    assert hosts.p3.tcp("spare", "10.10.0.1", 8080) == "hello from the port"
    hosts.p1.remove("shown")


def test_published_port(hosts):
    """By the capability portMappings, with the host's forwarding switch off."""
    hosts.n1.sysctl(net__ipv4__ip_forward=0)
    check_published(hosts)
    assert "8080" not in hosts.n1.ctl("service", "show")


def test_published_by_portmap(hosts):
    """A list that leaves ports to the chained plugin works as it did."""
    hosts.n1.sysctl(net__ipv4__ip_forward=1)
    capabilities = {"ips": True, "mac": True}
    plugins = [dict(LIST["plugins"][0], capabilities=capabilities), {"type": "portmap", "capabilities": {"portMappings": True}}]
    hosts.n1.run("tee", "/etc/cni/net.d/30-mapped.conflist", stdin=json.dumps(dict(LIST, name="mapped", plugins=plugins)))
    check_published(hosts, "mapped")


def test_published_in_two_networks(hosts):
    """The network that has the default routes has the ports, also after a restart of the agent."""
    hosts.n1.run("tee", "/etc/cni/net.d/30-second.conflist", stdin=json.dumps(dict(LIST, name="second")))
    hosts.p1.run("shown", "-p", "8080:80", network="margay,second")
    hosts.p1.serve("shown", 80, "hello from the port")
    rows = sorted(hosts.n1.ctl("service", "show").splitlines())
    hosts.n1.kill_agent()
    hosts.n1.start_agent()
    assert sorted(hosts.n1.ctl("service", "show").splitlines()) == rows
    assert hosts.p3.tcp("spare", "10.10.0.1", 8080) == "hello from the port"
    hosts.p1.remove("shown")


def test_address_and_mac_asked_for(hosts):
    hosts.p1.run("fixed", "--ip", "10.244.77.7", "--mac-address", "02:11:22:33:44:55")
    assert hosts.p1.address("fixed") == "10.244.77.7"
    assert "02:11:22:33:44:55" in hosts.p1.exec("fixed", "ip", "link", "show", "eth0")
    assert endpoint(hosts.n1, "fixed")["spec"]["mac"] == "02:11:22:33:44:55"
    assert hosts.p3.ping("spare", "10.244.77.7")
    # The address is taken: a second one is refused, and leaves nothing.
    done = hosts.n3.try_run("podman", "run", "-d", "--cgroup-parent", "/" + hosts.p3.parent, "--name", "twice",
                            "--network", "margay", "--ip", "10.244.77.7", "--rootfs", ROOT, "sleep", "1000", timeout=120)
    hosts.n3.try_run("podman", "rm", "-f", "twice")
    assert done.returncode != 0 and "10.244.77.7" in done.stderr
    hosts.p1.remove("fixed")


def test_container_restart(hosts):
    store = hosts.p3.address("store")
    hosts.n3.run("podman", "restart", "-t", "0", "store", timeout=120)
    hosts.p3.serve("store", 6379, "again")
    fresh = hosts.p3.address("store")
    items = json.loads(hosts.n3.ctl("get", "workloadendpoints", "-o", "json"))["items"]
    assert len([item for item in items if item["spec"]["node"] == "n3"]) == 2
    wait_for(lambda: hosts.p1.tcp("web", fresh, 6379) == "again", "store answers after its restart")
    assert hosts.p1.tcp("batch", fresh, 6379) is None
    assert fresh == store or not hosts.p1.ping("batch", store)


def test_agent_killed_under_a_connection(hosts):
    store = hosts.p3.address("store")
    hosts.n3.run("podman", "exec", "-d", "store", "nc", "-l", "-p", "7000", "-e", "cat", timeout=120)
    hosts.n1.ctl("delete", "networkpolicy.networking.k8s.io", "store")
    pid = hosts.p1.pid("web")
    stream = f"TCP:{store}:7000,connect-timeout=2"
    wait_for(lambda: hosts.p1.tcp("batch", store, 6379) == "again", "the policy is gone")
    fifo = f"{hosts.n1.folder}/words"
    hosts.n1.sh(f"mkfifo {fifo}; : > {fifo}.out")
    talk = hosts.n1.start("nsenter", "-t", pid, "-n", "sh", "-c", f"exec socat -t5 - {stream} <{fifo} >{fifo}.out")
    with open(fifo, "w") as words:
        for number in range(6):
            if number == 2:
                hosts.n1.kill_agent()
                hosts.n3.kill_agent()
            if number == 4:
                hosts.cluster.start()
            words.write(f"word {number}\n")
            words.flush()
            wait_for(lambda: f"word {number}" in open(fifo + ".out").read(), f"answer {number}")
    assert talk.wait(10) == 0


def test_removed_without_a_trace(hosts):
    for podman in (hosts.p1, hosts.p3):
        podman.close()
    wait_for(lambda: not json.loads(hosts.n1.ctl("get", "workloadendpoints", "-o", "json"))["items"], "no endpoint is left")
    for node in (hosts.n1, hosts.n3):
        node.kill_agent(15)
        node.ctl("node", "reset", "--yes")
        rows = difference(hosts.before[node.name], snapshot(node))
        assert not [row for row in rows if not PODMANS.match(row)]
