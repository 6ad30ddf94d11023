# SPDX-License-Identifier: Apache-2.0
"""EndpointSlices from Services with selectors, by the agent that holds the lease of the store."""
import json
import signal

import pytest

import cluster as places
from cluster import wait_for

OBJECTS = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool4}
spec: {cidr: 10.244.0.0/16}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool6}
spec: {cidr: 'fd00:244::/48'}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {team: shop}}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  clusterIP: None
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports: [{name: named, port: 80, targetPort: front}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: by-hand, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
ports: [{name: db, port: 5432}]
endpoints: [{addresses: [192.0.2.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {clusterIP: 10.96.0.11, ports: [{name: db, port: 5432}]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}}}
spec: {{nodeName: {node}, containers: [{{name: c, ports: [{{name: front, containerPort: 8080}}]}}]}}
status: {{phase: Running, conditions: [{{type: Ready, status: '{ready}'}}]}}
"""


@pytest.fixture(scope="module")
def pair():
    with places.Cluster(("n1", "n2")) as made:
        made["n1"].start_agent()
        made["n1"].apply(OBJECTS)
        wait_for(lambda: holder(made["n1"]) == "n1", lambda: made["n1"].tail())
        made["n2"].start_agent()
        yield made


def holder(node):
    done = node.ctl("get", "lease", "margay-controller", "-n", "kube-system", "-o", "json", check=False)
    return json.loads(done)["spec"]["holderIdentity"] if done else None


def slices(node, service):
    listed = json.loads(node.ctl("get", "endpointslices", "-o", "json"))["items"]
    return [one for one in listed if one["metadata"]["labels"]["kubernetes.io/service-name"] == service]


def endpoints(node, service, family="IPv4"):
    """{pod: ready}"""
    return {one["targetRef"]["name"]: one["conditions"]["ready"] for got in slices(node, service)
            if got["addressType"] == family for one in got["endpoints"]}


def pod(node, name, ready="True"):
    node.apply(POD.format(name=name, node=node.name, ready=ready))
    return node.pod(name)


def until(node, service, wanted, family="IPv4", timeout=15.0):
    wait_for(lambda: endpoints(node, service, family) == wanted,
             lambda: f"{service}: {wanted}, has {endpoints(node, service, family)}\n{node.tail()}", timeout)


def test_pods_become_endpoints(pair):
    one, two = pod(pair["n1"], "one"), pod(pair["n2"], "two", "False")
    until(pair["n1"], "web", {"one": True, "two": False})
    (got,) = slices(pair["n1"], "web")
    assert got["metadata"]["name"] == "web-ipv4-0"
    assert got["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.margay.dev"
    assert got["metadata"]["labels"]["team"] == "shop"
    assert [(p["name"], p["protocol"], p["port"]) for p in got["ports"]] == [("http", "TCP", 8080), ("dns", "UDP", 53)]
    by_name = {end["targetRef"]["name"]: end for end in got["endpoints"]}
    assert by_name["one"]["addresses"] == [one.address()] and by_name["one"]["nodeName"] == "n1"
    assert by_name["two"]["addresses"] == [two.address()] and by_name["two"]["nodeName"] == "n2"


def test_both_families_and_named_ports(pair):
    until(pair["n2"], "both", {"one": True, "two": False}, "IPv6")
    got = {one["addressType"]: one for one in slices(pair["n2"], "both")}
    assert set(got) == {"IPv4", "IPv6"}
    assert all(one["ports"][0]["port"] == 8080 for one in got.values())
    assert all("service.kubernetes.io/headless" in one["metadata"]["labels"] for one in got.values())


def test_readiness_and_deletion(pair):
    pair["n2"].apply(POD.format(name="two", node="n2", ready="True"))
    until(pair["n2"], "web", {"one": True, "two": True})
    pair["n2"].ctl("delete", "pod", "two")
    pair["n2"].pods[0].delete()
    until(pair["n2"], "web", {"one": True})


def test_what_a_service_does_not_ask_for_it_is_given(pair):
    """Cluster addresses, families and node ports, as an API server gives them; applied again, it keeps them."""
    text = """
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.50.0.0/24, 'fd00:50::/112']}
---
apiVersion: v1
kind: Service
metadata: {name: bare}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{name: u, port: 53, protocol: UDP}, {name: t, port: 53}]
"""
    pair["n1"].apply(text)

    def given():
        spec = json.loads(pair["n2"].ctl("get", "service", "bare", "-o", "json"))["spec"]
        return spec if "clusterIPs" in spec else None

    spec = wait_for(given, lambda: pair["n1"].tail())
    assert spec["ipFamilies"] == ["IPv4", "IPv6"] and spec["clusterIP"] == spec["clusterIPs"][0]
    assert [a.split(sep)[0] for a, sep in zip(spec["clusterIPs"], (".0.", "::"))] == ["10.50", "fd00:50"]
    ports = [port["nodePort"] for port in spec["ports"]]
    assert ports[0] == ports[1] and 30000 <= ports[0] <= 32767
    until(pair["n1"], "bare", {"one": True}, "IPv6")
    pair["n2"].apply(text)  # without its node ports: the holder of the lease gives them anew
    wait_for(lambda: given() == spec, lambda: f"{given()}, was {spec}")


def test_load_balancer_addresses(pair):
    """From an IPPool for them, the one that is asked for, and none where it is taken; the pool gone, it is kept."""
    pool = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: balancers}
spec: {cidr: 203.0.113.0/24, allowedUses: [LoadBalancer]}
"""
    service = """
apiVersion: v1
kind: Service
metadata:
  name: NAME
  annotations: {projectcalico.org/loadBalancerIPs: '["203.0.113.7"]'}
spec: {type: LoadBalancer, ports: [{port: 80}]}
"""

    def ingress(name):
        got = json.loads(pair["n2"].ctl("get", "service", name, "-o", "json"))
        return got.get("status", {}).get("loadBalancer", {}).get("ingress")

    pair["n1"].apply(service.replace("NAME", "first"))
    pair["n2"].apply(pool)
    wait_for(lambda: ingress("first") == [{"ip": "203.0.113.7", "ipMode": "VIP"}], lambda: pair["n1"].tail())
    pair["n2"].apply(service.replace("NAME", "second"))
    wait_for(lambda: "203.0.113.7 has another Service" in pair["n1"].tail(), lambda: pair["n1"].tail())
    assert ingress("second") is None
    pair["n1"].ctl("delete", "service", "first")
    wait_for(lambda: ingress("second"), lambda: pair["n1"].tail())
    pair["n1"].ctl("delete", "ippool", "balancers")
    pair["n1"].apply(service.replace("NAME", "second") + "")
    assert ingress("second") == [{"ip": "203.0.113.7", "ipMode": "VIP"}]


