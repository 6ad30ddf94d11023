# SPDX-License-Identifier: Apache-2.0
"""The agent by its sockets: requests that come twice, in the wrong order or from a client that left; records on
disk; bandwidth; what a restart keeps. docs/cni-socket.md says what is expected."""
import itertools
import json
import os
import socket

import pytest

import cluster as places
from cluster import Pod, wait_for

POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
NO_PEER, THROUGH_STACK = 2, 4  # bpf/abi/endpoint.h


@pytest.fixture(scope="module")
def node():
    with places.Cluster(nodes=("n1",)) as made:
        made.start()
        made["n1"].ctl("apply", "-f", POOLS)
        wait_for(lambda: call(made["n1"], op="status")["ok"], "addresses to give")
        yield made["n1"]


class Client:
    """A connection to the agent's socket, as the plugin opens it."""

    def __init__(self, node, path="cni.sock"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(f"/proc/{node.pid}/root/run/margay/{path}")

    def send(self, **request):
        self.socket.sendall(json.dumps({"version": 1, **request}).encode() + b"\n")
        return self

    def answer(self):
        line = b""
        while not line.endswith(b"\n"):
            part = self.socket.recv(65536)
            assert part, "closed without an answer"
            line += part
        return json.loads(line)

    def close(self):
        self.socket.close()


def call(node, **request):
    client = Client(node)
    try:
        return client.send(**request).answer()
    finally:
        client.close()


def names(container, **more):
    return {"container": container, "ifname": "eth0", "network": "margay", "namespace": "default", "pod": container,
            **more}


def interface(node, container, allocated):
    """The host's side of a pair as the plugin would have made it, and the commit that tells of it."""
    node.sh(f"ip link add {container} index {allocated['ifindex']} type veth peer name {container}p && "
            f"ip link set {container}p up && ip link set {container} up")
    return {"op": "commit", "container": container, "ifname": "eth0", "slot": allocated["slot"],
            "ifindex": allocated["ifindex"], "mac": "02:00:00:00:00:07", "mtu": allocated["mtu"],
            "host_ifname": container, "netns_cookie": 4711, "netns": "/nowhere"}


def row(node, slot):
    out = node.run("bpftool", "-j", "map", "lookup", "pinned", "/sys/fs/bpf/margay/maps/mg_ep", "key",
                   *[str(slot & 255), str(slot >> 8), "0", "0"])
    value = bytes(int(byte, 16) for byte in json.loads(out)["value"])
    return {"ifindex": int.from_bytes(value[40:44], "little"), "flags": int.from_bytes(value[44:48], "little")}


def caught_up(node, turn=itertools.count(5000)):
    """The agent has come to all that was written before: it follows changes in order."""
    vni = next(turn)
    node.apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"},
                           "spec": {"vxlanVNI": vni}}))

    def known():
        rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_local"))
        return rows[0]["formatted"]["value"]["vni"] == vni

    wait_for(known, "the agent follows")


def restart(node):
    node.kill_agent()
    node.start_agent()


def endpoints(node):
    return {e["container"]: e for e in json.loads(node.ctl("endpoints", "show", "-o", "json"))}


def test_allocate_and_commit_twice(node):
    first = call(node, op="allocate", **names("twice"))
    assert first["ok"] and first["addresses"], first
    assert call(node, op="allocate", **names("twice")) == first
    commit = interface(node, "twice", first)
    assert call(node, **commit)["ok"]
    assert call(node, **commit)["ok"], "the same commit again"
    assert call(node, op="allocate", **names("twice")) == first, "also when it stands"
    assert row(node, first["slot"])["flags"] & 1, "the row is ready"
    assert call(node, op="check", **names("twice"))["addresses"] == first["addresses"]
    assert call(node, op="del", **names("twice"))["ok"]
    assert call(node, op="del", **names("twice"))["ok"], "unknown is ok"
    wait_for(lambda: row(node, first["slot"])["flags"] == 0, "the row is cleared")
    assert call(node, op="check", **names("twice"))["code"] == 3
    node.run("ip", "link", "del", "twice")


