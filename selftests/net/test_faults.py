# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the agent: it is killed, its datastore or disk goes, it comes late, many pods come at once,
folders are open to others. FAULT_KILLS and FAULT_PODS make the counts larger (make check-long)."""
import concurrent.futures
import copy
import json
import os
import re
import stat
import time

import pytest

import cluster as places
import streams
from cluster import Pod, wait_for
from test_agent import call, names

EXAMPLES = os.path.join(places.TOP, "manifests", "examples", "three-nodes")
KILLS = int(os.environ.get("FAULT_KILLS", "100"))
PODS = int(os.environ.get("FAULT_PODS", "100"))
AT_ONCE = 50  # pods that start together, and stop together
PEERS = 10  # others that each of them speaks to
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]}
"""


@pytest.fixture(scope="module")
def pair():
    """Two nodes across the router."""
    with places.Cluster(nodes=("n1", "n3")) as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        made.start()
        for name in ("00-pools.yaml", "10-namespaces.yaml"):
            made["n1"].ctl("apply", "-f", os.path.join(EXAMPLES, name))
        # What is in use before a test must not grow by itself.
        wait_for(lambda: made["n1"].ctl("get", "nodes", "-o", "yaml").count("ipv4IPIPTunnelAddr:") == 2, "tunnel addresses")
        yield made


@pytest.fixture(scope="module")
def node(pair):
    return pair["n1"]


def endpoints(node):
    return json.loads(node.ctl("endpoints", "show", "-o", "json"))


def in_use(node):
    text = node.run("curl", "-sS", "http://127.0.0.1:9091/metrics")
    return sum(int(n) for n in re.findall(r"^margay_ipam_addresses_in_use\{.*\} (\d+)$", text, re.M))


def kill_and_start(pair, count):
    for number in range(count):
        node = pair["n1" if number % 2 else "n3"]
        node.kill_agent()
        node.start_agent()


def test_kills_lose_nothing(pair):
    client, server = pair["n1"].pod("runner"), pair["n3"].pod("goal")
    streams.serve(server, 5001)

    def undisturbed(seconds):
        return [streams.Stream(client, server.address(), 5001, seconds, streams.FASTER).result()]

    def killed():
        running = streams.Stream(client, server.address(), 5001, rate=streams.FASTER)
        kill_and_start(pair, KILLS)
        assert running.running()
        return [running.end()]

    streams.compare(undisturbed, killed)
    client.delete()
    server.delete()


def test_kills_in_the_middle_of_the_start(pair):
    """Killed a little later each time, ready or not: what the next agent finds is never half."""
    client, server = pair["n1"].pod("walker"), pair["n3"].pod("end")
    running = streams.begin(client, server, 5003)
    for step in range(12):
        pair["n1"].kill_agent()
        pair["n1"].start_agent(wait=False)
        time.sleep(step * 0.02)
    pair["n1"].wait_ready()
    streams.whole(running.end())
    client.delete()
    server.delete()


def test_datastore_out_of_reach(pair, node):
    """Folders nobody may read: traffic and policy as before, ADD from the reserve; then all is made up for."""
    client, server = node.pod("reader"), node.pod("book")
    server.serve_tcp(8080, "book")
    server.serve_tcp(8081, "shut")
    node.apply(DENY)
    wait_for(lambda: client.tcp(server.address(), 8080) == "book", "8080 is open")
    wait_for(lambda: client.tcp(server.address(), 8081, 1) is None, "8081 is shut")
    os.chmod(pair.store, 0)
    try:
        late = node.pod("late")
        wait_for(lambda: late.ping("10.10.0.254"), "the new pod reaches the world")
        assert client.tcp(server.address(), 8080) == "book"
        assert client.tcp(server.address(), 8081, 1) is None
        assert late.tcp(server.address(), 8080) == "book", "a new pod of the namespace is a peer at once"
        node.pods[-1].delete()
        gone = node.pod("gone")
        gone.delete()
    finally:
        os.chmod(pair.store, 0o700)
    node.ctl("delete", "networkpolicy.networking.k8s.io", "closed", "-n", "default")
    wait_for(lambda: client.tcp(server.address(), 8081, 1) == "shut", "the change arrives", 30)
    far = pair["n3"].pod("far")
    wait_for(lambda: far.ping(server.address()), "other nodes too")
    for pod in (client, server, far):
        pod.delete()
    wait_for(lambda: not json.loads(node.ctl("get", "workloadendpoint", "-A", "-o", "json"))["items"], "objects go", 30)


