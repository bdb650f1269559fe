"""Speed of the flow simulation: 2,000 random flows on a k = 16 fat tree of 1,024 hosts.

Every cable has 50 GB/s in each direction. The aggregation and core switches of each flow are drawn
at random, as ECMP does by its hash.
"""

from __future__ import annotations

import time

import numpy as np

from clustersim.network import simulate_flows

__all__ = ["fat_tree_paths", "flows_on_fat_tree"]

K, FLOWS = 16, 2_000
LINK_BPS, HOP_S = 50e9, 1e-6
BOUND_S = 5.0
"""CPU seconds on one core."""


def flows_on_fat_tree() -> list[tuple[object, ...]]:
    """Rows of the table of benchmarks: flows that start together, and one after the other."""
    draw = np.random.default_rng(16)
    paths = fat_tree_paths(K, FLOWS, draw)
    n_links = 6 * (K**3 // 4)
    size = draw.uniform(1e8, 1e10, FLOWS)
    rows: list[tuple[object, ...]] = []
    for name, start, weight in (
        ("all at once", np.zeros(FLOWS), None),
        ("over 0.3 s", draw.uniform(0, 0.3, FLOWS), None),
        ("over 0.3 s, weighted", draw.uniform(0, 0.3, FLOWS), draw.uniform(1, 4, FLOWS)),
    ):
        began = time.process_time()
        simulate_flows(
            np.full(n_links, LINK_BPS), paths, start, size, np.full(n_links, HOP_S), weight
        )
        seconds = time.process_time() - began
        rows.append(
            (
                f"flows on a k = {K} fat tree, {name}",
                f"{FLOWS:,}",
                f"{seconds:.2f}",
                f"{FLOWS / seconds:,.0f}",
                f"{seconds:.2f} s of CPU",
                f"< {BOUND_S:.0f} s",
                "ok" if seconds < BOUND_S else "MISSED",
            )
        )
    return rows


def fat_tree_paths(k: int, n_flows: int, draw: np.random.Generator) -> list[list[int]]:
    """Paths of flows between random hosts of a k-ary fat tree with k^3/4 hosts.

    Each of the three layers has k^3/4 cables. Cable i of a layer is link ``2 i`` upward and
    ``2 i + 1`` downward, after the links of the layers below.
    """
    half, hosts = k // 2, k**3 // 4
    paths = []
    for _ in range(n_flows):
        source, target = draw.choice(hosts, 2, replace=False).tolist()
        aggregation, core = draw.integers(half, size=2).tolist()
        cables = []
        for host in (source, target):
            edge, pod = host // half, host // half**2
            cables.append(
                (host, edge * half + aggregation, (pod * half + aggregation) * half + core)
            )
        highest = next(
            layer
            for layer, group in enumerate((half, half**2, hosts))
            if source // group == target // group
        )
        up = [2 * (layer * hosts + cables[0][layer]) for layer in range(highest + 1)]
        down = [2 * (layer * hosts + cables[1][layer]) + 1 for layer in range(highest + 1)]
        paths.append(up + down[::-1])
    return paths
