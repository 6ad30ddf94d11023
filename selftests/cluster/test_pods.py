# SPDX-License-Identifier: Apache-2.0
"""Margay as the network of a real cluster, the agents started by hand: what kubectl makes gets addresses, reaches each other, obeys."""
import json
import os
import signal
import subprocess

import pytest
from kube import PORT, addresses, is_ready, pod, server
from real_apiserver import find

import cluster as places
from cluster import wait_for

POOLS = os.path.join(places.TOP, "manifests/examples/three-nodes/00-pools.yaml")
NODES = ("n1", "n3")


@pytest.fixture(scope="module")
def kube(bare):
    bare.define_kinds()
    bare.kubectl("apply", "-f", POOLS)
    for node in bare.nodes.values():
        node.start_agent("--datastore", f"kubernetes:{bare.api}/kubeconfig")
        node.install_cni(bare.network)
    bare.wait_nodes_ready()
    yield bare


@pytest.fixture(scope="module")
def pods(kube):
    kube.apply(pod("goal", "n1", app="goal"), pod("near", "n1", app="near"), pod("far", "n3", app="far"))
    kube.wait_pods_ready("goal", "near", "far")
    return {name: kube.one("pod", name) for name in ("goal", "near", "far")}


def test_addresses(kube, pods):
    """Each pod has one of each family, of the pools, and no two the same; the Pod's annotation says the same as its status."""
    seen = [each for one in pods.values() for each in addresses(one)]
    assert len(seen) == len(set(seen)) == 6
    assert all(each.startswith(("10.244.", "fd00:244:")) for each in seen)
    for name, one in pods.items():
        wait_for(lambda name=name, one=one: json.dumps(kube.one("pod", name)["metadata"].get("annotations", {})).find(addresses(one)[0]) > 0,
                 f"{name} is annotated")


def test_reach(kube, pods):
    """On one node and across them, both families, pings and connections."""
    for name in ("near", "far"):
        for address in addresses(pods["goal"]):
            assert kube.ping(name, address), f"{name} to {address}"
            assert kube.fetch(name, address) == "goal", f"{name} to {address}"


def test_from_hosts(kube, pods):
    """Each node reaches each pod; the kubelet's probes come this way."""
    for node in kube.nodes.values():
        for address in addresses(pods["goal"])[:1] + addresses(pods["far"])[:1]:
            assert node.run("curl", "-fsS", "-m", "5", f"http://{address}:8080/")


def test_policy(kube, pods):
    """A NetworkPolicy denies, whichever node the peer is on, and lets go."""
    address = addresses(pods["goal"])[0]
    kube.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed", "namespace": "default"},
                "spec": {"podSelector": {"matchLabels": {"app": "goal"}}, "policyTypes": ["Ingress"],
                         "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}]}})
    try:
        wait_for(lambda: kube.fetch("near", address) is None, "near is denied")
        assert kube.fetch("far", address) == "goal"
    finally:
        kube.kubectl("delete", "networkpolicy", "closed", "-n", "default")
    wait_for(lambda: kube.fetch("near", address) == "goal", "near reaches it again")
    assert is_ready(kube.one("pod", "goal"))


def test_service(kube, pods):
    """A ClusterIP that kube-controller-manager's EndpointSlices fill."""
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "goal", "namespace": "default"},
                "spec": {"selector": {"app": "goal"}, "ports": [{"port": 80, "targetPort": 8080}]}})
    address = kube.one("service", "goal")["spec"]["clusterIP"]
    for name in ("near", "far"):
        wait_for(lambda name=name: kube.fetch(name, address, 80) == "goal", f"{name} reaches the service")
    # The agent was told the folder below which the hierarchy is.
    assert kube.nodes["n3"].run("curl", "-fsS", "-m", "5", f"http://{address}/").strip() == "goal"
    kube.kubectl("delete", "service", "goal", "-n", "default")


def test_exec_and_logs(kube, pods):
    assert kube.exec("far", "hostname").stdout.strip() == "far"
    assert kube.try_kubectl("logs", "far").returncode == 0


def held(kube):
    """Addresses that pods hold by the blocks. Those that nodes hold for themselves, and those that cool down (no handle), are not counted."""
    out = []
    for block in kube.get("ipamblocks.projectcalico.org"):
        spec = block["spec"]
        for index, attribute in enumerate(spec["allocations"]):
            if attribute is not None:
                handle = spec["attributes"][attribute].get("handle_id") or ""
                if handle and not handle.startswith(("margay-reserve", "ipip-tunnel", "vxlan-tunnel")):
                    out.append((spec["cidr"], index, handle))
    return out


