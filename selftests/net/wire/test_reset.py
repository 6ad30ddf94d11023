# SPDX-License-Identifier: Apache-2.0
"""Kernel sockets learn by a reset that policy has revoked their connection: between pods of a node,
and across nodes, natively and back through a tunnel. The link between nodes is a cable in user
space: frames come in as from a network card, without what a veth pair keeps of the sender."""
import socket

import bpf
import pytest
import traffic
import wire

FLAGS = bpf.LOCAL_IPIP | bpf.LOCAL_VXLAN | bpf.LOCAL_RST
FAMILIES = pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
MODES = pytest.mark.parametrize("mode", [0, bpf.ADDR_IPIP, bpf.ADDR_VXLAN],
                                ids=["native", "ipip", "vxlan"])
SECOND = ("10.65.1.3", "fd65:1::3")


@pytest.fixture(scope="module")
def link():
    made = wire.TunWire().margay(bpf.ADDR_IPIP)
    made.second = wire.Place("q")
    try:
        made.slot = made.near.add_pod(made.second, SECOND)
        for address in SECOND:
            made.near.programs.put("mg_addrs", bpf.addr(address),
                                   bpf.ident(6, 1, made.slot, bpf.ADDR_POD | bpf.ADDR_LOCAL |
                                             bpf.ADDR_POOL | bpf.ADDR_ANY_POOL))
        yield made
    finally:
        made.second.close()
        made.close()


@pytest.fixture(params=[True, False], ids=["offload", "software"])
def offload(request, link):
    places = (link.near.pod, link.second, link.far.pod)
    for place in places:
        place(f"ethtool -K eth0 tx {'on' if request.param else 'off'}")
    yield
    for place in places:
        place("ethtool -K eth0 tx on")


def allow(link, to_pod, from_pod):
    link.near.programs.put("mg_slots", 1, bpf.slot_sets(to_pod, from_pod))
    link.near.change()


def connect(source, sink, address):
    """A connection over which a word went each way."""
    server = traffic.socket_in(sink, traffic.family(address), socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, 7003))
    server.listen(1)
    client = traffic.socket_in(source, traffic.family(address), socket.SOCK_STREAM)
    client.connect((address, 7003))
    other, _ = server.accept()
    other.settimeout(traffic.SECONDS)
    server.close()
    client.sendall(b"question")
    assert other.recv(100) == b"question"
    other.sendall(b"answer")
    assert client.recv(100) == b"answer"
    return client, other


def is_told(end):
    """By nothing but what it sends next."""
    end.sendall(b"are you there?")
    with pytest.raises(ConnectionResetError):
        end.recv(100)
    end.close()


@FAMILIES
@pytest.mark.parametrize("first", ["opener", "receiver"])
def test_pods_of_a_node(link, offload, family, first):
    link.near.rows(bpf.ADDR_IPIP, uplink_flags=bpf.UPLINK_L3, flags=FLAGS)
    ends = connect(link.near.pod, link.second, SECOND[family])
    allow(link, bpf.SET_ALLOW_ALL, bpf.SET_DROP_ALL)
    try:
        for end in ends if first == "opener" else reversed(ends):
            is_told(end)
    finally:
        allow(link, bpf.SET_ALLOW_ALL, bpf.SET_ALLOW_ALL)


@MODES
@FAMILIES
def test_pod_of_another_node(link, offload, mode, family):
    """The receiver's node judges; the sender is told the way its segment came."""
    link.tell(mode)
    link.near.rows(mode, uplink_flags=bpf.UPLINK_L3, flags=FLAGS)
    for node in (link.near, link.far):
        node.change()
    client, other = connect(link.far.pod, link.near.pod, link.near.pod_ip[family])
    allow(link, bpf.SET_DROP_ALL, bpf.SET_ALLOW_ALL)
    try:
        is_told(client)
        is_told(other)
    finally:
        allow(link, bpf.SET_ALLOW_ALL, bpf.SET_ALLOW_ALL)


@FAMILIES
def test_in_the_middle_of_a_stream(link, offload, family):
    """Segments are on their way when the connection is revoked: the reset still fits."""
    link.near.rows(bpf.ADDR_IPIP, uplink_flags=bpf.UPLINK_L3, flags=FLAGS)
    client, other = connect(link.near.pod, link.second, SECOND[family])
    client.setblocking(False)
    other.setblocking(False)

    def moves():
        for end, peer in ((client, other), (other, client)):
            try:
                end.send(bytes(100000))
            except BlockingIOError:
                pass
            try:
                peer.recv(1 << 20)
            except BlockingIOError:
                pass

    def broken():
        try:
            moves()
        except ConnectionResetError:
            return True
        return False
    for _ in range(50):
        moves()
    allow(link, bpf.SET_ALLOW_ALL, bpf.SET_DROP_ALL)
    try:
        wire.wait("a reset", broken)
    finally:
        allow(link, bpf.SET_ALLOW_ALL, bpf.SET_ALLOW_ALL)
        client.close()
        other.close()
