# SPDX-License-Identifier: Apache-2.0
"""One cluster a file, shared by its tests: they leave it as they found it."""
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../net"), os.path.join(HERE, "../lib")]


@pytest.fixture(scope="module")
def bare():
    """A cluster without a network: its nodes are not ready."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, cgroups and BPF")
    if absent := [name for name in ("containerd", "runc", "ctr") if not shutil.which(name)]:
        pytest.skip(f"this machine has no {absent[0]}")
    from kube import KubeCluster
    with KubeCluster() as made:
        yield made
