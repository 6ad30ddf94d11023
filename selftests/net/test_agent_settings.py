# SPDX-License-Identifier: Apache-2.0
"""FelixConfiguration while the agent runs, and what it says of itself: metrics, also over TLS. docs/configuration.md
and docs/metrics.md say what is expected."""
import ipaddress
import json
import os
import re
import subprocess
import sys

import pytest

import cluster as places
from cluster import wait_for

POOLS = os.path.join(places.TOP, "manifests", "examples", "three-nodes", "00-pools.yaml")
STREAM = os.path.join(places.TOP, "selftests", "demo", "stream.py")
READY, NO_PEER = 1, 2
METRICS = "http://127.0.0.1:9091/metrics"
PROMTOOL = os.path.join(os.environ.get("MARGAY_CACHE", os.path.expanduser("~/.cache/margay")), "tools", "promtool")


@pytest.fixture(scope="module")
def node():
    with places.Cluster(nodes=("n1",)) as made:
        made.start()
        made["n1"].ctl("apply", "-f", POOLS)
        yield made["n1"]


@pytest.fixture
def felix(node):
    """Sets a FelixConfiguration; the objects are removed afterwards."""
    names = set()

    def put(spec, name="default"):
        names.add(name)
        node.apply(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration",
                               "metadata": {"name": name}, "spec": spec}))

    yield put
    for name in names:
        node.ctl("delete", "felixconfiguration", name)


def local(node):
    """The row of mg_local, by names."""
    rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_local"))
    return rows[0]["formatted"]["value"]


def flags_of(node, pod):
    rows = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/margay/maps/mg_ep"))
    slot = {e["container"]: e["slot"] for e in json.loads(node.ctl("endpoints", "show", "-o", "json"))}[pod.container]
    return next(r["formatted"]["value"]["flags"] for r in rows if r["formatted"]["key"] == slot)


def status(node):
    return json.loads(node.ctl("status", "-o", "json"))


def curl(node, url, *options):
    done = node.try_run("curl", "-sS", "-m", "5", *options, url)
    return done.stdout if done.returncode == 0 else None


def metric(node, name):
    found = re.search(rf"^{name} (\S+)$", curl(node, METRICS) or "", re.M)
    return float(found[1]) if found else None


def filters(node, device):
    return f"{device}(" in node.run("bpftool", "net", "show")


@pytest.mark.parametrize("spec,member,value", [
    ({"vxlanPort": 8472}, "vxlan_port", int.from_bytes((8472).to_bytes(2, "big"), sys.byteorder)),
    ({"vxlanVNI": 77}, "vni", 77),
    ({"vxlanMTU": 1300}, "mtu_vxlan", 1300),
    ({"ipipMTU": 1310}, "mtu_ipip", 1310),
    ({"natPortRange": "20000:20099"}, "nat_total", 100)])
def test_rows_follow(node, felix, spec, member, value):
    before = local(node)[member]
    assert before != value
    felix(spec)
    wait_for(lambda: local(node)[member] == value, f"{member} is {value}")
    felix({})
    wait_for(lambda: local(node)[member] == before, f"{member} is {before} again")


@pytest.mark.parametrize("spec", [{"allowIPIPPacketsFromWorkloads": True}, {"allowVXLANPacketsFromWorkloads": True},
                                  {"workloadSourceSpoofing": "Any"},
                                  {"natOutgoingExclusions": "IPPoolsAndHostIPs"}])
def test_flags_follow(node, felix, spec):
    before = local(node)["flags"]
    felix(spec)
    wait_for(lambda: bin(local(node)["flags"] ^ before).count("1") == 1, "one more flag")
    felix({})
    wait_for(lambda: local(node)["flags"] == before, "the flag goes")


@pytest.mark.parametrize("name", ["tcpSynSent", "tcpEstablished", "tcpFinsSeen", "tcpResetSeen", "udpTimeout",
                                  "icmpTimeout", "genericTimeout"])
def test_timeouts_follow(node, felix, name):
    before = local(node)["timeout"]
    felix({"bpfConntrackTimeouts": {name: "17s"}})
    ticks = 17 * 10**9 >> 20
    wait_for(lambda: ticks in local(node)["timeout"], "17 s in ticks")
    assert sum(a != b for a, b in zip(before, local(node)["timeout"])) == 1
    felix({})
    wait_for(lambda: local(node)["timeout"] == before, "the default again")


