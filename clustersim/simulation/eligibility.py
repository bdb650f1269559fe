"""The partitions on which each job can run, in the job's order of preference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.catalogue.assumptions import server_price_cny
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.elastic import Elastic
from clustersim.scheduling.queue import Partition
from clustersim.simulation.partition_names import (
    SHARED,
    alternatives,
    ignored_virtual_clusters,
    named_partitions,
    partition_names_of,
)
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster, Pool
from clustersim.topology.listed_chips import (
    chips_in,
    lacking_chips_notes,
    unknown_chip_problems,
)
from clustersim.units import counted
from clustersim.workload.jobs import texts_of

__all__ = [
    "NO_ACCELERATORS",
    "SHARED",
    "Choose",
    "Eligibility",
    "accelerators_of_jobs",
    "find_eligibility",
    "ignored_virtual_clusters",
    "named_partitions",
    "partition_names_of",
]

NOT_LISTED = np.iinfo(np.int64).max
"""Position of a chip that is not in a job's list of chips."""
NO_ACCELERATORS = "the cluster has none of its accelerators"
"""Reason why a job can never run; what follows are those that it lists."""
Choose = Literal["fastest", "best_value", "listed"]
SmallerSizes = Callable[[int, int, Partition], Sequence[int]]
_SPLIT = "no job spans two pools, and all of its pools together would do"


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The partitions on which each job can run.

    Attributes
    ----------
    choices : list of tuple of int
        The distinct sets of partitions on which jobs can run, each in order of preference.
    choice_of : int64 array (jobs,)
        Index of each job's set in `choices`; -1 for a job that can never run.
    reasons : dict
        Maps the row of each job that can never run to the reason.
    notes : tuple of str
        Notes on columns of the jobs table that were ignored.
    """

    choices: list[tuple[int, ...]]
    choice_of: Ints
    reasons: dict[int, str]
    notes: tuple[str, ...] = ()

    def without(self, never: Mapping[int, str]) -> Eligibility:
        """Return the eligibility if further jobs can never run, with the reasons by row."""
        if not never:
            return self
        choice_of = self.choice_of.copy()
        choice_of[list(never)] = -1
        return replace(self, choice_of=choice_of, reasons={**self.reasons, **never})


def find_eligibility(
    jobs: pd.DataFrame,
    cluster: Cluster,
    partitions: Sequence[Partition],
    runtimes: Runtimes,
    catalogue: Catalogue | None,
    *,
    choose: Choose = "fastest",
    wait_for_best: bool = False,
    spans: bool = False,
    lends: Collection[int] = (),
    smaller_sizes: SmallerSizes | None = None,
) -> Eligibility:
    """Find the partitions on which each job can run, in the job's order of preference.

    A job may name several partitions, separated by commas, as on Slurm: it runs on any of them.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table. Its column ``accelerators`` lists the chips on which a job may run, in
        order of preference and separated by commas; if absent or empty, all chips.
    cluster : Cluster
        The pools.
    partitions : sequence of Partition
        All partitions of the cluster, without running jobs.
    runtimes : Runtimes
        Run times of the jobs; infinite if a job cannot run.
    catalogue : Catalogue, optional
        Needed for prices (``best_value``) and for the column ``accelerators``.
    choose : {"fastest", "best_value", "listed"}
        The order of preference. ``fastest`` sorts by run time. ``best_value`` sorts by the product
        of the run time and the price of the chips with their servers. ``listed`` keeps the order in
        which the job lists the chips; if the job lists no chips, the order of the cluster's pools.
    wait_for_best : bool
        Whether a job waits for its preferred partition instead of using another partition.
    spans : bool
        Whether a job can run on several of its partitions at once; then it has all of them if they
        are large enough together.
    lends : collection of int
        Indices of pools whose services lend chips. Only jobs whose column ``preemptible`` is true
        run on these pools.
    smaller_sizes : callable, optional
        Takes the smallest size of a job, the size that it asks for and a partition, and returns the
        sizes below it at which the policy may start the job there. Pools on which a job fits only
        so come last.

    Raises
    ------
    InputError
        If `lends` is not empty and the column ``preemptible`` has a value other than true or false.
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
    names = named_partitions(jobs, cluster)
    place = _partition_of(len(jobs), names, cluster, partitions)
    can &= place >= 0
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    holds = _holds(sizes, place, partitions)
    if spans:
        holds |= _capacity_together(can, place, partitions) >= sizes
    whole = can & holds
    if smaller_sizes is not None and runtimes.elastic is not None:
        _add_smaller(holds, can, place, partitions, runtimes.elastic, smaller_sizes)
    can &= holds
    order = np.lexsort((np.where(can, rank, np.inf), can & ~whole), axis=0)
    if wait_for_best:
        order = order[:1]
    usable = np.take_along_axis(can, order, axis=0)
    ordered = np.where(usable, np.take_along_axis(place, order, axis=0), -1)
    choices, choice_of = _distinct(ordered, len(partitions))
    reasons = {
        int(row): _reason(
            jobs, int(row), cluster, partitions, runtimes, chips, place, names, kept_out, spans
        )
        for row in np.flatnonzero(choice_of < 0)
    }
    notes = (
        *ignored_virtual_clusters(jobs, cluster),
        *lacking_chips_notes(jobs, [pool.accelerator for pool in cluster.pools]),
        *_split_note(reasons),
    )
    return Eligibility(choices, choice_of, reasons, notes)


