"""Free accelerators of each partition as exact step functions, from the tables of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.engine.node_events import NodeEventKind
from clustersim.explanation.state import RunState
from clustersim.simulation.node_ranges import read_ranges

__all__ = ["PartitionSteps", "partition_of_rows", "partition_steps"]

_LATER = (NodeEventKind.LATE_DELIVERY.label, NodeEventKind.NO_ROOM.label)
_GONE = NodeEventKind.RETIREMENT.label
_SERVICE = NodeEventKind.SERVICE.label
_OUT, _NOT_DELIVERED, _RESERVED, _RETIRED = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class PartitionSteps:
    """A partition over time; each value holds from its time until the next one.

    Attributes
    ----------
    time_s : float64 array (n,)
        Ascending, seconds; the values hold after everything that happens at this instant.
    free : int64 array (n,)
        Free accelerators.
    largest : int64 array (n,)
        Size of the largest gang that fits; all smaller ones fit, too.
    out, not_delivered, reserved : int64 arrays (n,)
        Accelerators of nodes that are out of service, that come later, and that services reserve.
    """

    time_s: Floats
    free: Ints
    largest: Ints
    out: Ints
    not_delivered: Ints
    reserved: Ints


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes of the free accelerators of nodes: from a level to another one, on `n` nodes."""

    time_s: Floats
    partition: Ints
    before: Ints
    after: Ints
    n_nodes: Ints
    kind: Ints

    @classmethod
    def together(cls, parts: Sequence[_Changes]) -> _Changes:
        names = ("time_s", "partition", "before", "after", "n_nodes", "kind")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


_JOB = -1
"""Kind of a change that a job makes; the other ones are nodes that leave and return."""


def partition_steps(state: RunState) -> list[PartitionSteps]:
    """Return the free accelerators of each partition over time.

    Parameters
    ----------
    state : RunState
    """
    changes = _Changes.together([*_changes_by_jobs(state), *_changes_of_nodes(state)])
    order = np.argsort(changes.partition, kind="stable")
    bounds = np.searchsorted(changes.partition[order], np.arange(len(state.partitions) + 1))
    begin_s = min(0.0, float(state.jobs["submit_s"].min()))
    return [
        _steps(state, index, changes, order[bounds[index] : bounds[index + 1]], begin_s)
        for index in range(len(state.partitions))
    ]


def partition_of_rows(state: RunState) -> Ints:
    """Return the partition of each attempt in the table of allocations."""
    index = {
        (state.cluster.pools[part.pool].name, part.virtual_cluster): part.index
        for part in state.partitions
    }
    pools, pool_names = pd.factorize(state.ranges["pool"])
    shares, share_names = pd.factorize(state.ranges["virtual_cluster"].fillna(""))
    table = np.array(
        [[index.get((str(pool), str(share)), -1) for share in share_names] for pool in pool_names],
        dtype=np.int64,
    ).reshape(len(pool_names), len(share_names))
    found: Ints = table[pools, shares]
    return found


def _changes_by_jobs(state: RunState) -> list[_Changes]:
    """Return what the starts and ends of attempts change."""
    ranges = state.ranges
    row, first, count, held = read_ranges(ranges)
    start_s = ranges["start_s"].to_numpy(dtype=np.float64)
    end_s = ranges["end_s"].to_numpy(dtype=np.float64)
    of_row = partition_of_rows(state)
    chips_of_row = np.array(
        [state.cluster.pools[part.pool].chips_per_node for part in state.partitions]
    )[of_row]
    counted = first < 0  # the placement does not track nodes
    whole = ~counted & (held == chips_of_row[row])
    # What is only counted is written as the level of one node, from which only sums are taken, and
    # whole nodes of an attempt are counted together.
    n_whole = np.rint(np.bincount(row[whole], count[whole], minlength=len(ranges)))
    at = np.flatnonzero(n_whole)
    which = np.concatenate([row[counted], at])
    full = np.concatenate([held[counted], chips_of_row[at]])
    n = np.concatenate([count[counted], n_whole[at].astype(np.int64)])
    zero = np.zeros(len(which), dtype=np.int64)
    taken = _Changes(start_s[which], of_row[which], full, zero, n, zero + _JOB)
    given = _Changes(end_s[which], of_row[which], zero, full, n, zero + _JOB)
    at = np.flatnonzero(~counted & ~whole)
    parts = [taken, given]
    if len(at):
        of_range = np.repeat(at, count[at])
        within = np.arange(len(of_range)) - np.repeat(np.cumsum(count[at]) - count[at], count[at])
        node = first[of_range] + within
        parts.append(
            _changes_of_shared_nodes(
                node,
                of_row[row[of_range]],
                held[of_range],
                chips_of_row[row[of_range]],
                start_s[row[of_range]],
                end_s[row[of_range]],
            )
        )
    return parts


