# SPDX-License-Identifier: Apache-2.0
"""Tunnels made in BPF: against the kernel's own devices, and against a second node of ours.

Every combination of outer and inner family, with segmentation by the device (64 KiB packets cross
the underlay whole) and by the kernel (each segment's headers and checksums are made by software
and checked by the receiver).
"""
import struct

import bpf
import pytest
import traffic
import wire

KINDS = {"ipip": bpf.ADDR_IPIP, "vxlan": bpf.ADDR_VXLAN}
INNER = pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])


def has_ipip():
    place = wire.Place("probe")
    try:
        place.ip("link add probe type ipip local 192.0.2.1 remote 192.0.2.2")
        place.ip("link add probe6 type ip6tnl local 2001:db8::1 remote 2001:db8::2")
        return True
    except AssertionError:
        return False
    finally:
        place.close()


@pytest.fixture(scope="module",
                params=["margay-ipip", "margay-vxlan", "kernel-ipip", "kernel-vxlan"])
def far(request):
    if request.param == "kernel-ipip" and not has_ipip():
        pytest.skip("this kernel has no ipip and ip6tnl devices")
    return request.param.split("-")


@pytest.fixture(scope="module", params=[4, 6], ids=["outer4", "outer6"])
def link(request, far):
    made = wire.Wire()
    made.kind, made.outer = far[1], request.param
    try:
        if far[0] == "margay":
            made.margay(KINDS[made.kind], made.outer)
        else:
            getattr(made.kernel(KINDS[made.kind], made.outer), made.kind)(made.outer)
        yield made
    finally:
        made.close()


@pytest.fixture(params=[True, False], ids=["offload", "software"])
def offload(request, link):
    devices = [(link.a, "ua"), (link.b, "ub"), (link.near.pod, "eth0")]
    if link.far.pod is not link.b:
        devices.append((link.far.pod, "eth0"))
    for place, device in devices:
        place(f"ethtool -K {device} tx {'on' if request.param else 'off'}")
        place(f"ethtool -K {device} tso {'on' if request.param else 'off'}")
    yield request.param
    for place, device in devices:
        place(f"ethtool -K {device} tx on")
        place(f"ethtool -K {device} tso on")


def bad_sums(link):
    return sum(place.counter(name) for place in (link.a, link.b, link.near.pod, link.far.pod)
               for name in ("TcpInCsumErrors", "UdpInCsumErrors", "Udp6InCsumErrors",
                            "Icmp6InCsumErrors", "IcmpInCsumErrors"))


def is_tunnelled(link, frame, inner):
    """True, or None for what nodes say to one another without us (ARP, neighbours)."""
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0806 or (kind == 0x86dd and frame[20] in (0, 58)):
        return None
    if kind != (0x0800 if link.outer == 4 else 0x86dd):
        return False
    proto, port = (frame[23], 36) if kind == 0x0800 else (frame[20], 56)
    if link.kind == "vxlan":
        return proto == 17 and struct.unpack_from("!H", frame, port) == (4789,)
    if proto == (41 if inner == 4 else 4):
        return None  # what the far device's other family asks of its neighbours, in the tunnel too
    return proto == (4 if inner == 4 else 41)


def lost_segments(place):
    """Sent again, less what the receiver had already: a busy machine delays and reorders between
    its CPUs' queues, and the sender's probes and guesses are not our losses."""
    return place.counter("TcpRetransSegs") - place.counter("TcpExtTCPDSACKRecvSegs") - \
        place.counter("TcpExtTCPLossProbes")


def stream(link, offload, source, sink, address, bind=None):
    """64 MiB that arrive as they were sent, in a tunnel, in packets as large as they come."""
    watch = traffic.Watch(link.b, "ub")
    before = lost_segments(source)
    peer = traffic.tcp(source, sink, address, 64 * traffic.MEGABYTE, bind=bind)
    frames = list(watch.frames())
    watch.close()
    assert bad_sums(link) == 0
    inner = 6 if ":" in address else 4
    found = [(is_tunnelled(link, frame, inner), frame[:64].hex()) for frame, _ in frames]
    bare = [frame for tunnelled, frame in found if tunnelled is False]
    assert not bare and any(tunnelled for tunnelled, _ in found), bare[:3]
    if offload:
        # (software's many small packets may overrun the machine's own backlog queue)
        assert lost_segments(source) <= before
        assert max(length for _, length in frames) > 60000
    return peer


@INNER
def test_pod_to_pod(link, offload, inner):
    side = 0 if inner == 4 else 1
    peer = stream(link, offload, link.near.pod, link.far.pod, link.far.pod_ip[side])
    assert peer[0] == link.near.pod_ip[side]


@INNER
def test_far_pod_to_pod(link, offload, inner):
    side = 0 if inner == 4 else 1
    peer = stream(link, offload, link.far.pod, link.near.pod, link.near.pod_ip[side],
                  bind=link.far.pod_ip[side])
    assert peer[0] == link.far.pod_ip[side]


@INNER
def test_node_to_far_pod(link, offload, inner):
    """The host's own socket: encapsulated by to_netdev; the answers come in the tunnel too."""
    side = 0 if inner == 4 else 1
    peer = stream(link, offload, link.a, link.far.pod, link.far.pod_ip[side])
    assert peer[0] == link.near.ip[side]


@INNER
def test_datagrams(link, offload, inner):
    side = 0 if inner == 4 else 1
    traffic.udp(link.near.pod, link.far.pod, link.far.pod_ip[side])
    traffic.udp(link.a, link.far.pod, link.far.pod_ip[side])
    traffic.udp(link.far.pod, link.near.pod, link.near.pod_ip[side], bind=link.far.pod_ip[side])
    assert bad_sums(link) == 0


@INNER
def test_datagrams_in_bundles(link, offload, inner):
    """UDP GSO: one packet of many datagrams into the tunnel, and out of it at a pod."""
    if not offload and wire.release() < (6, 11):
        pytest.skip("before 6.11 sockets cut no bundle for a device without checksum offload")
    side = 0 if inner == 4 else 1
    # (a host socket on a device without any checksum offload: docs/encapsulation.md, limits)
    for source in (link.near.pod, link.a) if offload else (link.near.pod,):
        traffic.udp(source, link.far.pod, link.far.pod_ip[side], size=40000, segment=1200)
    traffic.udp(link.far.pod, link.near.pod, link.near.pod_ip[side], size=40000, segment=1200,
                bind=link.far.pod_ip[side])
    assert bad_sums(link) == 0


@INNER
def test_ping(link, inner):
    side = 0 if inner == 4 else 1
    link.near.pod(f"ping -c 3 -i 0.2 -W 5 {link.far.pod_ip[side]}")
    link.a(f"ping -c 3 -i 0.2 -W 5 {link.far.pod_ip[side]}")
    link.far.pod(f"ping -c 3 -i 0.2 -W 5 -I {link.far.pod_ip[side]} {link.near.pod_ip[side]}")
