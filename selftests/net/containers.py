# SPDX-License-Identifier: Apache-2.0
"""Podman on a Node: containers from a root file system of Debian's busybox, without a registry.

What stands in containers.conf is what a machine with systemd has by default, put so that it also works in a
namespace: no systemd to ask for cgroups, no journal, no seccomp profile and limits of others.
"""
import glob
import json
import os
import signal

import cluster
from cluster import wait_for

ROOT = "/var/lib/rootfs"
LIST = {
    "cniVersion": "1.0.0", "name": "margay",
    "plugins": [{"type": "margay", "ipam": {"type": "margay-ipam"}, "capabilities": {"ips": True, "mac": True, "portMappings": True}}],
}
CONF = """[network]
network_backend = "cni"
cni_plugin_dirs = [{dirs}]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
seccomp_profile = "unconfined"
"""
# A node's /var/lib is an overlay, over which podman's own would need a mount program; on a host's disk it needs neither.
STORAGE = """[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/node"
"""
CGROUPS = "/sys/fs/cgroup"


def _cgroups(name):
    """The cgroups of that name in every hierarchy and those below, innermost first."""
    for top in glob.glob(f"{CGROUPS}/{name}") + glob.glob(f"{CGROUPS}/*/{name}"):
        for folder, _, _ in os.walk(top, topdown=False):
            yield folder


def _processes(name):
    found = set()
    for folder in _cgroups(name):
        with open(f"{folder}/cgroup.procs") as rows:
            found.update(int(row) for row in rows)
    return found


def remove_cgroups(name):
    """Ends what still runs in the cgroups of that name and removes them."""
    for pid in _processes(name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not _processes(name), f"cgroup {name} is empty")
    for folder in _cgroups(name):
        os.rmdir(folder)


def make_rootfs(node, path=ROOT):
    node.sh(f"""set -e
        mkdir -p {path}/bin {path}/proc {path}/sys {path}/dev {path}/etc {path}/tmp
        cp /bin/busybox {path}/bin/
        for name in sh ip ping nc sleep cat echo wget httpd; do ln -sf busybox {path}/bin/$name; done""")


class Podman:
    """Podman of one Node; the network list is written, the agent is not started."""

    def __init__(self, node, network=None, plugins=None):
        self.node, self.parent, self.names = node, f"margay-{os.getpid()}-{node.name}", []
        self.network = network or LIST
        dirs = ", ".join(f'"{path}"' for path in plugins or cluster.CNI_PATH.split(":"))
        node.sh("mkdir -p /etc/cni/net.d /etc/containers && rm -f /etc/cni/net.d/*")
        node.run("tee", "/etc/containers/containers.conf", stdin=CONF.format(dirs=dirs))
        node.run("tee", "/etc/containers/storage.conf", stdin=STORAGE)
        self.write_network(self.network)
        make_rootfs(node)

    def write_network(self, network):
        self.network = network
        self.node.run("tee", f"/etc/cni/net.d/10-{network['name']}.conflist", stdin=json.dumps(network))

    def labelled(self, name, **labels):
        """Writes another list, whose containers carry these labels."""
        plugins = [dict(self.network["plugins"][0], args={"cni": {"labels": labels}}), *self.network["plugins"][1:]]
        path = f"/etc/cni/net.d/20-{name}.conflist"
        self.node.run("tee", path, stdin=json.dumps(dict(self.network, name=name, plugins=plugins)))

    def run(self, name, *options, network=None, command=("sleep", "1000")):
        self.names.append(name)
        self.node.run("podman", "run", "-d", "--cgroup-parent", "/" + self.parent, "--cap-add", "NET_RAW",
                      "--name", name, "--network", network or self.network["name"], *options, "--rootfs", ROOT, *command, timeout=120)
        return name

    def try_exec(self, name, *command):
        return self.node.try_run("podman", "exec", name, *command, timeout=120)

    def exec(self, name, *command):
        return self.node.run("podman", "exec", name, *command, timeout=120)

    def address(self, name, family=4):
        rows = json.loads(self.node.run("podman", "inspect", name))[0]["NetworkSettings"]["Networks"]
        (network,) = rows.values()
        return network["IPAddress" if family == 4 else "GlobalIPv6Address"]

    def ping(self, name, target):
        """True if an answer came."""
        return self.try_exec(name, "ping", "-c", "1", "-W", "1", target).returncode == 0

    def serve(self, name, port, text):
        """A server in the container that says text to each who connects."""
        self.node.run("podman", "exec", "-d", name, "nc", "-ll", "-p", port, "-e", "echo", text, timeout=120)
        pid = self.pid(name)
        wait_for(lambda: f":{port} " in self.node.run("nsenter", "-t", pid, "-n", "ss", "-Hltn"), f"{name} listens")

    def pid(self, name):
        return self.node.run("podman", "inspect", "-f", "{{.State.Pid}}", name).strip()

    def tcp(self, name, target, port):
        """The server's text, or None where no connection came about."""
        done = self.try_exec(name, "nc", "-w", "2", target, str(port))
        return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None

    def remove(self, name):
        self.node.run("podman", "rm", "-f", "-t", "0", name, timeout=120)
        if name in self.names:
            self.names.remove(name)

    def close(self):
        for name in list(self.names):
            self.node.try_run("podman", "rm", "-f", "-t", "0", name, timeout=120)
        remove_cgroups(self.parent)


