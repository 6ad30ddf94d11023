# SPDX-License-Identifier: Apache-2.0
"""margayctl on a directory store: verbs, messages and exit statuses are kubectl's, tables calicoctl's."""
import json
import os
import shutil
import socket
import subprocess
import threading
from types import SimpleNamespace

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(TOP, os.environ.get("BUILD", "build"), "margayctl")

POOL = """\
apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: pool
  labels: {team: net}
spec:
  cidr: 10.244.0.0/16
  ipipMode: CrossSubnet
  natOutgoing: true
"""
DENY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
"""
CALICO_DENY = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  tier: default
  order: 10
  selector: app == 'db'
  types: [Ingress]
"""
NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: n1
  annotations:
    projectcalico.org/IPv4Address: 10.0.0.1/24
    projectcalico.org/ASNumber: "64513"
    example.com/other: kept
spec:
  podCIDR: 10.1.0.0/24
  podCIDRs: [10.1.0.0/24]
  taints: [{key: a, effect: NoSchedule}]
status:
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: n1}]
"""


class Ctl:
    def __init__(self, folder, program=PROGRAM):
        self.folder, self.program = str(folder), program
        self.manifests = os.path.join(self.folder, "manifests.d")
        self.environment = {"PATH": "/usr/bin:/bin", "DATASTORE_TYPE": f"dir:{self.folder}/store"}

    def __call__(self, *arguments, stdin="", status=0):
        done = subprocess.run([self.program, *arguments], input=stdin, env=self.environment, text=True,
                              capture_output=True, timeout=60, cwd=self.folder)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.errors = done.stderr
        return done.stdout

    def apply(self, text, *arguments, status=0):
        # A text that begins with { is JSON; behind a document's start it may be YAML's flow style.
        return self("apply", "-f", "-", *arguments, stdin="---\n" + text if text[0] == "{" else text, status=status)

    def get(self, *arguments):
        return json.loads(self("get", *arguments, "-o", "json"))

    def fails(self, *arguments, stdin="", status=1):
        """The text of the failure; nothing may have been printed as success."""
        self(*arguments, stdin=stdin, status=status)
        assert self.errors
        return self.errors

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


@pytest.fixture
def ctl(tmp_path):
    os.chmod(tmp_path, 0o700)
    return Ctl(tmp_path)


def rows(table):
    return [line.split() for line in table.strip().split("\n")]


# --- apply ---


def test_apply_messages(ctl):
    assert ctl.apply(POOL) == "ippool.projectcalico.org/pool created\n"
    assert ctl.apply(POOL) == "ippool.projectcalico.org/pool unchanged\n"
    assert ctl.apply(POOL.replace("natOutgoing: true", "natOutgoing: false")) == \
        "ippool.projectcalico.org/pool configured\n"
    assert ctl.apply("{apiVersion: v1, kind: Namespace, metadata: {name: a}}") == "namespace/a created\n"


def test_apply_three_way(ctl):
    """What left the file leaves the object; what others set stays."""
    ctl.apply(POOL)
    ctl("label", "ippool", "pool", "by=hand")
    ctl.apply(POOL.replace("  natOutgoing: true\n", "").replace("{team: net}", "{team: ops}"))
    pool = ctl.get("ippool", "pool")
    assert pool["metadata"]["labels"] == {"team": "ops", "by": "hand"}
    assert "natOutgoing" not in pool["spec"]
    assert pool["spec"]["ipipMode"] == "CrossSubnet"


def test_apply_together(ctl):
    """Several objects of one apply are one version."""
    ctl.apply("---\n".join([POOL, DENY, CALICO_DENY]))
    versions = {item["metadata"]["resourceVersion"] for item in ctl.get("ippool,netpol,cnp", "-A")["items"]}
    assert len(versions) == 1


def test_apply_bad_among_good(ctl):
    """A refused object is named by file, line and field; it is not half applied, and the others are."""
    bad = POOL.replace("name: pool", "name: bad").replace("CrossSubnet", "Sometimes")
    path = ctl.write("in/pools.yaml", POOL + "---\n" + bad)
    out = ctl("apply", "-f", path, status=1)
    assert out == "ippool.projectcalico.org/pool created\n"
    assert f"{path}:18: ippool.projectcalico.org/bad: spec.ipipMode: " in ctl.errors
    assert "CrossSubnet" in ctl.errors  # what was expected
    assert len(ctl.get("ippool")["items"]) == 1


@pytest.mark.parametrize("text, expected", [
    ("", "no objects"),
    ("a: [b", "line "),
    ("apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n", 'no kind "Nothing" in apiVersion "v1"'),
    ("kind: IPPool\n", "apiVersion: missing"),
    ("apiVersion: v1\nkind: Pod\n", "metadata.name: missing"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: yes}\n", "metadata.name: expected a text, not true"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: a/b}\n", "'/'"),
    ("[1, 2]", "expected an object"),
    (POOL + "---\n" + POOL, "is given twice"),
])
def test_apply_refuses(ctl, text, expected):
    assert expected in ctl.fails("apply", "-f", "-", stdin=text)


def test_apply_sources(ctl):
    ctl.write("d/a.yaml", POOL)
    ctl.write("d/b.json", json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}))
    ctl.write("d/.hidden.yaml", "nonsense: [")
    ctl.write("d/readme.txt", "nonsense: [")
    ctl.write("d/below/c.yml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n")
    assert ctl("apply", "-f", "d") == "ippool.projectcalico.org/pool created\nnamespace/b created\n"
    assert "namespace/c created\n" in ctl("apply", "-R", "-f", "d")
    assert "No such file" in ctl.fails("apply", "-f", "absent.yaml")
    assert "expected -f" in ctl.fails("apply")
    os.mkdir(os.path.join(ctl.folder, "empty"))
    assert "no .yaml" in ctl.fails("apply", "-f", "empty")


def test_apply_list(ctl):
    ctl.apply("---\n".join([POOL, DENY]))
    saved = ctl("get", "ippool,netpol", "-A", "-o", "yaml", "--export")
    ctl("delete", "ippool,netpol", "--all", "-A")
    assert "networkpolicy.networking.k8s.io/deny created\n" in ctl.apply(saved)
    assert ctl.apply(saved.replace("natOutgoing: true", "natOutgoing: 7"), status=1) == \
        "networkpolicy.networking.k8s.io/deny unchanged\n"
    assert "standard input:" in ctl.errors and "spec.natOutgoing" in ctl.errors


def test_apply_stale(ctl):
    ctl.apply(POOL)
    old = ctl("get", "ippool", "pool", "-o", "yaml")
    ctl("label", "ippool", "pool", "a=b")
    assert "Error from server (Conflict)" in ctl.fails("apply", "-f", "-", stdin=old)


def test_namespaces(ctl):
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}}"
    ctl.apply(pod)
    ctl.apply(pod, "-n", "other")
    assert [p["metadata"]["namespace"] for p in ctl.get("pods", "-A")["items"]] == ["default", "other"]
    assert len(ctl.get("pods", "-n", "other")["items"]) == 1
    assert "does not match the namespace" in ctl.fails("apply", "-n", "x", "-f", "-", stdin=DENY)


def test_no_effect_yet(ctl):
    peer = "{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: p}, spec: {peerIP: 1.2.3.4, asNumber: 5}}"
    assert ctl.apply(peer) == "bgppeer.projectcalico.org/p created\n"
    assert "no effect yet" in ctl.errors


def test_dry_run(ctl):
    assert ctl.apply(POOL, status=0) == "ippool.projectcalico.org/pool created\n"
    other = POOL.replace("name: pool", "name: two").replace("244", "245")
    assert ctl.apply(other, "--dry-run=client") == "ippool.projectcalico.org/two created (dry run)\n"
    assert ctl("delete", "ippool", "pool", "--dry-run=server") == \
        'ippool.projectcalico.org "pool" deleted (dry run)\n'
    assert ctl("get", "ippool", "-o", "name") == "ippool.projectcalico.org/pool\n"


def test_output_of_apply(ctl):
    assert ctl.apply(POOL, "-o", "name") == "ippool.projectcalico.org/pool\n"
    assert json.loads(ctl.apply(POOL, "-o", "json"))["spec"]["cidr"] == "10.244.0.0/16"


# --- create, replace, delete ---


def test_create(ctl):
    other = POOL.replace("name: pool", "name: two").replace("244", "245")
    assert ctl("create", "-f", "-", stdin=POOL) == "ippool.projectcalico.org/pool created\n"
    out = ctl("create", "-f", "-", stdin=POOL + "---\n" + other, status=1)
    assert out == "ippool.projectcalico.org/two created\n"
    assert 'Error from server (AlreadyExists): error when creating "standard input": ' \
        'ippools.projectcalico.org "pool" already exists' in ctl.errors
    ctl("create", "-f", "-", "--skip-exists", stdin=POOL)


def test_replace(ctl):
    assert "(NotFound)" in ctl.fails("replace", "-f", "-", stdin=POOL, status=1) or "no store" in ctl.errors
    ctl.apply(POOL)
    uid = ctl.get("ippool", "pool")["metadata"]["uid"]
    assert ctl("replace", "-f", "-", stdin=POOL.replace("  natOutgoing: true\n", "")) == \
        "ippool.projectcalico.org/pool replaced\n"
    pool = ctl.get("ippool", "pool")
    assert "natOutgoing" not in pool["spec"] and pool["metadata"]["uid"] == uid
    assert 'ippools.projectcalico.org "two" not found' in \
        ctl.fails("replace", "-f", "-", stdin=POOL.replace("name: pool", "name: two"))


def test_delete(ctl):
    ctl.apply("---\n".join([POOL, DENY]))
    assert ctl("delete", "-f", "-", stdin=DENY) == 'networkpolicy.networking.k8s.io "deny" deleted\n'
    assert "(NotFound)" in ctl.fails("delete", "-f", "-", stdin=DENY)
    assert ctl("delete", "-f", "-", "--ignore-not-found", stdin=DENY) == ""
    assert ctl("delete", "ipp", "pool", "absent", status=1) == 'ippool.projectcalico.org "pool" deleted\n'
    assert 'ippools.projectcalico.org "absent" not found' in ctl.errors
    assert "expected names" in ctl.fails("delete", "ippool")


def test_delete_selected(ctl):
    for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
        ctl.apply(f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {app}}}}}}}")
    assert ctl("delete", "pods", "-l", "app=web") == 'pod "a" deleted\npod "b" deleted\n'
    assert ctl("delete", "pod", "--all", "-o", "name") == "pod/c\n"
    assert ctl("get", "pods") == "" and "No resources found in default namespace." in ctl.errors


TIER = """\
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: %s}
spec: {order: %s}
"""


def test_tiers(ctl):
    """A policy in a missing tier says so; a tier goes last."""
    ctl.apply(CALICO_DENY.replace("tier: default", "tier: security"))
    wide = ctl("get", "tier,networkpolicy", "-A", "-o", "wide")
    assert "inactive: there is no tier security" in wide
    ctl.apply(TIER % ("security", 5))
    wide = ctl("get", "tier,networkpolicy", "-A", "-o", "wide")
    assert "active" in wide and "inactive" not in wide
    assert rows(wide)[0] == ["NAME", "ORDER", "DEFAULTACTION"] and rows(wide)[4] == ["security", "5", "Deny"]
    assert "1 policies are in it" in ctl.fails("delete", "tier", "security")
    both = "---\n".join([CALICO_DENY, TIER % ("security", 5)])
    assert 'tier.projectcalico.org "security" deleted' in ctl("delete", "-f", "-", stdin=both)
    assert "of tier default is 1000000" in ctl.fails("apply", "-f", "-", stdin=TIER % ("default", 5))


def test_policy_examples(ctl):
    """Every example applies without a complaint."""
    folder = os.path.join(TOP, "manifests/examples/policy")
    names = [name for name in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, name))]
    assert len(names) > 5
    for name in names:
        ctl("apply", "-f", os.path.join(folder, name, "policy.yaml"))
        assert ctl.errors == ""


# --- patch and label ---


def test_patch(ctl):
    ctl.apply(POOL)
    assert ctl("patch", "ipp", "pool", "-p", '{"spec":{"disabled":true}}') == \
        "ippool.projectcalico.org/pool patched\n"
    assert ctl("patch", "ipp", "pool", "-p", '{"spec":{"disabled":true}}') == \
        "ippool.projectcalico.org/pool patched (no change)\n"
    ctl("patch", "ippool/pool", "-t", "merge", "-p", '{"spec":{"disabled":null}}')
    assert "disabled" not in ctl.get("ippool", "pool")["spec"]
    ctl("patch", "ippool", "pool", "--type=json", "-p", '[{"op":"replace","path":"/spec/natOutgoing","value":false}]')
    assert ctl.get("ippool", "pool")["spec"]["natOutgoing"] is False
    assert "spec.ipipMode" in ctl.fails("patch", "ippool", "pool", "-p", '{"spec":{"ipipMode":"x"}}')
    assert "patch[0]" in ctl.fails("patch", "ippool", "pool", "-t", "json", "-p", '[{"op":"remove","path":"/no/such"}]')
    assert "(NotFound)" in ctl.fails("patch", "ippool", "absent", "-p", "{}")


def test_label(ctl):
    ctl.apply(POOL)
    assert ctl("label", "ippool", "pool", "a=b", "c=") == "ippool.projectcalico.org/pool labeled\n"
    assert ctl("label", "ippool", "pool", "a=b") == "ippool.projectcalico.org/pool not labeled\n"
    assert "already has a value (b), and --overwrite is false" in ctl.fails("label", "ippool", "pool", "a=x")
    assert ctl("label", "ippool", "pool", "a=x", "--overwrite") == "ippool.projectcalico.org/pool labeled\n"
    assert ctl("label", "ippool", "pool", "a-") == "ippool.projectcalico.org/pool unlabeled\n"
    assert ctl("label", "ippool", "pool", "c", "--remove") == "ippool.projectcalico.org/pool unlabeled\n"
    assert ctl.get("ippool", "pool")["metadata"]["labels"] == {"team": "net"}
    assert "expected labels" in ctl.fails("label", "ippool", "pool")


# --- rules beside the object itself ---


def test_pool_rules(ctl):
    ctl.apply(POOL)
    assert "spec.cidr: cannot be changed" in ctl.fails("apply", "-f", "-", stdin=POOL.replace("244", "245"))
    inside = POOL.replace("name: pool", "name: inside").replace("10.244.0.0/16", "10.244.8.0/24")
    assert 'overlaps with 10.244.0.0/16 of the pool "pool"' in ctl.fails("apply", "-f", "-", stdin=inside)
    fresh = [POOL.replace("name: pool", f"name: p{n}").replace("10.244.0.0/16", cidr)
             for n, cidr in ((1, "10.8.0.0/16"), (2, "10.8.1.0/24"))]
    assert ctl.apply("---\n".join(fresh), status=1) == "ippool.projectcalico.org/p1 created\n"
    assert 'of the pool "p1"' in ctl.errors


def test_built_in_tiers(ctl):
    ctl.apply("{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: default}, spec: {order: 1000000}}")
    assert "is built in and cannot be deleted" in ctl.fails("delete", "tier", "default")


# --- get ---


def test_pool_columns(ctl):
    ctl.apply(POOL)
    assert rows(ctl("get", "ipp")) == [["NAME", "CIDR", "SELECTOR"], ["pool", "10.244.0.0/16", "all()"]]
    assert rows(ctl("get", "pools", "-o", "wide")) == [
        ["NAME", "CIDR", "NAT", "IPIPMODE", "VXLANMODE", "DISABLED", "DISABLEBGPEXPORT", "SELECTOR", "ASSIGNMENTMODE"],
        ["pool", "10.244.0.0/16", "true", "CrossSubnet", "Never", "false", "false", "all()", "Automatic"]]
    assert rows(ctl("get", "ippool", "--no-headers")) == [["pool", "10.244.0.0/16", "all()"]]
    assert rows(ctl("get", "ippool", "--show-labels"))[1][-1] == "team=net"


def test_workload_endpoint_columns(ctl):
    ctl.apply("""{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: n1-k8s-web-eth0, namespace: shop},
        spec: {orchestrator: k8s, node: n1, pod: web, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.0.0.1/32, "fd00::1/128"],
        containerID: abc, profiles: [kns.shop]}}""")
    assert rows(ctl("get", "wep", "-A")) == [["NAMESPACE", "WORKLOAD", "NODE", "NETWORKS", "INTERFACE"],
                                             ["shop", "web", "n1", "10.0.0.1/32,fd00::1/128", "cali1"]]
    wide = rows(ctl("get", "workloadendpoints", "-n", "shop", "-o", "wide"))
    assert wide[0] == ["NAME", "WORKLOAD", "NODE", "NETWORKS", "INTERFACE", "PROFILES", "NATS"]


def test_two_groups(ctl):
    """A bare networkpolicy means both groups; with its group it is one."""
    ctl.apply("---\n".join([DENY, CALICO_DENY]))
    table = rows(ctl("get", "networkpolicy", "-n", "shop"))
    assert table[0][:2] == ["NAME", "GROUP"]
    assert [row[1] for row in table[1:]] == ["networking.k8s.io", "projectcalico.org"]
    assert rows(ctl("get", "networkpolicy.networking.k8s.io", "-n", "shop"))[1][:2] == ["deny", "app=web"]
    assert rows(ctl("get", "networkpolicy.projectcalico.org", "-A", "-o", "wide")) == [
        ["NAMESPACE", "NAME", "TIER", "ORDER", "SELECTOR", "STATUS", "ALLOWED", "DENIED", "PACKETS", "BYTES"],
        ["shop", "deny", "default", "10", "app", "==", "'db'", "active", "-", "-", "-", "-"]]  # no agent counts here
    assert "say which" in ctl.fails("delete", "networkpolicy", "deny", "-n", "shop")
    ctl("delete", "networkpolicy.projectcalico.org", "deny", "-n", "shop")
    assert ctl("delete", "networkpolicy", "deny", "-n", "shop") == 'networkpolicy.networking.k8s.io "deny" deleted\n'


def test_node_forms(ctl):
    """A Node is shown in Calico's form, whatever it is stored as; what that form lacks is not lost."""
    ctl.apply(NODE)
    node = ctl.get("node", "n1")
    assert node["apiVersion"] == "projectcalico.org/v3"
    assert node["spec"]["bgp"] == {"ipv4Address": "10.0.0.1/24", "asNumber": 64513}
    assert {"address": "10.0.0.1", "type": "InternalIP"} in node["spec"]["addresses"]
    assert node["status"]["podCIDRs"] == ["10.1.0.0/24"]
    assert node["metadata"]["annotations"]["example.com/other"] == "kept"
    assert rows(ctl("get", "nodes", "-o", "wide")) == [["NAME", "ASN", "IPV4", "IPV6"],
                                                       ["n1", "64513", "10.0.0.1/24", "<none>"]]
    ctl("patch", "node", "n1", "-p", "spec: {bgp: {asNumber: 64999}}")
    with open(os.path.join(ctl.folder, "store/objects/core/Node/_/n1.json")) as file:
        stored = json.load(file)
    assert stored["apiVersion"] == "v1"
    assert stored["metadata"]["annotations"]["projectcalico.org/ASNumber"] == "64999"
    assert stored["spec"]["taints"] == [{"key": "a", "effect": "NoSchedule"}]
    assert ctl.apply(ctl("get", "node", "n1", "-o", "yaml")).startswith("node/n1 ")
    assert ctl.get("node", "n1")["spec"]["bgp"]["asNumber"] == 64999


