# SPDX-License-Identifier: Apache-2.0
"""Sockets that live in a namespace, and streams between them that tell what arrived."""
import ctypes
import os
import socket
import threading
import zlib

CLONE_NEWNET = 0x40000000
UDP_SEGMENT = 103
CHUNK = bytes(i * 7 & 255 for i in range(1 << 18))
# A guest by emulation is 20 times slower: NET_MEGABYTE makes every stream smaller there, NET_PATIENCE every wait longer.
MEGABYTE = int(os.environ.get("NET_MEGABYTE", 1 << 20))
PATIENCE = float(os.environ.get("NET_PATIENCE", 1))
SECONDS = 20 * PATIENCE
libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
lock = threading.Lock()


def in_place(place, make):
    """make() with this thread inside the namespace."""
    with lock:
        fd = os.open(place.path, os.O_RDONLY)
        try:
            assert libc.setns(fd, CLONE_NEWNET) == 0
            return make()
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0
            os.close(fd)


def socket_in(place, *kind):
    made = in_place(place, lambda: socket.socket(*kind))
    made.settimeout(SECONDS)
    return made


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def one_cpu():
    """veth keeps a queue a CPU: a stream that moves between CPUs overtakes itself."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def tcp(source, sink, address, size, port=7001, bind=None):
    """size bytes from place to place; asserts that the same bytes arrive."""
    one_cpu()
    server = socket_in(sink, family(address), socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(1)
    got = {"bytes": 0, "crc": 0}

    def take():
        conn, got["peer"] = server.accept()
        conn.settimeout(SECONDS)
        while data := conn.recv(1 << 20):
            got["bytes"] += len(data)
            got["crc"] = zlib.crc32(data, got["crc"])
        conn.sendall(b"done")
        conn.close()

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    client = socket_in(source, family(address), socket.SOCK_STREAM)
    if bind:
        client.bind((bind, 0))
    client.connect((address, port))
    crc = 0
    for at in range(0, size, len(CHUNK)):
        part = CHUNK[:min(len(CHUNK), size - at)]
        client.sendall(part)
        crc = zlib.crc32(part, crc)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(4) == b"done"
    taker.join(SECONDS)
    client.close()
    server.close()
    assert (got["bytes"], got["crc"]) == (size, crc)
    return got["peer"]


def udp(source, sink, address, size=1000, segment=None, count=20, port=7002, bind=None):
    """Datagrams and their echo: count of size bytes, or GSO bundles cut into segments."""
    server = socket_in(sink, family(address), socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    server.bind((address, port))
    client = socket_in(source, family(address), socket.SOCK_DGRAM)
    if bind:
        client.bind((bind, 0))
    client.connect((address, port))
    if segment:
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
    for i in range(count):
        data = bytes([i]) * size
        client.send(data)
        left = size
        while left:
            part, peer = server.recvfrom(65536)
            assert part == data[:len(part)] and len(part) == min(segment or size, left)
            left -= len(part)
    server.sendto(b"answer", peer)
    assert client.recv(100) == b"answer"
    client.close()
    server.close()
    return peer


class Watch:
    """Frames on a device, as the device saw them: bytes of the beginning, and whole lengths."""

    ETH_P_ALL = 3

    def __init__(self, place, device):
        self.socket = socket_in(place, socket.AF_PACKET, socket.SOCK_RAW,
                                socket.htons(self.ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE
                               if hasattr(socket, "SO_RCVBUFFORCE") else 33, 1 << 25)
        self.socket.bind((device, 0))
        self.socket.setblocking(False)

    def frames(self):
        buffer = bytearray(512)
        while True:
            try:
                length, _, _, _ = self.socket.recvmsg_into([buffer], 0, socket.MSG_TRUNC)
            except BlockingIOError:
                return
            yield bytes(buffer[:min(length, 512)]), length

    def close(self):
        self.socket.close()
