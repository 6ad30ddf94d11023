# SPDX-License-Identifier: Apache-2.0
"""What runs short or turns away around a running agent: the datastore's folder and its disk, rows of maps, memory, the
clock. Pods that stand keep their traffic and their policy; what cannot be done says so; afterwards all is made up for."""
import datetime
import json
import os
import resource
import signal

import pytest

import cluster as places
import streams
from cluster import wait_for
from test_faults import endpoints, in_use, small_disk  # noqa: F401  (a fixture)

EXAMPLES = os.path.join(places.TOP, "manifests", "examples", "three-nodes")
LIBFAKETIME = "/usr/lib/{}/faketime/libfaketime.so.1"
YEAR = 365 * 86400
OPEN, SHUT, STREAM = 8080, 8081, 5005
DENY = """---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}, {port: 5005}, {port: 5005, protocol: UDP}]}]
"""


FILLER = """---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {{name: fill{number}, namespace: default, annotations: {{filler: "%s"}}}}
spec: {{nets: [192.0.2.0/24]}}
""" % ("x" * 3000)


@pytest.fixture(scope="module")
def pair():
    """Two nodes with one store; n1 is the one that things happen to."""
    with places.Cluster(nodes=("n1", "n2")) as made:
        made.start()
        for name in ("00-pools.yaml", "10-namespaces.yaml"):
            made["n1"].ctl("apply", "-f", os.path.join(EXAMPLES, name))
        # What is in use before a test must not grow by itself.
        wait_for(lambda: made["n1"].ctl("get", "nodes", "-o", "yaml").count("ipv4IPIPTunnelAddr:") == 2, "tunnel addresses", 30)
        yield made


@pytest.fixture(scope="module")
def node(pair):
    return pair["n1"]


@pytest.fixture
def ends(node):
    """A client and a server of which one port is open by policy and one is shut; they are gone afterwards, as all else is."""
    held = in_use(node)  # the node's own, of a tunnel
    client, server = node.pod("client"), node.pod("server")
    server.serve_tcp(OPEN, "open")
    server.serve_tcp(SHUT, "shut")
    node.apply(DENY)
    wait_for(lambda: policy_holds(client, server), "the policy is in force")
    yield client, server
    node.ctl("delete", "networkpolicy.networking.k8s.io", "closed", "-n", "default")
    for pod in list(node.pods):
        pod.delete()
    wait_for(lambda: in_use(node) == held and not endpoints(node), "nothing of it is left", 30)


def policy_holds(client, server):
    return client.tcp(server.address(), OPEN) == "open" and client.tcp(server.address(), SHUT, 1) is None


# --- the datastore's folder -----------------------------------------------------------------------

def test_store_unmounted_and_back(pair, node, ends):
    """An empty folder is in its place, as after umount or a mount that failed: no reason to forget anything."""
    client, server = ends
    node.run("umount", "-l", "/var/lib/margay/store")
    try:
        assert node.sh("ls /var/lib/margay/store").strip() == ""
        late = node.pod("late")
        wait_for(lambda: late.ping("10.10.0.254"), "the new pod reaches the world")
        assert policy_holds(client, server) and policy_holds(late, server)
        pair["n2"].apply(DENY.replace("8080", "8081"))
    finally:
        node.sh(f"mount --bind {pair.store} /var/lib/margay/store")
    wait_for(lambda: client.tcp(server.address(), SHUT, 1) == "shut", "the change made meanwhile arrives", 30)
    assert client.tcp(server.address(), OPEN, 1) is None


def test_agent_restarted_without_the_store(pair, node, ends):
    """The mount is missing at a start: what was in force stays, and no second store begins in the empty folder."""
    client, server = ends
    node.kill_agent()
    node.run("umount", "-l", "/var/lib/margay/store")
    try:
        node.start_agent(wait=False)
        wait_for(lambda: node.agent.poll() is not None or node.ready(), "it ends or is ready")
        assert policy_holds(client, server)
    finally:
        node.kill_agent()
        node.sh(f"mount --bind {pair.store} /var/lib/margay/store")
        node.start_agent()
    assert policy_holds(client, server)


