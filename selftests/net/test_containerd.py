# SPDX-License-Identifier: Apache-2.0
"""Hosts without Kubernetes: containerd by its own ctr, containers from busybox, the network list that `make install` puts down.

nerdctl is not in Debian 12; what it adds (names, labels, ports) it hands to the same plugins by the same lists.
"""
import json
import shutil

import pytest

from cluster import Cluster, wait_for
from containers import Containerd, install_into
from test_podman import POLICY, POOLS

pytestmark = pytest.mark.skipif(not shutil.which("containerd"), reason="this machine has no containerd")


@pytest.fixture(scope="module")
def host():
    with Cluster(("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        node = made["n1"]
        install_into(node)
        made.start()
        node.apply(POOLS)
        node.containerd = Containerd(node)
        try:
            node.containerd.run("web", "nc", "-ll", "-p", "6379", "-e", "echo", "stored")
            node.containerd.run("batch")
            yield node
        finally:
            node.containerd.close()


def endpoints(node):
    items = json.loads(node.ctl("get", "workloadendpoints", "-o", "json"))["items"]
    return {item["spec"]["containerID"]: item for item in items if item["spec"]["node"] == "n1"}


def of(node, name):
    """ctr calls a container NAMESPACE-NAME where it speaks to plugins."""
    return endpoints(node)[f"default-{name}"]


def test_each_container_is_an_endpoint(host):
    for name in ("web", "batch"):
        assert host.containerd.address(name) + "/32" in of(host, name)["spec"]["ipNetworks"]


def test_containers_reach_each_other_and_other_nodes(host):
    far = host.cluster["n3"].pod("far")
    web = host.containerd.address("web")
    assert host.containerd.ping("batch", web)
    assert host.containerd.ping("batch", far.address()) and host.containerd.ping("batch", far.address(6))
    assert far.tcp(web, 6379) == "stored"
    assert host.containerd.ping("batch", "192.0.2.1"), "outside, by the host's address"
    far.delete()


def test_policy_by_labels(host):
    web = host.containerd.address("web")

    def says():
        return host.containerd.try_exec("batch", "nc", "-w", "2", web, "6379").stdout.strip()

    assert says() == "stored"
    host.ctl("label", "workloadendpoint", of(host, "web")["metadata"]["name"], "role=store")
    host.apply(POLICY)
    wait_for(lambda: says() == "", "batch is denied")
    host.ctl("label", "workloadendpoint", of(host, "batch")["metadata"]["name"], "role=web")
    wait_for(lambda: says() == "stored", "its label lets it in")
    host.kill_agent()
    assert says() == "stored"
    host.start_agent()
    assert says() == "stored"


def test_containers_go_without_a_trace(host):
    before = host.run("ip", "-o", "link").count("cali")
    host.containerd.run("short")
    assert host.run("ip", "-o", "link").count("cali") == before + 1
    host.containerd.remove("short")
    assert host.run("ip", "-o", "link").count("cali") == before
    wait_for(lambda: "default-short" not in endpoints(host), "its endpoint goes")


def test_a_container_nobody_deletes(host):
    """`ctr run -d --cni` never calls DEL: the endpoint goes with the container's namespace."""
    host.containerd.run_detached("orphan")
    assert "default-orphan" in endpoints(host)
    host.containerd.ctr("task", "kill", "-s", "KILL", "orphan")
    wait_for(lambda: host.containerd.state("orphan") in (None, "STOPPED"), "it has ended")
    host.containerd.ctr("task", "rm", "orphan")
    host.containerd.ctr("container", "rm", "orphan")
    wait_for(lambda: "default-orphan" not in endpoints(host), lambda: "its endpoint goes\n" + host.tail(), 40)
    wait_for(lambda: "orphan" not in host.sh("ls /var/lib/margay/cni/attachments"), "its record goes")