def test_formats(ctl):
    ctl.apply("---\n".join([POOL, DENY]))
    assert ctl.get("ippool", "pool")["kind"] == "IPPool"
    assert ctl.get("ippool")["kind"] == "List"
    assert ctl("get", "ippool,netpol", "-A", "-o", "name") == \
        "ippool.projectcalico.org/pool\nnetworkpolicy.networking.k8s.io/deny\n"
    assert ctl("get", "ippool", "-o", "custom-columns=N:.metadata.name,C:.spec.cidr,X:.spec.none") == \
        "N      C               X\npool   10.244.0.0/16   <none>\n"
    assert ctl("get", "ippool", "-o", "custom-columns=NAME,NAT") == "NAME   NAT\npool   true\n"
    assert "no column" in ctl.fails("get", "ippool", "-o", "custom-columns=NONSENSE")
    assert ctl("get", "ippool", "pool", "-o", "jsonpath={.spec.cidr}") == "10.244.0.0/16"
    assert "is none of" in ctl.fails("get", "ippool", "-o", "xml")
    assert "cidr: 10.244.0.0/16\n" in ctl("get", "ippool/pool", "-o", "yaml")


def test_get_selected(ctl):
    ctl.apply(POOL)
    assert len(ctl.get("ippool", "-l", "team in (net, ops)")["items"]) == 1
    assert ctl.get("ippool", "-l", "team!=net")["items"] == []
    assert "label selector" in ctl.fails("get", "ippool", "-l", "a in b")
    assert 'ippools.projectcalico.org "x" not found' in ctl.fails("get", "ippool", "x")
    assert 'no kind of objects named "nonsense"' in ctl.fails("get", "nonsense")


