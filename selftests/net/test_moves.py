# SPDX-License-Identifier: Apache-2.0
"""How a pod's programs are attached: by clsact as ADD ends, by TCX a quiet moment later, and never is a packet
unjudged or judged twice on the way (loader/agent/move.h)."""
import ctypes
import json
import os
import socket
import struct
import threading
import time

import pytest

import cluster as places
import streams
from cluster import Pod, wait_for
from wire import bpf, traffic

POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
TWICE = 1 << 5  # bpf/abi/endpoint.h
MAPS, PROGS = "/sys/fs/bpf/margay/maps", "/sys/fs/bpf/margay/progs"
PROG_LOAD, OBJ_PIN, PROG_ATTACH, PROG_QUERY = 5, 6, 8, 16
SIDES = {"ingress": 46, "egress": 47}
PORT = 5005
FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.n1}
spec: {bpfAttachType: TC}
"""


@pytest.fixture(scope="module")
def node():
    with places.Cluster(nodes=("n1",)) as made:
        made.start()
        node = made["n1"]
        node.ctl("apply", "-f", POOLS)
        if tcx(node, "eth0", "ingress") is None:
            pytest.skip("this kernel has no TCX: nothing moves")
        yield node


@pytest.fixture
def pod(node):
    """Just added."""
    made = wait_for(lambda: started(node, "mover"), "a pod starts")
    yield made
    made.delete()


def started(node, name):
    """None while the agent has no addresses yet."""
    made = Pod(node, name)
    node.pods.append(made)
    try:
        return made.add()
    except places.Failed:
        node.pods.remove(made)
        made.close()
        return None


def device(pod):
    return pod.result["interfaces"][0]["name"]


def ask(node, name, side):
    ids = (ctypes.c_uint32 * 64)()
    attr = ctypes.create_string_buffer(struct.pack("IIIIQI", socket.if_nametoindex(name), SIDES[side], 0, 0,
                                                   ctypes.addressof(ids), 64), 128)
    if bpf.libc.syscall(bpf.NR_BPF, PROG_QUERY, attr, 128):
        return None
    return list(ids[:struct.unpack_from("I", attr, 24)[0]])


def tcx(node, name, side):
    """Ids of the programs on a device's side, in order; None: no TCX."""
    return traffic.in_place(node, lambda: ask(node, name, side))


def clsact(node, name, side):
    """Ids of bpf filters."""
    out = node.run("tc", "-j", "filter", "show", "dev", name, side, check=False)
    return [rule["options"]["prog"]["id"] for rule in json.loads(out or "[]") if "prog" in rule.get("options", {})]


def pinned(node, name):
    return json.loads(node.run("bpftool", "-j", "prog", "show", "pinned", f"{PROGS}/{name}"))["id"]


def ours(node):
    return {"ingress": [pinned(node, "from_pod")], "egress": [pinned(node, "to_pod")]}


def by_tcx(node, pod):
    """By TCX alone, and the row says nothing of two."""
    return all(tcx(node, device(pod), side)[:1] == own and not clsact(node, device(pod), side)
               for side, own in ours(node).items()) and not flags(node, pod) & TWICE


def by_clsact(node, pod):
    return all(clsact(node, device(pod), side)[:1] == own and not tcx(node, device(pod), side)
               for side, own in ours(node).items()) and not flags(node, pod) & TWICE


def row(node, pod):
    """Its slot, and its row as bytes."""
    with open(f"/proc/{node.pid}/root/var/lib/margay/cni/attachments/{pod.container}:eth0.json") as file:
        slot = json.load(file)["slot"]
    return slot, bpf.Map(f"/proc/{node.pid}/root{MAPS}/mg_ep", 72).get(slot)[:72]


def flags(node, pod):
    return struct.unpack_from("I", row(node, pod)[1], 44)[0]


def attach_tcx(node, name, side, program):
    traffic.in_place(node, lambda: bpf.syscall(PROG_ATTACH, struct.pack("IIIIIIQ", socket.if_nametoindex(name), program,
                                                                        SIDES[side], 0, 0, 0, 0)))


def foreign():
    """A program that lets everything go on."""
    code = struct.pack("BBhi", 0xb7, 0, 0, -1) + struct.pack("BBhi", 0x95, 0, 0, 0)
    text = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("IIQQIIQII16s", 3, 2, ctypes.addressof(text[0]), ctypes.addressof(text[1]), 0, 0, 0, 0, 0, b"stranger")
    return bpf.syscall(PROG_LOAD, attr)


def own_fd(node, name):
    path = ctypes.create_string_buffer(f"/proc/{node.pid}/root{PROGS}/{name}".encode())
    return bpf.syscall(bpf.OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))


def stop(node, pod):
    """The agent dies; True if the pod's programs had not moved yet."""
    node.kill_agent()
    return by_clsact(node, pod)


def caught(node):
    """A pod whose agent died before its programs moved."""
    for _ in range(20):
        with Plugins(node):  # however long it takes to get here, there is no quiet moment
            made = node.pod("mover")
            caught_it = stop(node, made)
        if caught_it:
            return made
        node.start_agent()
        made.delete()
    raise AssertionError("the agent moves programs at once")


def test_moves_in_a_quiet_moment(node, pod):
    assert wait_for(lambda: by_tcx(node, pod), "TCX")
    node.cni("CHECK", pod)


def test_the_first_packet_arrives(node):
    """The kernel activates the host's end behind the pod's; ADD ends when it has."""
    for number in range(40):
        made = node.pod(f"first{number}")
        assert made.ping("10.10.0.1"), f"pod {number}"
        made.delete()