def test_commit_without_allocate_is_try_again(node):
    answer = call(node, op="commit", container="never", ifname="eth0", slot=9, ifindex=1000009)
    assert not answer["ok"] and answer["code"] == 11


def test_del_while_allocate_waits(node):
    """An address in no reserve needs the store, so that allocate waits; del must end it either way."""
    waiting = Client(node).send(op="allocate", **names("waits", ips=["10.244.200.7"]))
    assert call(node, op="del", **names("waits"))["ok"]
    answer = waiting.answer()
    assert answer["ok"] or answer["code"] == 11, answer
    waiting.close()
    assert call(node, op="del", **names("waits"))["ok"]
    assert "waits" not in endpoints(node)
    # Nobody holds the address any more: it can be had after its rest, or at once where it was never taken.
    wait_for(lambda: call(node, op="allocate", **names("heir", ips=["10.244.200.7"]))["ok"], "the address", 20)
    assert call(node, op="del", **names("heir"))["ok"]


def test_client_leaves_while_it_waits(node):
    for number in range(20):
        client = Client(node).send(op="allocate", **names(f"left{number}", ips=[f"10.244.201.{number}"]))
        client.close()
    for number in range(20):
        assert call(node, op="del", **names(f"left{number}"))["ok"]
    assert call(node, op="status")["ok"]
    assert not [name for name in endpoints(node) if name.startswith("left")]


def test_lines_that_are_no_request(node):
    for line in (b"{}\n", b"[]\n", b"nonsense\n", b'{"version":1}\n', b'{"version":1,"op":"allocate"}\n',
                 b'{"version":2,"op":"status"}\n', b"[" * 1000 + b"\n", b'{"version":1,"op":7}\n'):
        client = Client(node)
        client.socket.sendall(line)
        assert client.answer()["ok"] is False
        client.close()
    assert call(node, op="status")["ok"]


def write_record(node, folder, container, record):
    folder = f"/proc/{node.pid}/root/var/lib/margay/cni/{folder}"
    path = f"{folder}/{container}:eth0.json"
    with open(f"{folder}/.new", "w") as out:  # what begins with a dot is on its way
        json.dump(record, out)
    os.rename(f"{folder}/.new", path)
    return path


def test_restart_between_allocate_and_commit(node):
    """The plugin's record tells the new agent what the former one gave; commit then goes through."""
    given = call(node, op="allocate", **names("between"))
    record = {**names("between"), "slot": given["slot"], "ifindex": given["ifindex"], "ready": False,
              "external": False, "addresses": given["addresses"]}
    path = write_record(node, "attachments", "between", record)
    restart(node)
    other = call(node, op="allocate", **names("other"))
    assert other["slot"] != given["slot"] and other["addresses"] != given["addresses"]
    assert call(node, **interface(node, "between", given))["ok"]
    assert row(node, given["slot"])["ifindex"] == given["ifindex"]
    assert call(node, op="check", **names("between"))["addresses"] == given["addresses"]
    os.unlink(path)
    for name in ("between", "other"):
        assert call(node, op="del", **names(name))["ok"]
    node.run("ip", "link", "del", "between")


def test_commit_finds_the_record_later(node):
    """As above, but the record came after the new agent had started: slot and index are honoured."""
    given = call(node, op="allocate", addresses=["10.99.0.7"], **names("later"))
    restart(node)
    record = {**names("later"), "slot": given["slot"], "ifindex": given["ifindex"], "ready": False,
              "external": True, "addresses": ["10.99.0.7"]}
    path = write_record(node, "attachments", "later", record)
    commit = interface(node, "later", given)
    assert call(node, **dict(commit, slot=given["slot"] + 1))["code"] == 11, "another slot than recorded"
    assert call(node, **commit)["ok"]
    assert row(node, given["slot"])["ifindex"] == given["ifindex"]
    os.unlink(path)
    assert call(node, op="del", external=True, **names("later"))["ok"]
    node.run("ip", "link", "del", "later")


