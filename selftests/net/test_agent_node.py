# SPDX-License-Identifier: Apache-2.0
"""The node among others while it runs: its addresses change, tunnel addresses come from IPAM and go back, the idle
VXLAN device stands while something needs it. docs/decisions/tunnel-addresses.md says who uses what."""
import json

import pytest

import cluster as places
from cluster import wait_for

DEVICE = "margay.vxlan"


@pytest.fixture
def cluster():
    with places.Cluster(nodes=("n1", "n2")) as made:
        yield made


def pool(name, cidr, **spec):
    return json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": name},
                       "spec": {"cidr": cidr, "natOutgoing": False, **spec}})


def spec(node, name=None):
    return json.loads(node.ctl("get", "node", name or node.name, "-o", "json"))["spec"]


def peers(node):
    """mg_peers' rows that are in use, as the addresses' texts."""
    rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_peers"))
    found = set()
    for row in rows:
        value = row["formatted"]["value"]["ip4"]["b"]
        if any(value):
            found.add(".".join(str(part) for part in value[12:]))
    return found


def allocated(node):
    """By handle, as `ipam check` has it, which finds nothing wrong once the agents have written what they gave."""
    def report():
        return json.loads(node.ctl("ipam", "check", "-o", "json"))

    found = wait_for(lambda: next((r for r in [report()] if not r["problems"]), None), lambda: report()["problems"])
    return {ip["handle"]: ip for ip in found["ips"]}


def test_another_address_is_taken_over(cluster):
    n1, n2 = cluster.start().nodes.values()
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/16", vxlanMode="Always"))
    pods = n1.pod("a"), n2.pod("b")
    wait_for(lambda: pods[1].ping(pods[0].address()), "an answer")
    n1.sh("ip addr add 10.10.0.77/24 dev eth0 && ip addr del 10.10.0.1/24 dev eth0 && "
          "ip addr add 10.10.0.77/24 dev eth0 2>/dev/null; ip route replace default via 10.10.0.254")
    wait_for(lambda: spec(n2, "n1")["bgp"]["ipv4Address"] == "10.10.0.77/24", lambda: f"the Node: {spec(n2, 'n1')}")
    wait_for(lambda: "10.10.0.77" in peers(n2), lambda: f"the other node's row: {peers(n2)}")
    wait_for(lambda: pods[1].ping(pods[0].address()) and pods[0].ping(pods[1].address()), "pods over the new address")
    assert n1.ready()


def test_an_address_that_comes_late(cluster):
    n1, n2 = cluster.nodes.values()
    n1.run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
    cluster.start()
    assert "ipv6Address" not in spec(n1)["bgp"]
    n1.sh("ip -6 addr add fd10::1/64 dev eth0 nodad")
    wait_for(lambda: spec(n2, "n1")["bgp"].get("ipv6Address") == "fd10::1/64", lambda: f"the Node: {spec(n2, 'n1')}")
    n1.run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
    n1.sh("ip link add dummy7 type bridge && ip link set dummy7 up && ip addr add 10.99.0.1/24 dev dummy7")
    n1.sh("ip link add first0 index 2000 type bridge && ip link set first0 up && ip addr add 10.98.0.1/24 dev first0")
    n1.sh("ip -6 addr add fd10::9/64 dev eth0 nodad")
    wait_for(lambda: spec(n1)["bgp"].get("ipv6Address") == "fd10::9/64", "the last change")
    assert spec(n1)["bgp"]["ipv4Address"] == "10.10.0.1/24", "first-found is the first interface's, and no dummy's"


def test_what_went_without_another_stays(cluster):
    n1 = cluster.start()["n1"]
    n1.sh("ip -6 addr del fd10::1/64 dev eth0 && ip addr add 10.10.0.9/24 dev eth0 && ip addr del 10.10.0.1/24 dev eth0")
    n1.sh("ip addr add 10.10.0.9/24 dev eth0 2>/dev/null; true")
    wait_for(lambda: spec(n1)["bgp"]["ipv4Address"] == "10.10.0.9/24", "the other family's change")
    assert spec(n1)["bgp"]["ipv6Address"] == "fd10::1/64", "a link may only flap"


