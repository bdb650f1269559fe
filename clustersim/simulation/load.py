"""Offered load of a stream of jobs on a fleet of different accelerators.

The offered load is the arrival rate of jobs divided by the largest arrival rate that the
fleet can sustain. If chips differ, a linear program finds this largest rate: the jobs are
divided among the partitions so that no partition is overloaded. On one pool, the offered load
is ``rate x E[n x run time] / accelerators``.

Jobs and partitions divide into *islands*, each with a largest arrival rate of its own. An island
consists of jobs and of the partitions on which they run; its jobs cannot be moved to other
partitions to relieve it. Examples are virtual clusters, and a pool that is full first because some
jobs require its chip. The island with the smallest rate determines the rate of the fleet.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.partitions import build_partitions
from clustersim.errors import InputError
from clustersim.scheduling import Pooled
from clustersim.simulation.eligibility import Choose, find_eligibility
from clustersim.simulation.networked.network_model import NetworkModel
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.speeds import Speeds
from clustersim.workload import JobClass, WorkloadSpec

__all__ = ["OfferedWork", "job_kinds", "offered_work"]

QUANTILES = 4096
"""Number of representative values for each kind of job."""
TAIL = 4
"""Exponent by which the representative values become denser towards the upper tail."""
MOST_OF_SQUARES = 0.01
"""Largest contribution of one representative value to the second moment of a class.

