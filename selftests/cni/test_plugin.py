# SPDX-License-Identifier: Apache-2.0
"""The plugin's commands on a host of its own, against what the CNI specification and the design say."""
import hashlib
import json
import os
import stat
import struct

import pytest

from runtime import BUILD, GATEWAY4, GATEWAY6, HOST_MAC, IFINDEX_BASE, CniError, FakeAgent, Runtime, wait_for


def host_name(pod, namespace="default"):
    return "cali" + hashlib.sha1(f"{namespace}.{pod}".encode()).hexdigest()[:11]


def code_of(function, *arguments, **options):
    with pytest.raises(CniError) as caught:
        function(*arguments, **options)
    return caught.value.code


def addresses(place, ifname):
    (link,) = place.json("ip", "-j", "addr", "show", ifname)
    return {(a["local"], a["prefixlen"]) for a in link["addr_info"]}


def test_add_result(runtime, agent, sandbox):
    pod = sandbox("front")
    result = runtime.add(pod)
    name = host_name("front")
    assert result["cniVersion"] == "1.0.0"
    outer, inner = result["interfaces"]
    assert outer == {"name": name, "mac": HOST_MAC}
    assert inner["name"] == "eth0" and inner["sandbox"] == pod.path
    assert result["ips"] == [{"interface": 1, "address": "10.1.0.1/32", "gateway": GATEWAY4},
                             {"interface": 1, "address": "fd00:1::1/128", "gateway": GATEWAY6}]
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": GATEWAY4}, {"dst": "::/0", "gw": GATEWAY6}]
    (link,) = pod.json("ip", "-j", "link", "show", "eth0")
    assert link["address"] == inner["mac"]


