# SPDX-License-Identifier: Apache-2.0
"""Between pods: CPU time an exchange, Margay's paths beside a bare veth pair, a bridge, the kernel's own ways, and
programs that do nothing but hand over (peer.bpf.c). Two nodes are always joined by one veth pair: what lies between
them is the same for all."""
import os
import subprocess

import cluster as places

MODES = ("tcp_rr", "udp_rr", "crr", "stream")
PORT = 7000
POOLS = {"native": "ipipMode: Never", "IPIP": "ipipMode: Always", "VXLAN": "vxlanMode: Always"}
POOL = """---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: bench-{low}}}
spec: {{cidr: 10.24{n}.0.0/16, {mode}, natOutgoing: true}}
"""


def join(a, name_a, b, name_b, index=None, far_index=None):
    """A veth pair between two places; both ends are up."""
    own, far = (["index", i] if i else [] for i in (index, far_index))
    a.run("ip", "link", "add", name_a, *own, "type", "veth", "peer", "name", name_b, *far, "netns", b.pid)
    a.run("ip", "link", "set", name_a, "up")
    b.run("ip", "link", "set", name_b, "up")


class Pair(places.Cluster):
    """Nodes n1 and n2 on one veth pair, nothing between them."""

    def __init__(self, nodes=("n1", "n2"), folder=None):
        super().__init__((), folder)
        for name in nodes:
            self.nodes[name] = self._place(places.Node(name, self))
        join(self["n1"], "eth0", self["n2"], "eth0")
        for number, node in enumerate(self.nodes.values(), 1):
            node.run("ip", "addr", "add", f"10.10.0.{number}/24", "dev", "eth0")


class Reference:
    """Pairs of bare namespaces, each joined in another way; nothing of Margay in them."""

    def __init__(self, cluster, build):
        self.cluster, self.build = cluster, build
        self.paths = {}  # name: (client, server, client's address, server's address)
        self._veth()
        self._bridge()
        self._routed()
        self._peer()
        self._floor()
        self._nodes()

    def place(self, name):
        return self.cluster._place(places.Place(name, self.cluster, mounts=False))

    def _veth(self):
        a, b = self.place("veth-a"), self.place("veth-b")
        join(a, "eth0", b, "eth0")
        a.run("ip", "addr", "add", "10.90.0.1/24", "dev", "eth0")
        b.run("ip", "addr", "add", "10.90.0.2/24", "dev", "eth0")
        self.paths["bare veth pair"] = (a, b, "10.90.0.1", "10.90.0.2")

    def _two_behind(self, middle, first=None):
        pair = []
        for number in (1, 2):
            pod = self.place(f"{middle.name}-{number}")
            join(middle, f"pod{number}", pod, "eth0", index=first and first + number - 1)
            pair.append(pod)
        return pair

    def _bridge(self):
        middle = self.place("bridge")
        a, b = self._two_behind(middle)
        middle.sh("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up && "
                  "ip link set pod1 master br0 && ip link set pod2 master br0")
        a.run("ip", "addr", "add", "10.91.0.1/24", "dev", "eth0")
        b.run("ip", "addr", "add", "10.91.0.2/24", "dev", "eth0")
        self.paths["Linux bridge"] = (a, b, "10.91.0.1", "10.91.0.2")

    def _routed(self):
        middle = self.place("routed")
        middle.sysctl(net__ipv4__ip_forward=1)
        for number, pod in enumerate(self._two_behind(middle), 1):
            middle.run("ip", "addr", "add", f"10.92.{number}.254/24", "dev", f"pod{number}")
            pod.sh(f"ip addr add 10.92.{number}.1/24 dev eth0 && ip route add default via 10.92.{number}.254")
        self.paths["routed by the kernel"] = (*self._pods("routed"), "10.92.1.1", "10.92.2.1")

    def _pods(self, name):
        return tuple(p for p in self.cluster.places if p.name in (f"{name}-1", f"{name}-2"))

    def _peer(self):
        middle = self.place("peer")
        a, b = self._two_behind(middle, first=101)
        for number in (1, 2):
            self._attach(middle, f"pod{number}", "tc")
        a.run("ip", "addr", "add", "10.93.0.1/24", "dev", "eth0")
        b.run("ip", "addr", "add", "10.93.0.2/24", "dev", "eth0")
        self.paths["minimal redirect_peer"] = (a, b, "10.93.0.1", "10.93.0.2")

    def _attach(self, node, device, section):
        node.sh(f"tc qdisc add dev {device} clsact && tc filter add dev {device} ingress "
                f"bpf direct-action object-file {self.build}/selftests/bench/peer.o section {section}")

    def _floor(self):
        """Two nodes, IP-in-IP by the smallest programs; device indexes as peer.bpf.c has them."""
        nodes = [self.place(f"floor{number}") for number in (1, 2)]
        join(nodes[0], "uplink", nodes[1], "uplink", index=201, far_index=202)
        pods = []
        for number, node in enumerate(nodes, 1):
            pod = self.place(f"floor-{number}")
            join(node, "pod", pod, "eth0", index=100 + number)
            node.run("ip", "addr", "add", f"10.96.0.{number}/24", "dev", "uplink")
            for place, device in ((node, "pod"), (pod, "eth0")):  # room for the outer header, as for Margay's pods
                place.run("ip", "link", "set", device, "mtu", "1480")
            mac = node.run("ip", "-o", "link", "show", "pod").split("link/ether ")[1].split()[0]
            pod.sh(f"ip addr add 10.97.{number}.1/32 dev eth0 && ip route add 169.254.1.1 dev eth0 && "
                   "ip route add default via 169.254.1.1 && "
                   f"ip neigh replace 169.254.1.1 lladdr {mac} dev eth0 nud permanent")
            self._attach(node, "pod", "tc/out")
            self._attach(node, "uplink", "tc/in")
            pods.append(pod)
        self.paths["nodes, minimal IPIP"] = (*pods, "10.97.1.1", "10.97.2.1")

    def _nodes(self):
        """Two nodes, a pod each with an address for each kind of way."""
        nodes = [(self.place(f"kernel{number}"), self.place(f"kernel-{number}")) for number in (1, 2)]
        join(nodes[0][0], "eth0", nodes[1][0], "eth0")
        for number, (node, pod) in enumerate(nodes, 1):
            join(node, "pod", pod, "eth0")
            node.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0)
            node.sh(f"ip addr add 10.10.0.10{number}/24 dev eth0 && "
                    "ip addr add 10.94.255.254/32 dev pod && "
                    f"ip route add 10.94.{number}.0/24 dev pod")
            pod.sh("ip route add 10.94.255.254 dev eth0 && ip route add default via 10.94.255.254 && "
                   + " && ".join(f"ip addr add 10.94.{number}.{kind}/32 dev eth0" for kind in (1, 2, 3)))
        for number, (node, _) in enumerate(nodes, 1):
            own, far, other = f"10.10.0.10{number}", f"10.10.0.10{3 - number}", 3 - number
            node.sh(f"""set -e
                ip route add 10.94.{other}.1/32 via {far}
                if ip link add tun type ipip local {own} remote {far} 2>/dev/null; then
                    ip link set tun up mtu 1480; ip route add 10.94.{other}.2/32 dev tun; fi
                ip link add vx type vxlan id 42 local {own} remote {far} dstport 4789 dev eth0
                ip addr add 10.95.0.{number}/24 dev vx; ip link set vx up mtu 1450
                ip route add 10.94.{other}.3/32 via 10.95.0.{other} dev vx""")
        for kind, name in ((1, "native"), (2, "IPIP device"), (3, "VXLAN device")):
            if kind == 2 and "tun" not in nodes[0][0].run("ip", "-o", "link"):
                continue  # not every kernel is built with ipip
            self.paths[f"nodes, kernel, {name}"] = (nodes[0][1], nodes[1][1], f"10.94.1.{kind}", f"10.94.2.{kind}")


