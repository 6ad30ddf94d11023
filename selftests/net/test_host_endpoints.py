# SPDX-License-Identifier: Apache-2.0
"""Host endpoints between nodes, pods and the world: every stage, failsafe ports, live connections, restarts."""
import json
import os

import pytest

from cluster import SERVER_WAIT, TOP, wait_for

CALICO = "projectcalico.org/v3"
N1, N2 = "10.10.0.1", "10.10.0.2"
N1_6 = "fd10::1"


# The first words of a server that keeps the connection.
ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)
s.settimeout(float(sys.argv[3]))
print(s.recv(100).decode())
"""


def serve(place, port, text="served"):
    process = place.start("socat", f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", f"SYSTEM:echo {text}; cat")
    wait_for(lambda: f":{port} " in place.run("ss", "-Hltn"), f"{place.name} listens at {port}")
    return process


def reaches(source, address, port):
    done = source.try_run("python3", "-c", ASK, address, port, SERVER_WAIT)
    return done.stdout.strip() == "served"


def settles(source, address, port, want):
    wait_for(lambda: reaches(source, address, port) == want, f"{source.name} to {address}:{port} {'open' if want else 'closed'}")


@pytest.fixture(scope="module")
def nodes(cluster):
    """n1 and n2 serve at 22, 8080 and 8081; a pod on each."""
    n1, n2 = cluster["n1"], cluster["n2"]
    for place in (n1, n2):
        for port in (22, 8080, 8081):
            serve(place, port)
    pods = {"near": n1.pod("near", "hosts"), "far": n2.pod("far", "hosts")}
    for pod in pods.values():
        serve(pod, 8080)
    wait_for(lambda: reaches(pods["far"], pods["near"].address(), 8080), "the pods see each other")
    return {"n1": n1, "n2": n2, **pods}


@pytest.fixture
def apply(cluster, nodes):
    """Puts objects in force; takes them away at the end, the last one first. What a former test's still close is waited for."""
    made = []
    for port in (22, 8080, 8081):
        settles(nodes["n2"], N1, port, True)
        settles(nodes["n1"], N2, port, True)
        settles(nodes["near"], N1, port, True)
    for source, target in (("near", "far"), ("far", "near")):
        settles(nodes[source], nodes[target].address(), 8080, True)

    def put(kind, name, spec, labels=None):
        metadata = {"name": name, **({"labels": labels} if labels else {})}
        item = {"apiVersion": CALICO, "kind": kind, "metadata": metadata, "spec": spec}
        if (kind, name) not in [(old["kind"], old["metadata"]["name"]) for old in made]:
            made.append(item)
        cluster["n1"].apply(json.dumps(item))

    yield put
    for item in reversed(made):
        cluster["n1"].ctl("delete", "-f", "-", stdin=json.dumps(item))


def endpoint(apply, **spec):
    apply("HostEndpoint", "n1-eth0", {"node": "n1", "interfaceName": "eth0", **spec}, {"role": "protected"})


def policy(apply, name, **spec):
    apply("GlobalNetworkPolicy", name, {"selector": "role == 'protected'", **spec})


def tcp(port, **more):
    return {"action": "Allow", "protocol": "TCP", "destination": {"ports": [port]}, **more}


def test_an_endpoint_closes_all_but_failsafe_ports(nodes, apply):
    """Without policy and profile nothing comes in or goes out, both families; failsafe ports and pods' traffic do."""
    n1, n2 = nodes["n1"], nodes["n2"]
    assert reaches(n2, N1, 8080) and reaches(n1, N2, 8080)
    endpoint(apply)
    settles(n2, N1, 8080, False)
    assert not reaches(n2, N1_6, 8080) and not reaches(n1, N2, 8080)
    assert reaches(n2, N1, 22) and reaches(n2, N1_6, 22) and not reaches(n1, N2, 22)
    assert n2.try_run("ping", "-n", "-c", "1", "-W", "1", N1).returncode
    assert reaches(nodes["far"], nodes["near"].address(), 8080) and reaches(nodes["near"], nodes["far"].address(), 8080)
    assert reaches(n1, nodes["near"].address(), 8080)
    endpoint(apply, profiles=["projectcalico-default-allow"])
    settles(n2, N1, 8080, True)
    assert reaches(n1, N2, 8080)


