# SPDX-License-Identifier: Apache-2.0
"""margayctl policy diff: what it says would change is what changes once the files are applied, for tables and live flows."""
import json
import os
import time

import pytest

from cluster import BUILD, PATIENCE, Failed, wait_for

CALICO = "projectcalico.org/v3"
FLOWS = 100_000
HOLD = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.recv(10)
print("open", flush=True)
time.sleep(600)
"""
# A datagram to each of 25,000 ports from each of four sockets; nobody needs to answer.
MANY = """
import socket, sys
for source in range(20000, 20004):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", source))
    for port in range(30000, 30000 + int(sys.argv[2]) // 4):
        s.sendto(b"x", (sys.argv[1], port))
"""


@pytest.fixture(scope="module")
def pods(cluster):
    made = {name: cluster["n1"].pod(name, "diff") for name in ("client", "server")}
    made["far"] = cluster["n2"].pod("far", "diff")
    for port in (80, 81):
        made["server"].serve_tcp(port, "served; cat")
    for name in ("client", "far"):
        wait_for(lambda n=name: made[n].tcp(made["server"].address(), 80) == "served", f"{name} reaches the server")
    return made


@pytest.fixture
def apply(cluster):
    """Puts objects in force; takes them away at the end."""
    made = []

    def put(item):
        made.append(item)
        cluster["n1"].apply(json.dumps(item))

    yield put
    for item in reversed(made):
        cluster["n1"].ctl("delete", "--ignore-not-found", "-f", "-", stdin=json.dumps(item))


def diff(node, *items):
    """What it says (-o json), and that its exit status fits."""
    done = node.try_run(os.path.join(BUILD, "margayctl"), "policy", "diff", "-o", "json", "-f", "-",
                        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == bool(answer["changes"] or answer["flows"]["changed"])
    return answer


def policy(name, namespace="diff", **spec):
    return {"apiVersion": CALICO, "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": "all()", "types": ["Ingress"], **spec}}


def allow(*ports, **source):
    return {"action": "Allow", "protocol": "TCP", "destination": {"ports": list(ports)}, **({"source": source} if source else {})}


def pairs(answer, direction="ingress"):
    """(endpoint, peer, protocol, ports) -> (before, after) of what is listed one by one."""
    found = {}
    for change in answer["changes"]:
        if change["direction"] != direction:
            continue
        for end in change["endpoints"]:
            for peer in change["peers"]:
                for one in change["traffic"]:
                    key = (end.get("pod") or end["host_endpoint"], peer["net"], one["protocol"], one["ports"])
                    found[key] = (one["before"]["verdict"], one["after"]["verdict"])
    return found


def held(source, target, port):
    process = source.start("python3", "-c", HOLD, target.address(), port)
    wait_for(lambda: f"{target.address()}:{port}" in source.run("ss", "-Hnt", "state", "established"), "a connection")
    return process


def test_says_what_a_policy_would_close(cluster, pods, apply):
    """Per endpoint, peer and port; nothing is applied; once it is, just that has happened."""
    node, server = cluster["n1"], pods["server"].address()
    connection = held(pods["client"], pods["server"], 81)
    item = policy("only-80", selector="kubernetes.io/hostname != 'x'", ingress=[allow(80)])
    answer = diff(node, item)
    found = pairs(answer)
    for pod in ("client", "server"):
        assert found[(pod, pods["far"].address(), "TCP", "0-79")] == ("allowed", "denied")
        assert found[(pod, pods["far"].address(), "TCP", "81-65535")] == ("allowed", "denied")
        assert found[(pod, "0.0.0.0/0", "UDP", None)] == ("allowed", "denied")
    assert not pairs(answer, "egress") and answer["node"] == "n1" and not answer["changes_left_off"]
    change = answer["changes"][0]
    assert change["stage"] == "pod" and change["peer_count"] >= len(change["peers"]) and change["near_count"] == 0
    one = change["traffic"][0]
    assert one["before"] == {"verdict": "allowed", "by": "no policy", "rule": None}
    assert one["after"] == {"verdict": "denied", "by": "end of tier default", "rule": None}
    flows = [flow for flow in answer["flows"]["list"] if flow["dst"] == server and flow["dport"] == 81]
    assert flows and all(flow["side"] == "ingress" and flow["before"]["verdict"] == "allowed" and
                         flow["after"]["verdict"] == "denied" for flow in flows)
    assert not [flow for flow in answer["flows"]["list"] if flow["dst"] == server and flow["dport"] == 80]
    assert answer["flows"]["checked"] >= answer["flows"]["changed"] == sum(row["flows"] for row in answer["flows"]["by_policy"])

    assert pods["far"].tcp(server, 81) == "served", "nothing was applied"
    with pytest.raises(Failed):
        node.ctl("get", "networkpolicy.projectcalico.org", "only-80", "-n", "diff")
    apply(item)
    wait_for(lambda: pods["far"].tcp(server, 81, wait=1) is None, "applied: 81 is closed")
    assert pods["far"].tcp(server, 80) == "served"
    again = diff(node, item)
    assert not again["changes"] and not again["flows"]["changed"], "what is in force changes nothing"
    pods["client"].stop(connection)


def test_says_which_rule_opens_and_keeps(cluster, pods, apply):
    """A changed policy: what another rule now allows is no change; what opens names its rule."""
    node = cluster["n1"]
    apply(policy("ports", ingress=[allow(80), allow(81)]))
    wait_for(lambda: pods["far"].tcp(pods["server"].address(), 80) == "served", "80 is open")
    answer = diff(node, policy("ports", ingress=[allow(81), allow(80), allow("90:99")]))
    ingress = [c for c in answer["changes"] if {"namespace": "diff", "pod": "server"} in c["endpoints"]]
    assert [(one["protocol"], one["ports"]) for change in ingress for one in change["traffic"]] == [("TCP", "90-99")] * len(ingress)
    rule = ingress[0]["traffic"][0]["after"]
    assert rule["by"] == "NetworkPolicy diff/ports" and rule["rule"]["rule"] == 2 and rule["verdict"] == "allowed"
    assert answer["flows"]["changed"] == 0


def test_labels_and_sets_of_the_candidate_count(cluster, pods, apply):
    """Objects that are no policies: a network set's nets, a namespace's labels."""
    node = cluster["n1"]
    apply(policy("from-set", ingress=[allow(80, selector="role == 'friends'", namespaceSelector="global()")]))
    far = pods["far"].address()
    wait_for(lambda: pods["far"].tcp(pods["server"].address(), 80, wait=1) is None, "in force")
    nets = {"apiVersion": CALICO, "kind": "GlobalNetworkSet", "metadata": {"name": "friends", "labels": {"role": "friends"}},
            "spec": {"nets": [f"{far}/32", "198.51.100.0/24"]}}
    found = pairs(diff(node, nets))
    assert found[("server", far, "TCP", "80")] == ("denied", "allowed")
    assert found[("server", "198.51.100.0/24", "TCP", "80")] == ("denied", "allowed")
    assert not [key for key in found if key[1] == pods["client"].address()]
    apply(nets)
    wait_for(lambda: pods["far"].tcp(pods["server"].address(), 80) == "served", "applied")

    by_namespace = policy("from-set", ingress=[allow(80, namespaceSelector="team == 'blue'")])
    labelled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "diff", "labels": {"team": "blue"}}}
    assert pairs(diff(node, by_namespace))[("server", far, "TCP", "80")] == ("allowed", "denied")
    together = pairs(diff(node, by_namespace, labelled))
    assert ("server", far, "TCP", "80") not in together
    assert together[("server", pods["client"].address(), "TCP", "80")] == ("denied", "allowed")


def test_host_endpoints(cluster, pods, apply):
    """One that is not there yet, with live connections of the node itself."""
    node, other = cluster["n1"], cluster["n2"]
    node.start("socat", "TCP4-LISTEN:8080,fork,reuseaddr", "SYSTEM:echo served; cat")
    wait_for(lambda: ":8080 " in node.run("ss", "-Hltn"), "the node listens")
    endpoint = {"apiVersion": CALICO, "kind": "HostEndpoint", "metadata": {"name": "n1-eth0", "labels": {"is": "host"}},
                "spec": {"node": "n1", "interfaceName": "eth0", "profiles": ["projectcalico-default-allow"]}}
    rules = {"apiVersion": CALICO, "kind": "GlobalNetworkPolicy", "metadata": {"name": "host"},
             "spec": {"selector": "is == 'host'", "types": ["Ingress"], "ingress": [allow(22)]}}
    assert not diff(node, endpoint)["changes"], "an endpoint that allows changes nothing"
    found = pairs(diff(node, endpoint, rules))
    assert found[("n1-eth0", "0.0.0.0/0", "TCP", "23-65535")] == ("allowed", "denied")
    apply(endpoint)
    connection = other.start("python3", "-c", HOLD, "10.10.0.1", "8080")

    def live():
        answer = diff(node, rules)
        return [flow for flow in answer["flows"]["list"] if flow["dport"] == 8080 and flow["dst"] == "10.10.0.1"]

    flow = wait_for(live, "the connection is a flow of the endpoint's")[0]
    assert flow["side"] == "host-ingress" and flow["after"]["by"] == "end of tier default"
    assert flow["src"] == "10.10.0.2" and flow["before"]["verdict"] == "allowed"
    other.stop(connection)


def test_words_and_exit_status(cluster, pods, tmp_path):
    """The table, a folder, an object that is refused, an agent that is not there."""
    node, ctl = cluster["n1"], os.path.join(BUILD, "margayctl")
    folder = os.path.join(node.folder, "candidate")
    os.makedirs(folder)
    for name in ("a", "b"):
        with open(os.path.join(folder, f"{name}.yaml"), "w") as file:
            json.dump(policy(name, ingress=[allow(80)]), file)
    done = node.try_run(ctl, "policy", "diff", "-f", folder)
    assert done.returncode == 1
    assert done.stdout.split("\n")[0].split() == ["ENDPOINT", "DIRECTION", "PEERS", "TRAFFIC", "BEFORE", "AFTER"]
    assert "denied by end of tier default" in done.stdout and "live flows get another verdict" in done.stdout
    same = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "diff-nobody"}}
    done = node.try_run(ctl, "policy", "diff", "-f", "-", stdin=json.dumps(same))
    assert done.returncode == 0 and "No verdict of this node's endpoints changes." in done.stdout
    bad = policy("bad", ingress=[{"action": "Maybe"}])
    done = node.try_run(ctl, "policy", "diff", "-f", "-", stdin=json.dumps(bad))
    assert done.returncode == 2 and "spec.ingress[0].action" in done.stderr
    done = node.try_run(ctl, "--socket", "/run/margay/nobody.sock", "policy", "diff", "-f", folder)
    assert done.returncode == 2 and "no margay-agent runs" in done.stderr


def cpu_seconds(pid):
    """Of a process and the children it has waited for."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_a_hundred_thousand_flows(cluster, pods):
    """Under a second of CPU time, of the agent, its child and margayctl together: nothing in it waits for anything else."""
    node = cluster["n1"]
    pods["client"].run("python3", "-c", MANY, pods["server"].address(), FLOWS)
    item = policy("no-udp", ingress=[allow("1:65535")])
    began, cpu = time.monotonic(), cpu_seconds(node.agent.pid) + os.times().children_user + os.times().children_system
    answer = diff(node, item)
    took = time.monotonic() - began
    cpu = cpu_seconds(node.agent.pid) + os.times().children_user + os.times().children_system - cpu
    print(f"# {answer['flows']['checked']} flows in {took:.2f} s, {cpu:.2f} s of CPU")
    assert answer["flows"]["checked"] >= FLOWS * 0.95  # the table is an LRU
    assert answer["flows"]["changed"] >= FLOWS * 0.95
    assert [row["flows"] for row in answer["flows"]["by_policy"]] == [answer["flows"]["changed"]]
    assert len(answer["flows"]["list"]) == 1000
    assert cpu < 1 * PATIENCE
