"""Which jobs can run where, and which of those places each prefers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import server_price_cny
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.queue import Partition
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster, Pool
from clustersim.units import counted
from clustersim.workload.jobs import texts_of

__all__ = [
    "Choose",
    "Eligibility",
    "accelerators_of_jobs",
    "find_eligibility",
    "ignored_virtual_clusters",
]

NOT_LISTED = np.iinfo(np.int64).max
"""Position of a chip in the list of a job that does not list it."""
Choose = Literal["fastest", "best_value", "listed"]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Where each job can run.

    Attributes
    ----------
    choices : list of tuple of int
        Sets of partitions that occur, each in order of preference.
    choice_of : int64 array (jobs,)
        Index into `choices`, -1 for a job that can never run.
    reasons : dict
        From the row of a job that can never run to the reason.
    notes : tuple of str
        What of the jobs was not considered.
    """

    choices: list[tuple[int, ...]]
    choice_of: npt.NDArray[np.int64]
    reasons: dict[int, str]
    notes: tuple[str, ...] = ()


def find_eligibility(
    jobs: pd.DataFrame,
    cluster: Cluster,
    partitions: Sequence[Partition],
    runtimes: Runtimes,
    catalogue: Catalogue | None,
    *,
    choose: Choose = "fastest",
    wait_for_best: bool = False,
    lends: Collection[int] = (),
) -> Eligibility:
    """Find the partitions that each job can run on, in its order of preference.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table; a column ``accelerators`` lists the chips a job may run on, the
        preferred first, separated by commas (absent or empty: all).
    cluster : Cluster
        The pools.
    partitions : sequence of Partition
        All of them empty.
    runtimes : Runtimes
        Infinite where memory does not hold a job.
    catalogue : Catalogue, optional
        Needed for prices (``best_value``) and for the column ``accelerators``.
    choose : {"fastest", "best_value", "listed"}
        Shortest run time; least price of the chips with their servers times run time; the order in
        which the job (else the cluster's file) lists them.
    wait_for_best : bool
        Whether a job waits for the partition it prefers rather than take another.
    lends : collection of int
        Pools that lend the chips of services, on which only jobs that are ``preemptible`` run.

    Raises
    ------
    InputError
        If a pool lends and the column ``preemptible`` is neither true nor false.
    """
    n_pools = len(cluster.pools)
    chips = accelerators_of_jobs(jobs, cluster, catalogue)
    rank = _rank(runtimes, cluster, catalogue, chips, choose)
    can = chips != NOT_LISTED
    can &= np.isfinite(runtimes.run_s)
    kept_out = np.zeros((n_pools, len(jobs)), dtype=bool)
    if lends:
        kept_out[sorted(set(lends))] = ~_preemptible(jobs)
        can &= ~kept_out
    place, known_vc = _partition_of(jobs, n_pools, partitions)
    can &= place >= 0
    can &= _holds(jobs["n_accelerators"].to_numpy(dtype=np.int64), place, partitions)
    order = np.argsort(np.where(can, rank, np.inf), axis=0, kind="stable")
    if wait_for_best:
        order = order[:1]
    usable = np.take_along_axis(can, order, axis=0)
    ordered = np.where(usable, np.take_along_axis(place, order, axis=0), -1)
    choices, choice_of = _distinct(ordered, len(partitions))
    reasons = {
        int(row): _reason(
            jobs, int(row), cluster, partitions, runtimes, chips, place, known_vc, kept_out
        )
        for row in np.flatnonzero(choice_of < 0)
    }
    notes = tuple(ignored_virtual_clusters(jobs, cluster))
    return Eligibility(choices, choice_of, reasons, notes)


