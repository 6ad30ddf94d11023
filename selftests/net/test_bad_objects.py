# SPDX-License-Identifier: Apache-2.0
"""Bad objects never stop the agent (design section 7): what of them is in force, before and after a restart, and that
the log, `margayctl status` and the metrics name them with file or object, line and field."""
import json
import os
import re

import pytest

import cluster as places
from cluster import wait_for

POOL = "10.244.0.0/16"
STORE = "/var/lib/margay/store"
MARGAYCTL = os.path.join(places.BUILD, "margayctl")
MANIFESTS = "/etc/margay/manifests.d"


def pool(name, cidr, **spec):
    return {"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": name},
            "spec": dict(cidr=cidr, **spec)}


def policy(name, ingress, namespace="default"):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, "ingress": ingress}}


@pytest.fixture(scope="module")
def node():
    with places.Cluster(nodes=("n1",)) as made:
        made.start()
        node = made["n1"]
        node.apply(json.dumps(pool("pods", POOL)))
        os.makedirs(inside(node, MANIFESTS), mode=0o755, exist_ok=True)
        node.client, node.server = node.pod("client"), node.pod("server")
        node.server.serve_tcp(8080, "hello")
        yield node


def inside(node, path):
    return f"/proc/{node.pid}/root{path}"


@pytest.fixture
def manifest(node):
    """Writes a manifest; it goes with the test."""
    names = set()

    def put(name, text):
        names.add(name)
        path = inside(node, f"{MANIFESTS}/{name}")
        with open(path + ".tmp", "w") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        os.rename(path + ".tmp", path)

    yield put
    for name in names:
        path = inside(node, f"{MANIFESTS}/{name}")
        if os.path.exists(path):
            os.unlink(path)
    wait_for(lambda: not problems(node), "no bad object is left")


def status(node):
    return json.loads(node.ctl("status", "-o", "json"))


def problems(node, kind=None):
    return [p for p in status(node)["problems"] if kind in (None, p["kind"])]


def one_problem(node, kind, text):
    """The one problem, once it is there: also in the table and the metrics, and it does not end readiness."""
    def there():
        found = problems(node, kind)
        return len(found) == 1 and text in found[0]["what"]
    wait_for(there, f"{kind}: {text}")
    assert status(node)["ready"]
    table = re.sub(r"\s+", " ", node.ctl("status"))
    assert "bad object" in table and text in table
    assert metric(node, kind) == 1
    return problems(node, kind)[0]


def metric(node, kind):
    text = node.run("curl", "-sS", "http://127.0.0.1:9091/metrics").replace('"', "")
    return int(re.search(rf"^margay_bad_objects{{kind={kind}}} (\d+)$", text, re.M)[1])


def restart(node):
    node.kill_agent()
    node.start_agent()


def logged(node, text):
    return [line for line in node.tail(10000).splitlines() if text in line]


def reaches(node):
    return node.client.tcp(node.server.address(), 8080, 1) == "hello"


def test_nothing_is_bad(node):
    assert problems(node) == []
    assert [metric(node, k) for k in ("invalid", "partial", "duplicate", "overlap", "unknown-field")] == [0] * 5


def test_bad_rule_is_dropped(node, manifest):
    """Case 2: the allow rule goes, the policy isolates its pods. Rule and field are named."""
    good = {"from": [{"podSelector": {}}]}
    manifest("p.json", policy("web", [good]))
    wait_for(lambda: "default/web" in node.ctl("get", "networkpolicy", "-A").replace(" ", "") or
             "web" in node.ctl("get", "networkpolicy", "-A"), "it is there")
    assert reaches(node)
    manifest("p.json", policy("web", [dict(good, ports=[{"port": 700000}])]))
    for _ in range(2):
        found = one_problem(node, "partial", "spec.ingress[0].ports[0].port: 700000")
        assert found["object"] == "NetworkPolicy default/web" and found["file"] == f"{MANIFESTS}/p.json:1"
        wait_for(lambda: not reaches(node), "nobody is allowed")
        restart(node)
    manifest("p.json", policy("web", [good]))
    wait_for(lambda: not problems(node), "it is mended")
    assert reaches(node)
    assert any("default/web" in line for line in logged(node, "bad object mended"))


