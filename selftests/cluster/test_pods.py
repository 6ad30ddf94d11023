# SPDX-License-Identifier: Apache-2.0
"""Margay as the network of a real cluster, the agents started by hand: what kubectl makes gets addresses, reaches each other, obeys."""
import json
import os

import pytest
from kube import addresses, is_ready, pod, server

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


def test_churn_leaves_nothing(kube, pods):
    """Pods come together and go together: no address, interface or endpoint is left."""
    before = {name: node.devices() for name, node in kube.nodes.items()}
    addresses_before = held(kube)
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many", "namespace": "default"},
                "spec": {"replicas": 12, "selector": {"matchLabels": {"app": "many"}},
                         "template": {"metadata": {"labels": {"app": "many"}},
                                      "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [server("many")]}}}})
    kube.kubectl("rollout", "status", "deployment/many", "-n", "default", "--timeout=90s", timeout=100)
    many = [each for one in kube.pods(app="many") for each in addresses(one)]
    assert len(many) == len(set(many)) == 24
    kube.kubectl("delete", "deployment", "many", "-n", "default")
    wait_for(lambda: not kube.pods(app="many"), "the pods are gone", 60, 0.3)
    for name, node in kube.nodes.items():
        wait_for(lambda name=name, node=node: node.devices() == before[name], lambda node=node: f"interfaces are gone: {node.devices()}", 30, 0.3)
    wait_for(lambda: held(kube) == addresses_before, lambda: f"addresses are given back: {held(kube)}", 30, 0.3)
    for node in kube.nodes.values():
        assert "many" not in node.ctl("endpoints", "show")