Up to this limit, the second moments of lognormal and Weibull distributions are right to 0.2 %."""
FREE = 1e-9
"""A partition whose price is below this multiple of the largest price is not full."""


@dataclass(frozen=True)
class OfferedWork:
    """The work that the jobs of a workload model offer to a fleet.

    The work of a job is the cost of its cheapest use of its island at the prices (dual variables)
    of the linear program that divides the island's jobs among its partitions. It is counted in
    seconds of the island: 1 is what the whole island can do in a second.

    Attributes
    ----------
    rate_per_s : float
        Jobs per second at which the offered load of the fleet is 1.
    kinds : pandas.DataFrame
        One row per job class, size and virtual cluster, with ``job_class``, ``n_accelerators``,
        ``vc`` (if the workload has virtual clusters), ``share`` of the jobs, ``amount`` (mean
        duration in seconds, or mean number of tokens), ``island`` (a number from 0; -1 if the job
        can never run), ``island_per_s`` (jobs per second of all islands at which the load of this
        island is 1; NaN if the job can never run) and ``work_s`` (work of a job with this amount, 0
        if it can never run). The sum of ``share * work_s`` over an island is ``1 / island_per_s``.
    """

    rate_per_s: float
    kinds: pd.DataFrame

    def of_jobs(self, jobs: pd.DataFrame) -> tuple[Floats, Ints]:
        """Return the work and the island of each job that was drawn from the workload.

        Returns
        -------
        work_s : float64 array (jobs,)
            In seconds of the island.
        island : int64 array (jobs,)
            Number of the island; -1 for a job that can never run.
        """
        names = [name for name in ("job_class", "n_accelerators", "vc") if name in self.kinds]
        kinds = pd.MultiIndex.from_frame(self.kinds[names].astype(str))
        row = kinds.get_indexer(pd.MultiIndex.from_frame(jobs[names].astype(str)))
        assert (row >= 0).all(), "each job was drawn from a class of the workload"
        amount = jobs["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        if "tokens" in jobs:
            tokens = jobs["tokens"].to_numpy(dtype=np.float64, na_value=np.nan)
            amount = np.where(np.isnan(tokens), amount, tokens)
        per_amount = (self.kinds["work_s"] / self.kinds["amount"]).to_numpy()
        work_s: Floats = amount * per_amount[row]
        return work_s, self.kinds["island"].to_numpy(dtype=np.int64)[row]

    def values(self, workload: WorkloadSpec) -> list[tuple[float, Floats, Floats]] | None:
        """Return representative values of the work that a submitted job brings to each island.

        The values of each kind are quantiles of its class; their spacing becomes finer towards the
        upper tail, which decides how long jobs wait.

        Returns
        -------
        list of (part, work_s, probability) or None
            For each island: its share of the jobs that can run, the values (float64 array, 0 for a
            job of another island), and their probabilities. None if the upper tail of a class is so
            heavy that one value contributes more than 1 % of its second moment.
        """
        part = (np.arange(QUANTILES) + 0.5) / QUANTILES
        weight = (1 - part) ** (TAIL - 1)
        weight /= weight.sum()
        runnable = self.kinds[self.kinds["island"] >= 0]
        relative = {}
        for each in workload.classes:
            drawn = each.tokens if each.duration is None else each.duration
            assert drawn is not None, "a class has a duration or tokens"
            values = drawn.quantile(1 - (1 - part) ** TAIL) / drawn.mean()
            squares = weight * values**2
            heavy = not squares.max() <= MOST_OF_SQUARES * squares.sum()
            if heavy and (runnable["job_class"] == each.name).any():
                return None
            relative[each.name] = values
        found = []
        for _, kinds in runnable.groupby("island"):
            work_s = kinds["work_s"].to_numpy()[:, None] * np.array(
                [relative[name] for name in kinds["job_class"]]
            )
            share = kinds["share"].to_numpy()
            own = float(share.sum())
            found.append(
                (
                    own / float(runnable["share"].sum()),
                    np.append(work_s.ravel(), 0.0),
                    np.append((share[:, None] * weight).ravel(), 1.0 - own),
                )
            )
        return found


def offered_work(
    workload: WorkloadSpec,
    speeds: Speeds,
    *,
    choose: Choose = "fastest",
    wait_for_best: bool = False,
    spans: bool = False,
    network: NetworkModel | None = None,
) -> OfferedWork:
    """Return the work of jobs, and the arrival rate at which the offered load is 1.

    The rate assumes mature software (see :mod:`clustersim.simulation.software`). It counts all
    chips, including chips that services reserve. Scenarios that differ only in software or services
    therefore have the same jobs. If the arrival rate grows, the result applies to the start of the
    run. The linear program ignores gang scheduling, so a fleet can rarely sustain a load of 1.

    Parameters
    ----------
    workload : WorkloadSpec
        The workload model; only the mean durations and tokens of its job classes are used.
    speeds : Speeds
        Speeds of models on the pools of the cluster; needs a catalogue if jobs have models.
    choose, wait_for_best
        See :class:`~clustersim.simulation.scheduling.Scheduling`. If jobs wait for their preferred
        pool, only that pool is used.
    spans : bool
        Whether jobs can run on several pools at once.
    network : NetworkModel, optional
        If the network is simulated, jobs have the speed of their typical placement.

    Returns
    -------
    OfferedWork
        The arrival rate, and the work of each kind of job. Jobs that can never run do not
        contribute to the load.

    Raises
    ------
    InputError
        If no job of the workload can run on the cluster.
    """
    kinds = job_kinds(workload)
    if kinds["vc"].isna().all():
        kinds = kinds.drop(columns="vc")
    partitions = build_partitions(speeds.cluster, Pooled)
    runtimes = find_runtimes(kinds, speeds)
    if network is not None:
        runtimes = network.of_jobs(kinds, speeds).expected(runtimes, kinds, exact=True)
    eligible = find_eligibility(
        kinds,
        speeds.cluster,
        partitions,
        runtimes,
        speeds.catalogue,
        choose=choose,
        wait_for_best=wait_for_best,
        spans=spans,
    )
    share = kinds["share"].to_numpy() / kinds["share"].sum()
    sizes = kinds["n_accelerators"].to_numpy()
    capacity = np.array([p.placement.capacity for p in partitions], dtype=np.float64)
    places, kind_of, work = [], [], []
    for kind, choice in enumerate(eligible.choice_of):
        # Kinds with a weight of 0 are never drawn.
        for index in eligible.choices[choice] if choice >= 0 and share[kind] > 0 else ():
            places.append(index)
            kind_of.append(kind)
            work.append(sizes[kind] * runtimes.run_s[partitions[index].pool, kind])
    if not places:
        raise InputError("workload", "none of its jobs can run on this cluster")
    flows = _Flows(np.array(places), np.array(kind_of), np.array(work))
    island, island_per_s, work_s = _islands(flows, share, capacity)
    amount = kinds["tokens"].fillna(kinds["duration_s"])
    columns = [name for name in ("job_class", "n_accelerators", "vc") if name in kinds]
    offered = kinds[columns].assign(
        share=share, amount=amount, island=island, island_per_s=island_per_s, work_s=work_s
    )
    return OfferedWork(float(np.nanmin(island_per_s)), offered)


def job_kinds(workload: WorkloadSpec) -> pd.DataFrame:
    """Return one row per job class, size and virtual cluster, with mean duration and tokens.

    The column ``share`` is relative to the shares of the other rows.
    """
    return pd.concat([_kinds(job_class) for job_class in workload.classes], ignore_index=True)


def _kinds(job_class: JobClass) -> pd.DataFrame:
    """Return one row per job size and virtual cluster of a class."""
    vcs: dict[Any, float] = dict(job_class.vcs) if job_class.vcs else {None: 1.0}
    rows = [
        {
            "job_class": job_class.name,
            "n_accelerators": size,
            "vc": vc,
            "duration_s": np.nan if job_class.duration is None else job_class.duration.mean(),
            "model": job_class.model,
            "tokens": np.nan if job_class.tokens is None else job_class.tokens.mean(),
            "accelerators": ",".join(job_class.accelerators or ()),
            "share": job_class.weight
            * (weight / sum(job_class.sizes.values()))
            * (vc_weight / sum(vcs.values())),
        }
        for (size, weight), (vc, vc_weight) in itertools.product(
            job_class.sizes.items(), vcs.items()
        )
    ]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Flows:
    """Pairs of a partition and a kind of job that can run on it, with the work in chip-seconds."""

    place: Ints
    kind: Ints
    work: Floats

    def only(self, chosen: Bools) -> _Flows:
        return _Flows(self.place[chosen], self.kind[chosen], self.work[chosen])

    def connected(self) -> list[_Flows]:
        """Divide the flows into sets that share neither kinds nor partitions."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        places, place = np.unique(self.place, return_inverse=True)
        kinds, kind = np.unique(self.kind, return_inverse=True)
        size = len(places) + len(kinds)
        graph: Any = coo_array(
            (np.ones(len(place)), (place, len(places) + kind)), shape=(size, size)
        )
        count, label = connected_components(graph, directed=False)
        return [self.only(label[place] == each) for each in range(count)]


