# SPDX-License-Identifier: Apache-2.0
"""Addresses on three nodes, end to end: plugin, agent, store and margayctl, and kills of the agent."""
import json
import signal

import pytest

from cluster import BUILD, Failed, Pod, wait_for

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: default
  annotations: {annotations}
spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]}}
"""


def check(cluster):
    return json.loads(cluster["n1"].ctl("ipam", "check", "-o", "json"))


def kinds(report):
    """Problems of the objects; Pods of the examples have no status, so use is not judged here."""
    return [p["kind"] for p in report["problems"] if p["kind"] not in ("leaked", "not-allocated")]


def settled(cluster):
    """The store knows of every pod and of no other: the addresses allocated are those that pods have."""
    want = sorted(address.split("/")[0] for address in addresses(cluster))

    def there():
        report = check(cluster)
        pods = [ip["ip"] for ip in report["ips"] if "type" not in ip and not ip["handle"].startswith("margay-reserve-")]
        return report if sorted(pods) == want else None
    return wait_for(there, "the store has every pod, and no other")


def addresses(cluster):
    return [ip["address"] for node in cluster.nodes.values() for pod in node.pods for ip in pod.result["ips"]]


@pytest.fixture
def pod(cluster):
    """A function that makes pods; they are gone after the test."""
    made = []

    def make(node, name, **extra):
        made.append(cluster[node].pod(name, **extra))
        return made[-1]
    yield make
    for one in made:
        if one in one.node.pods:
            one.delete()


def test_no_address_twice_and_check_is_clean(cluster, pod):
    for n in range(12):
        for node in ("n1", "n2", "n3"):
            pod(node, f"many-{n}-{node}")
    assert len(set(addresses(cluster))) == len(addresses(cluster)) == 72
    assert kinds(settled(cluster)) == []


def test_agents_killed_between(cluster, pod):
    before = [pod("n1", f"kill-{n}") for n in range(4)]
    taken = set(addresses(cluster))
    # At once: what the journal has the store may not have.
    cluster["n1"].kill_agent(signal.SIGKILL)
    cluster["n1"].start_agent()
    for one in before:
        assert cluster["n1"].cni("CHECK", one) == {}
    again = {ip["address"] for n in range(20) for ip in pod("n1", f"again-{n}").result["ips"]}
    assert not again & taken
    assert kinds(settled(cluster)) == []


def test_deleted_while_the_agent_is_down(cluster, pod):
    gone = pod("n2", "gone")
    settled(cluster)
    address = gone.address()
    cluster["n2"].kill_agent(signal.SIGKILL)
    gone.delete()
    cluster["n2"].start_agent()
    wait_for(lambda: "not assigned" in cluster["n1"].ctl("ipam", "show", "--ip", address), "the release")
    assert kinds(settled(cluster)) == []


def test_fixed_addresses_by_annotation(cluster, pod):
    wish = json.dumps({"cni.projectcalico.org/ipAddrs": '["10.244.77.7"]'})
    cluster["n1"].apply(POD.format(name="fixed", node="n3", annotations=wish))
    wait_for(lambda: cluster["n3"].ctl("get", "pod", "fixed", "-o", "name"), "the pod's object")
    assert [ip["address"] for ip in pod("n3", "fixed").result["ips"]] == ["10.244.77.7/32"]
    # Another attachment for the same Pod object asks for the same address.
    thief = Pod(cluster["n1"], "fixed")
    error = cluster["n1"].cni("ADD", thief, check=False)
    thief.close()
    assert error["code"] and "10.244.77.7" in error["msg"]
    cluster["n1"].ctl("delete", "pod", "fixed")


def test_annotations_of_a_pod_known_elsewhere(cluster, pod):
    """A StatefulSet's Pod that moves: whoever starts it may know its object before the agent's watch does."""
    wish = json.dumps({"cni.projectcalico.org/ipAddrs": '["10.244.77.8"]',
                       "cni.projectcalico.org/hwAddr": "02:11:22:33:44:55"})
    cluster["n1"].apply(POD.format(name="moved", node="n3", annotations=wish))
    one = pod("n1", "moved")
    assert [ip["address"] for ip in one.result["ips"]] == ["10.244.77.8/32"]
    assert [i["mac"] for i in one.result["interfaces"] if i.get("sandbox")] == ["02:11:22:33:44:55"]
    cluster["n1"].ctl("delete", "pod", "moved")


def test_fixed_address_out_of_another_reserve(cluster, pod):
    pod("n2", "holder")

    def reserved():
        return [ip["ip"] for ip in check(cluster)["ips"] if ip["handle"] == "margay-reserve-n2" and ":" not in ip["ip"]]
    address = wait_for(reserved, "a reserve on n2")[-1]
    wish = json.dumps({"cni.projectcalico.org/ipAddrs": json.dumps([address])})
    cluster["n1"].apply(POD.format(name="asker", node="n1", annotations=wish))
    assert pod("n1", "asker").address() == address
    cluster["n1"].ctl("delete", "pod", "asker")


def test_pool_by_node_label(cluster, pod):
    cluster["n1"].apply("""
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: a-labelled}
spec: {cidr: 10.99.0.0/24, nodeSelector: "rack == 'one'"}
""")
    cluster["n1"].ctl("label", "node", "n2", "rack=one")

    def lands():
        one = cluster["n2"].pod("labelled")
        address = one.address()
        one.delete()
        return address.startswith("10.99.0.")
    wait_for(lands, "an address of the labelled pool", step=0.3)
    assert not pod("n1", "elsewhere").address().startswith("10.99.0.")
    cluster["n1"].ctl("label", "node", "n2", "rack-")
    cluster["n1"].ctl("delete", "ippool", "a-labelled")


def test_margay_ipam_for_another_main_plugin(cluster):
    """The IPAM plugin alone, as bridge would run it; an agent's restart does not take the address away."""
    node = cluster["n1"]

    def run(command, **extra):
        conf = {"cniVersion": "1.0.0", "name": "other", "type": "bridge", "ipam": {"type": "margay-ipam"}, **extra}
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": "bare1", "CNI_IFNAME": "eth0",
               "CNI_NETNS": "/proc/self/ns/net", "CNI_PATH": "/opt/cni/bin"}
        done = node.try_run(f"{BUILD}/margay-ipam", stdin=json.dumps(conf), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    given = run("ADD")
    assert len(given["ips"]) == 2
    address = given["ips"][0]["address"].split("/")[0]
    node.kill_agent(signal.SIGKILL)
    node.start_agent()
    assert run("ADD") == given
    run("CHECK", prevResult=given)
    wait_for(lambda: "other.bare1" in node.ctl("ipam", "show", "--ip", address), "the handle in the store")
    run("DEL")
    wait_for(lambda: "not assigned" in node.ctl("ipam", "show", "--ip", address), "the release")


def test_show(cluster, pod):
    one = pod("n1", "shown")
    settled(cluster)
    text = cluster["n1"].ctl("ipam", "show", "--ip", one.address())
    assert "is in use" in text and "pod: shown" in text and "node: n1" in text
    pools = json.loads(cluster["n1"].ctl("ipam", "show", "-o", "json"))["pools"]
    pool = next(p for p in pools if p["name"] == "default-ipv4-ippool")
    assert pool["total"] == 65536
    assert pool["inUse"] + pool["reserve"] + pool["resting"] + pool["free"] == 65536
    assert "GROUPING" in cluster["n1"].ctl("ipam", "show", "--show-blocks")


def test_commands(cluster, pod):
    """configure, release by hand, split: messages and effects as docs/ipam.md says."""
    n1 = cluster["n1"]
    assert n1.ctl("ipam", "configure", "--ip-cooldown-seconds=6") == "Successfully set IPCooldownSeconds to: 6\n"
    assert "IPCooldownSeconds    6" in n1.ctl("ipam", "show", "--show-configuration")
    with pytest.raises(Failed, match="strictAffinity"):
        n1.ctl("ipam", "configure", "--strictaffinity=false", "--max-blocks-per-host=2")
    # A leak: a pod that the store knows and nobody runs. Its WorkloadEndpoint is gone with the container.
    one = pod("n3", "leaky")
    settled(cluster)
    address = one.address()
    assert f"Successfully released IP address {address}" in n1.ctl("ipam", "release", "--ip", address)
    assert "not assigned" in n1.ctl("ipam", "show", "--ip", address)
    assert "is not assigned" in n1.ctl("ipam", "release", "--ip", address)
    held = next(ip["ip"] for ip in check(cluster)["ips"] if ip["handle"] == "margay-reserve-n3")
    with pytest.raises(Failed, match="reserve of node n3"):
        n1.ctl("ipam", "release", "--ip", held)
    n1.apply("""
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: whole}
spec: {cidr: 10.98.0.0/24, disabled: true}
""")
    n1.ctl("ipam", "split", "4", "--name", "whole")
    assert [line.split()[:2] for line in n1.ctl("get", "ippool").splitlines() if "whole" in line] == [
        [f"split-whole-{n}", f"10.98.0.{64 * n}/26"] for n in range(4)]
    n1.ctl("delete", "ippool", *[f"split-whole-{n}" for n in range(4)])