@pytest.mark.parametrize("address,member", [("192.0.2.77", "nat4"), ("2001:db8::77", "nat6")])
def test_nat_address_follows(node, felix, address, member):
    def row():
        return bytes(int(byte) for byte in local(node)[member]["b"])

    assert not any(row())
    felix({"natOutgoingAddress": address})
    packed = ipaddress.ip_address(address).packed
    wait_for(lambda: row()[-len(packed):] == packed, f"{address} in the row")
    felix({})
    wait_for(lambda: not any(row()), "none again")


def test_own_object_goes_first(node, felix):
    felix({"vxlanVNI": 77, "vxlanMTU": 1300})
    felix({"vxlanVNI": 78}, "node.n1")
    wait_for(lambda: (local(node)["vni"], local(node)["mtu_vxlan"]) == (78, 1300), "parameter by parameter")


def test_uplinks_come_and_go(node, felix):
    node.sh("ip link add dum0 type bridge && ip link set dum0 mtu 1280 && ip link set dum0 up && "
            "ip link add other0 type bridge && ip link set other0 up")
    felix({"bpfDataIfacePattern": "^(eth|dum).*", "mtuIfacePattern": "^(eth|dum).*", "bpfAttachType": "TC"})
    wait_for(lambda: filters(node, "dum0") and filters(node, "eth0"), "programs on both")
    assert metric(node, "margay_uplinks") == 2 and not filters(node, "other0")
    wait_for(lambda: local(node)["mtu_ipip"] == 1260, "the smallest MTU")
    node.run("ip", "link", "set", "dum0", "mtu", "1400")
    wait_for(lambda: local(node)["mtu_ipip"] == 1380, "a new MTU")
    felix({"bpfDataIfacePattern": "^eth.*", "bpfAttachType": "TC"})
    wait_for(lambda: not filters(node, "dum0"), "programs are taken off")
    assert filters(node, "eth0") and local(node)["mtu_ipip"] == 1480
    felix({"bpfDataIfacePattern": "^(eth|dum).*", "bpfAttachType": "TC"})
    wait_for(lambda: filters(node, "dum0"), "and put on again")
    node.kill_agent()
    node.ctl("replace", "-f", "-", stdin=json.dumps({
        "apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"},
        "spec": {"bpfDataIfacePattern": "^eth.*", "bpfAttachType": "TC"}}))
    node.start_agent()
    wait_for(lambda: not filters(node, "dum0"), "what a former agent left is found")
    node.run("ip", "link", "del", "dum0")
    wait_for(lambda: metric(node, "margay_uplinks") == 1, "one uplink")


def test_redirect_peer_can_be_turned_off(node, felix):
    pod = node.pod("direct")
    assert flags_of(node, pod) & (READY | NO_PEER) == READY
    felix({"bpfRedirectToPeer": "Disabled"})
    wait_for(lambda: flags_of(node, pod) & (READY | NO_PEER) == READY | NO_PEER, "no-peer")
    late = node.pod("late")
    assert flags_of(node, late) & NO_PEER and late.ping(pod.address())
    felix({})
    wait_for(lambda: not flags_of(node, pod) & NO_PEER, "peer again")
    late.delete()
    pod.delete()


def test_pods_without_ipv6(node, felix):
    felix({"ipv6Support": False})
    wait_for(lambda: len(node.pod("four").result["ips"]) == 1, "one address")
    felix({})
    pod = wait_for(lambda: next((p for p in [node.pod("both")] if len(p.result["ips"]) == 2), None), "two addresses")
    assert pod
    for pod in list(node.pods):
        pod.delete()


def drops(node, reason):
    return sum(d["packets"] for d in json.loads(node.ctl("drops", "show", "-o", "json")) if d["reason"] == reason)


def test_ipv6_off_and_on_again(node, felix):
    """Of pods there is none then, whatever addresses they have; IPv4 and the node's own go on."""
    one, two = node.pod("one"), node.pod("two")
    assert one.ping(two.address(6)) and one.ping("2001:db8::1") and one.ping("fd10::1")
    felix({"ipv6Support": False})
    wait_for(lambda: not one.ping(two.address(6), wait=0.5), "no IPv6 between pods")
    before = drops(node, "ipv6-off")
    assert not one.ping("2001:db8::1", wait=0.5) and not one.ping("fd10::1", wait=0.5)
    assert drops(node, "ipv6-off") >= before + 2
    assert one.ping(two.address(4)) and one.ping("192.0.2.1")
    assert node.try_run("ping", "-nc1", "-W2", "fd10::254").returncode == 0, "the node's own"
    felix({})
    wait_for(lambda: one.ping(two.address(6)), "IPv6 again")
    assert one.ping("2001:db8::1")
    one.delete()
    two.delete()


