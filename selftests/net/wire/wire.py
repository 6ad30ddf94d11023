# SPDX-License-Identifier: Apache-2.0
"""Margay's own programs on one side of a wire, the kernel's tunnel devices on the other.

Node a (namespace) has uplink ua with from_netdev and to_netdev and a pod in a namespace of its
own. Node b is a plain kernel. Nothing of it touches the machine's own network: namespaces with own
names, programs pinned in a bpffs that only this process's mount namespace sees.
"""
import ctypes
import fcntl
import functools
import itertools
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import threading
import time

import bpf
import traffic

CLONE_NEWNS = 0x20000
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
OBJECT = os.path.join(TOP, os.environ.get("BUILD", "build"), "bpf", "margay.bpf.o")
VALUES = {"mg_local": 160, "mg_peers": 104, "mg_uplinks": 48, "mg_ep": 72, "mg_commits": 24,
          "mg_slots": 176, "mg_pmtu": 16, "mg_control": 16400}


def run(command, check=True, **more):
    done = subprocess.run(command.split() if isinstance(command, str) else command, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=120 * traffic.PATIENCE, **more)
    if check and done.returncode:
        raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wait(what, condition, seconds=20):
    end = time.monotonic() + seconds * traffic.PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def reach(place, *addresses):
    """Waits until neighbours answer. A busy machine is late with carriers, and with a link-local address that is still
    tentative the kernel asks for no neighbour: after three seconds what waits for the answer is lost."""
    for address in addresses:
        wait(f"{place.name} reaches {address}",
             lambda to=address: " 0% packet loss" in place(f"ping -n -c1 -W1 {to}", check=False))


def release():
    """The running kernel's version as numbers."""
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


class Place:
    """A network namespace."""

    count = itertools.count()

    def __init__(self, name):
        self.name = f"mgw{os.getpid()}-{next(self.count)}{name}"
        run(f"ip netns add {self.name}")
        self.path = f"/run/netns/{self.name}"
        self.ip("link set lo up")
        # TCP sizes packets by the pace it sees (tcp_tso_autosize()), and a busy machine's is slow.
        self.sysctl("net.ipv4.tcp_min_tso_segs", 44)

    def __call__(self, command, **more):
        words = command.split() if isinstance(command, str) else command
        return run(["nsenter", f"--net={self.path}", *words], **more)

    def ip(self, words):
        return self(f"ip {words}")

    def start(self, words, **more):
        return subprocess.Popen(["nsenter", f"--net={self.path}", *words], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def link(self, device):
        return json.loads(self(f"ip -j -s link show dev {device}"))[0]

    def sysctl(self, name, value):
        self(f"sysctl -qw {name}={value}")

    def counter(self, name):
        rows = [line.split() for line in self("nstat -asz").split("\n")]
        return next(int(row[1]) for row in rows if row and row[0] == name)

    def close(self):
        run(f"ip netns del {self.name}", check=False)


class Programs:
    """The linked object, loaded and pinned where only this process and its children look."""

    def __init__(self):
        private_mounts()
        self.root = tempfile.mkdtemp(prefix="mgw")
        run(f"mount -t bpf bpf {self.root}")
        run(f"bpftool prog loadall {OBJECT} {self.root}/progs pinmaps {self.root}/maps")
        self.maps = {name: bpf.Map(f"{self.root}/maps/{name}", size)
                     for name, size in VALUES.items()}
        self.maps["mg_addrs"] = bpf.Map(f"{self.root}/maps/mg_addrs", 8, 16)
        self.maps["mg_nets"] = bpf.Map(f"{self.root}/maps/mg_nets", 8, 20)
        self.maps["mg_drops"] = bpf.Map(f"{self.root}/maps/mg_drops", 16, per_cpu=True)
        for table in ("mg_flow_t", "mg_flow_e"):
            self.maps[table] = bpf.Map(f"{self.root}/maps/{table}", 64, 40)
        self.put("mg_commits", 0, bytes(24))

    def put(self, name, key, value):
        self.maps[name].put(key, value)

    def attach(self, place, device, ingress=None, egress=None):
        place(f"tc qdisc replace dev {device} clsact")
        for side, name in (("ingress", ingress), ("egress", egress)):
            if name:
                place(f"tc filter replace dev {device} {side} pref 1 handle 1 bpf da "
                      f"object-pinned {self.root}/progs/{name}")

    def drops(self):
        """Counted drops as {(hook, reason number): packets}."""
        found = {}
        for hook, name in enumerate(bpf.HOOKS):
            for reason in range(1, 40):
                raw = self.maps["mg_drops"].get(hook * bpf.DROP_SLOTS + reason)
                count = sum(int.from_bytes(raw[i:i + 8], "little") for i in range(0, len(raw), 16))
                if count:
                    found[name, reason] = count
        return found

    def close(self):
        for table in self.maps.values():
            os.close(table.fd)
        run(f"umount {self.root}", check=False)
        shutil.rmtree(self.root, ignore_errors=True)


@functools.cache
def private_mounts():
    assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) == 0, "root is needed"
    run("mount --make-rprivate /")


