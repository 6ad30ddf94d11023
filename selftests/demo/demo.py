#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make demo: three nodes, pods, policy, tunnels, a crash and a clean leave, step by step.

Every step prints the command as a person would type it, its output, and a line on what it shows. The
first failure stops with the step's name and where its log lies.
  STEP=name  runs up to and including that step        KEEP=1  leaves the nodes standing
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))
import cluster  # noqa: E402
from snapshot import bpf_left, bpf_objects, difference, snapshot  # noqa: E402

EXAMPLES = os.path.join(cluster.TOP, "manifests", "examples", "three-nodes")
STATE = os.environ.get("MARGAY_DEMO", "/var/tmp/margay-demo")
KEEPER = os.path.join(STATE, "pid")
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
STEPS = []


def step(name, title):
    def register(function):
        STEPS.append((name, title, function))
        return function
    return register


class Broken(Exception):
    """What a step wanted to show is not so."""


class Demo:
    def __init__(self):
        self.cluster = None
        self.pods = {}
        self.before = {}
        self.log = open(os.path.join(STATE, "demo.log"), "a")

    def show(self, command, output="", lines=12):
        print(f"  {BOLD}{command}{PLAIN}")
        rows = output.rstrip().split("\n") if output.strip() else []
        for row in rows[:lines]:
            print(f"    {row}")
        if len(rows) > lines:
            print(f"    {DIM}... {len(rows) - lines} more lines{PLAIN}")
        self.log.write(f"{command}\n{output}\n")
        self.log.flush()

    def means(self, text):
        print(f"  {GREEN}=> {text}{PLAIN}", flush=True)

    def on(self, place, *command, lines=12, text=None):
        """Runs a command somewhere and shows both."""
        output = place.run(*command)
        self.show(f"{place.name}# {text or ' '.join(map(str, command))}", output, lines)
        return output

    def ctl(self, node, *arguments, lines=14):
        output = node.ctl(*arguments)
        typed = " ".join(arguments).replace(cluster.TOP + "/", "")
        self.show(f"{node.name}# margayctl {typed}", output, lines)
        return output

    def probe(self, title, source, target, port, want):
        """A TCP connection, tried again until all nodes have the change; shows whether it came about."""
        for _ in range(10):
            got = self.pods[source].tcp(self.pods[target].address(), port, wait=1) is not None
            if got == want:
                break
        self.show(f"{source}$ nc -zw1 {target} {port}   # {title}", "open" if got else "no answer")
        if got != want:
            raise Broken(f"{source} to {target}:{port} is {'open' if got else 'closed'}, must be "
                         f"{'open' if want else 'closed'}")

    def __getitem__(self, node):
        return self.cluster[node]


def plain(line):
    """A captured line without time, interface and direction: any side of the router may be seen first."""
    return re.sub(r"^\S+ \S+\s+(In|Out|P|M|B)\s+", "", line)


def apply(demo, name):
    demo.ctl(demo["n1"], "apply", "-f", os.path.join(EXAMPLES, name))


@step("nodes", "Three nodes, an agent each, one shared datastore")
def nodes(demo):
    demo.cluster = cluster.Cluster(folder=os.path.join(STATE, "cluster"))
    c = demo.cluster
    c.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
    for name, node in c.nodes.items():
        demo.before[name] = snapshot(node)
    demo.on(c["n1"], "ip", "-br", "-4", "addr", "show", "eth0")
    demo.on(c["n2"], "ip", "-br", "-4", "addr", "show", "eth0")
    demo.on(c["n3"], "ip", "-br", "-4", "addr", "show", "eth0")
    c.start()
    demo.show("n1# margay-agent &        # and on n2, n3", "ready")
    apply(demo, "00-pools.yaml")
    apply(demo, "10-namespaces.yaml")
    apply(demo, "20-pods.yaml")
    demo.ctl(c["n1"], "get", "nodes,ippools", "-o", "wide")
    demo.means("n1 and n2 share a subnet; n3 is behind a router that drops every packet with a pod's address")


