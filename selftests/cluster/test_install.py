# SPDX-License-Identifier: Apache-2.0
"""A cluster that gets its network by `kubectl apply -f build/margay.yaml`: image, init step, agent as a DaemonSet, rights of its account."""
import ipaddress
import json
import os
import subprocess

import pytest
from kube import ADDRESS, PORT, addresses, pod
from real_apiserver import find

import cluster as places
from cluster import wait_for

MANIFESTS = os.path.join(places.TOP, "manifests")
SYSTEM = "margay-system"
POOL4, POOL6 = "10.244.0.0/16", "fd00:244::/48"


def installed(kube):
    with open(os.path.join(places.BUILD, "margay.yaml")) as file:
        text = file.read()
    text = text.replace("ipv4pool_cidr: 192.168.0.0/16", f"ipv4pool_cidr: {POOL4}").replace('ipv6pool_cidr: ""', f"ipv6pool_cidr: {POOL6}")
    for node in kube.nodes.values():
        node.import_image(os.path.join(places.BUILD, "margay-image.tar"))
        node.sh("mkdir -p /opt/cni/bin && install -m 755 /bin/true /opt/cni/bin/portmap.old && rm -rf /run/margay")
    kube.kubectl("apply", "-f", "-", stdin=text)
    # Where the API server is: as yet no Service answers.
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubernetes-services-endpoint", "namespace": SYSTEM},
                "data": {"KUBERNETES_SERVICE_HOST": ADDRESS, "KUBERNETES_SERVICE_PORT": str(PORT)}})


def logs(kube):
    out = [kube.try_kubectl("get", "pods", "-A", "-o", "wide").stdout, kube.try_kubectl("get", "events", "-n", SYSTEM).stdout]
    for one in kube.get("pods", "-n", SYSTEM):
        for container in ("install", "agent", "controller"):
            out.append(kube.try_kubectl("logs", "-n", SYSTEM, one["metadata"]["name"], "-c", container, "--tail=30").stdout)
    return "\n".join(out)


