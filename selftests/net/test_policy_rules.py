# SPDX-License-Identifier: Apache-2.0
"""The small print of Kubernetes NetworkPolicy, each sentence between real pods.

Sources: the API reference of networking.k8s.io/v1 NetworkPolicy and the page "Network Policies" of the
Kubernetes documentation (concepts/services-networking/network-policies).
"""
import json

import pytest

from cluster import SERVER_WAIT, Place, wait_for

ASK = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[3]))
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"x")
try:
    print("answered" if s.recv(10) == b"x" else "something else")
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silence")
"""
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def pods(cluster):
    made = {name: cluster["n1"].pod(name, "rules") for name in ("client", "server")}
    made["far"] = cluster["n2"].pod("far", "rules")
    made["stray"] = cluster["n1"].pod("stray", "nowhere")  # no object of this namespace is anywhere
    for port in (8000, 8005, 8006):
        made["server"].serve_tcp(port, "tcp")
        made["server"].serve_udp(port)
    for name in ("client", "far", "stray"):
        wait_for(lambda n=name: tcp(made[n], made["server"], 8000), f"{name} reaches the server")
    return made


@pytest.fixture
def policy(cluster, pods):
    """Puts a policy of namespace rules in force; takes all away at the end. What a former test's still close is waited for."""
    names = []
    for family in (4, 6):
        for name in ("client", "far", "stray"):
            soon(lambda n=name, f=family: tcp(pods[n], pods["server"], 8006, f), f"{name} reaches the server")
        soon(lambda f=family: udp(pods["client"], pods["server"], 8005, f), "client reaches the server by UDP")
        soon(lambda f=family: pods["client"].ping(pods["server"].address(f)), "client pings the server")

    def apply(spec, name="under-test"):
        names.append(name)
        cluster["n1"].apply(json.dumps({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "rules"}, "spec": {"podSelector": {}, **spec}}))

    yield apply
    for name in set(names):
        cluster["n1"].ctl("delete", "networkpolicy.networking.k8s.io", name, "-n", "rules")


def tcp(source, target, port, family=4):
    return source.tcp(target.address(family), port, wait=1) == "tcp"


def udp(source, target, port, family=4, wait=SERVER_WAIT):
    """wait: seconds for the answer of a server that starts a process for each client."""
    return source.run("python3", "-c", ASK, target.address(family), port, wait).strip() == "answered"


soon = wait_for


def only_server(*ingress):
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(ingress)}


def pod_object(name, labels, phase="Running", **spec):
    return json.dumps({"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": name, "namespace": "rules", "labels": labels},
                       "spec": {"containers": [{"name": "c", "image": "none"}], **spec}, "status": {"phase": phase}})


# --- ports ---------------------------------------------------------------------------------------

@FAMILIES
def test_end_port_is_inclusive(pods, policy, family):
    policy(only_server({"ports": [{"protocol": "TCP", "port": 8000, "endPort": 8005}]}))
    soon(lambda: not tcp(pods["client"], pods["server"], 8006, family), "beyond the range is closed")
    assert tcp(pods["client"], pods["server"], 8000, family)
    assert tcp(pods["client"], pods["server"], 8005, family)
    assert not udp(pods["client"], pods["server"], 8005, family, 1)


@FAMILIES
def test_protocol_is_part_of_the_port(pods, policy, family):
    policy(only_server({"ports": [{"protocol": "UDP", "port": 8000}]}))
    soon(lambda: not tcp(pods["client"], pods["server"], 8000, family), "TCP is closed")
    assert udp(pods["client"], pods["server"], 8000, family)


def test_a_port_without_protocol_is_tcp(pods, policy):
    policy(only_server({"ports": [{"port": 8000}]}))
    soon(lambda: not udp(pods["client"], pods["server"], 8000, wait=1), "UDP is closed")
    assert tcp(pods["client"], pods["server"], 8000)


@FAMILIES
def test_a_rule_with_ports_is_never_for_icmp(pods, policy, family):
    """One without is for every protocol."""
    policy(only_server({"ports": [{"port": 8000}]}))
    soon(lambda: not pods["client"].ping(pods["server"].address(family)), "no ping through a rule with ports")
    assert tcp(pods["client"], pods["server"], 8000, family)
    policy(only_server({"from": [{"podSelector": {}}]}))
    soon(lambda: pods["client"].ping(pods["server"].address(family)), "ping through a rule without ports")


# --- peers ---------------------------------------------------------------------------------------

def test_an_empty_list_of_rules_denies_and_an_empty_rule_allows(pods, policy):
    policy(only_server())
    soon(lambda: not tcp(pods["client"], pods["server"], 8000), "no rule, nothing allowed")
    policy(only_server({}))
    soon(lambda: tcp(pods["client"], pods["server"], 8000), "an empty rule allows everything")


def test_ip_block_matches_pods_and_except_takes_out(pods, policy):
    server = pods["server"]
    policy(only_server({"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": [f"{pods['far'].address()}/32"]}}]}))
    soon(lambda: not tcp(pods["far"], server, 8000), "the exception is closed")
    assert tcp(pods["client"], server, 8000)


