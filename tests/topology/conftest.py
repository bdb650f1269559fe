"""Small clusters for the tests of topologies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.topology import ClusterSpec, resolve_cluster

MakeSpec = Callable[..., ClusterSpec]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def make_spec(catalogue: Catalogue) -> MakeSpec:
    """One pool ``p`` of H20 with 10 GB/s (1e10 bytes/s) a chip unless stated otherwise."""

    def make(fabric: dict[str, Any], nodes: int, chips: int = 1, **pool: Any) -> ClusterSpec:
        entry = {
            "accelerator": "H20",
            "nodes": nodes,
            "chips_per_node": chips,
            "nic": "10 GB/s",
            "fabric": fabric,
            **pool,
        }
        return resolve_cluster({"name": "test", "pools": {"p": entry}}, catalogue)

    return make


@pytest.fixture(scope="session")
def half_cut() -> Callable[[Any, int], float]:
    """Maximum flow from the first half of the nodes of pool ``p`` to the second (bytes/s)."""

    def cut(graph: Any, nodes: int) -> float:
        flow = nx.Graph(graph)
        for index in range(nodes):
            # an edge without a capacity is infinite for networkx
            flow.add_edge("source" if index < nodes // 2 else "sink", f"p/node/{index}")
        return float(nx.maximum_flow_value(flow, "source", "sink", capacity="bandwidth_Bps"))

    return cut
