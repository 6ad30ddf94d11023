# SPDX-License-Identifier: Apache-2.0
"""Calico's policies, tiers and sets and Kubernetes' cluster policies between real pods of two nodes."""
import json

import pytest

from cluster import wait_for
from monitor import Monitor

CALICO = "projectcalico.org/v3"


@pytest.fixture(scope="module")
def pods(cluster):
    made = {"client": cluster["n1"].pod("client", "calico"), "server": cluster["n1"].pod("server", "calico"),
            "far": cluster["n2"].pod("far", "calico"), "other": cluster["n2"].pod("other", "elsewhere")}
    cluster["n1"].apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": pod.namespace, "labels": {"app": name}},
         "spec": {"containers": [{"name": "c", "image": "none"}]}} for name, pod in made.items()]}))
    for port in (80, 443):
        made["server"].serve_tcp(port, "served")
    for name in ("client", "far", "other"):
        wait_for(lambda n=name: reaches(made[n], made["server"]), f"{name} reaches the server")
    return made


@pytest.fixture
def apply(cluster, pods):
    """Puts objects in force; takes them away at the end, the last one first. What a former test's still close is waited for."""
    made = []
    for name in ("client", "far", "other"):
        for port in (80, 443):
            settles(pods, name, True, port)

    def put(kind, name, spec, namespace=None, api=CALICO):
        item = {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
        if namespace:
            item["metadata"]["namespace"] = namespace
        if item["metadata"] not in [old["metadata"] for old in made]:
            made.append(item)
        cluster["n1"].apply(json.dumps(item))

    yield put
    for item in reversed(made):
        cluster["n1"].ctl("delete", "-f", "-", stdin=json.dumps(item))


def reaches(source, target, port=80, family=4):
    return source.tcp(target.address(family), port, wait=1) == "served"


def settles(pods, source, want, port=80):
    wait_for(lambda: reaches(pods[source], pods["server"], port) == want, f"{source} to {port} {'open' if want else 'closed'}")


def test_order_decides_and_the_end_of_the_tier_denies(pods, apply):
    """Of two policies the one of lower order goes first; what none of them names is denied, both families."""
    apply("NetworkPolicy", "allow", {"order": 20, "selector": "app == 'server'", "types": ["Ingress"], "ingress": [
        {"action": "Allow", "protocol": "TCP", "source": {"selector": "app in {'client', 'far'}"},
         "destination": {"ports": [80]}}]}, "calico")
    settles(pods, "other", False)
    for family in (4, 6):
        assert reaches(pods["client"], pods["server"], 80, family) and reaches(pods["far"], pods["server"], 80, family)
        assert not reaches(pods["client"], pods["server"], 443, family)
    apply("NetworkPolicy", "deny", {"order": 10, "selector": "app == 'server'", "types": ["Ingress"], "ingress": [
        {"action": "Deny", "source": {"selector": "app == 'far'"}}]}, "calico")
    settles(pods, "far", False)
    assert reaches(pods["client"], pods["server"])


def test_a_tier_goes_first_and_passes(cluster, pods, apply):
    """A tier ahead of default denies one sender whatever stands behind, passes the rest; trace names it."""
    apply("Tier", "security", {"order": 100, "defaultAction": "Pass"})
    apply("GlobalNetworkPolicy", "quarantine", {"tier": "security", "selector": "app == 'server'", "types": ["Ingress"],
                                                "ingress": [{"action": "Deny", "source": {"selector": "app == 'far'"}},
                                                            {"action": "Pass"}]})
    apply("NetworkPolicy", "allow", {"selector": "app == 'server'", "types": ["Ingress"],
                                     "ingress": [{"action": "Allow"}]}, "calico")
    settles(pods, "far", False)
    assert reaches(pods["client"], pods["server"]) and reaches(pods["other"], pods["server"])

    def told():
        return cluster["n2"].ctl("trace", "calico/far", "calico/server", "--protocol", "tcp", "--port", "80")

    wait_for(lambda: "quarantine" in told() and "verdict: dropped" in told(), told)  # n1 judges; n2 follows by itself


def test_a_network_set_by_its_labels(pods, apply):
    """Addresses of a set are matched as a whole; a changed set is in force by itself."""
    apply("GlobalNetworkPolicy", "partners", {"selector": "app == 'server'", "types": ["Ingress"], "ingress": [
        {"action": "Allow", "source": {"selector": "role == 'partner'"}}]})
    settles(pods, "other", False)
    members = {"nets": [f"{pods['other'].address()}/32"]}
    set_ = {"apiVersion": CALICO, "kind": "GlobalNetworkSet",
            "metadata": {"name": "partners", "labels": {"role": "partner"}}, "spec": members}
    node = pods["client"].node
    try:
        node.apply(json.dumps(set_))
        settles(pods, "other", True)
        assert not reaches(pods["far"], pods["server"])
        members["nets"] = [f"{pods['far'].address()}/32"]
        node.apply(json.dumps(set_))
        settles(pods, "other", False)
        settles(pods, "far", True)
    finally:
        node.ctl("delete", "globalnetworkset", "partners")


def test_egress_of_one_namespace(pods, apply):
    """A policy of the sender's namespace by its destination; others' senders are not concerned."""
    apply("NetworkPolicy", "out", {"selector": "all()", "types": ["Egress"], "egress": [
        {"action": "Allow", "protocol": "TCP", "destination": {"selector": "app == 'server'", "notPorts": [443]}}]}, "calico")
    settles(pods, "client", False, 443)
    assert reaches(pods["client"], pods["server"], 80) and reaches(pods["other"], pods["server"], 443)


def test_cluster_policies_around_a_namespaced_one(pods, apply):
    """Admin's deny cannot be undone below; Baseline's holds where no NetworkPolicy selects."""
    group, subject = "policy.networking.k8s.io/v1alpha2", {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "calico"}}}
    elsewhere = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
    apply("ClusterNetworkPolicy", "baseline", {"tier": "Baseline", "priority": 1, "subject": subject,
                                               "ingress": [{"action": "Deny", "from": [elsewhere]}]}, api=group)
    settles(pods, "other", False)
    apply("NetworkPolicy", "all", {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}, "calico",
          api="networking.k8s.io/v1")
    settles(pods, "other", True)
    apply("ClusterNetworkPolicy", "admin", {"tier": "Admin", "priority": 1, "subject": subject,
                                            "ingress": [{"action": "Deny", "from": [elsewhere]}]}, api=group)
    settles(pods, "other", False)
    assert reaches(pods["far"], pods["server"])


