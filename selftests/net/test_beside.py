# SPDX-License-Identifier: Apache-2.0
"""Beside others on the host: their netfilter rules and reverse path filters; what natOutgoing promises to
the letter; several uplinks; pods with a limited bandwidth, on one node and across."""
import copy
import ipaddress
import json
import time

import pytest

from cluster import SERVER_WAIT, Place, Pod, wait_for

OUTSIDE = {4: "192.0.2.1", 6: "2001:db8::1"}
OWN = {4: "10.10.0.1", 6: "fd10::1"}
PEER = "SYSTEM:echo $SOCAT_PEERADDR $SOCAT_PEERPORT"
FAMILIES = pytest.mark.parametrize("family", [4, 6])
MBIT = 1000 * 1000
LIMIT = 8 * MBIT
BYTES = 1000 * 1000  # one second at the limit


@pytest.fixture(scope="module")
def pods(cluster):
    made = {"near": cluster["n1"].pod("near", "beside"), "side": cluster["n1"].pod("side", "beside"),
            "far": cluster["n3"].pod("far", "beside"), "next": cluster["n2"].pod("next", "beside")}
    for place in (*made.values(), cluster.outside, *cluster.nodes.values()):
        tell_peers(place)
    for name in ("side", "next", "far"):
        wait_for(lambda n=name: peer_seen(made["near"], made[n].address()), f"near reaches {name}")
    return made


def tell_peers(place, port=7777):
    """A server in the place that tells each client its address and port, in both families."""
    place.start("socat", f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", PEER)
    wait_for(lambda: f":{port} " in place.run("ss", "-Hltn"), f"{place.name} listens")


def peer_seen(source, target, port=7777):
    """(address, port) as which target saw source; None: no connection."""
    host = f"[{target}]" if ":" in target else target
    done = source.try_run("socat", "-T", SERVER_WAIT, "-u", f"TCP:{host}:{port},connect-timeout=1", "-")
    if done.returncode or not done.stdout.strip():
        return None
    address, number = done.stdout.split()
    address = address.strip("[]").lower()
    if address.startswith("0000:0000:0000:0000:0000:ffff:"):  # how socat writes a v4-mapped one
        high, low = (int(part, 16) for part in address.split(":")[-2:])
        address = f"{high >> 8}.{high & 255}.{low >> 8}.{low & 255}"
    return address, int(number)


def seen_as(source, target, address):
    seen = peer_seen(source, target)
    return seen is not None and ipaddress.ip_address(seen[0]) == ipaddress.ip_address(address)


# --- rules of others -----------------------------------------------------------------------------

@pytest.fixture
def firewall(cluster):
    """Every node forwards nothing, masquerades everything and filters by reverse path."""
    def each(word, policy):
        for node in cluster.nodes.values():
            for tool in ("iptables", "ip6tables"):
                node.run(tool, "-P", "FORWARD", policy)
                node.run(tool, "-t", "nat", word, "POSTROUTING", "-j", "MASQUERADE")
            node.sh(f"for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {int(word == '-A')} > $f; done")

    each("-A", "DROP")
    yield
    each("-D", "ACCEPT")


@FAMILIES
def test_rules_of_others_change_nothing(cluster, pods, firewall, family):
    near = pods["near"]
    for target in ("side", "next", "far"):
        assert seen_as(near, pods[target].address(family), near.address(family)), target
        assert seen_as(pods[target], near.address(family), pods[target].address(family)), target
    assert seen_as(near, OUTSIDE[family], OWN[family])
    for target in ("near", "next", "far"):
        assert peer_seen(cluster["n1"], pods[target].address(family)), f"n1 to {target}"
    assert peer_seen(cluster["n3"], near.address(family)), "n3 to near"


# --- source translation to the letter ------------------------------------------------------------

@pytest.fixture
def felix(cluster):
    def apply(spec):
        cluster["n1"].apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration",
                                        "metadata": {"name": "default"}, "spec": spec}))

    yield apply
    apply({})


@FAMILIES
def test_the_outside_sees_the_address_of_the_way_out(pods, family):
    assert seen_as(pods["near"], OUTSIDE[family], OWN[family])


def test_a_given_address_and_range(cluster, pods, felix):
    cluster["n1"].run("ip", "addr", "add", "10.10.0.77/32", "dev", "eth0")
    felix({"natOutgoingAddress": "10.10.0.77", "natPortRange": "20000:20010"})
    wait_for(lambda: seen_as(pods["near"], OUTSIDE[4], "10.10.0.77"), "the given address")
    ports = {peer_seen(pods["near"], OUTSIDE[4])[1] for _ in range(5)}
    assert ports <= set(range(20000, 20011))
    felix({})
    wait_for(lambda: seen_as(pods["near"], OUTSIDE[4], OWN[4]), "the node's address again")
    cluster["n1"].run("ip", "addr", "del", "10.10.0.77/32", "dev", "eth0")