def test_slices_made_by_hand_stay(pair):
    (got,) = slices(pair["n1"], "outside")
    assert got["metadata"]["name"] == "by-hand"
    assert [one["addresses"] for one in got["endpoints"]] == [["192.0.2.1"]]


def test_another_agent_takes_over(pair):
    """The holder dies: another one does its work once the lease has run out. It comes back and is one of many."""
    assert holder(pair["n2"]) == "n1"
    pair["n1"].kill_agent()
    pod(pair["n2"], "three")
    until(pair["n2"], "web", {"one": True, "three": True}, timeout=45)
    assert holder(pair["n2"]) == "n2"
    pair["n1"].start_agent()
    pod(pair["n1"], "four")
    until(pair["n1"], "web", {"one": True, "three": True, "four": True})
    assert holder(pair["n1"]) == "n2"


def test_an_agent_that_ends_hands_over(pair):
    """Ended in order, the holder gives the lease up: nobody waits until it runs out."""
    pair["n2"].kill_agent(signal.SIGTERM)
    wait_for(lambda: holder(pair["n1"]) == "n1", lambda: pair["n1"].tail(), timeout=10)
    pair["n1"].apply(POD.format(name="four", node="n1", ready="False"))
    until(pair["n1"], "web", {"one": True, "three": True, "four": False})


def test_a_service_that_goes_takes_its_slices(pair):
    pair["n1"].ctl("delete", "service", "web")
    wait_for(lambda: not slices(pair["n1"], "web"), lambda: pair["n1"].tail())
    assert slices(pair["n1"], "outside")