def test_given_addresses_stay(cluster):
    n1 = cluster["n1"]
    n1.start_agent("--ipv4", "10.10.0.1/24", "--ipv6", "none")
    n1.sh("ip addr flush dev eth0 scope global && ip addr add 10.10.0.50/24 dev eth0 && ip addr add 10.10.0.1/24 dev eth0")
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/16"))
    wait_for(lambda: "10.244" in n1.ctl("get", "ippools", "-o", "wide"), "something later")
    pod = n1.pod("a")
    assert spec(n1)["bgp"] == {"ipv4Address": "10.10.0.1/24"} and pod.ping("10.10.0.1")


def test_ways_to_find_an_address(cluster):
    """By option, environment and file, in this order; what is found follows links, addresses and ways to others."""
    n1 = cluster["n1"]
    n1.sh("ip link add other0 type bridge && ip link set other0 up && ip addr add 10.99.0.1/24 dev other0")
    n1.sh("mkdir -p /etc/margay && echo 'ipv4Method: cidr=10.99.0.0/16' >/etc/margay/agent.yaml && echo 'ipv6: none' >>/etc/margay/agent.yaml")
    n1.start_agent()
    assert spec(n1)["bgp"] == {"ipv4Address": "10.99.0.1/24"}, "the file"
    assert "10.99.0.1/24 of other0, by cidr=10.99.0.0/16" in n1.ctl("node", "plan")
    n1.kill_agent()
    n1.start_agent("--ipv4-method", "can-reach=10.20.0.3", "--ipv6", "autodetect", env={"IP_AUTODETECTION_METHOD": "skip-interface=eth.*,other.*"})
    assert spec(n1)["bgp"] == {"ipv4Address": "10.10.0.1/24", "ipv6Address": "fd10::1/64"}, "the option"
    n1.sh("ip route add 10.20.0.3/32 via 10.99.0.254")
    wait_for(lambda: spec(n1)["bgp"]["ipv4Address"] == "10.99.0.1/24", lambda: f"another way to it: {spec(n1)}")
    n1.kill_agent()
    n1.start_agent(env={"IP_AUTODETECTION_METHOD": "interface=other", "FELIX_HEALTHPORT": "9098", "FELIX_VXLANPORT": "x"}, wait=False)
    wait_for(lambda: n1.try_run("curl", "-fsS", "-m", "5", "http://127.0.0.1:9098/readyz").returncode == 0, "ready at Felix's variable's port", 60)
    assert spec(n1)["bgp"]["ipv4Address"] == "10.99.0.1/24"
    assert "vxlanPort" in n1.ctl("status"), "the variable that is none is named"
    n1.sh("ip addr add 10.99.0.2/24 dev other0 && ip addr del 10.99.0.1/24 dev other0 && ip addr add 10.99.0.2/24 dev other0 2>/dev/null; true")
    wait_for(lambda: spec(n1)["bgp"]["ipv4Address"] == "10.99.0.2/24", lambda: f"another address: {spec(n1)}")
    n1.kill_agent()
    for method, words in (("cidr=203.0.113.0/24", "no address found"), ("whatever", "no way to find an address"),
                          ("kubernetes-internal-ip", "no cluster's")):
        n1.start_agent("--ipv4-method", method, wait=False)
        assert n1.agent.wait(timeout=60) in (69, 78) and words in n1.tail(3), n1.tail(3)


