# SPDX-License-Identifier: Apache-2.0
"""The capability `bandwidth`: what is made, what it does to traffic, and that nothing of it stays."""
import subprocess
import time

import pytest

from runtime import CniError, Runtime, wait_for

MBIT = 1000 * 1000
LIMIT = 16 * MBIT
BYTES = 4 * 1000 * 1000  # two seconds at the limit


def limits(**which):
    return {"bandwidth": {key: value for way, rate in which.items()
                          for key, value in ((f"{way}Rate", rate), (f"{way}Burst", 256 * 8 * 1024))}}


def has_ifb(host):
    """ifb devices, and the filter and action that lead to them."""
    return host.run("sh", "-c", "ip link add probe type ifb && { tc qdisc add dev probe clsact && "
                    "tc filter add dev probe ingress protocol all u32 match u32 0 0 action mirred egress redirect dev lo; r=$?; "
                    "ip link del probe; exit $r; }", check=False).returncode == 0


@pytest.fixture
def shaped(host, agent):
    """The kernel has token buckets."""
    host.run("ip", "link", "add", "probe", "type", "veth", "peer", "name", "prober")
    done = host.run("tc", "qdisc", "add", "dev", "probe", "root", "tbf", "rate", "1mbit", "burst", "32k", "latency", "25ms",
                    check=False)
    host.run("ip", "link", "del", "probe")
    if done.returncode:
        pytest.skip("this kernel has no sch_tbf")
    host.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    return Runtime(host)


@pytest.fixture
def diverted(host, shaped):
    if not has_ifb(host):
        pytest.skip("this kernel has no ifb, cls_u32 or act_mirred")
    return shaped


def rate_of(host, source, target, address):
    """Bits a second of one TCP transfer of BYTES from the place source to target's address."""
    listener = subprocess.Popen(target.wrap("socat", "-u", "TCP4-LISTEN:5000,reuseaddr", "OPEN:/dev/null"),
                                stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5000 " in target.run("ss", "-Hltn").stdout, "the receiver listens")
        begin = time.monotonic()
        source.run("sh", "-c", f"head -c {BYTES} /dev/zero | socat -u - TCP4:{address}:5000")
        listener.wait(30)
        return BYTES * 8 / (time.monotonic() - begin)
    finally:
        listener.kill()
        listener.wait()


def is_limited(*way):
    """Never more than the limit; of several the fastest counts, for a busy machine is slow at times by itself."""
    for _ in range(5):
        rate = rate_of(*way)
        assert rate < 1.3 * LIMIT
        if rate > 0.5 * LIMIT:
            return True
    return False


def is_free(*way):
    return any(rate_of(*way) > 3 * LIMIT for _ in range(10))


def test_received(shaped, host, sandbox):
    pod = sandbox("front")
    before = host.snapshot()
    extra = {"runtimeConfig": limits(ingress=LIMIT)}
    result = shaped.add(pod, **extra)
    shaped.check(pod, result, **extra)
    assert is_limited(host, host, pod, "10.1.0.1")
    assert is_free(host, pod, host, "192.0.2.1")
    host.run("tc", "qdisc", "del", "dev", result["interfaces"][0]["name"], "root")
    with pytest.raises(CniError) as caught:
        shaped.check(pod, result, **extra)
    assert caught.value.code == 102
    shaped.delete(pod)
    assert host.snapshot() == before


def test_sent(diverted, host, sandbox):
    pod = sandbox("front")
    before = host.snapshot()
    extra = {"runtimeConfig": limits(egress=LIMIT)}
    result = diverted.add(pod, **extra)
    diverted.check(pod, result, **extra)
    assert is_limited(host, pod, host, "192.0.2.1")
    assert is_free(host, host, pod, "10.1.0.1")
    diverted.delete(pod)
    assert host.snapshot() == before


def test_without_ifb_it_says_so(shaped, host, agent, sandbox):
    if has_ifb(host):
        pytest.skip("this kernel has ifb, cls_u32 and act_mirred")
    pod = sandbox("front")
    before, inside = host.snapshot(), pod.snapshot()
    with pytest.raises(CniError) as caught:
        shaped.add(pod, runtimeConfig=limits(egress=LIMIT))
    assert caught.value.code == 104 and "ifb" in caught.value.error["details"]
    assert host.snapshot() == before and pod.snapshot() == inside and not agent.held


def test_the_agent_is_told(shaped, agent, sandbox):
    shaped.add(sandbox("front"), runtimeConfig=limits(ingress=LIMIT))
    assert agent.requests[0]["bandwidth"]["ingressRate"] == LIMIT