@pytest.mark.parametrize("limits,flags", [({"ingressRate": 8000000, "ingressBurst": 80000}, NO_PEER),
                                          ({"egressRate": 8000000, "egressBurst": 80000}, THROUGH_STACK),
                                          ({"ingressRate": 0, "egressRate": 0}, 0)])
def test_bandwidth_sets_the_row(node, limits, flags):
    given = call(node, op="allocate", bandwidth=limits, labels={"tier": "gold"}, **names("limited"))
    commit = interface(node, "limited", given)
    assert call(node, **commit)["ok"]
    assert row(node, given["slot"])["flags"] & (NO_PEER | THROUGH_STACK) == flags
    path = write_record(node, "attachments", "limited", {**names("limited"), **commit, "ready": True, "external": False,
                        "addresses": given["addresses"], "bandwidth": limits, "labels": {"tier": "gold"}})
    restart(node)
    assert row(node, given["slot"])["flags"] & (NO_PEER | THROUGH_STACK) == flags
    os.unlink(path)
    assert call(node, op="del", **names("limited"))["ok"]
    node.run("ip", "link", "del", "limited")


def test_a_queue_on_the_device_counts(node):
    """A queueing discipline of somebody else (the bandwidth plugin): delivery goes through the device."""
    pod = node.pod("queued")
    mine = endpoints(node)[pod.container]
    assert row(node, mine["slot"])["flags"] & NO_PEER == 0
    node.run("tc", "qdisc", "add", "dev", mine["interface"], "root", "tbf", "rate", "80mbit", "burst", "64k",
             "latency", "25ms")
    wait_for(lambda: row(node, mine["slot"])["flags"] & NO_PEER, "no-peer is set")
    assert row(node, mine["slot"])["flags"] & 1, "the pod stays ready"
    node.run("tc", "qdisc", "del", "dev", mine["interface"], "root")
    wait_for(lambda: not row(node, mine["slot"])["flags"] & NO_PEER, "no-peer is cleared")
    pod.delete()


def test_labels_of_a_record_outlive_a_restart(node):
    given = call(node, op="allocate", labels={"role": "db"}, **names("labelled"))
    commit = interface(node, "labelled", given)
    assert call(node, **commit)["ok"]
    path = write_record(node, "attachments", "labelled", {**names("labelled"), **commit, "ready": True,
                        "external": False, "addresses": given["addresses"], "labels": {"role": "db"}})
    restart(node)
    node.apply("""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: default}
spec: {podSelector: {matchLabels: {role: db}}, policyTypes: [Ingress]}
""")
    wait_for(lambda: endpoints(node)["labelled"]["ingress_set"] != 0, "the policy selects the label")
    node.ctl("delete", "networkpolicy.networking.k8s.io", "db", "-n", "default")
    os.unlink(path)
    assert call(node, op="del", **names("labelled"))["ok"]
    node.run("ip", "link", "del", "labelled")


def test_a_release_on_disk_is_worked_off_at_once(node):
    given = call(node, op="allocate", **names("released"))
    assert call(node, **interface(node, "released", given))["ok"]
    path = write_record(node, "released", "released", {"version": 1, "op": "del", **names("released")})
    wait_for(lambda: not os.path.exists(path), "the file is gone", 10)  # all are looked at each minute anyhow
    assert call(node, op="check", **names("released"))["code"] == 3
    node.run("ip", "link", "del", "released")


def test_a_release_written_while_it_was_down(node):
    given = call(node, op="allocate", **names("missed"))
    assert call(node, **interface(node, "missed", given))["ok"]
    node.kill_agent()
    path = write_record(node, "released", "missed", {"version": 1, "op": "del", **names("missed")})
    node.start_agent()
    assert call(node, op="check", **names("missed"))["code"] == 3
    wait_for(lambda: not os.path.exists(path), "the file is gone", 10)  # all are looked at each minute anyhow
    node.run("ip", "link", "del", "missed")


