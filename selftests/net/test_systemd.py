# SPDX-License-Identifier: Apache-2.0
"""The installed unit under a systemd of its own: it starts, its sandbox holds, it is started again or not, and it stops.

systemd is process 1 of a process namespace on a Node, with a cgroup of its own in each hierarchy as the root that it sees.
Of the machine's units it knows the agent's and what that needs; devices, journal and network belong to the machine.
"""
import glob
import os
import re
import subprocess

import pytest

from cluster import Cluster, wait_for
from containers import CGROUPS, install_into, remove_cgroups

SYSTEMD = "/lib/systemd/systemd"
UNIT = "/lib/systemd/system/margay-agent.service"
NAME = f"margay-{os.getpid()}-systemd"
MASKED = """systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket
systemd-journal-flush.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-logind.service
systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service systemd-random-seed.service systemd-update-utmp.service
systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-remount-fs.service systemd-firstboot.service
systemd-sysusers.service systemd-machine-id-commit.service ldconfig.service dev-hugepages.mount dev-mqueue.mount
sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
proc-sys-fs-binfmt_misc.automount networking.service local-fs.target swap.target""".split()
POOL = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pods}\nspec: {cidr: 10.244.0.0/16}\n"

pytestmark = pytest.mark.skipif(not os.path.exists(SYSTEMD), reason="this machine has no systemd")


def hierarchies():
    if os.path.exists(f"{CGROUPS}/cgroup.procs"):
        return [CGROUPS]
    return [top for top in glob.glob(f"{CGROUPS}/*") if os.path.exists(f"{top}/cgroup.procs") and not os.path.islink(top)]


def make_cgroups():
    for top in hierarchies():
        os.mkdir(f"{top}/{NAME}")
        for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty at first, and then nothing may run there
            if os.path.exists(f"{top}/{NAME}/{name}") and os.path.basename(top).startswith("cpuset"):
                with open(f"{top}/{name}") as wanted, open(f"{top}/{NAME}/{name}", "w") as file:
                    file.write(wanted.read())


