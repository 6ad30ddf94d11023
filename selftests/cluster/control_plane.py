#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster's control plane: etcd, kube-apiserver as clusters have it, kube-controller-manager, kube-scheduler.

usage: control_plane.py FOLDER ADDRESS PORT NODE...

Writes FOLDER/kubeconfig (system:masters), and one each for the scheduler, the controller manager and each NODE. Prints "ready" when
pods can be made (the default service account is there) and serves until SIGTERM. Where a program is missing it prints "missing NAME"
and ends with status 77.
"""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import real_apiserver  # noqa: E402

SERVICE_ADDRESS = "10.96.0.1"
MANAGER, SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"


class ControlPlane(real_apiserver.Server):
    addresses = (SERVICE_ADDRESS,)

    def __init__(self, folder, address, port, nodes):
        self.nodes = nodes
        super().__init__(folder, address, port)

    def write_kubeconfigs(self):
        super().write_kubeconfigs()
        for _, name, _ in self.users()[1:]:
            self.write_kubeconfig(name.replace("system:", "").replace(":", "-"), self.token_of(name))

    @staticmethod
    def token_of(name):
        return "secret-of-" + name.replace(":", "-")

    def users(self):
        ours = [(name, "") for name in (MANAGER, SCHEDULER)] + [(f"system:node:{node}", "system:nodes") for node in self.nodes]
        return super().users() + [(self.token_of(name), name, group) for name, group in ours]

    def write_kubeconfig(self, name, token):
        with open(self.at("kubeconfig")) as file:
            config = json.load(file)
        config["users"][0]["user"] = {"token": token}
        self.write(name, json.dumps(config))

    def options(self, etcd):
        options = super().options(etcd) | {
            "authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction", "allow-privileged": "true",
            "kubelet-client-certificate": self.at("kubelet-client.crt"), "kubelet-client-key": self.at("kubelet-client.key"),
            "kubelet-preferred-address-types": "InternalIP", "requestheader-client-ca-file": self.at("ca.crt"),
            "requestheader-allowed-names": "front-proxy", "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group", "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        }
        del options["disable-admission-plugins"], options["endpoint-reconciler-type"]
        return options

    def start(self):
        super().start()
        self.run("kube-controller-manager", "--kubeconfig", self.at("kube-controller-manager"), "--leader-elect=false",
                 "--use-service-account-credentials", "--service-account-private-key-file", self.at("sa.key"), "--root-ca-file", self.at("ca.crt"),
                 "--bind-address", "127.0.0.1", "--node-monitor-grace-period", "60s", "--authorization-always-allow-paths", "/healthz,/metrics")
        self.run("kube-scheduler", "--kubeconfig", self.at("kube-scheduler"), "--leader-elect=false", "--bind-address", "127.0.0.1")
        end = time.monotonic() + real_apiserver.READY_SECONDS
        while True:
            try:
                self.ask("/api/v1/namespaces/default/serviceaccounts/default")
                return
            except AssertionError:
                assert time.monotonic() < end, "kube-controller-manager makes no service account"
                time.sleep(0.1)


def main():
    programs = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
    if absent := [name for name in programs if not real_apiserver.find(name)]:
        print("missing " + absent[0], flush=True)
        return 77
    folder, address, port, *nodes = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    plane = ControlPlane(folder, address, int(port), nodes)
    try:
        plane.start()
        print("ready", flush=True)
        signal.pause()
    finally:
        plane.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