def writable(node, *folders):
    """Layers of this node's own over folders of the machine."""
    node.sh(f"""set -e
        cd {node.folder}/own
        for at in {" ".join(folders)}; do
            mkdir -p $at/up $at/work
            mount -t overlay overlay -o lowerdir=/$at,upperdir=$PWD/$at/up,workdir=$PWD/$at/work /$at
        done""")


def install_into(node):
    """`make install` as on a host; the machine's folders stay as they are."""
    writable(node, "usr", "opt")
    node.run("make", "-s", "-C", cluster.TOP, "install", timeout=200)


class Containerd:
    """containerd of one Node, by its own ctr: containers of the same root file system, networks by CNI."""

    CONFIG = """version = 2
root = "/var/lib/containerd-test"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "/run/containerd/containerd.sock"
"""

    def __init__(self, node, network=None):
        """What `make install` put down is there already: ctr looks into /opt/cni/bin and /etc/cni/net.d alone."""
        self.node, self.parent, self.running = node, f"margay-{os.getpid()}-{node.name}-c", {}
        node.sh("mkdir -p /etc/cni/net.d /etc/containerd")
        if network:
            node.sh("rm -f /etc/cni/net.d/*")
            node.run("tee", "/etc/cni/net.d/10-margay.conflist", stdin=json.dumps(network))
        node.run("tee", "/etc/containerd/margay.toml", stdin=self.CONFIG)
        make_rootfs(node)
        self.log = os.path.join(node.folder, "containerd.log")
        self.daemon = node.start("containerd", "--config", "/etc/containerd/margay.toml", log=self.log)
        wait_for(lambda: node.try_run("ctr", "version").returncode == 0, self.tail, 30)

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "containerd answers\n" + "".join(log.readlines()[-20:])

    def ctr(self, *arguments, check=True):
        return self.node.run("ctr", *arguments, check=check, timeout=120)

    def run(self, name, *command):
        """ctr stays with the container: it is what takes the network away at its end (detached it leaves that to nobody)."""
        self.running[name] = self.node.start(
            "ctr", "run", "--rm", "--cni", "--cgroup", f"/{self.parent}/{name}", "--cap-add", "CAP_NET_RAW", "--env", "PATH=/bin",
            "--rootfs", ROOT, name, *(command or ("sleep", "1000")), log=self.log)
        wait_for(lambda: self.state(name) == "RUNNING", self.tail)
        return name

    def run_detached(self, name, *command):
        """ctr leaves; nobody ever calls DEL."""
        self.ctr("run", "-d", "--cni", "--cgroup", f"/{self.parent}/{name}", "--env", "PATH=/bin", "--rootfs", ROOT, name,
                 *(command or ("sleep", "1000")))

    def state(self, name):
        rows = [line.split() for line in self.ctr("task", "ls").split("\n")[1:]]
        return next((row[2] for row in rows if row[:1] == [name]), None)

    def try_exec(self, name, *command):
        self.turn = getattr(self, "turn", 0) + 1
        return self.node.try_run("ctr", "task", "exec", "--exec-id", f"e{self.turn}", name, *command, timeout=120)

    def pid(self, name):
        (row,) = [line.split() for line in self.ctr("task", "ls").split("\n")[1:] if line.split()[:1] == [name]]
        return row[1]

    def address(self, name, family=4):
        rows = json.loads(self.node.run("nsenter", "-t", self.pid(name), "-n", "ip", "-j", "addr", "show", "eth0"))[0]["addr_info"]
        (found,) = [row["local"] for row in rows if row["family"] == ("inet" if family == 4 else "inet6") and row["scope"] == "global"]
        return found

    def ping(self, name, target):
        """True if an answer came."""
        return self.try_exec(name, "ping", "-c", "1", "-W", "1", target).returncode == 0

    def remove(self, name):
        self.ctr("task", "kill", "-s", "SIGKILL", name)
        self.running.pop(name).wait(60)

    def close(self):
        for name in list(self.running):
            self.node.try_run("ctr", "task", "kill", "-s", "SIGKILL", name)
            self.node.stop(self.running.pop(name))
        self.node.stop(self.daemon)
        remove_cgroups(self.parent)
