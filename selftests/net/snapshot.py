# SPDX-License-Identifier: Apache-2.0
"""What stands on a node, as text, to compare before and after: a clean leave leaves no difference."""
import json
import re

# Counters, ages and states of the kernel's own making that change by themselves.
NOISE = re.compile(r"(expires \d+sec|used \d+/\d+/\d+|probes \d+|ref \d+|valid_lft \S+|preferred_lft \S+|"
                   r"\b(REACHABLE|STALE|DELAY|PROBE)\b)")
SYSCTLS = ("ip_forward", "forwarding", "rp_filter", "accept_ra", "proxy_arp", "disable_ipv6", "addr_gen_mode", "route_localnet",
           "accept_local", "arp_ignore", "proxy_ndp", "accept_dad")


def _lines(node, *command):
    done = node.try_run(*command)
    return sorted(NOISE.sub("", row).strip() for row in done.stdout.split("\n") if row.strip())


def _sysctls(node):
    names = "|".join(SYSCTLS)
    return _lines(node, "sh", "-c", "cd /proc/sys/net && grep -H . $(find ipv4 ipv6 -type f 2>/dev/null | "
                  f"grep -E '/({names})$') 2>/dev/null")


def _files(node):
    return _lines(node, "sh", "-c", "find /run /etc/margay /var/lib/margay /sys/fs/bpf -xdev 2>/dev/null | "
                  "grep -v -e /var/lib/margay/store/ -e maps.debug -e progs.debug")


def _bpf(node):
    """What is attached to this node's devices. Programs and maps live while a pin (files) or a device holds them."""
    done = node.try_run("bpftool", "-j", "net")
    return [json.dumps(entry, sort_keys=True) for entry in json.loads(done.stdout or "[]")]


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