def _split_note(reasons: Mapping[int, str]) -> Iterator[str]:
    """Yield a note on jobs that only the division of their partition into pools keeps out."""
    split = [text for text in reasons.values() if _SPLIT in text]
    if split:
        jobs = counted(len(split), "job can never run", "jobs can never run")
        yield (
            f"{jobs} although the nodes of the partition would be enough (the first {split[0]}); "
            "let jobs run on several pools with scheduler.span_pools or --span-pools, or write the "
            "pools as one if their nodes are alike"
        )


def _preemptible(jobs: pd.DataFrame) -> Bools:
    """Return which jobs may be stopped at any time; a missing value counts as false."""
    if "preemptible" not in jobs:
        return np.zeros(len(jobs), dtype=bool)
    column = jobs["preemptible"].astype(object)
    return np.asarray(column.where(column.notna(), False), dtype=bool)


def accelerators_of_jobs(jobs: pd.DataFrame, cluster: Cluster, catalogue: Catalogue | None) -> Ints:
    """Return the position of each pool's chip in each job's list of chips.

    The result has the shape (pools, jobs). For a job that lists no chips, the position is the index
    of the pool. For a chip that is not in the job's list, the position is ``NOT_LISTED``.

    Raises
    ------
    InputError
        If a listed chip is not in the catalogue.
    """
    n_pools = len(cluster.pools)
    position = np.repeat(np.arange(n_pools)[:, None], len(jobs), axis=1)
    if "accelerators" not in jobs:
        return position
    if catalogue is not None and (problems := unknown_chip_problems(jobs, catalogue)):
        raise InputError("jobs", problems)
    lists, list_of = np.unique(texts_of(jobs["accelerators"]).astype(str), return_inverse=True)
    own = [_canonical(pool.accelerator, catalogue) for pool in cluster.pools]
    table = np.empty((n_pools, len(lists)), dtype=np.int64)
    for column, text in enumerate(lists):
        wanted = [_canonical(name, catalogue) for name in chips_in(str(text))]
        for row, name in enumerate(own):
            if not wanted:
                table[row, column] = row
            else:
                table[row, column] = wanted.index(name) if name in wanted else NOT_LISTED
    return table[:, list_of]


def _canonical(name: str, catalogue: Catalogue | None) -> str:
    """Return one name for all names of a chip; without a catalogue, chips may be unknown."""
    if catalogue is not None:
        return catalogue.accelerator(name).name
    known = load_catalogue()
    return (known.accelerator(name).name if known.has_accelerator(name) else name).lower()


def _rank(
    runtimes: Runtimes,
    cluster: Cluster,
    catalogue: Catalogue | None,
    chips: Ints,
    choose: Choose,
) -> Floats:
    if choose == "listed":
        return chips.astype(np.float64)
    if choose == "fastest":
        return runtimes.run_s
    if catalogue is None:
        raise InputError(
            "scheduler.choose", "best_value needs chip prices; define a cluster with named chips"
        )
    prices = np.array([_price(catalogue, pool) for pool in cluster.pools])
    cost: Floats = runtimes.run_s * prices[:, None]
    return cost


def _price(catalogue: Catalogue, pool: Pool) -> float:
    """Return the price (CNY) of one chip of a pool, including its share of the server."""
    chip = catalogue.accelerator(pool.accelerator)
    price = server_price_cny(chip, catalogue.assumptions, chips_per_node=pool.chips_per_node)
    if price is None:
        raise InputError(
            "scheduler.choose",
            f"best_value needs the price of {chip.name}, which is not in the catalogue; "
            "add it in a user-defined catalogue file",
        )
    return price[1]


def _partition_of(
    n_jobs: int,
    names: npt.NDArray[np.object_] | None,
    cluster: Cluster,
    partitions: Sequence[Partition],
) -> Ints:
    """Return the partition of each job in each pool, of shape (pools, jobs).

    It is -1 if a job may not use the pool.  `names` are those of `named_partitions`.  Of several
    virtual clusters of a pool that a job names, it has the first in the order of the pool.
    """
    n_pools = len(cluster.pools)
    if names is None:
        vcs, vc_of = np.array([""], dtype=object), np.zeros(n_jobs, dtype=np.intp)
    else:
        codes, uniques = pd.factorize(names)
        vcs, vc_of = np.asarray(uniques, dtype=object), codes
    table = np.full((n_pools, len(vcs)), -1, dtype=np.int64)
    there = partition_names_of(cluster)
    columns: dict[str, list[int]] = {}
    for index, vc in enumerate(vcs):
        for name in alternatives(str(vc), there):
            columns.setdefault(name, []).append(index)
    for partition in partitions:
        own = partition.virtual_cluster
        queues = () if own else cluster.pools[partition.pool].queues
        for index in (index for name in (own, *queues) for index in columns.get(name, ())):
            if table[partition.pool, index] < 0:
                table[partition.pool, index] = partition.index
    return table[:, vc_of]


