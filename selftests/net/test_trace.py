# SPDX-License-Identifier: Apache-2.0
"""`margayctl trace`: what happens to the next packet of a connection that is there, on one node, from
node to node, and outside; and what would have to be different where policy denies a new one."""
import json
import os
import time

import pytest

from cluster import wait_for
from conftest import EXAMPLES

SERVER = "TCP4-LISTEN:7100,fork,reuseaddr"


@pytest.fixture(scope="module")
def pods(cluster):
    made = {"near": cluster["n1"].pod("frontend", "shop"), "by": cluster["n1"].pod("backend", "shop"),
            "far": cluster["n2"].pod("batch", "shop")}
    for pod in (made["by"], made["far"]):
        pod.start("socat", SERVER, "EXEC:cat")
        wait_for(lambda p=pod: ":7100 " in p.run("ss", "-Hltn"), "server")
    wait_for(lambda: made["near"].ping(made["far"].address()), "far pod")
    return made


@pytest.fixture
def connection(pods):
    """A TCP connection from near to another pod, over which bytes have gone; its source port."""
    held = []

    def connect(target):
        process = pods["near"].start("socat", "SYSTEM:echo hello; sleep 60",
                                     f"TCP4:{target.address()}:7100,connect-timeout=5")
        held.append(process)

        def port():
            lines = pods["near"].run("ss", "-Htn", "state", "established", "dst", target.address())
            return [int(line.split()[2].rsplit(":", 1)[1]) for line in lines.splitlines()]
        return wait_for(port, "a connection")[0]

    yield connect
    for process in held:
        pods["near"].stop(process)


def trace(cluster, source, target, *more):
    out = cluster["n1"].ctl("trace", source, target, "--port", "7100", "-o", "json", *more)
    return json.loads(out)


def steps(answer):
    return {step["step"]: step["text"] for step in answer["steps"]}


def test_new_and_live_on_one_node(cluster, pods, connection):
    port = connection(pods["by"])
    new, = trace(cluster, "shop/frontend", "shop/backend")
    live, = trace(cluster, "shop/frontend", "shop/backend", "--flow")
    assert steps(new)["flow"] == "no flow yet" and "egress policy" in steps(new)
    assert steps(live)["flow"].startswith("known, established")
    assert "egress policy" not in steps(live)
    assert live["verdict"] == "allowed"
    assert (live["flow"]["sport"], live["flow"]["dport"]) == (port, 7100)


def test_either_end_may_ask(cluster, pods, connection):
    port = connection(pods["by"])
    out = cluster["n1"].ctl("trace", "shop/backend", "shop/frontend", "--port", str(port), "--flow",
                            "-o", "json")
    live, = json.loads(out)
    assert steps(live)["flow"].startswith("known, established")
    assert live["flow"]["sport"] == 7100


def test_from_node_to_node(cluster, pods, connection):
    port = connection(pods["far"])
    answers = trace(cluster, "shop/frontend", "shop/batch", "--source-port", str(port))
    assert [answer["node"] for answer in answers] == ["n1", "n2"]
    for answer in answers:
        assert steps(answer)["flow"].startswith("known, established"), answer
    assert answers[-1]["verdict"] == "allowed"


def test_asking_changes_nothing(cluster, pods, connection):
    port = connection(pods["by"])

    def row():
        out = cluster["n1"].ctl("flows", "show", "-o", "json")
        flows = json.loads(out)
        return [flow["packets"] for flow in flows if flow["sport"] == port and flow["dport"] == 7100]

    def at_rest():
        """What the connection says of its own, a late acknowledgement, has been said."""
        first = row()
        time.sleep(0.5)
        return first if first == row() else None

    before = wait_for(at_rest, "the row")
    trace(cluster, "shop/frontend", "shop/backend", "--flow")
    assert row() == before


def test_no_such_connection(cluster, pods):
    with pytest.raises(Exception, match="no such connection"):
        trace(cluster, "shop/frontend", "shop/backend", "--source-port", "1")


def test_revoked_by_a_change(cluster, pods, connection):
    """The next packet after a change of policy is judged again, and the trace says by what."""
    connection(pods["by"])
    path = os.path.join(EXAMPLES, "30-deny-all.yaml")
    cluster["n1"].ctl("apply", "-f", path)
    try:
        def denied():
            live, = trace(cluster, "shop/frontend", "shop/backend", "--flow")
            return live if live["verdict"] == "dropped" else None
        live = wait_for(denied, "a denial")
        assert steps(live)["flow"].endswith("judged again")
        assert live["reason"].startswith("policy-")
    finally:
        cluster["n1"].ctl("delete", "-f", path)


NARROW = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: narrow, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {tier: gold}}}]
    ports: [{port: 7100}]
  - from: [{podSelector: {matchLabels: {tier: frontend}}}]
    ports: [{port: 8443}]
"""


@pytest.mark.parametrize("target, nodes", [("shop/backend", ["n1"]), ("shop/batch", ["n1", "n2"])])
def test_nearest_rule(cluster, pods, target, nodes):
    """Where the receiver's policy denies, the answer of its node names the rule that asks for the
    fewest different things, and that question is allowed."""
    cluster["n1"].apply(NARROW)
    try:
        def denied():
            answers = trace(cluster, "shop/frontend", target)
            return answers if answers[-1]["verdict"] == "dropped" else None
        answers = wait_for(denied, "a denial")
        assert [answer["node"] for answer in answers] == nodes
        nearest = answers[-1]["nearest"]
        assert nearest["if"] == [{"what": "label", "end": "source", "text": 'label tier == "gold" on the source'}]
        assert (nearest["rule"]["name"], nearest["rule"]["rule"], nearest["action"]) == ("narrow", 0, "Allow")
        text = cluster["n1"].ctl("trace", "shop/frontend", target, "--port", "22")
        assert "allowed if port 8443 (NetworkPolicy shop/narrow, ingress rule 1)" in text
        text = cluster["n1"].ctl("trace", "shop/frontend", target, "--port", "8443", "--protocol", "udp")
        assert "allowed if protocol TCP (NetworkPolicy shop/narrow, ingress rule 1)" in text
        allowed = json.loads(cluster["n1"].ctl("trace", "shop/frontend", target, "--port", "8443", "-o", "json"))
        assert allowed[-1]["verdict"] == "allowed" and "nearest" not in allowed[-1]
    finally:
        cluster["n1"].ctl("delete", "-f", "-", stdin=NARROW)
