# SPDX-License-Identifier: Apache-2.0
"""What the tools show of a running node: endpoints, flows, drops, identities, routes, policies."""
import ipaddress
import json

import pytest

from cluster import wait_for

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: tools}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]
  egress: [{to: [{podSelector: {}}]}]
"""


@pytest.fixture(scope="module")
def pods(cluster):
    node = cluster["n1"]
    made = {name: node.pod(name, "tools") for name in ("client", "server")}
    made["far"] = cluster["n2"].pod("far", "tools")
    for port in (80, 81):
        made["server"].serve_tcp(port, "served")
    wait_for(lambda: made["far"].address() in node.ctl("get", "wep", "-A", "-o", "yaml"), "the far pod")
    node.apply(POLICY)
    # Not asked by the client, which is to have no connection but the one that is allowed.
    wait_for(lambda: made["far"].tcp(made["server"].address(), 81, wait=1) is None, "policy in force")
    assert made["client"].tcp(made["server"].address(), 80) == "served"
    yield made
    node.ctl("delete", "networkpolicy", "web", "-n", "tools")


def show(node, *words):
    return json.loads(node.ctl(*words, "-o", "json"))


def test_endpoints(cluster, pods):
    rows = {row["pod"]: row for row in show(cluster["n1"], "endpoints", "show") if row["namespace"] == "tools"}
    assert set(rows) == {"client", "server"}
    for name, row in rows.items():
        assert row["ipv4"] == pods[name].address() and row["ipv6"] == pods[name].address(6) and row["ready"]
    table = cluster["n1"].ctl("endpoints", "show")
    assert table.split("\n")[0].split() == ["NAMESPACE", "POD", "INTERFACE", "IPV4", "IPV6", "IDENTITY", "READY"]


def test_flows_name_state_and_rules(cluster, pods):
    """The connection that was allowed, with the rules that let it out and in."""
    client, server = pods["client"].address(), pods["server"].address()
    rows = [row for row in show(cluster["n1"], "flows", "show") if row["src"] == client and row["dst"] == server]
    assert [row["dport"] for row in rows] == [80]
    row = rows[0]
    assert row["proto"] == 6 and row["state"] in ("established", "closing", "closed", "reset")
    if row["state"] in ("closed", "reset"):
        assert row["packets"] is None and row["bytes"] is None
        allowed = [rule for policy in show(cluster["n1"], "policy", "show", "tools/server")[0]["ingress"] for rule in policy.get("rules", [])]
        assert max(rule["packets"] for rule in allowed) > 1, "what it counted is its rules'"
    else:
        assert row["packets"] > 1
    for side, direction in (("egress_rule", "egress"), ("ingress_rule", "ingress")):
        rule = row[side]
        assert (rule["kind"], rule["namespace"], rule["name"]) == ("NetworkPolicy", "tools", "web")
        assert rule["direction"] == direction and rule["rule"] == 0
    wide = [line for line in cluster["n1"].ctl("flows", "show", "-o", "wide").split("\n") if f" {client} " in line]
    assert any("tcp" in line and line.count("NetworkPolicy tools/web 0") == 2 for line in wide)


def test_drops_name_hook_and_reason(cluster, pods):
    def dropped():
        return sum(row["packets"] for row in show(cluster["n1"], "drops", "show")
                   if (row["hook"], row["reason"]) == ("from_pod", "policy-ingress"))

    before = dropped()
    assert pods["client"].tcp(pods["server"].address(), 81, wait=1) is None
    assert dropped() > before


def test_identities_hold_the_pods(cluster, pods):
    """Pods of one namespace that the same rules select are one identity; its text says by what."""
    rows = [row for row in show(cluster["n1"], "identities", "show") if pods["client"].address() in row["addresses"]]
    assert len(rows) == 1
    assert {pods["server"].address(), pods["far"].address()} <= set(rows[0]["addresses"])
    assert "tools" in rows[0]["atoms"]


def test_routes_tell_where_blocks_are(cluster, pods):
    """The far pod's block over the uplink by name, the own one a blackhole; the kernel has the same."""
    def holding(address):
        return [row for row in show(cluster["n1"], "routes", "show")
                if ipaddress.ip_address(address) in ipaddress.ip_network(row["destination"])]

    far, = holding(pods["far"].address())
    assert far["device"] == "eth0" and not far["blackhole"]
    own, = holding(pods["client"].address())
    assert own["blackhole"]
    kernel = cluster["n1"].run("ip", "route", "show", "proto", "80")
    assert far["destination"] in kernel and f"blackhole {own['destination']}" in kernel
    assert "DEVICE" in cluster["n1"].ctl("routes", "show").split("\n")[0]


def test_policies_by_endpoint(cluster, pods):
    rows = {row["pod"]: row for row in show(cluster["n1"], "policy", "show") if row["namespace"] == "tools"}
    for name in ("client", "server"):
        for direction in ("ingress", "egress"):
            assert [policy["name"] for policy in rows[name][direction]] == ["web"]
            assert rows[name][direction][0]["tier"] == "default"
