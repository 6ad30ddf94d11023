# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it, and README's excerpts of it against what it prints."""
import os
import re
import subprocess
import sys

import pytest

from cluster import TOP


@pytest.fixture(scope="module")
def output():
    done = subprocess.run([sys.executable, os.path.join(TOP, "selftests", "demo", "demo.py")], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=200, env=dict(os.environ, STEP="", KEEP=""))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def shape(line):
    """A line without what differs from run to run: numbers, addresses, interface names."""
    line = re.sub(r"\b[0-9a-f]*(:[0-9a-f]*){2,}", "#", line.strip())
    return re.sub(r"\s+", " ", re.sub(r"[0-9]+", "#", line))


def test_the_whole_story(output):
    assert "all shown in" in output


def test_readme_shows_what_the_demo_prints(output):
    with open(os.path.join(TOP, "README.md")) as readme:
        blocks = re.findall(r"<!-- demo -->\n```\n(.*?)```", readme.read(), re.S)
    assert len(blocks) == 2
    printed = {shape(line) for line in output.split("\n")}
    missing = [line for block in blocks for line in block.split("\n") if line.strip() and shape(line) not in printed]
    assert not missing
