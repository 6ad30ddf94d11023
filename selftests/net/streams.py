# SPDX-License-Identifier: Apache-2.0
"""Streams between pods while something is done to their nodes (selftests/demo/stream.py), and the machine's own losses told apart.

A busy machine loses datagrams and sends segments again by itself. So a stream runs without any fault first, and after a
loss as long as with it: where these lose too, the machine is at fault and the test is skipped with the figures.
"""
import json
import os
import signal
import subprocess
import time

import pytest

import cluster as places
from cluster import wait_for

STREAM = os.path.join(places.TOP, "selftests", "demo", "stream.py")
FASTER = 10000  # datagrams a second
LONGEST = 3600  # seconds of a stream that nobody ends: a test that failed leaves none behind for good
CONTROL_SECONDS = 2
CONTROL_MOST = 60


def serve(server, port):
    server.start("python3", STREAM, "server", port)
    wait_for(lambda: f":{port} " in server.run("ss", "-Hltn"), "the stream's server listens")


def backlog_drops():
    """Packets that this machine's processors found no room for in their queues (proc(5), softnet_stat), whosever they were."""
    with open("/proc/net/softnet_stat") as rows:
        return sum(int(row.split()[1], 16) for row in rows)


class Stream:
    """A running client; the server listens already. It ends by itself after the seconds, or by end()."""

    def __init__(self, client, address, port, seconds=LONGEST, rate=1000):
        self.process = client.start("python3", STREAM, "client", address, port, seconds, rate, stdout=subprocess.PIPE)

    def running(self):
        return self.process.poll() is None

    def end(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        return json.loads(self.process.communicate(timeout=120 * places.PATIENCE)[0])


def begin(client, server, port, seconds=LONGEST, rate=1000, reach=None):
    """reach: what tells that the client reaches the server; ping, where none is given."""
    serve(server, port)
    wait_for(reach or (lambda: client.ping(server.address())), "client and server reach each other")
    return Stream(client, server.address(), port, seconds, rate)


def is_whole(result):
    """Nothing is missing. A segment sent again on a busy machine (tail loss probe) of which the receiver says that it
    had it (D-SACK, RFC 2883) was not lost."""
    return result["udp_missing"] == 0 and result["tcp_retransmissions"] <= result["tcp_duplicates"]


def whole(result):
    assert result["udp_sent"] > 500 and is_whole(result), result
    return result


def compare(control, fault, tries=2):
    """control(seconds) and fault() run streams and return their results, each a list. Nothing of the fault's is lost; where
    something is, that the control's stay whole before and after decides whether the fault did it."""
    lost = []
    for _ in range(tries):
        before, begin, drops = control(CONTROL_SECONDS), time.monotonic(), backlog_drops()
        results = fault()
        took, drops = time.monotonic() - begin, backlog_drops() - drops
        if all(map(is_whole, results)):
            return results
        lost.append(results)
        after = control(min(max(CONTROL_SECONDS, took), CONTROL_MOST))
        assert not all(map(is_whole, before + after)), \
            f"lost while the control runs before and after lost nothing (the machine's queues dropped {drops}): {results}"
    pytest.skip(f"the machine itself loses packets, with and without the fault: {lost}")
