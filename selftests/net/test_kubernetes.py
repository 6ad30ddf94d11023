# SPDX-License-Identifier: Apache-2.0
"""The agent on a Kubernetes API server (one in little, and the real one, in the place of the router): pods reach each other across nodes, policy holds,
what the agent asks of the server, and what goes on while the server is away."""
import json
import os
import re
import signal
import subprocess

import pytest

import cluster as places
from cluster import Pod, wait_for

EXAMPLES = os.path.join(places.TOP, "manifests", "examples", "three-nodes")
LIB = os.path.join(places.TOP, "selftests/lib")
ADDRESS, PORT = "10.10.0.254", 6443
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec: {podSelector: {matchLabels: {app: goal}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]}
"""


class Api:
    """The server and what nodes call it."""

    def __init__(self, cluster, which):
        self.which, self.cluster, self.folder = which, cluster, os.path.join(cluster.folder, "api")
        os.mkdir(self.folder)
        self.datastore = f"kubernetes:{self.folder}/by-name"
        process = cluster.router.start("python3", f"{LIB}/{which}_apiserver.py", self.folder, "--address", ADDRESS, "--port", PORT, "--forever",
                                       stdout=subprocess.PIPE)
        line = process.stdout.readline()
        if line.startswith(b"missing "):
            pytest.skip(f"{line.decode().strip()}: not built (selftests/kube/build)")
        assert line == b"ready\n"
        self.name_server()

    def name_server(self):
        """A kubeconfig that names the server: whoever connects anew resolves it, in a thread of libcurl's."""
        with open(f"{self.folder}/kubeconfig") as file:
            config = json.load(file)
        config["clusters"][0]["cluster"].update({"server": f"https://api.test:{PORT}", "tls-server-name": "kubernetes.default.svc"})
        with open(f"{self.folder}/by-name", "w") as file:
            json.dump(config, file)
        for node in self.cluster.nodes.values():
            node.sh(f"echo {ADDRESS} api.test >>/etc/hosts")

    def ctl(self, node, verb, *arguments, stdin=None):
        return node.ctl(verb, "--datastore", self.datastore, *arguments, stdin=stdin)

    def apply(self, text):
        return self.ctl(self.cluster["n1"], "apply", "-f", "-", stdin=text)

    def raw(self, path, method="GET", body=None):
        """As the server has it, not in margayctl's form."""
        with open(os.path.join(self.folder, "token")) as file:
            token = file.read().strip()
        done = self.cluster.router.run("curl", "-sS", "-f", "-k", "-X", method, "-H", f"Authorization: Bearer {token}", "-H",
                                       "Content-Type: application/merge-patch+json" if method == "PATCH" else "Content-Type: application/json",
                                       *(["-d", json.dumps(body)] if body else []), f"https://{ADDRESS}:{PORT}{path}")
        return json.loads(done)

    def pod(self, node, name, **labels):
        """The Pod as the scheduler leaves it, and the container that the kubelet starts of it."""
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels},
                               "spec": {"nodeName": node.name, "containers": [{"name": "c", "image": "i"}]}}))
        return node.pod(name)

    def annotations(self, name):
        pod = json.loads(self.ctl(self.cluster["n1"], "get", "pod", name, "-n", "default", "-o", "json"))
        return pod["metadata"].get("annotations", {})

    def requests(self):
        """"METHOD PATH" of each."""
        if self.which == "real":
            with open(os.path.join(self.folder, "audit")) as file:
                events = [json.loads(line) for line in file if line.endswith("\n")]
            methods = {"create": "POST", "update": "PUT", "delete": "DELETE", "patch": "PATCH"}
            return [f"{methods.get(one['verb'], 'GET')} {one['requestURI']}" for one in events if one["user"]["username"] == "admin"
                    and one["stage"] == ("ResponseStarted" if one["verb"] == "watch" else "ResponseComplete")]
        with open(os.path.join(self.folder, "requests")) as file:
            return [line.split(" ", 1)[1].rstrip() for line in file if " BOOKMARK " not in line and not line.startswith("BOOKMARK")]

    def refuse(self, how):
        self.cluster.router.run("iptables", how, "INPUT", "-p", "tcp", "--dport", PORT, "-j", "REJECT", "--reject-with", "tcp-reset")