def join_cgroups():
    for top in hierarchies():
        with open(f"{top}/{NAME}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))


class Systemd:
    """Process 1 of a process namespace; its root of every cgroup hierarchy is ours."""

    def __init__(self, node):
        self.node, self.log = node, os.path.join(node.folder, "systemd.log")
        node.sh("mkdir -p /etc/systemd/system && rm -rf /etc/systemd/system/* && : > /etc/fstab && hostname > /etc/hostname")
        for unit in MASKED:
            node.run("ln", "-s", "/dev/null", f"/etc/systemd/system/{unit}")
        node.run("tee", "/etc/systemd/system/margay-test.target", stdin="[Unit]\nRequires=basic.target\nAfter=basic.target\n")
        binds = " && ".join(f"mount --bind {top}/{NAME} {top}" for top in hierarchies())
        start = f"{binds} && exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin {SYSTEMD} --system " \
                "--unit=margay-test.target --log-target=console --show-status=0"
        command = node.wrap("unshare", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "sh", "-c", start)
        make_cgroups()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT,
                                        preexec_fn=join_cgroups)
        (self.init,) = wait_for(self.children, self.tail)
        wait_for(lambda: self.ctl("is-active", "margay-test.target", check=False).strip() == "active", self.tail, 60)

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as pids:
            return pids.read().split()

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "systemd is up\n" + log.read()[-3000:]

    def run(self, *command, check=True):
        done = subprocess.run(["nsenter", "-t", self.init, "-m", "-p", "-n", "-u", "-C", "-i", *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=100)
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.tail()
        return done.stdout

    def ctl(self, *arguments, check=True):
        return self.run("systemctl", "--no-pager", *arguments, check=check)

    def shown(self, *properties):
        rows = self.ctl("show", "margay-agent", "-p", ",".join(properties)).strip().split("\n")
        return dict(row.split("=", 1) for row in rows)

    def in_unit(self, script):
        """What the script says in the mount namespace of the agent."""
        pid = self.shown("MainPID")["MainPID"]
        done = subprocess.run(["nsenter", "-t", self.init, "-p", "-m", "nsenter", "-t", pid, "-m", "sh", "-c", script], text=True,
                              capture_output=True)
        return done.stdout + done.stderr

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        remove_cgroups(NAME)


@pytest.fixture(scope="module")
def systemd():
    with Cluster(("n1",)) as made:
        install_into(made["n1"])
        init = None
        try:
            init = Systemd(made["n1"])
            yield init
        finally:
            if init:
                init.close()
            else:
                remove_cgroups(NAME)


def ready(systemd, timeout=30):
    wait_for(systemd.node.ready, lambda: "ready\n" + systemd.tail(), timeout)


def test_it_starts_as_the_manual_says(systemd):
    systemd.ctl("enable", "--now", "margay-agent")
    ready(systemd)
    assert systemd.ctl("is-enabled", "margay-agent").strip() == "enabled"
    assert "n1" in systemd.node.run("margayctl", "get", "nodes", "-o", "name")


def test_its_sandbox_holds(systemd):
    seen = systemd.shown("MainPID", "NoNewPrivileges", "ProtectSystem", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute")
    assert (seen["NoNewPrivileges"], seen["ProtectSystem"], seen["PrivateTmp"], seen["ProtectHome"],
            seen["MemoryDenyWriteExecute"]) == ("yes", "strict", "yes", "yes", "yes")
    for place in ("/usr/sbin", "/etc/margay", "/var/lib"):
        assert "Read-only file system" in systemd.in_unit(f"touch {place}/mark"), place
    for place in ("/var/lib/margay", "/run/margay"):
        assert systemd.in_unit(f"touch {place}/mark && rm {place}/mark") == "", place
    assert systemd.in_unit("ls -A /home /root /tmp").split() == ["/home:", "/root:", "/tmp:"]
    status = systemd.in_unit("cat /proc/$(pidof -s margay-agent)/status")
    held = dict(re.findall(r"^(Cap\w+|NoNewPrivs|Seccomp):\t(\S+)$", status, re.M))
    assert int(held["CapEff"], 16) == 1 << 12 | 1 << 38 | 1 << 39, "NET_ADMIN, PERFMON, BPF"
    assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2"


def test_pods_work(systemd):
    node = systemd.node
    node.run("margayctl", "apply", "-f", "-", stdin=POOL)
    pods = [node.pod("one"), node.pod("two")]
    wait_for(lambda: pods[0].ping(pods[1].address()), "pods reach each other")
    wait_for(lambda: "two" in node.run("margayctl", "get", "workloadendpoints", "-o", "name"), "it is written")
    for pod in pods:
        pod.delete()


def test_killed_it_is_started_again(systemd):
    before = systemd.shown("MainPID")["MainPID"]
    systemd.ctl("kill", "-s", "KILL", "margay-agent")
    wait_for(lambda: systemd.shown("MainPID")["MainPID"] not in ("0", before), "another process", 30)
    ready(systemd)
    assert int(systemd.shown("NRestarts")["NRestarts"]) >= 1


def test_a_wrong_setting_is_not_tried_again(systemd):
    node = systemd.node
    node.run("cp", "/etc/margay/agent.yaml", "/run/kept.yaml")
    node.sh("echo 'noSuchSetting: 1' >> /etc/margay/agent.yaml")
    systemd.ctl("restart", "margay-agent", check=False)
    wait_for(lambda: systemd.shown("ActiveState")["ActiveState"] == "failed", "it has failed", 30)
    seen = systemd.shown("ExecMainStatus", "NRestarts")
    assert seen == {"ExecMainStatus": "78", "NRestarts": "0"}
    node.run("cp", "/run/kept.yaml", "/etc/margay/agent.yaml")
    systemd.ctl("reset-failed", "margay-agent")
    systemd.ctl("start", "margay-agent")
    ready(systemd)


def test_it_stops_and_leaves(systemd):
    systemd.ctl("disable", "--now", "margay-agent")
    assert systemd.ctl("is-active", "margay-agent", check=False).strip() == "inactive"
    assert systemd.shown("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    systemd.node.run("margayctl", "node", "reset", "--yes")
    assert not systemd.node.run("ip", "route", "show", "proto", "80")
