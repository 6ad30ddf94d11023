# SPDX-License-Identifier: Apache-2.0
"""Pods, labels, policies, namespaces and pools come and go on two nodes; what the agents hold stays where it was.

CHURN_SECONDS (20; make check-long: two hours) is how long. After each round everything of it is gone, and a sample is
taken: the agent's memory and files, rows of maps, objects and files of the store. Flat means: from the first to the last
quarter of the samples nothing grew by more than LIMITS allow, whatever the number of rounds between. Rows of flows are
not judged, they end by lifetimes and by a sweep; a table of fixed size holds them.
"""
import concurrent.futures
import json
import os
import random
import re
import statistics
import time

import pytest

import cluster as places
from cluster import Pod, wait_for

SECONDS = float(os.environ.get("CHURN_SECONDS", "20"))
SEED = int(os.environ.get("CHURN_SEED", "0")) or random.randrange(1, 1 << 31)
WARM = 4  # rounds before the first sample: what is made once has been made
POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
PINS = "/sys/fs/bpf/margay"
# Growth from the mean of the first quarter to that of the last: KiB, descriptors, rows, files.
LIMITS = {"anonymous memory": 384, "descriptors": 2, "pages": 0}
ROWS_LIMIT = 4
FLOWS = ("mg_flow_t", "mg_flow_e", "mg_frags")
HASHES = ("mg_addrs", "mg_nets", "mg_source", "mg_ep_if")


def apply(node, objects):
    node.ctl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def delete(node, objects):
    node.ctl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def an_object(kind, name, namespace=None, labels=None, spec=None, group="v1"):
    meta = {"name": name, "labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": group, "kind": kind, "metadata": meta} | ({"spec": spec} if spec is not None else {})


def a_policy(dice, name, namespace, mark):
    ports = [{"protocol": dice.choice(("TCP", "UDP")), "port": dice.randrange(1, 60000)} for _ in range(dice.randrange(1, 6))]
    peers = [{"podSelector": {"matchLabels": {"mark": mark}}}, {"namespaceSelector": {"matchLabels": {"mark": mark}}},
             {"ipBlock": {"cidr": f"10.{dice.randrange(256)}.0.0/16", "except": [f"10.{dice.randrange(256)}.7.0/24"]}}]
    peers = [peer for peer in peers if peer.get("ipBlock", {}).get("cidr", "").split(".")[1:2] ==
             peer.get("ipBlock", {}).get("except", [""])[0].split(".")[1:2]]
    return an_object("NetworkPolicy", name, namespace, group="networking.k8s.io/v1", spec={
        "podSelector": {"matchLabels": {"tier": dice.choice("ab")}}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers, "ports": ports}], "egress": [{"to": peers[:1]}]})


class Churn:
    def __init__(self, pair):
        self.nodes, self.dice, self.round = [pair["n1"], pair["n2"]], random.Random(SEED), 0
        self.samples = {node.name: [] for node in self.nodes}

    def one(self):
        """Everything of one round: it comes, changes, and goes. No label of it was there before."""
        self.round += 1
        first, dice, mark = self.nodes[0], self.dice, f"m{self.round}"
        namespace = f"churn{self.round % 3}"
        pods = [Pod(self.nodes[number % 2], f"p{number}", namespace) for number in range(dice.randrange(4, 7))]
        space = [an_object("Namespace", namespace, labels={"mark": mark})]
        objects = [an_object("Pod", pod.pod, namespace, {"mark": mark, "tier": dice.choice("ab")},
                             {"nodeName": pod.node.name, "containers": [{"name": "c", "image": "none"}]}) for pod in pods]
        policies = [a_policy(dice, f"policy{number}", namespace, mark) for number in range(dice.randrange(1, 5))]
        pool = [an_object("IPPool", "extra", spec={"cidr": f"10.246.{self.round % 200}.0/24", "nodeSelector": "all()"},
                          group="projectcalico.org/v3")] if self.round % 4 == 0 else []
        apply(first, space + objects[:2])
        self.all(Pod.add, pods)
        apply(first, pool + objects[2:] + policies)
        first.ctl("label", "pods", pods[0].pod, "-n", namespace, f"more={mark}", "tier=c", "--overwrite")
        self.all(lambda pod: pod.ping(pods[0].address()), pods[1:])
        apply(first, [a_policy(dice, policies[0]["metadata"]["name"], namespace, "other" + mark)])
        delete(first, policies[1:] + pool)
        dice.shuffle(pods)
        self.all(lambda pod: pod.node.cni("DEL", pod), pods)
        delete(first, objects + policies[:1] + space)
        for pod in pods:
            pod.close()

    @staticmethod
    def all(what, pods):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            return list(pool.map(what, pods))

    def sample(self):
        for node in self.nodes:
            wait_for(lambda n=node: json.loads(n.ctl("endpoints", "show", "-o", "json")) == [], "endpoints are gone")
        wait_for(lambda: not json.loads(self.nodes[0].ctl("get", "workloadendpoints", "-A", "-o", "json"))["items"], "objects go", 30)
        for node in self.nodes:
            self.samples[node.name].append(held_by(node))


