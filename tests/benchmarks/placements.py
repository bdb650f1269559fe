"""Time that placements take to find and free the nodes of a job on 100,000 accelerators."""

from __future__ import annotations

import time

import numpy as np

from clustersim.scheduling import PLACEMENTS, Placement, levels_of
from clustersim.scheduling.placements import Nodes

__all__ = ["placements"]

NODES, CHIPS = 12_500, 8
SIZES = (1, 2, 3, 4, 6, 8, 16, 64, 256, 1024)
WEIGHTS = (0.30, 0.15, 0.05, 0.15, 0.05, 0.15, 0.08, 0.04, 0.02, 0.01)
MOST_S = 1e-3
N_JOBS = 20_000


def placements() -> list[tuple[object, ...]]:
    """Jobs a second that each placement places, on a full pool."""
    node = np.arange(NODES)
    rows: list[tuple[object, ...]] = []
    levels = levels_of([("unit", node // 32), ("pod", node // 256)])
    sizes = np.random.default_rng(0).choice(SIZES, N_JOBS, p=WEIGHTS)
    for name, kind in PLACEMENTS.items():
        placement = kind(NODES, CHIPS)
        placement.prepare(levels, sizes)
        began = time.perf_counter()
        _keep_full(placement, sizes.tolist())
        each_s = (time.perf_counter() - began) / N_JOBS
        rows.append(
            (
                f"{name}, 100,000 accelerators on nodes of 8",
                f"{N_JOBS:,}",
                f"{each_s * N_JOBS:.2f}",
                f"{1 / each_s:,.0f}",
                f"{each_s * 1e6:.0f} us a job",
                f"<= {MOST_S * 1e6:.0f} us",
                "ok" if each_s <= MOST_S else "MISSED",
            )
        )
    return rows


def _keep_full(placement: Placement, sizes: list[int]) -> None:
    """Place jobs; whenever one does not fit, jobs at random end until it does."""
    draw = np.random.default_rng(1)
    held: list[tuple[Nodes, int]] = []
    for n in sizes:
        while (nodes := placement.take(n)) is None:
            at = int(draw.integers(len(held)))
            held[at], held[-1] = held[-1], held[at]
            placement.give(*held.pop())
        held.append((nodes, n))


if __name__ == "__main__":
    for row in placements():
        print(*row, sep=" | ")