def test_a_policy_of_a_missing_tier_is_inactive(cluster, pods, apply):
    apply("GlobalNetworkPolicy", "orphan", {"tier": "absent", "selector": "all()", "ingress": [{"action": "Deny"}]})
    shown = cluster["n1"].ctl("get", "globalnetworkpolicy", "-o", "wide")
    assert "there is no tier absent" in shown
    assert reaches(pods["client"], pods["server"])


def test_trace_names_policies_in_force_alone(cluster, pods, apply):
    """Of a drop that no rule decided: a staged policy allows nothing, so it is not among those that do not."""
    apply("StagedNetworkPolicy", "later", {"selector": "app == 'server'", "types": ["Ingress"]}, "calico")
    apply("NetworkPolicy", "closed", {"selector": "app == 'server'", "types": ["Ingress"]}, "calico")
    settles(pods, "client", False)
    told = cluster["n1"].ctl("trace", "calico/client", "calico/server", "--port", "80")
    assert "no rule of NetworkPolicy calico/closed allows it" in told


def staged_flow(node, source, target):
    """A row of the node between two pods of which the policy strict says something: of connections of former tests others do."""
    flows = [flow for flow in json.loads(node.ctl("flows", "show", "-o", "json"))
             if flow["src"] == source.address() and flow["dst"] == target.address() and
             (flow.get("staged", {}).get("ingress_rule") or {}).get("name") == "strict"]
    return flows[0]


def test_a_staged_policy_decides_nothing_and_is_seen(cluster, pods, apply):
    """Traffic goes on; flows, trace and monitor say what would become of it; Ignore and Learn say nothing."""
    node = cluster["n1"]
    spec = {"selector": "app == 'server'", "types": ["Ingress"], "ingress": [
        {"action": "Deny", "source": {"selector": "app == 'client'"}}, {"action": "Allow"}]}
    apply("StagedNetworkPolicy", "strict", spec, "calico")
    wait_for(lambda: "would be denied (StagedNetworkPolicy calico/strict, ingress rule 0" in
             node.ctl("trace", "calico/client", "calico/server", "--port", "80"), "the policy is staged")
    monitor = Monitor(node, "--verdict", "allowed", "--from", "calico/client")
    wait_for(lambda: reaches(pods["client"], pods["server"]) and monitor.records(kind="flow"), "a record")
    event = monitor.first(kind="flow", dport=80)
    monitor.stop()
    for told in (event, staged_flow(node, pods["client"], pods["server"])):
        assert told["staged"]["verdict"] == "denied"
        assert told["staged"]["ingress_rule"]["kind"] == "StagedNetworkPolicy" and told["staged"]["egress_rule"] is None
    assert "denied by StagedNetworkPolicy calico/strict 0" in node.ctl("flows", "show")
    assert reaches(pods["other"], pods["server"])
    assert staged_flow(node, pods["other"], pods["server"])["staged"]["verdict"] == "allowed"
    for action in ("Ignore", "Learn"):
        apply("StagedNetworkPolicy", "strict", {**spec, "stagedAction": action}, "calico")
        wait_for(lambda: "would be" not in node.ctl("trace", "calico/client", "calico/server", "--port", "80"), action)


def test_a_staged_deletion(cluster, pods, apply):
    """Without the policy that it names: what is in force denies, what is staged would not; a tier of its own is skipped."""
    node = cluster["n1"]
    apply("Tier", "later", {"order": 50})
    apply("StagedGlobalNetworkPolicy", "alone", {"tier": "later", "selector": "app == 'far'", "types": ["Egress"],
                                                 "egress": [{"action": "Deny"}]})
    apply("NetworkPolicy", "closed", {"selector": "app == 'server'", "types": ["Ingress"]}, "calico")
    settles(pods, "client", False)
    apply("StagedNetworkPolicy", "closed", {"stagedAction": "Delete"}, "calico")
    wait_for(lambda: "ingress of calico/server: would be allowed" in
             node.ctl("trace", "calico/client", "calico/server", "--port", "80"), "the deletion is staged")
    assert not reaches(pods["client"], pods["server"])
