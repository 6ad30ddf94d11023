# SPDX-License-Identifier: Apache-2.0
"""Ways between two nodes of ours that are not the plain one: without Ethernet, too small for the
pods' packets, and changed under a running stream."""
import threading

import bpf
import pytest
import traffic
import wire

INNER = pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
MODES = pytest.mark.parametrize("mode", [0, bpf.ADDR_IPIP, bpf.ADDR_VXLAN],
                                ids=["native", "ipip", "vxlan"])


@pytest.fixture(scope="module")
def tun():
    made = wire.TunWire()
    try:
        yield made.margay(bpf.ADDR_IPIP)
    finally:
        made.close()


@MODES
@INNER
def test_device_without_ethernet(tun, mode, family):
    tun.tell(mode)
    for node in (tun.near, tun.far):
        node.change()
    near, far = tun.near, tun.far
    traffic.tcp(near.pod, far.pod, far.pod_ip[family], 4 * traffic.MEGABYTE)
    traffic.tcp(far.pod, near.pod, near.pod_ip[family], 4 * traffic.MEGABYTE)
    traffic.tcp(tun.a, far.pod, far.pod_ip[family], 4 * traffic.MEGABYTE)
    traffic.udp(near.pod, far.pod, far.pod_ip[family])
    near.pod(f"ping -c 2 -i 0.2 -W 5 {far.pod_ip[family]}")


@pytest.fixture(scope="module")
def link():
    made = wire.Wire()
    try:
        yield made.margay(bpf.ADDR_IPIP)
    finally:
        made.close()


@MODES
@INNER
def test_small_way(link, mode, family):
    """The way's MTU is less than the pods' devices allow: from_pod says so, and TCP listens."""
    link.tell(mode)
    link.near.knows(2, mode, mtu=1300)
    link.near.change()
    address = link.far.pod_ip[family]
    try:
        traffic.tcp(link.near.pod, link.far.pod, address, 4 * traffic.MEGABYTE)
        overhead = {0: 0, bpf.ADDR_IPIP: (20, 40)[family],
                    bpf.ADDR_VXLAN: (50, 70)[family]}[mode]
        told = max(1300 - overhead, 1280 if family else 0)
        size = 6 if family else 4
        if told < link.mtu - 70:
            assert f"mtu {told}" in link.near.pod(f"ip -{size} route get {address}")
    finally:
        for size in (4, 6):
            link.near.pod(f"ip -{size} route flush cache")
        link.tell(bpf.ADDR_IPIP)


@pytest.mark.parametrize("mode", [bpf.ADDR_IPIP, bpf.ADDR_VXLAN], ids=["ipip", "vxlan"])
@INNER
def test_small_way_of_node(link, mode, family):
    """A router told of a narrower way than the kernel's route: to_netdev tells the node's own socket."""
    link.tell(mode)
    address = link.far.pod_ip[family]
    link.near.learns_path(2, 1400)
    try:
        traffic.tcp(link.a, link.far.pod, address, 4 * traffic.MEGABYTE)
        told = 1400 - {bpf.ADDR_IPIP: (20, 40)[family], bpf.ADDR_VXLAN: (50, 70)[family]}[mode]
        assert f"mtu {told}" in link.a(f"ip -{6 if family else 4} route get {address}")
        traffic.udp(link.a, link.far.pod, address, size=told - 48)
    finally:
        link.near.learns_path(2, 0)
        for size in (4, 6):
            link.a(f"ip -{size} route flush cache")
        link.tell(bpf.ADDR_IPIP)


@INNER
def test_mode_changes_under_a_stream(link, family):
    """A pool's switch of encapsulation breaks no connection."""
    done = []

    def run():
        done.append(traffic.tcp(link.near.pod, link.far.pod, link.far.pod_ip[family],
                                512 * traffic.MEGABYTE))

    link.tell(bpf.ADDR_IPIP)
    stream = threading.Thread(target=run)
    stream.start()
    changes = 0
    while stream.is_alive():
        for mode in (bpf.ADDR_VXLAN, 0, bpf.ADDR_IPIP):
            link.tell(mode)
            for node in (link.near, link.far):
                node.change()
            changes += 1
    stream.join()
    assert done and changes >= 3