def links(node):
    return [link["ifname"] for link in json.loads(node.run("ip", "-j", "link", "show", "type", "veth"))]


def test_interface_prefix(node, felix):
    """New pods' interfaces have it; those that stand keep their name, and go with it."""
    before = node.pod("before")
    path = f"/proc/{node.pid}/root/var/lib/margay/cni/interface-prefix"

    def told():
        with open(path) as text:
            return text.read()

    assert [name for name in links(node) if name.startswith("cali")] and told() == "cali"
    felix({"interfacePrefix": "tap,cali"})
    wait_for(lambda: told() == "tap", "the plugin is told")
    after = node.pod("after")
    name = next(e["interface"] for e in json.loads(node.ctl("endpoints", "show", "-o", "json"))
                if e["container"] == after.container)
    assert re.fullmatch("tap[0-9a-f]{11}", name) and name in links(node)
    assert after.ping(before.address()) and before.ping(after.address())
    node.cni("CHECK", after)
    node.cni("CHECK", before)
    felix({"interfacePrefix": "much-too-long"})
    wait_for(lambda: [text for text in status(node)["configuration"] if "interfacePrefix" in text], "it is named")
    assert told() == "tap", "the former one stays"
    felix({})
    wait_for(lambda: told() == "cali", "the default again")
    after.delete()
    before.delete()
    assert name not in links(node)


def test_health_can_be_off(node, felix):
    felix({"healthEnabled": False})
    wait_for(lambda: curl(node, "http://127.0.0.1:9099/healthz") is None, "no listener")
    assert curl(node, METRICS)
    felix({})
    wait_for(lambda: curl(node, "http://127.0.0.1:9099/readyz") == "ok\n", "health is back")


def test_listeners_move(node, felix):
    assert curl(node, "http://127.0.0.1:9099/healthz") == "ok\n"
    assert curl(node, "http://127.0.0.1:9099/liveness") == "ok\n"
    assert curl(node, "http://127.0.0.1:9099/readiness") == "ok\n"
    felix({"healthPort": 9199, "prometheusMetricsPort": 9191, "prometheusMetricsHost": "10.10.0.1"})
    wait_for(lambda: curl(node, "http://127.0.0.1:9199/readyz") == "ok\n", "health at another port")
    assert curl(node, "http://127.0.0.1:9099/readyz") is None
    assert "margay_endpoints" in curl(node, "http://10.10.0.1:9191/metrics")
    assert curl(node, "http://127.0.0.1:9191/metrics") is None, "at the address that was named alone"
    felix({"prometheusMetricsEnabled": False})
    wait_for(lambda: curl(node, "http://127.0.0.1:9099/readyz") == "ok\n", "health is back")
    assert curl(node, METRICS) is None
    felix({"healthPort": 9091, "prometheusMetricsHost": "127.0.0.1", "healthHost": "127.0.0.1"})
    wait_for(lambda: "listen" in status(node)["reasons"], "a port that is taken is named")
    felix({})
    wait_for(lambda: status(node)["ready"], "ready again")


def test_health_at_any_free_port(node, felix):
    """Port 0 is the kernel's choice, as everywhere; the log is where it can be found."""
    def told():
        found = re.findall(r"port that the kernel chose.* host=127\.0\.0\.1 port=(\d+)", node.tail(200))
        return found[-1] if found else None
    felix({"healthPort": 0, "healthHost": "127.0.0.1"})
    port = wait_for(told, "the port is told")
    assert curl(node, f"http://127.0.0.1:{port}/healthz") == "ok\n"
    assert curl(node, "http://127.0.0.1:9099/healthz") is None
    # What changes elsewhere does not move it.
    felix({"healthPort": 0, "healthHost": "127.0.0.1", "vxlanVNI": 99})
    wait_for(lambda: local(node)["vni"] == 99, "another parameter")
    assert told() == port and curl(node, f"http://127.0.0.1:{port}/readyz") == "ok\n"
    felix({})
    wait_for(lambda: curl(node, "http://127.0.0.1:9099/readyz") == "ok\n", "health is back")