@FAMILIES
def test_egress_by_net(cluster, pods, policy, family):
    """To the outside by address, and nowhere else; the sender's side alone is isolated."""
    outside = {4: "192.0.2.1", 6: "2001:db8::1"}[family]
    policy({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": f"{outside}/{32 if family == 4 else 128}"}}]}]})
    soon(lambda: not tcp(pods["client"], pods["server"], 8000, family), "pods are no part of the net")
    assert pods["client"].ping(outside)
    assert tcp(pods["stray"], pods["server"], 8000, family)


def test_a_namespace_without_an_object_has_its_name_as_label(pods, policy):
    by_name = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}}}
    policy(only_server({"from": [by_name]}))
    soon(lambda: not tcp(pods["client"], pods["server"], 8000), "the own namespace is not named")
    assert tcp(pods["stray"], pods["server"], 8000)


def test_a_completed_pod_is_no_peer(cluster, pods, policy):
    node = cluster["n1"]
    node.apply(pod_object("client", {"role": "job"}))
    policy(only_server({"from": [{"podSelector": {"matchLabels": {"role": "job"}}}]}))
    soon(lambda: not tcp(pods["far"], pods["server"], 8000), "others are closed")
    soon(lambda: tcp(pods["client"], pods["server"], 8000), "a running job is a peer")
    node.apply(pod_object("client", {"role": "job"}, phase="Succeeded"))
    soon(lambda: not tcp(pods["client"], pods["server"], 8000), "a completed one is not")
    node.ctl("delete", "pod", "client", "-n", "rules")


def test_a_host_network_pod_counts_as_its_node(cluster, pods, policy):
    """Its labels select nothing; an ipBlock with the node's address does."""
    node = cluster["n2"]
    server = pods["server"].address()

    def from_node():
        done = node.try_run("socat", "-T", SERVER_WAIT, "-u", f"TCP:{server}:8000,connect-timeout=1", "-")
        return done.stdout.strip() == "tcp"

    assert from_node()
    node.apply(pod_object("host", {"role": "host"}, hostNetwork=True, nodeName="n2"))
    policy(only_server({"from": [{"podSelector": {"matchLabels": {"role": "host"}}}]}))
    soon(lambda: not tcp(pods["client"], pods["server"], 8000), "the policy is in force")
    assert not from_node()
    policy(only_server({"from": [{"ipBlock": {"cidr": "10.10.0.2/32"}}]}))
    soon(from_node, "by the node's address")
    assert not tcp(pods["far"], pods["server"], 8000)
    node.ctl("delete", "pod", "host", "-n", "rules")


# --- what is beside the rules --------------------------------------------------------------------

@FAMILIES
def test_the_icmp_error_of_an_allowed_flow_passes(pods, policy, family):
    """To a port where nobody listens: the server's error comes back through two deny-all policies."""
    policy(only_server({"from": [{"podSelector": {}}], "ports": [{"protocol": "UDP", "port": 7000}]}))
    policy({"policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP", "port": 7000}]}]}, "out")

    def ask(port):
        return pods["client"].run("python3", "-c", ASK, pods["server"].address(family), port, 1).strip()

    soon(lambda: not pods["client"].ping(pods["server"].address(family)), "ICMP is not allowed")
    assert ask(7000) == "refused"
    assert ask(7001) == "silence"


@pytest.fixture
def neighbour(cluster):
    """A machine behind a bridge of node n1 that knows nothing of Margay, as Docker makes them."""
    node = cluster["n1"]
    place = cluster._place(Place("neighbour", cluster))
    node.sysctl(net__ipv4__ip_forward=1)
    node.sh("ip link add br-others type bridge mcast_snooping 0 && ip link set br-others up && "
            "ip addr add 172.30.0.1/24 dev br-others")
    node.run("ip", "link", "add", "others", "type", "veth", "peer", "name", "eth0", "netns", place.pid)
    node.sh("ip link set others master br-others up")
    place.sh("ip addr add 172.30.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 172.30.0.1")
    yield place
    node.sh("ip link del br-others; ip link del others")
    place.close()
    cluster.places.remove(place)


def test_forwarded_traffic_has_not_the_nodes_privilege(cluster, pods, policy, neighbour):
    """The node's own sockets reach its pods whatever the policy; what it forwards is judged."""
    server = pods["server"].address()

    def reaches(place):
        done = place.try_run("socat", "-T", SERVER_WAIT, "-u", f"TCP:{server}:8000,connect-timeout=1", "-")
        return done.stdout.strip() == "tcp"

    soon(lambda: reaches(neighbour), "open without policy")
    policy(only_server())
    soon(lambda: not reaches(neighbour), "forwarded traffic is denied")
    assert reaches(cluster["n1"])
    policy(only_server({"from": [{"ipBlock": {"cidr": "172.30.0.0/24"}}]}))
    soon(lambda: reaches(neighbour), "allowed by its address")
