"""Windows of a run: which jobs may use them, and what it costs to keep nodes free for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Ints
from clustersim.engine.hero_driver import check_heroes
from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling import POLICIES, Policy
from clustersim.scheduling.placements import NodePlacement
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster
from clustersim.units import format_duration
from clustersim.workload.jobs import partition_column, texts_of

__all__ = [
    "NOTHING_PLANNED",
    "PLANNED_WINDOWS",
    "Planned",
    "check_windows",
    "hero_jobs",
    "jobs_of_windows",
    "notes_on_windows",
    "plain_windows",
    "planned_of",
    "with_nodes",
]

PLANNED_WINDOWS = "planned_windows"
"""Key of the windows in the provenance of a result."""
_MOST_NAMED = 3
_COLUMNS = {"users": "user", "virtual_clusters": "vc", "jobs": "job_id"}
"""Column of the jobs table for each list of who may use a reservation."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned in advance for a run.

    Attributes
    ----------
    windows : sequence of PlannedWindow
        Maintenance and reservations.
    hero_share : float, optional
        A job that needs at least this share of the largest partition that it can use is a hero job,
        for which nodes are drained. So is a job whose column ``hero`` is true. By default there
        are no hero jobs.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.simulation.simulate import NodeEvents
    >>> from clustersim.simulation.windows import Planned, with_nodes
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 5, 6],
    ...     "n_accelerators": [8, 16, 8], "duration_s": [60, 60, 90]})
    >>> cluster = with_nodes(cs.single_pool(16))
    >>> first_fit = cs.Scheduling(policy="first_fit", placement="consolidate")
    >>> cs.simulate(log, cluster, first_fit).jobs["start_s"].tolist()
    [0.0, 96.0, 6.0]
    >>> planned = Planned(hero_share=0.75)
    >>> result = cs.simulate(log, cluster, first_fit, node_events=NodeEvents((), planned=planned))
    >>> result.jobs["start_s"].tolist()
    [0.0, 60.0, 120.0]
    """

    windows: Sequence[PlannedWindow] = ()
    hero_share: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is planned."""
        return not self.windows and self.hero_share is None


NOTHING_PLANNED = Planned()
"""No windows and no hero jobs."""


def with_nodes(cluster: Cluster) -> Cluster:
    """Return a pool without topology as nodes of one accelerator each, which windows can close.

    A gang fits on them if as many accelerators are free, as without nodes.

    Examples
    --------
    >>> from clustersim import single_pool
    >>> from clustersim.simulation.windows import with_nodes
    >>> with_nodes(single_pool(100)).pools[0].n_nodes
    100
    """
    (pool,) = cluster.pools
    nodes = np.zeros(pool.n_chips, dtype=np.int32)
    split = replace(
        pool,
        n_nodes=pool.n_chips,
        chips_per_node=1,
        scaleup_size=1,
        leaf_of_node=nodes,
        unit_of_node=nodes,
    )
    return replace(cluster, pools=(split,))


def hero_jobs(
    planned: Planned,
    jobs: pd.DataFrame,
    rows: npt.NDArray[np.intp],
    choices: Sequence[Sequence[int]],
    choice_of: Ints,
    partitions: Sequence[Partition],
) -> list[int]:
    """Return the numbers of the simulated jobs that are hero jobs, in order of submission.

    Parameters
    ----------
    planned : Planned
    jobs : pandas.DataFrame
        A jobs table.
    rows : int array
        Rows of the simulated jobs.
    choices : sequence of sequence of int
        The distinct sets of partitions on which jobs can run.
    choice_of : int array (jobs,)
        Set of each row.
    partitions : sequence of Partition
    """
    if planned.hero_share is None:
        return []
    most = [max(partitions[index].placement.capacity for index in choice) for choice in choices]
    largest = np.array(most, dtype=np.int64)[choice_of[rows]]
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows]
    hero: Bools = sizes >= planned.hero_share * largest
    if "hero" in jobs:
        given = jobs["hero"].astype(object)
        hero |= given.where(given.notna(), False).to_numpy(dtype=bool)[rows]
    # Nodes are drained on one partition, so not for a job that runs on several, or only smaller.
    return np.flatnonzero(hero & (sizes <= largest)).tolist()


