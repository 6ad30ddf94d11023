# SPDX-License-Identifier: Apache-2.0
"""Nodes and pods as namespaces of this machine, for tests and for `make demo`.

A Place is a network and mount namespace held by one process: what runs in it sees its own interfaces,
routes and sysctls, its own bpffs, /run, /var/lib/margay and /etc/margay. A Node is a Place with an agent and
CNI folders; a Pod is a network namespace that the CNI plugin filled. Nothing of the machine's own network is
touched. Everything ends with Cluster.close(), by pid.

    n1, n2  10.10.0.1, 10.10.0.2 (and fd10::1, fd10::2) on bridge br0 in the place "router"
    n3      10.20.0.3 (and fd20::3) behind the router
    outside 192.0.2.1 (and 2001:db8::1): the world, behind the router
"""
import atexit
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
CNI_PATH = f"{BUILD}:/usr/lib/cni:/opt/cni/bin"
PR_SET_PDEATHSIG = 1
SERVER_WAIT = 10  # seconds for the words of a server that has accepted
PATIENCE = float(os.environ.get("NET_PATIENCE", 1))  # a guest by emulation is 20 times slower


def _remove_left(top):
    """Cgroups of runs that were killed; one that is in use cannot be removed."""
    for path in glob.glob(os.path.join(top, "margay-test-[0-9]*")):
        if not os.path.exists(f"/proc/{os.path.basename(path).split('-')[2]}"):
            try:
                os.rmdir(path)
            except OSError:
                pass


def _make_cgroup():
    """A cgroup of this run's own. Agents attach there (MARGAY_CGROUP) and never above; who shall pass their programs
    is put there (Place.cgroup). None where no cgroup2 hierarchy is mounted."""
    with open("/proc/self/mounts") as mounts:
        tops = [row.split()[1] for row in mounts if row.split()[2] == "cgroup2"]
    if not tops:
        return None
    _remove_left(tops[0])
    path = os.path.join(tops[0], f"margay-test-{os.getpid()}")
    os.mkdir(path)
    atexit.register(_remove_cgroup, path, os.getpid())
    return path


def _remove_cgroup(path, owner):
    for _ in range(100 if os.getpid() == owner else 0):
        try:
            return os.rmdir(path)
        except OSError:
            time.sleep(0.05)


CGROUP = _make_cgroup()
if CGROUP:
    os.environ["MARGAY_CGROUP"] = CGROUP