@step("pods", "Pods, as a container runtime makes them: the CNI plugin on stdin and CNI_*")
def pods(demo):
    places = [("frontend", "shop", "n1"), ("backend", "shop", "n1"), ("batch", "shop", "n2"), ("reader", "blog", "n3"),
              ("dns", "kube-system", "n2")]
    for name, namespace, node in places:
        demo.pods[name] = demo[node].pod(name, namespace)
    pod = demo.pods["frontend"]
    demo.show(f"n1# CNI_COMMAND=ADD CNI_CONTAINERID=... CNI_IFNAME=eth0 CNI_ARGS='{pod.args}' margay < net.conf",
              json.dumps(pod.result["ips"], indent=1), 24)
    demo.ctl(demo["n1"], "get", "workloadendpoints", "-A")
    demo.pods["backend"].serve_tcp(8080, "backend")
    demo.pods["frontend"].serve_tcp(8080, "frontend")
    demo.pods["batch"].serve_tcp(8080, "batch")
    demo.pods["reader"].serve_tcp(8080, "reader")
    demo.means("five pods on three nodes; each has its address and its policy before ADD returned")


@step("connect", "Pods reach each other: same node, across the subnet, across the router")
def connect(demo):
    front = demo.pods["frontend"]
    for name, how in (("backend", "same node"), ("batch", "same subnet, native"), ("reader", "behind the router, IP-in-IP")):
        address = demo.pods[name].address()
        wire = demo.cluster.router.capture("ip proto 4") if name == "reader" else None
        output = front.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address)
        demo.show(f"frontend$ ping -c 2 {address}   # {name}: {how}", output.strip().split("\n")[-2])
        text = front.tcp(address, 8080)
        demo.show(f"frontend$ nc {address} 8080", text or "no answer")
        if text != name:
            raise Broken(f"frontend to {name}: {text}")
        if wire:
            line = plain(demo.cluster.router.captured(wire))
            demo.show("router# tcpdump -tni any -c 1 'ip proto 4'", line)
            if "IP 10.10.0.1 > 10.20.0.3" not in line:
                raise Broken("no IP-in-IP between the nodes was seen")
    demo.on(demo["n1"], "ip", "route", "show", "proto", "80")
    demo.means("routes tell where pods are; nothing leaks: the router drops unencapsulated pod addresses")


@step("vxlan", "The pool switched to VXLAN while traffic runs")
def vxlan(demo):
    front, reader = demo.pods["frontend"], demo.pods["reader"]
    running = front.start("ping", "-n", "-i", "0.05", "-c", "60", "-W", "1", reader.address(), stdout=subprocess.PIPE)
    wire = demo.cluster.router.capture("udp port 4789")
    pool = demo["n1"].ctl("get", "ippool", "default-ipv4-ippool", "-o", "yaml")
    pool = pool.replace("ipipMode: CrossSubnet", "ipipMode: Never").replace("vxlanMode: Never", "vxlanMode: CrossSubnet")
    if "vxlanMode" not in pool:
        pool = pool.replace("  ipipMode: Never", "  ipipMode: Never\n  vxlanMode: CrossSubnet")
    output = demo["n1"].ctl("apply", "-f", "-", stdin=pool)
    demo.show("n1# margayctl get ippool default-ipv4-ippool -o yaml | sed ... | margayctl apply -f -", output)
    line = plain(demo.cluster.router.captured(wire))
    demo.show("router# tcpdump -tni any -c 1 'udp port 4789'", line)
    if ".4789" not in line:
        raise Broken("no VXLAN was seen")
    result = running.communicate(timeout=30)[0].decode()
    summary = next(row for row in result.split("\n") if "transmitted" in row)
    demo.show(f"frontend$ ping -i 0.05 -c 60 {reader.address()}   # begun before", summary)
    if " 0% packet loss" not in summary:
        raise Broken("the switch lost packets: " + summary)
    demo.means("no packet was lost while the encapsulation changed")