def test_tunnel_addresses_come_and_go(cluster):
    n1, n2 = cluster.start().nodes.values()
    n1.ctl("apply", "-f", "-", stdin=pool("plain", "10.243.0.0/24"))
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", blockSize=28, ipipMode="Always"))
    address = wait_for(lambda: spec(n2, "n1")["bgp"].get("ipv4IPIPTunnelAddr"), "an IP-in-IP address")
    assert address.startswith("10.244.0."), "from a pool that has the tunnel"
    wait_for(lambda: spec(n1, "n2")["bgp"].get("ipv4IPIPTunnelAddr", address) != address, "the other node has its own")
    wait_for(lambda: "ipip-tunnel-addr-n1" in allocated(n1), "the handle in the block")
    mine = allocated(n1)["ipip-tunnel-addr-n1"]
    assert (mine["ip"], mine["type"], mine["node"]) == (address, "ipipTunnelAddress", "n1")
    shown = n1.ctl("ipam", "show", "--ip", address)
    assert "in use" in shown and "ipip-tunnel-addr-n1" in shown
    assert "ipv4VXLANTunnelAddr" not in spec(n1)

    # A restart, and its garbage collection, keep it.
    n1.kill_agent()
    n1.start_agent()
    pod = n1.pod("a")
    assert spec(n1)["bgp"]["ipv4IPIPTunnelAddr"] == address != pod.address()
    assert allocated(n1)["ipip-tunnel-addr-n1"]["ip"] == address

    # VXLAN of both families, while the pool goes on with IP-in-IP.
    n1.ctl("apply", "-f", "-", stdin=pool("more", "10.245.0.0/24", vxlanMode="CrossSubnet"))
    n1.ctl("apply", "-f", "-", stdin=pool("six", "fd00:7::/112", vxlanMode="Always"))
    wait_for(lambda: spec(n2, "n1").get("ipv4VXLANTunnelAddr", "").startswith("10.245.0."), lambda: spec(n2, "n1"))
    wait_for(lambda: spec(n2, "n1").get("ipv6VXLANTunnelAddr", "").startswith("fd00:7::"), lambda: spec(n2, "n1"))
    wait_for(lambda: "vxlanTunnelMACAddr" in spec(n2), lambda: f"the other node's own: {spec(n2)}")
    assert spec(n1)["vxlanTunnelMACAddr"] == spec(n2, "n1")["vxlanTunnelMACAddr"] != spec(n2)["vxlanTunnelMACAddr"]
    wait_for(lambda: {"vxlan-tunnel-addr-n1", "vxlan-v6-tunnel-addr-n1"} <= set(allocated(n1)), "their handles")

    # No pool wants them any more.
    n1.ctl("delete", "ippool", "more")
    n1.ctl("delete", "ippool", "six")
    wait_for(lambda: not {"ipv4VXLANTunnelAddr", "ipv6VXLANTunnelAddr"} & set(spec(n2, "n1")), lambda: spec(n2, "n1"))
    wait_for(lambda: not [h for h in handles(n1) if h.startswith("vxlan")], lambda: f"their release: {handles(n1)}")
    assert spec(n1)["bgp"]["ipv4IPIPTunnelAddr"] == address
    pod.delete()


def handles(node):
    return [h["metadata"]["name"] for h in json.loads(node.ctl("get", "ipamhandles", "-o", "json"))["items"]]


def test_a_pool_for_pods_only_gives_none(cluster):
    n1 = cluster.start()["n1"]
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", vxlanMode="Always", allowedUses=["Workload"]))
    n1.ctl("apply", "-f", "-", stdin=pool("tunnels", "10.245.0.0/24", vxlanMode="Always", allowedUses=["Tunnel"]))
    wait_for(lambda: spec(n1).get("ipv4VXLANTunnelAddr", "").startswith("10.245.0."), lambda: spec(n1))
    n1.ctl("patch", "ippool", "tunnels", "-p", '{"spec": {"disabled": true}}')
    wait_for(lambda: "ipv4VXLANTunnelAddr" not in spec(n1), lambda: spec(n1))
    assert n1.pod("a").address().startswith("10.244.0.")


def has_device(node):
    return DEVICE in node.run("ip", "-o", "link", "show")


def test_the_idle_device_goes_and_comes(cluster):
    """A minute after the last pool's switch (docs/decisions/encapsulation-switch.md); at once where nothing was
    switched."""
    n1 = cluster.start()["n1"]
    assert not has_device(n1)
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", vxlanMode="Always"))
    wait_for(lambda: has_device(n1), "the device")
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", ipipMode="Always", vxlanMode="Never"))
    wait_for(lambda: "switched" in n1.tail(200), "the switch")
    assert has_device(n1), "others may still send"
    assert spec(n1).get("ipv4VXLANTunnelAddr"), "and may still have it for a VTEP"
    wait_for(lambda: not has_device(n1), "it goes", 75)
    wait_for(lambda: "ipv4VXLANTunnelAddr" not in spec(n1), "the address goes too")
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", vxlanMode="Always"))
    wait_for(lambda: has_device(n1), "it comes back")
    n1.kill_agent()
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", vxlanMode="Never"))
    n1.start_agent()
    wait_for(lambda: not has_device(n1), "what a former agent left")
    n1.ctl("apply", "-f", "-", stdin=pool("pods", "10.244.0.0/24", vxlanMode="Always"))
    wait_for(lambda: has_device(n1), "it comes back again")
    n1.kill_agent()  # and with it the minute after that switch
    n1.start_agent()
    assert has_device(n1)
    n1.ctl("delete", "ippool", "pods")
    wait_for(lambda: not has_device(n1), "a pool that was deleted")
