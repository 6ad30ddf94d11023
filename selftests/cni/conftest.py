# SPDX-License-Identifier: Apache-2.0
"""One host a file, one agent and a clean state a test: what a test leaves on the host is its failure."""
import os
import shutil

import pytest

from runtime import FakeAgent, Host, Runtime, Sandbox


@pytest.fixture(scope="module")
def bare_host():
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces and BPF")
    host = Host()
    host.load_programs()
    yield host
    host.close()


@pytest.fixture
def host(bare_host):
    for folder in (bare_host.state, os.path.join(bare_host.folder, "host-local")):
        shutil.rmtree(folder, ignore_errors=True)
    yield bare_host
    for link in bare_host.json("ip", "-j", "link"):
        if link["ifname"] != "lo":
            bare_host.run("ip", "link", "del", link["ifname"], check=False)
    bare_host.run("ip", "addr", "flush", "dev", "lo", "scope", "global", check=False)


@pytest.fixture
def agent(host):
    agent = FakeAgent(host)
    yield agent
    if os.path.exists(host.socket):
        agent.stop()


@pytest.fixture
def runtime(host):
    return Runtime(host)


@pytest.fixture
def sandbox(host):
    """A function that makes sandboxes."""
    made = []

    def make(*arguments, **options):
        made.append(Sandbox(host, *arguments, **options))
        return made[-1]
    yield make
    for one in made:
        one.remove()