class Node:
    """A namespace with the programs on its uplink and on a pod's veth; rows as the agent would
    write them. Node numbers and addresses are the same seen from everywhere."""

    def __init__(self, number, place, uplink, mtu=1500):
        self.number, self.place, self.uplink, self.mtu = number, place, uplink, mtu
        self.ip = (f"192.168.7.{number}", f"fd07::{number}")
        self.pod_ip = (f"10.65.{number}.2", f"fd65:{number}::2")
        self.vtep = f"66:00:00:00:00:0{number}"
        self.programs = Programs()
        self.pod = Place(f"p{number}")
        self.slots = 1
        for device in ("all", "default"):
            place.sysctl(f"net.ipv6.conf.{device}.forwarding", 1)
        place.sysctl("net.ipv4.ip_forward", 1)
        self.add_pod(self.pod, self.pod_ip)
        self.programs.attach(place, uplink, "from_netdev", "to_netdev")
        # the idle device: its socket opens what no program can, and switches GRO on
        place.ip("link add idle type vxlan external dstport 4789 udp6zerocsumrx")
        self.programs.attach(place, "idle", "from_tunnel")
        place.ip("link set idle up")

    def add_pod(self, pod, ips):
        slot, put = self.slots, self.programs.put
        self.slots += 1
        host = f"h{slot}"
        self.place.ip(f"link add {host} index {1000000 + slot} type veth "
                      f"peer name eth0 netns {pod.name}")
        self.programs.attach(self.place, host, "from_pod", "to_pod")
        for place, device in ((self.place, host), (pod, "eth0")):
            place.ip(f"link set {device} up mtu {self.mtu - 70}")
        macs = pod.link("eth0")["address"], self.place.link(host)["address"]
        for family, gateway, address in ((4, "169.254.1.1", ips[0]), (6, "fe80::1", ips[1])):
            bits, more = (32, "") if family == 4 else (128, "nodad")
            pod.ip(f"-{family} addr add {address}/{bits} dev eth0 {more}")
            pod.ip(f"-{family} route add {gateway} dev eth0")
            pod.ip(f"-{family} route add default via {gateway} dev eth0")
            pod.ip(f"-{family} neigh replace {gateway} dev eth0 nud permanent lladdr {macs[1]}")
            self.place.ip(f"-{family} route add {address} dev {host}")
            self.place.ip(f"-{family} neigh replace {address} dev {host} nud permanent "
                          f"lladdr {macs[0]}")
        put("mg_ep", slot, bpf.endpoint(slot, 1000000 + slot, *macs, *ips))
        put("mg_slots", slot, bpf.slot_sets(bpf.SET_ALLOW_ALL, bpf.SET_ALLOW_ALL))
        return slot

    def rows(self, pool, outer=None, flags=bpf.LOCAL_IPIP | bpf.LOCAL_VXLAN, uplink_flags=0, **more):
        """outer: the only family that the nodes have between them."""
        put, index = self.programs.put, self.place.link(self.uplink)["ifindex"]
        ours = self.family(self.ip, outer)
        put("mg_local", 0, bpf.local(*ours, flags=flags, vtep=self.vtep, node=self.number,
                                     idle=self.place.link("idle")["ifindex"], **more))
        put("mg_uplinks", bpf.struct.pack("I", index), bpf.uplink(*self.ip, flags=uplink_flags,
                                                              mtu=self.mtu))
        pool |= bpf.ADDR_POOL | bpf.ADDR_ANY_POOL | bpf.ADDR_NAT_OUT
        for family in (0, 1):
            put("mg_addrs", bpf.addr(self.ip[family]),
                bpf.ident(4, self.number, 0, bpf.ADDR_HOST | bpf.ADDR_LOCAL))
            put("mg_addrs", bpf.addr(self.pod_ip[family]),
                bpf.ident(6, self.number, 1, bpf.ADDR_POD | bpf.ADDR_LOCAL | pool))

    def knows(self, number, pool, outer=None, mtu=None, gateway=None):
        """The row of another node, its pod, and the kernel's route of its block."""
        put, index = self.programs.put, self.place.link(self.uplink)["ifindex"]
        theirs = (f"192.168.7.{number}", f"fd07::{number}")
        vtep = f"66:00:00:00:00:0{number}"
        way = bpf.way(index, mtu or self.mtu, gateway)
        put("mg_peers", number, bpf.peer(*self.family(theirs, outer), way, way, vtep=vtep,
                                         vtep6=vtep))
        pool |= bpf.ADDR_POOL | bpf.ADDR_ANY_POOL | bpf.ADDR_NAT_OUT
        for family, size, block in ((0, 4, f"10.65.{number}.0/24"), (1, 6, f"fd65:{number}::/64")):
            pod = (f"10.65.{number}.2", f"fd65:{number}::2")[family]
            put("mg_addrs", bpf.addr(theirs[family]), bpf.ident(5, number, 0, bpf.ADDR_HOST))
            put("mg_addrs", bpf.addr(pod), bpf.ident(7, number, 0, bpf.ADDR_POD | pool))
            self.place.ip(f"-{size} route replace {block} via {theirs[family]} dev {self.uplink} "
                          f"src {self.ip[family]} mtu {self.mtu - 70} proto 80")

    def learns_path(self, number, mtu):
        """What a router on the way to a node told a second ago, of both outer families; 0: nothing. Programs go by a coarse
        clock: of "now" they would not believe what is yet to come."""
        seen = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - 1000000000 >> 20 & 0xffffffff
        self.programs.put("mg_pmtu", number, struct.pack("4I", mtu, mtu, seen, seen))

    @staticmethod
    def family(addresses, outer):
        return tuple(address if outer in (None, size) else None
                     for address, size in zip(addresses, (4, 6)))

    def change(self):
        """What the agent does after rows changed: known flows look again."""
        control = self.programs.maps["mg_control"]
        row = bytearray(control.get(0))
        row[4:8] = (int.from_bytes(row[4:8], "little") + 1).to_bytes(4, "little")
        control.put(0, bytes(row))

    def close(self):
        self.pod.close()
        self.programs.close()