def wait_for(condition, what, timeout=30.0, step=0.05):
    """Polls until condition() is true and returns its value; AssertionError with `what` after timeout. A timeout costs nothing
    where things work: a shorter one than usual only where being quick is what is tested."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(step)


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Failed(AssertionError):
    """A command ended with another status than expected; carries command and output."""


class Place:
    """A network and mount namespace of its own; with pids a pid and an IPC namespace, too: what was started in it dies with it."""

    def __init__(self, name, cluster, mounts=True, pids=False):
        self.name, self.cluster, self.processes, self.pids = name, cluster, [], pids
        self.cgroup = None  # what is run here passes its programs
        flags = ["--net", "--uts"] + (["--mount", "--propagation", "private"] if mounts else [])
        flags += ["--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc"] if pids else []
        # Of a pid namespace the shell stays as first process: it buries what loses its parent.
        hold = "while :; do sleep 1000; done" if pids else "exec sleep infinity"
        self.holder = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", f"echo ready; {hold} 2>/dev/null"], stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        assert self.holder.stdout.readline() == b"ready\n"
        self.pid, self.mounts = self._first_process(), mounts
        self.path = f"/proc/{self.pid}/ns/net"
        # Addresses are there at once: no duplicate address detection on links of our own.
        self.sysctl(net__ipv6__conf__default__accept_dad=0)
        self.run("ip", "link", "set", "lo", "up")
        self.run("hostname", name)
        if mounts:
            # A sysfs of this network namespace; cgroup2 is kept beside it.
            aside = os.path.join(cluster.folder, "cgroup")
            os.makedirs(aside, exist_ok=True)
            self.sh(f"mount --rbind /sys/fs/cgroup {aside} && mount -t sysfs sysfs /sys && "
                    f"mount --rbind {aside} /sys/fs/cgroup && umount -R -l {aside} && mount -t bpf bpf /sys/fs/bpf")

    def _first_process(self):
        if not self.pids:
            return self.holder.pid
        with open(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children") as file:
            return int(file.read().split()[0])

    def wrap(self, *command):
        enter = ["nsenter", "-t", str(self.pid), "-n", "-u"] + (["-m"] if self.mounts else [])
        # nsenter stays outside as the parent: whoever ends it ends the command.
        enter += ["-p", "-i", "setpriv", "--pdeathsig", "KILL"] if self.pids else []
        if self.cgroup:
            enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.cgroup, *enter]
        return [*enter, *map(str, command)]

    def run(self, *command, check=True, stdin=None, env=None, timeout=60):
        """Runs to the end; returns what it wrote to stdout. Failed if the status is not 0 and check."""
        done = self.try_run(*command, stdin=stdin, env=env, timeout=timeout)
        if check and done.returncode != 0:
            raise Failed(f"{self.name}$ {' '.join(map(str, command))}\nstatus {done.returncode}\n"
                         f"{done.stdout}{done.stderr}")
        return done.stdout

    def try_run(self, *command, stdin=None, env=None, timeout=60):
        return subprocess.run(self.wrap(*command), input=stdin, capture_output=True, text=True, timeout=timeout * PATIENCE,
                              env=dict(os.environ, **(env or {})),
                              stdin=subprocess.DEVNULL if stdin is None else None)

    def sh(self, script, **options):
        return self.run("sh", "-c", script, **options)

    def start(self, *command, log=None, env=None, stdout=None):
        """Runs in the background until stop() or close(). log: a file's path for stdout and stderr."""
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(self.wrap(*command), stdin=subprocess.DEVNULL, stdout=stdout or out,
                                   stderr=subprocess.STDOUT if not stdout else out,
                                   env=dict(os.environ, **(env or {})), preexec_fn=_die_with_parent)
        self.processes.append(process)
        return process

    def capture(self, expression, device="any", count=1):
        """tcpdump that ends after count packets; it listens already. Its lines: captured()."""
        process = subprocess.Popen(self.wrap("tcpdump", "-lnni", device, "-c", count, expression),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=_die_with_parent)
        self.processes.append(process)
        for line in process.stderr:
            if "listening on" in line:
                return process
        raise Failed(f"{self.name}: tcpdump {expression} did not start")

    def captured(self, process, timeout=30):
        """What a capture saw; what came until timeout where that is fewer packets than it waits for."""
        try:
            out = process.communicate(timeout=timeout * PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
            out = process.communicate()[0]
        self.processes.remove(process)
        return out.strip()

    def stop(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def sysctl(self, **values):
        for key, value in values.items():
            self.sh(f"echo {value} > /proc/sys/{key.replace('__', '/')}")

    def close(self):
        for process in list(self.processes):
            self.stop(process, signal.SIGKILL)
        self.holder.kill()
        self.holder.wait()


class Pod(Place):
    """A network namespace filled by the CNI plugin of a node."""

    def __init__(self, node, name, namespace="default", args=None, uid=None, ifname="eth0", ports=()):
        """ports: mappings as the capability portMappings has them."""
        super().__init__(f"{namespace}-{name}", node.cluster, mounts=False)
        self.node, self.pod, self.namespace, self.ifname = node, name, namespace, ifname
        self.ports = list(ports)
        self.container = f"{node.name}-{namespace}-{name}-{self.pid}"
        self.args = f"K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};IgnoreUnknown=1" if args is None else args
        if uid:
            self.args += f";K8S_POD_UID={uid}"
        self.result = None

    def add(self, **extra):
        self.result = self.node.cni("ADD", self, **extra)
        return self

    def delete(self):
        self.node.cni("DEL", self)
        self.node.pods.remove(self)
        self.close()

    def address(self, family=4):
        for ip in self.result["ips"]:
            if (":" in ip["address"]) == (family == 6):
                return ip["address"].split("/")[0]
        raise AssertionError(f"{self.name} has no IPv{family} address: {self.result}")

    def ping(self, target, count=1, size=56, wait=1, extra=()):
        """True if an answer came."""
        return self.try_run("ping", "-n", "-c", count, "-W", wait, "-s", size, *extra, target).returncode == 0

    def serve_tcp(self, port, text="hello"):
        bind = "[::]" if any(":" in ip["address"] for ip in (self.result or {"ips": []})["ips"]) else "0.0.0.0"
        family = "TCP6-LISTEN" if bind == "[::]" else "TCP4-LISTEN"
        extra = ",ipv6only=0" if family == "TCP6-LISTEN" else ""
        process = self.start("socat", f"{family}:{port},fork,reuseaddr{extra}", f"SYSTEM:echo {text}")
        wait_for(lambda: f":{port} " in self.run("ss", "-Hltn"), f"{self.name} listens at {port}")
        return process

    def serve_udp(self, port):
        process = self.start("socat", f"UDP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", "EXEC:cat")
        wait_for(lambda: f":{port} " in self.run("ss", "-Hlun"), f"{self.name} listens at {port}")
        return process

    def tcp(self, target, port, wait=2):
        """The server's text, or None where no connection came about within wait. A server that accepted has to start a shell,
        which takes its time on a busy machine."""
        host = f"[{target}]" if ":" in target else target
        done = self.try_run("socat", "-T", str(SERVER_WAIT), "-u", f"TCP:{host}:{port},connect-timeout={wait}", "-")
        return done.stdout.strip() if done.returncode == 0 else None


class Node(Place):
    """A node with an agent: its own bpffs, /run, /var/lib/margay, /etc/margay; the store is shared."""

    def __init__(self, name, cluster, pids=False):
        super().__init__(name, cluster, pids=pids)
        self.agent, self.pods = None, []
        self.folder = os.path.join(cluster.folder, name)
        os.makedirs(os.path.join(self.folder, "own"), mode=0o700, exist_ok=True)
        os.makedirs(cluster.store, mode=0o700, exist_ok=True)
        # Own /run, and writable layers over /etc and /var/lib: the machine's files are not touched. Own /dev/shm: podman's
        # locks there are one host's, whose first podman frees all of them.
        self.sh(f"""set -e
            cd {self.folder}/own && mount -t tmpfs tmpfs . && cd . && cd {self.folder}/own
            for at in etc var/lib; do
                mkdir -p $at/up $at/work
                mount -t overlay overlay -o lowerdir=/$at,upperdir=$PWD/$at/up,workdir=$PWD/$at/work /$at
            done
            mount -t tmpfs tmpfs /run
            mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
            mkdir -m 0700 -p /etc/margay /var/lib/margay/store
            mount --bind {cluster.store} /var/lib/margay/store
            mkdir -p /etc/cni/net.d && rm -rf /etc/cni/net.d/*""")
        self.write_list(cluster.network)
        self.log = os.path.join(self.folder, "agent.log")

    def write_list(self, network):
        """The network list where runtimes have it."""
        self.run("sh", "-c", "printf %s \"$1\" >/etc/cni/net.d/10-margay.conflist", "sh", json.dumps(network))

    def start_agent(self, *options, wait=True, program=None, env=None):
        """program: the agent of another build."""
        program = program or os.path.join(BUILD, "margay-agent")
        self.agent = self.start(program, "--node", self.name, *options, log=self.log, env=env)
        if wait:
            self.wait_ready()
        return self.agent

    def ready(self):
        done = self.try_run("curl", "-fsS", "-m", f"{2 * PATIENCE:g}", "http://127.0.0.1:9099/readyz")
        return done.returncode == 0

    def wait_ready(self, timeout=60):
        wait_for(lambda: self.ready() or self.agent.poll() is not None, lambda: "agent ready\n" + self.tail(), timeout)
        assert self.agent.poll() is None, f"agent of {self.name} ended\n{self.tail()}"

    def tail(self, lines=30):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def kill_agent(self, how=signal.SIGKILL):
        # The process is nsenter's child by exec: its pid is the agent's.
        self.stop(self.agent, how)

    def ctl(self, *arguments, stdin=None, check=True):
        return self.run(os.path.join(BUILD, "margayctl"), *arguments, stdin=stdin, check=check)

    def apply(self, text):
        return self.ctl("apply", "-f", "-", stdin=text)

    def cni(self, command, pod, config=None, check=True):
        """Runs the plugin as a container runtime does; returns its result (ADD), or its error object."""
        config = dict(config or self.cluster.network)
        plugin = dict(config["plugins"][0], cniVersion=config["cniVersion"], name=config["name"])
        if pod.ports:
            plugin["runtimeConfig"] = {"portMappings": pod.ports}
        if pod.result is not None and command in ("DEL", "CHECK"):
            plugin["prevResult"] = pod.result
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": pod.container, "CNI_NETNS": f"/proc/{pod.pid}/ns/net",
               "CNI_IFNAME": pod.ifname, "CNI_PATH": CNI_PATH, "CNI_ARGS": pod.args}
        done = self.try_run(os.path.join(BUILD, plugin["type"]), stdin=json.dumps(plugin), env=env)
        if check and done.returncode != 0:
            raise Failed(f"{self.name}$ CNI {command} {pod.name}: {done.stdout}{done.stderr}\n{self.tail()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def pod(self, name, namespace="default", **extra):
        """A pod that is up."""
        pod = Pod(self, name, namespace, **extra)
        self.pods.append(pod)
        return pod.add()

    def close(self):
        for pod in self.pods:
            pod.close()
        super().close()


class Cluster:
    """Places, joined; see the picture at the top."""

    network = {"cniVersion": "1.0.0", "name": "margay", "plugins": [{"type": "margay", "ipam": {"type": "margay-ipam"}}]}
    node_class = Node

    def __init__(self, nodes=("n1", "n2", "n3"), folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="margay-test-")
        self.keep_folder = folder is not None
        self.store = os.path.join(self.folder, "store")
        self.places = []
        self.router = self._place(Place("router", self))
        self.outside = self._place(Place("outside", self))
        self.nodes = {}
        self.router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.router.sh("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up && ip addr add 10.10.0.254/24 dev br0 && "
                       "ip -6 addr add fd10::254/64 dev br0 nodad")
        self._wire("outside", self.outside, "192.0.2.254/24", "2001:db8::254/64", "192.0.2.1/24", "2001:db8::1/64")
        for name in nodes:
            node = self.nodes[name] = self._place(self.node_class(name, self))
            number = int(name[1:])
            if name == "n3":
                self._wire(name, node, "10.20.0.254/24", "fd20::254/64", "10.20.0.3/24", "fd20::3/64")
            else:
                self._wire(name, node, None, None, f"10.10.0.{number}/24", f"fd10::{number}/64")

    def __getitem__(self, name):
        return self.nodes[name]

    def _place(self, place):
        self.places.append(place)
        return place

    def _wire(self, name, place, router4, router6, own4, own6):
        """A veth pair between the router and a place; default routes there."""
        self.router.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", place.pid)
        if router4:
            self.router.sh(f"ip addr add {router4} dev {name}; ip -6 addr add {router6} dev {name} nodad")
        else:
            self.router.run("ip", "link", "set", name, "master", "br0")
        self.router.run("ip", "link", "set", name, "up")
        gateway4 = (router4 or "10.10.0.254/24").split("/")[0]
        gateway6 = (router6 or "fd10::254/64").split("/")[0]
        place.sh(f"ip link set eth0 up; ip addr add {own4} dev eth0; ip -6 addr add {own6} dev eth0 nodad; "
                 f"ip route add default via {gateway4}; ip -6 route add default via {gateway6}")

    def drop_pod_addresses(self, *prefixes):
        """The underlay forgets packets that carry a pod's address: nothing may cross it unencapsulated."""
        for prefix in prefixes:
            for end in ("from", "to"):
                self.router.run("ip", "-6" if ":" in prefix else "-4", "rule", "add", end, prefix, "blackhole")

    def start(self, *options):
        for node in self.nodes.values():
            node.start_agent(*options, wait=False)
        for node in self.nodes.values():
            node.wait_ready()
        return self

    def close(self):
        for place in reversed(self.places):
            place.close()
        if not self.keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()
