# SPDX-License-Identifier: Apache-2.0
"""margayctl policy history, rollback, resume: the way back on one node, over restarts, while others go on."""
import json

import pytest

from cluster import BUILD, wait_for

CALICO = "projectcalico.org/v3"


@pytest.fixture(scope="module")
def pods(cluster):
    made = {name: cluster[node].pod(name, "history") for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2"), ("d", "n2"))}
    for name in ("b", "d"):
        made[name].serve_tcp(80, "served")
        made[name].serve_tcp(81, "served")
    for source, target in (("a", "b"), ("c", "d")):
        wait_for(lambda s=source, t=target: opened(made, s, t, 80), f"{source} reaches {target}")
    return made


@pytest.fixture(autouse=True)
def clean(cluster):
    yield
    for name in ("n1", "n2"):
        cluster[name].try_run(f"{BUILD}/margayctl", "policy", "resume")
    cluster["n1"].ctl("delete", "networkpolicy.projectcalico.org", "--all", "-n", "history")


def opened(pods, source, target, port):
    return pods[source].tcp(pods[target].address(), port, wait=1) == "served"


def ports(pods, node):
    """Which of 80 and 81 are open between the node's two pods."""
    source, target = ("a", "b") if node == "n1" else ("c", "d")
    return [port for port in (80, 81) if opened(pods, source, target, port)]


def apply(node, name, *allowed):
    node.apply(json.dumps({"apiVersion": CALICO, "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "history"},
                           "spec": {"selector": "all()", "types": ["Ingress"],
                                    "ingress": [{"action": "Allow", "protocol": "TCP",
                                                 "destination": {"ports": list(allowed)}}]}}))


def history(node):
    return json.loads(node.ctl("policy", "history", "-o", "json"))


def newest(node):
    change = history(node)[0]
    return change["state"], [(one["object"].split("/")[-1], one["change"]) for one in change["objects"]]


def metric(node, name):
    lines = node.run("curl", "-fsS", "http://127.0.0.1:9091/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def test_back_and_forth(cluster, pods):
    """One node goes back and holds; the other one is not concerned; new pods get what is in force; resume brings all of it."""
    n1, n2 = cluster["n1"], cluster["n2"]
    apply(n1, "one", 80)
    wait_for(lambda: ports(pods, "n1") == [80] and ports(pods, "n2") == [80], "the first policy")
    apply(n1, "one", 81)
    wait_for(lambda: ports(pods, "n1") == [81] and ports(pods, "n2") == [81], "the second")
    assert newest(n1) == ("in-force", [("one", "changed")])
    n1.ctl("policy", "rollback")
    assert ports(pods, "n1") == [80], "at once"
    assert ports(pods, "n2") == [81]
    assert not n1.ready() and n2.ready()
    status = json.loads(n1.ctl("status", "-o", "json"))
    assert status["policy_held"] and "policy is held: 1 objects wait" in status["reasons"]
    assert metric(n1, "margay_policy_held") == 1 and metric(n1, "margay_policy_waiting_objects") == 1
    rows = history(n1)
    assert [row["state"] for row in rows[:3]] == ["waits", "taken-back", "in-force"] and rows[0]["number"] is None

    apply(n1, "two", 80, 81)
    wait_for(lambda: ports(pods, "n2") == [80, 81], "a later change elsewhere")
    wait_for(lambda: len(history(n1)[0]["objects"]) == 2, "and here it waits")
    assert ports(pods, "n1") == [80]
    pods["late"] = n1.pod("late", "history")
    wait_for(lambda: pods["a"].ping(pods["late"].address()) is False, "the new pod has the policy in force")
    n1.ctl("policy", "resume")
    assert ports(pods, "n1") == [80, 81]
    wait_for(n1.ready, "ready again")
    assert newest(n1) == ("in-force", [("one", "changed"), ("two", "added")])
    n1.ctl("policy", "rollback")
    assert ports(pods, "n1") == [80], "what resume brought is one change"
    n1.ctl("policy", "resume")


def test_several_changes(cluster, pods):
    """Added, changed, deleted ones; further back than there are changes is refused, and nothing happens."""
    n1 = cluster["n1"]
    apply(n1, "first", 80)
    wait_for(lambda: ports(pods, "n1") == [80], "one added")
    apply(n1, "second", 81)
    wait_for(lambda: ports(pods, "n1") == [80, 81], "another one")
    n1.ctl("delete", "networkpolicy.projectcalico.org", "first", "-n", "history")
    wait_for(lambda: ports(pods, "n1") == [81], "the first deleted")
    assert newest(n1) == ("in-force", [("first", "deleted")])
    n1.ctl("policy", "rollback")
    assert ports(pods, "n1") == [80, 81]
    n1.ctl("policy", "rollback", "2")
    assert ports(pods, "n1") == [80, 81], "no policy is left of this test"
    assert {one["change"] for one in history(n1)[0]["objects"]} == {"added"}
    done = n1.try_run(f"{BUILD}/margayctl", "policy", "rollback", "32")
    assert done.returncode == 1 and "changes can be taken back" in done.stderr
    n1.ctl("policy", "resume")
    assert ports(pods, "n1") == [81]
    done = n1.try_run(f"{BUILD}/margayctl", "policy", "resume")
    assert done.returncode == 1 and "is not held" in done.stderr


def test_held_over_a_restart(cluster, pods):
    """Killed and started again it is still held, also against what changed meanwhile; resume brings that."""
    n1 = cluster["n1"]
    apply(n1, "kept", 80)
    wait_for(lambda: ports(pods, "n1") == [80], "in force")
    apply(n1, "kept", 81)
    wait_for(lambda: ports(pods, "n1") == [81], "changed")
    n1.ctl("policy", "rollback")
    n1.kill_agent()
    assert ports(pods, "n1") == [80]
    apply(cluster["n2"], "more", 81)
    n1.start_agent(wait=False)
    wait_for(lambda: n1.try_run(f"{BUILD}/margayctl", "status").returncode == 0, "the agent answers")
    wait_for(lambda: len(history(n1)[0]["objects"]) == 2, "two wait")
    assert ports(pods, "n1") == [80] and not n1.ready()
    assert newest(n1)[0] == "waits" and {name for name, _ in newest(n1)[1]} == {"kept", "more"}
    n1.ctl("policy", "resume")
    assert ports(pods, "n1") == [81]
    n1.kill_agent()
    n1.start_agent()
    assert ports(pods, "n1") == [81]