def test_no_room_in_the_store(node, small_disk, ends):  # noqa: F811
    client, server = ends
    room = small_disk("store", "2m")
    unlucky = None
    for number in range(300):  # what the store itself gave up of its log may hold a few
        done = node.try_run(os.path.join(places.BUILD, "margayctl"), "apply", "-f", "-", stdin=FILLER.format(number=number))
        if done.returncode:
            unlucky = f"fill{number}"
            break
    assert unlucky and done.returncode == 1 and "No space left" in done.stderr, done
    assert unlucky not in node.ctl("get", "networksets", "-o", "name"), "nothing is half applied"
    late = node.pod("late")
    wait_for(lambda: late.ping("10.10.0.254"), "a new pod works")
    assert policy_holds(client, server) and policy_holds(late, server)
    gone = node.pod("gone")
    gone.delete()
    room()
    wait_for(lambda: len(json.loads(node.ctl("get", "workloadendpoints", "-A", "-o", "json"))["items"]) == 3,
             "the store has been told", 60)
    node.apply(DENY.replace("8080", "8081"))
    wait_for(lambda: client.tcp(server.address(), SHUT, 1) == "shut", "changes arrive again")


# --- rows of maps ---------------------------------------------------------------------------------

def felix(node, **values):
    node.apply("---\napiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\nspec: "
               + json.dumps(values))


@pytest.fixture
def small_map(node):
    """A map with few rows. A start makes it; maps shrink at a start too."""
    def shrink(**values):
        felix(node, **values)
        node.kill_agent()
        node.start_agent()

    yield shrink
    node.ctl("delete", "felixconfiguration", "default")
    node.kill_agent()
    node.start_agent()


ECHO = """import selectors, socket
poll, listener = selectors.DefaultSelector(), socket.create_server(("", {port}), backlog=1024)
poll.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in poll.select():
        if key.fileobj is listener:
            poll.register(listener.accept()[0], selectors.EVENT_READ)
        elif data := key.fileobj.recv(4096):
            key.fileobj.sendall(data)
        else:
            poll.unregister(key.fileobj)
            key.fileobj.close()
"""
MANY = """import socket
held = [socket.create_connection(("{address}", {port}), timeout=5) for _ in range({count})]
for turn in range(3):
    for number, one in enumerate(held):
        one.sendall(b"%d " % number)
        assert one.recv(64) == b"%d " % number
print("whole", len(held))
"""


def rows(node, name):
    shown = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", f"/sys/fs/bpf/margay/maps/{name}"))
    return len(shown)


def test_flow_table_is_full(node, ends, small_map):
    """More connections than rows for established ones: new ones work, and those that stand do."""
    small_map(bpfMapSizeConntrack=1000)
    client, server = ends
    server.start("python3", "-c", ECHO.format(port=STREAM))
    wait_for(lambda: f":{STREAM} " in server.run("ss", "-Hltn"), "the echo listens")
    out = client.run("python3", "-c", MANY.format(address=server.address(), port=STREAM, count=700), timeout=100)
    assert out.strip() == "whole 700"
    assert policy_holds(client, server)
    assert client.run("python3", "-c", MANY.format(address=server.address(), port=STREAM, count=5)).strip() == "whole 5"


def endpoint_object(number):
    name = f"n9-k8s-much{number}-eth0"
    return f"""---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {name}, namespace: default, labels: {{number: "n{number}", text: {'x' * 60}}}}}
spec:
  {{orchestrator: k8s, node: n9, pod: much{number}, endpoint: eth0, interfaceName: cali{number}, profiles: [kns.default],
    ipNetworks: [10.244.{128 + number // 250}.{number % 250}/32]}}
"""


@pytest.fixture
def manifest(node):
    """Writes a file of manifests.d; it is gone afterwards."""
    def write(name, text):
        node.sh("mkdir -p -m 0700 /etc/margay/manifests.d")
        node.run("tee", "/run/manifest", stdin=text)
        node.run("mv", "/run/manifest", f"/etc/margay/manifests.d/{name}")
        return lambda: node.run("rm", f"/etc/margay/manifests.d/{name}")

    yield write
    node.sh("rm -f /etc/margay/manifests.d/*")


def test_address_map_is_full(node, ends, small_map, manifest):
    """Pods that do not fit are strangers; what status and readiness say names the map; then all fits again."""
    client, server = ends
    small_map(bpfMapSizeRoute=1000)
    less = manifest("much.yaml", "".join(map(endpoint_object, range(1200))))
    wait_for(lambda: "mg_addrs" in node.ctl("status"), lambda: node.ctl("status"))
    assert policy_holds(client, server)
    less()
    wait_for(lambda: "mg_addrs" not in node.ctl("status"), lambda: node.ctl("status"))
    late = node.pod("late")
    wait_for(lambda: policy_holds(late, server), "a new pod is as any other")


