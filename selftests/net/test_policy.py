# SPDX-License-Identifier: Apache-2.0
"""NetworkPolicy between real pods: the examples that people know, each with its truth table."""
import os

import pytest

from conftest import EXAMPLES
from cluster import wait_for

PODS = (("frontend", "shop", "n1"), ("backend", "shop", "n1"), ("batch", "shop", "n2"), ("reader", "blog", "n3"))


@pytest.fixture(scope="module")
def pods(cluster):
    made = {}
    for name, namespace, node in PODS:
        made[name] = cluster[node].pod(name, namespace)
        made[name].serve_tcp(8080, name)
        made[name].serve_tcp(9090, name)
    # Every node knows every pod before a truth table is read.
    for node in cluster.nodes.values():
        wait_for(lambda n=node: sum(p.address() in n.ctl("get", "wep", "-A", "-o", "yaml") for p in made.values()) == 4,
                 "workload endpoints")
    for pod in made.values():
        wait_for(lambda p=pod: p is made["frontend"] or made["frontend"].ping(p.address()), pod.name)
    return made


@pytest.fixture
def policies(cluster, pods):
    """Applies example files; removes them at the end. What a former test's still close is waited for."""
    applied = []
    check(pods, [(a, b, 8080, True) for a in pods for b in pods if a != b])

    def apply(*names):
        for name in names:
            path = os.path.join(EXAMPLES, name)
            cluster["n1"].ctl("apply", "-f", path)
            applied.append(path)

    yield apply
    for path in reversed(applied):
        cluster["n1"].ctl("delete", "-f", path, check=False)


def settled(pods, source, target, port, want):
    """The verdict once the change has reached the nodes of both ends."""
    return wait_for(lambda: (pods[source].tcp(pods[target].address(), port, wait=1) is not None) == want,
                    f"{source} to {target}:{port} {'open' if want else 'closed'}")


def check(pods, table):
    """All of the table holds, once each node has come to the last change."""
    def wrong():
        found = []
        for source, target, port, want in table:
            got = pods[source].tcp(pods[target].address(), port, wait=1) is not None
            if got != want:
                found.append(f"{source} -> {target}:{port} is {'open' if got else 'closed'}")
        return found

    wait_for(lambda: not wrong(), wrong)


def test_without_policy_everything_is_open(pods):
    check(pods, [(a, b, 8080, True) for a in pods for b in pods if a != b])


def test_deny_all(pods, policies):
    policies("30-deny-all.yaml")
    settled(pods, "batch", "backend", 8080, False)
    check(pods, [("frontend", "backend", 8080, False), ("reader", "frontend", 8080, False),
                 ("frontend", "reader", 8080, False)])


def test_allow_namespace(pods, policies):
    policies("30-deny-all.yaml", "40-allow-namespace.yaml")
    settled(pods, "reader", "frontend", 8080, False)
    check(pods, [("frontend", "backend", 8080, True), ("batch", "backend", 9090, True),
                 ("backend", "batch", 8080, True), ("frontend", "reader", 8080, False),
                 ("reader", "batch", 8080, False)])


def test_frontend_backend_by_named_port(pods, policies):
    policies("30-deny-all.yaml", "60-frontend-backend.yaml")
    settled(pods, "batch", "backend", 8080, False)
    settled(pods, "frontend", "backend", 8080, True)
    check(pods, [("frontend", "backend", 9090, False), ("batch", "backend", 8080, False),
                 ("reader", "backend", 8080, False), ("backend", "frontend", 8080, False)])


def test_node_reaches_its_own_pods_whatever_the_policy(cluster, pods, policies):
    policies("30-deny-all.yaml")
    settled(pods, "batch", "backend", 8080, False)
    done = cluster["n1"].try_run("socat", "-u", f"TCP:{pods['backend'].address()}:8080,connect-timeout=2", "-")
    assert done.stdout.strip() == "backend"


def test_a_pod_reaches_itself(pods, policies):
    policies("30-deny-all.yaml")
    settled(pods, "batch", "backend", 8080, False)
    assert pods["backend"].tcp(pods["backend"].address(), 8080) == "backend"


def test_a_changed_policy_reaches_a_live_flow(pods, policies):
    """One ping process, so one flow (its identifier): answers come, and stop with the policy."""
    target = pods["backend"].address()
    log = os.path.join(pods["batch"].node.folder, "ping.log")
    probe = pods["batch"].start("ping", "-n", "-i", "0.1", target, log=log)

    def answers():
        with open(log) as lines:
            return sum("bytes from" in line for line in lines)

    wait_for(lambda: answers() > 5, "answers")
    policies("30-deny-all.yaml")
    settled(pods, "batch", "backend", 8080, False)
    stopped = answers()
    assert not pods["batch"].ping(target, count=5, wait=1, extra=("-i", "0.1"))
    assert answers() <= stopped + 1
    pods["batch"].stop(probe)
