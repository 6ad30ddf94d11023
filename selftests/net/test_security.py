# SPDX-License-Identifier: Apache-2.0
"""What SECURITY.md says that nobody can: hostile pods, strangers on the underlay, unprivileged users.

Frames are built by scapy here and leave through packet sockets inside the namespaces. Nothing arrived
means: every frame that a receiver saw until a harmless one, sent afterwards, came through.
"""
import ctypes
import json
import os
import select
import socket
import time

import pytest
from scapy.all import (BOOTP, DHCP, ICMP, IP, UDP, VXLAN, Ether, ICMPv6ND_RA, ICMPv6ND_Redirect, IPv6, Raw)

from cluster import wait_for

CLONE_NEWNET = 0x40000000
ALL_PACKETS = 3
HOST_SIDE = "ee:ee:ee:ee:ee:ee"
STRANGER = "10.10.0.99"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
libc = ctypes.CDLL(None, use_errno=True)

VXLAN_POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: security-vxlan}
spec: {cidr: 10.245.0.0/16, vxlanMode: Always}
"""


def packet_socket(place, device="eth0", protocol=ALL_PACKETS):
    """A packet socket that lives in the place; 0 as protocol: for sending only."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{place.pid}/ns/net", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((device, protocol))
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)
        os.close(there)
    return made


def send(place, frame, device="eth0"):
    with packet_socket(place, device, 0) as wire:
        wire.send(bytes(frame))


def mac(place, device="eth0"):
    return json.loads(place.run("ip", "-j", "link", "show", device))[0]["address"]


class Ears:
    """Packet sockets at several places; after a harmless packet to each, what they heard is complete."""

    def __init__(self, *places):
        self.ears = [packet_socket(place, device) for place, device in places]

    def heard_before(self, tag, speak):
        """Calls speak() until every ear has heard the tag; returns all that was heard."""
        heard, silent, end = [], set(self.ears), time.monotonic() + 30
        while silent:
            assert time.monotonic() < end, "the harmless packet did not arrive"
            speak()
            for ear in select.select(list(silent), [], [], 0.2)[0]:
                heard.append(ear.recv(65536))
                if tag in heard[-1]:
                    silent.discard(ear)
        return heard

    def close(self):
        for ear in self.ears:
            ear.close()


@pytest.fixture(scope="module")
def pods(cluster):
    cluster["n1"].apply(VXLAN_POOL)
    made = {"sender": cluster["n1"].pod("frontend", "shop"), "near": cluster["n1"].pod("backend", "shop"),
            "far": cluster["n2"].pod("batch", "shop")}
    for name in ("near", "far"):
        for family in (4, 6):
            wait_for(lambda n=name, f=family: made["sender"].ping(made[n].address(f)), f"sender reaches {name}")
    return made


def drops(node, hook, reason):
    rows = json.loads(node.ctl("drops", "show", "-o", "json"))
    return sum(row["packets"] for row in rows if row["hook"] == hook and row["reason"] == reason)


def udp(source, target, tag):
    kind = IPv6 if ":" in target else IP
    return kind(src=source, dst=target) / UDP(sport=40000, dport=40001) / Raw(tag)


def frame_of(pod, packet):
    return Ether(src=mac(pod), dst=HOST_SIDE) / packet


def assert_lost(cluster, pods, say, hook, reason):
    """say(tag) sends a hostile packet with the tag in it: it is counted on n1 and heard nowhere."""
    bad, good = b"hostile-" + os.urandom(8).hex().encode(), b"harmless-" + os.urandom(8).hex().encode()
    before = drops(cluster["n1"], hook, reason)
    ears = Ears((pods["near"], "eth0"), (pods["far"], "eth0"), (cluster.router, "n1"))
    try:
        say(bad)

        def speak():
            for name in ("near", "far"):
                own, address = pods["sender"].address(), pods[name].address()
                send(pods["sender"], frame_of(pods["sender"], udp(own, address, good)))

        heard = ears.heard_before(good, speak)
    finally:
        ears.close()
    assert drops(cluster["n1"], hook, reason) == before + 1
    return [frame for frame in heard if bad in frame]


# --- a hostile pod ----------------------------------------------------------------------------

@pytest.mark.parametrize("target", ["near", "far", "outside"])
@pytest.mark.parametrize("family", [4, 6])
def test_pod_cannot_send_with_anothers_address(cluster, pods, family, target):
    """Another pod's, and one of nobody."""
    address = {4: "192.0.2.1", 6: "2001:db8::1"}[family] if target == "outside" else pods[target].address(family)
    for source in (pods["near" if target != "near" else "far"].address(family),
                   "10.244.250.250" if family == 4 else "fd00:244::fefe"):
        assert not assert_lost(cluster, pods, lambda tag, s=source: send(
            pods["sender"], frame_of(pods["sender"], udp(s, address, tag))), "from_pod", "spoofed-source")