def check_windows(
    planned: Planned, cluster: Cluster, partitions: Sequence[Partition], policy: type[Policy]
) -> None:
    """Check that windows can be carried out on a cluster.

    Raises
    ------
    InputError
        If the placement does not track nodes, a node does not exist, a window ends before it
        begins, two windows overlap on a node, or the policy cannot start hero jobs first.
    """
    windows = planned.windows
    if planned.is_empty:
        return
    if planned.hero_share is not None:
        check_heroes(policy, POLICIES)
        if not 0 < planned.hero_share <= 1:
            raise InputError(
                "windows",
                f"heroes: share must be above 0 and at most 1, found {planned.hero_share:g}",
            )
    if not all(isinstance(part.placement, NodePlacement) for part in partitions):
        raise InputError("placement", "windows need a placement that tracks nodes; use consolidate")
    problems = [problem for each in windows for problem in _problems(each, cluster)]
    if not problems:
        problems = list(_overlaps(windows, cluster))
    if problems:
        raise InputError("windows", problems)


def _problems(window: PlannedWindow, cluster: Cluster) -> Iterator[str]:
    if not 0 <= window.pool < len(cluster.pools):
        yield f"{window.name}: there is no pool {window.pool}"
        return
    pool = cluster.pools[window.pool]
    if wrong := [node for node in window.nodes if not 0 <= node < pool.n_nodes]:
        yield (
            f"{window.name}: pool {pool.name} has no node {wrong[0]}; nodes are 0 to "
            f"{pool.n_nodes - 1}"
        )
    if not window.nodes:
        yield f"{window.name}: has no nodes"
    if not 0 <= window.begin_s <= window.end_s < np.inf:
        yield (
            f"{window.name}: must begin at 0 s or later, and end after that, found "
            f"{window.begin_s:g} s to {window.end_s:g} s"
        )


def _overlaps(windows: Sequence[PlannedWindow], cluster: Cluster) -> Iterator[str]:
    last: dict[tuple[int, int], PlannedWindow] = {}
    for window in sorted(windows, key=lambda each: (each.begin_s, each.end_s)):
        for node in window.nodes:
            before = last.get((window.pool, node))
            if before is not None and window.begin_s < before.end_s:
                yield (
                    f"{before.name} and {window.name} overlap on node {node} of pool "
                    f"{cluster.pools[window.pool].name}: {before.name} ends at {before.end_s:g} s, "
                    f"{window.name} begins at {window.begin_s:g} s"
                )
                return
            last[window.pool, node] = window


def plain_windows(windows: Sequence[PlannedWindow], pools: Sequence[str]) -> list[dict[str, Any]]:
    """Return windows as plain data, with the names of their pools; see :func:`planned_of`."""
    found = []
    for each in windows:
        plain = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(each).items()
        }
        found.append({**plain, "pool": pools[each.pool], "nodes": _ranges(each.nodes)})
    return found


def _ranges(nodes: Sequence[int]) -> list[list[int]]:
    """Return the first and the last node of each stretch of nodes."""
    own = np.asarray(nodes, dtype=np.int64)
    begins = np.flatnonzero(np.diff(own, prepend=-2) != 1)
    ends = np.r_[begins[1:], len(own)] - 1
    pairs = zip(own[begins].tolist(), own[ends].tolist(), strict=True)
    return [[first, last] for first, last in pairs]