def packets(node, port):
    return sum(f["packets"] for f in json.loads(node.ctl("flows", "show", "-o", "json")) if f["dport"] == port)


def starts(node):
    return node.tail(100000).count("msg=started")


def test_start_without_a_datastore(pair, node):
    """A restart while the store is away: pods that stand are not cut off."""
    client, server = node.pod("a"), node.pod("b")
    running = streams.begin(client, server, 5004)
    os.chmod(pair.store, 0)
    try:
        node.kill_agent()
        before = starts(node)
        node.start_agent(wait=False)
        wait_for(lambda: node.agent.poll() is not None or starts(node) > before, "it runs, or has given up")
    finally:
        os.chmod(pair.store, 0o700)
    if node.agent.poll() is not None:  # it may end; then systemd starts it again
        node.start_agent(wait=False)
    node.wait_ready(40)
    wait_for(lambda: packets(node, 5004) > 1000, "the stream goes on")
    streams.whole(running.end())
    client.delete()
    server.delete()


@pytest.fixture
def small_disk(node):
    """A full file system in place of one of the agent's folders; room() makes room on it."""
    at = []

    def fill(folder, size="256k"):
        at.append(f"/var/lib/margay/{folder}")
        node.kill_agent()
        node.sh(f"cp -a {at[0]} /run/kept && mount -t tmpfs -o size={size},mode=0700 tmpfs {at[0]} && "
                f"cp -a /run/kept/. {at[0]}/ && rm -r /run/kept")
        node.start_agent()
        node.sh(f"dd if=/dev/zero of={at[0]}/.ballast bs=1k 2>/dev/null || true")
        return lambda: node.run("rm", f"{at[0]}/.ballast")

    held = in_use(node)  # the node's own, of a tunnel
    yield fill
    if not at:
        return
    wait_for(lambda: in_use(node) == held, "all pods' addresses are free")
    node.kill_agent()
    node.sh(f"umount {at[0]} && {{ mountpoint -q {at[0]} || rm -rf {at[0]}; }}")  # the shared store is as it was
    node.start_agent()


def test_no_room_for_records(node, small_disk):
    pod, new = node.pod("before"), Pod(node, "unlucky")
    room = small_disk("cni")
    failed = node.cni("ADD", new, check=False)
    assert failed["code"] == 5 and "No space left" in failed.get("details", ""), failed
    assert new.run("ip", "-o", "link", "show", "type", "veth").strip() == "", "nothing is left in the pod"
    node.cni("DEL", new)
    pod.delete()
    wait_for(lambda: not endpoints(node), "DEL works with a full disk")
    room()
    new.add()
    wait_for(lambda: new.ping("10.10.0.1"), "ADD works again")
    node.cni("DEL", new)
    new.close()


def test_no_room_for_the_journal(node, small_disk):
    pod = node.pod("before")
    room = small_disk("ipam")
    taken = []
    # What was written of the journal's last page may still hold a few.
    while len(taken) < 200:
        answer = call(node, op="allocate", **names(f"fill{len(taken)}"))
        if not answer["ok"]:
            break
        taken.append(f"fill{len(taken)}")
    assert answer["code"] in (11, 100) and "No space left" in answer["msg"], answer
    new = Pod(node, "unlucky")
    failed = node.cni("ADD", new, check=False)
    assert failed["code"] in (11, 100) and "No space left" in failed["msg"] + failed.get("details", ""), failed
    assert new.run("ip", "-o", "link", "show", "type", "veth").strip() == "", "nothing is left in the pod"
    node.cni("DEL", new)
    pod.delete()
    room()
    for name in taken:
        wait_for(lambda n=name: call(node, op="del", **names(n))["ok"], f"del of {name}")
    new.add()
    wait_for(lambda: new.ping("10.10.0.1"), "ADD works again")
    node.cni("DEL", new)
    new.close()


def patient(node):
    """The network with a plugin that waits for a minute: where it is not tested how fast an agent starts or answers."""
    network = copy.deepcopy(node.cluster.network)
    network["plugins"][0]["agent_timeout_ms"] = 60000
    return network


def test_add_waits_for_a_late_agent(node):
    node.kill_agent()
    pod = Pod(node, "patient")
    node.pods.append(pod)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        adding = pool.submit(pod.add, config=patient(node))
        time.sleep(3)  # the fault itself: for so long there is no agent
        assert not adding.done()
        node.start_agent()
        adding.result(30)
    wait_for(lambda: pod.ping("10.10.0.1"), "it works")
    pod.delete()


