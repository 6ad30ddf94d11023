# SPDX-License-Identifier: Apache-2.0
"""Control plane: CNI calls, a policy change until its verdict, the agent's memory and its maps'."""
import json
import os
import subprocess
import time

import cluster as places

AT_ONCE, MANY = 20, 100
PAUSE_SECONDS = 1
MANIFESTS = "/etc/margay/manifests.d"
RULES_A_POLICY = 100
DOCUMENTS_A_FILE = 5000


def milliseconds(call):
    begin = time.monotonic()
    call()
    return (time.monotonic() - begin) * 1e3


def cpu(process):
    """Milliseconds that all threads of a process have run."""
    total = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e6


def call(node, command, pods, at_once):
    """Calls the plugin as a runtime does: for each pod the time from start to end and its CPU time, ms; and the
    agent's CPU time for each. Threads that end meanwhile are not in the latter."""
    network = node.cluster.network
    plugin = dict(network["plugins"][0], cniVersion=network["cniVersion"], name=network["name"])
    lines = [json.dumps(plugin)] + [f"{p.pid} {p.container} {p.namespace} {p.pod}" for p in pods]
    before = cpu(node.agent.pid)
    done = subprocess.run([f"{places.BUILD}/selftests/bench/runtime", str(node.pid), f"{places.BUILD}/margay", command,
                           str(at_once)], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr + node.tail())
    rows = [line.split() for line in done.stdout.split("\n") if line and not line.startswith("all")]
    agent = (cpu(node.agent.pid) - before) / len(pods)
    return [int(row[0]) / 1e6 for row in rows], [int(row[1]) / 1e3 for row in rows], agent


def cni(cluster, table, rounds):
    """One after the other, AT_ONCE and MANY at once; between bursts the agent has time to tidy up."""
    node = cluster["n1"]
    pods = [places.Pod(node, f"bench-{i}") for i in range(MANY)]
    node.pods.extend(pods)
    times, plugin, agent = {}, {"ADD": [], "DEL": []}, {"ADD": [], "DEL": []}
    for _ in range(rounds):
        for count, at_once in ((AT_ONCE, 1), (AT_ONCE, AT_ONCE), (MANY, MANY)):
            for command in ("ADD", "DEL"):
                took, used, beside = call(node, command, pods[:count], at_once)
                name = command if at_once == 1 else f"{command}, {at_once} at once"
                times.setdefault(name, []).extend(took)
                plugin[command] += used
                agent[command].append(beside)
                time.sleep(PAUSE_SECONDS)
    for what, values in times.items():
        table.add("CNI", what, "ms", values)
    for command in ("ADD", "DEL"):
        table.add("CNI", f"{command}, CPU of the plugin", "ms", plugin[command])
        table.add("CNI", f"{command}, CPU of the agent", "ms", agent[command])


POD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}
spec: {{containers: [{{name: it}}]}}
"""
TOGGLE = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: toggle, namespace: default}}
spec:
  podSelector: {{matchLabels: {{app: server}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: {peer}}}}}}}]}}]
"""


def rules(count):
    """Policies for all pods of the namespace with so many ingress rules, each for other peers and another port."""
    documents = []
    for first in range(0, count, RULES_A_POLICY):
        last = min(first + RULES_A_POLICY, count)
        documents.append({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": f"rules-{first}", "namespace": "default"},
            "spec": {"podSelector": {}, "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": f"peer-{i % 500}"}}}],
                 "ports": [{"protocol": "TCP", "port": 1000 + i}]} for i in range(first, last)]}})
    return "".join("---\n" + json.dumps(d) + "\n" for d in documents)


