# SPDX-License-Identifier: Apache-2.0
"""Pods and the world: source translation between namespaces, with real kernels at both ends."""
import socket

import bpf
import pytest
import traffic
import wire

WORLD = ("203.0.113.9", "2001:db8::9")
INNER = pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])


@pytest.fixture(scope="module")
def link():
    """b is the world: it knows no pod's address, so that what is not translated gets no answer."""
    made = wire.Wire()
    try:
        made.near.rows(bpf.ADDR_IPIP)
        for side, size, bits in ((0, 4, 32), (1, 6, 128)):
            made.b.ip(f"-{size} addr add {WORLD[side]}/{bits} dev lo")
            made.a.ip(f"-{size} route add default via {('192.168.7.2', 'fd07::2')[side]}")
        yield made
    finally:
        made.close()


def used_ports(link):
    return {int.from_bytes(key[34:36], "big") for key in link.near.programs.maps["mg_flow_t"].keys()}


@INNER
def test_stream_out(link, family):
    peer = traffic.tcp(link.near.pod, link.b, WORLD[family], 64 * traffic.MEGABYTE)
    assert peer[0] == link.near.ip[family]
    assert 10240 <= peer[1] <= 29999
    assert link.b.counter("TcpInCsumErrors") == 0


@INNER
def test_software_checksums(link, family):
    """Without offload every checksum is on the wire, and the receiver looks."""
    for place, device in ((link.near.pod, "eth0"), (link.a, "ua")):
        place(f"ethtool -K {device} tx off")
    try:
        traffic.tcp(link.near.pod, link.b, WORLD[family], 8 * traffic.MEGABYTE)
        assert traffic.udp(link.near.pod, link.b, WORLD[family])[0] == link.near.ip[family]
    finally:
        for place, device in ((link.near.pod, "eth0"), (link.a, "ua")):
            place(f"ethtool -K {device} tx on")
    assert sum(link.b.counter(name) for name in
               ("TcpInCsumErrors", "UdpInCsumErrors", "Udp6InCsumErrors")) == 0


@INNER
def test_datagrams_and_bundles(link, family):
    assert traffic.udp(link.near.pod, link.b, WORLD[family])[0] == link.near.ip[family]
    traffic.udp(link.near.pod, link.b, WORLD[family], size=40000, segment=1200)


@INNER
def test_fragments(link, family):
    """8,000 bytes in one datagram: the pod's kernel cuts it, the world's puts it together."""
    assert traffic.udp(link.near.pod, link.b, WORLD[family], size=8000)[0] == link.near.ip[family]
    assert link.b.counter("IpReasmFails" if family == 0 else "Ip6ReasmFails") == 0


@INNER
def test_echo(link, family):
    link.near.pod(f"ping -c 3 -i 0.2 -W 5 {WORLD[family]}")


@INNER
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_host_on_a_claimed_port(link, family, kind):
    """The node binds the very port that a pod's connection was given, and asks the same server:
    each gets its own answers."""
    def ask(end, word):
        end.sendall(word)
        if kind == socket.SOCK_STREAM:
            other, peer = server.accept()
            other.settimeout(traffic.SECONDS)
            other.sendall(other.recv(100)[::-1])
            held.append(other)
        else:
            data, peer = server.recvfrom(100)
            server.sendto(data[::-1], peer)
        assert end.recv(100) == word[::-1]
        return peer[1]

    held = []
    server = traffic.socket_in(link.b, traffic.family(WORLD[family]), kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((WORLD[family], 7005))
    if kind == socket.SOCK_STREAM:
        server.listen(4)
    pod = traffic.socket_in(link.near.pod, traffic.family(WORLD[family]), kind)
    pod.connect((WORLD[family], 7005))
    port = ask(pod, b"pod's question")
    host = traffic.socket_in(link.a, traffic.family(WORLD[family]), kind)
    host.bind((link.near.ip[family], port))
    host.connect((WORLD[family], 7005))
    moved = ask(host, b"host's question")
    assert 10240 <= moved <= 29999 and moved != port
    pod.close()
    host.close()
    for end in (*held, server):
        end.close()


@INNER
def test_refused(link, family):
    """A port-unreachable from the world reaches the socket that asked."""
    asker = traffic.socket_in(link.near.pod, traffic.family(WORLD[family]), socket.SOCK_DGRAM)
    asker.connect((WORLD[family], 9))
    asker.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        asker.recv(10)
    asker.close()


@INNER
def test_path_mtu_from_outside(link, family):
    """A router behind the uplink has a smaller MTU; its word reaches the pod, which then sends
    smaller segments: the stream gets through."""
    size = 4 if family == 0 else 6
    far = wire.Place("far")
    address = ("198.51.100.9", "2001:db8:51::9")[family]
    gate = ("198.51.100.1", "2001:db8:51::1")[family]
    bits, more = (24, "") if family == 0 else (64, "nodad")
    try:
        link.b.sysctl("net.ipv4.ip_forward", 1)
        link.b.sysctl("net.ipv6.conf.all.forwarding", 1)
        link.b.ip(f"link add small mtu 1300 type veth peer name small mtu 1500 netns {far.name}")
        link.b.ip(f"-{size} addr add {gate}/{bits} dev small {more}")
        far.ip(f"-{size} addr add {address}/{bits} dev small {more}")
        for place in (link.b, far):
            place.ip("link set small up")
        far.ip(f"-{size} route add default via {gate}")
        traffic.tcp(link.near.pod, far, address, 4 * traffic.MEGABYTE)
        route = link.near.pod(f"ip -{size} route get {address}")
        assert "mtu 1300" in route
    finally:
        # A namespace takes its devices with it some time after it is gone; their peers go then.
        link.b("ip link del small", check=False)
        far.close()


@INNER
def test_traceroute(link, family):
    """A hop limit of one is answered by the node."""
    asker = traffic.socket_in(link.near.pod, traffic.family(WORLD[family]), socket.SOCK_DGRAM)
    level, recverr, hops = ((socket.IPPROTO_IP, 11, socket.IP_TTL) if family == 0 else
                            (socket.IPPROTO_IPV6, 25, socket.IPV6_UNICAST_HOPS))
    asker.setsockopt(level, recverr, 1)
    asker.setsockopt(level, hops, 1)
    asker.sendto(b"far?", (WORLD[family], 33434))

    def told():
        try:
            return asker.recvmsg(64, 512, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return None
    asker.setblocking(False)
    _, ancillary, _, _ = wire.wait("an ICMP error", told)
    asker.close()
    data = ancillary[0][2]
    # struct sock_extended_err: origin, type; then the offender's address
    assert data[5] == (11 if family == 0 else 3)
    offender = (socket.inet_ntop(socket.AF_INET, data[20:24]) if family == 0 else
                socket.inet_ntop(socket.AF_INET6, data[24:40]))
    assert offender == link.near.ip[family]