def test_nets_do_not_fit(node, ends, small_map, manifest):
    """A policy with more nets than there is room for is not half in force: the former one stays, and status says why."""
    client, server = ends
    small_map(bpfMapSizeIPSets=1000)
    nets = ", ".join(f"{{ipBlock: {{cidr: 172.{16 + number // 256}.{number % 256}.0/24}}}}" for number in range(1200))
    less = manifest("much.yaml", f"""---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: much, namespace: default}}
spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: [{nets}], ports: [{{port: {SHUT}}}]}}, {{ports: [{{port: {SHUT}}}]}}]}}
""")
    wait_for(lambda: "mg_nets" in node.ctl("status"), lambda: node.ctl("status"))
    assert policy_holds(client, server), "the former policy is in force, whole"
    less()
    wait_for(lambda: "mg_nets" not in node.ctl("status"), lambda: node.ctl("status"))
    node.apply(DENY.replace("8080", "8081"))
    wait_for(lambda: client.tcp(server.address(), SHUT, 1) == "shut", "changes come into force again")


# --- memory ---------------------------------------------------------------------------------------

def test_memory_is_short(node, ends, manifest):
    """No more memory for the agent: it says so or ends, nothing passes or stops by that, and the next one has it all."""
    client, server = ends
    running = streams.begin(client, server, STREAM, reach=lambda: policy_holds(client, server))
    pid = node.agent.pid
    with open(f"/proc/{pid}/statm") as sizes:
        size = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size + (2 << 20), size + (2 << 20)))
    manifest("much.yaml", "".join(map(endpoint_object, range(4000))))
    wait_for(lambda: node.agent.poll() is not None or "memory" in node.tail(5), "it ends or says so", 30)
    assert policy_holds(client, server)
    if node.agent.poll() is None:
        node.kill_agent()
    node.start_agent()
    wait_for(lambda: rows(node, "mg_addrs") > 4000, "all of them are known", 30)
    assert policy_holds(client, server)
    streams.whole(running.end())


# --- the clock ------------------------------------------------------------------------------------

@pytest.fixture
def clock(node):
    """The wall clock of n1's agent, and a way to step it; the monotonic clocks go on."""
    library = LIBFAKETIME.format(os.uname().machine + "-linux-gnu")
    path = os.path.join(node.folder, "clock")

    def step(seconds):
        with open(path + ".new", "w") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(path + ".new", path)

    step(0)
    node.kill_agent(signal.SIGTERM)
    node.start_agent(env={"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
                          "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKE_UTIME": "0"})
    yield step
    node.kill_agent(signal.SIGTERM)
    node.start_agent()


def written(node, pod):
    """When the agent says that it wrote the pod's endpoint, in seconds from now."""
    item = json.loads(node.ctl("get", "workloadendpoint", f"n1-k8s-{pod}-eth0", "-o", "json"))
    when = datetime.datetime.fromisoformat(item["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
    return (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


@pytest.mark.parametrize("seconds", [YEAR, -YEAR])
def test_clock_steps(pair, node, ends, clock, seconds):
    client, server = ends
    running = streams.begin(client, server, STREAM, reach=lambda: policy_holds(client, server))
    clock(seconds)
    late = node.pod("late")
    wait_for(lambda: late.ping("10.10.0.254"), "a new pod works")
    assert policy_holds(client, server) and policy_holds(late, server)
    wait_for(lambda: "late" in node.ctl("get", "workloadendpoints", "-o", "name"), "its endpoint is written")
    assert abs(written(node, "late") - seconds) < 60, "the agent's clock is the faked one"
    # The watch goes on, both for what this node writes and for what others do.
    for who, port in ((node, SHUT), (pair["n2"], OPEN)):
        who.apply(DENY.replace("8080", str(port)))
        wait_for(lambda: late.tcp(server.address(), port, 1), f"{port} opens by {who.name}'s change")
    far = pair["n2"].pod("far")
    wait_for(lambda: far.tcp(server.address(), OPEN) == "open", "a pod of the other node is known")
    far.delete()
    # An address that was released rests, whatever the clock says.
    address = late.address()
    late.delete()
    assert node.pod("next").address() != address
    # Back again: a step in the other direction.
    clock(0)
    again = node.pod("again")
    wait_for(lambda: policy_holds(again, server), "and a new pod after the step back")
    streams.whole(running.end())