@pytest.mark.parametrize("rule,path", [
    ({"form": [{"podSelector": {"matchLabels": {"a": "b"}}}]}, "form"),
    ({"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]}, "to"),
    ({"from": [{"podSelektor": {"matchLabels": {"a": "b"}}, "namespaceSelector": {}}]}, "from[0].podSelektor"),
    ({"from": [{"podSelector": {"matchLables": {"a": "b"}}}]}, "from[0].podSelector.matchLables"),
    ({"ports": [{"prot": 80}]}, "ports[0].prot")])
def test_misspelt_rule_is_not_open(node, rule, path):
    """An unknown field in a rule: what it should have narrowed is closed, not open to everybody."""
    refused = node.try_run(MARGAYCTL, "apply", "-f", "-", stdin=json.dumps(policy("typo", [rule])))
    assert refused.returncode == 1 and f'spec.ingress[0].{path}: unknown field' in refused.stderr
    node.ctl("apply", "--validate=ignore", "-f", "-", stdin=json.dumps(policy("typo", [rule])))
    try:
        one_problem(node, "partial", f"spec.ingress[0].{path}: unknown field")
        wait_for(lambda: not reaches(node), "nobody is allowed")
    finally:
        node.ctl("delete", "networkpolicy.networking.k8s.io", "typo")
    wait_for(lambda: not problems(node) and reaches(node), "as before")


def test_unknown_field_elsewhere_is_told(node, manifest):
    object = policy("web", [{}])
    object["spec"]["ingres"] = []
    manifest("p.json", object)
    found = one_problem(node, "unknown-field", "spec.ingres: unknown field")
    assert found["object"] == "NetworkPolicy default/web"
    assert logged(node, "spec.ingres: unknown field")[-1].split()[1] == "level=warning"


def test_what_does_not_decode(node, manifest):
    """Case 3, with a last valid copy and without."""
    manifest("p.yaml", "# pools\n" + json.dumps(pool("extra", "10.99.0.0/16")) + "\n---\na: [1\nb\n")
    found = one_problem(node, "invalid", "line")
    assert re.fullmatch(rf"{MANIFESTS}/p.yaml(:\d+)?", found["file"])
    assert found["in_force"] == "nothing of it"
    manifest("p.yaml", "# pools\n" + json.dumps(pool("extra", "10.99.0.0/16")))
    wait_for(lambda: not problems(node) and "extra" in node.ctl("get", "ippool"), "it is mended")
    manifest("p.yaml", "# pools\n" + json.dumps(pool("extra", "10.99.0.0/33")))
    for _ in range(2):
        found = one_problem(node, "invalid", "spec.cidr")
        assert found["file"] == f"{MANIFESTS}/p.yaml:2" and "extra" in found["object"]
        assert found["in_force"] == "its last valid copy"
        assert "10.99.0.0/16" in node.ctl("get", "ippool", "extra")
        assert len(logged(node, "spec.cidr")) == _ + 1
        restart(node)


def test_edit_by_hand(node):
    node.apply(json.dumps(policy("hand", [{}])))
    file = f"{STORE}/objects/networking.k8s.io/NetworkPolicy/default/hand.json"
    with open(inside(node, file)) as old:
        edited = json.load(old)
    edited["spec"]["podSelector"] = 7
    with open(inside(node, file), "w") as new:
        json.dump(edited, new)
    for _ in range(2):
        found = one_problem(node, "invalid", "spec.podSelector")
        assert found["file"] == file and found["in_force"] == "its last valid copy"
        assert reaches(node)
        restart(node)
    node.ctl("delete", "networkpolicy.networking.k8s.io", "hand")
    wait_for(lambda: not problems(node), "it is gone")


def test_in_store_and_manifest(node, manifest):
    """The one that was in force stays, before and after a restart; both are named."""
    node.apply(json.dumps(pool("extra", "10.99.0.0/16")))
    manifest("p.json", pool("extra", "10.99.0.0/16", natOutgoing=True))
    for _ in range(2):
        found = one_problem(node, "duplicate", f"{STORE}/objects/projectcalico.org/IPPool/_/extra.json")
        assert found["file"] == f"{MANIFESTS}/p.json:1" and "extra" in found["object"]
        assert "the other one is in force" in found["what"]
        shown = json.loads(node.ctl("get", "ippool", "extra", "-o", "json"))
        assert not shown["spec"].get("natOutgoing")
        restart(node)
    node.ctl("delete", "ippool", "extra")
    wait_for(lambda: not problems(node), "one place is left")
    wait_for(lambda: json.loads(node.ctl("get", "ippool", "extra", "-o", "json"))["spec"].get("natOutgoing"),
             "the file's is in force")


def test_in_two_manifests(node, manifest):
    manifest("p.json", pool("extra", "10.99.0.0/16"))
    wait_for(lambda: "extra" in node.ctl("get", "ippool"), "it is there")
    manifest("a.json", pool("extra", "10.99.0.0/16", natOutgoing=True))
    for _ in range(2):
        found = one_problem(node, "duplicate", f"{MANIFESTS}/p.json:1")
        assert found["file"] == f"{MANIFESTS}/a.json:1"
        assert not json.loads(node.ctl("get", "ippool", "extra", "-o", "json"))["spec"].get("natOutgoing")
        restart(node)


def nets(node):
    rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_nets"))
    return {(".".join(map(str, r["formatted"]["key"]["addr"]["b"][12:])), r["formatted"]["key"]["len"] - 96)
            for r in rows}


def test_overlapping_pools(node, manifest):
    """Of two pools that overlap the older one is in force, whichever is the wider one; rows of the other come and go
    without a trace."""
    before = nets(node)
    for cidr in ("10.244.128.0/17", "10.0.0.0/8", POOL):
        manifest("p.json", pool("over", cidr, natOutgoing=True))
        for _ in range(2):
            found = one_problem(node, "overlap", f"{cidr} overlaps with IPPool pods ({POOL}), which is older")
            assert found["object"] == "IPPool over" and found["in_force"] == "nothing of it"
            assert nets(node) == before
            restart(node)
    pod = node.pod("late")
    assert pod.address().startswith("10.244.")
    pod.delete()
    os.unlink(inside(node, f"{MANIFESTS}/p.json"))
    wait_for(lambda: not problems(node), "it is gone")
    assert nets(node) == before and status(node)["build_failures"] == 0


def test_next_pool_comes_into_force(node, manifest):
    node.apply(json.dumps(pool("first", "10.98.0.0/16")))
    manifest("p.json", pool("second", "10.98.0.0/17"))
    one_problem(node, "overlap", "overlaps with IPPool first")
    assert ("10.98.0.0", 16) in nets(node) and ("10.98.0.0", 17) not in nets(node)
    node.ctl("delete", "ippool", "first")
    wait_for(lambda: not problems(node) and ("10.98.0.0", 17) in nets(node), "the second one is in force")
    assert ("10.98.0.0", 16) not in nets(node)


def allocatable(node, name):
    conditions = json.loads(node.ctl("get", "ippool", name, "-o", "json")).get("status", {}).get("conditions", [])
    return [(c["status"], c["reason"]) for c in conditions if c["type"] == "Allocatable"]


def test_status_of_overlapping_pools(node):
    """Calico's condition Allocatable, written by the holder of the cluster's duties."""
    node.apply(json.dumps(pool("younger", "10.97.0.0/17")))
    wait_for(lambda: ("10.97.0.0", 17) in nets(node), "it is in force")
    assert allocatable(node, "younger") == []
    node.run("tee", f"{MANIFESTS}/.next", stdin=json.dumps(pool("older", "10.97.0.0/16")))
    node.sh(f"touch -d 2020-01-01 {MANIFESTS}/.next && mv {MANIFESTS}/.next {MANIFESTS}/p.json")
    wait_for(lambda: allocatable(node, "younger") == [("False", "CIDROverlap")], "its status says why not")
    assert ("10.97.0.0", 17) not in nets(node) and allocatable(node, "older") == []
    node.sh(f"rm {MANIFESTS}/p.json")
    wait_for(lambda: allocatable(node, "younger") == [("True", "OK")], "its status says that it is over")
    node.ctl("delete", "ippool", "younger")
    wait_for(lambda: not problems(node) and ("10.97.0.0", 17) not in nets(node), "both are gone")


def test_versions(node):
    version = json.loads(node.ctl("version", "-o", "json"))
    assert version["agent"] == version["client"] == status(node)["version"] != "unknown"
    spec = json.loads(node.ctl("get", "clusterinformation", "default", "-o", "json"))["spec"]
    assert re.fullmatch("[0-9a-f]{32}", spec["clusterGUID"]) and spec["calicoVersion"] == version["agent"]
    assert spec["datastoreReady"] is True
    restart(node)
    assert json.loads(node.ctl("get", "clusterinformation", "default", "-o", "json"))["spec"] == spec