@pytest.fixture(scope="module")
def kube(bare):
    installed(bare)
    done = bare.try_kubectl("rollout", "status", "-n", SYSTEM, "daemonset/margay-node", "--timeout=90s", timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr + logs(bare)
    bare.wait_nodes_ready()
    done = bare.try_kubectl("rollout", "status", "-n", SYSTEM, "deployment/margay-controller", "--timeout=60s", timeout=70)
    assert done.returncode == 0, done.stdout + done.stderr + logs(bare)
    yield bare


@pytest.fixture(scope="module")
def pods(kube):
    kube.apply(pod("goal", "n1", app="goal"), pod("near", "n1", app="near"), pod("far", "n3", app="far"))
    kube.wait_pods_ready("goal", "near", "far")
    return {name: kube.one("pod", name) for name in ("goal", "near", "far")}


def test_three_forms_are_one(bare):
    """kubectl renders the kustomization to the objects of margay.yaml."""
    rendered = bare.kubectl("kustomize", MANIFESTS)
    dry = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f"]
    ours, theirs = bare.kubectl(*dry, os.path.join(places.BUILD, "margay.yaml")), bare.kubectl(*dry, "-", stdin=rendered)

    def objects(text):
        decoder, items, at = json.JSONDecoder(), [], 0
        while at < len(text.rstrip()):
            item, at = decoder.raw_decode(text, at)
            items += item.get("items", [item])
            while at < len(text) and text[at].isspace():
                at += 1
        return sorted(json.dumps(item, sort_keys=True) for item in items)
    assert objects(ours) == objects(theirs) and len(objects(ours)) > 25


def test_pods_reach_each_other(kube, pods):
    seen = [each for one in pods.values() for each in addresses(one)]
    assert len(seen) == len(set(seen)) == 6
    for name in ("near", "far"):
        for address in addresses(pods["goal"])[:1]:
            assert kube.fetch(name, address) == "goal", f"{name} to {address}"


def test_policy(kube, pods):
    address = addresses(pods["goal"])[0]
    kube.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed", "namespace": "default"},
                "spec": {"podSelector": {"matchLabels": {"app": "goal"}}, "policyTypes": ["Ingress"],
                         "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}]}})
    try:
        wait_for(lambda: kube.fetch("near", address) is None, "near is denied")
        assert kube.fetch("far", address) == "goal"
    finally:
        kube.kubectl("delete", "networkpolicy", "closed", "-n", "default")


def test_what_is_installed(kube):
    """The plugins are the image's, others' that were there stayed; nothing of a half-written file."""
    for node in kube.nodes.values():
        names = node.run("ls", "-A", "/opt/cni/bin").split()
        assert {"margay", "margay-ipam", "portmap", "loopback"} <= set(names) and not [name for name in names if name.startswith(".")]
        node.run("cmp", "/opt/cni/bin/margay", os.path.join(places.BUILD, "margay"))
        network = json.loads(node.run("cat", "/etc/cni/net.d/10-margay.conflist"))
        assert network["plugins"][0]["mtu"] == 0
        assert node.run("stat", "-c", "%a", "/run/margay", "/var/lib/margay").split() == ["700", "700"]


def test_nodes_have_a_network(kube):
    """The condition that calico/node writes, and what follows from it: no taint."""
    for name in kube.nodes:
        wait_for(lambda name=name: kube.condition(name, "NetworkUnavailable") == "False", f"{name} says so")
        assert not [taint for taint in kube.one("node", name)["spec"].get("taints", []) if "network" in taint["key"]]


def test_first_pools(kube):
    assert {one["spec"]["cidr"]: one["spec"]["ipipMode"] for one in kube.get("ippools.projectcalico.org")} == {POOL4: "Always", POOL6: "Never"}


def refused(kube):
    """Verb and path of what the API server refused our programs, by rights (403) or by policy (422)."""
    with open(os.path.join(kube.api, "audit")) as file:
        events = [json.loads(line) for line in file if line.endswith("\n")]
    ours = [one for one in events if one["user"]["username"].startswith(f"system:serviceaccount:{SYSTEM}:margay-")]
    assert {one["user"]["username"].rsplit(":", 1)[1] for one in ours} == {"margay-node", "margay-controller"}
    return sorted({f"{one['verb']} {one['requestURI']}" for one in ours
                   if one.get("responseStatus", {}).get("code") in (403, 422) and "kubectl" not in one.get("userAgent", "")})


def test_nothing_is_refused(kube, pods):
    """The accounts' rights are enough."""
    assert refused(kube) == []


@pytest.fixture(scope="module")
def agent_of_n1(kube):
    """A kubeconfig with the token that the agent of n1 has; kubectl with it, its words where it is refused."""
    (one,) = kube.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=margay-node", "--field-selector", "spec.nodeName=n1")
    token = kube.kubectl("create", "token", "-n", SYSTEM, "margay-node", "--bound-object-kind", "Pod", "--bound-object-name",
                         one["metadata"]["name"], "--bound-object-uid", one["metadata"]["uid"]).strip()
    with open(os.path.join(kube.api, "kubeconfig")) as file:
        config = json.load(file)
    config["users"][0]["user"] = {"token": token}
    path = os.path.join(kube.api, "agent-n1")
    with open(path, "w") as file:
        json.dump(config, file)

    def call(verb, item, sub=""):
        # kubectl's own verbs write annotations of kubectl's.
        names = {"Node": "/api/v1/nodes", "Pod": "/api/v1/namespaces/default/pods"}
        where = names.get(item["kind"], f"/apis/projectcalico.org/v3/{item['kind'].lower()}s".replace("affinitys", "affinities"))
        where += "" if verb == "create" else "/" + item["metadata"]["name"] + sub
        body = ["-f", "-"] if verb != "delete" else []
        done = kube.router.try_run(find("kubectl"), "--kubeconfig", path, verb, "--raw", where, *body, stdin=json.dumps(item))
        return "" if done.returncode == 0 else done.stderr
    return call


def annotated(item, key="cni.projectcalico.org/test"):
    item["metadata"].setdefault("annotations", {})[key] = "x"
    return item


def test_an_agent_ends_at_its_node(kube, pods, agent_of_n1):
    """With its own token the agent of n1 writes its Node, its pods' annotations and its blocks, and nothing of n3."""
    def replaced(node, change, sub=""):
        """Kubelet and agent write their Node as well: a conflict says nothing."""
        for _ in range(20):
            item = kube.one("node", node)
            change(item)
            answer = agent_of_n1("replace", item, sub)
            if "Conflict" not in answer:
                break
        return answer

    assert replaced("n1", annotated) == ""
    assert "its own Node only" in replaced("n3", annotated)
    assert "no labels, taints and ranges" in replaced("n1", lambda node: node["spec"].update(unschedulable=True))
    for change in (lambda node: node["status"]["capacity"].update(cpu="1000"), lambda node: node["status"].update(conditions=[])):
        assert "writes the condition NetworkUnavailable" in replaced("n1", change, "/status")
    assert "its own Node only" in replaced("n3", lambda node: None, "/status")

    assert agent_of_n1("replace", annotated(kube.one("pod", "goal"))) == ""
    assert "annotations of cni.projectcalico.org only" in agent_of_n1("replace", annotated(kube.one("pod", "goal"), "other"))
    labelled = kube.one("pod", "goal")
    labelled["metadata"]["labels"]["app"] = "far"
    assert "nothing of a Pod but annotations" in agent_of_n1("replace", labelled)
    imaged = kube.one("pod", "goal")
    imaged["spec"]["containers"][0]["image"] = "other"
    assert "nothing of a Pod but annotations" in agent_of_n1("replace", imaged)
    assert "Pods of its own node only" in agent_of_n1("replace", annotated(kube.one("pod", "far")))

    blocks = {one["spec"]["affinity"]: one for one in kube.get("ipamblocks.projectcalico.org")}
    theirs = blocks["host:n3"]
    assert "takes it from there only" in agent_of_n1("delete", theirs)
    theirs["spec"]["affinity"] = "host:n2"
    assert "to its own node or takes it from there only" in agent_of_n1("replace", theirs)
    affinity = {"apiVersion": "projectcalico.org/v3", "kind": "BlockAffinity", "metadata": {"name": "n3-10-244-255-0-26"},
                "spec": {"node": "n3", "type": "host", "cidr": "10.244.255.0/26", "state": "pending"}}
    assert "for its own node only" in agent_of_n1("create", affinity)
    pool = {"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "other"}, "spec": {"cidr": "10.250.0.0/16"}}
    assert "the first pools only" in agent_of_n1("create", pool)
    for kind in ("secrets", "configmaps"):
        done = kube.router.try_run(find("kubectl"), "--kubeconfig", os.path.join(kube.api, "agent-n1"), "get", kind, "-A")
        assert "forbidden" in done.stderr, kind
    kube.kubectl("annotate", "node", "n1", "cni.projectcalico.org/test-")
    kube.kubectl("annotate", "pod", "goal", "-n", "default", "cni.projectcalico.org/test-")


def backends(kube, pod):
    """Whom the established TCP sockets of a pod are connected to, as the kernel has it."""
    rows = kube.exec(pod, "cat", "/proc/net/tcp").stdout.splitlines()[1:]
    found = [row.split()[2].split(":") for row in rows if row.split()[3] == "01"]
    return {f"{ipaddress.IPv4Address(bytes.fromhex(address)[::-1])}:{int(port, 16)}" for address, port in found}


def test_services_at_connect_time(kube, pods):
    """Programs stand at the node's cgroup, that is to say not at the agent's container's: host processes reach services, and a pod's socket has the
    backend's address, not the service's. No program of ours is at the machine's own cgroups."""
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "goal", "namespace": "default"},
                "spec": {"selector": {"app": "goal"}, "ports": [{"port": 80, "targetPort": 8080}]}})
    service, backend = kube.one("service", "goal")["spec"]["clusterIP"], addresses(pods["goal"])[0] + ":8080"
    try:
        for node in kube.nodes.values():
            wait_for(lambda node=node: node.try_run("curl", "-fsS", "-m", "3", f"http://{service}/").stdout.strip() == "goal",
                     lambda node=node: f"{node.name} itself reaches the service\n{logs(kube)}", 30, 0.3)
            shown = node.run("bpftool", "-j", "cgroup", "show", node.cgroup_top)
            assert {one["name"] for one in json.loads(shown)} >= {"sock_connect4", "sock_connect6"}, shown
        for pod_name in ("near", "far"):
            kube.router.start(find("kubectl"), "--kubeconfig", f"{kube.api}/kubeconfig", "exec", pod_name, "--", "sh", "-c", f"sleep 60 | nc {service} 80")
            wait_for(lambda pod_name=pod_name: backend in backends(kube, pod_name), lambda pod_name=pod_name: f"{pod_name}: {backends(kube, pod_name)}")
        above = os.path.dirname(os.path.dirname(kube.nodes["n1"].cgroup))
        ours = subprocess.run(["bpftool", "-j", "cgroup", "show", above], capture_output=True, text=True, check=True).stdout.strip()
        assert "sock_connect" not in ours, ours
    finally:
        kube.kubectl("delete", "service", "goal", "-n", "default")


