# SPDX-License-Identifier: Apache-2.0
"""margayctl on a Kubernetes API server (a fake one): the verbs, and what is said when something is wrong."""
import json
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_margayctl import CALICO_DENY, DENY, NODE, POOL, TOP, Ctl, rows  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apiserver")
    with subprocess.Popen([sys.executable, os.path.join(TOP, "selftests/lib/fake_apiserver.py"), str(folder)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield folder
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def ctl(server, tmp_path):
    control(server)
    ctl = Ctl(tmp_path)
    ctl.environment.update(DATASTORE_TYPE="kubernetes", KUBECONFIG=f"{server}/kubeconfig")
    return ctl


def control(server, **members):
    control.reset = getattr(control, "reset", 0) + ("forbid" not in members and "absent" not in members)
    (server / "control").write_text(json.dumps({"reset": control.reset} | members))


def test_verbs(ctl):
    assert ctl.apply(POOL + "---\n" + DENY + "---\n" + CALICO_DENY).splitlines() == [
        "ippool.projectcalico.org/pool created", "networkpolicy.networking.k8s.io/deny created",
        "networkpolicy.projectcalico.org/deny created"]
    assert ctl.apply(POOL) == "ippool.projectcalico.org/pool unchanged\n"
    assert ctl.apply(POOL.replace("CrossSubnet", "Always")) == "ippool.projectcalico.org/pool configured\n"
    assert json.loads(ctl("get", "ippool", "pool", "-o", "json"))["spec"]["ipipMode"] == "Always"
    ctl("patch", "ippool", "pool", "-p", '{"spec": {"disabled": true}}')
    ctl("label", "ippool", "pool", "team=other", "--overwrite")
    pool = json.loads(ctl("get", "ippool", "pool", "-o", "json"))
    assert pool["spec"]["disabled"] and pool["metadata"]["labels"] == {"team": "other"}
    assert rows(ctl("get", "ippool", "-l", "team=other"))[1][0] == "pool"
    assert ctl.apply(NODE) == "node/n1 created\n"
    assert ctl("delete", "ippool", "pool") == 'ippool.projectcalico.org "pool" deleted\n'
    assert "NotFound" in ctl.fails("get", "ippool", "pool")


def test_one_of_several_is_refused(ctl, server):
    """The API server has no transactions: what it takes is written, what it refuses is named in its own words."""
    control(server, forbid="create ippools")
    text = POOL + "---\n" + DENY
    assert 'cannot create resource "ippools"' in ctl.fails("apply", "-f", "-", stdin=text)
    assert ctl("get", "netpol", "-n", "shop", "-o", "name") == "networkpolicy.networking.k8s.io/deny\n"


def test_what_is_wrong(ctl, server):
    control(server, forbid="list ippools")
    assert 'cannot list resource "ippools"' in ctl.fails("get", "ippool")
    control(server, absent=["tiers"])
    text = ctl.fails("get", "tier")
    assert "tiers.projectcalico.org" in text and "CRDs" in text
    control(server)
    for name, expected in (("missing", "No such file"), ("wrong-ca", "certificate-authority-data"),
                           ("refused", "is the API server up")):
        ctl.environment["KUBECONFIG"] = f"{server}/{name}"
        assert expected in ctl.fails("get", "ippool")


def test_where_the_kubeconfig_is(ctl, server):
    del ctl.environment["KUBECONFIG"]
    assert "no API server is named" in ctl.fails("get", "ippool")
    assert ctl("get", "ippool", "-o", "name", "--datastore", f"kubernetes:{server}/kubeconfig") == ""
    config = ctl.write("calicoctl.cfg", "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\n"
                                        f"spec:\n  datastoreType: kubernetes\n  kubeconfig: {server}/kubeconfig\n")
    del ctl.environment["DATASTORE_TYPE"]
    assert ctl("get", "ippool", "-o", "name", "--config", config) == ""
    # A program that it names for credentials is run.
    assert ctl("get", "ippool", "-o", "name", "--datastore", f"kubernetes:{server}/exec") == ""


CONTROLLERS = """
apiVersion: projectcalico.org/v3
kind: KubeControllersConfiguration
metadata: {name: default}
spec: {controllers: {node: {leakGracePeriod: 10m, hostEndpoint: {autoCreate: %s, templates: [%s]}}}}
"""
DATA = "{generateName: data, interfaceCIDRs: [192.0.2.0/24], nodeSelector: rack == 'a'}"


def node(name, address, **labels):
    return json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {
        "name": name, "labels": labels, "annotations": {"projectcalico.org/IPv4Address": address}}})


@pytest.fixture
def controller(ctl, server, tmp_path):
    log = tmp_path / "log"
    with open(log, "wb") as out, subprocess.Popen([os.path.join(BUILD, "margay-controller"), "--datastore", f"kubernetes:{server}/kubeconfig"],
                                                  stdout=out, stderr=out) as process:
        yield log
        process.terminate()
        process.wait(20)


def wait_for(condition, what, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.1)


def test_host_endpoints_of_nodes(ctl, server, controller):
    """What KubeControllersConfiguration asks for is there, follows nodes, and is gone with it; what somebody made himself stays."""
    def endpoints():
        return {item["metadata"]["name"]: item for item in json.loads(ctl("get", "hostendpoint", "-o", "json"))["items"]}

    ctl.apply(node("n1", "192.0.2.1/24", rack="a") + "\n---\n" + node("n2", "198.51.100.2/24", rack="a") + "\n---\n" +
              "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: mine}, spec: {node: n1, interfaceName: eth0}}\n---\n" +
              CONTROLLERS % ("Enabled", DATA))
    expected = {"mine", "n1-auto-hep", "n2-auto-hep", "n1-data-auto-hep"}
    wait_for(lambda: set(endpoints()) == expected, lambda: f"{set(endpoints())}\n{controller.read_text()}")
    made = endpoints()["n1-data-auto-hep"]
    assert made["spec"] == {"node": "n1", "expectedIPs": ["192.0.2.1"], "profiles": ["projectcalico-default-allow"]}
    assert made["metadata"]["labels"] == {"rack": "a", "projectcalico.org/created-by": "calico-kube-controllers"}

    ctl("label", "hostendpoint", "n2-auto-hep", "rack=other", "--overwrite")
    wait_for(lambda: endpoints()["n2-auto-hep"]["metadata"]["labels"]["rack"] == "a", "a label that somebody changed is the node's again")
    ctl("label", "node", "n1", "rack=b", "--overwrite")
    wait_for(lambda: "n1-data-auto-hep" not in endpoints() and endpoints()["n1-auto-hep"]["metadata"]["labels"]["rack"] == "b", "n1 is in another rack")
    ctl("delete", "node", "n2")
    wait_for(lambda: set(endpoints()) == {"mine", "n1-auto-hep"}, lambda: f"n2's is gone: {set(endpoints())}")

    control_keeping(server, [{"match": "DELETE .*hostendpoints", "times": 1, "status": 500}])
    ctl.apply(CONTROLLERS % ("Disabled", ""))
    wait_for(lambda: set(endpoints()) == {"mine"}, lambda: f"all are gone, at the second try: {set(endpoints())}\n{controller.read_text()}")
    assert "host endpoints are not as they should be" in controller.read_text()


def control_keeping(server, faults):
    """Faults to come, without emptying the store."""
    (server / "control").write_text(json.dumps({"reset": control.reset, "faults": faults}))