def test_watch(ctl):
    ctl.apply(POOL)
    watch = subprocess.Popen([PROGRAM, "get", "ippool", "-w"], env=ctl.environment, text=True, stdout=subprocess.PIPE)
    try:
        assert watch.stdout.readline().split() == ["NAME", "CIDR", "SELECTOR"]
        assert watch.stdout.readline().split() == ["pool", "10.244.0.0/16", "all()"]
        ctl.apply(POOL.replace("name: pool", "name: two").replace("244", "245"))
        assert watch.stdout.readline().split() == ["two", "10.245.0.0/16", "all()"]
    finally:
        watch.terminate()  # SIGINT is ignored by what a shell started behind itself, and by its children
        watch.wait(10)


# --- validate ---


def test_validate(ctl):
    """No store is needed or made."""
    assert ctl("validate", "-f", "-", stdin=POOL) == "ippool.projectcalico.org/pool valid\n"
    assert "spec.cidr" in ctl.fails("validate", "-f", "-", stdin=POOL.replace("10.244.0.0/16", "10.244.0.1/16"))
    assert not os.path.exists(os.path.join(ctl.folder, "store"))


MISSPELT = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open}
spec:
  podSelector: {}
  ingress:
  - form: [{podSelector: {matchLabels: {a: b}}}]