@step("outside", "Source translation towards the outside")
def outside(demo):
    seen = demo.cluster.outside.capture("icmp and icmp[0] == 8", "eth0")
    front = demo.pods["frontend"]
    output = front.run("ping", "-n", "-c", "3", "-i", "0.3", "-W", "1", "192.0.2.1")
    demo.show("frontend$ ping -c 3 192.0.2.1", output.strip().split("\n")[-2])
    line = demo.cluster.outside.captured(seen)
    demo.show("outside# tcpdump -ni eth0 -c 1 icmp", line)
    if "10.10.0.1 > 192.0.2.1" not in line:
        raise Broken("the source is not the node's address: " + line)
    demo.means("the outside sees the node's address; no netfilter rule was written")


@step("policy", "NetworkPolicy: deny all, allow the namespace, DNS, front end to back end")
def policy(demo):
    demo.probe("no policy yet", "batch", "backend", 8080, True)
    apply(demo, "30-deny-all.yaml")
    demo.probe("deny all", "batch", "backend", 8080, False)
    demo.probe("deny all", "frontend", "backend", 8080, False)
    apply(demo, "40-allow-namespace.yaml")
    demo.probe("within the namespace", "batch", "backend", 8080, True)
    demo.probe("from another namespace", "reader", "backend", 8080, False)
    demo.ctl(demo["n1"], "delete", "-f", os.path.join(EXAMPLES, "40-allow-namespace.yaml"))
    apply(demo, "50-allow-dns.yaml")
    dns(demo)
    apply(demo, "60-frontend-backend.yaml")
    demo.probe("front end to back end", "frontend", "backend", 8080, True)
    demo.probe("batch is no front end", "batch", "backend", 8080, False)
    demo.means("a changed policy is in force at once, also for connections that are open")


def dns(demo):
    pod = demo.pods["dns"]
    pod.start("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
              f"--address=/backend.shop.test/{demo.pods['backend'].address()}")
    cluster.wait_for(lambda: ":53 " in pod.run("ss", "-Hlun"), "dnsmasq listens")
    output = demo.pods["frontend"].run("dig", "+short", "+time=1", "+tries=2", f"@{pod.address()}", "backend.shop.test")
    demo.show(f"frontend$ dig +short @{pod.address()} backend.shop.test", output)
    if demo.pods["backend"].address() not in output:
        raise Broken("the resolver's answer did not come")


@step("trace", "Ask it why: margayctl trace")
def trace(demo):
    allowed = demo.ctl(demo["n1"], "trace", "shop/frontend", "shop/backend", "--protocol", "tcp", "--port", "8080", lines=30)
    denied = demo.ctl(demo["n2"], "trace", "shop/batch", "shop/backend", "--protocol", "tcp", "--port", "8080", lines=30)
    if "allowed" not in allowed or "dropped" not in denied:
        raise Broken("trace does not tell what happens")
    apply(demo, "70-frontend-reader.yaml")
    cluster.wait_for(lambda: "frontend-reader" in demo["n1"].ctl("policy", "show"), "the policy is in force")
    far = demo.ctl(demo["n1"], "trace", "shop/frontend", "blog/reader", "--protocol", "tcp", "--port", "7000", lines=30)
    if "node n3" not in far or "frontend-reader" not in far:
        raise Broken("trace does not go on to the receiver's node")
    demo.means("the real programs judged a copy of the packet, on each node in turn, and name the rule that decided")


@step("drops", "Every drop has a name")
def drops(demo):
    output = demo.ctl(demo["n1"], "drops", "show")
    if "policy" not in output:
        raise Broken("no drop by policy was counted")
    demo.means("the same names in counters, events, metrics and trace")


