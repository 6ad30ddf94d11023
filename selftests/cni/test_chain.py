# SPDX-License-Identifier: Apache-2.0
"""Margay beside other plugins: IPAM by delegation, and chains run by cnitool, the specification's own runtime."""
import json
import os
import shutil
import stat
import subprocess
import sys

import pytest

from runtime import BUILD, GATEWAY4, QUERY_TCX, TOP, CniError, Runtime, wait_for

CACHE = os.environ.get("MARGAY_CACHE", os.path.expanduser("~/.cache/margay"))
DEBIAN = "/usr/lib/cni"
CNI_MODULE = "github.com/containernetworking/cni/cnitool"

# An IPAM plugin of CNI 1.1 that writes down what it is asked; "answer-COMMAND" beside it holds what it says.
SPY = f"""#!{sys.executable}
import json, os, sys
here, command = os.path.dirname(os.path.abspath(__file__)), os.environ["CNI_COMMAND"]
with open(here + "/asked", "a") as log:
    log.write(json.dumps({{"command": command, "container": os.environ["CNI_CONTAINERID"],
                          "ifname": os.environ["CNI_IFNAME"], "config": json.load(sys.stdin)}}) + "\\n")
path = f"{{here}}/answer-{{command}}"
if os.path.exists(path):
    status, text = open(path).read().split("\\n", 1)
    print(text)
    sys.exit(int(status))
"""


class Spy:
    def __init__(self, host):
        self.folder = os.path.join(host.folder, "bin")
        os.makedirs(self.folder, exist_ok=True)
        self.file = os.path.join(self.folder, "spy")
        with open(self.file, "w") as file:
            file.write(SPY)
        os.chmod(self.file, 0o755)
        for name in os.listdir(self.folder):
            if name != "spy":
                os.unlink(os.path.join(self.folder, name))
        self.say("ADD", {"cniVersion": "1.1.0", "ips": [{"address": "10.9.0.5/24", "gateway": "10.9.0.1"}]})

    def say(self, command, answer, status=0):
        with open(os.path.join(self.folder, "answer-" + command), "w") as file:
            file.write(f"{status}\n{json.dumps(answer)}")

    def asked(self):
        with open(os.path.join(self.folder, "asked")) as file:
            return [json.loads(line) for line in file]

    def commands(self):
        return [one["command"] for one in self.asked()]


@pytest.fixture
def spy(host):
    return Spy(host)


@pytest.fixture
def spying(host):
    return Runtime(host, version="1.1.0", ipam={"type": "spy", "key": "value"})


def refusal(function, *arguments, **options):
    with pytest.raises(CniError) as caught:
        function(*arguments, **options)
    return caught.value


def test_delegated_add(spying, spy, agent, sandbox):
    pod = sandbox("front")
    result = spying.add(pod)
    # The address alone: on the interface it stands as ours do, by our gateway.
    assert result["ips"] == [{"interface": 1, "address": "10.9.0.5/32", "gateway": GATEWAY4}]
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": GATEWAY4}]
    (asked,) = spy.asked()
    assert asked["command"] == "ADD" and asked["container"] == pod.container and asked["ifname"] == "eth0"
    assert asked["config"]["ipam"] == {"type": "spy", "key": "value"} and asked["config"]["name"] == "k8s"
    assert agent.requests[0]["addresses"] == ["10.9.0.5"]
    spying.check(pod, result)
    spying.delete(pod)
    assert spy.commands() == ["ADD", "CHECK", "DEL"]
    assert agent.requests[-1]["external"] is True


def test_delegated_routes_and_dns(spying, spy, agent, sandbox, host):
    spy.say("ADD", {"cniVersion": "1.1.0", "ips": [{"address": "10.9.0.5/24"}], "routes": [{"dst": "172.16.0.0/12"}],
                    "dns": {"nameservers": ["10.9.0.2"]}})
    pod = sandbox("front")
    result = spying.add(pod)
    assert result["routes"] == [{"dst": "172.16.0.0/12", "gw": GATEWAY4}]
    assert result["dns"] == {"nameservers": ["10.9.0.2"]}
    assert {r["dst"] for r in pod.json("ip", "-j", "route")} == {"172.16.0.0/12", GATEWAY4}
    assert spying.add(pod) == result
    spying.delete(pod)
    result = spying.add(pod, include_default_routes=True)
    assert {r["dst"] for r in result["routes"]} == {"172.16.0.0/12", "0.0.0.0/0"}