def policy(cluster, table, rounds, sizes, pods):
    """A client and a server among so many pods of the node, all of which have the rules."""
    node = cluster["n1"]
    node.apply(POD.format(name="client") + POD.format(name="server"))
    client, server = node.pod("client"), node.pod("server")
    others = [places.Pod(node, f"other-{i}") for i in range(pods - 2)]
    node.pods.extend(others)
    call(node, "ADD", others, AT_ONCE)
    for name, peer in (("deny", "nobody"), ("allow", "client")):
        node.run("tee", f"/etc/margay/{name}.yaml", stdin=TOGGLE.format(peer=peer))
    for size in sizes:
        took = milliseconds(lambda n=size: node.apply(rules(n)))
        table.add("policy", f"margayctl apply of {size} rules, {pods} pods", "ms", [took])
        node.sh(f"cp /etc/margay/deny.yaml {MANIFESTS}/toggle.yaml")
        out = subprocess.run(
            [f"{places.BUILD}/selftests/bench/verdict", str(node.pid), str(client.pid), str(server.pid),
             server.address(), "7777", f"{MANIFESTS}/toggle.yaml", "/etc/margay/deny.yaml", "/etc/margay/allow.yaml",
             str(rounds)], capture_output=True, text=True)
        if out.returncode:
            raise AssertionError(f"{size} rules: {out.stderr}{node.tail()}")
        for verdict in ("allow", "deny"):
            values = [int(line.split()[1]) / 1e6 for line in out.stdout.split("\n") if line.startswith(verdict)]
            table.add("policy", f"file to first packet, {verdict}, {size} rules, {pods} pods", "ms", values)


def endpoints(first, last):
    """Workload endpoints of another node, with the labels of a hundred applications."""
    for i in range(first, last):
        address = f"10.{100 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}"
        yield json.dumps({
            "apiVersion": "projectcalico.org/v3", "kind": "WorkloadEndpoint",
            "metadata": {"name": f"n2-k8s-pod--{i}-eth0", "namespace": "default",
                         "labels": {"app": f"app-{i % 100}", "projectcalico.org/namespace": "default"}},
            "spec": {"orchestrator": "k8s", "node": "n2", "pod": f"pod-{i}", "endpoint": "eth0",
                     "interfaceName": f"cali{i:011x}", "ipNetworks": [f"{address}/32"]}})