def rows_of(node, name):
    return len(json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/maps/{name}")))


def held_by(node):
    with open(f"/proc/{node.agent.pid}/status") as status:
        held = {"anonymous memory": int(re.search(r"^RssAnon:\s+(\d+) kB", status.read(), re.M)[1])}
    held["descriptors"] = len(os.listdir(f"/proc/{node.agent.pid}/fd"))
    held["pages"] = len(node.sh(f"ls {PINS}/pages").split())
    metrics = node.run("curl", "-sS", "http://127.0.0.1:9091/metrics")
    for name, rows in re.findall(r'^margay_map_rows\{map="(\w+)"\} (\d+)$', metrics, re.M):
        held[f"rows of {name}"] = int(rows)
    for name in HASHES:
        held[f"rows of {name}"] = rows_of(node, name)
    held["identities"] = int(re.search(r"^margay_identities (\d+)$", metrics, re.M)[1])
    held["addresses known"] = int(re.search(r"^margay_addresses (\d+)$", metrics, re.M)[1])
    held["files of the agent"] = len(node.sh("find /var/lib/margay /run/margay -type f -not -path '*/store/*'").split())
    files = node.sh("find /var/lib/margay/store -type f -not -path '*/log/*' -not -path '*/tmp/*'").split()
    # A burst takes one block more for each node and family, and calm gives it back: that many and no more.
    held["blocks"] = sum("/objects/" in file and "/IPAMBlock/" in file for file in files)
    held["files of the store"] = sum("/IPAMBlock/" not in file and "/BlockAffinity/" not in file for file in files)
    return held


def generation(node):
    return int(re.search(r"^margay_policy_generation (\d+)$", node.run("curl", "-sS", "http://127.0.0.1:9091/metrics"), re.M)[1])


def growth(samples, what):
    """From the mean of the first quarter to that of the last."""
    quarter = max(1, len(samples) // 4)
    return (statistics.fmean(sample[what] for sample in samples[-quarter:]) -
            statistics.fmean(sample[what] for sample in samples[:quarter]))


@pytest.fixture(scope="module")
def pair():
    with places.Cluster(nodes=("n1", "n2")) as made:
        made.start()
        made["n1"].ctl("apply", "-f", POOLS)
        yield made


@pytest.mark.timeout(SECONDS * 1.2 + 280)
def test_nothing_grows(pair):
    print(f"CHURN_SEED={SEED}")
    churn, rounds = Churn(pair), 0
    for _ in range(WARM):
        churn.one()
    begin, before = time.monotonic(), generation(pair["n1"])
    every, due = SECONDS / 200, begin  # at most 200 samples; a short run takes one a round
    while time.monotonic() < begin + SECONDS or rounds < 8:
        churn.one()
        rounds += 1
        if time.monotonic() >= due:
            churn.sample()
            due += every
    grown = {}
    for name, samples in churn.samples.items():
        for what in samples[0]:
            change = growth(samples, what)
            print(f"{name} {what}: {samples[0][what]} to {samples[-1][what]}, {change:+.1f} from quarter to quarter")
            if change > LIMITS.get(what, ROWS_LIMIT):
                grown[f"{name} {what}"] = f"{change:+.1f} in {rounds} rounds"
    print(f"{rounds} rounds")
    assert generation(pair["n1"]) >= before + 2 * rounds, "each round changed the policy in force"
    assert not grown, f"CHURN_SEED={SEED}"