"""


@pytest.mark.parametrize("verb", ["apply", "create", "replace", "validate"])
def test_unknown_field(ctl, verb):
    """kubectl's --validate: strict unless told, with the field's path."""
    if verb == "replace":
        ctl.apply(MISSPELT.replace("form", "from"))
    said = "standard input:7: networkpolicy.networking.k8s.io/open: spec.ingress[0].form: unknown field"
    for level in ([], ["--validate"], ["--validate=strict"], ["--validate=true"]):
        assert f"error: {said}" in ctl.fails(verb, "-f", "-", *level, stdin=MISSPELT)
    ctl(verb, "-f", "-", "--validate=warn", *(["--dry-run"] if verb != "validate" else []), stdin=MISSPELT)
    assert f"warning: {said}" in ctl.errors
    ctl(verb, "-f", "-", "--validate=ignore", stdin=MISSPELT)
    assert ctl.errors == ""
    assert "none of strict, warn, ignore" in ctl.fails(verb, "-f", "-", "--validate=loose")


def test_unknown_field_of_patch(ctl):
    ctl.apply(DENY)
    deny = ["networkpolicy.networking.k8s.io", "deny", "-n", "shop"]
    patch = ["patch", *deny, "-p", '{"spec": {"egres": []}}']
    assert "error: networkpolicy.networking.k8s.io/deny: spec.egres: unknown field" in ctl.fails(*patch)
    ctl(*patch, "--validate=warn")
    ctl("label", *deny, "a=b")  # what is stored that way can still be labelled


# --- manifests ---


def test_manifests(ctl):
    path = ctl.write("manifests.d/net.yaml", "# ours\n" + POOL)
    ctl.apply("{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
    ours = ("--manifests", ctl.manifests)
    assert rows(ctl("get", "ippool", *ours))[1][0] == "pool"
    changed = POOL.replace("true", "false")
    for arguments in (("apply", "-f", "-"), ("replace", "-f", "-"), ("delete", "ippool", "pool"),
                      ("label", "ippool", "pool", "a=b"), ("apply", "-f", "-", "--dry-run"),
                      ("patch", "ippool", "pool", "-p", '{"spec":{"disabled":true}}')):
        assert f"comes from the file {path}:2: change it there" in ctl.fails(*arguments, *ours, stdin=changed)
    assert "comes from the file" in ctl.fails("apply", "-f", "-", *ours, stdin=changed + "---\n" + DENY)
    assert ctl("get", "netpol", "-n", "shop", "-o", "name") == "networkpolicy.networking.k8s.io/deny\n"


def test_manifest_folder_of_others(ctl):
    ctl.write("manifests.d/net.yaml", POOL)
    ctl.apply(DENY)
    os.chmod(ctl.manifests, 0o777)
    assert "chmod go-w" in ctl.fails("get", "ippool", "--manifests", ctl.manifests)


# --- where the store is ---


def test_datastores(ctl):
    assert "no store there" in ctl.fails("get", "pods")
    ctl.environment["DATASTORE_TYPE"] = "etcdv3"
    text = ctl.fails("get", "pods")
    assert '"etcdv3" (from DATASTORE_TYPE) is not built yet' in text and "--datastore dir:PATH" in text
    assert "from --datastore" in ctl.fails("get", "pods", "--datastore", "etcd")
    assert "expected dir:/absolute/path" in ctl.fails("get", "pods", "--datastore", "nonsense")
    del ctl.environment["DATASTORE_TYPE"]
    config = ctl.write("calicoctl.cfg", "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\n"
                                        "spec:\n  datastoreType: \"etcdv3\"\n")
    assert f"(from {config})" in ctl.fails("get", "pods", "--config", config)
    assert ctl("apply", "-f", "-", "--datastore", f"dir:{ctl.folder}/other", stdin=POOL).endswith("created\n")
    assert os.stat(os.path.join(ctl.folder, "other")).st_mode & 0o777 == 0o700


def test_store_of_others(ctl):
    ctl.apply(POOL)
    os.chmod(os.path.join(ctl.folder, "store"), 0o777)
    assert "chmod go-w" in ctl.fails("get", "ippool")


# --- the agent ---


@pytest.fixture
def agent(ctl):
    """Answers each request on a control socket by what it is told; notes the requests."""
    path = os.path.join(ctl.folder, "ctl.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    state = SimpleNamespace(path=path, requests=[], answer=b"")

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                state.requests.append(json.loads(lines.readline()))
                peer.sendall(state.answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield state
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_show(ctl, agent):
    rows_of = [{"hook": "from_pod", "reason": "policy", "packets": 3, "bytes": 180, "meaning": "no rule allows it"}] * 2000
    agent.answer = json.dumps({"ok": True, "drops": rows_of}).encode() + b"\n"
    table = ctl("drops", "show", "--socket", agent.path).split("\n")
    assert table[0].split() == ["HOOK", "REASON", "PACKETS", "BYTES", "MEANING"]
    assert table[1].split()[:4] == ["from_pod", "policy", "3", "180"] and len(table) == 2002
    assert json.loads(ctl("drops", "show", "-o", "json", "--socket", agent.path)) == rows_of
    assert agent.requests[0] == {"version": 1, "op": "drops"}


def test_show_nothing(ctl, agent):
    agent.answer = b'{"ok": true, "flows": []}\n'
    assert ctl("flows", "show", "--socket", agent.path) == "" and ctl.errors == "No flows.\n"


@pytest.mark.parametrize("answer, expected", [
    (b'{"ok": false, "code": 1, "msg": "op is not known"}\n', 'refuses "flows": op is not known'),
    (b"nonsense\n", "answer"),
    (b"[]\n", "answer"),
    (b'{"ok": true}\n', "another version"),
    (b'{"ok": tr', "does not answer"),
    (b"", "does not answer"),
])
def test_show_refused(ctl, agent, answer, expected):
    agent.answer = answer
    assert expected in ctl.fails("flows", "show", "--socket", agent.path)


# --- what is there without an object ---


def test_tiers_without_objects(ctl):
    ctl.apply(TIER % ("security", 5))
    assert [row[:2] for row in rows(ctl("get", "tier"))] == [
        ["NAME", "ORDER"], ["default", "1000000"], ["kube-admin", "1000"], ["kube-baseline", "10000000"],
        ["security", "5"]]
    assert ctl.get("tier", "kube-admin")["spec"] == {"order": 1000, "defaultAction": "Pass"}
    ctl.apply("{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: default, labels: {a: b}}, "
              "spec: {order: 1000000}}")
    assert len(ctl.get("tier")["items"]) == 4
    assert ctl.get("tier", "default")["metadata"]["labels"] == {"a": "b"}
    assert [row[0] for row in rows(ctl("get", "tier", "-l", "a=b"))] == ["NAME", "default"]
    assert "not found" in ctl.fails("get", "tier", "nobody")


def test_profiles(ctl):
    """Of namespaces and service accounts, as Calico derives them."""
    ctl.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: web}}}")
    ctl.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner, namespace: shop, labels: {job: ci}}}")
    assert [row[0] for row in rows(ctl("get", "profile"))] == [
        "NAME", "kns.shop", "ksa.shop.runner", "projectcalico-default-allow"]
    assert ctl.get("profile", "kns.shop")["spec"] == {
        "ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}],
        "labelsToApply": {"pcns.team": "web", "pcns.projectcalico.org/name": "shop"}}
    assert ctl.get("profile", "ksa.shop.runner")["spec"] == {
        "labelsToApply": {"pcsa.job": "ci", "pcsa.projectcalico.org/name": "runner"}}
    assert "pcsa.job=ci" in ctl("get", "profile", "-o", "wide")


# --- how it is called ---


def test_namespace_before_the_verb(ctl):
    """As `kubectl margay -n NS VERB` comes; the verb's own comes first."""
    ctl.apply(DENY)
    assert rows(ctl("-n", "shop", "get", "networkpolicy"))[1][0] == "deny"
    assert rows(ctl("--namespace=other", "get", "networkpolicy", "-n", "shop"))[1][0] == "deny"
    ctl("-n", "other", "get", "networkpolicy")
    assert "other namespace" in ctl.errors
    ctl("-n", "shop", "delete", "networkpolicy.networking.k8s.io", "deny")


