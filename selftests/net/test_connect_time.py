# SPDX-License-Identifier: Apache-2.0
"""Services reached by sockets when they connect or send: the node's own, and pods'. The sockets' processes are in the
cgroup of this run, where both nodes' agents have their programs."""
import json
import os
import subprocess

import pytest

import cluster as places
from cluster import wait_for

POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
SOCKETS = os.path.join(places.TOP, "selftests", "net", "sockets.py")
VIP = {4: "10.96.0.20", 6: "fd00:96::20"}
HOWS = [("tcp", 4), ("tcp6", 4), ("tcp", 6), ("udp", 4), ("udp6", 4), ("udp", 6), ("sent", 4), ("sent6", 4), ("sent", 6)]
PORT = 80

pytestmark = pytest.mark.skipif(not places.CGROUP, reason="no cgroup2 file system is mounted")

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: %s
  clusterIPs: [%s, "%s"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  %s
  ports:
  - {name: tcp, port: 80, targetPort: 8080%s}
  - {name: udp, port: 80, targetPort: 8080, protocol: UDP%s}
"""
SLICE = """
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-%s, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: %s
ports: [{name: tcp, port: 8080}, {name: udp, port: 8080, protocol: UDP}]
endpoints: [%s]
"""


class World:
    """Two nodes on this kernel; pods that serve on both, and one that only asks."""

    def __init__(self, made):
        self.cluster, self.pods = made, {}
        for name, node in (("client", "n1"), ("near", "n1"), ("far", "n2")):
            self.pods[name] = made[node].pod(name)
            server = self.pods[name].start("python3", SOCKETS, "serve", name, "8080", stdout=subprocess.PIPE)
            assert server.stdout.readline() == b"ready\n"
        made["n1"].cgroup = self.pods["client"].cgroup = places.CGROUP
        for family in (4, 6):
            wait_for(lambda f=family: self.pods["client"].ping(self.pods["far"].address(f)), "the way to far")

    def serve(self, *names, spec="", shown=None, ports=()):
        """shown: who of them is in force on n1."""
        text = SERVICE % (VIP[4], VIP[4], VIP[6], spec, *(f", nodePort: {port}" for port in ports), *([""] * (2 - len(ports))))
        for family, kind in ((4, "IPv4"), (6, "IPv6")):
            ends = ", ".join(f'{{addresses: ["{self.pods[name].address(family)}"], nodeName: {self.pods[name].node.name}}}'
                             for name in names)
            text += SLICE % (kind.lower(), kind, ends)
        self.cluster["n1"].apply(text)
        wait_for(lambda: self.backends() == [sorted(f"{self.pods[n].address(f)}" for n in (names if shown is None else shown))
                                              for f in (4, 4, 6, 6)],
                 lambda: f"backends {names}: {self.backends()}")

    def backends(self):
        """Addresses behind the four frontends, IPv4 first, as n1 has them in force."""
        rows = json.loads(self.cluster["n1"].ctl("service", "show", "-o", "json"))
        return [sorted(end.rsplit(":", 1)[0].strip("[]") for end in row["backends"])
                for family in (4, 6) for row in rows if row["address"] == VIP[family]]

    def ask(self, where, how, family, count=1, target=None):
        return json.loads(where.run("python3", SOCKETS, "ask", how, target or VIP[family], PORT, count))


@pytest.fixture(scope="module")
def world():
    with places.Cluster(nodes=("n1", "n2")) as made:
        made.start()
        made["n1"].ctl("apply", "-f", POOLS)
        yield World(made)


@pytest.fixture(autouse=True)
def gone(world):
    yield
    for name in ("service/web", "endpointslice/web-ipv4", "endpointslice/web-ipv6"):
        world.cluster["n1"].ctl("delete", "-n", "default", name, check=False)


@pytest.fixture
def mode(world):
    """Sets bpfConnectTimeLoadBalancing; it goes afterwards."""
    def put(value):
        world.cluster["n1"].apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration",
                                              "metadata": {"name": "default"}, "spec": {"bpfConnectTimeLoadBalancing": value}}))
    yield put
    world.cluster["n1"].ctl("delete", "felixconfiguration", "default", check=False)


def service_end(how, family):
    """The service as a socket of that kind has it."""
    return f"{'::ffff:' if how.endswith('6') else ''}{VIP[family]}|{PORT}"


def check_answers(world, place, backend):
    """Every kind of socket reaches the backend and believes to talk to the service."""
    for how, family in HOWS:
        told = world.ask(place, how, family)
        end = service_end(how, family)
        assert told.get("answers") == [backend], (how, family, told)
        assert ("peer" in told) == (how[:4] != "sent") and ("from" in told) == (how[:3] != "tcp")
        assert told.get("peer", end) == end and told.get("from", [end]) == [end], (how, family, told)


@pytest.mark.parametrize("backend", ["near", "far"])
def test_host(world, backend):
    world.serve(backend)
    check_answers(world, world.cluster["n1"], backend)


@pytest.mark.parametrize("backend", ["near", "far", "client"])
def test_pod(world, mode, backend):
    """The same of a pod, which may be its own backend: with Enabled also UDP, and no flow to the service is made."""
    mode("Enabled")
    world.serve(backend)
    wait_for(lambda: connects_udp(world.cluster["n1"]), "Enabled is in force")
    before = flows(world.cluster["n1"])
    check_answers(world, world.pods["client"], backend)
    assert flows(world.cluster["n1"]) <= before


def flows(node):
    """The client's ends of those that are translated by packet."""
    rows = json.loads(node.ctl("flows", "show", "-o", "json"))
    return {(row["src"], row["sport"]) for row in rows if row["dst"] in VIP.values()} | \
           {(row["dst"], row["dport"]) for row in rows if row["src"] in VIP.values()}


def row_of(node, name, key):
    """Bytes of a row of a map, or None."""
    done = node.try_run("bpftool", "-j", "map", "lookup", "pinned", f"/sys/fs/bpf/margay/maps/{name}", "key", "hex", *key.split())
    return bytes(int(byte, 16) for byte in json.loads(done.stdout)["value"]) if done.returncode == 0 else None


def connects_udp(node):
    """MG_LOCAL_CONNECT_UDP, bit 13 of mg_local.flags."""
    return row_of(node, "mg_local", "00 00 00 00")[73] & 0x20


def links(node):
    return node.sh("ls /sys/fs/bpf/margay/links").split()


def attached(node):
    """Programs of that node at the cgroup, by the ids of its pins."""
    ids = set()
    for name in node.sh("ls /sys/fs/bpf/margay/progs").split():
        if name.startswith("sock_"):
            ids.add(json.loads(node.run("bpftool", "-j", "prog", "show", "pinned", f"/sys/fs/bpf/margay/progs/{name}"))["id"])
    rows = node.run("bpftool", "-j", "cgroup", "show", places.CGROUP).strip()
    return sorted(row["id"] for row in json.loads(rows or "[]") if row["id"] in ids)


def test_tcp_leaves_pods_udp_to_the_packets(world):
    """The default: a pod's UDP makes a flow to the service, its TCP makes none; the node's UDP is served all the same."""
    node = world.cluster["n1"]
    world.serve("far")
    assert not connects_udp(node)
    before = flows(node)
    assert world.ask(world.pods["client"], "tcp", 4)["answers"] == ["far"]
    assert flows(node) <= before
    assert world.ask(world.pods["client"], "udp", 4)["answers"] == ["far"]
    assert len(flows(node) - before) == 1
    assert world.ask(node, "udp", 4)["answers"] == ["far"]


def test_disabled(world, mode):
    """No program is left; the node's sockets reach no service; pods' packets do."""
    node = world.cluster["n1"]
    world.serve("near")
    assert len(links(node)) == 8 and len(attached(node)) == 8
    mode("Disabled")
    wait_for(lambda: not links(node) and not attached(node), "the programs are off")
    assert "error" in world.ask(node, "tcp", 4)
    assert world.ask(world.pods["client"], "tcp", 4)["answers"] == ["near"]
    mode("TCP")
    wait_for(lambda: len(attached(node)) == 8, "the programs are on")
    assert world.ask(node, "tcp", 4)["answers"] == ["near"]


def test_no_backend(world):
    """A service that nobody serves refuses at once, and the refusal is counted."""
    node = world.cluster["n1"]
    world.serve()
    before = refused(node)
    for how, family in HOWS:
        assert world.ask(node, how, family) == {"error": "ECONNREFUSED"}, (how, family)
    assert refused(node) - before == len(HOWS)


def refused(node):
    return sum(row["packets"] for row in json.loads(node.ctl("drops", "show", "-o", "json"))
               if row["hook"] == "sock" and row["reason"] == "no-backend")


def test_no_local_backend(world):
    world.serve("far", spec="internalTrafficPolicy: Local", shown=())
    assert world.ask(world.cluster["n1"], "tcp", 4) == {"error": "EHOSTUNREACH"}


def test_node_port_of_the_node(world):
    """At its loopback addresses, its own and another node's, as a socket of the node asks."""
    node, pod = world.cluster["n1"], world.pods["client"]
    world.serve("far", spec="type: NodePort", ports=(30080, 30081))
    for how, port in (("tcp", 30080), ("udp", 30081), ("sent", 30081)):
        for address in ("127.0.0.1", "::1", "10.10.0.1", "fd10::1", "10.10.0.2", "fd10::2"):
            told = json.loads(node.run("python3", SOCKETS, "ask", how, address, port))
            assert told.get("answers") == ["far"], (how, address, told)
            assert told.get("peer", f"{address}|{port}") == f"{address}|{port}", told
    for address in ("127.0.0.1", "::1"):
        assert json.loads(pod.run("python3", SOCKETS, "ask", "tcp", address, 30080)) == {"error": "ECONNREFUSED"}
    assert json.loads(pod.run("python3", SOCKETS, "ask", "tcp", "10.10.0.1", 30080))["answers"] == ["far"]


def test_node_port_addresses(world):
    """Node ports at the addresses alone that the configuration names, loopback ones among them."""
    node, pod = world.cluster["n1"], world.pods["client"]

    def reached(place, address, how="tcp"):
        return json.loads(place.run("python3", SOCKETS, "ask", how, address, 30080)).get("answers") == ["far"]

    def limit(*nets):
        node.apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"},
                               "spec": {"nodePortAddresses": nets}}))
    world.serve("far", spec="type: NodePort", ports=(30080, 30081))
    try:
        limit("10.10.0.2/32", "::1/128")
        wait_for(lambda: not reached(node, "10.10.0.1"), "the port is gone at 10.10.0.1")
        assert {address: reached(node, address) for address in ("127.0.0.1", "::1", "fd10::1", "10.10.0.2")} == \
            {"127.0.0.1": False, "::1": True, "fd10::1": False, "10.10.0.2": True}
        assert not reached(pod, "10.10.0.1") and reached(pod, "10.10.0.2")
        limit("primary")
        wait_for(lambda: reached(node, "10.10.0.1"), "the port is back at 10.10.0.1")
        assert not reached(node, "127.0.0.1") and reached(node, "fd10::1")
    finally:
        node.ctl("delete", "felixconfiguration", "default", check=False)
    wait_for(lambda: reached(node, "127.0.0.1"), "the port is back at 127.0.0.1")


