# SPDX-License-Identifier: Apache-2.0
"""What rules count (design section 4, "Rule numbers"): of live flows too, and where people see it: `policy show`,
`get -o wide`, metrics."""
import json
import os
import re

import pytest

import cluster as places
from cluster import wait_for

PING = 84  # bytes of an IPv4 packet of `ping -s 56`

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: counted}
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
  - {action: Pass, source: {selector: app == 'nobody'}}
  - {action: Allow, protocol: ICMP}
  - {action: Deny, protocol: UDP}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: counted}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{}]
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: later, namespace: counted}
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress: [{action: Deny, protocol: ICMP}]
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: counted, labels: {app: %s}}
spec: {nodeName: n1, containers: [{name: c, image: none}]}
"""


@pytest.fixture(scope="module")
def pods(cluster):
    node = cluster["n1"]
    node.apply("---".join(POD % (name, name) for name in ("client", "server")))
    made = {name: node.pod(name, "counted") for name in ("client", "server")}
    node.apply(POLICY)
    wait_for(lambda: shown(node, "client")["egress"] and len(shown(node, "server")["ingress"]) == 2, "policies in force")
    yield made
    for kind, name in (("caliconetworkpolicy", "server"), ("netpol", "out"), ("snp", "later")):
        node.ctl("delete", kind, name, "-n", "counted")


def shown(node, pod):
    return json.loads(node.ctl("policy", "show", f"counted/{pod}", "-o", "json"))[0]


def rule(node, pod, direction, policy, index):
    found, = [one for one in shown(node, pod)[direction] if one["name"] == policy]
    row, = [one for one in found["rules"] if one["rule"] == index]
    return row["connections"], row["packets"], row["bytes"]


def test_order_and_words(cluster, pods):
    """Tier, order, name; each rule with its action; staged ones are marked; what comes after all of them."""
    row = shown(cluster["n1"], "server")
    assert [(one["kind"], one["name"], one["staged"]) for one in row["ingress"]] == [
        ("StagedNetworkPolicy", "later", "Set"), ("NetworkPolicy", "server", None)]
    assert [one["action"] for one in row["ingress"][1]["rules"]] == ["Pass", "Allow", "Deny"]
    assert row["egress"] == [] and row["end"] == "Allow"
    lines = [re.split(r"\s{2,}", line) for line in
             cluster["n1"].ctl("policy", "show", "counted/server").rstrip("\n").split("\n")]
    assert lines[0] == ["DIRECTION", "STAGE", "TIER", "POLICY", "RULE", "ACTION", "CONNECTIONS", "PACKETS", "BYTES", "MATCHES"]
    assert [line[3:6] for line in lines[1:5]] == [
        ["StagedNetworkPolicy counted/later (staged)", "0", "Deny"], ["NetworkPolicy counted/server", "0", "Pass"],
        ["NetworkPolicy counted/server", "1", "Allow"], ["NetworkPolicy counted/server", "2", "Deny"]]
    assert lines[5][3:5] == ["end of the tier", "Deny"]
    assert any("end: profiles" in line and "Allow" in line for line in lines[6:])


def test_a_live_flow_is_counted_to_the_packet(cluster, pods):
    """Both directions' packets, at both ends, while the flow lives: the row has them. And of the staged rule that would
    have denied it."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    before = rule(node, "server", "ingress", "server", 1)
    assert client.run("ping", "-n", "-c", "5", "-i", "0.05", "-s", "56", server.address())
    for pod, direction, policy, index in (("server", "ingress", "server", 1), ("client", "egress", "out", 0),
                                          ("server", "ingress", "later", 0)):
        connections, packets, size = rule(node, pod, direction, policy, index)
        assert (connections - before[0], packets - before[1], size - before[2]) == (1, 10, 10 * PING), (policy, packets)


def test_a_denied_packet_is_counted(cluster, pods):
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    before = rule(node, "server", "ingress", "server", 2)
    client.run("sh", "-c", f"echo x | socat -u - UDP:{server.address()}:53,sourceport=5353")
    assert rule(node, "server", "ingress", "server", 2) == (before[0] + 1, before[1] + 1, before[2] + 30)


def test_a_change_keeps_what_was_counted(cluster, pods):
    """Judged anew by another policy, restarted: the counts go on from where they were."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    flow = client.start("ping", "-n", "-i", "0.05", "-s", "56", server.address())
    wait_for(lambda: rule(node, "server", "ingress", "server", 1)[1] > 20, "packets of a live flow")
    first = rule(node, "server", "ingress", "server", 1)
    node.apply(POLICY.split("---")[1].replace("egress: [{}]", "egress: [{}, {ports: [{port: 99}]}]"))
    wait_for(lambda: len(shown(node, "client")["egress"][0]["rules"]) == 2, "the other policy in force")
    client.stop(flow)
    second = rule(node, "server", "ingress", "server", 1)
    assert second >= first
    node.kill_agent()
    node.start_agent()
    wait_for(lambda: len(shown(node, "server")["ingress"]) == 2, "policies after the restart")
    assert rule(node, "server", "ingress", "server", 1) >= second


def test_get_wide_and_metrics(cluster, pods):
    node = cluster["n1"]
    allowed, denied = (rule(node, "server", "ingress", "server", index) for index in (1, 2))
    line, = [row for row in node.ctl("get", "caliconetworkpolicy", "-n", "counted", "-o", "wide").split("\n") if "server" in row]
    assert line.split()[-4:] == [str(figure) for figure in (allowed[0], denied[0], allowed[1] + denied[1], allowed[2] + denied[2])]
    text = node.run("curl", "-sS", "http://127.0.0.1:9091/metrics")
    labels = ('{kind="NetworkPolicy",policy_group="projectcalico.org",policy_namespace="counted",policy="server",'
              'tier="default",direction="ingress",action="%s"} %d')
    for name, place in (("connections", 0), ("packets", 1), ("bytes", 2)):
        for action, figures in (("allow", allowed), ("deny", denied)):
            assert f"margay_policy_{name}_total" + labels % (action, figures[place]) in text
    assert "margay_policy_rules_uncounted 0" in text
    # another node has nobody whom the policy selects
    assert re.search(r"server\s.*\s-\s+-\s+-\s+-$", cluster["n2"].ctl("get", "caliconetworkpolicy", "-n", "counted", "-o", "wide"), re.M)


TIMEOUTS = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {bpfConntrackTimeouts: {icmpTimeout: 1s}}
"""


def test_a_flow_that_is_over_is_swept(cluster, pods):
    """Nobody looks its row up again: the agent's round ends it, and the rules keep what it counted."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]

    def rows():
        return [flow for flow in json.loads(node.ctl("flows", "show", "-o", "json"))
                if flow["proto"] == 1 and flow["src"] == client.address() and flow["dst"] == server.address()]
    client.run("ping", "-n", "-c", "3", "-i", "0.05", "-s", "56", server.address())
    assert rows()
    before = rule(node, "server", "ingress", "server", 1)
    node.apply(TIMEOUTS)
    try:
        node.kill_agent()
        node.start_agent()
        wait_for(lambda: not rows(), "the round", timeout=40)
        assert rule(node, "server", "ingress", "server", 1) == before
        assert client.ping(server.address())
    finally:
        node.ctl("delete", "felixconfiguration", "default")


def test_unknown_endpoint(cluster, pods):
    asked = cluster["n1"].try_run(os.path.join(places.BUILD, "margayctl"), "policy", "show", "counted/nobody")
    assert asked.returncode == 1 and "no such pod" in asked.stderr
