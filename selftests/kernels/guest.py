# SPDX-License-Identifier: Apache-2.0
"""Guests by virtme-ng under software emulation: how they are started, and what they run.

A guest sees the machine's file system read-only over 9p; build/ is writable. There each start of a process costs up to
a second, so a guest that starts many unpacks build/kernels/root.tar (selftests/kernels/image) into memory and makes
that its root. docs/kernels.md has the rest.
"""
import os
import shutil
import subprocess
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
CACHE = os.environ.get("MARGAY_CACHE", os.path.expanduser("~/.cache/margay"))
LIMIT = int(os.environ.get("KERNEL_TIMEOUT", "2400"))  # seconds a guest, by the clock of a busy machine
PACKETS = os.environ.get("KERNEL_PACKETS", "4000")
VERDICTS = os.environ.get("KERNEL_VERDICTS", "50000")
MEMORY = 2048  # MiB a guest; the tests' flow tables are as large as the product's
IMAGE = os.path.join(BUILD, "kernels", "root.tar")
# What costs an emulated processor much and tests nothing.
PLAIN = "nokaslr mitigations=off init_on_alloc=0 no5lvl"
# Without "fast" string instructions the kernel copies by words: QEMU runs a `rep movsb` byte by byte, and a verifier copies
# a lot. Guarded accesses to user memory each end a translated block.
QUICK = f"{PLAIN} clearcpuid=erms,fsrm,rep_good,smap,smep hardened_usercopy=off"

# Without udev in the guest nobody makes the links through which virtme-ng talks.
SHIMS = {
    "udevd": """#!/bin/sh
mkdir -p /dev/virtio-ports
for name in /sys/class/virtio-ports/*/name; do
\tport=${name%/name}
\tln -sf "../${port##*/}" "/dev/virtio-ports/$(cat "$name")"
done
""",
    "udevadm": "#!/bin/sh\nexit 0\n",
    "systemd-tmpfiles": "#!/bin/sh\nexit 0\n",
}

MODULES = ("veth vxlan ipip sit ip6_tunnel bridge bonding 8021q dummy ifb tun overlay sch_ingress sch_tbf cls_bpf act_bpf "
           "cls_u32 act_mirred")

# In the machine's file system: its programs are few and large.
PROGRAMS = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp CMOCKA_MESSAGE_OUTPUT=TAP
# Random tests, as many as make sense at a tenth of the speed; the machine's own kernel gets the full number.
export HOSTILE_PACKETS={packets} MARGAY_VERDICTS={verdicts}
cd {top}
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
modprobe -qa {modules}
uname -r > {out}/release
for program in {programs}; do
\tname=${{program##*/}}
\tSECONDS=0
\ttimeout {limit} "$program" > {out}/$name.log 2>&1 </dev/null
\techo "$? $SECONDS" > {out}/$name.status
done
echo done > {out}/done
"""

# Into the root in memory; the old one goes, so that mount namespaces have nothing but the new. bond0 of the first
# namespace would only be in the way.
ENTER = """#!/usr/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
modprobe -qa {modules}
mkdir /tmp/root && mount -t tmpfs -o size=1200m none /tmp/root && busybox tar xf {image} -C /tmp/root || exit 1
for name in dev proc sys; do mount --rbind /$name /tmp/root/$name; done
mkdir -p /tmp/root/old /tmp/root/usr/lib/modules /tmp/root{out}
mount --bind /lib/modules /tmp/root/usr/lib/modules
mount --bind {out} /tmp/root{out}
exec unshare -m busybox sh -c 'mount --make-rprivate / && cd /tmp/root && pivot_root . old && exec chroot . /bin/sh {out}/inside.sh'
"""
INSIDE = """
umount -l /old
cd {top}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONPATH=/site PYTHONDONTWRITEBYTECODE=1 MARGAY_CACHE=/nowhere
ip link set lo up
uname -r > {out}/release
{body}
echo done > {out}/done
"""


def write_shims():
    """Each is there whole at any time: another guest may be about to run it."""
    shims = os.path.join(BUILD, "kernels", "shims")
    os.makedirs(shims, exist_ok=True)
    for name, text in SHIMS.items():
        path = os.path.join(shims, name)
        new = f"{path}.{threading.get_ident()}"
        with open(new, "w") as file:
            file.write(text)
        os.chmod(new, 0o755)
        os.replace(new, path)
    return shims


def write_image(*programs):
    """What guests with a root in memory need; programs beside the product's."""
    os.makedirs(os.path.dirname(IMAGE), exist_ok=True)
    subprocess.run([os.path.join(TOP, "selftests", "kernels", "image"), IMAGE, *programs], check=True)


def kernels(names=None):
    """[(name, folder, vmlinuz)]; fetches what is not there. names: KERNELS, or all."""
    env = dict(os.environ, KERNELS=names) if names else None
    done = subprocess.run([os.path.join(TOP, "selftests", "kernels", "fetch")], stdout=subprocess.PIPE, text=True, check=True,
                          stdin=subprocess.DEVNULL, env=env)
    return [line.split("\t") for line in done.stdout.split("\n") if line]


def boot(image, out, script, shell="bash", options=(), limit=LIMIT, line=QUICK):
    """The status of a guest that ran the script, which writes into the folder out. What it cost goes into out/cost:
    seconds by the clock, and of CPU time, which is the same however busy the machine is."""
    command = ["timeout", "-k", "10", str(limit), "vng", "--disable-kvm", "--force-9p", "--run", image, "--cpus", "1",
               "--memory", f"{MEMORY}M", f"--rwdir={BUILD}", *options,
               "--append", f"PATH={write_shims()}:/bin:/sbin:/usr/bin:/usr/sbin",
               "--append", line, "--", f"{shell} {script}"]
    begin = time.monotonic()
    with open(os.path.join(out, "console"), "wb") as console:
        # A plain file as vng's output would be truncated: it goes through a pipe.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=dict(os.environ, PATH=f"{CACHE}/venv/bin:{os.environ['PATH']}"))
        for line in process.stdout:
            console.write(line)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    write(out, "cost", f"{time.monotonic() - begin:.0f} {used.ru_utime + used.ru_stime:.0f}\n")
    return process.returncode


def fresh(out):
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    return out


def write(out, name, text):
    path = os.path.join(out, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def run_programs(image, out, programs):
    """Each program's TAP in NAME.log, its status and seconds in NAME.status."""
    script = write(fresh(out), "guest.sh", PROGRAMS.format(top=TOP, out=out, limit=LIMIT // 2, modules=MODULES, packets=PACKETS, verdicts=VERDICTS,
                                                           programs=" ".join(map(os.path.abspath, programs))))
    return boot(image, out, script)


def run_inside(image, out, body, options=(), limit=LIMIT, line=QUICK):
    """body, lines of sh, with a root in memory."""
    write(fresh(out), "inside.sh", INSIDE.format(top=TOP, out=out, body=body))
    script = write(out, "guest.sh", ENTER.format(image=IMAGE, out=out, modules=MODULES))
    return boot(image, out, script, "/usr/bin/busybox sh", options, limit, line)