def test_policies_open_ports_to_other_hosts(nodes, apply):
    """A rule names the other host by its endpoint's labels; answers need no rule; trace names the rule."""
    n1, n2 = nodes["n1"], nodes["n2"]
    apply("HostEndpoint", "n2-eth0", {"node": "n2", "interfaceName": "eth0", "expectedIPs": [N2],
                                      "profiles": ["projectcalico-default-allow"]}, {"role": "client"})
    endpoint(apply)
    policy(apply, "open", order=10, ingress=[tcp(8080, source={"selector": "role == 'client'"})], egress=[tcp(8081)],
           types=["Ingress", "Egress"])
    settles(n2, N1, 8081, False)  # the endpoint is in force, then the policy
    settles(n2, N1, 8080, True)
    assert not reaches(n2, N1, 8081) and reaches(n1, N2, 8081) and not reaches(n1, N2, 8080)
    for source, target, port, said in ((N2, N1, 8080, "allowed (GlobalNetworkPolicy /open, ingress rule 0"),
                                       (N2, N1, 8081, "denied (no rule allows it)"),
                                       (N1, N2, 8081, "allowed (GlobalNetworkPolicy /open, egress rule 0"),
                                       (N2, N1, 22, "failsafe port 22")):
        told = n1.ctl("trace", source, target, "--protocol", "tcp", "--port", str(port))
        assert said in told, told
        assert ("verdict: dropped" in told) == (port == 8081 and target == N1), told
    apply("HostEndpoint", "n2-eth0", {"node": "n2", "interfaceName": "eth0", "expectedIPs": [N2],
                                      "profiles": ["projectcalico-default-allow"]}, {"role": "other"})
    settles(n2, N1, 8080, False)


def test_a_live_connection_follows_the_policy(nodes, apply):
    """One from before the endpoint goes on where policy allows it, and ends with the rule."""
    n1, n2 = nodes["n1"], nodes["n2"]
    path = f"{n2.folder}/talk"
    talk = n2.start("sh", "-c", f"(while sleep 0.1; do echo word; done) | socat - TCP:{N1}:8080 > {path}")

    def heard():
        if not os.path.exists(path):  # the shell makes it
            return 0
        with open(path) as text:
            return len(text.readlines())

    wait_for(lambda: heard() > 5, "the connection talks")
    policy(apply, "open", ingress=[tcp(8080)], types=["Ingress"])
    endpoint(apply)
    settles(n2, N1, 8081, False)
    before = heard()
    wait_for(lambda: heard() > before + 5, "the connection goes on")
    policy(apply, "open", ingress=[tcp(8081)], types=["Ingress"])
    settles(n2, N1, 8081, True)
    now = heard()
    assert reaches(n2, N1, 8081)
    wait_for(lambda: heard() <= now + 1, "the connection stands still")
    n2.stop(talk)


def test_forwarded_traffic_is_judged_where_policies_say_so(nodes, apply):
    """Only policies with applyOnForward concern pods behind the node; they judge in and out."""
    near, far = nodes["near"], nodes["far"]
    endpoint(apply)
    policy(apply, "closed", ingress=[{"action": "Deny"}], egress=[{"action": "Deny"}], types=["Ingress", "Egress"])
    settles(nodes["n2"], N1, 8080, False)
    assert reaches(far, near.address(), 8080)
    policy(apply, "closed", applyOnForward=True, ingress=[{"action": "Deny"}], types=["Ingress"])
    settles(far, near.address(), 8080, False)
    assert reaches(near, far.address(), 8080)
    policy(apply, "closed", applyOnForward=True, types=["Egress"],
           egress=[{"action": "Deny", "destination": {"nets": [far.address() + "/32"]}}])
    settles(near, far.address(), 8080, False)
    assert reaches(far, near.address(), 8080)


