# SPDX-License-Identifier: Apache-2.0
"""Uplinks that are VLAN devices and bonds: two nodes whose pods talk natively, by IP-in-IP and by VXLAN over them, while
parents, slaves and devices of other names carry nothing of ours, and uplinks come and go."""
import ctypes
import socket
import struct

import pytest

import cluster as places
from cluster import wait_for
import wire_path  # noqa: F401
import bpf
import traffic

PROG_QUERY, TCX = 16, (46, 47)  # enum bpf_cmd; BPF_TCX_INGRESS, BPF_TCX_EGRESS
BOND = ("ip link add bond0 type bond mode active-backup miimon 20 && ip link set eth0 down && ip link set eth0 master bond0 && "
        "ip link set bond0 up")
# kind: what makes the device out of eth0, its name, the pattern, which devices have our programs, what a capture looks for
KINDS = {
    # the default pattern: the parent matches too, and has tagged frames of its VLAN devices pass
    "vlan": ("ip link add link eth0 name eth0.100 type vlan id 100", "eth0.100", None, {"eth0.100", "eth0"}, "vlan 100 and "),
    "bond": (BOND, "bond0", None, {"bond0"}, ""),
    "vlan-on-bond": (BOND + " && ip link add link bond0 name up.100 type vlan id 100", "up.100", "^up", {"up.100"},
                     "vlan 100 and "),
}
POOL = """---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: uplinks-{family}}}
spec: {{cidr: '{cidr}', ipipMode: {ipip}, vxlanMode: {vxlan}, natOutgoing: true}}
"""
FELIX = """---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: default}}
spec: {{bpfDataIfacePattern: '{pattern}'}}
"""


def attached(node, device):
    """Programs by TCX and filters of clsact on a device's two sides."""
    def ask():
        index, found = socket.if_nametoindex(device), 0
        for side in TCX:
            ids = ctypes.create_string_buffer(4 * 64)
            attr = ctypes.create_string_buffer(struct.pack("IIIIQI", index, side, 0, 0, ctypes.addressof(ids), 64), 128)
            if bpf.libc.syscall(bpf.NR_BPF, PROG_QUERY, attr, 128) == 0:
                found += struct.unpack_from("I", attr, 24)[0]
        return found

    count = traffic.in_place(node, ask)
    if count:
        return count
    for side in ("ingress", "egress"):
        count += node.run("tc", "filter", "show", "dev", device, side, check=False).count("direct-action")
    return count


def devices(node):
    return {row.split()[1].rstrip(":").split("@")[0] for row in node.run("ip", "-o", "link").splitlines()} - {"lo"}


def carriers(node):
    """Devices beside the pods' that have programs on both sides."""
    return {name for name in devices(node) if not name.startswith(("cali", "margay")) and attached(node, name) >= 2}


def second_port(cluster, node):
    """eth1, beside eth0 on the same bridge."""
    name = f"{node.name}b"
    cluster.router.sh(f"ip link add {name} type veth peer name eth1 netns {node.pid} && ip link set {name} master br0 up")


class Pair:
    """Nodes n1 and n2 whose addresses are on a device of this kind, with an agent and a pod each."""

    def __init__(self, kind):
        self.make, self.device, self.pattern, self.carry, self.filter = KINDS[kind]
        self.cluster = places.Cluster(nodes=("n1", "n2"))
        self.near, self.far = self.cluster["n1"], self.cluster["n2"]
        self.nodes = (self.near, self.far)
        try:
            for node in self.nodes:
                self.build(node)
            if self.pattern:
                self.near.apply(FELIX.format(pattern=self.pattern))
            self.cluster.start()
            self.mode("Never", "Never")
            self.pods = [node.pod(f"pod-{node.name}") for node in self.nodes]
        except BaseException:
            self.close()
            raise

    def build(self, node):
        """The addresses move from eth0 to the device."""
        second_port(self.cluster, node)
        node.sh(f"ip addr flush dev eth0 && {self.make} && ip link set eth0 up && ip link set {self.device} up")
        self.address(node)

    def address(self, node):
        number = node.name[1:]
        node.sh(f"ip addr add 10.10.0.{number}/24 dev {self.device} && ip -6 addr add fd10::{number}/64 dev {self.device} nodad && "
                "ip route replace default via 10.10.0.254 && ip -6 route replace default via fd10::254")

    def mode(self, ipip, vxlan):
        for family, cidr in ((4, "10.244.0.0/16"), (6, "fd00:244::/48")):
            self.near.apply(POOL.format(family=family, cidr=cidr, ipip=ipip, vxlan=vxlan))

    def stream(self, version):
        for source, sink in (self.pods, self.pods[::-1]):
            traffic.tcp(source, sink, sink.address(version), 4 * traffic.MEGABYTE)

    def close(self):
        self.cluster.close()


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    place = places.Place("probe", None, mounts=False)
    made = place.try_run("sh", "-c", "ip link add bond1 type bond && ip link add veth1 type veth && ip link add link veth1 name tag1 type vlan id 2")
    place.close()
    if made.returncode:
        pytest.skip(f"this kernel has no bonds and VLAN devices: {made.stderr.strip()}")
    made = Pair(request.param)
    yield made
    made.close()