def test_add_without_an_agent_is_try_again(node):
    node.kill_agent()
    pod = Pod(node, "hopeless")
    began = time.monotonic()
    failed = node.cni("ADD", pod, check=False)
    assert failed["code"] == 11 and 9 < time.monotonic() - began < 40, failed
    node.cni("DEL", pod)
    pod.close()
    node.start_agent()
    assert not endpoints(node)


def traces(node):
    """All that pods leave on a node while they are there."""
    rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_ep"))
    return {"links": sorted(link["ifname"] for link in json.loads(node.run("ip", "-j", "link"))),
            "routes": [r for r in node.run("ip", "route").split("\n") if "cali" in r],
            "neighbours": [n for n in node.run("ip", "neigh").split("\n") if "cali" in n],
            "rows": [r["formatted"]["key"] for r in rows if r["formatted"]["value"]["flags"]],
            "files": node.sh("ls -A /var/lib/margay/cni/attachments /var/lib/margay/cni/released"),
            "endpoints": endpoints(node), "addresses": in_use(node),
            "objects": json.loads(node.ctl("get", "workloadendpoint", "-A", "-o", "json"))["items"]}


def start_and_stop(node, pods):
    with concurrent.futures.ThreadPoolExecutor(len(pods)) as pool:
        list(pool.map(lambda pod: pod.add(config=patient(node)), pods))
    addresses = [pod.address() for pod in pods]
    assert len(set(addresses)) == len(pods)
    steps = range(1, 1 + min(PEERS, len(pods) - 1))
    scripts = ["for a in " + " ".join(addresses[(i + step) % len(pods)] for step in steps) +
               "; do ping -n -c1 -W3 $a >/dev/null || echo $a; done" for i in range(len(pods))]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for pod, lost in zip(pods, pool.map(lambda pod, script: pod.sh(script), pods, scripts)):
            assert not lost, f"{pod.name} does not reach {lost.split()}"
    with concurrent.futures.ThreadPoolExecutor(len(pods)) as pool:
        list(pool.map(Pod.delete, pods))


def test_many_pods_at_once(node):
    before, left = traces(node), PODS
    while left:
        count = min(left, AT_ONCE)
        pods = [Pod(node, f"many{number}") for number in range(count)]
        node.pods += pods
        start_and_stop(node, pods)
        left -= count
    wait_for(lambda: traces(node) == before, lambda: f"{traces(node)}\nand before\n{before}")


def test_rights_and_limits_of_the_process(node):
    pid = node.agent.pid
    with open(f"/proc/{pid}/status") as lines:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["CapEff"], 16) == 1 << 12 | 1 << 38 | 1 << 39, "NET_ADMIN, PERFMON, BPF"
    assert int(status["CapPrm"], 16) & ~(1 << 12 | 1 << 38 | 1 << 39 | 1 << 21) == 0, "SYS_ADMIN on demand alone"
    assert int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    root = f"/proc/{pid}/root"
    for socket in ("cni.sock", "ctl.sock"):
        about = os.stat(f"{root}/run/margay/{socket}")
        assert stat.S_ISSOCK(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o600 and about.st_uid == 0
    assert os.stat(f"{root}/var/lib/margay").st_mode & 0o022 == 0
    for folder in ("/run/margay", "/var/lib/margay/cni", "/var/lib/margay/ipam", "/sys/fs/bpf/margay",
                   "/sys/fs/bpf/margay/maps", "/sys/fs/bpf/margay/progs"):
        assert stat.S_IMODE(os.stat(root + folder).st_mode) == 0o700, folder
    for folder in ("maps", "progs"):
        for entry in os.scandir(f"{root}/sys/fs/bpf/margay/{folder}"):
            assert stat.S_IMODE(entry.stat().st_mode) == 0o600, entry.name


@pytest.mark.parametrize("folder", ["/run/margay", "/var/lib/margay", "/var/lib/margay/store", "/etc/margay/manifests.d"])
@pytest.mark.parametrize("change", ["chmod 0777", "chown 65534"])
def test_folders_of_others_are_refused(pair, node, folder, change):
    node.run("mkdir", "-p", "-m", "0700", folder)
    node.kill_agent()
    node.sh(f"{change} {folder}")
    try:
        node.start_agent(wait=False)
        assert node.agent.wait(60) in (77, 78), node.tail(5)
        assert folder in node.tail(3) and "cannot start" in node.tail(3)
    finally:
        node.sh(f"chown 0 {folder} && chmod 0700 {folder}")
        node.start_agent()
