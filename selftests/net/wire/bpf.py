# SPDX-License-Identifier: Apache-2.0
"""Maps of a bpffs folder by system call, and rows of the ABI (bpf/abi/*.h) as bytes."""
import ctypes
import ipaddress
import os
import struct

NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LOOKUP, UPDATE, DELETE, NEXT, OBJ_GET = 1, 2, 3, 4, 7
libc = ctypes.CDLL(None, use_errno=True)

ADDR_POD, ADDR_HOST, ADDR_LOCAL, ADDR_POOL, ADDR_ANY_POOL = 1, 2, 4, 8, 16
ADDR_NAT_OUT, ADDR_BLOCK, ADDR_IPIP, ADDR_VXLAN, ADDR_CROSS = 32, 64, 128, 256, 512
LOCAL_IPIP, LOCAL_VXLAN, LOCAL_RST = 1, 2, 128
PEER_KNOWN, PEER_SUBNET4, PEER_SUBNET6 = 1, 2, 4
EP_READY, EP_NO_PEER = 1, 2
UPLINK_L3 = 1
SET_DROP_ALL, SET_ALLOW_ALL = 1, 2
COLUMNS, STAGES, WORKLOAD_IN, WORKLOAD_OUT = 4, 11, 7, 8
TICKS = 954  # a second
HOOKS = ["from_pod", "to_pod", "from_netdev", "to_netdev", "from_tunnel", "xdp"]
DROP_SLOTS = 64


def syscall(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    r = libc.syscall(NR_BPF, command, buffer, 128)
    if r < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return r


def possible_cpus():
    with open("/sys/devices/system/cpu/possible") as file:
        return int(file.read().strip().split("-")[-1]) + 1


class Map:
    def __init__(self, path, value_size, key_size=4, per_cpu=False):
        self.name = ctypes.create_string_buffer(path.encode())
        self.fd = syscall(OBJ_GET, struct.pack("QII", ctypes.addressof(self.name), 0, 0))
        self.key_size, self.value_size = key_size, value_size
        with open(f"/proc/self/fdinfo/{self.fd}") as info:
            sizes = dict(line.split()[:2] for line in info if "_size:" in line)
        assert (sizes["key_size:"], sizes["value_size:"]) == (str(key_size), str(value_size)), (path, sizes)
        self.copies = possible_cpus() if per_cpu else 1

    def key(self, key):
        return struct.pack("I", key) if isinstance(key, int) else key

    def call(self, command, key, value, flags=0):
        key = ctypes.create_string_buffer(self.key(key), self.key_size)
        return syscall(command, struct.pack("IIQQQ", self.fd, 0, ctypes.addressof(key),
                                            ctypes.addressof(value), flags))

    def put(self, key, value):
        assert len(value) == self.value_size, (len(value), self.value_size)
        self.call(UPDATE, key, ctypes.create_string_buffer(value, len(value)))

    def get(self, key):
        size = (self.value_size + 7) // 8 * 8 * self.copies
        value = ctypes.create_string_buffer(size)
        self.call(LOOKUP, key, value)
        return value.raw

    def keys(self):
        last = None
        while True:
            out = ctypes.create_string_buffer(self.key_size)
            key = ctypes.create_string_buffer(last, self.key_size) if last else None
            try:
                syscall(NEXT, struct.pack("IIQQQ", self.fd, 0, ctypes.addressof(key) if key else 0,
                                          ctypes.addressof(out), 0))
            except OSError:
                return
            last = out.raw
            yield last


def addr(text):
    if not text:
        return bytes(16)
    ip = ipaddress.ip_address(text)
    return bytes(10) + b"\xff\xff" + ip.packed if ip.version == 4 else ip.packed


def prefix(text):
    net = ipaddress.ip_network(text)
    bits = net.prefixlen + (96 if net.version == 4 else 0)
    return struct.pack("I", bits) + addr(str(net.network_address))


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ident(identity=0, node=0, slot=0, flags=0):
    return struct.pack("HHHH", identity, node, slot, flags)


def way(ifindex, mtu=1500, gateway=None):
    return struct.pack("II", ifindex, mtu) + addr(gateway)


def peer(ip4=None, ip6=None, way4=None, way6=None, flags=PEER_KNOWN, vtep="00:00:00:00:00:00",
         vtep6="00:00:00:00:00:00"):
    return (addr(ip4) + addr(ip6) + (way4 or bytes(24)) + (way6 or bytes(24)) +
            struct.pack("I", flags) + mac(vtep) + bytes(2) + mac(vtep6) + bytes(6))


def local(ip4=None, ip6=None, nat4=None, nat6=None, flags=0, vni=4096, port=4789, node=1,
          vtep="66:00:00:00:00:01", ranges=((10240, 29999),), sports=(49152, 16384), idle=0):
    ports = b"".join(struct.pack("HH", *r) for r in ranges).ljust(16, b"\0")
    total = sum(last - first + 1 for first, last in ranges)
    return (addr(ip4) + addr(ip6) + addr(nat4) + addr(nat6) + struct.pack("QII", 0, flags, vni) +
            struct.pack(">H", port) + struct.pack("HHHHHH", node, total, 1480, 1450, *sports) +
            mac(vtep) + bytes(4) + ports + struct.pack("8I", *[60 * TICKS] * 8) + struct.pack("II", idle, 0))


def uplink(ip4=None, ip6=None, flags=0, mtu=1500):
    return struct.pack("II", flags, mtu) + addr(ip4) + addr(ip6) + bytes(8)


def endpoint(slot, ifindex, pod_mac, host_mac, ip4=None, ip6=None, flags=EP_READY):
    return (addr(ip4) + addr(ip6) + struct.pack("QIIIH", 0, ifindex, flags, 1450, slot) +
            mac(pod_mac) + mac(host_mac) + bytes(6))


def slot_sets(workload_in, workload_out):
    column = [0] * STAGES
    column[WORKLOAD_IN], column[WORKLOAD_OUT] = workload_in, workload_out
    return struct.pack(f"{COLUMNS * STAGES}I", *column * COLUMNS)