@pytest.mark.parametrize("answer", [
    "nonsense", [], {}, {"ips": []}, {"ips": [{"address": "x"}]},
    {"ips": [{"address": "10.9.0.5/24"}, {"address": "10.9.0.6/24"}]},
    {"ips": [{"address": "10.9.0.5/24"}], "routes": [{"dst": "x"}]}])
def test_delegated_bad_results(spying, spy, agent, sandbox, host, answer):
    pod = sandbox("front")
    before = host.snapshot()
    spy.say("ADD", answer)
    assert refusal(spying.add, pod).code == 103
    assert host.snapshot() == before and not agent.held
    assert spy.commands() == ["ADD", "DEL"]


def test_delegated_refusal(spying, spy, agent, sandbox, host):
    spy.say("ADD", {"cniVersion": "1.1.0", "code": 11, "msg": "range is empty", "details": "10.9.0.0/24"}, 1)
    error = refusal(spying.add, sandbox("front"))
    assert error.code == 11 and "spy: range is empty" in error.error["msg"]
    assert error.error["details"] == "10.9.0.0/24"
    assert not agent.requests


def test_delegated_plugin_missing(host, agent, sandbox):
    error = refusal(Runtime(host, ipam={"type": "no-such-plugin"}).add, sandbox("front"))
    assert error.code == 103 and "no-such-plugin" in error.error["details"]


def test_delegated_plugin_that_hangs(host, spy, agent, sandbox):
    with open(spy.file, "w") as file:
        file.write("#!/bin/sh\n[ $CNI_COMMAND = ADD ] && exec sleep 1000\nexit 0\n")
    pod = sandbox("front")
    before = host.snapshot()
    error = refusal(Runtime(host, ipam={"type": "spy"}, agent_timeout_ms=300).add, pod)
    assert error.code == 103 and "does not come to an end" in error.error["details"]
    assert host.snapshot() == before


def test_delegated_address_is_given_back(spying, spy, agent, sandbox, host):
    """ADD fails behind it, DEL finds no agent, GC finds the attachment."""
    pod = sandbox("front")
    agent.answers["commit"] = {"ok": False, "code": 11, "msg": "not yet"}
    assert refusal(spying.add, pod).code == 11
    assert spy.commands() == ["ADD", "DEL"]
    del agent.answers["commit"]
    spying.add(pod)
    agent.stop()
    spying.delete(pod)
    assert spy.commands() == ["ADD", "DEL", "ADD", "DEL"]
    agent.start()
    spying.add(pod)
    spying.call("GC", **{"cni.dev/valid-attachments": []})
    assert spy.commands()[-2:] == ["DEL", "GC"]
    gone = spy.asked()[-2]
    assert gone["container"] == pod.container and gone["config"]["ipam"]["key"] == "value"


def test_delegated_del_that_fails_keeps_the_record(spying, spy, agent, sandbox, host):
    pod = sandbox("front")
    before = host.snapshot()
    spying.add(pod)
    spy.say("DEL", {"cniVersion": "1.1.0", "code": 11, "msg": "disk"}, 1)
    assert refusal(spying.delete, pod).code == 11
    left = host.snapshot()
    assert left["files"] == [f"/attachments/{pod.container}:eth0.json"] and left["links"] == before["links"]
    os.unlink(os.path.join(spy.folder, "answer-DEL"))
    spying.delete(pod)
    assert host.snapshot() == before


def test_delegated_status(spying, spy, agent):
    spying.call("STATUS")
    assert spy.commands() == ["STATUS"] and agent.requests[-1]["external"] is True
    spy.say("STATUS", {"cniVersion": "1.1.0", "code": 50, "msg": "full"}, 1)
    assert refusal(spying.call, "STATUS").code == 50


def need_debian(*names):
    for name in names:
        if not os.path.exists(os.path.join(DEBIAN, name)):
            pytest.skip(f"{DEBIAN}/{name} is missing: package containernetworking-plugins")


def host_local(host, **ipam):
    need_debian("host-local")
    return Runtime(host, ipam=dict({"type": "host-local", "dataDir": os.path.join(host.folder, "host-local")}, **ipam))


def held(host):
    at = os.path.join(host.folder, "host-local", "k8s")
    return sorted(name for name in os.listdir(at) if name[0].isdigit() or name.startswith("fd")) if os.path.exists(at) else []


