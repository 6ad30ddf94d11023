# SPDX-License-Identifier: Apache-2.0
"""The plugin fails or is killed at each system call that changes something: nothing stays behind.

strace counts the calls of one undisturbed ADD (or DEL) by kind; then each of them is made to fail, or the plugin is
killed as it enters it. CNI_KILLS bounds how many points of each test are tried (spread evenly; 0: all).
"""
import collections
import os
import re
import threading

import pytest

from runtime import CniError

# Calls that change the kernel's or the disk's state. sendmsg: netlink; sendto: the agent.
CHANGING = ("sendmsg", "sendto", "write", "bpf", "ioctl", "mkdir", "rename", "renameat", "unlink", "unlinkat",
            "setns", "fsync", "fchmod", "fcntl")
PAUSES = ("nanosleep", "clock_nanosleep")
LIMIT = int(os.environ.get("CNI_KILLS", "60"))


def calls_of(runtime, command, pod, log):
    """(call, number) of each call of an undisturbed run. What it asks again after a pause is left out: how often it
    must, for the kernel to bring the interface up, is the machine's affair, and hundreds of such calls on a busy one
    would leave no room for the others among LIMIT."""
    prefix = ["strace", "-f", "-o", log, "-e", "trace=" + ",".join(CHANGING + PAUSES)]
    status, out, err = runtime.command(command, pod, prefix=prefix)
    assert status == 0, out + err
    counted, paused, points = collections.Counter(), set(), []
    with open(log) as lines:
        calls = [found.groups() for found in (re.match(r"(\d+) +(\w+)\(", line) for line in lines) if found]
    for process, call in calls:
        if call in PAUSES:
            paused.add(process)
            continue
        counted[call] += 1
        if process not in paused:
            points.append((call, counted[call]))
        paused.discard(process)
    return points


