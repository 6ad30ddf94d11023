# SPDX-License-Identifier: Apache-2.0
"""Three nodes on a switch. A pod of node 3 has an address of node 2's block; node 1 does not know it
yet: its packets come by node 2, in the tunnel they came in, single ones and bundles."""
import socket

import bpf
import pytest
import traffic
import wire

FAMILIES = pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
BORROWED = ("10.65.2.9", "fd65:2::9")
BLOCK = ("10.65.2.0/24", "fd65:2::/64")


class Switch:
    def __init__(self):
        self.switch = wire.Place("s")
        self.switch.ip("link add sw0 type bridge")
        self.switch.ip("link set sw0 up")
        self.places, self.nodes = [], []
        for number in (1, 2, 3):
            place = wire.Place(f"n{number}")
            self.places.append(place)
            place.ip(f"link add w0 type veth peer name p{number} netns {self.switch.name}")
            self.switch.ip(f"link set p{number} master sw0 up")
            place.ip(f"addr add 192.168.7.{number}/24 dev w0")
            place.ip(f"addr add fd07::{number}/64 dev w0 nodad")
            place.ip("link set w0 up")
        for number, place in enumerate(self.places, 1):
            for other in {1, 2, 3} - {number}:
                wire.reach(place, f"192.168.7.{other}", f"fd07::{other}")
            self.nodes.append(wire.Node(number, place, "w0"))
        self.borrower = wire.Place("b")
        self.slot = self.nodes[2].add_pod(self.borrower, BORROWED)

    def tell(self, mode):
        for node in self.nodes:
            node.rows(mode)
            for other in {1, 2, 3} - {node.number}:
                node.knows(other, mode)
            flags = mode | bpf.ADDR_BLOCK | bpf.ADDR_POOL | bpf.ADDR_ANY_POOL
            for net in BLOCK:
                node.programs.put("mg_nets", bpf.prefix(net),
                                  bpf.ident(2 + (":" in net), 2, 0,
                                            flags | (bpf.ADDR_LOCAL if node.number == 2 else 0)))
        for address in BORROWED:
            self.learns(2, address, mode)
            self.nodes[2].programs.put(
                "mg_addrs", bpf.addr(address),
                bpf.ident(8, 3, self.slot, bpf.ADDR_POD | bpf.ADDR_LOCAL | bpf.ADDR_POOL |
                          bpf.ADDR_ANY_POOL | mode))
        for node in self.nodes:
            node.change()

    def learns(self, number, address, mode):
        node = self.nodes[number - 1]
        node.programs.put("mg_addrs", bpf.addr(address),
                          bpf.ident(8, 3, 0, bpf.ADDR_POD | bpf.ADDR_POOL | bpf.ADDR_ANY_POOL | mode))
        node.change()

    def close(self):
        for thing in (*self.nodes, self.borrower, *self.places, self.switch):
            thing.close()


@pytest.fixture(scope="module", params=[bpf.ADDR_IPIP, bpf.ADDR_VXLAN], ids=["ipip", "vxlan"])
def net(request):
    made = Switch()
    try:
        made.mode = request.param
        made.tell(request.param)
        yield made
    finally:
        made.close()


@FAMILIES
def test_passed_on(net, family):
    source, address = net.nodes[0].pod, BORROWED[family]
    server = traffic.socket_in(net.borrower, traffic.family(address), socket.SOCK_DGRAM)
    server.bind((address, 7004))
    client = traffic.socket_in(source, traffic.family(address), socket.SOCK_DGRAM)
    client.connect((address, 7004))
    for size, segment in ((1000, 0), (40000, 1200)):
        if segment:
            client.setsockopt(socket.IPPROTO_UDP, traffic.UDP_SEGMENT, segment)
        for i in range(10):
            client.send(bytes([i]) * size)
            left = size
            while left:
                part, peer = server.recvfrom(65536)
                assert part == bytes([i]) * len(part)
                left -= len(part)
            assert peer[0] == net.nodes[0].pod_ip[family]
    client.close()
    server.close()


@FAMILIES
def test_direct_once_it_is_known(net, family):
    """Last: node 1 learns the pod, and the same ends talk both ways without node 2."""
    net.learns(1, BORROWED[family], net.mode)
    watch = traffic.Watch(net.places[1], "w0")
    traffic.tcp(net.nodes[0].pod, net.borrower, BORROWED[family], 4 << 20)
    assert not [length for _, length in watch.frames() if length > 1000]
    watch.close()
