#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real kube-apiserver over etcd, for the tests that run on the one in little too.

usage: real_apiserver.py FOLDER [--log FILE]

Programs are kube-apiserver and etcd of ${MARGAY_CACHE:-~/.cache/margay}/kube/bin, or of PATH. Writes FOLDER/kubeconfig (a token
of system:masters) and others as fake_apiserver.py does, prints "ready" and serves on ports of 127.0.0.1 until its stdin ends. Where
a program is missing it prints "missing NAME" and ends with status 77.
"""
import os
import shutil
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


def find(name):
    return shutil.which(name, path=os.path.join(CACHE, "kube/bin") + ":" + os.environ.get("PATH", ""))


def missing():
    return [name for name in ("etcd", "kube-apiserver") if not find(name)]


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Server:
    """etcd and kube-apiserver in a folder of their own."""

    def __init__(self, folder):
        self.folder, self.processes = str(folder), []
        self.etcd, self.peer, self.port = free_ports(3)
        self.log = open(self.at("log"), "ab")
        fake_apiserver.make_certificates(self.folder)
        fake_apiserver.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.at("sa.key"))
        self.write("token", TOKEN)
        self.write("tokens.csv", f'{TOKEN},admin,admin,"system:masters"\n')
        fake_apiserver.write_kubeconfigs(self.folder, self.port)

    def at(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.at(name), "w") as file:
            file.write(text)

    def run(self, name, *arguments):
        self.processes.append(subprocess.Popen([find(name), *arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                               stderr=self.log))

    def start(self):
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{self.peer}"
        self.run("etcd", "--data-dir", self.at("etcd"), "--unsafe-no-fsync", "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}")
        self.run("kube-apiserver", "--etcd-servers", client, "--secure-port", str(self.port), "--bind-address", "127.0.0.1",
                 "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.96.0.0/16",
                 "--client-ca-file", self.at("ca.crt"), "--tls-cert-file", self.at("server.crt"),
                 "--tls-private-key-file", self.at("server.key"), "--token-auth-file", self.at("tokens.csv"),
                 "--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount",
                 "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", self.at("sa.key"),
                 "--service-account-signing-key-file", self.at("sa.key"), "--profiling=false", "--v", "1")
        self.wait()

    def ask(self, path):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.at("ca.crt")), timeout=5) as answer:
            return answer.read()

    def wait(self):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                if self.ask("/readyz") == b"ok" and self.ask("/api/v1/namespaces/default"):
                    return
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.1)
        with open(self.at("log"), errors="replace") as file:
            raise RuntimeError("kube-apiserver does not come up:\n" + file.read()[-3000:])

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()


def main():
    if absent := missing():
        print("missing " + absent[0], flush=True)
        return 77
    server = Server(sys.argv[1])
    try:
        server.start()
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