@pytest.fixture(scope="module", params=["fake", "real"])
def api(request):
    with places.Cluster(nodes=("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        api = Api(made, request.param)
        api.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}))
        api.ctl(made["n1"], "apply", "-f", os.path.join(EXAMPLES, "00-pools.yaml"))
        made.start("--datastore", api.datastore)
        yield api


@pytest.fixture(scope="module")
def pods(api):
    n1, n3 = api.cluster["n1"], api.cluster["n3"]
    made = {"goal": api.pod(n1, "goal", app="goal"), "friend": api.pod(n3, "friend", app="friend"),
            "stranger": api.pod(n3, "stranger", app="stranger")}
    made["goal"].serve_tcp(8080, "hello")
    return made


def is_up(node):
    return "\nmargay_datastore_up 1\n" in node.run("curl", "-sS", "http://127.0.0.1:9091/metrics")


def test_pods_across_nodes(api, pods):
    """The agent says a pod's address by annotations of its Pod, and the other node learns it from there."""
    address = pods["goal"].address()
    wait_for(lambda: api.annotations("goal").get("cni.projectcalico.org/podIP") == f"{address}/32", "the Pod says its address")
    assert api.annotations("goal")["cni.projectcalico.org/containerID"] == pods["goal"].container
    for name in ("friend", "stranger"):
        wait_for(lambda name=name: pods[name].tcp(address, 8080, 1) == "hello", f"{name} reaches it")
    assert json.loads(api.ctl(api.cluster["n1"], "get", "workloadendpoint", "-A", "-o", "json"))["items"] == []


def test_policy(api, pods):
    address = pods["goal"].address()
    api.apply(DENY)
    wait_for(lambda: pods["stranger"].tcp(address, 8080, 1) is None, "the policy holds")
    assert pods["friend"].tcp(address, 8080) == "hello"
    api.ctl(api.cluster["n1"], "delete", "networkpolicy.networking.k8s.io", "closed", "-n", "default")
    wait_for(lambda: pods["stranger"].tcp(address, 8080, 1) == "hello", "and is gone")


def test_nothing_is_polled(api, pods):
    """Each kind was listed once and is watched; an agent with nothing to do asks nothing."""
    def quiet():
        seen = len(api.requests())
        pods["friend"].ping(pods["goal"].address(), count=5)
        return [line for line in api.requests()[seen:] if "watch=true" not in line] == []

    wait_for(lambda: quiet() and quiet() and quiet(), "nothing is asked any more", 60)
    lists = [line for line in api.requests() if re.search(r"^GET /\S+\?limit=", line)]
    assert all(is_up(node) for node in api.cluster.nodes.values())
    assert len([line for line in lists if "/api/v1/pods?" in line]) == len(api.cluster.nodes)


def test_duties_are_others(api, pods):
    """What kube-controller-manager does in a cluster, no agent does."""
    seen = len(api.requests())
    api.apply(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "goal", "namespace": "default"},
                          "spec": {"selector": {"app": "goal"}, "ports": [{"port": 80}]}}))
    wait_for(lambda: pods["friend"].ping(pods["goal"].address(), count=20), "some time passes")
    assert not [line for line in api.requests()[seen:] if line.startswith("POST") and "services" not in line]
    api.ctl(api.cluster["n1"], "delete", "service", "goal", "-n", "default")


def test_server_away(api, pods):
    """Traffic and policy as before; a pod gets an address of the node's reserve; then all is made up for."""
    node, address = api.cluster["n1"], pods["goal"].address()
    api.refuse("-I")
    try:
        wait_for(lambda: not is_up(node), "it is noticed", 30)
        assert pods["friend"].tcp(address, 8080) == "hello"
        late = node.pod("late")
        assert late.ping("10.10.0.254")
    finally:
        api.refuse("-D")
    wait_for(lambda: is_up(node), "it is back", 60)
    api.apply(DENY)
    wait_for(lambda: pods["stranger"].tcp(address, 8080, 1) is None, "changes arrive", 30)
    api.ctl(node, "delete", "networkpolicy.networking.k8s.io", "closed", "-n", "default")
    wait_for(lambda: pods["stranger"].tcp(address, 8080, 1) == "hello", "and go", 30)
    late.delete()