def test_log_level(node, felix):
    felix({"logSeverityScreen": "Error", "bpfDataIfacePattern": "^(eth|dum).*"})
    node.sh("ip link add dum1 type bridge && ip link set dum1 up")
    wait_for(lambda: metric(node, "margay_uplinks") == 2, "a second uplink")
    assert "interface=dum1" not in node.tail(400)
    felix({"bpfDataIfacePattern": "^(eth|dum).*"})
    node.sh("ip link add dum2 type bridge && ip link set dum2 up")
    wait_for(lambda: "interface=dum2" in node.tail(400), "said at the default level")
    node.sh("ip link del dum1 && ip link del dum2")


def test_bad_parameters_are_named_once(node):
    """What a person wrote into a manifest by hand; the rest of the object is in force."""
    path = f"/proc/{node.pid}/root/etc/margay/manifests.d"
    os.makedirs(path, mode=0o700, exist_ok=True)
    with open(f"{path}/felix.yaml", "w") as out:
        out.write("apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
                  "spec: {vxlanVNI: 79, vxlanPort: 70000, noSuchThing: 1, bpfDataIfacePattern: '^(eth.*'}\n")
    wait_for(lambda: local(node)["vni"] == 79, "the good parameter")
    told = wait_for(lambda: status(node)["configuration"], "status names the bad ones")
    for name in ("vxlanPort", "noSuchThing", "bpfDataIfacePattern"):
        assert [text for text in told if name in text], told
        node.run("touch", "/etc/margay/manifests.d/felix.yaml")
        lines = [line for line in node.tail(1000).split("\n") if "msg=configuration" in line and name in line]
        assert len(lines) == 1, lines
    assert metric(node, "margay_uplinks") == 1, "a pattern that is none changes nothing"
    os.unlink(f"{path}/felix.yaml")
    wait_for(lambda: not status(node)["configuration"], "all is well again")


def entries(node, name):
    return json.loads(node.run("bpftool", "-j", "map", "show", "pinned", f"/sys/fs/bpf/margay/maps/{name}"))["max_entries"]


def test_map_sizes_at_a_restart(node, felix):
    names = {"bpfMapSizeIPSets": "mg_nets", "bpfMapSizeRoute": "mg_addrs", "bpfMapSizeRuleCounters": "mg_rule_stats"}
    before = {name: entries(node, name) for name in names.values()}
    pod = node.pod("stays")
    felix({parameter: 250000 for parameter in names})
    for spec, sizes in (({}, dict.fromkeys(before, 250000)), (None, before)):
        node.kill_agent()
        node.start_agent()
        assert {name: entries(node, name) for name in before} == sizes
        assert pod.ping("10.10.0.1") and pod.ping("192.0.2.1")
        if spec is not None:
            felix(spec)
    pod.delete()


def test_bigger_flow_tables_at_a_restart(node, felix):
    """Sizes are taken by the next agent, and no flow is lost by it."""
    client, server = node.pod("client"), node.pod("server")
    server.start("python3", STREAM, "server", 5001)
    wait_for(lambda: ":5001 " in server.run("ss", "-Hltn"), "the server listens")
    stream = client.start("python3", STREAM, "client", server.address(), 5001, 6, stdout=-1)
    wait_for(lambda: [f for f in json.loads(node.ctl("flows", "show", "-o", "json")) if f["dport"] == 5001], "flows")
    felix({"bpfMapSizeConntrack": 600000})
    node.kill_agent()
    node.start_agent()
    about = json.loads(node.run("bpftool", "-j", "map", "show", "pinned", "/sys/fs/bpf/margay/maps/mg_flow_e"))
    assert about["max_entries"] == 300000
    lost = json.loads(stream.communicate(timeout=30)[0])
    assert lost["udp_sent"] > 1000 and lost["udp_missing"] == 0, lost
    assert lost["tcp_retransmissions"] <= lost["tcp_duplicates"], lost
    client.delete()
    server.delete()


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(node):
    folder = os.path.join(node.folder, "tls")
    node.sh(f"""set -e; mkdir -p {folder}; cd {folder}
        new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        for ca in ca other; do $new -x509 -subj /CN=$ca -keyout $ca.key -out $ca.pem; done
        make() {{ $new -subj /CN=$1 -keyout $1.key -out $1.csr
            printf 'subjectAltName=IP:127.0.0.1' > ext
            openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 2 -extfile ext -out $1.pem; }}
        make server ca; make client ca; make stranger other""")
    return folder


