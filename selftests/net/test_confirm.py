# SPDX-License-Identifier: Apache-2.0
"""Policies applied until somebody confirms them: on every node, over restarts, with and without the word."""
import json
import time

import pytest

from cluster import BUILD, PATIENCE, Failed, wait_for

CALICO = "projectcalico.org/v3"


@pytest.fixture(scope="module")
def pods(cluster):
    made = {name: cluster[node].pod(name, "confirm") for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2"), ("d", "n2"))}
    for name in ("b", "d"):
        made[name].serve_tcp(80, "served")
    for source, target in (("a", "b"), ("c", "d"), ("a", "d")):
        wait_for(lambda s=source, t=target: opened(made, s, t), f"{source} reaches {target}")
    return made


@pytest.fixture(autouse=True)
def clean(cluster):
    yield
    cluster["n1"].ctl("delete", "networkpolicy.projectcalico.org", "--all", "-n", "confirm")


def opened(pods, source, target):
    return pods[source].tcp(pods[target].address(), 80, wait=1) == "served"


def both(pods, want):
    return opened(pods, "a", "b") == want and opened(pods, "c", "d") == want


def policy(ports, name="gate"):
    return json.dumps({"apiVersion": CALICO, "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "confirm"},
                       "spec": {"selector": "all()", "types": ["Ingress"],
                                "ingress": [{"action": "Allow", "protocol": "TCP", "destination": {"ports": ports}}]}})


def apply(node, text, *options):
    return node.ctl("apply", *options, "-f", "-", stdin=text)


def stored(node, name="gate"):
    return json.loads(node.ctl("get", "networkpolicy.projectcalico.org", name, "-n", "confirm", "-o", "json"))


def is_stored(node, name="gate"):
    try:
        return stored(node, name)
    except Failed:
        return None


def metric(node, name):
    lines = node.run("curl", "-fsS", "http://127.0.0.1:9091/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def test_a_new_one_goes_by_itself(cluster, pods):
    """Every node takes it back at the same moment; some agent takes it out of the store."""
    node = cluster["n1"]
    applied = time.monotonic()
    apply(node, policy([81]), "--confirm", "6s")
    wait_for(lambda: both(pods, False), "closed on both nodes", 5)
    waits = json.loads(node.ctl("status", "-o", "json"))["unconfirmed"]
    assert [one["object"] for one in waits] == ["NetworkPolicy.projectcalico.org confirm/gate"] and not waits[0]["over"]
    wait_for(lambda: both(pods, True), "open again on both nodes", 20)
    assert time.monotonic() - applied > 5
    wait_for(lambda: is_stored(node) is None, "gone from the store", 10)
    wait_for(lambda: json.loads(cluster["n2"].ctl("status", "-o", "json"))["unconfirmed"] == [], "nothing waits", 10)
    assert both(pods, True)


def test_a_changed_one_is_what_it_was(cluster, pods):
    """Its former content, labels and annotations; a second apply meanwhile does not change what that is."""
    node = cluster["n1"]
    apply(node, policy([80]))
    before = stored(node)
    apply(node, policy([81]), "--confirm", "30s")
    wait_for(lambda: both(pods, False), "closed on both nodes", 5)
    apply(node, policy([82]), "--confirm", "4s")
    wait_for(lambda: both(pods, True), "open again on both nodes", 20)
    wait_for(lambda: stored(node)["spec"] == before["spec"], "written back", 10)
    after = stored(node)
    for item in (before, after):
        del item["metadata"]["resourceVersion"]
    assert after == before


def test_the_word_keeps_it(cluster, pods):
    """Said on another node."""
    node, other = cluster["n1"], cluster["n2"]
    apply(node, policy([81]), "--confirm", "5s")
    assert "gate confirmed" in other.ctl("confirm")
    assert other.ctl("confirm") == ""
    wait_for(lambda: both(pods, False), "closed on both nodes", 5)
    time.sleep(6 * PATIENCE)
    assert both(pods, False) and stored(node)["spec"]["ingress"][0]["destination"]["ports"] == [81]
    assert "margay.dev/confirm" not in stored(node)["metadata"].get("annotations", {})


def test_agents_that_were_away(cluster, pods):
    """One that starts while the time runs takes it back too; where all start afterwards it is never in force again."""
    nodes = [cluster["n1"], cluster["n2"]]
    missed = metric(nodes[1], "margay_unconfirmed_reverted_total")
    apply(nodes[0], policy([81]), "--confirm", "8s")
    wait_for(lambda: both(pods, False), "closed on both nodes", 5)
    assert metric(nodes[1], "margay_unconfirmed_objects") == 1
    nodes[0].kill_agent()
    nodes[0].start_agent()
    wait_for(lambda: both(pods, True), "open again on both nodes", 20)
    wait_for(lambda: is_stored(nodes[0]) is None, "gone from the store", 10)
    assert metric(nodes[1], "margay_unconfirmed_reverted_total") == missed + 1

    everybody = [cluster[name] for name in ("n1", "n2", "n3")]
    for node in everybody:
        node.kill_agent()
    apply(nodes[0], policy([81]), "--confirm", "1s")
    time.sleep(1.5)
    for node in everybody:
        node.start_agent(wait=False)
    for node in everybody:
        node.wait_ready()
        assert both(pods, True)
    wait_for(lambda: is_stored(nodes[0]) is None, "gone from the store", 10)
    assert both(pods, True)


def test_what_does_not_wait(cluster, pods):
    """Kinds on which no policy depends, times that are none, and nothing to confirm."""
    node = cluster["n1"]
    pod = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "waits"}})
    done = node.try_run(f"{BUILD}/margayctl", "apply", "--confirm", "5s", "-f", "-", stdin=pod)
    assert done.returncode == 1 and "--confirm is for policies" in done.stderr
    for text in ("5", "0s", "25h", "5x", "-3s", "5s5"):
        assert node.try_run(f"{BUILD}/margayctl", "apply", f"--confirm={text}", "-f", "-", stdin=policy([80])).returncode
    assert is_stored(node) is None
    done = node.try_run(f"{BUILD}/margayctl", "confirm")
    assert done.returncode == 0 and "Nothing waits" in done.stderr
