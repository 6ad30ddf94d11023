# SPDX-License-Identifier: Apache-2.0
"""margayctl monitor beside a test."""
import itertools
import json
import os
import subprocess

from cluster import BUILD, wait_for

CTL = os.path.join(BUILD, "margayctl")


def loaded(node):
    """The agent's own: other agents of this kernel may have theirs."""
    folder = f"/proc/{node.agent.pid}/fd"

    def target(name):
        try:
            return os.readlink(f"{folder}/{name}")
        except FileNotFoundError:  # closed meanwhile
            return ""

    return [name for name in os.listdir(folder) if "bpf_link" in target(name)]


class Monitor:
    """margayctl monitor, as it goes on; records are read from the file it writes."""

    count = itertools.count()

    def __init__(self, node, *options):
        self.node, self.path = node, os.path.join(node.folder, f"monitor-{next(self.count)}.json")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(node.wrap(CTL, "monitor", "-o", "json", *options), stdout=out,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        node.processes.append(self.process)
        if "--kernel-drops" in options:
            wait_for(lambda: loaded(node), "the program is there")

    def records(self, **wanted):
        with open(self.path) as text:
            lines = [json.loads(line) for line in text.read().split("\n")[:-1]]
        return [r for r in lines if all(r.get(key) == value for key, value in wanted.items())]

    def first(self, **wanted):
        return wait_for(lambda: self.records(**wanted), lambda: f"{wanted} in {self.records()[-10:]}")[0]

    def stop(self):
        self.node.stop(self.process)
