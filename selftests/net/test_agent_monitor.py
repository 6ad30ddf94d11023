# SPDX-License-Identifier: Apache-2.0
"""margayctl monitor --kernel-drops: whose packets are told, with which words, and that nothing of it stays behind.
Two nodes share this kernel, so that what the one must not tell is there."""
import json
import os

import pytest

import cluster as places
from cluster import wait_for
from monitor import Monitor, loaded

POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
CTL = os.path.join(places.BUILD, "margayctl")


@pytest.fixture(scope="module")
def cluster():
    with places.Cluster(nodes=("n1", "n2")) as made:
        made.start()
        made["n1"].ctl("apply", "-f", POOLS)
        yield made


@pytest.fixture
def node(cluster):
    yield cluster["n1"]
    for pod in list(cluster["n1"].pods):
        pod.delete()


@pytest.fixture
def watch(node):
    monitor = Monitor(node, "--kernel-drops")
    yield monitor
    monitor.stop()


def datagram(pod, target, port=4711):
    """To a port where nobody listens."""
    host = f"[{target}]" if ":" in target else target
    pod.try_run("sh", "-c", f"echo hello | socat -u - UDP:{host}:{port}")


@pytest.mark.parametrize("family", [4, 6])
def test_names_pods_reason_and_function(node, watch, family):
    client, server = node.pod("client"), node.pod("server")
    datagram(client, server.address(family))
    drop = watch.first(kind="kernel-drop", dport=4711)
    assert drop["reason"] == "NO_SOCKET" and "udp" in drop["function"], drop
    assert drop["pod"] == "default/server" and drop["hook"] == "kernel", drop
    assert (drop["from"], drop["to"], drop["proto"]) == ("default/client", "default/server", 17), drop
    assert (drop["src"], drop["dst"]) == (client.address(family), server.address(family)), drop
    header = 20 if family == 4 else 40
    assert drop["length"] == header + 8 + 6 and drop["data"].endswith(b"hello\n".hex()), drop
    assert drop["egress_rule"] is None and drop["ingress_rule"] is None


def test_fields_are_those_of_a_drop_and_three_more(node, watch):
    client, server = node.pod("client"), node.pod("server")
    client.ping("10.244.77.77")
    datagram(client, server.address())
    own, kernel = watch.first(kind="drop"), watch.first(kind="kernel-drop", dport=4711)
    assert set(kernel) - set(own) == {"function", "pod"} and set(own) <= set(kernel)
    assert abs(own["time"] - kernel["time"]) < 60 * 10**9, "one clock"


def test_what_our_programs_drop_is_told_once(node, watch):
    client, server = node.pod("client"), node.pod("server")
    client.ping("10.244.77.77")
    assert watch.first(kind="drop", dst="10.244.77.77")
    datagram(client, server.address())
    watch.first(kind="kernel-drop", dport=4711)
    assert not watch.records(kind="kernel-drop", dst="10.244.77.77")


def interface(node, pod):
    return next(e["interface"] for e in json.loads(node.ctl("endpoints", "show", "-o", "json"))
                if e["container"] == pod.container)


def test_filters_of_others_are_told(node, watch):
    """A filter behind ours, on the way to the host's stack: its drop has the reason that ours have, without our mark."""
    client = node.pod("client")
    device = interface(node, client)
    node.sh(f"tc qdisc add dev {device} clsact; "
            f"tc filter add dev {device} ingress pref 9 bpf da bytecode '1,6 0 0 2'")
    client.ping("10.10.0.1")
    drop = watch.first(kind="kernel-drop", dst="10.10.0.1")
    assert (drop["reason"], drop["pod"], drop["from"]) == ("TC_INGRESS", "", "default/client"), drop


def test_a_queue_behind_the_redirect(node, watch):
    client, server = node.pod("client"), node.pod("server")
    device = interface(node, server)
    node.run("tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", "8kbit", "burst", "1500", "limit", "1500")
    wanted = {"kind": "kernel-drop", "reason": "QDISC_DROP", "to": "default/server"}
    wait_for(lambda: watch.records(**wanted) or client.ping(server.address(), count=3, size=1200, wait=0.1,
                                                            extra=["-i", "0.01"]) and False, "the queue drops")
    drop = watch.first(**wanted)
    assert (drop["from"], drop["proto"]) == ("default/client", 1), drop


def test_other_nodes_of_this_kernel_are_not(cluster, node, watch):
    there = cluster["n2"].pod("elsewhere"), cluster["n2"].pod("other")
    client, server = node.pod("client"), node.pod("server")
    datagram(there[0], there[1].address(), 4712)
    datagram(client, server.address())
    watch.first(kind="kernel-drop", dport=4711)
    assert not watch.records(kind="kernel-drop", dport=4712)
    for pod in there:
        pod.delete()


def test_from_and_to_choose(node):
    client, server, other = node.pod("client"), node.pod("server"), node.pod("other")
    monitor = Monitor(node, "--kernel-drops", "--verdict", "dropped", "--to", "default/server")
    datagram(client, other.address(), 4712)
    datagram(client, server.address())
    monitor.first(kind="kernel-drop", dport=4711)
    assert not monitor.records(kind="kernel-drop", dport=4712)
    monitor.stop()


def test_a_capture_of_them(node):
    client, server = node.pod("client"), node.pod("server")
    path = os.path.join(node.folder, "drops.pcap")
    process = node.start(CTL, "monitor", "--kernel-drops", "--to", "default/server", "--count", "1", "--pcap", path)
    wait_for(lambda: loaded(node), "the program is there")
    datagram(client, server.address())
    assert process.wait(10) == 0
    node.processes.remove(process)
    text = node.run("tcpdump", "-nnr", path)
    assert f"> {server.address()}.4711: UDP, length 6" in text, text


def test_it_is_there_while_somebody_watches(node):
    assert not loaded(node)
    one, two = Monitor(node, "--kernel-drops"), Monitor(node, "--kernel-drops", "--verdict", "dropped")
    client, server = node.pod("client"), node.pod("server")
    # The program is there for the first one; that the second is connected is told by what it is told.
    wait_for(lambda: datagram(client, server.address()) or all(each.records(kind="kernel-drop", dport=4711) for each in (one, two)),
             "both are told")
    assert len(loaded(node)) == 1, "one for all"
    one.stop()
    datagram(client, server.address(), 4713)
    assert two.first(kind="kernel-drop", dport=4713)
    two.stop()
    wait_for(lambda: not loaded(node), "the last one's end frees it")
    plain = Monitor(node)
    # Nothing tells when it is connected: what is dropped until then is told to nobody.
    wait_for(lambda: client.ping("10.244.77.77") or plain.records(kind="drop"), "a drop is told")
    assert not loaded(node)
    plain.stop()


def test_a_flood_is_counted(node, watch):
    client, server = node.pod("client"), node.pod("server")
    count = 3000
    client.run("python3", "-c", f"""
import socket
for n in range({count}):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ("{server.address()}", 4711))
    s.close()""")

    def total():
        told = len(watch.records(kind="kernel-drop", dport=4711))
        more = sum(r["count"] for r in watch.records(kind="suppressed") + watch.records(kind="lost"))
        return more and told + more >= count

    wait_for(total, "all are told or counted")