def test_host_local(host, agent, sandbox):
    runtime = host_local(host, ranges=[[{"subnet": "10.8.0.0/29"}], [{"subnet": "fd08::/125"}]])
    one, two = sandbox("one"), sandbox("two")
    result = runtime.add(one)
    assert [ip["address"] for ip in result["ips"]] == ["10.8.0.2/32", "fd08::2/128"]
    assert {r["dst"] for r in result["routes"]} == {"0.0.0.0/0", "::/0"}
    runtime.check(one, result)
    runtime.add(two)
    assert len(held(host)) == 4
    host.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    host.run("ping", "-c1", "-W2", "10.8.0.3")
    agent.stop()
    runtime.delete(one)
    runtime.delete(two)
    assert held(host) == []


def test_host_local_exhausted(host, agent, sandbox):
    runtime = host_local(host, subnet="10.8.0.0/30")
    runtime.add(sandbox("one"))
    before = host.snapshot()
    error = refusal(runtime.add, sandbox("two"))
    assert "host-local" in error.error["msg"]
    assert host.snapshot() == before


def test_host_local_with_the_nodes_range(host, agent, sandbox):
    runtime = host_local(host, ranges=[[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}]])
    pod = sandbox("one")
    assert refusal(runtime.add, pod).code == 11  # the Node has none yet
    agent.pod_cidrs = ["10.7.3.0/24", "fd07:3::/64"]
    result = runtime.add(pod)
    assert [ip["address"] for ip in result["ips"]] == ["10.7.3.2/32", "fd07:3::2/128"]
    agent.pod_cidrs = []
    runtime.delete(pod)
    assert held(host) == []