def resident(pid, key="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key + ":"))


def cpu_seconds(pid):
    """User and system time so far: on a loaded machine it says more than the wall clock."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def map_memory(node):
    """Bytes by map, as the kernel accounts them, of what the agent has pinned."""
    sizes = {}
    for path in node.sh("find /sys/fs/bpf -type f").split():
        done = node.try_run("bpftool", "-j", "map", "show", "pinned", path)
        if done.returncode == 0:
            row = json.loads(done.stdout)
            sizes[row["id"]] = (row.get("name", ""), int(row.get("bytes_memlock", 0)))
    return sizes.values()


def known(node):
    done = node.try_run("bpftool", "-j", "map", "dump", "pinned",
                        node.sh("find /sys/fs/bpf -name mg_addrs").split()[0])
    return len(json.loads(done.stdout))


def write_manifests(node, name, documents):
    """So many documents a file, each file renamed into place."""
    documents = list(documents)
    for first in range(0, len(documents), DOCUMENTS_A_FILE):
        text = "---\n" + "\n---\n".join(documents[first:first + DOCUMENTS_A_FILE])
        node.run("tee", f"{MANIFESTS}/.next", stdin=text)
        node.sh(f"mv {MANIFESTS}/.next {MANIFESTS}/{name}-{first:06}.yaml")


def apply_objects(node, documents):
    documents = list(documents)
    for first in range(0, len(documents), DOCUMENTS_A_FILE):
        node.run(f"{places.BUILD}/margayctl", "apply", "-f", "-", timeout=120,
                 stdin="---\n" + "\n---\n".join(documents[first:first + DOCUMENTS_A_FILE]))


def services(count):
    """A service with one EndpointSlice of ten endpoints, all of them pods of endpoints()."""
    for i in range(count):
        pods = [f"10.{100 + k // 62500}.{k // 250 % 250}.{k % 250 + 1}" for k in range(i * 10, i * 10 + 10)]
        yield json.dumps({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"service-{i}", "namespace": "default"},
            "spec": {"clusterIP": f"10.96.{i // 250}.{i % 250 + 1}", "selector": {"app": f"app-{i % 100}"},
                     "ports": [{"port": 80, "targetPort": 8080}]}})
        yield json.dumps({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"service-{i}-x", "namespace": "default",
                         "labels": {"kubernetes.io/service-name": f"service-{i}"}},
            "ports": [{"port": 8080, "protocol": "TCP"}], "endpoints": [{"addresses": [a]} for a in pods]})


def policies(count):
    """Policies of two rules for as many applications, of which a hundred have pods."""
    for i in range(count):
        yield json.dumps({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{i}", "namespace": "default"},
            "spec": {"podSelector": {"matchLabels": {"app": f"app-{i}"}}, "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": f"app-{(i + 1) % 100}"}}}],
                 "ports": [{"protocol": "TCP", "port": 8080}]},
                {"from": [{"ipBlock": {"cidr": f"172.16.{i % 250}.0/24"}}]}]}})


def settled(node):
    """Waits until the agent's resident memory stands still for 15 s: it gives back up to 10 s after the work."""
    seen = []

    def still():
        seen.append(resident(node.agent.pid))
        return len(seen) > 30 and max(seen[-30:]) - min(seen[-30:]) < 0.05

    places.wait_for(still, lambda: f"the agent's memory stands still {seen[-30:]}", 180, 0.5)


def put_resident(table, node, what):
    settled(node)
    with open(f"/proc/{node.agent.pid}/smaps_rollup") as rollup:
        pss = next(int(line.split()[1]) / 1024 for line in rollup if line.startswith("Pss:"))
    table.add("memory", f"agent, RSS, {what}", "MiB", [resident(node.agent.pid)])
    table.add("memory", f"agent, PSS, {what}", "MiB", [pss])
    table.add("memory", f"agent, peak RSS, {what}", "MiB", [resident(node.agent.pid, "VmHWM")])


def wait_known(node, count):
    places.wait_for(lambda: known(node) >= count, lambda: f"{count} pods known ({known(node)})\n" + node.tail(), 180, 0.5)


def idle_memory(cluster, table):
    node = cluster["n1"]
    put_resident(table, node, "0 pods")
    maps = list(map_memory(node))
    table.add("memory", "maps, 0 pods", "MiB", [sum(size for _, size in maps) / 2**20])
    for name, size in sorted(maps, key=lambda m: -m[1])[:6]:
        table.add("memory", f"map {name}", "MiB", [size / 2**20])


def manifest_memory(cluster, table, count, more):
    """more: services and policies on top."""
    node = cluster["n1"]
    before, begin, cpu = known(node), time.monotonic(), cpu_seconds(node.agent.pid)
    write_manifests(node, "pods", endpoints(0, count))
    wait_known(node, before + count)
    table.add("memory", f"{count} pods known, from manifests", "s", [time.monotonic() - begin])
    table.add("memory", f"{count} pods known, CPU time", "s", [cpu_seconds(node.agent.pid) - cpu])
    put_resident(table, node, f"{count} pods from manifests")
    table.add("memory", f"maps, {count} pods", "MiB", [sum(size for _, size in map_memory(node)) / 2**20])
    if more:
        write_manifests(node, "services", services(5000))
        put_resident(table, node, f"{count} pods, 5000 services with 50000 endpoints")
        write_manifests(node, "policies", policies(1000))
        put_resident(table, node, f"{count} pods, 5000 services, 1000 policies")


def store_memory(cluster, table, count):
    """Objects of the store: told one after the other, then read by an agent that starts."""
    node = cluster["n1"]
    before = known(node)
    apply_objects(node, endpoints(0, count))
    wait_known(node, before + count)
    put_resident(table, node, f"{count} pods from the store")
    node.kill_agent()
    begin = time.monotonic()
    node.start_agent(wait=False)
    node.wait_ready(120)
    table.add("memory", f"start with {count} pods in the store", "s", [time.monotonic() - begin])
    table.add("memory", f"start with {count} pods in the store, CPU time", "s", [cpu_seconds(node.agent.pid)])
    put_resident(table, node, f"{count} pods, after a start")
