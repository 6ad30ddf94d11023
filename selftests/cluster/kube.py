# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes cluster of two nodes in namespaces: control plane on the router, n1 beside it, n3 behind it.

    n1  10.10.0.1    router 10.10.0.254 (API server, port 6443)    n3  10.20.0.3

The router drops packets that carry a pod's address: between the nodes they have to be in a tunnel.
"""
import json
import os
import subprocess

import cluster as places
import pytest
from cluster import wait_for
from images import BUSYBOX, write_test_images
from kube_node import KubeNode
from real_apiserver import find

ADDRESS, PORT = "10.10.0.254", 6443
HERE = os.path.dirname(os.path.abspath(__file__))
CRDS = os.path.join(places.TOP, "manifests/crds")


class KubeCluster(places.Cluster):
    node_class = KubeNode

    def __init__(self, nodes=("n1", "n3")):
        super().__init__(nodes)
        try:
            self._start(nodes)
        except BaseException:
            self.close()
            raise

    def _start(self, nodes):
        self.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        self.api = os.path.join(self.folder, "api")
        os.mkdir(self.api)
        self.addresses = {"n1": "10.10.0.1", "n2": "10.10.0.2", "n3": "10.20.0.3"}
        self.images = [write_test_images(self.folder)]
        plane = self.router.start("python3", f"{HERE}/control_plane.py", self.api, ADDRESS, PORT, *nodes, stdout=subprocess.PIPE)
        # While the control plane comes up.
        for node in self.nodes.values():
            node.start_containerd(self.images)
        line = plane.stdout.readline().decode()
        if line.startswith("missing "):
            pytest.skip(f"{line.strip()}: not built (selftests/kube/build)")
        assert line == "ready\n", f"no control plane: {line}"
        for node in self.nodes.values():
            node.start_kubelet(self.api, self.addresses[node.name])
        wait_for(lambda: len(self.get("nodes")) == len(nodes), lambda: "nodes register\n" + self.told(), 30)

    def define_kinds(self):
        self.kubectl("apply", "--server-side", "-f", CRDS)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def kubectl(self, *arguments, stdin=None, check=True, timeout=90):
        return self.router.run(find("kubectl"), "--kubeconfig", f"{self.api}/kubeconfig", *arguments, stdin=stdin, check=check, timeout=timeout)

    def try_kubectl(self, *arguments, timeout=90):
        return self.router.try_run(find("kubectl"), "--kubeconfig", f"{self.api}/kubeconfig", *arguments, timeout=timeout)

    def get(self, kind, *arguments):
        return json.loads(self.kubectl("get", kind, *arguments, "-o", "json"))["items"]

    def one(self, kind, name, namespace="default"):
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def condition(self, node, kind):
        found = [one for one in self.one("node", node)["status"].get("conditions", []) if one["type"] == kind]
        return found[0]["status"] if found else None

    def wait_nodes_ready(self, timeout=60):
        wait_for(lambda: all(self.condition(name, "Ready") == "True" for name in self.nodes),
                 lambda: "nodes are ready\n" + self.told(), timeout, 0.3)

    def told(self):
        return "\n".join(node.told(name) for node in self.nodes.values() for name in ("kubelet.log", "agent.log")
                         if os.path.exists(node.path_of(name)))

    def pods(self, **selector):
        return self.get("pods", "-n", "default", *(["-l", ",".join(f"{k}={v}" for k, v in selector.items())] if selector else []))

    def wait_pods_ready(self, *names, timeout=60):
        def waiting():
            states = {pod["metadata"]["name"]: pod for pod in self.pods()}
            return [name for name in names if not is_ready(states.get(name))]

        wait_for(lambda: not waiting(), lambda: f"pods are ready: {waiting()}\n{self.kubectl('get', 'events')}\n{self.told()}", timeout, 0.3)

    def exec(self, pod, *command):
        return self.try_kubectl("exec", pod, "--", *command)

    def ping(self, pod, target):
        return self.exec(pod, "ping", "-c", "1", "-W", "2", target).returncode == 0

    def fetch(self, pod, target, port=8080):
        """What the web server there says; None where no answer came."""
        host = f"[{target}]" if ":" in target else target
        done = self.exec(pod, "timeout", "3", "wget", "-q", "-O", "-", f"http://{host}:{port}/")
        return done.stdout.strip() if done.returncode == 0 else None


def is_ready(pod):
    conditions = (pod or {}).get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def pod(name, node=None, **labels):
    """A pod whose web server says the pod's name."""
    spec = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [server(name)]}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}


def server(says):
    return {"name": "c", "image": BUSYBOX, "imagePullPolicy": "Never",
            "command": ["sh", "-c", f"echo {says} >/www/index.html && exec httpd -f -p 8080 -h /www"],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}


def addresses(pod):
    return [each["ip"] for each in pod["status"].get("podIPs", [])]