def margay_paths(cluster):
    """Pods of a running cluster: two on n1, one on n2, a pair for each kind of pool."""
    cluster["n1"].apply("".join(POOL.format(low=name.lower(), n=n, mode=mode)
                                for n, (name, mode) in enumerate(POOLS.items(), 5)))
    paths = {}
    for name in POOLS:
        network = dict(cluster.network, plugins=[{"type": "margay", "ipam": {
            "type": "margay-ipam", "ipv4_pools": [f"bench-{name.lower()}"], "assign_ipv6": "false"}}])
        low = name.lower()
        near, far = (make(cluster[node], f"{low}-{node}", network) for node in ("n1", "n2"))
        if name == "native":
            same = make(cluster["n1"], f"{low}-same", network)
            paths["Margay, same node"] = (near, same, near.address(), same.address())
        paths[f"nodes, Margay, {name}"] = (near, far, near.address(), far.address())
    for name, (client, _, _, address) in paths.items():
        places.wait_for(lambda c=client, a=address: c.ping(a), name)
    return paths


def make(node, name, network):
    pod = places.Pod(node, name)
    node.pods.append(pod)
    return pod.add(config=network)


def exchange(build, mode, path, port, milliseconds):
    """Nanoseconds of CPU time an operation."""
    client, server, own, address = path
    done = subprocess.run([f"{build}/selftests/bench/rr", mode, str(client.pid), str(server.pid), own, address,
                           str(port), str(milliseconds)], capture_output=True, text=True, timeout=60 * places.PATIENCE)
    if done.returncode:
        raise AssertionError(f"{mode} {client.name} to {server.name}: {done.stderr}")
    operations, cpu = done.stdout.split()
    return float(cpu) / float(operations)


# What Margay's paths are compared with: the smallest program that does the job, and the kernel's own way.
REFERENCE = {"Margay, same node": ("minimal redirect_peer",), "nodes, Margay, native": ("nodes, kernel, native",),
             "nodes, Margay, IPIP": ("nodes, minimal IPIP", "nodes, kernel, IPIP device"),
             "nodes, Margay, VXLAN": ("nodes, kernel, VXLAN device",)}


def all_paths(cluster, build):
    paths = dict(Reference(cluster, build).paths, **margay_paths(cluster))
    for client, server, _, address in paths.values():  # neighbours are known before the first round
        client.try_run("ping", "-n", "-c1", "-W1", address)
    return paths


def tell(table, mode, unit, times):
    for name, values in times.items():
        table.add(f"pods, {mode}, to bare veth", name, unit, values, times["bare veth pair"])
    for name, others in REFERENCE.items():
        for other in others:
            if name in times and other in times:  # not every kernel is built with ipip
                table.add(f"pods, {mode}, to references", f"{name} / {other}", unit, times[name], times[other])


def measure(cluster, table, build, rounds, milliseconds):
    paths = all_paths(cluster, build)
    port = PORT
    for mode in MODES:
        times = {name: [] for name in paths}
        for _ in range(rounds):
            port += 1  # another server each round: a fresh flow
            for name, path in paths.items():
                times[name].append(exchange(build, mode, path, port, milliseconds))
        tell(table, mode, "ns CPU", times)