class Kernel:
    """The far end without us: the kernel's own tunnel device, a pod's addresses on it.

    Without GRO there: tunnel devices take packets by two queues (net/core/gro_cells.c: cloned ones
    past those that wait for GRO), which reorders a stream (docs/kernels.md).
    """

    def __init__(self, number, place, near):
        self.number, self.place, self.near = number, place, near
        self.ip = (f"192.168.7.{number}", f"fd07::{number}")
        self.pod_ip = (f"10.65.{number}.2", f"fd65:{number}::2")
        self.pod = place
        self.vtep = f"66:00:00:00:00:0{number}"

    def vxlan(self, outer):
        zero = "udp6zerocsumrx udp6zerocsumtx" if outer == 6 else ""
        side = 0 if outer == 4 else 1
        self.place.ip(f"link add far address {self.vtep} type vxlan id 4096 dstport 4789 "
                      f"local {self.ip[side]} remote {self.near.ip[side]} {zero}")
        self.place.ip("link set far up")
        self.place("ethtool -K far gro off")
        for address in (*self.near.ip, *self.near.pod_ip):
            self.place.ip(f"neigh replace {address} dev far nud permanent lladdr {self.near.vtep}")
        for family in (0, 1):
            self.address(family, "far")

    def ipip(self, outer):
        """One device carries one inner family (ipip, sit), or both (ip6tnl)."""
        side = 0 if outer == 4 else 1
        ends = f"local {self.ip[side]} remote {self.near.ip[side]}"
        kinds = ("ipip", "sit") if outer == 4 else ("ip6tnl",)
        for kind in kinds:
            more = "mode any encaplimit none" if kind == "ip6tnl" else ""
            self.place.ip(f"link add far-{kind} type {kind} {ends} {more}")
            self.place.ip(f"link set far-{kind} up")
            self.place(f"ethtool -K far-{kind} gro off")
        for family in (0, 1):
            self.address(family, f"far-{(kinds * 2)[family]}")

    def address(self, family, device):
        size, bits, more = ((4, 32, ""), (6, 128, "nodad"))[family]
        self.place.ip(f"addr add {self.pod_ip[family]}/{bits} dev {device} {more}")
        self.place.ip(f"-{size} route add {self.near.pod_ip[family]} dev {device} "
                      f"src {self.pod_ip[family]}")
        # a pod's answers to a node leave in the tunnel too
        self.place.ip(f"-{size} rule add from {self.pod_ip[family]} lookup 100")
        self.place.ip(f"-{size} route add default dev {device} table 100")

    def close(self):
        pass


