# SPDX-License-Identifier: Apache-2.0
"""Services for clients from outside, between three nodes and the world: node ports, external addresses, both policies."""
import json

import pytest

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