def test_programs_taken_off_a_pod_come_back(node):
    """Somebody detaches our program: what is looked at by the minute for TCX shows at once for filters."""
    pod, peer = node.pod("bare"), node.pod("peer")
    assert wait_for(lambda: peer.ping(pod.address()), "an answer")
    mine = endpoints(node)[pod.container]
    node.apply("""
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.n1}
spec: {bpfAttachType: TC}
""")

    def filters():
        return [end for end in ("ingress", "egress")
                if f" clsact/{end} margay " in node.run("bpftool", "net", "show", "dev", mine["interface"])]

    wait_for(lambda: len(filters()) == 2, "filters on both ways")
    assert peer.ping(pod.address())
    node.run("tc", "filter", "del", "dev", mine["interface"], "ingress")
    wait_for(lambda: len(filters()) == 2, "the repair")
    node.ctl("delete", "felixconfiguration", "node.n1")
    wait_for(lambda: not filters(), "no filter any more, TCX instead")
    node.cni("CHECK", pod)
    assert peer.ping(pod.address())
    pod.delete()
    peer.delete()


def test_second_sandbox_keeps_the_object(node):
    """A pod's next sandbox may come before the former one has gone: its WorkloadEndpoint stays."""
    first, second = Pod(node, "phoenix"), Pod(node, "phoenix")
    node.pods += [first, second]
    first.add()
    second.add()
    first.delete()
    wait_for(lambda: len(endpoints(node)) == 1, "one endpoint is left")

    def stored():
        return [w["spec"]["containerID"] for w in json.loads(node.ctl("get", "workloadendpoint", "-A", "-o", "json"))["items"]
                if w["spec"]["pod"] == "phoenix"]

    # Written behind ADD and DEL, the last word of both: what the store has before may be the first one's.
    wait_for(lambda: stored() == [second.container], lambda: f"the object: {stored()}")
    caught_up(node)
    assert stored() == [second.container]
    second.delete()
    wait_for(lambda: not json.loads(node.ctl("get", "workloadendpoint", "-A", "-o", "json"))["items"], "it goes too")


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: phoenix, namespace: default, labels: {labels}}}
spec: {{nodeName: n1, containers: [{{name: it}}]}}
"""


def uid_of(node):
    return json.loads(node.ctl("get", "pod", "phoenix", "-o", "json"))["metadata"]["uid"]


def test_a_pod_made_anew_is_not_the_former_one(node):
    """A runtime that names another Pod than the one known, and one that names it: labels of the former decide nothing."""
    node.apply(POD.format(labels="{app: old}"))
    former = uid_of(node)
    node.ctl("delete", "pod", "phoenix")
    node.apply(POD.format(labels="{app: new}"))
    assert uid_of(node) != former
    caught_up(node)
    answer = call(node, op="allocate", uid=former, **{**names("late"), "pod": "phoenix"})
    assert answer["code"] == 11 and "another Pod" in answer["msg"]
    assert call(node, op="ipam-allocate", uid=former, **{**names("late"), "pod": "phoenix"})["code"] == 11
    assert not endpoints(node)
    pod = Pod(node, "phoenix", uid=uid_of(node))
    node.pods.append(pod)
    pod.add()
    node.apply("""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: new-alone, namespace: default}
spec: {podSelector: {matchLabels: {app: new}}}
""")
    wait_for(lambda: "new-alone" in node.ctl("policy", "show"), "the new labels")
    node.ctl("delete", "networkpolicy", "new-alone")
    pod.delete()
    node.ctl("delete", "pod", "phoenix")


@pytest.mark.parametrize("how", ["deleted", "made anew"])
def test_commit_waits_for_the_pod_it_spoke_of(node, how):
    """Between the two halves of ADD its Pod goes: ready is what the Pod's own labels decide, or nothing."""
    node.apply(POD.format(labels="{app: it}"))
    mine = {**names("halves"), "pod": "phoenix"}
    given = call(node, op="allocate", **mine, **({"uid": uid_of(node)} if how == "made anew" else {}))
    assert given["ok"], given
    node.ctl("delete", "pod", "phoenix")
    if how == "made anew":
        node.apply(POD.format(labels="{app: other}"))
    caught_up(node)
    client = Client(node).send(**interface(node, "halves", given))
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        client.answer()
    assert not row(node, given["slot"])["flags"] & 1
    client.socket.settimeout(20)
    if how == "deleted":
        node.apply(POD.format(labels="{app: it}"))
        assert client.answer()["ok"] and row(node, given["slot"])["flags"] & 1
    assert call(node, op="del", **mine)["ok"]
    if how == "made anew":
        assert client.answer()["code"] == 11
    client.close()
    node.run("ip", "link", "del", "halves")
    node.ctl("delete", "pod", "phoenix")