class Plugins:
    """Requests of plugins, so close together that there is no quiet moment."""

    def __init__(self, node):
        self.path, self.longest, self.ends = f"/proc/{node.pid}/root/run/margay/cni.sock", 0, threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()

    def ask(self):
        """False: nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(self.path)
                one.sendall(b'{"version":1,"op":"status"}\n')
                return one.recv(65536) != b""
        except OSError:
            return False

    def work(self):
        last = time.monotonic()
        while not self.ends.wait(0.02):
            if not self.ask():
                return  # the agent has ended
            last, before = time.monotonic(), last
            self.longest = max(self.longest, last - before)


def test_not_while_plugins_work(node):
    """The pod stays on clsact, protected, and moves when they end."""
    with Plugins(node) as plugins:
        made = node.pod("mover")
        time.sleep(1)
        stayed = by_clsact(node, made)
        if plugins.longest > 0.2:
            pytest.skip(f"this machine is so busy that requests were {plugins.longest:.2f} s apart")
        assert stayed
    wait_for(lambda: by_tcx(node, made), "TCX")
    made.delete()


@pytest.mark.parametrize("to", ["pod", "node"])
def test_nothing_is_lost_or_judged_twice(node, to):
    """A stream between pod and host, by the host's stack, while the programs move there and back."""
    mover = node.pod("mover")
    wait_for(lambda: by_tcx(node, mover), "TCX")
    client, server = (node, mover) if to == "pod" else (mover, node)
    streams.serve(server, PORT)

    def stream(seconds):
        return streams.Stream(client, mover.address() if to == "pod" else "10.10.0.1", PORT, seconds)

    def since(before):
        """Packets of flows; those of former streams may have been forgotten meanwhile."""
        return sum(packets - before.get(flow, 0) for flow, packets in datagrams(node).items())

    def control(seconds):
        before = datagrams(node)
        result = stream(seconds).result()
        counted[0] = since(before) / result["udp_sent"]
        return [result]

    def moved():
        before, running = datagrams(node), stream(600)
        wait_for(lambda: since(before), "the stream runs")
        node.apply(FELIX)
        wait_for(lambda: by_clsact(node, mover), "clsact")
        node.ctl("delete", "felixconfiguration", "node.n1")
        wait_for(lambda: by_tcx(node, mover), "TCX again")
        result = running.end()
        # As the control's; two processors that count at once may lose one, none counts twice.
        assert 0.9 * counted[0] < since(before) / result["udp_sent"] <= 1.002 * counted[0], result
        return [result]

    counted = [0]  # packets of the flow for each datagram sent
    streams.compare(control, moved)
    mover.delete()


def datagrams(node):
    """Packets of each of the streams' flows, both ways."""
    return {(flow["src"], flow["sport"], flow["dst"], flow["dport"]): flow["packets"]
            for flow in json.loads(node.ctl("flows", "show", "-o", "json"))
            if flow["proto"] == socket.IPPROTO_UDP and PORT in (flow["sport"], flow["dport"])}


def test_a_restart_goes_on(node):
    made = caught(node)
    node.start_agent()
    wait_for(lambda: by_tcx(node, made), "TCX")
    made.delete()


@pytest.mark.parametrize("sides", [("ingress",), ("ingress", "egress")])
def test_killed_with_both_there(node, sides):
    """The former agent died with programs there by both ways, or when clsact was gone and the row still said so."""
    made = caught(node)
    slot, value = row(node, made)
    twice = value[:44] + struct.pack("I", flags(node, made) | TWICE) + value[48:]
    bpf.Map(f"/proc/{node.pid}/root{MAPS}/mg_ep", 72).put(slot, twice)
    for side in sides:
        attach_tcx(node, device(made), side, own_fd(node, {"ingress": "from_pod", "egress": "to_pod"}[side]))
        if len(sides) == 2:
            node.run("tc", "filter", "del", "dev", device(made), side)
    node.start_agent()
    wait_for(lambda: by_tcx(node, made), "TCX alone")
    assert node.try_run("ping", "-c1", "-W1", made.address()).returncode == 0
    made.delete()


def test_others_stay_and_come_behind(node):
    """A TCX program and a filter of somebody else, there before ours moves."""
    made = caught(node)
    name = device(made)
    attach_tcx(node, name, "ingress", stranger := foreign())
    path = ctypes.create_string_buffer(f"/proc/{node.pid}/root/sys/fs/bpf/stranger".encode())
    bpf.syscall(OBJ_PIN, struct.pack("QII", ctypes.addressof(path), stranger, 0))
    node.sh(f"tc filter add dev {name} ingress pref 7 bpf direct-action object-pinned /sys/fs/bpf/stranger && rm /sys/fs/bpf/stranger")
    node.start_agent()
    wait_for(lambda: tcx(node, name, "ingress")[:1] == ours(node)["ingress"], "ours is first")
    wait_for(lambda: len(clsact(node, name, "ingress")) == 1 and not flags(node, made) & TWICE, "our filter is gone")
    assert len(tcx(node, name, "ingress")) == 2
    assert "pref 7" in node.run("tc", "filter", "show", "dev", name, "ingress")
    os.close(stranger)
    made.delete()


def test_where_clsact_is_wanted_it_stays(node):
    node.apply(FELIX)
    wait_for(lambda: json.loads(node.ctl("status", "-o", "json"))["attach"] == "clsact", "clsact")
    made = node.pod("mover")
    time.sleep(1)  # longer than a quiet moment
    assert by_clsact(node, made)
    node.ctl("delete", "felixconfiguration", "node.n1")
    wait_for(lambda: by_tcx(node, made), "TCX")
    made.delete()