def test_all_are_reached(world):
    world.serve("near", "far")
    for how, family in HOWS:
        seen = set()
        wait_for(lambda: seen.update(world.ask(world.cluster["n1"], how, family)["answers"]) or seen == {"near", "far"},
                 f"both by {how} and IPv{family}")


def test_a_socket_keeps_its_backend(world):
    """One that is not connected sends all its datagrams to one of the backends."""
    world.serve("near", "far")
    for _ in range(4):
        assert len(set(world.ask(world.cluster["n1"], "sent", 4, 20)["answers"])) == 1


def test_a_socket_leaves_a_backend_that_went(world):
    """The next datagram of a socket that is not connected goes to one that is there, and nobody is shown but the service."""
    node = world.cluster["n1"]
    world.serve("near")
    command = node.wrap("python3", SOCKETS, "ask", "sent", VIP[4], PORT, "loop")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as socket:
        def ask():
            socket.stdin.write("\n")
            return json.loads(socket.stdout.readline())
        assert ask() == ask() == {"answers": ["near"], "from": [f"{VIP[4]}|{PORT}"]}
        world.serve("far")
        assert ask() == {"answers": ["far"], "from": [f"{VIP[4]}|{PORT}"]}
        socket.stdin.close()


@pytest.mark.parametrize("how", ["tcp", "udp", "sent"])
@pytest.mark.parametrize("family", [4, 6])
def test_affinity(world, mode, how, family):
    """A client keeps its backend over connections, sockets and both ways of being served."""
    mode("Enabled")
    world.serve("near", "far", spec="sessionAffinity: ClientIP")
    node, pod = world.cluster["n1"], world.pods["client"]
    wait_for(lambda: connects_udp(node), "Enabled is in force")
    for place in (node, pod):
        seen = {answer for _ in range(8) for answer in world.ask(place, how, family)["answers"]}
        assert len(seen) == 1, seen
    pod.cgroup = None
    try:
        assert set(world.ask(pod, how, family)["answers"]) == seen
    finally:
        pod.cgroup = places.CGROUP