@pytest.mark.parametrize("kind", ["ipip", "ip6ip", "vxlan"])
def test_pod_cannot_send_encapsulated_packets(cluster, pods, kind):
    own, target = pods["sender"].address(), pods["far"].address()

    def say(tag):
        inner = udp(own, target, tag)
        outer = IP(src=own, dst="10.10.0.2")
        packet = {"ipip": lambda: outer / inner,
                  "ip6ip": lambda: outer / udp(pods["sender"].address(6), pods["far"].address(6), tag),
                  "vxlan": lambda: outer / UDP(sport=50000, dport=4789) / VXLAN(vni=4096, flags=8) / Ether() / inner}
        send(pods["sender"], frame_of(pods["sender"], packet[kind]()))

    assert not assert_lost(cluster, pods, say, "from_pod", "pod-encapsulation")


@pytest.mark.parametrize("kind", ["router-advertisement", "redirect6", "redirect4", "dhcp-answer"])
def test_pod_cannot_speak_as_a_router_or_server(cluster, pods, kind):
    sender, near = pods["sender"], pods["near"]

    def say(tag):
        link = IPv6(src="fe80::1234", dst="ff02::1", hlim=255)
        packet = {
            "router-advertisement": lambda: link / ICMPv6ND_RA() / Raw(tag),
            "redirect6": lambda: IPv6(src="fe80::1234", dst=near.address(6), hlim=255) / ICMPv6ND_Redirect() / Raw(tag),
            "redirect4": lambda: IP(src=sender.address(), dst=near.address()) / ICMP(type=5, code=1) / udp(
                near.address(), sender.address(), tag),
            "dhcp-answer": lambda: IP(src=sender.address(), dst=near.address()) / UDP(sport=67, dport=68) / BOOTP(
                op=2) / DHCP(options=[("message-type", "offer"), "end"]) / Raw(tag)}
        send(sender, frame_of(sender, packet[kind]()))

    assert not assert_lost(cluster, pods, say, "from_pod", "pod-control")


# --- a stranger on the underlay ---------------------------------------------------------------

def underlay(cluster, packet):
    """A frame that reaches n1's uplink; sent out of the bridge's port, so not heard there as coming from n1."""
    send(cluster.router, Ether(src="02:00:00:00:00:99", dst=mac(cluster["n1"])) / packet, "n1")


def assert_not_delivered(cluster, pods, packet, reason):
    """No pod hears it; the port it was sent out of does."""
    heard = assert_lost(cluster, pods, lambda tag: underlay(cluster, packet(tag)), "from_netdev", reason)
    assert all(frame[:6] != bytes.fromhex(mac(pods["near"]).replace(":", "")) for frame in heard)


@pytest.mark.parametrize("kind", ["ipip", "vxlan"])
@pytest.mark.parametrize("outer", [STRANGER, "192.0.2.77"])
def test_stranger_cannot_inject_by_a_tunnel(cluster, pods, kind, outer):
    def packet(tag):
        inner = udp(pods["far"].address(), pods["near"].address(), tag)
        if kind == "ipip":
            return IP(src=outer, dst="10.10.0.1") / inner
        return IP(src=outer, dst="10.10.0.1") / UDP(sport=50000, dport=4789) / VXLAN(vni=4096, flags=8) / Ether() / inner

    assert_not_delivered(cluster, pods, packet, "foreign-tunnel")


def test_node_cannot_speak_for_pods_of_another(cluster, pods):
    """n3's tunnel, a pod of n2 inside; and n1's own pod inside."""
    assert_not_delivered(cluster, pods, lambda tag: IP(src="10.20.0.3", dst="10.10.0.1") / udp(
        pods["far"].address(), pods["near"].address(), tag), "tunnel-spoofed")
    assert_not_delivered(cluster, pods, lambda tag: IP(src="10.20.0.3", dst="10.10.0.1") / udp(
        pods["sender"].address(), pods["near"].address(), tag), "local-address-claimed")


@pytest.mark.parametrize("family", [4, 6])
def test_stranger_cannot_claim_a_local_pods_address(cluster, pods, family):
    assert_not_delivered(cluster, pods, lambda tag: udp(
        pods["sender"].address(family), pods["near"].address(family), tag), "local-address-claimed")


# --- an unprivileged user of the host ---------------------------------------------------------

def test_user_cannot_connect_to_the_sockets(cluster):
    node = cluster["n1"]
    sockets = node.sh("find /run/margay -type s").split()
    assert sockets
    for path in sockets:
        assert node.try_run("socat", "-u", "/dev/null", f"UNIX-CONNECT:{path}").returncode == 0
        done = node.try_run(*NOBODY, "socat", "-u", "/dev/null", f"UNIX-CONNECT:{path}")
        assert done.returncode != 0 and "Permission denied" in done.stderr


def test_user_cannot_read_state(cluster, pods):
    node = cluster["n1"]
    pins = node.sh("find /sys/fs/bpf -mindepth 1 -maxdepth 1 -type d").split()
    assert pins
    for path in ["/var/lib/margay/store", "/run/margay", *pins]:
        assert node.try_run("ls", path).returncode == 0
        done = node.try_run(*NOBODY, "ls", path)
        assert done.returncode != 0 and "Permission denied" in done.stderr, path
    loose = node.sh("find /var/lib/margay /run/margay /etc/margay ! -type l -perm /077 ! -path /var/lib/margay "
                    "! -path /etc/margay").split()
    assert not loose


def test_user_cannot_look_at_programs_and_maps(cluster):
    for kind in ("map", "prog"):
        done = cluster["n1"].try_run(*NOBODY, "bpftool", kind, "show")
        assert done.returncode != 0 and not done.stdout.strip()