@pytest.mark.parametrize("words, text", [
    ("node run", "systemctl"), ("node diags", "status"), ("cluster diags", "status"), ("convert", "not read"),
    ("datastore migrate lock", "heeds"), ("datastore migrate unlock", "heeds"), ("datastore migrate export", "get "),
    ("datastore migrate import -f x", "apply -f"), ("datastore migrate-policy-names", "names"),
])
def test_verbs_of_calicoctl(ctl, words, text):
    """What is not built says what to do instead."""
    assert text in ctl.fails(*words.split())


def test_node_status(ctl):
    out = rows(ctl("node", "status", "--socket", "/nonexistent", status=1))
    assert out[0][:3] == ["PROCESS", "RUNNING", "READY"] and out[1][:3] == ["margay-agent", "false", "false"]


def test_go_template(ctl):
    ctl.apply(POOL)
    for form in ("go-template={{.metadata.name}}", "go-template-file=x"):
        assert "jsonpath" in ctl.fails("get", "ippool", "-o", form)


def test_ipam_show_formats(ctl):
    ctl.apply(DENY)
    ctl("ipam", "show", "--show-blocks")
    assert "no IP pools" in ctl.errors
    ctl.apply(POOL)
    assert rows(ctl("ipam", "show"))[1][:3] == ["IP", "Pool", "10.244.0.0/16"]
    assert "AFFINITY" in ctl("ipam", "show", "-o", "wide") and "GROUPING" not in ctl("ipam", "show", "--no-headers")
    assert json.loads(ctl("ipam", "show", "-o", "json"))["pools"][0]["cidr"] == "10.244.0.0/16"
    assert ctl("ipam", "show", "-o", "custom-columns=CIDR:.cidr").split() == ["CIDR", "10.244.0.0/16"]
    assert json.loads(ctl("ipam", "show", "--show-configuration", "-o", "json")) == {}
    assert "StrictAffinity       false" in ctl("ipam", "show", "--show-configuration")
    ctl("ipam", "show", "--show-borrowed")
    assert "No address is borrowed" in ctl.errors


