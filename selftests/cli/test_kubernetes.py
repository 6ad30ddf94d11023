# SPDX-License-Identifier: Apache-2.0
"""margayctl on a Kubernetes API server (a fake one): the verbs, and what is said when something is wrong."""
import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_margayctl import CALICO_DENY, DENY, NODE, POOL, TOP, Ctl, rows  # noqa: E402


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
