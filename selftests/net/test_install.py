# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts down: the tree, and that it works alone."""
import os
import re
import shutil
import subprocess

import pytest

from cluster import CNI_PATH, TOP, Cluster, wait_for
from containers import Podman, install_into

UNIT = "/lib/systemd/system/margay-agent.service"
TREE = {
    "etc/cni/net.d/10-margay.conflist": 0o644,
    "etc/margay/agent.yaml": 0o600,
    "lib/systemd/system/margay-agent.service": 0o644,
    "opt/cni/bin/margay": 0o755,
    "opt/cni/bin/margay-ipam": 0o755,
    "usr/bin/kubectl-margay": 0o755,
    "usr/bin/margayctl": 0o755,
    "usr/sbin/margay-agent": 0o755,
    "usr/share/bash-completion/completions/margayctl": 0o644,
    "usr/share/man/man8/margay-agent.8": 0o644,
    "usr/share/man/man8/margay.8": 0o644,
    "usr/share/man/man8/margayctl.8": 0o644,
}
with open(f"{TOP}/loader/ctl/verbs.def") as rows:
    VERBS = re.findall(r'VERB\("([^"]+)"', rows.read())


def install(folder, *extra):
    subprocess.run(["make", "-s", "-C", TOP, "install", f"DESTDIR={folder}", *extra], check=True, capture_output=True, timeout=200)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    install(folder)
    return str(folder)


def test_the_tree_and_nothing_else(tree):
    found = {}
    for folder, _, files in os.walk(tree):
        for name in files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, tree)] = os.stat(path).st_mode & 0o7777
    assert found == TREE
    assert os.path.isdir(f"{tree}/etc/margay/manifests.d")


def test_a_second_install_keeps_what_people_changed(tree):
    for path in ("etc/margay/agent.yaml", "etc/cni/net.d/10-margay.conflist"):
        with open(f"{tree}/{path}", "a") as file:
            file.write("\n")
        size = os.path.getsize(f"{tree}/{path}")
        install(tree)
        assert os.path.getsize(f"{tree}/{path}") == size


def test_prefix(tmp_path):
    install(tmp_path, "PREFIX=/usr/local")
    assert os.path.exists(f"{tmp_path}/usr/local/sbin/margay-agent")
    with open(f"{tmp_path}{UNIT}") as unit:
        assert "ExecStart=/usr/local/sbin/margay-agent\n" in unit.read()


def test_pages_are_whole(tree):
    for name in ("margay-agent", "margay", "margayctl"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", f"{tree}/usr/share/man/man8/{name}.8"], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    with open(f"{tree}/usr/share/man/man8/margay-agent.8") as page:
        text = page.read().replace("\\-", "-")
    options = re.findall(r"--[a-z0-9-]+", subprocess.run([f"{tree}/usr/sbin/margay-agent", "--help"], capture_output=True,
                                                         text=True).stdout)
    assert options and not [option for option in options if option not in text]


def test_page_names_every_verb(tree):
    with open(f"{tree}/usr/share/man/man8/margayctl.8") as page:
        text = page.read().replace("\\-", "-")
    assert VERBS and not [name for name in VERBS if name not in text]


def complete(tree, *words):
    script = f"""PATH={tree}/usr/bin:$PATH; . {tree}/usr/share/bash-completion/completions/margayctl
        COMP_WORDS=(margayctl "$@"); COMP_CWORD=$#; _margayctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True).stdout.split()


def test_completion(tree):
    assert set(complete(tree, "")) == {name.split()[0] for name in VERBS}
    assert complete(tree, "va") == ["validate"]
    assert set(complete(tree, "node", "")) == {"checksystem", "install", "plan", "reset", "status"}
    assert complete(tree, "get", "ipp") == ["ippools"]
    assert complete(tree, "monitor", "--k") == ["--kernel-drops"]


@pytest.fixture(scope="module")
def host():
    with Cluster(("n1",)) as made:
        node = made["n1"]
        install_into(node)
        # Nothing of the tree it was built in.
        node.sh(f"mount -t tmpfs none {TOP}")
        yield node


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
def test_unit_is_valid(host):
    done = host.try_run("systemd-analyze", "verify", UNIT)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def unit_value(host, key):
    return re.search(rf"^{key}=(.*)$", host.run("cat", UNIT), re.M)[1]


def test_installed_agent_starts_with_the_unit_s_rights(host):
    # No list of capabilities beyond the unit's, no new privileges: as systemd starts it.
    rights = ",".join("+" + name.lower().removeprefix("cap_") for name in unit_value(host, "CapabilityBoundingSet").split())
    host.agent = host.start("setpriv", "--no-new-privs", f"--bounding-set=-all,{rights}", unit_value(host, "ExecStart"),
                            log=host.log)
    host.wait_ready()
    assert "n1" in host.run("margayctl", "get", "node")
    assert host.run("margayctl", "version")
    host.run("margayctl", "node", "plan")


def test_installed_network_list_gives_a_container_its_address(host):
    network = host.run("cat", "/etc/cni/net.d/10-margay.conflist")
    podman = Podman(host, plugins=["/opt/cni/bin", *CNI_PATH.split(":")[1:]])
    host.run("tee", "/etc/cni/net.d/10-margay.conflist", stdin=network)
    try:
        host.run("margayctl", "apply", "-f", "-", stdin="apiVersion: projectcalico.org/v3\nkind: IPPool\n"
                 "metadata: {name: containers}\nspec: {cidr: 10.244.0.0/16, natOutgoing: true}\n")
        podman.run("web")
        assert podman.address("web").startswith("10.244.")
        assert podman.ping("web", "192.0.2.1")
    finally:
        podman.close()


def test_leaving(host):
    host.kill_agent(15)
    host.run("margayctl", "node", "reset", "--yes")
    wait_for(lambda: not host.run("ip", "route", "show", "proto", "80"), "no route is left")
