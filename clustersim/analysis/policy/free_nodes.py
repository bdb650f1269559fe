"""Free accelerators of each partition over time, and the largest gang that could start on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.policy.goodput_split import pools_of
from clustersim.array_types import Floats, Ints
from clustersim.simulation.metrics import in_service
from clustersim.simulation.result import Result

__all__ = ["OF_NODES", "Free", "fragmentation_over_time", "free_over_time"]

WHOLE_NODES = ("Consolidate", "TopologyAware", "FragmentationAware", "BuddyCells")
"""The placements that give a gang whole nodes, and its remainder one more node."""
OF_NODES = frozenset(
    {"head_of_line_blocking", "fragmentation", "fragmentation_rate", "largest_gang"}
)
"""The metrics that are computed from the nodes of the jobs, which a run has to record."""
_AT_ONCE = 4_000_000
"""Number of cells (steps times levels) of a block of the table of nodes by free accelerators."""


@dataclass(frozen=True, slots=True)
class Free:
    """Free accelerators of a partition as step functions; all arrays have the shape (steps,).

    Attributes
    ----------
    pool, virtual_cluster : str
        `virtual_cluster` is "" in a pool without virtual clusters.
    time_s : float64 array
    free : int64 array
        Accelerators in service that no job holds.
    largest : int64 array
        Size of the largest gang that could start.  Most placements on nodes need entirely free
        nodes for it, and one node for its remainder; with ``buddy_cells``, this is an upper bound.
        With ``spread``, a placement of the user, and one that does not track nodes, it is `free`.
    stranded : float64 array
        Of the free accelerators, those on nodes on which a job of random size cannot start:
        fragmentation in the sense of FGD, see :func:`free_over_time`.  0 if nodes are not tracked.
    """

    pool: str
    virtual_cluster: str
    time_s: Floats
    free: Ints
    largest: Ints
    stranded: Floats


def free_over_time(result: Result, sizes: Ints) -> list[Free]:
    """Return the free accelerators of each partition of a run.

    The fragmentation is that of Weng et al., "Beware of fragmentation: Scheduling GPU-sharing
    workloads with fragmentation gradient descent", USENIX ATC 2023, section 3, for whole
    accelerators: for a job drawn from the jobs of the run, the free accelerators of all nodes that
    have fewer free accelerators than the job needs on a node (all of the node, for a gang that is
    larger than a node).

    Parameters
    ----------
    result : Result
    sizes : int array (jobs,)
        Accelerators of the jobs of the run.
    """
    ranges = result.allocation_ranges
    tracked = bool((ranges["nodes"].astype("string").fillna("") != "").any())
    if not tracked:
        return list(_counted(result))
    placement = result.provenance.get("fleet", {}).get("placement", WHOLE_NODES[0])
    found = list(_by_node(result, sizes))
    if placement in WHOLE_NODES:
        return found
    return [replace(each, largest=each.free) for each in found]


def fragmentation_over_time(result: Result) -> pd.DataFrame:
    """Return free accelerators, the largest gang that could start, and the fragmentation over time.

    Parameters
    ----------
    result : Result

    Returns
    -------
    pandas.DataFrame
        A row for each change: ``pool``, ``virtual_cluster`` ("" without), ``time_s``, ``free``
        (accelerators in service that no job holds), ``largest_gang`` and ``stranded`` (expected
        number of the free accelerators that a job cannot use, for a job drawn from those of the
        run: the fragmentation of FGD).  Each row holds until the next one.

    Examples
    --------
    >>> import clustersim as cs
    >>> pool = {"accelerator": "H200", "nodes": 2, "chips_per_node": 4}
    >>> spec = {"name": "two", "pools": {"p": pool}}
    >>> cluster = cs.compile_cluster(cs.topology.resolve_cluster(spec, cs.load_catalogue()))
    >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 10], "duration_s": 100})
    >>> log["n_accelerators"] = [3, 3]
    >>> result = cs.replay(log, policy="fcfs", cluster=cluster, placement="consolidate")
    >>> found = fragmentation_over_time(result)
    >>> found[["time_s", "free", "largest_gang", "stranded"]].to_numpy().tolist()
    [[0.0, 5.0, 5.0, 1.0], [10.0, 2.0, 1.0, 2.0], [100.0, 5.0, 5.0, 1.0], [110.0, 8.0, 8.0, 0.0]]
    """
    jobs = result.jobs
    parts = free_over_time(result, jobs["n_accelerators"].to_numpy(dtype=np.int64))
    tables = [
        pd.DataFrame(
            {
                "pool": each.pool,
                "virtual_cluster": each.virtual_cluster,
                "time_s": each.time_s,
                "free": each.free,
                "largest_gang": each.largest,
                "stranded": each.stranded,
            }
        )
        for each in parts
    ]
    return pd.concat(tables, ignore_index=True)


def _counted(result: Result) -> Iterator[Free]:
    """Yield the free accelerators without regard to nodes."""
    ran, end_s = result.allocation_ranges, float(result.provenance["simulated_s"])
    known = pools_of(result)
    for name, steps in result.utilisation.groupby("pool", observed=True, sort=False):
        pool = known.get(str(name), {})
        owners = dict(pool.get("virtual_clusters") or {})
        if not owners:
            free = in_service(steps) - steps["allocated"].to_numpy()
            time_s = steps["time_s"].to_numpy(dtype=np.float64)
            yield _plain(str(name), "", time_s, np.maximum(free, 0).astype(np.int64))
            continue
        own = ran[(ran["pool"] == name).to_numpy()]
        for owner, nodes in owners.items():
            held = own[(own["virtual_cluster"] == owner).to_numpy()]
            n = held["n_accelerators"].to_numpy(dtype=np.int64)
            times = np.concatenate([held["start_s"], held["end_s"], [0.0, end_s]])
            at, step = np.unique(times, return_inverse=True)
            used = np.bincount(step, np.concatenate([n, -n, [0, 0]])).cumsum()
            count = nodes if isinstance(nodes, int) else int(nodes.get("nodes", 0))
            free = count * int(pool["chips_per_node"]) - used
            yield _plain(str(name), str(owner), at, np.maximum(free, 0).astype(np.int64))


def _plain(pool: str, owner: str, time_s: Floats, free: Ints) -> Free:
    return Free(pool, owner, time_s, free, free, np.zeros(len(free)))


def _by_node(result: Result, sizes: Ints) -> Iterator[Free]:
    known, table = pools_of(result), result.allocations
    for name, steps in result.utilisation.groupby("pool", observed=True, sort=False):
        pool = known.get(str(name), {})
        own = table[(table["pool"] == name).to_numpy()]
        chips = int(pool.get("chips_per_node") or own["n_accelerators"].max())
        n_nodes = int(pool.get("nodes") or steps["installed"].max() // chips)
        events = _node_events(result, str(name), own)
        first, parts = 0, []
        for owner, nodes in dict(pool.get("virtual_clusters") or {}).items():
            count = nodes if isinstance(nodes, int) else int(nodes.get("nodes", 0))
            parts.append((str(owner), first, first + count))
            first += count
        if first < n_nodes:
            parts.append(("", first, n_nodes))
        needs = np.minimum(sizes, chips)
        for owner, begin, end in parts:
            here = (events["node"] >= begin) & (events["node"] < end)
            yield _of_nodes(str(name), owner, events[here], end - begin, chips, needs)


def _node_events(result: Result, pool: str, held: pd.DataFrame) -> pd.DataFrame:
    """Return the changes of each node: accelerators allocated, and whether it is out of service."""
    end_s = float(result.provenance["simulated_s"])
    n = held["n_accelerators"].to_numpy(dtype=np.int64)
    node = held["node"].to_numpy(dtype=np.int64)
    zero = np.zeros(len(n), dtype=np.int64)
    columns = [
        (node, held["start_s"].to_numpy(), n, zero),
        (node, held["end_s"].to_numpy(), -n, zero),
    ]
    if result.outages is not None:
        out = result.outages[(result.outages["pool"] == pool).to_numpy()]
        gone = out["absent"].to_numpy(dtype=bool) | np.isinf(out["slowdown"].to_numpy())
        out = out[gone]
        where = out["node"].to_numpy(dtype=np.int64)
        one, zero = np.ones(len(out), dtype=np.int64), np.zeros(len(out), dtype=np.int64)
        columns += [
            (where, out["begin_s"].to_numpy(), zero, one),
            (where, out["end_s"].to_numpy(), zero, -one),
        ]
    node, time_s, taken, out_of = (np.concatenate(each) for each in zip(*columns, strict=True))
    events = pd.DataFrame({"node": node, "time_s": time_s, "taken": taken, "out": out_of})
    return events[(time_s <= end_s)]


def _of_nodes(
    pool: str, owner: str, events: pd.DataFrame, n_nodes: int, chips: int, needs: Ints
) -> Free:
    """Return the free accelerators of some nodes from the changes of each node."""
    node, time_s = events["node"].to_numpy(), events["time_s"].to_numpy(dtype=np.float64)
    order = np.lexsort((time_s, node))
    node, time_s = node[order], time_s[order]
    taken = _running(events["taken"].to_numpy()[order], node)
    out = _running(events["out"].to_numpy()[order], node)
    last = np.ones(len(node), dtype=bool)  # of the changes of a node at the same time
    last[:-1] = (node[1:] != node[:-1]) | (time_s[1:] != time_s[:-1])
    node, time_s = node[last], time_s[last]
    after = np.where(out[last] > 0, 0, np.clip(chips - taken[last], 0, chips))
    before = np.full(len(after), chips)
    same = np.flatnonzero(node[1:] == node[:-1]) + 1
    before[same] = after[same - 1]
    at, step = np.unique(np.append(time_s, 0.0), return_inverse=True)
    moves = (np.concatenate([step[:-1]] * 2), np.concatenate([before, after]))
    sign = np.repeat([-1, 1], len(after))
    return Free(pool, owner, at, *_levels(moves, sign, len(at), n_nodes, chips, needs))


def _running(change: Ints, node: Ints) -> Ints:
    """Return the running sum of the changes of each node; the rows of a node are consecutive."""
    total = np.cumsum(change)
    first = np.ones(len(node), dtype=bool)
    first[1:] = node[1:] != node[:-1]
    start = np.flatnonzero(first)
    base = np.where(start > 0, total[start - 1], 0)
    running: Ints = total - np.repeat(base, np.diff(np.append(start, len(node))))
    return running


def _levels(
    moves: tuple[npt.NDArray[np.intp], Ints],
    sign: Ints,
    n_steps: int,
    n_nodes: int,
    chips: int,
    needs: Ints,
) -> tuple[Ints, Ints, Floats]:
    """Return free accelerators, largest gang and stranded accelerators at each step.

    The table of nodes by number of free accelerators is made in blocks of steps.
    """
    levels = np.arange(chips + 1)
    too_large = 1.0 - np.searchsorted(np.sort(needs), levels, side="right") / max(1, len(needs))
    order = np.argsort(moves[0], kind="stable")
    step, level, sign = moves[0][order], moves[1][order], sign[order]
    free, largest = np.zeros(n_steps, dtype=np.int64), np.zeros(n_steps, dtype=np.int64)
    stranded = np.zeros(n_steps)
    state = np.zeros(chips + 1)
    state[chips] = n_nodes
    block = max(1, _AT_ONCE // (chips + 1))
    for begin in range(0, n_steps, block):
        end = min(begin + block, n_steps)
        own = slice(*np.searchsorted(step, (begin, end)))
        cell = (step[own] - begin) * (chips + 1) + level[own]
        counts = np.bincount(cell, sign[own], minlength=(end - begin) * (chips + 1))
        counts = counts.reshape(end - begin, chips + 1)
        counts[0] += state
        counts = counts.cumsum(axis=0)
        state = counts[-1]
        free[begin:end] = np.rint((counts * levels).sum(axis=1))
        partly = np.where(counts[:, :chips] > 0.5, levels[:chips], 0).max(axis=1)
        largest[begin:end] = np.rint(counts[:, chips] * chips) + partly
        stranded[begin:end] = (counts * (levels * too_large)).sum(axis=1)
    return free, largest, stranded