def planned_of(given: Mapping[str, Any], pools: Sequence[str]) -> PlannedWindow:
    """Return a window from plain data.

    Examples
    --------
    >>> from clustersim.engine.window_driver import PlannedWindow
    >>> from clustersim.simulation.windows import plain_windows, planned_of
    >>> update = PlannedWindow("update", "maintenance", 1, (0, 1, 5), 60.0, 90.0)
    >>> planned_of(plain_windows([update], ["a", "b"])[0], ["a", "b"]) == update
    True
    """
    lists: dict[str, Any] = {
        name: tuple(given[name]) for name in ("users", "virtual_clusters", "jobs")
    }
    stretches = (range(first, last + 1) for first, last in given["nodes"])
    lists["nodes"] = tuple(node for stretch in stretches for node in stretch)
    return PlannedWindow(**{**given, **lists, "pool": pools.index(given["pool"])})


def jobs_of_windows(
    windows: Sequence[PlannedWindow], jobs: pd.DataFrame, rows: npt.NDArray[np.intp]
) -> tuple[list[frozenset[int]], list[str]]:
    """Return the jobs that may use each window, and notes.

    Parameters
    ----------
    windows : sequence of PlannedWindow
    jobs : pandas.DataFrame
        A jobs table.
    rows : int array
        Rows of the simulated jobs in the table.

    Returns
    -------
    list of set of int
        Numbers of simulated jobs, by window.
    list of str
        Notes on names that no job has.

    Raises
    ------
    InputError
        If the jobs have no such column, or a name looks like a misspelt one.
    """
    found: list[frozenset[int]] = []
    notes: list[str] = []
    texts: dict[str, npt.NDArray[Any]] = {}
    for window in windows:
        may: Bools = np.zeros(len(jobs), dtype=np.bool_)
        for field, column in _COLUMNS.items():
            names = getattr(window, field)
            if not names:
                continue
            if field == "virtual_clusters":
                column = partition_column(jobs) or column
            if column not in texts:
                texts[column] = _texts(jobs, column, window.name)
            notes += _unknown(window.name, names, texts[column], column)
            may |= np.isin(texts[column], names)
        found.append(frozenset(np.flatnonzero(may[rows]).tolist()))
    return found, notes


def notes_on_windows(planned: Planned, jobs: pd.DataFrame, end_s: float) -> list[str]:
    """Return what is planned, or asked for, and had no effect on a run.

    Parameters
    ----------
    planned : Planned
    jobs : pandas.DataFrame
        A jobs table.
    end_s : float
        End of the run, seconds.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.simulation.windows import NOTHING_PLANNED, notes_on_windows
    >>> notes_on_windows(NOTHING_PLANNED, pd.DataFrame({"hero": [True, False]}), 60.0)
    ['column hero has no effect without hero jobs: windows: {heroes: {}} in a scenario']
    """
    late = [each for each in planned.windows if each.begin_s >= end_s]
    notes = [
        f"{each.name} had no effect: it begins after {format_duration(each.begin_s)}, and the run "
        f"ends after {format_duration(end_s)}"
        for each in late[:_MOST_NAMED]
    ]
    if len(late) > _MOST_NAMED:
        notes.append(f"{len(late) - _MOST_NAMED} more windows begin after the end of the run")
    asked = "hero" in jobs and bool(jobs["hero"].isin([True]).any())
    if asked and planned.hero_share is None:
        notes.append(
            "column hero has no effect without hero jobs: windows: {heroes: {}} in a scenario"
        )
    return notes


def _texts(jobs: pd.DataFrame, column: str, name: str) -> npt.NDArray[Any]:
    if column not in jobs:
        raise InputError(
            "windows", f"{name}: the jobs have no column {column}, which says who may use it"
        )
    texts = texts_of(jobs[column]).astype(str)
    return np.asarray(texts, dtype=str)


def _unknown(
    window: str, names: Sequence[str], texts: npt.NDArray[Any], column: str
) -> Iterator[str]:
    known = np.unique(texts).tolist()
    for name in names:
        if name not in known:
            if difflib.get_close_matches(name, known) and column != "job_id":
                hint = nearest_hint(name, known)
                raise InputError("windows", f"{window}: no job has the {column} {name!r}; {hint}")
            yield f"{window}: no job has the {column} {name!r}"
