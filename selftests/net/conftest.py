# SPDX-License-Identifier: Apache-2.0
"""Clusters for the tests: one a module, shared by its tests where they leave it as they found it."""
import os

import pytest

import cluster as places

EXAMPLES = os.path.join(places.TOP, "manifests", "examples", "three-nodes")


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with agents, the example pools and namespaces; the router drops pods' addresses."""
    with places.Cluster() as made:
        made.drop_pod_addresses("10.244.0.0/16", "fd00:244::/48")
        made.start()
        for name in ("00-pools.yaml", "10-namespaces.yaml", "20-pods.yaml"):
            made["n1"].ctl("apply", "-f", os.path.join(EXAMPLES, name))
        yield made