class Wire:
    """Nodes 1 and 2 on one link."""

    uplink_flags = 0

    def __init__(self, mtu=1500):
        self.a, self.b = Place("a"), Place("b")
        self.mtu = mtu
        self.devices()
        for place, device, number in ((self.a, "ua", 1), (self.b, "ub", 2)):
            place.ip(f"addr add 192.168.7.{number}/24 dev {device}")
            place.ip(f"addr add fd07::{number}/64 dev {device} nodad")
            place.ip(f"link set {device} up")
        reach(self.a, "192.168.7.2", "fd07::2")
        self.near = Node(1, self.a, "ua", mtu)
        self.far = None

    def devices(self):
        self.a.ip(f"link add ua mtu {self.mtu} type veth "
                  f"peer name ub mtu {self.mtu} netns {self.b.name}")

    def margay(self, pool, outer=None):
        self.far = Node(2, self.b, "ub", self.mtu)
        self.tell(pool, outer)
        return self

    def kernel(self, pool, outer=None):
        self.far = Kernel(2, self.b, self.near)
        self.tell(pool, outer)
        return self.far

    def tell(self, pool, outer=None):
        for node, other in ((self.near, 2), (self.far, 1)):
            if isinstance(node, Node):
                node.rows(pool, outer, uplink_flags=self.uplink_flags)
                node.knows(other, pool, outer)

    def close(self):
        for thing in (self.near, self.far, self.a, self.b):
            if thing:
                thing.close()


class TunWire(Wire):
    """The link has no Ethernet: two tun devices, and a thread that is the cable."""

    uplink_flags = bpf.UPLINK_L3
    TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000

    def devices(self):
        self.ends = [traffic.in_place(place, lambda name=name: self.tun(name))
                     for place, name in ((self.a, "ua"), (self.b, "ub"))]
        for place, name in ((self.a, "ua"), (self.b, "ub")):
            place.ip(f"link set {name} mtu {self.mtu}")
        self.stop, self.wake = os.pipe()
        self.cable = threading.Thread(target=self.carry, daemon=True)
        self.cable.start()

    def tun(self, name):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, self.TUNSETIFF, struct.pack("16sH22x", name.encode(),
                                                    self.IFF_TUN | self.IFF_NO_PI))
        return fd

    def carry(self):
        left, right = self.ends
        while True:
            ready, _, _ = select.select([left, right, self.stop], [], [])
            if self.stop in ready:
                return
            for fd in ready:
                try:
                    os.write(right if fd == left else left, os.read(fd, 65536))
                except OSError:
                    pass  # the other device is still down

    def close(self):
        os.write(self.wake, b"x")
        self.cable.join()
        for fd in (*self.ends, self.stop, self.wake):
            os.close(fd)
        super().close()