@step("maps", "The maps are readable")
def maps(demo):
    for name in ("mg_commits", "mg_verdicts"):
        output = demo["n1"].run("bpftool", "map", "dump", "pinned", f"/sys/fs/bpf/margay/maps/{name}")
        demo.show(f"n1# bpftool map dump pinned /sys/fs/bpf/margay/maps/{name} | head -18", output, 18)
    demo.means("BTF names every field; docs/maps.md tells what each map is for")


def stream(demo, source, target, seconds):
    """A UDP sequence and a TCP stream that run already; ask communicate() for what was lost."""
    pod, address = demo.pods[target], demo.pods[target].address()
    script = [sys.executable, os.path.join(HERE, "stream.py")]
    pod.start(*script, "server", "7000")
    cluster.wait_for(lambda: ":7000 " in pod.run("ss", "-Hltn"), "the stream's server listens")
    # The pods' MTU is from before the switch to VXLAN: the first segments teach the sender the path's.
    demo.pods[source].run(*script, "client", address, "7000", "0.2")
    client = demo.pods[source].start(*script, "client", address, "7000", str(seconds), stdout=subprocess.PIPE)
    cluster.wait_for(lambda: ":7000" in pod.run("ss", "-Htn", "state", "established"), "the stream runs")
    return client


@step("crash", "The agents are killed and started again under policy; traffic does not notice")
def crash(demo):
    client = stream(demo, "frontend", "reader", 5)
    for node in ("n1", "n3"):
        demo[node].kill_agent(signal.SIGKILL)
        demo.show(f"{node}# kill -9 $(pidof margay-agent)")
    demo.probe("without an agent: still allowed", "frontend", "backend", 8080, True)
    demo.probe("without an agent: still denied", "batch", "backend", 8080, False)
    for node in ("n1", "n3"):
        demo[node].start_agent()
        demo.show(f"{node}# margay-agent &", "ready")
    if client.poll() is not None:
        raise Broken("the stream ended before the agents were back")
    result = json.loads(client.communicate(timeout=30)[0])
    demo.show(f"frontend$ stream.py client {demo.pods['reader'].address()} 7000 5   # begun before", json.dumps(result))
    # What the receiver had already (D-SACK) was late on a busy machine, not lost.
    if result["udp_missing"] or result["tcp_retransmissions"] > result["tcp_duplicates"]:
        raise Broken(f"lost under the restart: {result}")
    demo.means("programs and maps are pinned: no number missing, no retransmission, through the tunnel and under policy")


@step("reset", "margayctl node reset: nothing is left")
def reset(demo):
    for name, pod in list(demo.pods.items()):
        pod.delete()
        demo.show(f"{pod.node.name}# CNI_COMMAND=DEL CNI_CONTAINERID=... CNI_ARGS='{pod.args}' margay < net.conf")
    for name, node in demo.cluster.nodes.items():
        node.kill_agent(signal.SIGTERM)
        objects = bpf_objects(node)
        demo.ctl(node, "node", "reset", "--yes", lines=8)
        left = difference(demo.before[name], snapshot(node)) + bpf_left(node, objects)
        count = ", ".join(f"{len(ids)} {kind}s" for kind, ids in objects.items())
        demo.show(f"{name}# snapshot before and after: {' '.join(demo.before[name])}; and of {count}",
                  "\n".join(left) or "equal, none left")
        if left:
            raise Broken(f"{name} is not as before")
    demo.means("every program, map, link, route, address, interface and file is gone")


