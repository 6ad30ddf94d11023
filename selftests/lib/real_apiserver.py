#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real kube-apiserver over etcd, for the tests that run on the one in little too.

usage: real_apiserver.py FOLDER [--address ADDRESS] [--port PORT] [--forever]

Programs are kube-apiserver and etcd of ${MARGAY_CACHE:-~/.cache/margay}/kube/bin, or of PATH. Writes FOLDER/kubeconfig (a token
of system:masters) and others as fake_apiserver.py does, and FOLDER/audit (what was asked, JSON), defines
the CRDs of manifests/crds, prints "ready" and serves on ADDRESS (127.0.0.1) until its stdin ends (--forever: until SIGTERM). Where
a program is missing it prints "missing NAME" and ends with status 77.
"""
import argparse
import ctypes
import glob
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import fake_apiserver

TOKEN = "secret-of-the-test"
CACHE = os.environ.get("MARGAY_CACHE", os.path.expanduser("~/.cache/margay"))
READY_SECONDS = 120
STARTS = 5  # each with other ports, where somebody took one meanwhile
IN_USE = b"address already in use"
PR_SET_PDEATHSIG = 1
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
AUDIT = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"


def die_with_parent():
    """Whoever kills us with SIGKILL ends etcd and kube-apiserver, too."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def find(name):
    return shutil.which(name, path=os.path.join(CACHE, "kube/bin") + ":" + os.environ.get("PATH", ""))


def missing():
    return [name for name in ("etcd", "kube-apiserver") if not find(name)]


def free_ports(count):
    """Ports that were free a moment ago: nothing holds them for those who will bind them. Server.start() tries others."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Server:
    """etcd and kube-apiserver in a folder of their own."""

    addresses = ()  # of the server's beside the one it listens at

    def __init__(self, folder, address="127.0.0.1", port=0):
        self.folder, self.address, self.given, self.processes = str(folder), address, port, []
        self.log = open(self.at("log"), "ab")
        fake_apiserver.make_certificates(self.folder, address, self.addresses)
        fake_apiserver.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.at("sa.key"))
        self.write("token", TOKEN)
        self.write("tokens.csv", "".join(f'{token},{name},{name},"{group}"\n' for token, name, group in self.users()))
        self.write("audit.yaml", AUDIT)

    def at(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.at(name), "w") as file:
            file.write(text)

    def run(self, name, *arguments):
        self.processes.append(subprocess.Popen([find(name), *arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                               stderr=self.log, preexec_fn=die_with_parent))

    def users(self):
        """(token, name, group) of each."""
        return [(TOKEN, "admin", "system:masters")]

    def write_kubeconfigs(self):
        """They name self.port."""
        fake_apiserver.write_kubeconfigs(self.folder, self.port, self.address)

    def options(self, etcd):
        """What kube-apiserver is started with."""
        return {
            "etcd-servers": etcd, "secure-port": self.port, "bind-address": self.address, "advertise-address": self.address,
            "endpoint-reconciler-type": "none", "service-cluster-ip-range": "10.96.0.0/16", "client-ca-file": self.at("ca.crt"),
            "tls-cert-file": self.at("server.crt"), "tls-private-key-file": self.at("server.key"),
            "token-auth-file": self.at("tokens.csv"), "authorization-mode": "RBAC", "disable-admission-plugins": "ServiceAccount",
            "service-account-issuer": "https://kubernetes.default.svc", "service-account-key-file": self.at("sa.key"),
            "service-account-signing-key-file": self.at("sa.key"), "profiling": "false", "v": 1,
            "audit-policy-file": self.at("audit.yaml"), "audit-log-path": self.at("audit"),
        }

    def start(self):
        for last in (start == STARTS for start in range(1, STARTS + 1)):
            self.etcd, self.peer, free = free_ports(3)
            self.port = self.given or free
            self.write_kubeconfigs()
            begin = self.log.seek(0, os.SEEK_END)
            self.run_both()
            if self.wait():
                return
            self.end()
            with open(self.at("log"), "rb") as file:
                file.seek(begin)
                said = file.read()
            if last or IN_USE not in said:
                raise RuntimeError("kube-apiserver does not come up:\n" + said[-3000:].decode(errors="replace"))
            shutil.rmtree(self.at("etcd"), ignore_errors=True)  # it names the former ports

    def run_both(self):
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{self.peer}"
        self.run("etcd", "--data-dir", self.at("etcd"), "--unsafe-no-fsync", "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}")
        self.run("kube-apiserver", *(f"--{name}={value}" for name, value in self.options(client).items()))

    def ask(self, path, method="GET", body=None):
        """body: YAML. The answer's text; AssertionError with the server's words where it refuses."""
        request = urllib.request.Request(f"https://{self.address}:{self.port}{path}", method=method,
                                         data=body.encode() if body else None,
                                         headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/yaml",
                                                  "Accept": "application/json"})
        context = ssl.create_default_context(cafile=self.at("ca.crt"))
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None

    def define(self, crd):
        """A CustomResourceDefinition, until it is served. Its schema must be structural: nothing is stored that it does not know."""
        name = json.loads(self.ask(CRDS, "POST", crd))["metadata"]["name"]
        end = time.monotonic() + READY_SECONDS
        while True:
            status = json.loads(self.ask(f"{CRDS}/{name}")).get("status", {})
            conditions = {one["type"]: one for one in status.get("conditions") or []}
            assert "NonStructuralSchema" not in conditions, conditions
            if conditions.get("Established", {}).get("status") == "True":
                return
            assert time.monotonic() < end, f"{name}: {conditions}"
            time.sleep(0.05)

    def define_ours(self):
        for path in sorted(glob.glob(os.path.join(fake_apiserver.TOP, "manifests/crds/*.yaml"))):
            with open(path) as file:
                self.define(file.read())

    def wait(self):
        """False: one of them has ended, or the time is over."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if any(process.poll() is not None for process in self.processes):
                return False
            try:
                if self.ask("/readyz") == b"ok" and self.ask("/api/v1/namespaces/default"):
                    return True
            except (OSError, AssertionError):
                pass
            time.sleep(0.1)
        return False

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def stop(self):
        self.end()
        self.log.close()


def main():
    if absent := missing():
        print("missing " + absent[0], flush=True)
        return 77
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--forever", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(args.folder, args.address, args.port)
    try:
        server.start()
        server.define_ours()
        print("ready", flush=True)
        if args.forever:
            signal.pause()
        sys.stdin.read()
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
