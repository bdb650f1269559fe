"""Windows that are planned ahead and hero jobs: free accelerators that a job may not use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.explanation.causes import Cause
from clustersim.explanation.spells import Spells
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import PartitionSteps, partition_of_rows
from clustersim.explanation.thresholds import Thresholds
from clustersim.simulation.node_ranges import by_node
from clustersim.simulation.windows import jobs_of_windows
from clustersim.units import format_duration, listed

__all__ = ["Closures", "closures_of"]


@dataclass(frozen=True, slots=True, eq=False)
class _Closed:
    """Nodes of a partition that are closed to jobs that would run past a time.

    `time_s`, `free` and `whole` say how many accelerators, and how many whole nodes, are free on
    them: each value holds from its time until the next one.
    """

    name: str
    begins: str
    partition: int
    announced_s: float
    begin_s: float
    end_s: float
    may_use: frozenset[int]
    time_s: Floats
    free: Ints
    whole: Ints

    def since_s(self, estimate_s: float) -> float:
        """Return from when on a job of this estimate cannot use the nodes, seconds."""
        return max(self.announced_s, self.begin_s - estimate_s)


class Closures:
    """All nodes of a run that windows and hero jobs close for some time.

    Parameters
    ----------
    state : RunState
    steps : sequence of PartitionSteps
        All partitions.
    closed : sequence
    """

    def __init__(
        self, state: RunState, steps: Sequence[PartitionSteps], closed: Sequence[_Closed]
    ) -> None:
        self._state, self._steps = state, steps
        self._of = {
            part.index: [c for c in closed if c.partition == part.index]
            for part in state.partitions
        }

    def closed(self, row: int, begin_s: float, end_s: float) -> tuple[Floats, Bools] | None:
        """Return when what is open to a job is too small for its gang, in [begin_s, end_s).

        Returns
        -------
        (float64 array, bool array) or None
            Times (seconds, the first is `begin_s`), and whether the gang does not fit on the nodes
            that are open to it, from each time until the next one. None if all nodes are.
        """
        state = self._state
        choice = state.choices[state.choice_of[row]]
        active = {index: self._active(row, index, begin_s, end_s) for index in choice}
        if not any(active.values()):
            return None
        times = [np.array([begin_s])]
        for index in choice:
            times.append(self._steps[index].time_s)
            for each, since_s in active[index]:
                times += [np.array([since_s, each.end_s]), each.time_s]
        grid = np.unique(np.concatenate([_within(each, begin_s, end_s) for each in times]))
        room = np.zeros(len(grid), dtype=np.int64)
        gather = np.add if state.spans else np.maximum
        for index in choice:
            gather(room, self._room(index, active[index], grid), out=room)
        return grid, room < state.needs[row]

    def divide(
        self, found: Floats, rows: npt.NDArray[np.intp], spells: Spells, levels: Thresholds
    ) -> None:
        """Move seconds of ``ORDER`` to ``WINDOW`` where windows keep the accelerators free.

        Parameters
        ----------
        found : float64 array (waits, causes)
            Seconds by cause.
        rows : int array
            Waits of jobs with the same partitions.
        spells : Spells
        levels : Thresholds
            Those of the partitions.
        """
        for at in rows[found[rows, Cause.ORDER] > 0].tolist():
            row, end_s = int(spells.job[at]), float(spells.end_s[at])
            begin_s = float(spells.queued_s[at])
            if (closed := self.closed(row, begin_s, end_s)) is None:
                continue
            low = int(np.searchsorted(levels.time_s, begin_s, side="right")) - 1
            high = int(np.searchsorted(levels.time_s, end_s, side="left"))
            time_s = np.maximum(levels.time_s[low:high], begin_s)
            order = levels.causes(int(self._state.needs[row]), low, high) == Cause.ORDER
            grid = np.unique(np.concatenate([time_s, closed[0]]))
            both = order[np.searchsorted(time_s, grid, side="right") - 1]
            both &= closed[1][np.searchsorted(closed[0], grid, side="right") - 1]
            moved = float(np.diff(np.r_[grid, end_s])[both].sum())
            moved = min(moved, float(found[at, Cause.ORDER]))
            found[at, Cause.ORDER] -= moved
            found[at, Cause.WINDOW] += moved

    def text(self, row: int, begin_s: float, end_s: float) -> str:
        """Return a text on what closes nodes to a job during a time."""
        state = self._state
        submit_s = float(state.jobs["submit_s"].iloc[row])
        parts: dict[str, None] = {}
        for index in state.choices[state.choice_of[row]]:
            for each, _ in self._active(row, index, begin_s, end_s):
                part = each.name
                if each.begins and each.begin_s > begin_s:
                    after = format_duration(each.begin_s - submit_s)
                    part = f"{each.name} {each.begins} {after} after its submission"
                parts[part] = None
        estimate = format_duration(float(state.estimate_s[row]))
        return (
            f"not on nodes that stay open to it for its estimate of {estimate}: {listed([*parts])}"
        )

    def _active(
        self, row: int, index: int, begin_s: float, end_s: float
    ) -> list[tuple[_Closed, float]]:
        """Return what closes nodes of a partition to a job in a time, and from when on."""
        estimate_s = float(self._state.estimates[self._state.partitions[index].pool, row])
        found = [
            (each, each.since_s(estimate_s)) for each in self._of[index] if row not in each.may_use
        ]
        return [(each, since) for each, since in found if since < end_s and each.end_s > begin_s]

    def _room(self, index: int, active: Iterable[tuple[_Closed, float]], time_s: Floats) -> Ints:
        """Return the largest gang that fits on the nodes of a partition that are open to a job."""
        own = self._steps[index]
        at = np.searchsorted(own.time_s, time_s, side="right") - 1
        free, largest = own.free[at], own.largest[at]
        whole = np.zeros(len(time_s), dtype=np.int64)
        for each, since_s in active:
            now = (time_s >= since_s) & (time_s < each.end_s)
            which = np.maximum(np.searchsorted(each.time_s, time_s, side="right") - 1, 0)
            free = free - np.where(now, each.free[which], 0)
            whole += np.where(now, each.whole[which], 0)
        if not self._state.counts:
            chips = self._state.partitions[index].placement.chips_per_node
            free = np.minimum(free, largest - whole * chips)
        found: Ints = np.maximum(free, 0)
        return found


def closures_of(state: RunState, steps: Sequence[PartitionSteps]) -> Closures | None:
    """Return what windows and hero jobs close; None if there are none.

    Parameters
    ----------
    state : RunState
    steps : sequence of PartitionSteps
    """
    if state.windows is None or not (state.ranges["nodes"] != "").any():
        return None
    found = [*_planned(state), *_heroes(state)]
    return Closures(state, steps, found) if found else None


def _planned(state: RunState) -> Iterator[_Closed]:
    rows = np.arange(len(state.jobs))
    may_use, _ = jobs_of_windows(state.planned, state.jobs, rows)
    for window, jobs in zip(state.planned, may_use, strict=True):
        for part in state.partitions:
            last = part.first_node + part.placement.n_nodes
            nodes = [node for node in window.nodes if part.first_node <= node < last]
            if part.pool != window.pool or not nodes:
                continue
            name = f"{window.kind} {window.name!r}"
            # Nodes in maintenance are out of service, which is a cause of its own.
            end_s = window.begin_s if window.kind == "maintenance" else window.end_s
            announced_s = min(window.announced_s, window.begin_s)
            own = _free_on(state, part.index, nodes, announced_s, end_s)
            times = announced_s, window.begin_s, end_s
            yield _Closed(name, "begins", part.index, *times, jobs, *own)


def _heroes(state: RunState) -> Iterator[_Closed]:
    """Yield what was closed for hero jobs, on the nodes that they got in the end."""
    assert state.windows is not None, "it was checked"
    ids = pd.Index(state.jobs["job_id"].astype(str))
    first = state.ranges.iloc[state.first_rows]
    partition = partition_of_rows(state)[state.first_rows]
    for hero in state.windows[state.windows["kind"] == "hero"].to_dict("records"):
        row = int(ids.get_indexer(pd.Index([str(hero["name"])]))[0])
        if row < 0:
            continue
        announced_s, begin_s = float(hero["announced_s"]), float(hero["begin_s"])
        at = np.flatnonzero((first["job_id"].astype(str) == str(hero["name"])).to_numpy())
        if len(at):
            index = int(partition[at[0]])
            nodes = by_node(first.iloc[at[:1]])["node"].astype(int).tolist()
        else:  # it never started: all nodes of its first partition
            index = state.choices[state.choice_of[row]][0]
            part = state.partitions[index]
            nodes = list(range(part.first_node, part.first_node + part.placement.n_nodes))
            begin_s = announced_s
        end_s = begin_s if len(at) else state.end_s
        own = _free_on(state, index, nodes, announced_s, end_s)
        name = f"reserved for hero job {hero['name']}"
        times = announced_s, begin_s, end_s
        yield _Closed(
            name, "which starts" if len(at) else "", index, *times, frozenset({row}), *own
        )


def _free_on(
    state: RunState, index: int, nodes: Sequence[int], begin_s: float, end_s: float
) -> tuple[Floats, Ints, Ints]:
    """Return the free accelerators, and the free whole nodes, of some nodes over a time."""
    part = state.partitions[index]
    pool, chips = state.cluster.pools[part.pool].name, part.placement.chips_per_node
    ranges = state.ranges
    near = (ranges["pool"] == pool) & (ranges["start_s"] < end_s) & (ranges["end_s"] > begin_s)
    held = by_node(ranges[near.to_numpy(dtype=bool)])
    parts = [(held["node"], held["start_s"], held["end_s"], held["n_accelerators"])]
    if state.outages is not None:
        gone = state.outages
        gone = gone[(gone["pool"] == pool) & (gone["slowdown"] == np.inf)]
        parts.append((gone["node"], gone["begin_s"], gone["end_s"], gone["n_accelerators"]))
    node, since, until, n = (
        np.concatenate([np.asarray(each, dtype=np.float64) for each in column])
        for column in zip(*parts, strict=True)
    )
    own = np.isin(node, nodes)
    node, since, until, n = node[own], since[own], until[own], n[own]
    all_nodes = np.asarray(nodes, dtype=np.float64)
    node = np.concatenate([all_nodes, node, node])
    time_s = np.concatenate([np.full(len(all_nodes), -np.inf), since, until])
    change = np.concatenate([np.full(len(all_nodes), float(chips)), -n, n])
    order = np.lexsort([time_s, node])
    node, time_s, change = node[order], time_s[order], change[order]
    new = np.r_[True, node[1:] != node[:-1]]
    level = np.cumsum(change)
    before = np.r_[0.0, level[:-1]][new]
    level = level - np.repeat(before, np.diff(np.r_[np.flatnonzero(new), len(node)]))
    kept = np.r_[(time_s[1:] != time_s[:-1]) | new[1:], True]  # the last change of an instant
    level, time_s = np.clip(level[kept], 0, chips), time_s[kept]
    new = np.isneginf(time_s)
    at_s, at = np.unique(time_s, return_inverse=True)

    def total(values: Floats) -> Ints:
        steps = values - np.where(new, 0.0, np.r_[0.0, values[:-1]])
        return np.rint(np.cumsum(np.bincount(at, steps, minlength=len(at_s)))).astype(np.int64)

    return at_s, total(level), total((level == chips).astype(np.float64))


def _within(time_s: Floats, begin_s: float, end_s: float) -> Floats:
    return time_s[(time_s >= begin_s) & (time_s < end_s)]
