# SPDX-License-Identifier: Apache-2.0
"""margay-ipam as a main plugin of others runs it, against an agent that answers from a table."""
import json
import os
import socket
import subprocess
import threading

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLUGIN = os.path.join(TOP, os.environ.get("BUILD", "build"), "margay-ipam")


class Agent:
    """Answers each request by its op and remembers it."""

    def __init__(self, path, answers):
        self.requests, self.answers = [], answers
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rw") as stream:
                request = json.loads(stream.readline())
                self.requests.append(request)
                stream.write(json.dumps(self.answers.get(request["op"], {"ok": True})) + "\n")
                stream.flush()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def place(tmp_path):
    return tmp_path


@pytest.fixture
def agent(place):
    agents = []

    def start(**answers):
        agents.append(Agent(str(place / "cni.sock"), {op.replace("_", "-"): a for op, a in answers.items()}))
        return agents[-1]
    yield start
    for one in agents:
        one.close()


def run(place, command, version="1.0.0", args="", **config):
    conf = {"cniVersion": version, "name": "net", "type": "bridge", "agent_socket": str(place / "cni.sock"),
            "state_dir": str(place / "state"), "agent_timeout_ms": 300, "ipam": {"type": "margay-ipam"}, **config}
    env = {"CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/proc/self/ns/net",
           "CNI_PATH": "/opt/cni/bin", "CNI_ARGS": args}
    done = subprocess.run([PLUGIN], input=json.dumps(conf), env=env, capture_output=True, text=True, timeout=20,
                          check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None


def released(place):
    folder = place / "state" / "released"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_version(place):
    status, answer = run(place, "VERSION")
    assert status == 0
    assert answer["supportedVersions"] == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def test_add(place, agent):
    server = agent(ipam_allocate={"ok": True, "addresses": ["10.0.0.5", "fd00::5"]})
    status, answer = run(place, "ADD", args="K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
                         ipam={"type": "margay-ipam", "ipv4_pools": ["front"], "assign_ipv6": "true"})
    assert status == 0
    # CNI specification 1.0.0, "Success": ips have an address with its length, and no version.
    assert answer == {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.5/32"}, {"address": "fd00::5/128"}],
                      "routes": [], "dns": {}}
    request = server.requests[0]
    assert {"op": "ipam-allocate", "container": "c1", "ifname": "eth0", "network": "net", "namespace": "shop",
            "pod": "web-0", "ipv4_pools": ["front"], "ipv6": True}.items() <= request.items()


def test_add_old_version(place, agent):
    agent(ipam_allocate={"ok": True, "addresses": ["10.0.0.5"]})
    assert run(place, "ADD", version="0.4.0")[1]["ips"] == [{"version": "4", "address": "10.0.0.5/32"}]


def test_fixed_address(place, agent):
    server = agent(ipam_allocate={"ok": True, "addresses": ["10.0.0.9"]})
    assert run(place, "ADD", runtimeConfig={"ips": ["10.0.0.9/24"]})[0] == 0
    assert server.requests[0]["ips"] == ["10.0.0.9"]


def test_refusal_is_the_plugins_own(place, agent):
    agent(ipam_allocate={"ok": False, "code": 11, "msg": "no free address in pool p", "details": "p (10.0.0.0/30)"})
    status, answer = run(place, "ADD")
    assert status == 1
    assert answer == {"cniVersion": "1.0.0", "code": 11, "msg": "no free address in pool p",
                      "details": "p (10.0.0.0/30)"}


def test_no_agent(place):
    assert run(place, "ADD")[1]["code"] == 11
    assert run(place, "STATUS", version="1.1.0")[1]["code"] == 50
    assert run(place, "DEL") == (0, None)
    assert released(place) == ["c1:eth0.json"]
    mode = os.stat(place / "state" / "released" / "c1:eth0.json").st_mode & 0o777
    assert mode == 0o600


def test_release_comes_before_the_next_add(place, agent):
    run(place, "DEL")
    server = agent(ipam_allocate={"ok": True, "addresses": ["10.0.0.5"]})
    assert run(place, "ADD")[0] == 0
    assert [request["op"] for request in server.requests] == ["ipam-release", "ipam-allocate"]
    assert released(place) == []


def test_del(place, agent):
    server = agent()
    assert run(place, "DEL") == (0, None)
    assert server.requests[0]["op"] == "ipam-release"
    assert released(place) == []


def test_check(place, agent):
    agent(ipam_check={"ok": True, "addresses": ["10.0.0.5"]})
    good = {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.5/24"}]}
    bad = {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.6/24"}]}
    assert run(place, "CHECK", prevResult=good)[0] == 0
    assert run(place, "CHECK", prevResult=bad)[1]["code"] == 102


def test_bad_configuration(place):
    assert run(place, "ADD", ipam={"type": "margay-ipam", "ipv4_pools": "front"})[1]["code"] == 7
    assert run(place, "ADD", version="9.9.9")[1]["code"] == 1