def keep(demo):
    """Tells how to go on. The nodes live as long as this process, which goes to the background (main)."""
    names = {p.name: p.pid for p in demo.cluster.places}
    names.update({f"pod {n}": p.pid for n, p in demo.pods.items()})
    with open(KEEPER, "w") as out:
        out.write(f"{os.getpid()}\n")
    print("\nThe nodes stay until `make demo-clean`. To enter one:")
    for name, pid in names.items():
        print(f"  {name:14} nsenter -t {pid} -n{'' if name.startswith('pod') else ' -m -u'}")
    print(f"Five things to try on a node (PATH={cluster.BUILD}:$PATH):\n"
          "  margayctl get workloadendpoints -A -o wide\n  margayctl flows show\n"
          "  margayctl trace shop/frontend blog/reader --protocol tcp --port 8080\n"
          "  margayctl monitor --verdict dropped\n  bpftool map dump pinned /sys/fs/bpf/margay/maps/mg_drops", flush=True)


def clean():
    """Ends what KEEP=1 left: the process in the background takes its nodes along."""
    try:
        with open(KEEPER) as pid:
            keeper = int(pid.read())
        with open(f"/proc/{keeper}/cmdline", "rb") as command:
            ours = b"demo.py" in command.read()
        if ours:
            os.kill(keeper, signal.SIGINT)
            cluster.wait_for(lambda: not os.path.exists(f"/proc/{keeper}"), "the nodes are gone")
    except (OSError, ValueError):
        pass
    shutil.rmtree(STATE, ignore_errors=True)


def to_background(told):
    """The parent waiting in main() returns; what is printed from here on has no reader."""
    os.write(told, b"0")
    os.close(told)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def in_child(run):
    """Runs in a child, whose end or to_background() ends the call with its status."""
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        os.close(heard)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        os._exit(run(told))
    os.close(told)
    status = os.read(heard, 1)
    return int(status) if status else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def preflight():
    if os.geteuid() != 0:
        sys.exit("make demo: must run as root (it makes network namespaces)")
    if subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True).returncode:
        sys.exit("make demo: this kernel or container does not permit network and mount namespaces")
    if not shutil.which("tcpdump"):
        sys.exit("make demo: tcpdump is missing (make deps)")
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && exec \"$0\" node checksystem -o json",
                           os.path.join(cluster.BUILD, "margayctl")], capture_output=True, text=True)
    lacks = [f"{row['feature']} ({row['without']})" for row in json.loads(done.stdout or "[]")
             if row["required"] and not row["present"]]
    if done.returncode and not lacks:
        sys.exit(f"make demo: margayctl node checksystem: {done.stderr.strip()}")
    if lacks:
        sys.exit(f"make demo: this kernel lacks {', '.join(lacks)}")


def run(last, told=None):
    """All steps, or those up to last; the exit status. told: the nodes are kept, in the background."""
    demo, begin = Demo(), time.monotonic()
    try:
        for number, (name, title, function) in enumerate(STEPS, 1):
            print(f"\n{BOLD}[{number}/{len(STEPS)}] {name}: {title}{PLAIN}", flush=True)
            function(demo)
            if name == last:
                break
        print(f"\n{GREEN}all shown in {time.monotonic() - begin:.0f} s{PLAIN}", flush=True)
        if told is not None:
            keep(demo)
            to_background(told)
    except (Broken, AssertionError, subprocess.TimeoutExpired, OSError, KeyError, StopIteration) as error:
        print(f"\n{RED}demo stopped in step \"{name}\": {error}\nlogs: {STATE}/demo.log, {STATE}/cluster/n*/agent.log{PLAIN}",
              flush=True)
        return 1
    finally:
        if demo.cluster:
            demo.cluster.close()
    return 0


def main():
    if "--clean" in sys.argv:
        clean()
        return 0
    last = os.environ.get("STEP") or None
    if last and last not in [name for name, _, _ in STEPS]:
        sys.exit(f"make demo: no step {last}; there are: {' '.join(name for name, _, _ in STEPS)}")
    preflight()
    clean()
    os.makedirs(STATE, mode=0o700)
    print("Margay's demo: three nodes as network namespaces of this machine. Its own network is not touched.", flush=True)
    if os.environ.get("KEEP"):
        return in_child(lambda told: run(last, told))
    return run(last)


if __name__ == "__main__":
    sys.exit(main())
