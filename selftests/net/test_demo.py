# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it, and README's excerpts of it against what it prints."""
import os
import re
import subprocess
import sys

import pytest

from cluster import TOP

DEMO = [sys.executable, os.path.join(TOP, "selftests", "demo", "demo.py")]


def run_demo(state, *arguments, **settings):
    done = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=280,
                          env=dict(os.environ, **{"STEP": "", "KEEP": "", "MARGAY_DEMO": str(state), **settings}))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo"))


def shape(line):
    """A line without what differs from run to run: numbers, addresses, interface names."""
    line = re.sub(r"\b[0-9a-f]*(:[0-9a-f]*){2,}", "#", line.strip())
    return re.sub(r"\s+", " ", re.sub(r"[0-9]+", "#", line))


def test_the_whole_story(output):
    assert "all shown in" in output


def test_no_packet_is_lost_by_the_crash(output):
    assert '"udp_missing": 0' in output


def test_trace_goes_from_node_to_node(output):
    told = output[output.index("trace shop/frontend blog/reader"):]
    assert told.index("node n1") < told.index("node n3") < told.index("verdict: allowed")


def test_readme_shows_what_the_demo_prints(output):
    """Every line of an excerpt, in the order of the run."""
    with open(os.path.join(TOP, "README.md")) as readme:
        blocks = re.findall(r"<!-- demo -->\n```\n(.*?)```", readme.read(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        printed = iter([shape(line) for line in output.split("\n")])
        missing = [line for line in block.split("\n") if line.strip() and shape(line) not in printed]
        assert not missing


def test_a_step_and_what_it_leaves_standing(tmp_path):
    """make demo STEP=pods KEEP=1 comes back and leaves the nodes; make demo-clean removes them."""
    state = tmp_path / "demo"
    told = run_demo(state, STEP="pods", KEEP="1")
    assert "[2/11] pods" in told and "[3/11]" not in told
    pids = [int(pid) for pid in re.findall(r"nsenter -t (\d+)", told)]
    try:
        assert len(pids) == 10  # router, outside, three nodes, five pods
        assert all(os.path.exists(f"/proc/{pid}/ns/net") for pid in pids)
        node = re.search(r"n1 +nsenter -t (\d+)", told)[1]
        done = subprocess.run(["nsenter", "-t", node, "-n", "-m", "curl", "-fsS", "http://127.0.0.1:9099/readyz"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    finally:
        run_demo(state, "--clean")
    assert not state.exists()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_an_unknown_step_is_named(tmp_path):
    done = subprocess.run(DEMO, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, STEP="nonsense", MARGAY_DEMO=str(tmp_path / "demo")))
    assert done.returncode == 1 and done.stderr.startswith("make demo: no step nonsense; there are: nodes pods")


def readme():
    with open(os.path.join(TOP, "README.md")) as file:
        return file.read()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^(make [a-z-]+)|`(make [a-z-]+)", readme(), re.M)), key=str), ids=str)
def test_readme_targets_are_there(command):
    target = "".join(command).split()[1]
    done = subprocess.run(["make", "-n", "-C", TOP, target], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`margayctl ([a-z -]+)`", readme()))))
def test_readme_names_verbs_that_are_there(command):
    with open(os.path.join(TOP, "loader", "ctl", "verbs.def")) as rows:
        verbs = re.findall(r'VERB\("([^"]+)"', rows.read())
    verb = next(verb for verb in verbs if command == verb or command.startswith(verb + " "))
    program = os.path.join(TOP, os.environ.get("BUILD", "build"), "margayctl")
    text = subprocess.run([program, *verb.split(), "--help"], capture_output=True, text=True, check=True).stdout
    assert not [option for option in re.findall(r"--[a-z-]+", command) if option not in text]
