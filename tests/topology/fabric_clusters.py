"""Small clusters with real fabrics: every cable and switch has a name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import clustersim as cs
from clustersim.topology import Cluster, ClusterSpec

FABRICS: dict[str, dict[str, Any]] = {
    "rails": {"type": "rail-optimised", "unit_nodes": 2, "oversubscription": {"leaf": 4}},
    "one rail": {"type": "rail-optimised", "unit_nodes": 2, "rails": 1, "radix": 32},
    "two pods": {
        "type": "rail-optimised",
        "unit_nodes": 2,
        "units_per_pod": 2,
        "oversubscription": {"leaf": 2, "spine": 2},
    },
    "planes": {"type": "rail-optimised", "unit_nodes": 4, "radix": 8},
    "fat tree": {"type": "fat-tree", "k": 4, "planes": 2, "oversubscription": {"edge": 2}},
    "dragonfly": {
        "type": "dragonfly",
        "nodes_per_router": 2,
        "routers_per_group": 2,
        "global_links": 2,
        "planes": 2,
    },
    "torus": {"type": "torus", "dims": [2, 4]},
    "mesh": {"type": "full-mesh"},
    "none": {"type": "none"},
}
"""A fabric of each kind; with 8 nodes of 8 chips all of them can be built."""


def fabric_spec(*fabrics: dict[str, Any], nodes: int = 8, joined: bool = False) -> ClusterSpec:
    """A topology of pools "a", "b" ... of H200 nodes on these fabrics."""
    pools = {
        name: {"accelerator": "H200", "nodes": nodes, "nic": "400 Gb/s", "fabric": fabric}
        for name, fabric in zip("abcdefghi", fabrics, strict=False)
    }
    tree: dict[str, Any] = {"name": "fabrics", "pools": pools}
    if joined:
        tree["datacenter_network"] = {"rate": "400 Gb/s", "latency": "1 ms"}
    return cs.topology.resolve_cluster(tree, cs.load_catalogue())


@lru_cache(maxsize=64)
def _named(names: tuple[str, ...], nodes: int, joined: bool) -> Cluster:
    chosen = (FABRICS[name] for name in names)
    return cs.compile_cluster(fabric_spec(*chosen, nodes=nodes, joined=joined))


def fabric_cluster(*names: str, nodes: int = 8, joined: bool = False) -> Cluster:
    """A cluster with a pool on each of the fabrics with these names."""
    return _named(names, nodes, joined)