def seen(pair, expression):
    """A capture of the underlay until a ping between the pods has shown what it looks for."""
    watch = pair.cluster.router.capture(pair.filter + expression, "n2")

    def pinged():
        pair.pods[0].ping(pair.pods[1].address())
        return watch.poll() is not None

    wait_for(pinged, f"on the wire: {pair.filter}{expression}")
    pair.cluster.router.captured(watch)


MODES = {"native": ("Never", "Never", "icmp"), "ipip": ("Always", "Never", "ip proto 4"),
         "vxlan": ("Never", "Always", "udp port 4789")}


@pytest.mark.parametrize("mode", MODES)
def test_carries(pair, mode):
    ipip, vxlan, expression = MODES[mode]
    pair.mode(ipip, vxlan)
    seen(pair, expression)
    bare = pair.cluster.router.capture(f"{pair.filter}host {pair.pods[0].address()}", "n2")
    for version in (4, 6):
        pair.stream(version)
    assert (bare.poll() is None) == (mode != "native"), "a pod's address outside of the tunnel"
    pair.cluster.router.captured(bare, timeout=0.1)


def test_node_and_remote_pod(pair):
    pair.mode("Always", "Never")
    seen(pair, "ip proto 4")
    for version in (4, 6):
        traffic.tcp(pair.near, pair.pods[1], pair.pods[1].address(version), traffic.MEGABYTE)


def test_nothing_on_others(pair):
    """Neither slaves nor parents nor what does not match."""
    pair.near.sh("ip link add other0 type dummy && ip link set other0 up")
    for node in pair.nodes:
        wait_for(lambda n=node: carriers(n) - {"eth1"} == pair.carry, lambda n=node: f"programs on {pair.carry}: {carriers(n)}")
    pair.near.run("ip", "link", "del", "other0")


def test_slaves_come_and_go(pair):
    """A free port that matches is an uplink, a bond's slave is none; the bond lives on the slave that is left."""
    if "bond0" not in devices(pair.near):
        pytest.skip("has no bond")
    free = {"eth1"} if not pair.pattern else set()
    node = pair.near
    node.run("ip", "link", "set", "eth1", "up")
    wait_for(lambda: carriers(node) == pair.carry | free, "the port that matches is an uplink")
    node.sh("ip link set eth1 down && ip link set eth1 master bond0")
    wait_for(lambda: carriers(node) == pair.carry, "a slave is none")
    pair.cluster.router.run("ip", "link", "set", "n1", "down")
    wait_for(lambda: pair.pods[0].ping(pair.pods[1].address()), "the other slave carries")
    pair.stream(4)
    pair.cluster.router.run("ip", "link", "set", "n1", "up")
    node.run("ip", "link", "set", "eth1", "nomaster")
    node.run("ip", "link", "set", "eth1", "up")
    wait_for(lambda: carriers(node) == pair.carry | free, "and a free port again")
    wait_for(lambda: pair.pods[0].ping(pair.pods[1].address()), "the first slave carries again")
    node.run("ip", "link", "set", "eth1", "down")
    wait_for(lambda: carriers(node) == pair.carry, "what is down is none")


def test_uplink_made_anew(pair):
    """The device goes, and comes again with another index: programs and routes come back."""
    node = pair.near
    old = node.run("cat", f"/sys/class/net/{pair.device}/ifindex")
    node.run("ip", "link", "del", pair.device)
    wait_for(lambda: carriers(node) == pair.carry - {pair.device}, "without it")  # (a bond that goes closes its slaves)
    node.sh(pair.make if pair.device == "bond0" else pair.make.split(" && ")[-1])
    node.sh(f"ip link set {pair.device} up")
    if pair.device == "bond0":
        node.run("ip", "link", "set", "eth0", "up")
    assert node.run("cat", f"/sys/class/net/{pair.device}/ifindex") != old
    pair.address(node)
    wait_for(lambda: carriers(node) == pair.carry, lambda: f"programs: {carriers(node)}\n{node.tail()}")
    for version in (4, 6):
        wait_for(lambda v=version: pair.pods[0].ping(pair.pods[1].address(v)), lambda: f"IPv{version} over it\n{node.tail()}")
        pair.stream(version)
