# SPDX-License-Identifier: Apache-2.0
"""ClusterIP between pods of three nodes: TCP and UDP, both families, by hand-made slices."""
import json

import pytest

from cluster import wait_for

VIP4, VIP6 = "10.96.0.20", "fd00:96::20"

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: %s
  clusterIPs: [%s, "%s"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  %s
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: echo, port: 7, targetPort: 7007, protocol: UDP}
"""

SLICE = """
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-%s, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: %s
ports: [{name: http, port: 8080}, {name: echo, port: 7007, protocol: UDP}]
endpoints: [%s]
"""


@pytest.fixture(scope="module")
def pods(cluster):
    made = {}
    for name, node in (("client", "n1"), ("near", "n1"), ("far", "n2"), ("third", "n3")):
        made[name] = cluster[node].pod(name, "shop")
        made[name].serve_tcp(8080, name)
        made[name].serve_udp(7007)
    for name in ("near", "far", "third"):
        wait_for(lambda n=name: made["client"].ping(made[n].address()), f"the way to {name}")
    return made


def serve(cluster, pods, *names, spec=""):
    """The service with these pods behind it, as n1 has it in force."""
    text = SERVICE % (VIP4, VIP4, VIP6, spec)
    for family, kind in ((4, "IPv4"), (6, "IPv6")):
        ends = ", ".join(f'{{addresses: ["{pods[name].address(family)}"], nodeName: {pods[name].node.name}}}'
                         for name in names)
        text += SLICE % (kind.lower(), kind, ends)
    cluster["n1"].apply(text)
    want = {f"{pods[name].address()}:8080" for name in names}
    wait_for(lambda: backends(cluster["n1"], VIP4, 80) == want, f"backends {sorted(want)}")


def backends(node, address, port):
    rows = json.loads(node.ctl("service", "show", "-o", "json"))
    found = [row for row in rows if row["address"] == address and row["port"] == port]
    return set(found[0]["backends"]) if found else None


def answers(pods, address, tries=12):
    return {pods["client"].tcp(address, 80) for _ in range(tries)}


@pytest.fixture(autouse=True)
def gone(cluster):
    yield
    for name in ("service/web", "endpointslice/web-ipv4", "endpointslice/web-ipv6"):
        cluster["n1"].ctl("delete", "-n", "shop", name, check=False)
    # What the next test waits for may be what this one had.
    wait_for(lambda: not {VIP4, VIP6} & {row["address"] for row in shown(cluster["n1"])}, "the service is gone")


@pytest.mark.parametrize("address", [VIP4, VIP6])
@pytest.mark.parametrize("backend", ["near", "far", "third"])
def test_one_backend(cluster, pods, backend, address):
    serve(cluster, pods, backend)
    assert pods["client"].tcp(address, 80) == backend


@pytest.mark.parametrize("address", [VIP4, VIP6])
def test_all_are_reached(cluster, pods, address):
    serve(cluster, pods, "near", "far", "third")
    seen = set()
    wait_for(lambda: seen.update(answers(pods, address)) or seen == {"near", "far", "third"}, "all three backends")


def test_self(cluster, pods):
    """A pod behind its own service reaches itself."""
    serve(cluster, pods, "client")
    assert pods["client"].tcp(VIP4, 80) == "client"
    assert pods["client"].tcp(VIP6, 80) == "client"


def test_affinity(cluster, pods):
    serve(cluster, pods, "near", "far", "third", spec="sessionAffinity: ClientIP")
    assert len(answers(pods, VIP4)) == 1


def test_a_change_moves_the_next_connection(cluster, pods):
    serve(cluster, pods, "near")
    assert pods["client"].tcp(VIP4, 80) == "near"
    serve(cluster, pods, "far")
    assert pods["client"].tcp(VIP4, 80) == "far"


def shown(node):
    return sorted(json.loads(node.ctl("service", "show", "-o", "json")), key=lambda row: (row["address"], row["name"]))


def test_restart_keeps_numbers_and_slots(cluster, pods):
    serve(cluster, pods, "near", "far")
    node = cluster["n1"]
    before = shown(node)
    node.kill_agent()
    node.start_agent()
    assert shown(node) == before


def test_trace_names_the_backend(cluster, pods):
    serve(cluster, pods, "far")
    text = cluster["n1"].ctl("trace", "shop/client", VIP4, "--protocol", "tcp", "--port", "80")
    assert f"a service: backend {pods['far'].address()} port 8080" in text
