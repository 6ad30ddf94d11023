# SPDX-License-Identifier: Apache-2.0
"""Services for clients from outside, between three nodes and the world: node ports, external addresses, both policies;
and ports of a node that lead to its pods, for everybody."""
import json
import os
import subprocess

import pytest

import cluster as places
from cluster import wait_for

EXTERNAL = {4: "198.51.100.7", 6: "2001:db8:7::7"}
NODES = {"n1": {4: "10.10.0.1", 6: "fd10::1"}, "n2": {4: "10.10.0.2", 6: "fd10::2"}, "n3": {4: "10.20.0.3", 6: "fd20::3"}}
WORLD = {4: "192.0.2.1", 6: "2001:db8::1"}
PORT, NODE_PORT = 80, 30080

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: shopfront, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.30
  clusterIPs: [10.96.0.30, "fd00:96::30"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  externalIPs: [%s, "%s"]
  externalTrafficPolicy: %s
  ports: [{name: http, port: %d, targetPort: 8080, nodePort: %d}]
"""

SLICE = """
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shopfront-%d, namespace: shop, labels: {kubernetes.io/service-name: shopfront}}
addressType: IPv%d
ports: [{name: http, port: 8080}]
endpoints: [%s]
"""

FAMILIES = pytest.mark.parametrize("family", [4, 6])

# Tells its name and who asks, and sends as much as it is asked for.
SERVER = """
import socket, threading
listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(peer, address):
    wanted = int(peer.makefile().readline())
    peer.sendall(f"%s {address[0].removeprefix('::ffff:')}\\n".encode() + b"x" * wanted)
    peer.close()
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
"""

CLIENT = """
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[4]))
peer.sendall(sys.argv[3].encode() + b"\\n")
got = b""
while chunk := peer.recv(65536):
    got += chunk
line, _, rest = got.partition(b"\\n")
print(line.decode(), len(rest))
"""


def ask(place, address, port, size=0, wait=3):
    """[backend's name, who it saw, bytes]; None: no answer."""
    done = place.try_run("python3", "-c", CLIENT, address, port, size, wait)
    return done.stdout.split() if done.returncode == 0 else None


@pytest.fixture(scope="module")
def pods(cluster):
    made = {}
    for name, node in (("client", "n1"), ("near", "n1"), ("far", "n2"), ("third", "n3")):
        made[name] = cluster[node].pod(name, "shop")
        if name != "client":
            made[name].start("python3", "-c", SERVER % name)
            wait_for(lambda n=name: ":8080 " in made[n].run("ss", "-Hltn"), f"{name} listens")
    for name in ("near", "far", "third"):
        wait_for(lambda n=name: made["client"].ping(made[n].address()), f"the way to {name}")
    # The world's way to the external addresses is node 1.
    for family, address in EXTERNAL.items():
        cluster.router.run("ip", f"-{family}", "route", "add", address, "via", NODES["n1"][family])
    return made


def serve(cluster, pods, *names, policy="Cluster"):
    text = SERVICE % (EXTERNAL[4], EXTERNAL[6], policy, PORT, NODE_PORT)
    for family in (4, 6):
        ends = ", ".join(f'{{addresses: ["{pods[name].address(family)}"], nodeName: {pods[name].node.name}}}' for name in names)
        text += SLICE % (family, family, ends)
    cluster["n1"].apply(text)
    for node in NODES:
        want = {f"{pods[name].address()}:8080" for name in names if policy == "Cluster" or pods[name].node.name == node}
        wait_for(lambda n=node, w=want: outside_backends(cluster[n]) == w, f"backends on {node}")


def outside_backends(node):
    rows = json.loads(node.ctl("service", "show", "-o", "json"))
    found = [row for row in rows if row["address"] == EXTERNAL[4] and row["for"] == "outside"]
    return set(found[0]["backends"]) if found else None


@pytest.fixture(autouse=True)
def gone(cluster):
    yield
    for name in ("service/shopfront", "endpointslice/shopfront-4", "endpointslice/shopfront-6"):
        cluster["n1"].ctl("delete", "-n", "shop", name, check=False)


@FAMILIES
@pytest.mark.parametrize("backend", ["near", "far", "third"])
def test_from_outside(cluster, pods, backend, family):
    """By an external address and by the node port of each node; the backend sees the client itself."""
    serve(cluster, pods, backend)
    want = [backend, WORLD[family], "0"]
    assert ask(cluster.outside, EXTERNAL[family], PORT) == want
    for node in NODES:
        assert ask(cluster.outside, NODES[node][family], NODE_PORT) == want, node


@FAMILIES
def test_much(cluster, pods, family):
    """A stream that fills packets, by a tunnel: both ends settle on what fits."""
    serve(cluster, pods, "far")
    assert ask(cluster.outside, EXTERNAL[family], PORT, 8 << 20, 20) == ["far", WORLD[family], str(8 << 20)]


@FAMILIES
def test_local(cluster, pods, family):
    """Policy Local: a node without an endpoint is silent to the world, and leads pods to all."""
    serve(cluster, pods, "far", policy="Local")
    assert ask(cluster.outside, NODES["n2"][family], NODE_PORT) == ["far", WORLD[family], "0"]
    assert ask(cluster.outside, NODES["n1"][family], NODE_PORT, wait=1) is None
    for address, port in ((EXTERNAL[family], PORT), (NODES["n1"][family], NODE_PORT), (NODES["n3"][family], NODE_PORT)):
        assert ask(pods["client"], address, port) == ["far", pods["client"].address(family), "0"]


@FAMILIES
def test_refused(cluster, pods, family):
    """No endpoint: a reset at once."""
    serve(cluster, pods)
    for place in (cluster.outside, pods["client"]):
        done = place.try_run("python3", "-c", CLIENT, NODES["n1"][family], NODE_PORT, 0, 10)
        assert "ConnectionRefusedError" in done.stderr


# --- ports of the node that lead to its pods (portMappings) ---

SOCKETS = os.path.join(places.TOP, "selftests", "net", "sockets.py")
HOST_PORT = 8081


def mapping(host, container, protocol="tcp", address=""):
    return {"hostPort": host, "containerPort": container, "protocol": protocol, "hostIP": address}


PORTS = [mapping(HOST_PORT, 8080), mapping(HOST_PORT, 9090, "udp"), mapping(8082, 8080, address="127.0.0.1"),
         mapping(8082, 8080, address="::1"), mapping(8083, 8080, address="10.10.0.1"), mapping(8083, 8080, address="fd10::1"),
         mapping(HOST_PORT, 8080, "sctp")]
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: clients, namespace: edge}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: "2001:db8::/64"}}]}]
"""


def ask_udp(place, address, port=HOST_PORT):
    """The server's name, or None."""
    return json.loads(place.run("python3", SOCKETS, "ask", "udp", address, port)).get("answers")