def controllers(mode):
    return {"apiVersion": "projectcalico.org/v3", "kind": "KubeControllersConfiguration", "metadata": {"name": "default"},
            "spec": {"controllers": {"node": {"hostEndpoint": {"autoCreate": mode}}}}}


def test_automatic_host_endpoints(kube, pods):
    """Switched on, each node is protected by policy that selects its labels; pods go on; switched off, nothing of it is left."""
    n1, n3 = kube.nodes["n1"], kube.nodes["n3"]
    n1.start("python3", "-m", "http.server", "8099", "--directory", "/opt/cni")

    def reaches():
        return n3.try_run("curl", "-fsS", "-m", "3", "-o", "/dev/null", "http://10.10.0.1:8099/").returncode == 0

    wait_for(reaches, "the node serves")
    kube.apply({"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": "no-8099"}, "spec": {
        "selector": "projectcalico.org/created-by == 'calico-kube-controllers' && kubernetes.io/hostname == 'n1'", "types": ["Ingress"],
        "ingress": [{"action": "Deny", "protocol": "TCP", "destination": {"ports": [8099]}}, {"action": "Allow"}]}}, controllers("Enabled"))
    try:
        def made():
            return {item["metadata"]["name"]: item["spec"] for item in kube.get("hostendpoints.projectcalico.org")}
        wait_for(lambda: set(made()) == {"n1-auto-hep", "n3-auto-hep"}, lambda: f"one a node: {made()}\n{logs(kube)}", 30, 0.3)
        assert made()["n1-auto-hep"]["interfaceName"] == "*" and "10.10.0.1" in made()["n1-auto-hep"]["expectedIPs"]
        wait_for(lambda: not reaches(), "the policy holds at n1", 30, 0.3)
        assert kube.fetch("far", addresses(pods["goal"])[0]) == "goal"
        assert kube.exec("near", "hostname").stdout.strip() == "near", "n1's kubelet answers"
        kube.apply(controllers("Disabled"))
        wait_for(lambda: not made(), lambda: f"all are gone: {made()}", 30, 0.3)
        wait_for(reaches, "it serves again", 30, 0.3)
    finally:
        kube.kubectl("delete", "kubecontrollersconfigurations.projectcalico.org/default", "globalnetworkpolicies.projectcalico.org/no-8099")