def test_metrics_over_tls(node, felix, certificates):
    url, ca = "https://127.0.0.1:9091/metrics", ["--cacert", f"{certificates}/ca.pem"]
    client, stranger = ([*ca, "--cert", f"{certificates}/{who}.pem", "--key", f"{certificates}/{who}.key"]
                        for who in ("client", "stranger"))
    spec = {"prometheusMetricsCertFile": f"{certificates}/server.pem", "prometheusMetricsCAFile": f"{certificates}/ca.pem",
            "prometheusMetricsKeyFile": f"{certificates}/server.key"}
    #                              without a certificate, of the CA, of another
    for auth, accepted in (("NoClientCert", (True, True, True)), ("RequireAnyClientCert", (False, True, True)),
                           ("VerifyClientCertIfGiven", (True, True, False)),
                           ("RequireAndVerifyClientCert", (False, True, False))):
        felix({**spec, "prometheusMetricsClientAuth": auth})
        wait_for(lambda: bool(curl(node, url, *client)), f"{auth}: the client is served")
        wait_for(lambda a=accepted: tuple(bool(curl(node, url, *o)) for o in (ca, client, stranger)) == a,
                 lambda: f"{auth}: {[bool(curl(node, url, *o)) for o in (ca, client, stranger)]}")
    assert curl(node, METRICS) is None, "no plain HTTP beside it"
    assert curl(node, url, *client, "--tls-max", "1.1") is None
    felix({**spec, "prometheusMetricsKeyFile": f"{certificates}/client.key"})
    wait_for(lambda: "key" in status(node)["reasons"], "a key that does not fit is named")
    assert curl(node, METRICS) is None, "and nothing is served in the clear instead"
    felix({})
    wait_for(lambda: curl(node, METRICS), "plain again")


# --- metrics -----------------------------------------------------------------------------------------------------

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="[^"\\\n]*"(?:,[a-zA-Z_]\w*="[^"\\\n]*")*\})? (\S+)$')
UNITS = re.compile(r"_(milliseconds|ms|usec|minutes|hours|kilobytes|kb|mb|percent|count|counter|gauge|info_total)(_total)?$")


def test_metrics_follow_the_rules(node):
    """The rules of `promtool check metrics` and of the exposition format (text 0.0.4)."""
    pod = node.pod("measured")
    pod.ping("10.244.77.77")
    head = node.run("curl", "-sSi", METRICS)
    assert "Content-Type: text/plain; version=0.0.4" in head
    text, seen, kinds, current = curl(node, METRICS), set(), {}, None
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            current, words = line[7:].split(" ", 1)
            assert current not in kinds, f"{current} twice"
            assert words.strip(), f"{current} has no help"
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current and kind in ("counter", "gauge"), line
            kinds[name] = kind
        else:
            name, labels, value = SAMPLE.match(line).groups()
            assert name == current and name in kinds, f"{line}: HELP and TYPE come before it"
            assert (name, labels) not in seen, f"{line} twice"
            seen.add((name, labels))
            assert float(value) >= 0
    for name, kind in kinds.items():
        assert name.endswith("_total") == (kind == "counter"), f"{name}: counters, and they alone, end in _total"
        assert name == name.lower() and not UNITS.search(name), f"{name}: base units"
        assert name.startswith(("margay_", "process_")), name
    pod.delete()


@pytest.mark.skipif(not os.path.exists(PROMTOOL), reason="no promtool: run make deps")
def test_promtool_finds_nothing(node):
    pod = node.pod("measured")
    pod.ping("10.244.77.77")
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=curl(node, METRICS), capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    bad = subprocess.run([PROMTOOL, "check", "metrics"], input="# TYPE bad_total gauge\nbad_total 1\n",
                         capture_output=True, text=True)
    assert bad.returncode != 0, "it does find something where there is something"
    pod.delete()


def page():
    with open(os.path.join(places.TOP, "docs", "metrics.md")) as text:
        return text.read()


def test_every_metric_stands_in_the_page(node):
    told = set(re.findall(r"^\| `((?:margay|process)_\w+)", page(), re.M))
    served = set(re.findall(r"^# TYPE (\S+)", curl(node, METRICS), re.M))
    assert told == served