def test_nodes_are_the_outside_unless_excluded(pods, felix):
    assert seen_as(pods["near"], "10.10.0.2", OWN[4])
    felix({"natOutgoingExclusions": "IPPoolsAndHostIPs"})
    wait_for(lambda: seen_as(pods["near"], "10.10.0.2", pods["near"].address()), "the pod's own address")


def test_a_destination_in_a_pool_is_not_translated(cluster, pods):
    """Not in a disabled one either: that is how people except a net. It leaves as it is, an enabled pool's
    unowned address does not leave at all. (Here the router drops what carries a pod's address.)"""
    near = pods["near"]

    def pool(disabled):
        cluster["n1"].apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "IPPool",
                                        "metadata": {"name": "around-outside"},
                                        "spec": {"cidr": "192.0.2.0/26", "disabled": disabled}}))

    def unreachable():
        rows = json.loads(cluster["n1"].ctl("drops", "show", "-o", "json"))
        return sum(row["packets"] for row in rows if (row["hook"], row["reason"]) == ("from_pod", "no-route"))

    assert seen_as(near, OUTSIDE[4], OWN[4])
    try:
        pool(True)
        wait_for(lambda: peer_seen(near, OUTSIDE[4]) is None, "no translation into a disabled pool")
        wire = cluster.router.capture(f"src {near.address()} and dst {OUTSIDE[4]}", "n1")
        assert peer_seen(near, OUTSIDE[4]) is None
        assert near.address() in cluster.router.captured(wire)
        before = unreachable()
        pool(False)
        wait_for(lambda: peer_seen(near, OUTSIDE[4]) is None and unreachable() > before, "no way into an enabled pool")
    finally:
        cluster["n1"].ctl("delete", "ippool", "around-outside")
    wait_for(lambda: seen_as(near, OUTSIDE[4], OWN[4]), "the outside again")


def test_several_uplinks_come_and_go(cluster, pods):
    """Behind each the pods appear with that uplink's address; the loss of one leaves the other alone."""
    node, near = cluster["n1"], pods["near"]
    second = cluster._place(Place("second", cluster))
    node.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", second.pid)
    node.sh("ip addr add 198.51.100.2/24 dev eth1 && ip link set eth1 up")
    second.sh("ip addr add 198.51.100.1/24 dev eth0 && ip link set eth0 up")
    tell_peers(second)
    wait_for(lambda: seen_as(near, "198.51.100.1", "198.51.100.2"), "the second uplink's address")
    assert seen_as(near, OUTSIDE[4], OWN[4])
    node.run("ip", "link", "del", "eth1")
    wait_for(lambda: "eth1" not in node.run("bpftool", "net", "show"), "the uplink is forgotten")
    assert seen_as(near, OUTSIDE[4], OWN[4])
    assert seen_as(near, pods["far"].address(), near.address())
    second.close()
    cluster.places.remove(second)


# --- bandwidth -----------------------------------------------------------------------------------

def seconds(source, target, port=7778):
    """How long BYTES take from source to target."""
    listener = target.start("socat", "-u", f"TCP4-LISTEN:{port},reuseaddr", "OPEN:/dev/null")
    wait_for(lambda: f":{port} " in target.run("ss", "-Hltn"), "the receiver listens")
    begin = time.monotonic()
    source.sh(f"head -c {BYTES} /dev/zero | socat -u - TCP4:{target.address()}:{port}")
    wait_for(lambda: listener.poll() is not None, "all has arrived")
    return time.monotonic() - begin


@pytest.mark.parametrize("other", ["side", "far"])
@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_a_limited_pod(cluster, pods, way, other):
    """Whatever comes to it (or leaves it) is limited, from its own node and from others; the other way is free."""
    config = copy.deepcopy(cluster.network)
    config["plugins"][0]["runtimeConfig"] = {"bandwidth": {f"{way}Rate": LIMIT, f"{way}Burst": 64 * 8 * 1024}}
    pod = Pod(cluster["n1"], f"limited-{way}-{other}", "beside")
    cluster["n1"].pods.append(pod)
    pod.add(config=config)
    wait_for(lambda: pod.ping(pods[other].address()) and pods[other].ping(pod.address()), "both know the other")
    limited, free = (pods[other], pod), (pod, pods[other])
    if way == "egress":
        limited, free = free, limited
    # 64 KiB of burst pass at once, and headers count
    least = 0.85 * (BYTES * 8 - 64 * 8 * 1024) / LIMIT
    assert seconds(*limited) > least
    # A busy machine may be slow at times; a limit would be so each time.
    assert any(seconds(*free) < least / 2 for _ in range(10))
    cluster["n1"].cni("DEL", pod, config=config)
    cluster["n1"].pods.remove(pod)
    pod.close()