def test_rolling_the_daemonset(kube, pods):
    """New agents on all nodes, one node after the other: a stream between pods goes on without a loss."""
    address = addresses(pods["goal"])[0]
    def agents():
        return {one["metadata"]["uid"] for one in kube.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=margay-node")}
    seen = agents()
    stream = kube.router.start(find("kubectl"), "--kubeconfig", f"{kube.api}/kubeconfig", "exec", "far", "--", "ping", "-i", "0.1", "-c", "300",
                               address, stdout=subprocess.PIPE)
    kube.kubectl("rollout", "restart", "-n", SYSTEM, "daemonset/margay-node")
    kube.kubectl("rollout", "status", "-n", SYSTEM, "daemonset/margay-node", "--timeout=90s", timeout=100)
    assert len(agents()) == 2 and not seen & agents()
    text = stream.communicate(timeout=90)[0].decode()
    assert "300 packets transmitted, 300 packets received" in text, text[-500:]
    assert kube.fetch("far", address) == "goal"


def of_node(kube, node):
    """What blocks say of the node: those that belong to it, and addresses held for it."""
    out = []
    for block in kube.get("ipamblocks.projectcalico.org"):
        spec = block["spec"]
        out += [spec["cidr"]] if spec.get("affinity") == f"host:{node}" else []
        out += [each["handle_id"] for each in spec["attributes"]
                if each.get("handle_id") and (each.get("secondary") or {}).get("node") == node]
    return out + [one["metadata"]["name"] for one in kube.get("blockaffinities.projectcalico.org") if one["spec"]["node"] == node]


def test_node_is_removed(kube, pods):
    """A node dies and is deleted: margay-controller gives back all that it held, and nothing of the other node. The last test: n3 is gone."""
    assert len(of_node(kube, "n3")) > 4
    kept = addresses(pods["goal"])
    kube.nodes["n3"].holder.kill()
    kube.kubectl("delete", "node", "n3")
    kube.kubectl("delete", "pod", "far", "-n", "default", "--force", "--grace-period=0")
    wait_for(lambda: not of_node(kube, "n3"), lambda: f"n3's are given back: {of_node(kube, 'n3')}\n{logs(kube)}", 180, 0.5)
    assert kube.fetch("near", kept[0]) == "goal"
    assert len(of_node(kube, "n1")) > 4
    assert refused(kube) == []
