# SPDX-License-Identifier: Apache-2.0
"""docs/first-hour.md, command by command, on two hosts made of namespaces.

Blocks marked "<!-- run n1 -->" are run there, in order; a text block behind one is what it prints. What a
namespace lacks has stand-ins: systemctl starts what the installed unit says; the hosts share their store already,
so NFS (its packages, exportfs, mount) has nothing to do.
"""
import glob
import os
import re
import time

import pytest

from cluster import TOP, Cluster
from containers import CGROUPS, CONF, STORAGE, writable

PAGE = os.path.join(TOP, "docs", "first-hour.md")
BLOCK = re.compile(r"<!-- run ([a-z0-9 ]+) -->\n```sh\n(.*?)```\n(?:```text\n(.*?)```)?", re.S)
STAND_INS = {
    "systemctl": """#!/bin/sh
case "$1 $2 $3" in
"enable --now margay-agent")
    program=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/margay-agent.service)
    setsid $program </dev/null >>/run/agent.log 2>&1 &
    echo $! >/run/agent.pid ;;
"disable --now margay-agent")
    kill "$(cat /run/agent.pid)"
    while kill -0 "$(cat /run/agent.pid)" 2>/dev/null; do sleep 0.1; done ;;
*) echo "no stand-in for systemctl $*" >&2; exit 1 ;;
esac
""",
    "apt-get": """#!/bin/sh
case "$*" in
"install -y nfs-kernel-server" | "install -y nfs-common") ;;
*) echo "no stand-in for apt-get $*" >&2; exit 1 ;;
esac
""",
    "exportfs": "#!/bin/sh\ngrep -q '^/var/lib/margay/store n2(' /etc/exports\n",
    "mount": """#!/bin/sh
case "$*" in
"-t nfs4 n1:/var/lib/margay/store /var/lib/margay/store") ;;
*) exec /bin/mount "$@" ;;
esac
""",
}
LOOKS = re.compile(r"WEB=|margayctl (get|trace|node)|nc ")


def shape(text):
    """Lines without what differs from run to run."""
    rows = (re.sub(r"\s+", " ", re.sub(r"\b[0-9]+", "#", row.strip())) for row in text.split("\n"))
    return [row for row in rows if row]


def prepare(node):
    writable(node, "usr", "opt", "srv")
    for name, text in STAND_INS.items():
        node.run("tee", f"/usr/local/sbin/{name}", stdin=text)
        node.sh(f"chmod 755 /usr/local/sbin/{name}")
    # Only what a namespace asks for; the network is the page's.
    conf = CONF[CONF.index("[engine]"):]
    node.sh("rm -rf /etc/cni/net.d /etc/containers && mkdir -p /etc/containers")
    node.run("tee", "/etc/containers/containers.conf", stdin=conf)
    node.run("tee", "/etc/containers/storage.conf", stdin=STORAGE)


def clean(node):
    node.try_run("podman", "rm", "-f", "-t", "0", "-a", timeout=120)
    node.try_run("sh", "-c", "kill $(cat /run/agent.pid)")
    # Empty ones alone: what is in use stays.
    for top in glob.glob(f"{CGROUPS}/*/libpod_parent"):
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


@pytest.fixture(scope="module")
def hosts():
    with Cluster(("n1", "n2")) as made:
        made.drop_pod_addresses("10.244.0.0/16")
        try:
            for node in made.nodes.values():
                prepare(node)
            yield made
        finally:
            for node in made.nodes.values():
                clean(node)


def run(node, block, wanted):
    """Runs a block; one that only looks is run again until it shows what it should, as a change needs its moment."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MAKEFLAGS": ""}
    end = time.monotonic() + 30
    while True:
        done = node.try_run("sh", "-ec", f"cd {TOP}\n{block}", env=env, timeout=280)
        if wanted is None or shape(done.stdout) == shape(wanted) or not LOOKS.match(block) or time.monotonic() > end:
            return done


def test_every_command_of_the_page(hosts):
    with open(PAGE) as page:
        text = page.read()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```sh"), "every sh block is marked and run"
    assert sum(1 for _, _, wanted in blocks if wanted) == text.count("```text")
    for names, block, wanted in blocks:
        for name in names.split():
            done = run(hosts[name], block, wanted or None)
            assert done.returncode == 0, f"{name}$ {block}{done.stdout}{done.stderr}"
            if wanted:
                assert shape(done.stdout) == shape(wanted), f"{name}$ {block}{done.stdout}{done.stderr}"