def ignored_virtual_clusters(jobs: pd.DataFrame, cluster: Cluster) -> list[str]:
    """Say that jobs name virtual clusters where the cluster has none.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> ignored_virtual_clusters(pd.DataFrame({"vc": ["a", "b", None]}), single_pool(8))
    ['2 jobs name one of 2 virtual clusters (vc), but the cluster has none: they share all of it']
    """
    if "vc" not in jobs or any(pool.virtual_clusters for pool in cluster.pools):
        return []
    named = pd.Series(texts_of(jobs["vc"]))
    named = named[named.str.strip() != ""]
    if named.nunique() < 2:
        return []
    return [
        f"{counted(len(named), 'job names', 'jobs name')} one of {named.nunique():,} virtual "
        "clusters (vc), but the cluster has none: they share all of it"
    ]


def _preemptible(jobs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which jobs may be stopped at any time; none where the table does not say."""
    if "preemptible" not in jobs:
        return np.zeros(len(jobs), dtype=bool)
    told = jobs["preemptible"].astype(object)
    known = told.isna() | told.isin([True, False])
    if not known.all():
        found = told[~known].iloc[0]
        raise InputError("jobs", f"preemptible: true or false is needed, found {found!r}")
    return np.asarray(told.where(told.notna(), False), dtype=bool)


def accelerators_of_jobs(
    jobs: pd.DataFrame, cluster: Cluster, catalogue: Catalogue | None
) -> npt.NDArray[np.int64]:
    """Position of each pool's chip in each job's list, (pools, jobs).

    Where a job lists none, the pool's position in the cluster; where its list does
    not have the chip, ``NOT_LISTED``.

    Raises
    ------
    InputError
        If a listed chip is not in the catalogue.
    """
    n_pools = len(cluster.pools)
    position = np.repeat(np.arange(n_pools)[:, None], len(jobs), axis=1)
    if "accelerators" not in jobs:
        return position
    lists, list_of = np.unique(texts_of(jobs["accelerators"]).astype(str), return_inverse=True)
    own = [_canonical(pool.accelerator, catalogue) for pool in cluster.pools]
    table = np.empty((n_pools, len(lists)), dtype=np.int64)
    for column, text in enumerate(lists):
        listed = [part.strip() for part in text.split(",") if part.strip()]
        wanted = [_canonical(name, catalogue) for name in listed]
        for row, name in enumerate(own):
            if not wanted:
                table[row, column] = row
            else:
                table[row, column] = wanted.index(name) if name in wanted else NOT_LISTED
    return table[:, list_of]


def _canonical(name: str, catalogue: Catalogue | None) -> str:
    return name.lower() if catalogue is None else catalogue.accelerator(name).name


def _rank(
    runtimes: Runtimes,
    cluster: Cluster,
    catalogue: Catalogue | None,
    chips: npt.NDArray[np.int64],
    choose: Choose,
) -> npt.NDArray[np.float64]:
    if choose == "listed":
        return chips.astype(np.float64)
    if choose == "fastest":
        return runtimes.run_s
    if catalogue is None:
        raise InputError("scheduler.choose", "best_value needs chips with prices, not a bare pool")
    prices = np.array([_price(catalogue, pool) for pool in cluster.pools])
    cost: npt.NDArray[np.float64] = runtimes.run_s * prices[:, None]
    return cost


def _price(catalogue: Catalogue, pool: Pool) -> float:
    """Price of a chip of a pool with its share of the server, by the planning assumptions."""
    chip = catalogue.accelerator(pool.accelerator)
    price = server_price_cny(chip, catalogue.assumptions, chips_per_node=pool.chips_per_node)
    if price is None:
        raise InputError(
            "scheduler.choose",
            f"best_value needs a price of {chip.name}, which the catalogue does not have; "
            "add one in a catalogue file of your own",
        )
    return price[1]


def _partition_of(
    jobs: pd.DataFrame, n_pools: int, partitions: Sequence[Partition]
) -> tuple[npt.NDArray[np.int64], set[str]]:
    """Partition of each job in each pool, (pools, jobs), -1 where it has none."""
    named = {p.virtual_cluster for p in partitions if p.virtual_cluster}
    if not named or "vc" not in jobs:
        vcs, vc_of = np.array([""], dtype=object), np.zeros(len(jobs), dtype=np.intp)
    else:
        codes, uniques = pd.factorize(texts_of(jobs["vc"]))
        vcs, vc_of = np.asarray(uniques, dtype=object), codes
    table = np.full((n_pools, len(vcs)), -1, dtype=np.int64)
    column = {str(vc): index for index, vc in enumerate(vcs)}
    for partition in partitions:
        if partition.virtual_cluster in column:
            table[partition.pool, column[partition.virtual_cluster]] = partition.index
    return table[:, vc_of], named


def _holds(
    sizes: npt.NDArray[np.int64], place: npt.NDArray[np.int64], partitions: Sequence[Partition]
) -> npt.NDArray[np.bool_]:
    """Tell whether each job fits on its partition of each pool when that is empty."""
    distinct, size_of = np.unique(sizes, return_inverse=True)
    fits = np.zeros((len(partitions) + 1, len(distinct)), dtype=bool)
    for partition in partitions:
        fits[partition.index] = partition.placement.fits_each(distinct)
    return fits[place, size_of[None, :]]


def _distinct(
    ordered: npt.NDArray[np.int64], n_partitions: int
) -> tuple[list[tuple[int, ...]], npt.NDArray[np.int64]]:
    """Number the distinct columns of `ordered`; -1 for a column without a partition."""
    code = np.zeros(ordered.shape[1], dtype=np.int64)
    for row in ordered:
        code = code * (n_partitions + 1) + row + 1
    _, first, choice_of = np.unique(code, return_index=True, return_inverse=True)
    columns = [tuple(int(p) for p in ordered[:, at] if p >= 0) for at in first]
    number = np.cumsum([bool(column) for column in columns]) - 1
    number[[not column for column in columns]] = -1
    return [column for column in columns if column], number[choice_of]


def _reason(
    jobs: pd.DataFrame,
    row: int,
    cluster: Cluster,
    partitions: Sequence[Partition],
    runtimes: Runtimes,
    chips: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    known_vc: set[str],
    kept_out: npt.NDArray[np.bool_],
) -> str:
    """Say why the job at `row` can never run."""
    size = int(jobs["n_accelerators"].iloc[row])
    vc = str(jobs["vc"].iloc[row]) if known_vc and "vc" in jobs else ""
    listed = [pool for pool in range(len(cluster.pools)) if chips[pool, row] != NOT_LISTED]
    if not listed:
        return f"none of its accelerators ({jobs['accelerators'].iloc[row]}) is in the cluster"
    if kept_out[listed, row].all():
        return "it is not preemptible, and its pools lend the chips of services"
    listed = [pool for pool in listed if not kept_out[pool, row]]
    mine = [pool for pool in listed if place[pool, row] >= 0]
    if not mine:
        if vc in known_vc:
            return f"virtual cluster {vc!r} has no share of the pools with its accelerators"
        if vc in ("", "nan", "None", "<NA>"):
            return "it names no virtual cluster, and none of the pools has nodes beside them"
        return f"virtual cluster {vc!r} does not exist; {nearest_hint(vc, known_vc, most=4)}"
    largest = max(partitions[place[pool, row]].placement.capacity for pool in mine)
    where = f"virtual cluster {vc!r}" if vc else "the largest pool it may use"
    if size > largest:
        return f"needs {counted(size, 'accelerator')}, {where} has {largest:,}"
    fitting = [pool for pool in mine if np.isfinite(runtimes.run_s[pool, row])]
    if not fitting:
        model = str(jobs["model"].iloc[row]) if "model" in jobs else ""
        told = [
            f"{cluster.pools[pool].name}: {runtimes.obstacle(row, pool, model, size)}"
            for pool in mine
        ]
        return "; ".join(told)
    needs = f"needs {counted(size, 'accelerator')}"
    return f"{needs}, which the placement cannot put on the nodes of {where}"
