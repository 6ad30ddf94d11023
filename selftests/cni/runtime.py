# SPDX-License-Identifier: Apache-2.0
"""A container runtime, a host and an agent for tests of the CNI plugin.

A Host is a network and mount namespace with its own bpffs, /run and state folder, in which programs of the
product's names are pinned (stand_in.bpf.c: they let everything pass). A Sandbox is a container's network
namespace, bound to a path as runtimes do. FakeAgent speaks docs/cni-socket.md. All of it ends with Host.close().
"""
import ctypes
import ipaddress
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
PLUGIN = os.path.join(BUILD, "margay")
HOST_MAC = "ee:ee:ee:ee:ee:ee"
GATEWAY4, GATEWAY6 = "169.254.1.1", "fe80::ecee:eeff:feee:eeee"
IFINDEX_BASE = 1000000


def wait_for(condition, what, timeout=30.0):
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)
    return value


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# BPF_PROG_QUERY of BPF_TCX_INGRESS or BPF_TCX_EGRESS: Debian's bpftool does not know them. Prints ids.
QUERY_TCX = r"""
import ctypes, socket, struct, sys
ids = (ctypes.c_uint32 * 64)()
attributes = struct.pack("=IIIIQI", socket.if_nametoindex(sys.argv[1]), int(sys.argv[2]), 0, 0, ctypes.addressof(ids), 64)
buffer = ctypes.create_string_buffer(attributes, 128)
if ctypes.CDLL(None).syscall(321, 16, buffer, 128) == 0:
    print(*ids[:struct.unpack_from("=I", buffer, 24)[0]])
"""


class CniError(AssertionError):
    def __init__(self, error, stderr):
        super().__init__(f"{error} {stderr}")
        self.error, self.code, self.stderr = error, error.get("code"), stderr


