# SPDX-License-Identifier: Apache-2.0
"""Log rules: they do not end the evaluation, and what they saw is told by the agent's log and by `monitor`."""
import json
import os
import subprocess

import pytest

import cluster as places
from cluster import wait_for

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: logged, namespace: logs}
spec:
  selector: app == 'server'
  types: [Ingress]
  order: 10
  ingress:
  - {action: Log, protocol: TCP, destination: {ports: [80]}}
  - {action: Allow, protocol: TCP, destination: {ports: [80, 81]}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: log-unmatched}
spec:
  selector: projectcalico.org/namespace == 'logs'
  types: [Ingress]
  order: 20000
  ingress: [{action: Log}]
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: logs, labels: {app: %s}}
spec: {nodeName: n1, containers: [{name: c, image: none}]}
"""

RATE = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {logActionRateLimit: %s, logActionRateLimitBurst: %d}
"""


@pytest.fixture(scope="module")
def pods(cluster):
    node = cluster["n1"]
    node.apply("---".join(POD % (name, name) for name in ("client", "server")))
    made = {name: node.pod(name, "logs") for name in ("client", "server")}
    for port in (80, 81, 82):
        made["server"].serve_tcp(port, "served")
    node.apply(POLICY)
    wait_for(lambda: made["client"].tcp(made["server"].address(), 82, wait=1) is None, "policy in force")
    yield made
    node.ctl("delete", "caliconetworkpolicy", "logged", "-n", "logs")
    node.ctl("delete", "globalnetworkpolicy", "log-unmatched")


def lines(node, **members):
    """The log's JSON lines that have these members."""
    found = []
    with open(node.log, errors="replace") as log:
        for text in log:
            line = json.loads(text) if text.startswith("{") else {}
            if line.get("msg") == "packet" and all(line[name] == value for name, value in members.items()):
                found.append(line)
    return found


def test_a_log_rule_does_not_decide(cluster, pods):
    """The rule behind it allows; the line names rule, ends and verdict."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    before = len(lines(node, dport=80))
    assert client.tcp(server.address(), 80) == "served"
    wait_for(lambda: len(lines(node, dport=80)) > before, "a line")
    line = lines(node, dport=80)[-1]
    assert (line["from"], line["to"], line["src"], line["dst"]) == ("logs/client", "logs/server", client.address(), server.address())
    assert (line["verdict"], line["proto"], line["level"], line["node"], line["hook"]) == ("allowed", 6, "info", "n1", "from_pod")
    assert "reason" not in line
    rule = line["rule"]
    assert (rule["kind"], rule["namespace"], rule["name"], rule["direction"], rule["rule"]) == (
        "NetworkPolicy", "logs", "logged", "ingress", 0)
    assert len(lines(node, dport=80)) == before + 1, "one a connection, not one a packet"
    assert client.tcp(server.address(), 81) == "served" and not lines(node, dport=81)


def test_unmatched_traffic(cluster, pods):
    """What no rule decides: the Log rule of the last policy sees it, and the tier's end denies it."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    before = len(lines(node, dport=8282))
    assert client.tcp(server.address(), 8282, wait=1) is None
    wait_for(lambda: len(lines(node, dport=8282)) > before, "a line")
    line = lines(node, dport=8282)[-1]
    assert (line["verdict"], line["reason"], line["rule"]["name"]) == ("denied", "policy-ingress", "log-unmatched")


def test_monitor_tells_the_log_rule(cluster, pods):
    """As lines and as JSON; a denied packet's record counts as dropped, an allowed one's as allowed."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    for port, verdict, kinds in ((8283, "dropped", {"drop", "log"}), (80, "allowed", {"flow", "log"})):
        watch = node.start(os.path.join(places.BUILD, "margayctl"), "monitor", "--to", "logs/server", "--verdict", verdict,
                           "-o", "json", "-c", "2", stdout=subprocess.PIPE)
        plain = node.start(os.path.join(places.BUILD, "margayctl"), "monitor", "--to", "logs/server", "--verdict", verdict,
                           "-c", "2", stdout=subprocess.PIPE)

        def seen():
            client.tcp(server.address(), port, wait=1)
            return watch.poll() is not None and plain.poll() is not None
        wait_for(seen, "records")
        records = [json.loads(line) for line in watch.communicate()[0].splitlines()]
        assert {record["kind"] for record in records} <= kinds
        logged = [record for record in records if record["kind"] == "log"]
        assert logged and logged[0]["log"][0]["name"] == ("logged" if port == 80 else "log-unmatched")
        assert "; logged by " in plain.communicate()[0].decode()


def test_rate_of_each_rule(cluster, pods):
    """logActionRateLimit: what is too much is left out, counted, and the next line says how much."""
    node, client, server = cluster["n1"], pods["client"], pods["server"]
    node.apply(RATE % ("2/second", 3))
    try:
        def burst():
            before = len(lines(node, dport=8300))
            client.run("sh", "-c", "for i in $(seq 200); do echo x | socat -u - UDP:%s:8300; done" % server.address())
            return len(lines(node, dport=8300)) - before
        wait_for(lambda: burst() < 60, "the rate in force", timeout=60)
        wait_for(lambda: burst() and any("left_out" in line for line in lines(node, dport=8300)), "a line that says so")
        policy, = [one for one in json.loads(node.ctl("policy", "show", "logs/server", "-o", "json"))[0]["ingress"]
                   if one["name"] == "log-unmatched"]
        assert policy["rules"][0]["action"] == "Log"
        assert policy["rules"][0]["connections"] > len(lines(node, dport=8300)) + 100
    finally:
        node.ctl("delete", "felixconfiguration", "default")


def test_without_a_log_rule_nobody_reads(cluster, pods):
    """The ring buffer is mapped while a Log rule is in force, and no longer."""
    node = cluster["n1"]

    def mappings():
        with open(f"/proc/{node.agent.pid}/maps") as maps:
            return maps.read().count("bpf-map")
    before = mappings()
    node.ctl("delete", "caliconetworkpolicy", "logged", "-n", "logs")
    node.ctl("delete", "globalnetworkpolicy", "log-unmatched")
    wait_for(lambda: mappings() < before, "the ring is closed")
    node.apply(POLICY)
    wait_for(lambda: mappings() == before, "and read again")
