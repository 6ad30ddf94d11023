# SPDX-License-Identifier: Apache-2.0
"""What load balancers ask a node: healthCheckNodePort and the proxy's healthz, as kube-proxy answers them."""
import json
import os

import pytest

import cluster as places
from cluster import wait_for

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  externalTrafficPolicy: Local
  healthCheckNodePort: PORT
  ports: [{port: 80, nodePort: 30080}]
"""
SLICELESS = SERVICE.replace("PORT", "32000")
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
- {addresses: [10.244.0.1], nodeName: n1}
- {addresses: [10.244.0.2], nodeName: n1, conditions: {ready: READY}}
- {addresses: [10.244.1.1], nodeName: n2}
"""


@pytest.fixture(scope="module")
def node():
    with places.Cluster(("n1",)) as made:
        made.start()
        told = made["n1"].try_run(os.path.join(places.BUILD, "margayctl"), "validate", "-f", "-", stdin=SLICELESS)
        if "Service has no effect yet" in told.stdout + told.stderr:
            pytest.skip("Services have no effect yet: nothing is served")
        yield made["n1"]


def ask(node, port, path="/", address="127.0.0.1"):
    """(status, headers, body), None where nobody listens."""
    done = node.try_run("curl", "-sS", "-i", "-m", f"{3 * places.PATIENCE:g}", f"http://{address}:{port}{path}")
    if done.returncode:
        return None
    head, _, body = done.stdout.replace("\r", "").partition("\n\n")
    lines = head.splitlines()
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), json.loads(body)


def until(node, port, wanted):
    def said():
        got = ask(node, port)
        return got if got and (got[0], got[2]["localEndpoints"]) == wanted else None

    return wait_for(said, lambda: f"{wanted} at {port}, has {ask(node, port)}\n{node.tail()}")


def test_ready_endpoints_are_counted(node):
    node.apply(SERVICE.replace("PORT", "32000"))
    status, headers, body = until(node, 32000, (503, 0))
    assert headers["Content-Type"] == "application/json" and headers["X-Content-Type-Options"] == "nosniff"
    node.apply(SLICE.replace("READY", "true"))
    status, headers, body = until(node, 32000, (200, 2))
    assert headers["X-Load-Balancing-Endpoint-Weight"] == "2"
    assert body == {"service": {"namespace": "default", "name": "web"}, "localEndpoints": 2, "serviceProxyHealthy": True}
    assert ask(node, 32000, address="[::1]")[0] == 200
    node.apply(SLICE.replace("READY", "false"))
    until(node, 32000, (200, 1))


def test_the_port_follows_the_service(node):
    node.apply(SERVICE.replace("PORT", "32001"))
    until(node, 32001, (200, 1))
    wait_for(lambda: ask(node, 32000) is None, "the former port is closed")
    node.ctl("delete", "service", "web")
    wait_for(lambda: ask(node, 32001) is None, "the port is closed")


def test_a_port_that_is_taken_is_tried_again(node):
    """A kube-proxy that still runs keeps its port; when it ends, the agent answers."""
    other = node.start("socat", "TCP6-LISTEN:32002,reuseaddr,fork", "SYSTEM:true")
    wait_for(lambda: ":32002 " in node.run("ss", "-Hltn"), "the other one listens")
    node.apply(SERVICE.replace("PORT", "32002"))
    wait_for(lambda: "load balancers cannot ask" in node.tail(), node.tail)
    assert node.ready()
    node.stop(other)
    until(node, 32002, (200, 1))
    node.ctl("delete", "service", "web")


def test_the_proxys_own_health(node):
    status, headers, body = ask(node, 10256, "/healthz")
    assert (status, body["nodeEligible"]) == (200, True)
    assert body["lastUpdated"].endswith("Z") and body["currentTime"] >= body["lastUpdated"]
    assert ask(node, 10256, "/livez")[0] == 200


def test_a_node_that_is_about_to_go(node):
    node.apply("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
               "spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}\n")
    wait_for(lambda: ask(node, 10256, "/healthz")[0] == 503, lambda: str(ask(node, 10256, "/healthz")))
    assert ask(node, 10256, "/healthz")[2]["nodeEligible"] is False
    assert ask(node, 10256, "/livez")[0] == 200


def test_the_port_is_configured(node):
    node.apply("apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
               "spec: {bpfKubeProxyHealthzPort: 10300}\n")
    wait_for(lambda: ask(node, 10300, "/livez"), node.tail)
    wait_for(lambda: ask(node, 10256, "/livez") is None, "the former port is closed")