def test_another_node_is_not_disturbed(world, mode):
    """Both nodes' programs see each socket of the cgroup; a namespace that is no node's sees the services of none."""
    first, second = world.cluster["n1"], world.cluster["n2"]
    world.serve("near")
    router, outside = world.cluster.router, world.cluster.outside
    for place in (router, outside, second):
        place.cgroup = places.CGROUP
    try:
        assert len(attached(first)) == len(attached(second)) == 8
        assert world.ask(second, "tcp", 4)["answers"] == ["near"]
        for place in (router, outside):
            assert "answers" not in world.ask(place, "tcp", 4)
        second.ctl("apply", "-f", "-", stdin=json.dumps({
            "apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "node.n2"},
            "spec": {"bpfConnectTimeLoadBalancing": "Disabled"}}))
        wait_for(lambda: not attached(second), "the second node's programs are off")
        assert world.ask(first, "tcp", 4)["answers"] == ["near"]
        assert "answers" not in world.ask(second, "tcp", 4)
    finally:
        second.ctl("delete", "felixconfiguration", "node.n2", check=False)
        for place in (router, outside, second):
            place.cgroup = None
        wait_for(lambda: len(attached(second)) == 8, "the second node's programs are on")


def test_programs_outlive_the_agent(world):
    """Without an agent sockets are served; the next one takes the links over as they are."""
    node = world.cluster["n1"]
    world.serve("far")
    before = attached(node)
    node.kill_agent()
    assert world.ask(node, "tcp", 4)["answers"] == ["far"]
    node.start_agent()
    assert attached(node) == before and world.ask(node, "udp", 6)["answers"] == ["far"]


def test_a_link_that_is_lost_comes_back(world):
    node = world.cluster["n1"]
    world.serve("near")
    node.sh("rm /sys/fs/bpf/margay/links/sock_connect4")
    wait_for(lambda: "error" in world.ask(node, "tcp", 4), "the link is gone")
    node.apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"},
                           "spec": {"logSeverityScreen": "Info"}}))
    try:
        wait_for(lambda: len(attached(node)) == 8, "the link is back")
        assert world.ask(node, "tcp", 4)["answers"] == ["near"]
    finally:
        node.ctl("delete", "felixconfiguration", "default")
