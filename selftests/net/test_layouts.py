# SPDX-License-Identifier: Apache-2.0
"""Upgrade and downgrade between two builds whose flow and policy rows differ (selftests/lib/longer_rows), under a UDP
sequence of 10,000 a second and long TCP connections, on one node and through the tunnel. LAYOUT_TURNS changes up and down."""
import concurrent.futures
import json
import os
import subprocess

import pytest

import cluster as places
import streams
from cluster import Pod, wait_for

EXAMPLES = os.path.join(places.TOP, "manifests", "examples", "three-nodes")
TURNS = int(os.environ.get("LAYOUT_TURNS", "1"))
LONGER = os.path.join(places.BUILD, "longer", "margay-agent")
PORT, SHUT = 5000, 5001
POLICY = f"""---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: streams, namespace: default}}
spec:
  podSelector: {{matchLabels: {{role: server}}}}
  policyTypes: [Ingress]
  ingress:
  - from: [{{podSelector: {{matchLabels: {{role: client}}}}}}]
    ports: [{{protocol: TCP, port: {PORT}}}, {{protocol: UDP, port: {PORT}}}]
"""
POD = "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {0}, namespace: default, labels: {{role: {1}}}}}, spec: {{nodeName: {2}, " \
      "containers: [{{name: c, image: none}}]}}}}\n"


@pytest.fixture(scope="module")
def pair():
    subprocess.run(["make", "-s", "-C", places.TOP, "longer-rows"], check=True, capture_output=True, timeout=280)
    with places.Cluster(nodes=("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        made.start()
        for name in ("00-pools.yaml", "10-namespaces.yaml"):
            made["n1"].ctl("apply", "-f", os.path.join(EXAMPLES, name))
        yield made


@pytest.fixture(scope="module")
def pods(pair):
    """The client speaks to one pod on its node and to one across the router, both under the policy."""
    places_of = {"client": ("client", "n1"), "near": ("server", "n1"), "far": ("server", "n3"), "stranger": ("none", "n3")}
    pair["n1"].apply("".join(POD.format(name, role, node) for name, (role, node) in places_of.items()) + POLICY)
    made = {name: pair[node].pod(name) for name, (_, node) in places_of.items()}
    for name in ("near", "far"):
        streams.serve(made[name], PORT)
        made[name].serve_tcp(SHUT, "shut")
        wait_for(lambda n=name: made["client"].try_run("nc", "-zw1", made[n].address(), PORT).returncode == 0, f"{name} is open")
        wait_for(lambda n=name: made["client"].tcp(made[n].address(), SHUT, 1) is None, f"{name}'s other port is shut")
    return made


def row_sizes(node):
    rows = {}
    for name in ("mg_flow_e", "mg_flow_t", "mg_slots", "mg_classes", "mg_verdicts"):
        shown = json.loads(node.run("bpftool", "-j", "map", "show", "pinned", f"/sys/fs/bpf/margay/maps/{name}"))
        rows[name] = shown["bytes_value"]
    return rows


def run_streams(pods, seconds=600, during=None):
    running = [streams.Stream(pods["client"], pods[name].address(), PORT, seconds, streams.FASTER // 2) for name in ("near", "far")]
    if not during:
        return [stream.result() for stream in running]
    try:
        during(running)
    finally:
        results = [stream.end() for stream in running]
    return results


def is_shut(pods):
    """What the policy forbids stays forbidden, to the near and to the far."""
    probes = [(pods[source], pods[name].address(), port) for name in ("near", "far")
              for source, port in (("client", SHUT), ("stranger", PORT))]
    with concurrent.futures.ThreadPoolExecutor(len(probes)) as pool:
        open_ones = pool.map(lambda probe: probe[0].try_run("nc", "-zw1", *probe[1:]).returncode == 0, probes)
        assert not any(open_ones)


def switch(node, program):
    before = row_sizes(node)
    node.kill_agent()
    node.start_agent(program=program)
    after = row_sizes(node)
    assert all(before[name] != after[name] for name in before), f"every one of the maps has other rows: {before} {after}"


def test_streams_over_changes_of_layout(pair, pods):
    def change(running):
        for _ in range(TURNS):
            for program in (LONGER, None):
                for node in (pair["n1"], pair["n3"]):
                    switch(node, program)
                    assert all(stream.running() for stream in running)
                    is_shut(pods)

    results = streams.compare(lambda seconds: run_streams(pods, seconds), lambda: run_streams(pods, during=change))
    print(results)
    assert all(result["udp_sent"] > 2000 for result in results)


def test_a_pod_of_one_build_is_the_other_s(pair, pods):
    """Made under the one, checked and deleted under the other; flows and policy reach it in both."""
    node = pair["n1"]
    old = node.pod("old")
    switch(node, LONGER)
    new = Pod(node, "new")
    node.pods.append(new)
    new.add()
    for pod in (old, new):
        assert node.cni("CHECK", pod) == {}
        assert pod.ping(pods["client"].address()) and pod.tcp(pods["far"].address(), SHUT, 1) is None
    old.delete()
    switch(node, None)
    assert node.cni("CHECK", new) == {}
    assert new.ping(pods["client"].address())
    new.delete()
    wait_for(lambda: len(json.loads(node.ctl("endpoints", "show", "-o", "json"))) == 2, "client and near are left")
