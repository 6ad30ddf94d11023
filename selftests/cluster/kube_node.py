# SPDX-License-Identifier: Apache-2.0
"""A node of a real cluster: containerd, runc and kubelet in namespaces of their own, cgroups of their own below the machine's.

What a kubelet would write into the machine's own switches (vm.overcommit_memory and the like) it finds there already: files that
say so are bound over them in the node's namespace.
"""
import glob
import json
import os
import shutil

from cluster import PATIENCE, Node, wait_for
from containers import CGROUPS, remove_cgroups, writable
from images import PAUSE
from real_apiserver import find

CONTAINERD = """version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
"""
# What kubelet demands with protectKernelDefaults.
SWITCHES = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
            "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}


class KubeNode(Node):
    def __init__(self, name, cluster):
        super().__init__(name, cluster, pids=True)
        self.pods_cgroup = f"margay-{os.getpid()}/{name}"
        self.kubelet = self.containerd = None
        writable(self, "opt", "var/log")
        self.sh("rm -rf /etc/cni/net.d/* && mkdir -p /opt/cni/bin /var/log/pods /var/log/containers")
        self._bind_folders()
        self._fake_switches()
        self._make_cgroups()
        self._own_sockets()
        self.sh("mount --make-rshared /")

    def _bind_folders(self):
        """containerd's layers cannot lie on the overlay that this node's /var/lib is."""
        for at in ("containerd", "kubelet"):
            own = os.path.join(self.folder, at)
            os.makedirs(own)
            self.sh(f"mkdir -p /var/lib/{at} && mount --bind {own} /var/lib/{at}")

    def _fake_switches(self):
        for at, value in SWITCHES.items():
            path = os.path.join(self.folder, at.replace("/", "."))
            with open(path, "w") as file:
                file.write(f"{value}\n")
            self.sh(f"mount --bind {path} /proc/sys/{at}")

    def _make_cgroups(self):
        """One below each hierarchy; a cpuset is usable once it has processors and memory."""
        with open("/proc/mounts") as rows:
            tops = {row.split()[1] for row in rows if row.split()[2] in ("cgroup", "cgroup2")}
        for top in tops:
            os.makedirs(f"{top}/{self.pods_cgroup}", exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if os.path.exists(f"{top}/tasks") and os.path.exists(f"{top}/{name}"):
                    self._copy(f"{top}/{name}", f"{top}/{os.path.dirname(self.pods_cgroup)}/{name}", f"{top}/{self.pods_cgroup}/{name}")

    def _own_sockets(self):
        """Its own cgroup stands for the root of the cgroup2 hierarchy: programs for sockets are attached there, and never above."""
        with open("/proc/mounts") as rows:
            top = next((row.split()[1] for row in rows if row.split()[2] == "cgroup2"), None)
        if top:
            self.cgroup, self.cgroup_top = f"{top}/{self.pods_cgroup}", top
            self.sh(f"mkdir -p {self.cgroup}/{self.pods_cgroup} && mount --bind {self.cgroup} {top}")

    def start_agent(self, *options, env=None, **more):
        return super().start_agent(*options, env={"MARGAY_CGROUP": CGROUPS} | (env or {}), **more)

    @staticmethod
    def _copy(source, *targets):
        with open(source) as file:
            value = file.read()
        for target in targets:
            with open(target, "w") as file:
                file.write(value)

    def install_cni(self, network):
        """What the installing container does in a cluster."""
        build = os.path.join(os.path.dirname(__file__), "../..", os.environ.get("BUILD", "build"))
        for source in (f"{build}/margay", f"{build}/margay-ipam", "/usr/lib/cni/portmap", "/usr/lib/cni/loopback"):
            self.run("install", "-m", "755", os.path.abspath(source), "/opt/cni/bin/")
        self.write_list(network)

    def start_containerd(self, images):
        self.run("tee", "/etc/containerd-test.toml", stdin=CONTAINERD.format(pause=PAUSE))
        self.containerd = self.start("containerd", "--config", "/etc/containerd-test.toml", log=self.path_of("containerd.log"))
        wait_for(lambda: self.try_run("ctr", "version").returncode == 0, lambda: self.told("containerd.log"), 30)
        for image in images:
            self.import_image(image)

    def import_image(self, image):
        self.run("ctr", "-n", "k8s.io", "images", "import", image, timeout=120)

    def start_kubelet(self, api, address):
        self.run("tee", "/etc/kubelet-test.yaml", stdin=json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": f"{api}/ca.crt"}},
            "authorization": {"mode": "Webhook"}, "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + self.pods_cgroup, "failCgroupV1": False, "failSwapOn": False,
            "protectKernelDefaults": True, "resolvConf": "", "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local",
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100, "imageMinimumGCAge": "24h", "oomScoreAdj": 0, "readOnlyPort": 0, "maxPods": 250,
            "volumePluginDir": "/var/lib/kubelet/volumeplugins", "nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s",
            "registryPullQPS": 0, "serializeImagePulls": False, "kubeAPIQPS": 100, "kubeAPIBurst": 200}))
        self.kubelet = self.start(find("kubelet"), "--config", "/etc/kubelet-test.yaml", "--kubeconfig", f"{api}/node-{self.name}",
                                  "--hostname-override", self.name, "--node-ip", address, log=self.path_of("kubelet.log"))

    def path_of(self, name):
        return os.path.join(self.folder, name)

    def told(self, name, lines=25):
        with open(self.path_of(name), errors="replace") as log:
            return f"{self.name} {name}\n" + "".join(log.readlines()[-lines:])

    def devices(self):
        """The host's ends of pods' pairs."""
        rows = json.loads(self.run("ip", "-j", "link", "show", timeout=30 * PATIENCE))
        return sorted(row["ifname"] for row in rows if row["ifname"].startswith("cali"))

    def close(self):
        super().close()
        remove_cgroups(self.pods_cgroup)
        for top in glob.glob(f"{CGROUPS}/{os.path.dirname(self.pods_cgroup)}") + glob.glob(f"{CGROUPS}/*/{os.path.dirname(self.pods_cgroup)}"):
            if not [each for each in os.listdir(top) if os.path.isdir(f"{top}/{each}")]:
                os.rmdir(top)
        for at in ("containerd", "kubelet"):
            shutil.rmtree(self.path_of(at), ignore_errors=True)