def _holds(sizes: Ints, place: Ints, partitions: Sequence[Partition]) -> Bools:
    """Return whether each job fits on its partition of each pool, if no other job runs there."""
    distinct, size_of = np.unique(sizes, return_inverse=True)
    fits = np.zeros((len(partitions) + 1, len(distinct)), dtype=bool)
    for partition in partitions:
        fits[partition.index] = partition.placement.fits_each(distinct)
    return fits[place, size_of[None, :]]


def _add_smaller(
    holds: Bools,
    can: Bools,
    place: Ints,
    partitions: Sequence[Partition],
    elastic: Elastic,
    smaller_sizes: SmallerSizes,
) -> None:
    """Add to `holds` the pools on which jobs run only below the size that they ask for."""
    for pool, job in np.argwhere(can & ~holds & (elastic.smallest < elastic.asked)).tolist():
        partition = partitions[place[pool, job]]
        sizes = np.array(
            smaller_sizes(elastic.range(job)[0], int(elastic.asked[job]), partition),
            dtype=np.int64,
        )
        fitting = sizes[partition.placement.fits_each(sizes)].tolist()
        holds[pool, job] = any(elastic.pace(job, pool, size) > 0.0 for size in fitting)


def _capacity_together(can: Bools, place: Ints, partitions: Sequence[Partition]) -> Ints:
    """Return the accelerators of all partitions on which each job can run."""
    capacity = np.array([part.placement.capacity for part in partitions] + [0], dtype=np.int64)
    total: Ints = np.where(can, capacity[place], 0).sum(axis=0)
    return total


def _distinct(ordered: Ints, n_partitions: int) -> tuple[list[tuple[int, ...]], Ints]:
    """Return the distinct sets of partitions in the columns of `ordered`, and each column's set.

    A set is identified by its index in the list; -1 for a column without partitions.
    """
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
    chips: Ints,
    place: Ints,
    names: npt.NDArray[np.object_] | None,
    kept_out: Bools,
    spans: bool,
) -> str:
    """Return the reason why the job at `row` can never run."""
    size = int(jobs["n_accelerators"].iloc[row])
    vc = "" if names is None else str(names[row])
    listed = [pool for pool in range(len(cluster.pools)) if chips[pool, row] != NOT_LISTED]
    if not listed:
        return f"{NO_ACCELERATORS} ({jobs['accelerators'].iloc[row]})"
    if kept_out[listed, row].all():
        return (
            "it is not preemptible, but in the pools that it may use, services lend nodes only "
            "to preemptible jobs"
        )
    listed = [pool for pool in listed if not kept_out[pool, row]]
    mine = [pool for pool in listed if place[pool, row] >= 0]
    if not mine:
        known_vc = partition_names_of(cluster)
        if known_vc & {*alternatives(vc, known_vc)}:
            return f"virtual cluster {vc!r} has no nodes in the pools with its accelerators"
        if vc in ("", "nan", "None", "<NA>"):
            return "it names no virtual cluster, but its pools have only nodes of virtual clusters"
        return f"virtual cluster {vc!r} does not exist; {nearest_hint(vc, known_vc, most=4)}"
    of_chip: dict[str, dict[int, int]] = {}
    for pool in mine:
        at = int(place[pool, row])
        alike = of_chip.setdefault(cluster.pools[pool].accelerator, {})
        alike[at] = partitions[at].placement.capacity
    largest = max(max(alike.values()) for alike in of_chip.values())
    together = sum(sum(alike.values()) for alike in of_chip.values())
    owned = any(partitions[int(place[pool, row])].virtual_cluster for pool in mine)
    where = f"{'virtual cluster' if owned else 'partition'} {vc!r}"
    where = where if vc else "the largest pool it may use"
    needs = f"needs {counted(size, 'accelerator')}"
    if vc and largest < size <= together:
        return f"{needs}, but the largest pool of {where} has {largest:,}: {_SPLIT} ({together:,})"
    if spans and size > together:
        whole = f"all pools of {where}" if vc else "all pools that it may use"
        return f"{needs}, but {whole} together have {together:,}"
    if size > largest:
        return f"{needs}, but {where} has {largest:,}"
    fitting = [pool for pool in mine if np.isfinite(runtimes.run_s[pool, row])]
    if not fitting:
        model = str(jobs["model"].iloc[row]) if "model" in jobs else ""
        obstacles = [
            f"{cluster.pools[pool].name}: {runtimes.obstacle(row, pool, model, size)}"
            for pool in mine
        ]
        return "; ".join(obstacles)
    return f"{needs}, which the placement cannot allocate on the nodes of {where}"
