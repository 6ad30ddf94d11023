# SPDX-License-Identifier: Apache-2.0
"""Host policy that cuts a node off its datastore (an API server at a port that is no failsafe port) is taken back by itself."""
import json
import os
import subprocess

import pytest

import cluster as places
from cluster import PATIENCE, wait_for

CALICO = "projectcalico.org/v3"
ADDRESS, PORT = "10.10.0.254", 7443
TRIAL = 4  # seconds


@pytest.fixture(scope="module")
def api():
    """n1 and n2 on a server in the place of the router, which ctl() asks from there."""
    with places.Cluster(nodes=("n1", "n2")) as made:
        folder = os.path.join(made.folder, "api")
        os.mkdir(folder)
        server = made.router.start("python3", os.path.join(places.TOP, "selftests/lib/fake_apiserver.py"), folder, "--address", ADDRESS,
                                   "--port", PORT, "--forever", stdout=subprocess.PIPE)
        assert server.stdout.readline() == b"ready\n"
        made.datastore = f"kubernetes:{folder}/kubeconfig"
        made.start("--datastore", made.datastore, "--host-policy-trial", f"{TRIAL}s")
        yield made


def ctl(api, verb, *arguments, stdin=None):
    return api.router.run(os.path.join(places.BUILD, "margayctl"), verb, "--datastore", api.datastore, *arguments, stdin=stdin)


def apply(api, *items):
    ctl(api, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))


def endpoint(name="n1"):
    return {"apiVersion": CALICO, "kind": "HostEndpoint", "metadata": {"name": f"{name}-eth0", "labels": {"is": "host"}},
            "spec": {"node": name, "interfaceName": "eth0", "profiles": ["projectcalico-default-allow"]}}


def policy(*ports, name="out"):
    """What nodes may open themselves."""
    return {"apiVersion": CALICO, "kind": "GlobalNetworkPolicy", "metadata": {"name": name},
            "spec": {"selector": "is == 'host'", "types": ["Egress"],
                     "egress": [{"action": "Allow", "protocol": "TCP", "destination": {"ports": list(ports)}}]}}


def metric(node, name):
    lines = node.run("curl", "-fsS", "http://127.0.0.1:9091/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def reaches(node):
    done = node.try_run("curl", "-ksS", "-m", "1", f"https://{ADDRESS}:{PORT}/readyz")
    return done.returncode != 28  # a refusal is an answer too, silence is none


def status(node):
    return json.loads(node.ctl("status", "-o", "json"))


def test_taken_back_and_mended(api):
    """The node comes back by itself and holds, a node that is not concerned goes on, and the mended policy comes into force."""
    n1, n2 = api["n1"], api["n2"]
    apply(api, endpoint())
    apply(api, policy(PORT))
    wait_for(lambda: "host policy leaves the datastore in reach" in n1.tail(100), "a policy that leaves it in reach stays")
    assert reaches(n1) and metric(n1, "margay_host_policy_reverted_total") == 0
    assert not status(n1)["policy_held"]

    apply(api, policy(443))
    wait_for(lambda: not reaches(n1), "cut off", 10)
    wait_for(lambda: reaches(n1), lambda: "back" + n1.tail(60), TRIAL + 10)
    assert metric(n1, "margay_host_policy_reverted_total") == 1
    assert "HOST POLICY CUT THIS NODE OFF ITS DATASTORE" in n1.tail(100)
    assert not n1.ready() and status(n1)["policy_held"]
    assert "host policy cut this node off its datastore and was taken back" in status(n1)["reasons"]
    assert n2.ready() and not status(n2)["policy_held"], "no endpoint of n2 is concerned"

    apply(api, policy(80, name="another"))
    wait_for(lambda: "GlobalNetworkPolicy.projectcalico.org /another" in n1.ctl("policy", "history"), "the node hears of changes, and waits", 60)
    assert reaches(n1) and not n1.ready()
    apply(api, policy(443, PORT))
    wait_for(n1.ready, "mended: goes on by itself", 60)
    assert reaches(n1) and not status(n1)["policy_held"]
    assert metric(n1, "margay_host_policy_reverted_total") == 1
    ctl(api, "delete", "globalnetworkpolicy", "out", "another")


def test_resume_tries_again(api):
    """By hand, with the policy as it is: tried, and taken back once more; deleting the policy mends it as well."""
    n1 = api["n1"]
    wait_for(lambda: not status(n1)["policy_held"] and n1.ready(), "nothing is held")
    before = metric(n1, "margay_host_policy_reverted_total")
    apply(api, endpoint())
    apply(api, policy(443, name="again"))
    wait_for(lambda: metric(n1, "margay_host_policy_reverted_total") == before + 1, "taken back", TRIAL + 20)
    assert reaches(n1)
    n1.ctl("policy", "resume")
    wait_for(lambda: metric(n1, "margay_host_policy_reverted_total") == before + 2, "and again", TRIAL + 20)
    assert reaches(n1) and status(n1)["policy_held"]
    ctl(api, "delete", "globalnetworkpolicy", "again")
    wait_for(n1.ready, "without the policy it goes on", 60)
    assert reaches(n1)