def test_untracked_and_prednat(nodes, apply):
    """doNotTrack needs a rule each way; a preDNAT denial comes before what the others allow."""
    n2 = nodes["n2"]
    endpoint(apply)
    rule = {"action": "Allow", "protocol": "TCP"}
    policy(apply, "raw", doNotTrack=True, applyOnForward=True, types=["Ingress"],
           ingress=[{**rule, "destination": {"ports": [8080]}}])
    policy(apply, "open", order=20, ingress=[tcp(8081)], types=["Ingress"])
    settles(n2, N1, 8080, False)  # the endpoint is in force, then the policies
    settles(n2, N1, 8081, True)
    assert not reaches(n2, N1, 8080)
    policy(apply, "raw", doNotTrack=True, applyOnForward=True, types=["Ingress", "Egress"],
           ingress=[{**rule, "destination": {"ports": [8080]}}], egress=[{**rule, "source": {"ports": [8080]}}])
    settles(n2, N1, 8080, True)
    policy(apply, "early", preDNAT=True, applyOnForward=True, order=10,
           ingress=[{"action": "Deny", "protocol": "TCP", "destination": {"ports": [8081]}}])
    settles(n2, N1, 8081, False)


def test_the_endpoint_for_all_interfaces_and_pods(nodes, apply):
    """'*' judges between pods too, and, with Return, what pods send to their node; Drop closes that whole."""
    near, n1 = nodes["near"], nodes["n1"]
    apply("HostEndpoint", "n1-all", {"node": "n1", "interfaceName": "*", "profiles": ["projectcalico-default-allow"]},
          {"role": "protected"})
    policy(apply, "closed", ingress=[{"action": "Deny", "protocol": "TCP", "destination": {"ports": [8081]}}, {"action": "Allow"}],
           types=["Ingress"])
    settles(nodes["n2"], N1, 8081, False)
    assert reaches(near, N1, 8081) and reaches(near, N1, 8080)
    apply("FelixConfiguration", "default", {"defaultEndpointToHostAction": "Return"})
    settles(near, N1, 8081, False)
    assert reaches(near, N1, 8080)
    apply("FelixConfiguration", "default", {"defaultEndpointToHostAction": "Drop"})
    settles(near, N1, 8080, False)
    assert reaches(n1, near.address(), 8080)


def test_failsafe_ports_are_what_the_configuration_says(nodes, apply):
    n2 = nodes["n2"]
    endpoint(apply)
    settles(n2, N1, 8080, False)
    apply("FelixConfiguration", "default", {"failsafeInboundHostPorts": [{"protocol": "TCP", "port": 8080, "net": "10.10.0.0/24"},
                                                                         {"protocol": "TCP", "port": 8081, "net": "10.20.0.0/16"}]})
    settles(n2, N1, 8080, True)
    assert not reaches(n2, N1, 8081) and not reaches(n2, N1, 22)


def test_a_restart_keeps_what_is_closed_closed(nodes, apply):
    """A new agent finds endpoints as they were, also where one went meanwhile."""
    n1, n2 = nodes["n1"], nodes["n2"]
    endpoint(apply)
    policy(apply, "open", ingress=[tcp(8080)], types=["Ingress"])
    settles(n2, N1, 8081, False)
    settles(n2, N1, 8080, True)
    n1.kill_agent()
    assert reaches(n2, N1, 8080) and not reaches(n2, N1, 8081)
    n1.start_agent()
    assert reaches(n2, N1, 8080) and not reaches(n2, N1, 8081)
    n1.kill_agent()
    n2.ctl("delete", "hostendpoint", "n1-eth0")
    n1.start_agent()
    settles(n2, N1, 8081, True)
    endpoint(apply)