def host_ports(node):
    return {(row["name"], row["address"], row["protocol"], row["for"]): (row["set"], tuple(row["backends"]))
            for row in json.loads(node.ctl("service", "show", "-o", "json")) if row["service"] == "pod edge/shown"}


@pytest.fixture(scope="module")
def shown(cluster, pods):
    """A pod of n1 with ports of the node."""
    pod = cluster["n1"].pod("shown", "edge", ports=PORTS)
    pod.start("python3", "-c", SERVER % "shown")
    server = pod.start("python3", SOCKETS, "serve", "shown", "9090", stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    wait_for(lambda: ":8080 " in pod.run("ss", "-Hltn"), "shown listens")
    wait_for(lambda: pods["far"].ping(pod.address()), "the way to shown")
    return pod


@FAMILIES
def test_host_port(cluster, pods, shown, family):
    """From the world, from a pod of this node, from another node: the pod sees the client itself. Pods of other nodes come
    with their node's address, as to any other port of a node (natOutgoing)."""
    own = NODES["n1"][family]
    clients = [(cluster.outside, WORLD[family]), (pods["client"], pods["client"].address(family)),
               (pods["far"], NODES["n2"][family]), (pods["third"], NODES["n3"][family]),
               (cluster["n2"], NODES["n2"][family])]
    for place, seen in clients:
        assert ask(place, own, HOST_PORT) == ["shown", seen, "0"], place.name
        assert ask(place, own, 8083) == ["shown", seen, "0"], place.name
        assert ask_udp(place, own) == ["shown"], place.name
    for place in (cluster.outside, pods["client"], pods["far"]):
        assert ask(place, NODES["n2"][family], HOST_PORT, wait=1) is None, "another node's port"
        assert ask(place, own, 8082, wait=1) is None, "the port of the loopback address"


@FAMILIES
@pytest.mark.skipif(not places.CGROUP, reason="no cgroup2 file system is mounted")
def test_host_port_from_the_node(cluster, shown, family):
    node, loopback = cluster["n1"], {4: "127.0.0.1", 6: "::1"}[family]
    node.cgroup = places.CGROUP
    try:
        for address, port in ((NODES["n1"][family], HOST_PORT), (loopback, HOST_PORT), (loopback, 8082), (NODES["n1"][family], 8083)):
            assert (ask(node, address, port) or [None])[0] == "shown", (address, port)
        assert ask_udp(node, loopback) == ["shown"]
        assert ask(node, NODES["n1"][family], 8082, wait=1) is None
    finally:
        node.cgroup = None


@FAMILIES
def test_host_port_policy(cluster, pods, shown, family):
    """The real client is judged: who comes from the world's net, and no pod."""
    own = NODES["n1"][family]
    cluster["n1"].apply(POLICY)
    try:
        wait_for(lambda: ask(pods["client"], own, HOST_PORT, wait=1) is None, "the policy is in force")
        assert ask(pods["far"], own, HOST_PORT, wait=1) is None
        assert ask(cluster.outside, own, HOST_PORT) == ["shown", WORLD[family], "0"]
    finally:
        cluster["n1"].ctl("delete", "-n", "edge", "networkpolicy/clients")
    wait_for(lambda: ask(pods["client"], own, HOST_PORT, wait=1), "the policy is gone")


def test_host_port_conflicts(cluster, pods, shown):
    """ADD names who has the port, or says that the address is not the node's, and leaves nothing."""
    node = cluster["n1"]
    serve(cluster, pods, "far")
    before = host_ports(node)
    cases = [([mapping(HOST_PORT, 80)], 101, "hostPort 8081/TCP belongs to pod edge/shown"),
             ([mapping(NODE_PORT, 80)], 101, "hostPort 30080/TCP belongs to service shop/shopfront"),
             ([mapping(9000, 80, address="192.0.2.7")], 7, "hostIP 192.0.2.7 is no address of this node")]
    for ports, code, text in cases:
        pod = places.Pod(node, "second", "edge", ports=ports)
        try:
            error = node.cni("ADD", pod, check=False)
            assert (error["code"], error["msg"]) == (code, text)
        finally:
            pod.close()
    assert host_ports(node) == before and ask(cluster.outside, NODES["n1"][4], HOST_PORT)
    assert "edge-second" not in node.sh("ls /var/lib/margay/cni/attachments")


def test_host_port_restart(cluster, shown):
    """Killed and started anew the agent finds what stands; meanwhile packets pass. ADD twice is harmless, CHECK looks."""
    node, own = cluster["n1"], NODES["n1"][4]
    rows = host_ports(node)
    assert len(rows) == 18
    node.kill_agent()
    assert ask(cluster.outside, own, HOST_PORT) == ["shown", WORLD[4], "0"]
    node.cni("CHECK", shown)
    node.start_agent()
    assert host_ports(node) == rows
    assert node.cni("ADD", shown)["ips"] == shown.result["ips"] and host_ports(node) == rows
    node.cni("CHECK", shown)
    # A row that somebody took away is missed, and a new agent writes it.
    key = ["0"] * 10 + ["255", "255", "0", "0", "0", "0", str(HOST_PORT >> 8), str(HOST_PORT & 255), "6", "0"] + ["0"] * 4
    node.run("bpftool", "map", "delete", "pinned", "/sys/fs/bpf/margay/maps/mg_fronts", "key", *key)
    error = node.cni("CHECK", shown, check=False)
    assert error["code"] == 102 and error["msg"] == "host port 8081/tcp at 0.0.0.0 leads nowhere"
    node.kill_agent()
    node.start_agent()
    node.cni("CHECK", shown)


def test_host_port_gone(cluster, pods):
    """DEL and GC give the port back."""
    node, own = cluster["n1"], NODES["n1"][4]
    for how in ("DEL", "GC"):
        pod = node.pod("brief", "edge", ports=[mapping(9001, 8080)])
        pod.start("python3", "-c", SERVER % "brief")
        wait_for(lambda p=pod: ":8080 " in p.run("ss", "-Hltn"), "brief listens")
        assert ask(cluster.outside, own, 9001)[0] == "brief"
        if how == "DEL":
            pod.delete()
        else:
            valid = [{"containerID": other.container, "ifname": "eth0"} for other in node.pods if other is not pod]
            config = dict(node.cluster.network, cniVersion="1.1.0")
            config["plugins"] = [dict(config["plugins"][0], **{"cni.dev/valid-attachments": valid})]
            node.cni("GC", pod, config=config)
            node.pods.remove(pod)
            pod.close()
        wait_for(lambda: "9001" not in node.ctl("service", "show"), "the port is free")
        assert ask(cluster.outside, own, 9001, wait=1) is None