class Host:
    def __init__(self, ipv6=True):
        self.folder = tempfile.mkdtemp(prefix="margay-cni-")
        self.state = os.path.join(self.folder, "state")
        self.socket = os.path.join(self.folder, "cni.sock")
        self.holder = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "private", "sh", "-c",
                                        "echo; exec sleep infinity"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, preexec_fn=_die_with_parent)
        self.holder.stdout.readline()
        # libcni keeps a cache in /var/lib/cni: a layer over /var/lib, so that the machine's stays as it is.
        self.sh("set -e; mount -t sysfs sysfs /sys; mount -t bpf bpf /sys/fs/bpf; mount -t tmpfs tmpfs /run; "
                "mkdir /run/netns /run/up /run/work; ip link set lo up; "
                "mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/up,workdir=/run/work /var/lib; "
                "mkdir -m 700 -p /sys/fs/bpf/margay/progs /sys/fs/bpf/margay/maps")
        self.sandboxes = 0

    def close(self):
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.folder)

    def wrap(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-n", *map(str, command)]

    def run(self, *command, check=True, **options):
        done = subprocess.run(self.wrap(*command), capture_output=True, text=True, timeout=60,
                              **dict({"stdin": subprocess.DEVNULL} if "input" not in options else {}, **options))
        if check:
            assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
        return done

    def sh(self, script):
        return self.run("sh", "-c", script).stdout

    def json(self, *command):
        return json.loads(self.run(*command).stdout or "[]")

    def load_programs(self, built=None):
        """The stand-ins, or those of the object built."""
        stand_in = os.path.join(self.folder, "stand_in.o")
        if not built and not os.path.exists(stand_in):
            subprocess.run(["clang-19", "-target", "bpf", "-mcpu=v3", "-O2", "-g", f"-I{TOP}/bpf", "-idirafter",
                            f"/usr/include/{os.uname().machine}-linux-gnu", "-c",
                            os.path.join(TOP, "selftests/cni/stand_in.bpf.c"), "-o", stand_in], check=True)
        self.run("bpftool", "prog", "loadall", built or stand_in, "/sys/fs/bpf/margay/progs", "pinmaps", "/sys/fs/bpf/margay/maps")

    def unload_programs(self):
        self.sh("rm -f /sys/fs/bpf/margay/progs/* /sys/fs/bpf/margay/maps/*")

    def programs(self, ifname):
        """Names of the programs on a device by TCX or clsact, first to last: (ingress, egress)."""
        found = []
        for way, number in (("ingress", 46), ("egress", 47)):
            ids = self.run("python3", "-c", QUERY_TCX, ifname, number).stdout.split()
            names = [self.json("bpftool", "-j", "prog", "show", "id", one)["name"] for one in ids]
            if not names:
                rules = self.run("tc", "-j", "filter", "show", "dev", ifname, way, check=False).stdout
                names = [rule["options"]["prog"]["name"] for rule in json.loads(rules or "[]")
                         if "prog" in rule.get("options", {})]
            found.append(names)
        return tuple(found)

    def snapshot(self):
        """What an attachment may leave on the host: all of it, as text."""
        def ip(*what):
            return sorted(self.run("ip", "-o", *what).stdout.split("\n"))
        # The rows of a device's counters and of lo never change here.
        return {"links": ip("link"), "addresses": ip("addr"), "routes4": ip("route", "show", "table", "all"),
                "routes6": ip("-6", "route", "show", "table", "all"), "neighbours": ip("neigh"),
                "files": sorted(os.path.join(at, name)[len(self.state):] for at, _, names in os.walk(self.state)
                                for name in names if name != "lock")}


class Sandbox:
    """A container's network namespace at a path."""

    def __init__(self, host, pod=None, namespace=None, container=None):
        host.sandboxes += 1
        self.host, self.ifname = host, "eth0"
        self.name = f"c{host.sandboxes}"
        self.container = container or f"{self.name}-{os.urandom(4).hex()}"
        self.path = f"/run/netns/{self.name}"
        self.args = "IgnoreUnknown=1"
        if pod:
            self.args += f";K8S_POD_NAMESPACE={namespace or 'default'};K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}"
        host.run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.gone = False

    def wrap(self, *command):
        return self.host.wrap("ip", "netns", "exec", self.name, *command)

    def run(self, *command, check=True):
        return self.host.run("ip", "netns", "exec", self.name, *command, check=check)

    def json(self, *command):
        return json.loads(self.run(*command).stdout or "[]")

    def remove(self):
        if not self.gone:
            self.host.run("ip", "netns", "del", self.name)
            self.gone = True

    def snapshot(self):
        def ip(*what):
            return sorted(self.run("ip", "-o", *what).stdout.split("\n"))
        return {"links": ip("link"), "addresses": ip("addr"), "routes": ip("route", "show", "table", "all"),
                "routes6": ip("-6", "route", "show", "table", "all"), "neighbours": ip("neigh")}


class Runtime:
    """Runs the plugin as a container runtime does."""

    def __init__(self, host, version="1.0.0", name="k8s", **config):
        self.host = host
        self.config = dict({"cniVersion": version, "name": name, "type": "margay", "agent_socket": host.socket,
                            "state_dir": host.state, "agent_timeout_ms": 10000}, **config)

    def command(self, command, sandbox=None, prefix=(), env=None, plugin=None, **config):
        """(exit status, stdout, stderr)"""
        full = dict(os.environ, CNI_COMMAND=command, CNI_PATH=f"{self.host.folder}/bin:/usr/lib/cni")
        if sandbox:
            full.update(CNI_CONTAINERID=sandbox.container, CNI_NETNS="" if sandbox.gone else sandbox.path,
                        CNI_IFNAME=sandbox.ifname, CNI_ARGS=sandbox.args)
        full.update(env or {})
        text = json.dumps(dict(self.config, **config))
        done = self.host.run(*prefix, plugin or PLUGIN, check=False, env=full, input=text)
        return done.returncode, done.stdout, done.stderr

    def call(self, command, sandbox=None, **more):
        """The result, parsed; CniError if it failed."""
        status, out, err = self.command(command, sandbox, **more)
        if status:
            try:
                error = json.loads(out)
            except ValueError:
                raise AssertionError(f"{command}: status {status}, no error object: {out!r} {err}") from None
            assert {"cniVersion", "code", "msg"} <= set(error) and error["msg"], error
            raise CniError(error, err)
        self.stderr = err
        return json.loads(out) if out.strip() else None

    def add(self, sandbox, **more):
        return self.call("ADD", sandbox, **more)

    def delete(self, sandbox, **more):
        assert self.call("DEL", sandbox, **more) is None

    def check(self, sandbox, result, **more):
        assert self.call("CHECK", sandbox, prevResult=result, **more) is None


class FakeAgent:
    """The agent's side of docs/cni-socket.md, without policy: writes the endpoint rows and says yes."""

    def __init__(self, host, net4="10.1.0.0/24", net6="fd00:1::/64"):
        self.host, self.requests, self.answers = host, [], {}
        self.free4 = iter(ipaddress.ip_network(net4).hosts()) if net4 else None
        self.free6 = iter(ipaddress.ip_network(net6).hosts()) if net6 else None
        self.held, self.slots, self.pod_cidrs = {}, 0, []
        self.before_answer = None  # function(request), called first
        self.wanted = None  # "tcx" or "clsact"; None: it does not say
        self.aside = None  # names of interfaces it took to delete them later; None: it takes none
        self.start()

    def start(self):
        if os.path.exists(self.host.socket):
            os.unlink(self.host.socket)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.host.socket)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, args=(self.listener,), daemon=True)
        self.thread.start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        os.unlink(self.host.socket)

    def serve(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                line = peer.makefile("rb").readline()
                if line:
                    answer = self.answer(json.loads(line))
                    try:
                        peer.sendall(json.dumps(answer).encode() + b"\n")
                    except OSError:
                        pass  # it was killed meanwhile

    def answer(self, request):
        assert request["version"] == 1
        self.requests.append(request)
        if self.before_answer:
            self.before_answer(request)
        op = request["op"]
        if op in self.answers:
            return self.answers[op]
        return getattr(self, "op_" + op)(request)

    def ops(self):
        return [request["op"] for request in self.requests]

    def op_allocate(self, request):
        key = (request["container"], request["ifname"])
        if key not in self.held:
            self.slots += 1
            addresses = request.get("addresses") or request.get("ips") or [
                str(next(free)) for family, free in (("ipv4", self.free4), ("ipv6", self.free6))
                if free and request.get(family, True)]
            self.held[key] = {"addresses": addresses, "slot": self.slots, "ifindex": IFINDEX_BASE + self.slots,
                              "mtu": 1480, "network": request["network"]}
        held = self.held[key]
        held["ports"] = request.get("portMappings", [])
        wanted = {"attach": self.wanted} if self.wanted else {}
        return {"ok": True, **wanted, **{k: held[k] for k in ("addresses", "slot", "ifindex", "mtu")}}

    def op_commit(self, request):
        held = self.held.get((request["container"], request["ifname"]))
        if not held:
            return {"ok": False, "code": 3, "msg": "unknown attachment"}
        held.update(ifindex=request["ifindex"], mac=request["mac"], cookie=request["netns_cookie"])
        self.write_row(held, request)
        self.write_ports(held, held["ports"])
        return {"ok": True}

    @staticmethod
    def packed(held, version):
        for text in held["addresses"]:
            addr = ipaddress.ip_address(text.split("/")[0])
            if addr.version == version:
                return addr.packed if version == 6 else b"\0" * 10 + b"\xff\xff" + addr.packed
        return bytes(16)

    def write_ports(self, held, ports):
        """struct mg_front_key, mg_front, mg_back of bpf/abi/service.h, at all addresses of the node, for the cluster."""
        for number, port in enumerate(ports):
            for version in (4, 6):
                one = 100 * held["slot"] + 2 * number + (version == 6)
                any_ = b"\0" * 10 + (b"\xff\xff" if version == 4 else b"\0\0") + b"\0" * 4
                proto = {"tcp": 6, "udp": 17, "sctp": 132}[port["protocol"]]
                self.update("mg_fronts", any_ + struct.pack(">HBB4x", port["hostPort"], proto, 0), struct.pack("=4I", one, 1, 0, 4))
                self.update("mg_backs", struct.pack("=II", one, 0),
                            self.packed(held, version) + struct.pack(">H6x", port["containerPort"]))

    def write_row(self, held, request, flags=1):
        """struct mg_ep of bpf/abi/endpoint.h"""
        mac = bytes.fromhex(request["mac"].replace(":", ""))
        host_mac = bytes.fromhex(request["host_mac"].replace(":", ""))
        row = self.packed(held, 4) + self.packed(held, 6)
        row += struct.pack("=QIIIH6s6s6x", request["netns_cookie"], request["ifindex"], flags, request["mtu"], held["slot"], mac, host_mac)
        assert len(row) == 72
        self.update("mg_ep", held["slot"], row)
        if request["ifindex"] != IFINDEX_BASE + held["slot"]:
            self.update("mg_ep_if", request["ifindex"], struct.pack("=I", held["slot"]))

    def update(self, name, key, value):
        def spell(data):
            return [f"0x{byte:02x}" for byte in data]
        self.host.run("bpftool", "map", "update", "pinned", f"/sys/fs/bpf/margay/maps/{name}", "key",
                      *spell(key if isinstance(key, bytes) else struct.pack("=I", key)), "value", *spell(value))

    def op_del(self, request):
        self.held.pop((request["container"], request["ifname"]), None)
        if self.aside is None or "link" not in request:
            return {"ok": True}
        self.aside.append(request["link"])
        return {"ok": True, "link": True}

    def delete_aside(self):
        """Those that still have the name: a DEL that was killed may have been repeated."""
        while self.aside:
            self.host.run("ip", "link", "del", self.aside.pop(), check=False)

    def op_check(self, request):
        held = self.held.get((request["container"], request["ifname"]))
        if not held:
            return {"ok": False, "code": 3, "msg": "unknown attachment"}
        return {"ok": True, **{k: held[k] for k in ("addresses", "slot", "ifindex")}}

    def op_gc(self, request):
        valid = {(v["container"], v["ifname"]) for v in request["valid"]}
        self.held = {key: held for key, held in self.held.items()
                     if key in valid or held["network"] != request["network"]}
        return {"ok": True}

    def op_status(self, request):
        return {"ok": True}

    def op_node(self, request):
        return {"ok": True, "pod_cidrs": self.pod_cidrs}
