# SPDX-License-Identifier: Apache-2.0
"""Pods on three nodes: same node, native within the subnet, IP-in-IP and VXLAN across the router, the outside."""
import pytest

from cluster import wait_for
import wire_path  # noqa: F401
import traffic

POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: default-ipv{family}-ippool}}
spec: {{cidr: '{cidr}', ipipMode: {ipip}, vxlanMode: {vxlan}, natOutgoing: true}}
"""
CIDR = {4: "10.244.0.0/16", 6: "fd00:244::/48"}
PAIRS = [("frontend", "backend"), ("frontend", "batch"), ("frontend", "reader"), ("reader", "batch")]


@pytest.fixture(scope="module")
def pods(cluster):
    made = {}
    for name, namespace, node in (("frontend", "shop", "n1"), ("backend", "shop", "n1"), ("batch", "shop", "n2"),
                                  ("reader", "blog", "n3")):
        made[name] = cluster[node].pod(name, namespace)
        made[name].serve_tcp(8080, name)
    return made


def set_pools(cluster, ipip, vxlan):
    for family in (4, 6):
        cluster["n1"].apply(POOL.format(family=family, cidr=CIDR[family], ipip=ipip, vxlan=vxlan))


def until_seen(source, target, wire):
    """Every ping is answered, the switch included; ends when the capture has its packet."""
    def seen():
        assert source.ping(target.address()), f"{source.name} to {target.name}: no answer"
        return wire.poll() is not None

    wait_for(seen, "the encapsulation on the wire")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("source,target", PAIRS)
def test_ping_and_tcp(pods, source, target, family):
    address = pods[target].address(family)
    wait_for(lambda: pods[source].ping(address), f"{source} reaches {target}")
    assert pods[source].tcp(address, 8080) == target


@pytest.mark.parametrize("mode,expression", [("ipip", "ip proto 4"), ("vxlan", "udp port 4789")])
def test_encapsulation_on_the_wire(cluster, pods, mode, expression):
    set_pools(cluster, "CrossSubnet" if mode == "ipip" else "Never", "CrossSubnet" if mode == "vxlan" else "Never")
    wire = cluster.router.capture(expression)
    until_seen(pods["frontend"], pods["reader"], wire)
    seen = cluster.router.captured(wire)
    assert "10.10.0.1" in seen and "10.20.0.3" in seen
    assert pods["frontend"].tcp(pods["reader"].address(), 8080) == "reader"


@pytest.mark.parametrize("mode", ["ipip", "vxlan"])
def test_always_encapsulates_within_the_subnet(cluster, pods, mode):
    set_pools(cluster, "Always" if mode == "ipip" else "Never", "Always" if mode == "vxlan" else "Never")
    wire = cluster.router.capture("ip proto 4" if mode == "ipip" else "udp port 4789", "n2")
    until_seen(pods["frontend"], pods["batch"], wire)
    assert "10.10.0.2" in cluster.router.captured(wire)
    set_pools(cluster, "CrossSubnet", "Never")


def test_outside_sees_the_node(cluster, pods):
    seen = cluster.outside.capture("icmp and icmp[0] == 8", "eth0")
    wait_for(lambda: pods["frontend"].ping("192.0.2.1"), "an answer from the outside")
    assert "10.10.0.1 > 192.0.2.1" in cluster.outside.captured(seen)


def test_host_reaches_pods_everywhere(cluster, pods):
    for name in ("frontend", "batch", "reader"):
        wait_for(lambda n=name: cluster["n1"].try_run("ping", "-n", "-c1", "-W1", pods[n].address()).returncode == 0,
                 f"n1 reaches {name}")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["ipip", "vxlan"])
def test_host_streams_to_a_remote_pod(cluster, pods, mode, family):
    """The route's MTU leaves room for the outer header of the family that is used: host sockets send what fits."""
    set_pools(cluster, "Always" if mode == "ipip" else "Never", "Always" if mode == "vxlan" else "Never")
    for name in ("batch", "reader"):
        route = pods[name].address(family)
        mtu = {("ipip", 4): 1480, ("ipip", 6): 1460, ("vxlan", 4): 1450, ("vxlan", 6): 1430}[mode, family]
        wait_for(lambda r=route, m=mtu: f"mtu {m}" in cluster["n1"].run("ip", "route", "get", r), f"MTU {mtu} to {name}")
        traffic.tcp(cluster["n1"], pods[name], route, traffic.MEGABYTE)
    set_pools(cluster, "CrossSubnet", "Never")


def test_pod_reaches_nodes_everywhere(cluster, pods):
    for address in ("10.10.0.1", "10.10.0.2", "10.20.0.3"):
        wait_for(lambda a=address: pods["frontend"].ping(a), f"frontend reaches {address}")


def test_routes_tell_where_pods_are(cluster, pods):
    table = cluster["n1"].run("ip", "route", "show", "proto", "80")
    assert "blackhole" in table and pods["frontend"].address() in table
    remote = pods["reader"].address().rsplit(".", 1)[0]
    assert any(row.startswith(remote) and "10.10.0.254" in row for row in table.split("\n"))