def test_restart(api, pods):
    """A new agent reads it all again, and says nothing that is said already."""
    node = api.cluster["n1"]
    node.kill_agent()
    node.start_agent("--datastore", api.datastore)
    assert pods["friend"].tcp(pods["goal"].address(), 8080) == "hello"
    seen = len(api.requests())
    wait_for(lambda: pods["friend"].ping(pods["goal"].address(), count=10), "some time passes")
    assert not [line for line in api.requests()[seen:] if line.startswith("PUT /api/v1/namespaces/default/pods/")]


def unavailable(api, name):
    """The condition NetworkUnavailable of a Node: status and reason."""
    found = [one for one in api.raw(f"/api/v1/nodes/{name}").get("status", {}).get("conditions") or [] if one["type"] == "NetworkUnavailable"]
    return (found[0]["status"], found[0]["reason"]) if found else None


def test_network_condition(api, pods):
    """The Node says that pods have a network once they have, and that they have none where the agent ended in order."""
    node, up = api.cluster["n1"], ("False", "MargayIsUp")
    wait_for(lambda: unavailable(api, "n1") == up and unavailable(api, "n3") == up, "both say so")
    node.kill_agent(signal.SIGTERM)
    assert unavailable(api, "n1") == ("True", "MargayIsDown")
    assert unavailable(api, "n3") == up
    node.start_agent("--datastore", api.datastore)
    wait_for(lambda: unavailable(api, "n1") == up, "it is back")


def test_internal_ip(api, pods):
    """kubernetes-internal-ip: what the kubelet says, also when it says another one."""
    node = api.cluster["n1"]
    node.sh("ip link add in0 type bridge && ip link set in0 up && ip addr add 10.77.0.1/24 dev in0 && ip addr add 10.77.0.2/24 dev in0")

    def says(address):
        stored = api.raw("/api/v1/nodes/n1")
        stored.setdefault("status", {})["addresses"] = [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": address}]
        api.raw("/api/v1/nodes/n1/status", "PUT", stored)

    def published():
        return json.loads(api.ctl(api.cluster["n1"], "get", "node", "n1", "-o", "json"))["spec"]["bgp"].get("ipv4Address")

    says("10.77.0.1")
    node.kill_agent(signal.SIGTERM)
    node.start_agent("--datastore", api.datastore, env={"IP_AUTODETECTION_METHOD": "kubernetes-internal-ip"})
    assert published() == "10.77.0.1/24"
    says("10.77.0.2")
    wait_for(lambda: published() == "10.77.0.2/24", lambda: f"the other one: {published()}")
    node.kill_agent(signal.SIGTERM)
    node.start_agent("--datastore", api.datastore)
    assert published() == "10.10.0.1/24"


def test_deleted_pod(api, pods):
    """A container that ends is no peer any more, before its Pod is gone."""
    pod = api.pod(api.cluster["n3"], "brief")
    wait_for(lambda: api.annotations("brief").get("cni.projectcalico.org/podIP"), "it says its address")
    pod.delete()
    wait_for(lambda: api.annotations("brief").get("cni.projectcalico.org/podIP") == "", "it has none any more")


def test_what_it_says(api, tmp_path):
    """An agent that cannot start says what to do."""
    node = api.cluster["n1"]
    program = os.path.join(places.BUILD, "margay-agent")
    for name, expected in (("exec", "runs no programs"), ("missing", "No such file"), ("wrong-ca", "certificate-authority-data")):
        done = node.try_run(program, "--node", "other", "--datastore", f"kubernetes:{api.folder}/{name}", "--run-dir", f"{tmp_path}/run",
                            "--state-dir", f"{tmp_path}/state", "--bpffs", "/sys/fs/bpf/other")
        assert done.returncode not in (0, -11, 134, 139) and expected in done.stderr, done.stderr
