# SPDX-License-Identifier: Apache-2.0
"""The real kube-apiserver: our CRDs, the examples, margayctl, and the test functions of every datastore."""
import glob
import json
import os
import re
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_margayctl import CALICO_DENY, DENY, NODE, POOL, TOP, Ctl, rows  # noqa: E402

sys.path.insert(0, os.path.join(TOP, "selftests/lib"))
import real_apiserver  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))


class Cluster:
    def __init__(self, server):
        self.server, self.folder = server, server.folder

    def __call__(self, method, path, body=None):
        return json.loads(self.server.ask(path, method, body))


class Taken:
    """A port that somebody else binds after it was chosen, once."""

    def __init__(self, choose):
        self.choose, self.held, self.turns = choose, socket.create_server(("127.0.0.1", 0)), 0

    def __call__(self, count):
        self.turns += 1
        return ([self.held.getsockname()[1]] if self.turns == 1 else []) + self.choose(count - (self.turns == 1))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if missing := real_apiserver.missing():
        pytest.skip(f"{', '.join(missing)}: not built (selftests/kube/build)")
    server = real_apiserver.Server(tmp_path_factory.mktemp("apiserver"))
    real_apiserver.free_ports = taken = Taken(real_apiserver.free_ports)
    try:
        server.start()
        assert taken.turns == 2, "it came up with other ports"
        server.define_ours()
        cluster = Cluster(server)
        for name in ("a", "b", "shop"):
            cluster("POST", "/api/v1/namespaces", json.dumps({"metadata": {"name": name}}))
        yield cluster
    finally:
        server.stop()
        real_apiserver.free_ports = taken.choose
        taken.held.close()


@pytest.fixture
def ctl(cluster, tmp_path):
    ctl = Ctl(tmp_path)
    ctl.environment.update(DATASTORE_TYPE="kubernetes", KUBECONFIG=f"{cluster.folder}/kubeconfig")
    return ctl


def test_verbs(ctl):
    text = POOL + "---\n" + DENY + "---\n" + CALICO_DENY
    assert [line.split()[-1] for line in ctl.apply(text).splitlines()] == ["created"] * 3
    assert [line.split()[-1] for line in ctl.apply(text).splitlines()] == ["unchanged"] * 3
    assert ctl.apply(NODE) == "node/n1 created\n"
    assert ctl.apply(POOL.replace("CrossSubnet", "Always")) == "ippool.projectcalico.org/pool configured\n"
    ctl("label", "ippool", "pool", "team=other", "--overwrite")
    assert rows(ctl("get", "ippool", "-l", "team=other"))[1][0] == "pool"
    assert ctl("delete", "ippool", "pool") == 'ippool.projectcalico.org "pool" deleted\n'
    assert "NotFound" in ctl.fails("get", "ippool", "pool")


V3 = "/apis/projectcalico.org/v3"


@pytest.mark.parametrize("path, spec, expected", [
    ("tiers/kube-admin", {"order": 7}, "the tier kube-admin has order 1000"),
    ("tiers/kube-admin", {"order": 1000, "defaultAction": "Pass"}, None),
    ("tiers/t", {"defaultAction": "Log"}, "Unsupported value"),
    ("ippools/p", {"cidr": "10.9.0.0/16", "ipipMode": "Always", "vxlanMode": "Always"}, "both on"),
    ("ippools/p", {"ipipMode": "Always"}, "spec.cidr: Required value"),
    ("hostendpoints/h", {"node": "n"}, "interfaceName or expectedIPs"),
    ("felixconfigurations/x", {}, "default or node.NAME"),
    ("felixconfigurations/node.x", {"wireguardEnabled": True, "natPortRange": "1:2"}, None),
    ("globalnetworkpolicies/g", {"preDNAT": True}, "applyOnForward"),
    ("globalnetworkpolicies/g", {"ingress": [{"action": "allow", "protocol": "TCP", "destination": {"ports": [80, "1:2"]}}]}, None),
    ("globalnetworkpolicies/h", {"ingress": [{"action": "Maybe"}]}, "should match"),
])
def test_rules(cluster, path, spec, expected):
    """What the API server itself refuses, whoever writes."""
    plural, name = path.split("/")
    crd = cluster("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.projectcalico.org")
    item = {"apiVersion": "projectcalico.org/v3", "kind": crd["spec"]["names"]["kind"], "metadata": {"name": name}, "spec": spec}
    if not expected:
        stored = cluster("POST", f"{V3}/{plural}", json.dumps(item))
        assert stored["spec"] | spec == stored["spec"], "nothing is lost"
        cluster("DELETE", f"{V3}/{path}")
        return
    with pytest.raises(AssertionError, match=expected):
        cluster("POST", f"{V3}/{plural}", json.dumps(item))


def test_what_cannot_be_changed(cluster):
    pool = {"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "p"}, "spec": {"cidr": "10.9.0.0/16"}}
    stored = cluster("POST", f"{V3}/ippools", json.dumps(pool))
    stored["spec"]["cidr"] = "10.8.0.0/16"
    with pytest.raises(AssertionError, match="cidr cannot be changed"):
        cluster("PUT", f"{V3}/ippools/p", json.dumps(stored))
    cluster("DELETE", f"{V3}/ippools/p")


def test_tier_of_a_policy(cluster):
    policy = {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": {"selector": "all()"}}
    assert cluster("POST", f"{V3}/namespaces/a/networkpolicies", json.dumps(policy))["spec"]["tier"] == "default"
    found = cluster("GET", f"{V3}/networkpolicies?fieldSelector=spec.tier%3Ddefault")["items"]
    assert "p" in [one["metadata"]["name"] for one in found]
    assert not cluster("GET", f"{V3}/networkpolicies?fieldSelector=spec.tier%3Dother")["items"]


@pytest.mark.parametrize("name", sorted(
    os.path.relpath(path, TOP) for path in glob.glob(os.path.join(TOP, "manifests/examples/**/*.yaml"), recursive=True)
    if not path.endswith("pods.yaml")))  # stand for what runs: without containers they are none of a cluster's
def test_examples(ctl, name):
    """Each example is taken as it stands, and nothing of it is lost: applied again it is unchanged."""
    with open(os.path.join(TOP, name)) as file:
        text = file.read()
    if "policy.networking.k8s.io" in text:
        pytest.skip("the CRD of policy.networking.k8s.io is others'")
    for space in set(re.findall(r"\bnamespace: ([a-z0-9-]+)", text)):
        ctl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}))
    ctl("apply", "-f", os.path.join(TOP, name))
    again = ctl("apply", "-f", os.path.join(TOP, name)).splitlines()
    assert again and [line for line in again if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("name", ["test_datastore", "test_datastore_watch"])
def test_store(cluster, name):
    """The test functions of every datastore, over HTTP/2."""
    done = subprocess.run([os.path.join(BUILD, "selftests/unit", name)], env=os.environ | {"MARGAY_TEST_APISERVER": cluster.folder},
                          capture_output=True, text=True, timeout=120, cwd=TOP)
    assert done.returncode == 0 and "kubernetes: " in done.stdout, done.stdout + done.stderr