def test_an_interface_that_goes_without_del(node):
    """A runtime that never calls DEL: what it held comes back by itself, also where the agent was away meanwhile."""
    def listed(container):
        return any(container in json.dumps(ip) for ip in json.loads(node.ctl("ipam", "check", "-o", "json"))["ips"])

    for while_down in (False, True):
        pod, stays = node.pod("forsaken"), node.pod("stays")
        record = f"/proc/{node.pid}/root/var/lib/margay/cni/attachments/{pod.container}:eth0.json"
        assert os.path.exists(record)
        wait_for(lambda: listed(pod.container), "its address is written")
        if while_down:
            node.kill_agent()
        node.run("ip", "link", "del", pod.result["interfaces"][0]["name"])
        if while_down:
            node.start_agent()
        wait_for(lambda: pod.container not in endpoints(node), lambda: "the endpoint goes\n" + node.tail(), 30)
        assert not os.path.exists(record) and stays.container in endpoints(node)
        wait_for(lambda: not listed(pod.container), "its address is given back")
        assert listed(stays.container)
        wait_for(lambda: "forsaken" not in node.ctl("get", "workloadendpoint", "-A"), "its object goes")
        pod.delete()  # late: nothing to do
        stays.delete()


def test_starts_where_localhost_has_no_address(node):
    """A container's root without /etc/hosts: health is at 127.0.0.1 all the same."""
    node.kill_agent()
    node.sh("cp -a /etc/hosts /etc/nsswitch.conf /run && : > /etc/hosts && echo 'hosts: files' > /etc/nsswitch.conf")
    try:
        assert node.try_run("getent", "ahosts", "localhost").returncode != 0
        node.start_agent()
        assert "health" not in node.tail(10)
    finally:
        node.sh("cat /run/hosts > /etc/hosts && cat /run/nsswitch.conf > /etc/nsswitch.conf")


def test_the_last_word_of_an_object_stands(node):
    """Sandboxes of one pod that come and go faster than they are written: what the store says in the end is the last
    one's, then nothing."""
    def stored():
        return [w["spec"]["containerID"] for w in json.loads(node.ctl("get", "workloadendpoint", "-A", "-o", "json"))["items"]
                if w["spec"]["pod"] == "hasty"]

    for i in range(30):
        mine = {**names(f"hasty{i}"), "pod": "hasty"}
        given = call(node, op="allocate", **mine)
        assert call(node, **interface(node, f"hasty{i}", given))["ok"]
        if i < 29:
            assert call(node, op="del", **mine)["ok"]
            node.run("ip", "link", "del", f"hasty{i}")
    wait_for(lambda: stored() == ["hasty29"], lambda: f"the last one: {stored()}")
    assert call(node, op="del", **mine)["ok"]
    node.run("ip", "link", "del", "hasty29")
    wait_for(lambda: not stored(), "no object")
    assert not stored()


def test_addresses_of_other_plugins_outlive_a_restart(node):
    """margay-ipam for a main plugin of others: the agent knows no such attachment, and keeps its address."""
    theirs = names("bridged", network="theirs")
    given = call(node, op="ipam-allocate", **theirs)
    assert given["ok"], given
    pod = node.pod("ours")
    restart(node)
    assert call(node, op="ipam-check", **theirs)["addresses"] == given["addresses"]
    assert call(node, op="ipam-release", **theirs)["ok"]
    assert call(node, op="ipam-check", **theirs)["code"] == 3
    pod.delete()