def _islands(flows: _Flows, share: Floats, capacity: Floats) -> tuple[Ints, Floats, Floats]:
    """Divide jobs and partitions into islands.

    The linear program gives a positive price to the partitions that limit the rate of connected
    flows. Jobs that can run only on these partitions form an island with them. The other jobs and
    partitions are divided in the same way. The prices of partitions that are not connected are
    arbitrary, so each connected set is solved separately.

    Returns
    -------
    island : int64 array (kinds,)
    island_per_s, work_s : float64 arrays (kinds,)
        As in :class:`OfferedWork`.
    """
    first, rate_of, work_s = np.full(len(share), -1), np.full(len(share), np.nan), 0.0 * share
    stack = flows.connected()
    while stack:
        now = stack.pop()
        rate_per_s, price = _solve(now, share, capacity)
        full = price[now.place] > FREE * price.max()
        cheap = np.isin(now.kind, now.kind[~full])
        within = now.only(~cheap).connected()
        if cheap.any():
            stack += now.only(cheap & ~full).connected()
        if cheap.any() or len(within) > 1:
            stack += within
            continue
        cost = np.full(len(share), np.inf)
        np.minimum.at(cost, now.kind, now.work * price[now.place])
        own = np.unique(now.kind)
        work_s[own] = cost[own] / float((share[own] * cost[own]).sum()) / rate_per_s
        first[own], rate_of[own] = own[0], rate_per_s
    numbers = np.unique(first[first >= 0])
    island = np.where(first >= 0, np.searchsorted(numbers, first), -1)
    return island, rate_of, work_s


def _solve(flows: _Flows, share: Floats, capacity: Floats) -> tuple[float, Floats]:
    """Return the largest arrival rate (jobs/s) for which no partition is overloaded.

    The second value is the price of a chip-second on each partition, in an arbitrary unit. It is 0
    if the rate does not depend on the capacity of the partition.

    The variables of the linear program are the arrival rate and, for each kind of job and each
    partition that it can use, the rate at which jobs of this kind start on the partition.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    places, place = np.unique(flows.place, return_inverse=True)
    kinds, kind = np.unique(flows.kind, return_inverse=True)
    price = np.zeros(len(capacity))
    if len(places) == 1:
        price[places] = 1.0
        return float(capacity[places[0]] / (share[flows.kind] * flows.work).sum()), price
    n_flows = len(place)
    columns = np.arange(n_flows)
    # Rates are scaled by the rate that these partitions could carry at the mean work.
    mean = (share[flows.kind] * flows.work).sum() / share[flows.kind].sum() * share[kinds].sum()
    unit = float(capacity[places].sum() / mean)
    used: Any = coo_array(
        (flows.work * unit / capacity[flows.place], (place, columns)),
        shape=(len(places), n_flows + 1),
    )
    balance: Any = coo_array(
        (
            np.concatenate([np.ones(n_flows), -share[kinds]]),
            (
                np.concatenate([kind, np.arange(len(kinds))]),
                np.concatenate([columns, np.full(len(kinds), n_flows)]),
            ),
        ),
        shape=(len(kinds), n_flows + 1),
    )
    objective = np.zeros(n_flows + 1)
    objective[-1] = -1.0
    solution: Any = linprog(
        objective,
        A_ub=used,
        b_ub=np.ones(len(places)),
        A_eq=balance,
        b_eq=np.zeros(len(kinds)),
        method="highs",
    )
    if not solution.success:
        raise InputError(
            "workload", f"cannot compute the arrival rate at load 1: {solution.message}"
        )
    price[places] = np.abs(solution.ineqlin.marginals) / capacity[places]
    return float(-solution.fun * unit), price
