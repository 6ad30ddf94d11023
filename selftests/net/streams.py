# SPDX-License-Identifier: Apache-2.0
"""Streams between pods while something is done to their nodes (selftests/demo/stream.py), and the machine's own losses told apart.

A busy machine loses datagrams and sends segments again by itself. So a stream runs without any fault first, and
again after a loss: where these lose too, the machine is at fault and the test is skipped with the figures.
"""
import json
import os
import signal
import subprocess

import pytest

import cluster as places
from cluster import wait_for

STREAM = os.path.join(places.TOP, "selftests", "demo", "stream.py")
FASTER = 10000  # datagrams a second


def serve(server, port):
    server.start("python3", STREAM, "server", port)
    wait_for(lambda: f":{port} " in server.run("ss", "-Hltn"), "the stream's server listens")


class Stream:
    """A running client; the server listens already. It ends by itself after the seconds, or by end()."""

    def __init__(self, client, address, port, seconds=600, rate=1000):
        self.process = client.start("python3", STREAM, "client", address, port, seconds, rate, stdout=subprocess.PIPE)

    def running(self):
        return self.process.poll() is None

    def end(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        return json.loads(self.process.communicate(timeout=120 * places.PATIENCE)[0])


def begin(client, server, port, seconds=600, rate=1000, reach=None):
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
    """control() and fault() run streams and return their results, each a list. Nothing of the fault's is lost; where
    something is, that the control's stay whole before and after decides whether the fault did it."""
    lost = []
    for _ in range(tries):
        before = control()
        results = fault()
        if all(map(is_whole, results)):
            return results
        lost.append(results)
        assert not all(map(is_whole, before + control())), f"lost while the control runs before and after lost nothing: {results}"
    pytest.skip(f"the machine itself loses packets, with and without the fault: {lost}")
