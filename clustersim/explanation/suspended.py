"""When the nodes of suspended jobs are free: such a job can only go on on its own nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.explanation.spells import Spells
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import PartitionSteps, partition_of_rows
from clustersim.simulation.node_ranges import by_node

__all__ = ["free_on_own_nodes", "own_nodes_free"]


def free_on_own_nodes(state: RunState, spells: Spells, steps: Sequence[PartitionSteps]) -> Floats:
    """Return for how long in each wait the job could have gone on on its own nodes, seconds.

    Parameters
    ----------
    state : RunState
    spells : Spells
        Waits of suspended jobs.
    steps : sequence of PartitionSteps
    """
    found = np.zeros(len(spells))
    for row, (time_s, free) in enumerate(own_nodes_free(state, spells, steps)):
        found[row] = np.diff(np.r_[time_s, spells.end_s[row]])[free].sum()
    return found


def own_nodes_free(
    state: RunState, spells: Spells, steps: Sequence[PartitionSteps]
) -> list[tuple[Floats, Bools]]:
    """Return when the nodes of each suspended job are free during its wait.

    Returns
    -------
    list of (float64 array, bool array)
        Times (seconds, the first is the beginning of the wait), and whether the job could go on
        from each time until the next one.
    """
    tracked = bool((state.ranges["nodes"] != "").any())
    nodes = _Nodes(state) if tracked else None
    partition = partition_of_rows(state)[state.first_rows[spells.attempt]]
    sizes = state.sizes[spells.job]
    found = []
    for row, attempt in enumerate(spells.attempt.tolist()):
        begin_s, end_s = float(spells.begin_s[row]), float(spells.end_s[row])
        if nodes is not None:
            found.append(nodes.free(attempt, begin_s, end_s))
            continue
        own = steps[int(partition[row])]
        low = int(np.searchsorted(own.time_s, begin_s, side="right")) - 1
        high = int(np.searchsorted(own.time_s, end_s, side="left"))
        time_s = np.maximum(own.time_s[low:high], begin_s)
        found.append((time_s, own.free[low:high] >= sizes[row]))
    return found


class _Nodes:
    """Accelerators in use on each node over time."""

    def __init__(self, state: RunState) -> None:
        ranges = state.ranges.assign(attempt=state.attempt_of)
        rows = by_node(ranges)
        base = {pool.name: 0 for pool in state.cluster.pools}
        self._chips = np.repeat(
            [pool.chips_per_node for pool in state.cluster.pools],
            [pool.n_nodes for pool in state.cluster.pools],
        )
        total = 0
        for pool in state.cluster.pools:
            base[pool.name], total = total, total + pool.n_nodes

        def place(table: pd.DataFrame) -> Ints:
            offset = table["pool"].astype(str).map(base).to_numpy(dtype=np.int64)
            found: Ints = offset + table["node"].to_numpy(dtype=np.int64)
            return found

        node, held = place(rows), rows["n_accelerators"].to_numpy(dtype=np.int64)
        self._attempt = rows["attempt"].to_numpy(dtype=np.int64)
        self._own_node, self._own_held = node, held
        parts = [
            (node, rows["start_s"].to_numpy(dtype=np.float64), held),
            (node, rows["end_s"].to_numpy(dtype=np.float64), -held),
        ]
        if state.outages is not None:
            gone = state.outages[state.outages["slowdown"] == np.inf]
            there = place(gone)
            for column, sign in (("begin_s", 1), ("end_s", -1)):
                parts.append(
                    (there, gone[column].to_numpy(dtype=np.float64), sign * self._chips[there])
                )
        nodes, times, changes = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.lexsort([times, nodes])
        self._time_s, self._change = times[order], changes[order]
        self._bounds = np.searchsorted(nodes[order], np.arange(total + 1))

    def free(self, attempt: int, begin_s: float, end_s: float) -> tuple[Floats, Bools]:
        """Return from when on the nodes of an attempt are free for it, in [begin_s, end_s)."""
        low, high = np.searchsorted(self._attempt, [attempt, attempt + 1])
        times: list[Floats] = []
        states: list[npt.NDArray[np.bool_]] = []
        for at in range(int(low), int(high)):
            node = int(self._own_node[at])
            own = slice(int(self._bounds[node]), int(self._bounds[node + 1]))
            time_s = self._time_s[own]
            fits = np.cumsum(self._change[own]) + self._own_held[at] <= self._chips[node]
            # Of the changes at one instant, the last one counts.
            kept = np.r_[time_s[1:] != time_s[:-1], True]
            times.append(time_s[kept])
            states.append(fits[kept])
        grid = np.unique(np.concatenate([[begin_s], *times]))
        grid = grid[(grid >= begin_s) & (grid < end_s)]
        free = np.ones(len(grid), dtype=bool)
        for time_s, fits in zip(times, states, strict=True):
            at_time = np.searchsorted(time_s, grid, side="right") - 1
            free &= np.where(at_time >= 0, fits[np.maximum(at_time, 0)], True)
        return grid, free