def points_of(points):
    """At most LIMIT of them, spread over the run."""
    points = sorted(points)
    if LIMIT and len(points) > LIMIT:
        points = [points[i * len(points) // LIMIT] for i in range(LIMIT)]
    return points


def disturbed(runtime, command, pod, call, number, what):
    return runtime.command(command, pod, prefix=[
        "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}"])


@pytest.fixture
def story(host, agent, runtime, sandbox):
    """A pod, what its ADD calls, and the state before it."""
    class Story:
        pod = sandbox("front")
        log = os.path.join(host.folder, "calls")

        def counted(self, command):
            if command == "DEL":
                runtime.add(self.pod)
            points = calls_of(runtime, command, self.pod, self.log)
            if command == "ADD":
                runtime.delete(self.pod)
            return points_of(points)

        def remember(self):
            self.before, self.inside = host.snapshot(), self.pod.snapshot()

        def assert_clean(self, point):
            assert host.snapshot() == self.before, point
            assert self.pod.snapshot() == self.inside, point
            assert not agent.held, point
    return Story()


def test_waiting_adds_no_points(runtime, agent, host, story):
    """However long the kernel takes to bring the host's end up: here it is not allowed to for a while."""
    quick, timers = story.counted("ADD"), []

    def hold(request):
        if request["op"] == "commit":
            host.run("ip", "link", "set", request["host_ifname"], "mode", "dormant")
            timers.append(threading.Timer(1, host.run, ("ip", "link", "set", request["host_ifname"], "mode", "default", "state", "up")))
            timers[-1].start()
    agent.before_answer = hold
    assert story.counted("ADD") == quick
    with open(story.log) as lines:
        assert sum("nanosleep(" in line for line in lines) > 20, "it did wait"
    timers[0].join()


def test_add_fails_at_each_call(runtime, agent, host, story):
    """A failed ADD has undone itself; what failed only to be tidied may stand (then ADD succeeded)."""
    points = story.counted("ADD")
    story.remember()
    assert len(points) > 30
    failed, ends = 0, collections.Counter()
    for call, number in points:
        status, out, err = disturbed(runtime, "ADD", story.pod, call, number, "error=EIO")
        ends[status, bool(out), err[-200:]] += 1
        # Without an error object it is as if killed: no way back into the host's namespace, no stdout.
        if status and out:
            failed += 1
            # The record may be what could not be removed: DEL takes it.
            left = host.snapshot()
            left.pop("files")
            assert left == {k: v for k, v in story.before.items() if k != "files"}, (call, number, out, err)
            assert story.pod.snapshot() == story.inside, (call, number)
        runtime.delete(story.pod)
        story.assert_clean((call, number, out, err))
    assert failed > 20, ends


def test_add_killed_at_each_call_then_del(runtime, agent, host, story):
    points = story.counted("ADD")
    story.remember()
    killed = 0
    for call, number in points:
        status, _, _ = disturbed(runtime, "ADD", story.pod, call, number, "signal=KILL")
        killed += status != 0
        runtime.delete(story.pod)
        story.assert_clean((call, number))
    assert killed >= len(points) // 2


def test_add_killed_at_each_call_then_add(runtime, agent, host, story):
    points = story.counted("ADD")
    story.remember()
    for call, number in points[::3]:
        disturbed(runtime, "ADD", story.pod, call, number, "signal=KILL")
        result = runtime.add(story.pod)
        runtime.check(story.pod, result)
        runtime.delete(story.pod)
        story.assert_clean((call, number))


def test_add_killed_at_each_call_then_gc(host, agent, runtime, story):
    points = story.counted("ADD")
    story.remember()
    for call, number in points[1::3]:
        disturbed(runtime, "ADD", story.pod, call, number, "signal=KILL")
        assert runtime.call("GC", cniVersion="1.1.0", **{"cni.dev/valid-attachments": []}) is None
        story.assert_clean((call, number))


def test_add_killed_at_each_call_then_another_sandbox(host, runtime, agent, sandbox, story):
    """The pod's next sandbox comes before the DEL of the one whose ADD was killed: that DEL takes nothing away."""
    points = story.counted("ADD")
    story.remember()
    for call, number in points[::2]:
        disturbed(runtime, "ADD", story.pod, call, number, "signal=KILL")
        other = sandbox("front")
        result = runtime.add(other)
        runtime.delete(story.pod)
        runtime.check(other, result)
        runtime.delete(other)
        story.assert_clean((call, number))
        other.remove()


@pytest.mark.parametrize("takes", [False, True])
def test_del_killed_at_each_call(runtime, agent, host, story, takes):
    """Also where the agent takes the interfaces: those it was told of, and no others, are left to it."""
    agent.aside = [] if takes else None
    before, inside = host.snapshot(), story.pod.snapshot()
    points = story.counted("DEL")
    story.before, story.inside = before, inside
    for call, number in points:
        runtime.add(story.pod)
        disturbed(runtime, "DEL", story.pod, call, number, "signal=KILL")
        runtime.delete(story.pod)
        if takes:
            agent.delete_aside()
        story.assert_clean((call, number))


def test_del_killed_without_agent(runtime, agent, host, story):
    """What the agent was not told waits on disk, and is told before the next ADD."""
    points = story.counted("DEL")
    for call, number in points[::4]:
        runtime.add(story.pod)
        agent.stop()
        disturbed(runtime, "DEL", story.pod, call, number, "signal=KILL")
        runtime.delete(story.pod)
        assert host.snapshot()["files"] == [f"/released/{story.pod.container}:eth0.json"], (call, number)
        agent.start()


def test_disk_full(bare_host, agent, sandbox, tmp_path):
    """No room for the record: ADD fails before it made anything."""
    from runtime import Runtime
    host = bare_host
    place = os.path.join(host.folder, "small")
    os.makedirs(place, exist_ok=True)
    host.run("mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", place)
    try:
        host.sh(f"dd if=/dev/zero of={place}/fill bs=1k 2>/dev/null; mkdir -m 700 {place}/state 2>/dev/null; true")
        runtime = Runtime(host, state_dir=os.path.join(place, "state"))
        pod = sandbox("front")
        before = [host.json("ip", "-j", "link"), pod.snapshot()]
        with pytest.raises(CniError) as caught:
            runtime.add(pod)
        assert caught.value.code == 5
        assert [host.json("ip", "-j", "link"), pod.snapshot()] == before and not agent.held
        host.run("rm", os.path.join(place, "fill"))
        runtime.check(pod, runtime.add(pod))
        runtime.delete(pod)
    finally:
        host.run("umount", place)
