"""A command on a cluster of Ray: two nodes of one CPU on this machine."""

from __future__ import annotations

import os
import subprocess
import sys

from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
try:
    found = subprocess.run(
        [sys.executable, "-m", "cornu", "launch", "--on", "ray", *sys.argv[1:]],
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        timeout=200,
    )
finally:
    cluster.shutdown()
sys.exit(found.returncode)