# --- cnitool ---
def go():
    for name in (os.environ.get("GO", "go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go"):
        try:
            text = subprocess.run([name, "env", "GOVERSION"], capture_output=True, text=True).stdout
        except OSError:
            continue
        if text.startswith("go1.") and int(text[4:].split(".")[0].strip()) >= 21:
            return name
    return None


@pytest.fixture(scope="session")
def cnitool():
    """Built once into the cache; its name carries the pinned sums."""
    folder = os.path.join(TOP, "selftests/go")
    with open(os.path.join(folder, "go.sum")) as sums:
        stamp = f"{hash_text(sums.read()):08x}"
    path = os.path.join(CACHE, f"cnitool-{stamp}")
    if not os.path.exists(path):
        compiler = go()
        if not compiler:
            pytest.skip("cnitool needs Go 1.21 or later to build; Debian 12 has 1.19")
        os.makedirs(CACHE, exist_ok=True)
        done = subprocess.run([compiler, "build", "-o", path, CNI_MODULE], cwd=folder, capture_output=True, text=True,
                              env=dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly", CGO_ENABLED="0"))
        if done.returncode:
            pytest.skip(f"cnitool cannot be built: {done.stderr.strip().splitlines()[-1]}")
    return path


def hash_text(text):
    import zlib
    return zlib.crc32(text.encode())


class Tool:
    """Network lists run by cnitool."""

    def __init__(self, host, path, *plugins, version="1.0.0"):
        self.host, self.path = host, path
        self.lists = os.path.join(host.folder, "net.d")
        os.makedirs(self.lists, exist_ok=True)
        own = {"type": "margay", "agent_socket": host.socket, "state_dir": host.state, "agent_timeout_ms": 2000,
               "net_dir": self.lists, "ipam": {"type": "margay-ipam"}, "capabilities": {"ips": True, "mac": True}}
        with open(os.path.join(self.lists, "10-k8s.conflist"), "w") as file:
            json.dump({"cniVersion": version, "name": "k8s", "plugins": [own, *plugins]}, file)

    def run(self, command, pod, check=True, **capabilities):
        env = dict(os.environ, NETCONFPATH=self.lists, CNI_PATH=f"{BUILD}:{DEBIAN}:{self.host.folder}", CAP_ARGS=json.dumps(capabilities),
                   CNI_ARGS=pod.args)
        done = self.host.run(self.path, command, "k8s", pod.path, env=env, check=check)
        return json.loads(done.stdout) if done.stdout.strip() and done.returncode == 0 else done


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
def test_cnitool(cnitool, host, agent, sandbox, version):
    tool, pod = Tool(host, cnitool, version=version), sandbox("front")
    before = host.snapshot()
    result = tool.run("add", pod)
    assert result["cniVersion"] == version and result["ips"][0]["address"] == "10.1.0.1/32"
    tool.run("check", pod)
    if version == "1.1.0":
        tool.run("status", pod)
    tool.run("del", pod)
    tool.run("del", pod)
    assert host.snapshot() == before and not agent.held


def test_cnitool_gc(cnitool, host, agent, sandbox):
    """cnitool deletes what its cache knows, then calls GC without a list: an absence is no order to delete all."""
    tool, known, unknown = Tool(host, cnitool, version="1.1.0"), sandbox("known"), sandbox("unknown")
    tool.run("add", unknown)
    host.sh("rm -rf /var/lib/cni")
    tool.run("add", known)
    done = tool.run("gc", known, check=False)
    assert done.returncode == 1 and "cni.dev/valid-attachments" in done.stderr
    assert {key[0] for key in agent.held} == {unknown_id(host)}


def unknown_id(host):
    (link,) = [one for one in host.json("ip", "-j", "link") if one["ifname"].startswith("cali")]
    (name,) = os.listdir(os.path.join(host.state, "attachments"))
    with open(os.path.join(host.state, "attachments", name)) as file:
        record = json.load(file)
    assert record["host_ifname"] == link["ifname"]
    return record["container"]


def test_cnitool_ips_and_mac(cnitool, host, agent, sandbox):
    tool, pod = Tool(host, cnitool), sandbox("front")
    result = tool.run("add", pod, ips=["10.1.0.50"], mac="02:00:00:00:00:50")
    assert result["ips"][0]["address"] == "10.1.0.50/32"
    assert result["interfaces"][1]["mac"] == "02:00:00:00:00:50"
    tool.run("del", pod)


def test_chain_portmap(cnitool, host, agent, sandbox):
    """A published port reaches the pod through the host's own translation; afterwards nothing of it is left."""
    need_debian("portmap")
    if host.run("iptables", "-t", "nat", "-L", check=False).returncode:
        pytest.skip("no iptables nat table: portmap has nothing to work with")
    tool = Tool(host, cnitool, {"type": "portmap", "capabilities": {"portMappings": True}})
    server, client = sandbox("server"), sandbox("client")
    host.sh("ip addr add 192.0.2.1/32 dev lo; echo 1 > /proc/sys/net/ipv4/ip_forward")
    before = host.snapshot()
    tool.run("add", server, portMappings=[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
    Runtime(host).add(client)
    listener = subprocess.Popen(host.wrap("ip", "netns", "exec", server.name, "socat", "TCP4-LISTEN:80,fork,reuseaddr",
                                          "SYSTEM:echo published"), stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":80 " in server.run("ss", "-Hltn").stdout, "the server listens")
        assert client.run("socat", "-T3", "-u", "TCP4:192.0.2.1:8080,connect-timeout=3", "-").stdout == "published\n"
    finally:
        listener.terminate()
        listener.wait()
    tool.run("check", server)
    tool.run("del", server, portMappings=[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
    Runtime(host).delete(client)
    assert host.snapshot() == before
    assert "8080" not in host.run("iptables-save", "-t", "nat").stdout


def test_chain_tuning(cnitool, host, agent, sandbox):
    need_debian("tuning")
    tool = Tool(host, cnitool, {"type": "tuning", "sysctl": {"net.core.somaxconn": "511"}, "mtu": 1400})
    pod = sandbox("front")
    result = tool.run("add", pod)
    assert pod.run("cat", "/proc/sys/net/core/somaxconn").stdout.strip() == "511"
    (inner,) = pod.json("ip", "-j", "link", "show", "eth0")
    assert inner["mtu"] == 1400 and inner["address"] == result["interfaces"][1]["mac"]
    tool.run("check", pod)
    tool.run("del", pod)


def begins_with(host, tool, pod, **capabilities):
    """How ADD attached: "clsact", which the agent changes later, or "tcx"."""
    tool.run("add", pod, **capabilities)
    (name,) = [link["ifname"] for link in host.json("ip", "-j", "link") if link["ifname"].startswith("cali")]
    assert host.programs(name) == (["from_pod"], ["to_pod"])
    kinds = [q["kind"] for q in host.json("tc", "-j", "qdisc", "show", "dev", name)]
    return "clsact" if "clsact" in kinds else "tcx"


@pytest.fixture
def later(agent, host, sandbox):
    """The agent wants TCX, as it says where the kernel has it."""
    if host.run("python3", "-c", QUERY_TCX + "else:\n    sys.exit(1)", "lo", "46", check=False).returncode:
        pytest.skip("no TCX in this kernel")
    agent.wanted = "tcx"
    return agent


@pytest.mark.parametrize("behind,expected", [
    ([], "clsact"), (["portmap", "tuning"], "clsact"), (["portmap", "bandwidth"], "tcx"), (["stranger"], "tcx")])
def test_attach_by_what_follows(cnitool, host, later, sandbox, behind, expected):
    """clsact first only where nothing behind can want its place; a plugin nobody knows may."""
    need_debian("portmap", "tuning", "bandwidth")
    shutil.copy(os.path.join(DEBIAN, "tuning"), os.path.join(host.folder, "stranger"))
    tool, pod = Tool(host, cnitool, *({"type": name} for name in behind)), sandbox("front")
    assert begins_with(host, tool, pod) == expected
    tool.run("del", pod)


def test_attach_where_the_list_is_not_found(cnitool, host, later, sandbox):
    """Another folder, another list of the name, a folder that adds plugins: TCX at once."""
    need_debian("portmap")
    tool, pod = Tool(host, cnitool), sandbox("front")
    path = os.path.join(tool.lists, "10-k8s.conflist")
    with open(path) as file:
        network = json.load(file)
    assert begins_with(host, tool, pod) == "clsact"
    tool.run("del", pod)
    network["plugins"] = [dict(network["plugins"][0], mtu=1400)]
    with open(os.path.join(tool.lists, "20-k8s.conflist"), "w") as file:
        json.dump(network, file)
    assert begins_with(host, tool, pod) == "tcx"
    tool.run("del", pod)
    os.unlink(os.path.join(tool.lists, "20-k8s.conflist"))
    os.mkdir(os.path.join(tool.lists, "k8s"))
    assert begins_with(host, tool, pod) == "tcx"
    tool.run("del", pod)
    os.rmdir(os.path.join(tool.lists, "k8s"))
    network["plugins"] = [dict(network["plugins"][0], mtu=0, net_dir="/nowhere")]
    with open(path, "w") as file:
        json.dump(network, file)
    assert begins_with(host, tool, pod) == "tcx"
    tool.run("del", pod)


def test_chain_bandwidth(cnitool, host, later, sandbox):
    """The plugin behind ours finds the place of its `ingress` qdisc free, and afterwards nothing of it is left."""
    need_debian("bandwidth")
    tool, pod = Tool(host, cnitool, {"type": "bandwidth", "capabilities": {"bandwidth": True}}), sandbox("front")
    if host.run("sh", "-c", "ip link add probe type ifb && "
                "tc qdisc add dev probe root tbf rate 1mbit burst 32k latency 25ms; r=$?; ip link del probe; exit $r",
                check=False).returncode:
        pytest.skip("this kernel has no ifb or no sch_tbf")
    before = host.snapshot()
    limits = {"ingressRate": 8000000, "ingressBurst": 800000, "egressRate": 8000000, "egressBurst": 800000}
    tool.run("add", pod, bandwidth=limits)
    (name,) = [link["ifname"] for link in host.json("ip", "-j", "link") if link["ifname"].startswith("cali")]
    kinds = {q["kind"] for q in host.json("tc", "-j", "qdisc", "show", "dev", name)}
    assert kinds == {"tbf", "ingress"} and host.programs(name) == (["from_pod"], ["to_pod"])
    tool.run("del", pod, bandwidth=limits)
    assert host.snapshot() == before


def test_example_list_is_valid(cnitool, host, agent, sandbox):
    """manifests/examples/10-margay.conflist as it stands, but for the places of this test."""
    need_debian("portmap")
    with open(os.path.join(TOP, "manifests/examples/10-margay.conflist")) as file:
        example = json.load(file)
    example["plugins"][0].update(agent_socket=host.socket, state_dir=host.state)
    tool, pod = Tool(host, cnitool), sandbox("front")
    with open(os.path.join(tool.lists, "10-k8s.conflist"), "w") as file:
        json.dump(dict(example, name="k8s"), file)
    assert example["name"] == "k8s-pod-network"
    tool.run("add", pod, ips=["10.1.0.60"])
    tool.run("del", pod)


def test_binary_is_static():
    plugin = os.path.join(BUILD, "margay")
    if "san" in BUILD:
        pytest.skip("sanitizers need shared libraries")
    text = subprocess.run(["file", plugin], capture_output=True, text=True, check=True).stdout
    assert "static-pie" in text
    assert stat.S_IMODE(os.stat(plugin).st_mode) & 0o111