def test_a_restart_opens_nothing_between_pods(nodes, apply):
    """The endpoint for all interfaces closes a port between pods; a sender that asks all the time never gets through a restart."""
    n1, near = nodes["n1"], nodes["near"]
    other = n1.pod("other", "hosts")
    apply("HostEndpoint", "n1-all", {"node": "n1", "interfaceName": "*", "profiles": ["projectcalico-default-allow"]},
          {"role": "protected"})
    policy(apply, "closed", applyOnForward=True, types=["Ingress"], ingress=[
        {"action": "Deny", "protocol": "TCP", "destination": {"ports": [8080]}}, {"action": "Allow"}])
    settles(other, near.address(), 8080, False)
    asking = other.start("sh", "-c", f"while :; do socat -T 1 -u TCP:{near.address()}:8080,connect-timeout=0.05 - ; done > "
                                     f"{n1.folder}/through 2>/dev/null")
    for _ in range(3):
        n1.kill_agent()
        n1.start_agent()
    other.stop(asking)
    assert not os.path.getsize(f"{n1.folder}/through")
    other.delete()


def test_the_example_of_a_firewall(nodes, cluster):
    """manifests/examples/host-firewall on n1, monitored from n2: its README's steps and table, and the drop says why."""
    n1, n2, world = nodes["n1"], nodes["n2"], cluster["n3"]
    with open(os.path.join(TOP, "manifests", "examples", "host-firewall", "policy.yaml")) as file:
        text = file.read().replace("node: server", "node: n1")
    serve(n1, 9100)
    n1.ctl("apply", "--confirm", "20s", "-f", "-", stdin=text)
    try:
        settles(n2, N1, 8080, False)
        settles(n2, N1, 8080, True)  # nobody confirmed
        wait_for(lambda: not n1.ctl("get", "hostendpoint", "-o", "name").strip(), "the objects are gone from the store", 10)
        n1.ctl("apply", "--confirm", "60s", "-f", "-", stdin=text)
        settles(n2, N1, 8080, False)
        assert "confirmed" in n1.ctl("confirm")
        for port, source, want in ((22, n2, True), (22, world, True), (9100, n2, True), (9100, world, False), (8080, world, False)):
            assert reaches(source, N1, port) == want, (port, source.name)
        assert not n2.try_run("ping", "-n", "-c", "1", "-W", "2", N1).returncode
        assert reaches(n1, N2, 8080)
        assert "host-ingress" in n1.ctl("drops", "show")
    finally:
        n1.ctl("delete", "-f", "-", stdin=text)


def shown(node, name):
    row, = json.loads(node.ctl("policy", "show", name, "-o", "json"))
    return row


def counted(node, name, direction, policy_name):
    found, = [one for one in shown(node, name)[direction] if one["name"] == policy_name]
    return found["rules"][0]["connections"], found["rules"][0]["packets"]


def test_policy_show_has_stages_and_counters(nodes, apply):
    """A host endpoint's policies by stage, in the order in which they are judged, and what their rules have counted."""
    n1, n2 = nodes["n1"], nodes["n2"]
    endpoint(apply)
    policy(apply, "open", types=["Ingress", "Egress"], ingress=[tcp(8080)], egress=[{"action": "Allow"}])
    policy(apply, "early", types=["Ingress"], preDNAT=True, applyOnForward=True, order=5,
           ingress=[{"action": "Deny", "protocol": "TCP", "destination": {"ports": [8081]}}])
    settles(n2, N1, 8081, False)
    settles(n2, N1, 8080, True)
    row = shown(n1, "n1-eth0")
    assert [(one["name"], one["stage"], one["tier_end"]) for one in row["ingress"]] == [
        ("early", "preDNAT", "Pass"), ("open", "normal", "Deny")]
    assert [(one["name"], one["stage"]) for one in row["egress"]] == [("open", "normal")]
    assert row["end"] == "Deny" and row["host_endpoint"] == "n1-eth0"
    before = counted(n1, "n1-eth0", "ingress", "open"), counted(n1, "n1-eth0", "ingress", "early")
    assert reaches(n2, N1, 8080) and not reaches(n2, N1, 8081)
    after = counted(n1, "n1-eth0", "ingress", "open"), counted(n1, "n1-eth0", "ingress", "early")
    assert after[0][0] == before[0][0] + 1 and after[0][1] > before[0][1] + 4
    assert after[1][0] > before[1][0] and after[1][1] > before[1][1]
    assert "preDNAT" in n1.ctl("policy", "show", "n1-eth0")