# What Felix serves (its documentation, and its BPF mode); a * stands for a family.
FELIX = """active_local_endpoints active_local_policies active_local_selectors cluster_num_hosts cluster_num_host_endpoints
    cluster_num_workload_endpoints cluster_num_policies cluster_num_profiles cluster_num_tiers calc_graph_output_events
    calc_graph_update_time_seconds calc_graph_updates_processed exec_time_micros host
    int_dataplane_addr_msg_batch_size int_dataplane_apply_time_seconds int_dataplane_failures
    int_dataplane_iface_msg_batch_size int_dataplane_initial_resync_time_seconds int_dataplane_messages
    int_dataplane_msg_batch_size ipset_calls ipset_errors ipset_lines_executed ipsets_calico ipsets_total
    iptables_chains iptables_rules iptables_lines_executed iptables_restore_calls iptables_restore_errors
    iptables_save_calls iptables_save_errors nft_calls nft_chains nft_errors nft_maps nft_rules nft_sets
    label_index_num_active_selectors label_index_num_endpoints label_index_selector_evals
    label_index_strategy_evals log_errors logs_dropped resync_state resyncs_started route_table_num_ifaces
    route_table_num_routes route_table_partial_resync_seconds route_table_resync_seconds bpf_dataplane_endpoints
    bpf_dirty_dataplane_endpoints bpf_happy_dataplane_endpoints bpf_num_ip_sets bpf_events bpf_conntrack_used
    bpf_conntrack_sweeps bpf_conntrack_sweep_duration bpf_conntrack_cleaned_total bpf_conntrack_expired_total
    collector_epstats""".split()


def test_felix_names_are_mapped(node):
    """Each of Felix's metrics has one row, and what a row names instead is served."""
    table = page().split("## Coming from Calico")[1]
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", table, re.M)
    left = [name for names, _ in rows for name in re.findall(r"`([\w*]+)`", names)]
    assert len(left) == len(set(left)), "a name twice"
    for name in FELIX:
        fits = [at for at in left if at == f"felix_{name}" or
                at.endswith("*") and f"felix_{name}".startswith(at[:-1])]
        assert len(fits) == 1, f"felix_{name}: {fits}"
    served = set(re.findall(r"^# TYPE (\S+)", curl(node, METRICS), re.M))
    named = set(re.findall(r"\bmargay_[a-z_]+", " ".join(text for _, text in rows)))
    assert named and named <= served, named - served
    for _, text in rows:
        assert re.search(r"\bmargay_", text) or text.startswith("nothing"), text


# --- health ------------------------------------------------------------------------------------------------------

HEALTH = {"alive": ("healthz", "liveness"), "ready": ("readyz", "readiness")}


def health(node, kind):
    """(status, body) of the two names of a question, which must agree: a change may come between the two."""
    def asked():
        return {node.run("curl", "-sS", "-m", "5", "-w", "%{http_code}", f"http://127.0.0.1:9099/{path}") for path in HEALTH[kind]}

    (answer,) = wait_for(lambda: next((found for found in [asked()] if len(found) == 1), None), asked)
    return int(answer[-3:]), answer[:-3]


def test_health_when_ready(node):
    assert health(node, "alive") == health(node, "ready") == (200, "ok\n")
    assert metric(node, "margay_ready") == metric(node, "margay_datastore_up") == 1
    assert node.try_run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST",
                        "http://127.0.0.1:9099/healthz").stdout in ("405", "501")
    assert node.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9099/nothing") == "404"


def test_health_when_the_store_is_down(node):
    """Pods go on, so the node is ready; a metric and the status tell."""
    os.chmod(node.cluster.store, 0)
    try:
        wait_for(lambda: metric(node, "margay_datastore_up") == 0 or not status(node)["datastore_up"],
                 "the store is missed", 20)
        assert health(node, "alive") == health(node, "ready") == (200, "ok\n")
    finally:
        os.chmod(node.cluster.store, 0o700)
    wait_for(lambda: metric(node, "margay_datastore_up") == 1, "the store is back", 20)


def test_health_when_degraded(node, felix, certificates):
    """Something cannot be put into force: not ready, with the reason, and alive, so that nobody ends the agent."""
    felix({"prometheusMetricsCertFile": f"{certificates}/server.pem",
           "prometheusMetricsKeyFile": f"{certificates}/client.key"})
    wait_for(lambda: "key" in status(node)["reasons"], "a key that does not fit")
    wait_for(lambda: health(node, "ready")[0] == 503 and "key" in health(node, "ready")[1], "not ready, and why")
    assert health(node, "alive") == (200, "ok\n")
    felix({})
    wait_for(lambda: health(node, "ready") == (200, "ok\n"), "ready again")