def deployment(replicas):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "many"}},
                     "template": {"metadata": {"labels": {"app": "many"}},
                                  "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [server("many")]}}}}


def nothing_is_left(kube, devices, addresses_before):
    wait_for(lambda: not kube.pods(app="many"), "the pods are gone", 60, 0.3)
    for name, node in kube.nodes.items():
        wait_for(lambda name=name, node=node: node.devices() == devices[name], lambda node=node: f"interfaces are gone: {node.devices()}", 30, 0.3)
    wait_for(lambda: held(kube) == addresses_before, lambda: f"addresses are given back: {held(kube)}", 30, 0.3)
    for node in kube.nodes.values():
        assert "many" not in node.ctl("endpoints", "show")


def test_churn_leaves_nothing(kube, pods):
    """Pods come together and go together: no address, interface or endpoint is left."""
    before, addresses_before = {name: node.devices() for name, node in kube.nodes.items()}, held(kube)
    kube.apply(deployment(12))
    kube.kubectl("rollout", "status", "deployment/many", "-n", "default", "--timeout=90s", timeout=100)
    many = [each for one in kube.pods(app="many") for each in addresses(one)]
    assert len(many) == len(set(many)) == 24
    kube.kubectl("delete", "deployment", "many", "-n", "default")
    nothing_is_left(kube, before, addresses_before)


def stream(kube, source, target, count):
    """Pings, five a second, behind an exec that goes on whatever becomes of kubelet and API server; what ping says at its end by result()."""
    return kube.router.start(find("kubectl"), "--kubeconfig", f"{kube.api}/kubeconfig", "exec", source, "--", "ping", "-i", "0.2", "-c", str(count), target,
                             stdout=subprocess.PIPE)


def lost_nothing(process, count):
    text = process.communicate(timeout=180)[0].decode()
    assert f"{count} packets transmitted, {count} packets received" in text, text[-500:]


def test_agent_killed_during_churn(kube, pods):
    """Killed while pods come and while they go: the next agent takes over what there is, the runtime tries again, nothing is left and nothing is lost."""
    node, before, addresses_before = kube.nodes["n1"], {name: node.devices() for name, node in kube.nodes.items()}, held(kube)
    pings = stream(kube, "far", addresses(pods["goal"])[0], 100)

    def killed(condition, what):
        wait_for(condition, what, 60, 0.05)
        node.kill_agent()
        node.start_agent("--datastore", f"kubernetes:{kube.api}/kubeconfig")

    kube.apply(deployment(12))
    killed(lambda: len(node.devices()) > len(before["n1"]), "pods come")
    kube.kubectl("rollout", "status", "deployment/many", "-n", "default", "--timeout=150s", timeout=160)
    many = [each for one in kube.pods(app="many") for each in addresses(one)]
    assert len(many) == len(set(many)) == 24
    standing = len(node.devices())
    kube.kubectl("delete", "deployment", "many", "-n", "default", "--wait=false")
    killed(lambda: len(node.devices()) < standing, "pods go")
    nothing_is_left(kube, before, addresses_before)
    lost_nothing(pings, 100)


def test_kubelet_restarts(kube, pods):
    """Its pods and their traffic go on without it, and it starts and ends pods as before."""
    node, address = kube.nodes["n1"], addresses(pods["goal"])[0]
    pings = stream(kube, "far", address, 50)
    node.stop(node.kubelet, signal.SIGKILL)
    assert kube.fetch("far", address) == "goal"
    node.start_kubelet(kube.api, kube.addresses["n1"])
    kube.apply(pod("after", "n1"))
    kube.wait_pods_ready("after")
    assert kube.fetch("far", addresses(kube.one("pod", "after"))[0]) == "after"
    assert addresses(kube.one("pod", "goal")) == addresses(pods["goal"]), "the pods that were there are the same"
    kube.kubectl("delete", "pod", "after", "-n", "default")
    lost_nothing(pings, 50)


def test_api_server_away(kube, pods):
    """Neither agents nor kubelets reach it for a while: traffic and policy are as they were, and what was asked meanwhile is made up for."""
    address = addresses(pods["goal"])[0]
    closed = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed", "namespace": "default"},
              "spec": {"podSelector": {"matchLabels": {"app": "goal"}}, "policyTypes": ["Ingress"],
                       "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}]}}
    rule = ["INPUT", "!", "-i", "lo", "-p", "tcp", "--dport", str(PORT), "-j", "REJECT", "--reject-with", "tcp-reset"]

    def agents_know(up):
        return all(f"\nmargay_datastore_up {up}\n" in node.run("curl", "-sS", "http://127.0.0.1:9091/metrics") for node in kube.nodes.values())

    pings = stream(kube, "far", address, 100)
    kube.router.run("iptables", "-I", *rule)
    try:
        wait_for(lambda: agents_know(0), "the agents notice", 60)
        kube.apply(closed, pod("late", "n1", app="late"))
        for node in kube.nodes.values():
            assert node.run("curl", "-fsS", "-m", "5", f"http://{address}:8080/").strip() == "goal"
    finally:
        kube.router.run("iptables", "-D", *rule)
    kube.wait_pods_ready("late", timeout=120)
    wait_for(lambda: agents_know(1), "the agents are back", 60)
    try:
        wait_for(lambda: kube.fetch("near", address) is None, "the policy that was made meanwhile holds", 60)
        assert kube.fetch("far", address) == "goal"
    finally:
        kube.kubectl("delete", "networkpolicy/closed", "pod/late", "-n", "default")
    wait_for(lambda: kube.fetch("near", address) == "goal", "and is gone")
    lost_nothing(pings, 100)
