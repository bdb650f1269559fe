"""Small clusters of nodes under leaves, with any ratio between ports and uplinks."""

from __future__ import annotations

import numpy as np

from clustersim.scheduling import NodePlacement
from clustersim.topology import Cluster, Pool
from clustersim.topology.fabric import Trunk

PORT_BPS = 50e9


def leaf_pool(
    name: str = "gpu",
    *,
    nodes: int = 8,
    leaf_nodes: int = 4,
    ratio: float = 4.0,
    chips: int = 8,
    scaleup_size: int = 8,
    datacenter_Bps: float = 0.0,
) -> Pool:
    """Nodes of a pool under leaves whose uplinks have 1 / ratio of the rate of the ports."""
    group = (np.arange(nodes) // leaf_nodes).astype(np.int32)
    up_Bps = leaf_nodes * chips * PORT_BPS / ratio
    return Pool(
        name=name,
        accelerator="",
        n_nodes=nodes,
        chips_per_node=chips,
        nic_Bps=PORT_BPS / ratio,
        scaleup_size=scaleup_size,
        leaf_of_node=group,
        unit_of_node=np.zeros(nodes, dtype=np.int32),
        scaleup_Bps=450e9,
        scaleup_shape="switch",
        port_Bps=PORT_BPS,
        trunks=(Trunk("leaf", group, leaf_nodes, up_Bps),),
        datacenter_Bps=datacenter_Bps,
    )


def leaf_cluster(*pools: Pool, latency_s: float | None = None) -> Cluster:
    """A cluster of these pools; they are connected if there is a latency between them."""
    return Cluster("leaves", pools or (leaf_pool(),), latency_s)


class FarApart(NodePlacement):
    """Whole nodes, one by one from the first and from the second half of the partition."""

    def choose(self, n, node_free):  # type: ignore[no-untyped-def]
        half = self.n_nodes // 2
        order = [
            node for pair in zip(range(half), range(half, 2 * half), strict=True) for node in pair
        ]
        nodes = []
        for node in order:
            chips = min(n, int(node_free[node]))
            if chips and (chips == self.chips_per_node or n < self.chips_per_node):
                nodes.append((node, chips))
                n -= chips
        return nodes if n == 0 else None