def test_add_interfaces(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    (outer,) = host.json("ip", "-j", "-d", "link", "show", host_name("front"))
    assert outer["ifindex"] == IFINDEX_BASE + 1
    assert outer["address"] == HOST_MAC and outer["mtu"] == 1480 and "UP" in outer["flags"]
    (inner,) = pod.json("ip", "-j", "link", "show", "eth0")
    assert inner["mtu"] == 1480 and "UP" in inner["flags"] and "LOWER_UP" in inner["flags"]
    assert ("10.1.0.1", 32) in addresses(pod, "eth0") and ("fd00:1::1", 128) in addresses(pod, "eth0")
    assert ("fe80::ecee:eeff:feee:eeee", 64) in addresses(host, outer["ifname"])
    tentative = [a for link in pod.json("ip", "-j", "-6", "addr") for a in link["addr_info"] if a.get("tentative")]
    assert not tentative


def test_add_routes_and_neighbours(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    name = host_name("front")
    (route,) = host.json("ip", "-j", "-N", "route", "show", "10.1.0.1")
    assert route["dev"] == name and route["protocol"] == "80" and route["scope"] == "253"  # link
    (route,) = host.json("ip", "-j", "-N", "-6", "route", "show", "fd00:1::1")
    assert route["dev"] == name and route["protocol"] == "80"
    routes = {(r["dst"], r.get("gateway")) for r in pod.json("ip", "-j", "route")}
    assert routes == {("default", GATEWAY4), (GATEWAY4, None)}
    assert ("default", GATEWAY6) in {(r["dst"], r.get("gateway")) for r in pod.json("ip", "-j", "-6", "route")}
    (inner,) = pod.json("ip", "-j", "link", "show", "eth0")
    host_neighbours = {(n["dst"], n["lladdr"]) for n in host.json("ip", "-j", "neigh", "show", "nud", "permanent")
                       if n["dev"] == name and "lladdr" in n}
    assert host_neighbours >= {("10.1.0.1", inner["address"]), ("fd00:1::1", inner["address"])}
    pod_neighbours = {(n["dst"], n["lladdr"]) for n in pod.json("ip", "-j", "neigh", "show", "nud", "permanent")
                      if "lladdr" in n}
    assert pod_neighbours >= {(GATEWAY4, HOST_MAC), (GATEWAY6, HOST_MAC)}


def test_add_settings(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    name = host_name("front")

    def sysctl(place, path):
        return place.run("cat", f"/proc/sys/net/{path}").stdout.strip()
    assert sysctl(host, f"ipv4/conf/{name}/forwarding") == "1"
    assert sysctl(host, f"ipv4/conf/{name}/rp_filter") == "2"
    assert sysctl(host, f"ipv4/conf/{name}/proxy_arp") == "0"
    assert sysctl(host, f"ipv6/conf/{name}/accept_ra") == "0"
    assert sysctl(pod, "ipv4/conf/eth0/forwarding") == "0"
    for place, ifname in ((host, name), (pod, "eth0")):
        features = place.run("ethtool", "-k", ifname).stdout
        assert "tx-sctp-segmentation: off" in features


def test_pod_may_forward_if_told(host, agent, sandbox):
    pod = sandbox("router")
    Runtime(host, container_settings={"allow_ip_forwarding": True}).add(pod)
    assert pod.run("cat", "/proc/sys/net/ipv4/conf/eth0/forwarding").stdout.strip() == "1"


def test_programs_are_attached_before_the_pod_is_up(runtime, agent, sandbox, host):
    pod = sandbox("front")
    seen = {}

    def look(request):
        if request["op"] == "commit":
            (inner,) = pod.json("ip", "-j", "link", "show", "eth0")
            seen["up"] = "UP" in inner["flags"]
            seen["programs"] = host.programs(host_name("front"))
    agent.before_answer = look
    runtime.add(pod)
    assert seen["up"] is False
    assert seen["programs"] == (["from_pod"], ["to_pod"])


def test_host_and_pods_reach_one_another(runtime, agent, sandbox, host):
    one, two = sandbox("one"), sandbox("two")
    runtime.add(one)
    runtime.add(two)
    host.sh("ip addr add 192.0.2.1/32 dev lo; ip -6 addr add 2001:db8::1/128 dev lo; "
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    for target in ("10.1.0.1", "fd00:1::1"):
        host.run("ping", "-c1", "-W2", target)
    for target in ("192.0.2.1", "2001:db8::1", "10.1.0.2", "fd00:1::2"):
        one.run("ping", "-c1", "-W2", target)


def test_del_leaves_nothing(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    result = runtime.add(pod)
    assert host.snapshot() != before
    runtime.delete(pod, prevResult=result)
    assert host.snapshot() == before
    assert pod.snapshot() == inside
    assert not agent.held
    runtime.delete(pod)
    runtime.delete(sandbox("never-added"))


def test_del_leaves_the_deletion_to_the_agent(runtime, agent, sandbox, host):
    """Both ends are down and have no name of a pod's: the same pod comes again before they are deleted."""
    agent.aside = []
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    name = next(i["name"] for i in runtime.add(pod)["interfaces"] if i["name"].startswith("cali"))
    runtime.delete(pod)
    assert not agent.held and agent.aside == ["cali-" + name[4:14]]
    left = host.json("ip", "-j", "link", "show", agent.aside[0])[0]
    assert "UP" not in left["flags"] and left["ifindex"] == IFINDEX_BASE + 1
    assert not pod.run("ip", "-br", "link", "show", "up", "type", "veth").stdout
    result = runtime.add(pod)
    runtime.check(pod, result)
    # The name of the pair before is still taken: this one is deleted at once.
    runtime.delete(pod)
    agent.delete_aside()
    assert host.snapshot() == before and pod.snapshot() == inside


def test_del_after_the_namespace_is_gone(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before = host.snapshot()
    runtime.add(pod)
    pod.remove()
    runtime.delete(pod)
    assert host.snapshot() == before and not agent.held


def test_del_with_a_path_that_is_gone(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    pod.remove()
    runtime.delete(pod, env={"CNI_NETNS": pod.path})
    assert not agent.held


def test_del_without_agent(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before = host.snapshot()
    runtime.add(pod)
    agent.stop()
    runtime.delete(pod)
    after = host.snapshot()
    assert after.pop("files") == [f"/released/{pod.container}:eth0.json"]
    before.pop("files")
    assert after == before
    path = os.path.join(host.state, "released", f"{pod.container}:eth0.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path) as file:
        request = json.load(file)
    assert request["op"] == "del" and request["container"] == pod.container and request["ifname"] == "eth0"


def test_add_after_a_release_that_waits(runtime, agent, sandbox, host):
    """The release goes first: it may not undo the new allocation."""
    pod = sandbox("front")
    runtime.add(pod)
    agent.stop()
    runtime.delete(pod)
    agent.start()
    agent.requests.clear()
    runtime.add(pod)
    assert agent.ops()[:2] == ["del", "allocate"]
    assert not os.listdir(os.path.join(host.state, "released"))


def test_add_twice(runtime, agent, sandbox, host):
    pod = sandbox("front")
    first = runtime.add(pod)
    before, inside = host.snapshot(), pod.snapshot()
    assert runtime.add(pod) == first
    assert host.snapshot() == before and pod.snapshot() == inside


def test_ports_are_told_and_kept(runtime, agent, sandbox, host):
    """The agent hears of port mappings and the record has them; an ADD that asks for others makes the pair anew."""
    pod, config = sandbox("front"), {"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}]}}
    want = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
    runtime.add(pod, **config)
    assert agent.requests[0]["portMappings"] == want
    record = os.path.join(host.state, "attachments", f"{pod.container}:eth0.json")
    with open(record) as file:
        assert json.load(file)["portMappings"] == want
    runtime.add(pod, **config)
    assert "del" not in agent.ops()
    runtime.add(pod)
    assert "del" in agent.ops() and "portMappings" not in agent.requests[-2]


def test_check_misses_a_port(runtime, agent, sandbox, host):
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}, {"hostPort": 53, "containerPort": 5353, "protocol": "udp"}]
    pod = sandbox("front")
    result = runtime.add(pod, runtimeConfig={"portMappings": ports})
    runtime.check(pod, result)
    agent.update("mg_backs", struct.pack("=II", 103, 0), bytes(24))  # the second one's, of IPv6
    assert code_of(runtime.check, pod, result) == 102


def test_add_twice_mends_what_was_taken_away(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    pod.run("ip", "addr", "del", "10.1.0.1/32", "dev", "eth0")
    result = runtime.add(pod)
    runtime.check(pod, result)


def test_sandbox_made_anew(runtime, agent, sandbox, host):
    """A second sandbox of the same pod takes the place of the first, whose DEL then takes nothing away."""
    old, new = sandbox("front"), sandbox("front")
    runtime.add(old)
    result = runtime.add(new)
    assert [key[0] for key in agent.held] == [new.container]
    runtime.delete(old)
    runtime.check(new, result)


def test_same_container_in_another_namespace(runtime, agent, sandbox):
    """After a crash of the host's runtime: same id, new namespace, no DEL between."""
    old = sandbox("front")
    runtime.add(old)
    old.remove()
    new = sandbox("front", container=old.container)
    result = runtime.add(new)
    runtime.check(new, result)


def test_name_on_the_host_taken(runtime, agent, sandbox, host):
    pod = sandbox("front")
    host.run("ip", "link", "add", host_name("front"), "type", "veth", "peer", "name", "other")
    before = host.snapshot()
    assert code_of(runtime.add, pod) == 101
    assert host.snapshot() == before and not agent.held
    runtime.delete(pod)
    assert host.snapshot() == before


def test_name_in_the_pod_taken(runtime, agent, sandbox, host):
    pod = sandbox("front")
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    before, inside = host.snapshot(), pod.snapshot()
    assert code_of(runtime.add, pod) == 101
    assert host.snapshot() == before and pod.snapshot() == inside and not agent.held


def test_address_routed_elsewhere(runtime, agent, sandbox, host):
    pod = sandbox("front")
    host.sh("ip link add other type veth peer name another && ip link set other up && ip route add 10.1.0.1/32 dev other")
    before = host.snapshot()
    assert code_of(runtime.add, pod) == 101
    assert host.snapshot() == before and not agent.held


def test_index_taken(runtime, agent, sandbox, host):
    host.run("ip", "link", "add", "squatter", "index", IFINDEX_BASE + 1, "type", "veth",
             "peer", "name", "other")
    pod = sandbox("front")
    result = runtime.add(pod)
    (outer,) = host.json("ip", "-j", "link", "show", host_name("front"))
    assert outer["ifindex"] != IFINDEX_BASE + 1
    runtime.check(pod, result)


def test_two_networks_in_one_pod(host, agent, sandbox):
    pod = sandbox("front")
    first, second = Runtime(host), Runtime(host, name="other")
    first_result = first.add(pod)
    pod.ifname = "net1"
    second_result = second.add(pod)
    names = {first_result["interfaces"][0]["name"], second_result["interfaces"][0]["name"]}
    assert len(names) == 2 and host_name("front") in names
    second.check(pod, second_result)
    pod.ifname = "eth0"
    first.check(pod, first_result)
    pod.ifname = "net1"
    second.delete(pod)
    pod.ifname = "eth0"
    first.check(pod, first_result)


def test_without_a_pod_name(runtime, agent, sandbox):
    box = sandbox()
    runtime.add(box)
    request = agent.requests[0]
    assert request["namespace"] == "default" and request["pod"] == box.container


def test_what_the_agent_is_asked(host, agent, sandbox):
    pod = sandbox("front", "web")
    runtime = Runtime(host, mtu=1400, ipam={"type": "margay-ipam", "ipv4_pools": ["blue"], "assign_ipv6": "false"},
                      runtimeConfig={"mac": "02:00:00:00:00:42", "ips": ["10.1.0.77"],
                                     "bandwidth": {"ingressRate": 1000000, "ingressBurst": 1000000}},
                      args={"cni": {"labels": {"app": "web"}}})
    result = runtime.add(pod)
    request = agent.requests[0]
    assert request["op"] == "allocate" and request["namespace"] == "web" and request["pod"] == "front"
    assert request["uid"] == "uid-front" and request["network"] == "k8s"
    assert request["ipv4_pools"] == ["blue"] and request["ipv6"] is False and request["ips"] == ["10.1.0.77"]
    assert request["labels"] == {"app": "web"} and request["mtu"] == 1400
    assert request["bandwidth"]["ingressRate"] == 1000000
    assert result["interfaces"][1]["mac"] == "02:00:00:00:00:42"
    assert result["ips"][0]["address"] == "10.1.0.77/32"
    (inner,) = pod.json("ip", "-j", "link", "show", "eth0")
    assert inner["mtu"] == 1400 and inner["address"] == "02:00:00:00:00:42"
    with open(os.path.join(host.state, "attachments", f"{pod.container}:eth0.json")) as file:
        record = json.load(file)  # what an agent that starts anew reads
    assert record["labels"] == {"app": "web"} and record["bandwidth"]["ingressRate"] == 1000000 and record["ready"]
    assert record["slot"] == 1 and record["addresses"] == ["10.1.0.77"] and record["pod"] == "front"
    commit = agent.requests[1]
    assert commit["op"] == "commit" and commit["mac"] == "02:00:00:00:00:42" and commit["host_mac"] == HOST_MAC
    assert commit["netns_cookie"] > 0 and commit["host_ifname"] == host_name("front", "web")


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_versions(host, agent, sandbox, version):
    pod = sandbox("front")
    runtime = Runtime(host, version=version)
    result = runtime.add(pod)
    assert result["cniVersion"] == version
    assert ("version" in result["ips"][0]) == (version in ("0.3.1", "0.4.0"))
    assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    if version == "0.3.1":
        assert code_of(runtime.check, pod, result) == 1
    else:
        runtime.check(pod, result)
    runtime.delete(pod, prevResult=result)


def test_version_command(runtime):
    answer = runtime.call("VERSION")
    assert answer["supportedVersions"] == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def test_bad_input(host, agent, sandbox):
    pod = sandbox("front")
    runtime = Runtime(host)
    before = host.snapshot()
    assert code_of(runtime.add, pod, mtu="big") == 7
    assert code_of(runtime.add, pod, cniVersion="3.0.0") == 1
    assert code_of(runtime.add, pod, env={"CNI_CONTAINERID": "../../etc"}) == 4
    assert code_of(runtime.add, pod, env={"CNI_NETNS": "/proc/self/ns/net"}) == 4
    assert code_of(runtime.add, pod, env={"CNI_NETNS": "/nowhere"}) == 3
    assert code_of(runtime.add, pod, env={"CNI_NETNS": "/etc/passwd"}) == 3
    assert code_of(runtime.call, "NONSENSE", pod) == 4
    assert host.snapshot() == before and not agent.requests


def test_warning_names_keys_without_effect(host, agent, sandbox):
    pod = sandbox("front")
    runtime = Runtime(host, datastore_type="kubernetes", nonsense=1)
    runtime.add(pod)
    assert "datastore_type, nonsense" in runtime.stderr


def test_agent_away(host, sandbox):
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    assert code_of(Runtime(host, agent_timeout_ms=300).add, pod) == 11
    assert host.snapshot() == before and pod.snapshot() == inside


def test_agent_comes_meanwhile(host, sandbox):
    """ADD waits for it."""
    import threading
    agents = []
    timer = threading.Timer(0.5, lambda: agents.append(FakeAgent(host)))
    timer.start()
    Runtime(host, agent_timeout_ms=8000).add(sandbox("front"))
    timer.join()
    agents[0].stop()


def test_policy_not_in_time(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    agent.answers["commit"] = {"ok": False, "code": 11, "msg": "policy is not in force yet"}
    with pytest.raises(CniError) as caught:
        runtime.add(pod)
    assert caught.value.code == 11 and "policy" in caught.value.error["msg"]
    assert host.snapshot() == before and pod.snapshot() == inside and not agent.held


def test_agent_started_anew_between_the_halves(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before = host.snapshot()
    agent.before_answer = lambda request: agent.held.clear() if request["op"] == "commit" else None
    assert code_of(runtime.add, pod) == 11
    assert host.snapshot() == before
    agent.before_answer = None
    runtime.add(pod)


def test_no_address_left(runtime, agent, sandbox, host):
    agent.answers["allocate"] = {"ok": False, "code": 100, "msg": "no free address", "details": "pools: blue"}
    with pytest.raises(CniError) as caught:
        runtime.add(sandbox("front"))
    assert caught.value.error["details"] == "pools: blue"


def test_strange_answers(runtime, agent, sandbox, host):
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    good = {"ok": True, "addresses": ["10.1.0.1"], "slot": 1, "ifindex": IFINDEX_BASE + 1, "mtu": 1480}
    for change in ({"addresses": []}, {"addresses": ["10.1.0.1", "10.1.0.2"]}, {"addresses": ["10.1.0.0/24"]},
                   {"slot": 0}, {"slot": 70000}, {"ifindex": "7"}, {"mtu": -1}, {"host_mac": "x"}, {"routes": ["x"]}):
        agent.answers["allocate"] = dict(good, **change)
        code_of(runtime.add, pod)
        assert host.snapshot() == before and pod.snapshot() == inside


def test_programs_missing(runtime, agent, sandbox, host):
    pod = sandbox("front")
    host.unload_programs()
    try:
        before = host.snapshot()
        assert code_of(runtime.add, pod) == 11
        assert host.snapshot() == before and not agent.held
        assert code_of(Runtime(host, version="1.1.0").call, "STATUS") == 51
    finally:
        host.load_programs()


def test_the_products_programs(runtime, agent, sandbox, host):
    """Not the stand-ins: the object of this build. Without policy tables behind it nothing may pass."""
    host.unload_programs()
    try:
        host.load_programs(os.path.join(BUILD, "bpf/margay.bpf.o"))
        pod = sandbox("front")
        result = runtime.add(pod)
        assert host.programs(host_name("front")) == (["from_pod"], ["to_pod"])
        runtime.check(pod, result)
        host.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
        assert pod.run("ping", "-c1", "-W1", "192.0.2.1", check=False).returncode != 0
        runtime.delete(pod)
    finally:
        host.unload_programs()
        host.load_programs()


def test_status(host, agent):
    runtime = Runtime(host, version="1.1.0")
    assert runtime.call("STATUS") is None
    agent.answers["status"] = {"ok": False, "code": 50, "msg": "no address left"}
    assert code_of(runtime.call, "STATUS") == 50
    agent.stop()
    assert code_of(runtime.call, "STATUS") == 50
    assert code_of(Runtime(host, version="1.0.0").call, "STATUS") == 1


BREAK = {
    "address": lambda host, pod, name: pod.run("ip", "addr", "del", "10.1.0.1/32", "dev", "eth0"),
    "address 6": lambda host, pod, name: pod.run("ip", "addr", "del", "fd00:1::1/128", "dev", "eth0"),
    "default route": lambda host, pod, name: pod.run("ip", "route", "del", "default"),
    "default route 6": lambda host, pod, name: pod.run("ip", "-6", "route", "del", "default"),
    "host route": lambda host, pod, name: host.run("ip", "route", "del", "10.1.0.1"),
    "host route 6": lambda host, pod, name: host.run("ip", "-6", "route", "del", "fd00:1::1"),
    "neighbour": lambda host, pod, name: host.run("ip", "neigh", "del", "10.1.0.1", "dev", name),
    "gateway": lambda host, pod, name: pod.run("ip", "neigh", "del", GATEWAY4, "dev", "eth0"),
    "mac": lambda host, pod, name: pod.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"),
    "host mac": lambda host, pod, name: host.run("ip", "link", "set", name, "address", "02:00:00:00:00:98"),
    "mtu": lambda host, pod, name: pod.run("ip", "link", "set", "eth0", "mtu", "1500"),
    "pod down": lambda host, pod, name: pod.run("ip", "link", "set", "eth0", "down"),
    "interface": lambda host, pod, name: host.run("ip", "link", "del", name),
    "row": lambda host, pod, name: host.run("bpftool", "map", "update", "pinned", "/sys/fs/bpf/margay/maps/mg_ep",
                                            "key", "1", "0", "0", "0", "value", *["0"] * 72),
}


@pytest.mark.parametrize("what", BREAK)
def test_check_finds(runtime, agent, sandbox, host, what):
    pod = sandbox("front")
    result = runtime.add(pod)
    # A slot of its own name for the row test: the agent gave slot 1.
    assert agent.slots == 1
    runtime.check(pod, result)
    BREAK[what](host, pod, host_name("front"))
    assert code_of(runtime.check, pod, result) == 102


def test_check_finds_a_program_ahead(runtime, agent, sandbox, host):
    pod = sandbox("front")
    result = runtime.add(pod)
    name = host_name("front")
    if host.run("tc", "filter", "show", "dev", name, "ingress").stdout:
        pytest.skip("no TCX in this kernel")
    tcx_prepend(host, name, "/sys/fs/bpf/margay/progs/stranger")
    assert host.programs(name)[0] == ["stranger", "from_pod"]
    assert code_of(runtime.check, pod, result) == 102


def tcx_prepend(host, name, pin):
    """BPF_PROG_ATTACH with BPF_F_BEFORE to the ingress of TCX; Debian's bpftool does not know it."""
    script = r"""
import ctypes, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    r = libc.syscall(321, command, buffer, 128)
    assert r >= 0, ctypes.get_errno()
    return r
path = ctypes.create_string_buffer(sys.argv[2].encode())
program = bpf(7, struct.pack("=QII", ctypes.addressof(path), 0, 0))
bpf(8, struct.pack("=IIIIIIQ", socket.if_nametoindex(sys.argv[1]), program, 46, 8, 0, 0, 0))
"""
    host.run("python3", "-c", script, name, pin)


def test_check_against_the_runtimes_idea(runtime, agent, sandbox):
    pod = sandbox("front")
    result = runtime.add(pod)
    other = json.loads(json.dumps(result).replace("10.1.0.1", "10.1.0.99"))
    assert code_of(runtime.check, pod, other) == 102
    assert code_of(runtime.call, "CHECK", pod) == 7  # without prevResult
    agent.held[(pod.container, "eth0")]["slot"] = 99
    assert code_of(runtime.check, pod, result) == 102
    agent.stop()
    runtime.check(pod, result)  # the kernel's state alone
    assert code_of(runtime.check, sandbox("back"), result) == 3


def test_gc(host, agent, sandbox):
    runtime, other = Runtime(host, version="1.1.0"), Runtime(host, version="1.1.0", name="other")
    keep, drop, foreign = sandbox("keep"), sandbox("drop"), sandbox("foreign")
    kept = runtime.add(keep)
    before = host.snapshot()
    runtime.add(drop)
    middle = host.snapshot()
    other.add(foreign)
    valid = [{"containerID": keep.container, "ifname": "eth0"}]
    drop.remove()
    assert runtime.call("GC", **{"cni.dev/valid-attachments": valid}) is None
    assert {key[0] for key in agent.held} == {keep.container, foreign.container}
    assert other.call("GC", **{"cni.dev/valid-attachments": []}) is None
    assert {key[0] for key in agent.held} == {keep.container}
    assert host.snapshot() == before and before != middle
    runtime.check(keep, kept)
    assert code_of(runtime.call, "GC") == 7  # absent: no order to delete all
    assert runtime.call("GC", **{"cni.dev/valid-attachments": None}) is None  # an empty list as Go writes it
    assert not agent.held


def test_gc_without_agent(host, agent, sandbox):
    runtime = Runtime(host, version="1.1.0")
    pod = sandbox("front")
    runtime.add(pod)
    agent.stop()
    assert runtime.call("GC", **{"cni.dev/valid-attachments": []}) is None
    assert host.snapshot()["files"] == [f"/released/{pod.container}:eth0.json"]


def test_del_with_the_state_folder_emptied(runtime, agent, sandbox, host):
    import shutil
    pod = sandbox("front")
    before = host.snapshot()
    runtime.add(pod)
    shutil.rmtree(host.state)
    runtime.delete(pod)
    assert host.snapshot() == before and not agent.held


def test_files_are_private(runtime, agent, sandbox, host):
    pod = sandbox("front")
    runtime.add(pod)
    for at, folders, files in os.walk(host.state):
        assert stat.S_IMODE(os.stat(at).st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode) == 0o600
    os.chmod(host.state, 0o777)
    with pytest.raises(CniError) as caught:
        runtime.add(sandbox("back"))
    assert caught.value.code == 5 and "chmod" in caught.value.error["details"]
    os.chmod(host.state, 0o700)


def test_many_at_once(runtime, agent, sandbox, host):
    from concurrent.futures import ThreadPoolExecutor
    before = host.snapshot()
    pods = [sandbox(f"pod-{i}") for i in range(12)]
    with ThreadPoolExecutor(6) as workers:
        results = list(workers.map(runtime.add, pods))
    assert len({r["ips"][0]["address"] for r in results}) == 12
    with ThreadPoolExecutor(6) as workers:
        list(workers.map(runtime.delete, pods))
    assert host.snapshot() == before
    wait_for(lambda: not agent.held, "all released")
