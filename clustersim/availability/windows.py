"""The windows of a scenario on its cluster: which nodes, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.availability.windows_spec import Maintenance, ReservationAhead, WindowsSpec
from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError, shown, unknown_name
from clustersim.topology import Cluster, Pool

__all__ = ["planned_windows"]


def planned_windows(spec: WindowsSpec, cluster: Cluster) -> list[PlannedWindow]:
    """Return the windows of a scenario: maintenance, then reservations, in their order.

    Raises
    ------
    InputError
        If a pool, a node or a virtual cluster does not exist, or there are not enough nodes.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.availability.windows import planned_windows
    >>> from clustersim.availability.windows_spec import WindowsSpec
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> rolling = {"pools": ["h200"], "nodes": "0-3", "at": "1 h", "duration": "10 min", "each": 2}
    >>> spec = WindowsSpec.model_validate({"maintenance": [rolling]})
    >>> [(each.nodes, each.begin_s) for each in planned_windows(spec, cluster)]
    [((0, 1), 3600.0), ((2, 3), 4200.0)]
    """
    found: list[PlannedWindow] = []
    problems: list[str] = []
    for kind, entries in (("maintenance", spec.maintenance), ("reservations", spec.reservations)):
        for number, entry in enumerate(entries):
            try:
                if isinstance(entry, Maintenance):
                    found += _maintenance(entry, cluster)
                else:
                    assert isinstance(entry, ReservationAhead)
                    found.append(_reservation(entry, cluster, found))
            except ValueError as error:
                problems.append(f"{kind}.{number}.{error}")
    if problems:
        raise InputError("windows", problems)
    return found


def _pool(name: str, cluster: Cluster, field: str) -> int:
    names = [pool.name for pool in cluster.pools]
    if name not in names:
        raise ValueError(f"{field}: {unknown_name('pool', name, names)}")
    return names.index(name)


def _maintenance(entry: Maintenance, cluster: Cluster) -> Iterator[PlannedWindow]:
    named = None if entry.pools is None else [_pool(each, cluster, "pools") for each in entry.pools]
    for index in range(len(cluster.pools)) if named is None else named:
        pool = cluster.pools[index]
        nodes = _nodes(entry.nodes, pool)
        groups = [nodes] if entry.each is None else list(_groups(nodes, entry.each, pool))
        for number, group in enumerate(groups):
            begin_s = entry.at + number // entry.at_once * entry.duration
            yield PlannedWindow(
                entry.name if len(groups) == 1 else f"{entry.name} {number + 1}",
                "maintenance",
                index,
                group,
                begin_s,
                begin_s + entry.duration,
                0.0 if entry.notice is None else max(0.0, entry.at - entry.notice),
                entry.running == "finish",
            )


def _groups(nodes: tuple[int, ...], each: str | int, pool: Pool) -> Iterator[tuple[int, ...]]:
    """Yield the groups of rolling maintenance."""
    if isinstance(each, int) or each == "node":
        size = 1 if each == "node" else int(each)
        for first in range(0, len(nodes), size):
            yield nodes[first : first + size]
        return
    group_of = (pool.leaf_of_node if each == "leaf" else pool.unit_of_node)[list(nodes)]
    for group in np.unique(group_of):
        yield tuple(node for node, own in zip(nodes, group_of, strict=True) if own == group)


def _reservation(
    entry: ReservationAhead, cluster: Cluster, others: Sequence[PlannedWindow]
) -> PlannedWindow:
    index = _pool(entry.pool, cluster, "pool")
    pool = cluster.pools[index]
    end_s = entry.at + entry.duration if entry.duration is not None else entry.until
    assert end_s is not None, "it has an end"
    if entry.accelerators is None:
        nodes = _nodes(entry.nodes, pool)
    else:
        taken = {
            node
            for other in others
            if other.pool == index and other.begin_s < end_s and other.end_s > entry.at
            for node in other.nodes
        }
        nodes = _last_nodes(entry.accelerators, entry.owner, pool, taken)
    return PlannedWindow(
        entry.name,
        "reservation",
        index,
        nodes,
        entry.at,
        end_s,
        0.0 if entry.notice is None else max(0.0, entry.at - entry.notice),
        entry.running == "finish",
        users=tuple(entry.users),
        virtual_clusters=tuple(entry.virtual_clusters),
        jobs=tuple(map(str, entry.jobs)),
    )


def _last_nodes(n: int, owner: str | None, pool: Pool, taken: set[int]) -> tuple[int, ...]:
    """Return the last nodes that no other window takes, with at least `n` accelerators."""
    own = range(pool.n_nodes)
    if owner is not None:
        ranges = pool.virtual_cluster_ranges()
        if owner not in ranges:
            raise ValueError(f"owner: {unknown_name('virtual cluster', owner, ranges)}")
        own = ranges[owner]
    free = [node for node in own if node not in taken]
    wanted = -(-n // pool.chips_per_node)
    if wanted > len(free):
        raise ValueError(
            f"accelerators: {n:,} need {wanted:,} nodes of {pool.name}, but only {len(free):,} are "
            "there and not taken by other windows"
        )
    return tuple(free[-wanted:])


def _nodes(text: str | int | None, pool: Pool) -> tuple[int, ...]:
    """Return the nodes in a text such as ``0-15,20``; all if there is none."""
    if text is None:
        return tuple(range(pool.n_nodes))
    nodes: set[int] = set()
    for part in str(text).split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if found is None:
            raise ValueError(
                f"nodes: must be numbers and ranges such as 0-15,20, found {shown(text)}"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < pool.n_nodes:
            raise ValueError(
                f"nodes: {part.strip()} is not within the nodes of {pool.name}, which are 0 to "
                f"{pool.n_nodes - 1}"
            )
        nodes.update(range(first, last + 1))
    return tuple(sorted(nodes))