BLOCK = """\
apiVersion: projectcalico.org/v3
kind: IPAMBlock
metadata: {name: 10-244-0-0-30}
spec:
  cidr: 10.244.0.0/30
  affinity: host:n1
  allocations: [0, 1, 2, null]
  attributes:
  - {handle_id: h0, secondary: {pod: gone, namespace: shop, node: n1}}
  - {handle_id: h1, secondary: {pod: late, namespace: shop, node: n1}}
  - {handle_id: h2, secondary: {pod: lent, namespace: shop, node: n2}}
  unallocated: [3]
  sequenceNumber: 9
  sequenceNumberForAllocation: {"0": 1, "1": 2, "2": 3}
"""


def a_handle(number):
    return f"""\
apiVersion: projectcalico.org/v3
kind: IPAMHandle
metadata: {{name: h{number}}}
spec: {{handleID: h{number}, block: {{10.244.0.0/30: 1}}}}
"""


def a_pod(name, address, node):
    return f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]}}
status: {{phase: Running, podIPs: [{{ip: {address}}}]}}
"""


def test_ipam_release_from_reports(ctl):
    """Two reports: what leaked in both goes; a pod that came between them and an address given anew since stay."""
    ctl.apply("---\n".join([POOL, BLOCK, a_handle(0), a_handle(1), a_handle(2), a_pod("lent", "10.244.0.2", "n2")]))
    ctl("ipam", "check", "-o", "first.json")
    assert os.stat(os.path.join(ctl.folder, "first.json")).st_mode & 0o777 == 0o600
    ctl.apply(a_pod("late", "10.244.0.1", "n1"))
    ctl("ipam", "check", "-o", "second.json")
    leaked = [[p["ip"] for p in json.load(open(os.path.join(ctl.folder, f"{name}.json")))["problems"] if p["kind"] == "leaked"]
              for name in ("first", "second")]
    assert leaked == [["10.244.0.0", "10.244.0.1"], ["10.244.0.0"]]

    text = ctl("ipam", "check", "--show-problem-ips")
    assert "leaked: 10.244.0.0" in text and "10.244.0.2 allocated" not in text
    text = ctl("ipam", "check", "--show-all-ips")
    assert "10.244.0.2 allocated; handle: h2, node: n2, pod: shop/lent" in text
    lent = rows(ctl("ipam", "show", "--show-borrowed"))
    assert lent[1:] == [["10.244.0.2", "n2", "10.244.0.0/30", "n1", "workload", "shop/lent"]]

    released = ctl("ipam", "release", "--from-report=first.json", "--from-report=second.json")
    assert "Releasing 1 old IPs" in released and "Released 1 IPs; skipped 0" in released
    assert "not assigned" in ctl("ipam", "show", "--ip", "10.244.0.0")
    assert "in use" in ctl("ipam", "show", "--ip", "10.244.0.1") and "in use" in ctl("ipam", "show", "--ip", "10.244.0.2")
    # The first report alone calls .1 leaked and .0 as well, which is free by now.
    assert "Released 1 IPs; skipped 1" in ctl("ipam", "release", "--from-report", "first.json")
    # Given anew under the same handle's name since the report: another sequence, no leak of that report.
    ctl.apply(BLOCK.replace('"1": 2', '"1": 12').replace("sequenceNumber: 9", "sequenceNumber: 20"))
    assert "Released 1 IPs; skipped 1" in ctl("ipam", "release", "--from-report", "first.json")
    assert "in use" in ctl("ipam", "show", "--ip", "10.244.0.1")

    ctl.write("other.json", "{}")
    assert "other.json: expected a report" in ctl.fails("ipam", "release", "--from-report", "other.json")
    assert "none.json" in ctl.fails("ipam", "release", "--from-report", "none.json")
    ctl.fails("ipam", "release", "--from-report", "first.json", "--ip", "10.244.0.1")


def test_ipam_split_by_cidr(ctl):
    ctl.apply(POOL.replace("natOutgoing: true", "natOutgoing: true\n  disabled: true"))
    ctl("ipam", "split", "2", "--cidr", "10.244.0.0/16")
    pools = ctl.get("ippool")["items"]
    assert [(p["metadata"]["name"], p["spec"]["cidr"], p["spec"]["ipipMode"], p["spec"]["natOutgoing"]) for p in pools] == [
        ("split-pool-0", "10.244.0.0/17", "CrossSubnet", True), ("split-pool-1", "10.244.128.0/17", "CrossSubnet", True)]
    ctl.fails("ipam", "split", "2", "--cidr", "10.9.0.0/16")
    ctl.fails("ipam", "split", "3", "--cidr", "10.244.0.0/17")


def test_patch_file_and_empty_files(ctl):
    ctl.apply(POOL)
    ctl.write("patch.yaml", "spec: {ipipMode: Always}\n")
    ctl("patch", "ippool", "pool", "--type=merge", "--patch-file", "patch.yaml")
    assert ctl.get("ippool", "pool")["spec"]["ipipMode"] == "Always"
    empty = ctl.write("empty.yaml", "# nothing yet\n")
    assert "empty.yaml" in ctl.fails("apply", "-f", empty)
    ctl("apply", "-f", empty, "--skip-empty")


@pytest.mark.parametrize("name", ["calicoctl", "kubectl-margay"])
def test_other_names(ctl, name):
    program = os.path.join(ctl.folder, name)
    shutil.copy(PROGRAM, program)
    ctl.program = program
    ctl.apply(POOL)
    if name == "calicoctl":
        assert rows(ctl("-l", "panic", "get", "ippool", "--allow-version-mismatch", "-a"))[1][0] == "pool"
    assert name in ctl("--help")


def test_usage(ctl):
    assert "Verbs:" in ctl("--help")
    assert "-f, --filename" in ctl("apply", "--help")
    assert "unknown verb" in ctl.fails("nonsense")
    assert "unrecognized option" in ctl.fails("get", "--nonsense")
    assert "flows show" in ctl.fails("flows")
    ctl.fails()


def test_version(ctl):
    version = json.loads(ctl("version", "-o", "json", "--socket", "/nonexistent"))
    assert version["agent"] is None and "no margay-agent runs" in version["agentError"]
    assert version["kernel"] == os.uname().release and version["client"] and version["abi"]
    assert ctl("version", "--client").startswith("Client version")


def test_full_output(ctl):
    """A result that cannot be written is an error."""
    ctl.apply(POOL)
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "get", "ippool"], env=ctl.environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"cannot be written" in done.stderr
