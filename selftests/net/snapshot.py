# SPDX-License-Identifier: Apache-2.0
"""What stands on a node, as text, to compare before and after: a clean leave leaves no difference."""
import json
import os
import re
import time

# Counters, ages and states of the kernel's own making that change by themselves.
NOISE = re.compile(r"(expires \d+sec|used \d+/\d+/\d+|probes \d+|ref \d+|valid_lft \S+|preferred_lft \S+|"
                   r"\b(REACHABLE|STALE|DELAY|PROBE)\b)")


def _lines(node, *command):
    done = node.try_run(*command)
    return sorted(NOISE.sub("", row).strip() for row in done.stdout.split("\n") if row.strip())


def _sysctls(node):
    """All of the network namespace's that can be read, but for counts of what is there."""
    return _lines(node, "sh", "-c", "cd /proc/sys/net && find . -type f -perm /444 ! -name '*_count' ! -name flush "
                  "! -name 'stat_*' -exec grep -H . {} + 2>/dev/null")


def _files(node):
    """Whatever the node wrote: its own folders, and the layers over /etc and /var/lib that its writes go to. Objects in
    the store are the user's: they stay."""
    own = f"{node.folder}/own"
    return _lines(node, "sh", "-c", f"find /run /sys/fs/bpf {own}/etc/up {own}/var/lib/up -xdev 2>/dev/null | "
                  "grep -v -e maps.debug -e progs.debug -e /margay/store/")


def _bpf(node):
    """What is attached to this node's devices. Programs and maps live while a pin (files) or a device holds them."""
    done = node.try_run("bpftool", "-j", "net")
    return [json.dumps(entry, sort_keys=True) for entry in json.loads(done.stdout or "[]")]


def bpf_objects(node):
    """Ids of all programs, maps and links that the node's pins and devices hold, by kind."""
    ids = {"program": set(), "map": set(), "link": set()}
    pins = node.sh("find /sys/fs/bpf -type f ! -name '*.debug'").split()
    for kind, word in (("program", "prog"), ("map", "map"), ("link", "link")):
        for pin in pins:
            done = node.try_run("bpftool", "-j", word, "show", "pinned", pin)
            if done.returncode == 0 and done.stdout.strip():
                ids[kind].add(json.loads(done.stdout)["id"])
    for hooks in json.loads(node.run("bpftool", "-j", "net")):
        ids["program"] |= {hook["id"] for hook in hooks.get("tc", []) if "id" in hook}
    return ids


def bpf_left(node, objects):
    """A line for each of them that the kernel still has; it frees what nobody holds a moment later."""
    def there(kind, number):
        word = {"program": "prog"}.get(kind, kind)
        return node.try_run("bpftool", word, "show", "id", number).returncode == 0

    end = time.monotonic() + 30
    while (left := [f"bpf: left: {kind} {number}" for kind, ids in objects.items() for number in sorted(ids)
                    if there(kind, number)]) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def _socket_programs(node):
    """Numbers of the programs behind the links that the node has pinned."""
    done = node.try_run("bpftool", "-f", "-j", "link", "show")
    return {str(link["prog_id"]) for link in (json.loads(done.stdout) if done.returncode == 0 else [])
            if any(path.startswith("/sys/fs/bpf/margay/links/") for path in link.get("pinned", []))}


def _cgroups(node):
    """What is attached where this run's agents attach (cluster.py), but for what its other nodes have there."""
    top = os.environ.get("MARGAY_CGROUP")
    if not top:
        return []
    others = set().union(*(_socket_programs(other) for other in node.cluster.nodes.values() if other is not node))
    rows = [row.split() for row in _lines(node, "bpftool", "cgroup", "tree", top)]
    return [" ".join(row) for row in rows if row and row[0].isdigit() and row[0] not in others]


def snapshot(node):
    return {
        "links": _lines(node, "ip", "-o", "link"),
        "addresses": _lines(node, "ip", "-o", "addr"),
        "routes": _lines(node, "ip", "route", "show", "table", "all") + _lines(node, "ip", "-6", "route", "show", "table", "all"),
        "rules": _lines(node, "ip", "rule") + _lines(node, "ip", "-6", "rule"),
        "neighbours": [row for row in _lines(node, "ip", "neigh") if "PERMANENT" in row],
        "sysctls": _sysctls(node),
        "qdiscs": _lines(node, "tc", "qdisc"),
        "bpf": _bpf(node),
        "cgroups": _cgroups(node),
        "files": _files(node),
    }


def difference(before, after):
    """A line for each thing that came or went."""
    rows = []
    for what in before:
        old, new = set(before[what]), set(after[what])
        rows += [f"{what}: gone: {row}" for row in sorted(old - new)]
        rows += [f"{what}: left: {row}" for row in sorted(new - old)]
    return rows