def _changes_of_shared_nodes(
    node: Ints, partition: Ints, held: Ints, chips: Ints, start_s: Floats, end_s: Floats
) -> _Changes:
    """Return the changes of nodes on which several jobs can run, one row for each node."""
    time_s = np.concatenate([start_s, end_s])
    change = np.concatenate([-held, held])
    node, partition, chips = np.tile(node, 2), np.tile(partition, 2), np.tile(chips, 2)
    order = np.lexsort([-change, time_s, node, partition])
    node, partition, change = node[order], partition[order], change[order]
    new = np.r_[True, (node[1:] != node[:-1]) | (partition[1:] != partition[:-1])]
    total = np.cumsum(change)
    before_node = np.repeat((total - change)[new], np.diff(np.r_[np.flatnonzero(new), len(node)]))
    after = chips[order] + total - before_node
    one = np.ones(len(node), dtype=np.int64)
    return _Changes(time_s[order], partition, after - change, after, one, _JOB * one)


def _changes_of_nodes(state: RunState) -> list[_Changes]:
    """Return what nodes that leave service and return change."""
    outages = state.outages
    if outages is None or outages.empty:
        return []
    gone = outages[outages["slowdown"] == np.inf]
    kind = np.full(len(gone), _OUT)
    label = gone["kind"].astype(str).to_numpy()
    kind[np.isin(label, _LATER)] = _NOT_DELIVERED
    kind[label == _SERVICE] = _RESERVED
    kind[label == _GONE] = _RETIRED
    full = gone["n_accelerators"].to_numpy(dtype=np.int64)
    zero, one = np.zeros_like(full), np.ones_like(full)
    partition = _partition_of_nodes(state, gone)
    begin_s = gone["begin_s"].to_numpy(dtype=np.float64)
    end_s = gone["end_s"].to_numpy(dtype=np.float64)
    left = _Changes(begin_s, partition, full, zero, one, kind)
    over = np.isfinite(end_s)
    back = _Changes(end_s[over], partition[over], zero[over], full[over], one[over], kind[over])
    return [left, back]


def _partition_of_nodes(state: RunState, outages: pd.DataFrame) -> Ints:
    found = np.zeros(len(outages), dtype=np.int64)
    node = outages["node"].to_numpy(dtype=np.int64)
    for part in sorted(state.partitions, key=lambda part: part.first_node):
        here = (outages["pool"] == state.cluster.pools[part.pool].name).to_numpy(dtype=bool)
        found[here & (node >= part.first_node)] = part.index
    return found


def _steps(
    state: RunState, index: int, changes: _Changes, rows: npt.NDArray[np.intp], begin_s: float
) -> PartitionSteps:
    placement = state.partitions[index].placement
    time_s, at = np.unique(np.r_[begin_s, changes.time_s[rows]], return_inverse=True)
    at = at[1:]
    kind, n_nodes = changes.kind[rows], changes.n_nodes[rows]
    before, after = changes.before[rows], changes.after[rows]

    def sums(weight: Ints) -> Ints:
        added = np.bincount(at, weight, minlength=len(time_s))
        return np.cumsum(np.rint(added).astype(np.int64))

    free = placement.capacity + sums((after - before) * n_nodes)
    away = [
        -sums(np.where(kind == each, (after - before) * n_nodes, 0))
        if (kind == each).any()
        else np.zeros(len(time_s), dtype=np.int64)
        for each in (_OUT, _NOT_DELIVERED, _RESERVED)
    ]
    largest = free
    if not state.counts:
        largest = _largest_gang(
            placement.n_nodes, placement.chips_per_node, len(time_s), at, before, after, n_nodes
        )
    return PartitionSteps(time_s, free, largest, *away)


def _largest_gang(
    n_nodes: int, chips: int, n_times: int, at: Ints, before: Ints, after: Ints, changed: Ints
) -> Ints:
    """Return the largest gang that fits on whole free nodes and the freest of the other nodes.

    The nodes with each number of free accelerators are counted over time.
    """
    level = np.concatenate([before, after])
    weight = np.concatenate([-changed, changed])
    at = np.tile(at, 2)
    order = np.argsort(level, kind="stable")
    levels, begins = np.unique(level[order], return_index=True)
    bounds = np.r_[begins, len(order)]
    whole = np.full(n_times, n_nodes, dtype=np.int64)
    freest = np.zeros(n_times, dtype=np.int64)
    for value, begin, end in zip(levels.tolist(), bounds[:-1], bounds[1:], strict=True):
        rows = order[begin:end]
        counts = np.cumsum(np.bincount(at[rows], weight[rows], minlength=n_times))
        if value == chips:
            whole += np.rint(counts).astype(np.int64)
        elif 0 < value < chips:
            freest[counts > 0.5] = value  # levels come in ascending order
    return whole * chips + freest
