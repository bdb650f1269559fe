"""Offered load of a stream of jobs on a fleet of different accelerators.

The offered load is the arrival rate of jobs divided by the largest arrival rate that the
fleet can sustain. If chips differ, a linear program finds this largest rate: the jobs are
divided among the partitions so that no partition is overloaded. On one pool, the offered load
is ``rate x E[n x run time] / accelerators``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.engine.partitions import build_partitions
from clustersim.errors import InputError
from clustersim.scheduling import Pooled
from clustersim.simulation.eligibility import Choose, find_eligibility
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.speeds import Speeds
from clustersim.workload import JobClass, WorkloadSpec

__all__ = ["OfferedWork", "offered_work"]

QUANTILES = 4096
"""Number of representative values for each kind of job."""
TAIL = 4
"""Exponent by which the representative values become denser towards the upper tail."""


@dataclass(frozen=True)
class OfferedWork:
    """The work that the jobs of a workload model offer to a fleet.

    Work is counted in fleet-seconds: one fleet-second is what the whole fleet can do in a second.
    The work of a job is the cost of its cheapest use of the fleet at the prices (dual variables) of
    the linear program that divides the jobs among the partitions.  The mean work of a job is
    therefore ``1 / rate_per_s``.

    Attributes
    ----------
    rate_per_s : float
        Jobs per second at which the offered load is 1.
    kinds : pandas.DataFrame
        One row per job class, size and virtual cluster, with ``job_class``, ``n_accelerators``,
        ``vc`` (if the workload has virtual clusters), ``share`` of the jobs, ``amount`` (mean
        duration in seconds, or mean number of tokens) and ``work_s`` (fleet-seconds of a job with
        this amount; 0 if it can never run).
    """

    rate_per_s: float
    kinds: pd.DataFrame

    def of_jobs(self, jobs: pd.DataFrame) -> Floats:
        """Return the work (fleet-seconds) of each job that was drawn from the workload (jobs,)."""
        names = [name for name in ("job_class", "n_accelerators", "vc") if name in self.kinds]
        kinds = pd.MultiIndex.from_frame(self.kinds[names].astype(str))
        row = kinds.get_indexer(pd.MultiIndex.from_frame(jobs[names].astype(str)))
        amount = jobs["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        if "tokens" in jobs:
            tokens = jobs["tokens"].to_numpy(dtype=np.float64, na_value=np.nan)
            amount = np.where(np.isnan(tokens), amount, tokens)
        per_amount = (self.kinds["work_s"] / self.kinds["amount"]).to_numpy()
        work_s: Floats = amount * per_amount[row]
        return work_s

    def values(self, workload: WorkloadSpec) -> tuple[Floats, Floats]:
        """Return representative values of the work of a job, and their probabilities.

        The values of each kind are quantiles of its class; their spacing becomes finer towards the
        upper tail, which decides how long jobs wait.

        Returns
        -------
        work_s, probability : float64 arrays (values,)
        """
        part = (np.arange(QUANTILES) + 0.5) / QUANTILES
        weight = (1 - part) ** (TAIL - 1)
        classes = {each.name: each for each in workload.classes}
        relative = {}
        for name, each in classes.items():
            drawn = each.tokens if each.duration is None else each.duration
            assert drawn is not None, "a class has a duration or tokens"
            relative[name] = drawn.quantile(1 - (1 - part) ** TAIL) / drawn.mean()
        work_s = self.kinds["work_s"].to_numpy()[:, None] * np.array(
            [relative[name] for name in self.kinds["job_class"]]
        )
        share = self.kinds["share"].to_numpy()[:, None] * (weight / weight.sum())
        return work_s.ravel(), share.ravel()


def offered_work(
    workload: WorkloadSpec,
    speeds: Speeds,
    *,
    choose: Choose = "fastest",
    wait_for_best: bool = False,
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
    kinds = pd.concat([_kinds(job_class) for job_class in workload.classes], ignore_index=True)
    if kinds["vc"].isna().all():
        kinds = kinds.drop(columns="vc")
    partitions = build_partitions(speeds.cluster, Pooled)
    runtimes = find_runtimes(kinds, speeds)
    eligible = find_eligibility(
        kinds,
        speeds.cluster,
        partitions,
        runtimes,
        speeds.catalogue,
        choose=choose,
        wait_for_best=wait_for_best,
    )
    share = kinds["share"].to_numpy() / kinds["share"].sum()
    sizes = kinds["n_accelerators"].to_numpy()
    capacity = np.array([p.placement.capacity for p in partitions], dtype=np.float64)
    places, kind_of, work = [], [], []
    for kind, choice in enumerate(eligible.choice_of):
        for index in eligible.choices[choice] if choice >= 0 else ():
            places.append(index)
            kind_of.append(kind)
            work.append(sizes[kind] * runtimes.run_s[partitions[index].pool, kind])
    if not places:
        raise InputError("workload", "none of its jobs can run on this cluster")
    rate_per_s, work_s = _solve(
        np.array(places), np.array(kind_of), np.array(work), share, capacity
    )
    amount = kinds["tokens"].fillna(kinds["duration_s"])
    columns = [name for name in ("job_class", "n_accelerators", "vc") if name in kinds]
    return OfferedWork(rate_per_s, kinds[columns].assign(share=share, amount=amount, work_s=work_s))


def _kinds(job_class: JobClass) -> pd.DataFrame:
    """Return one row per job size and virtual cluster of a class, with mean duration and tokens."""
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


def _solve(
    places: Ints,
    kind_of: Ints,
    work: Floats,
    share: Floats,
    capacity: Floats,
) -> tuple[float, Floats]:
    """Return the largest arrival rate (jobs/s) for which no partition is overloaded.

    The second value is the work of a job of each kind in fleet-seconds.  Its mean, weighted by the
    shares, is ``1 / rate``.

    The variables of the linear program are the arrival rate and, for each kind of job and each
    partition that it can use, the rate at which jobs of this kind start on the partition.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    n_flows = len(places)
    flows = np.arange(n_flows)
    # Rates are scaled by the rate that the whole fleet could carry at the mean work.
    unit = capacity.sum() / float((share[kind_of] * work).sum() / share[kind_of].sum())
    used: Any = coo_array(
        (work * unit / capacity[places], (places, flows)), shape=(len(capacity), n_flows + 1)
    )
    kinds = np.unique(kind_of)
    row_of_kind = np.searchsorted(kinds, kind_of)
    balance: Any = coo_array(
        (
            np.concatenate([np.ones(n_flows), -share[kinds]]),
            (
                np.concatenate([row_of_kind, np.arange(len(kinds))]),
                np.concatenate([flows, np.full(len(kinds), n_flows)]),
            ),
        ),
        shape=(len(kinds), n_flows + 1),
    )
    objective = np.zeros(n_flows + 1)
    objective[-1] = -1.0
    solution: Any = linprog(
        objective,
        A_ub=used,
        b_ub=np.ones(len(capacity)),
        A_eq=balance,
        b_eq=np.zeros(len(kinds)),
        method="highs",
    )
    if not solution.success:
        raise InputError(
            "workload", f"cannot compute the arrival rate at load 1: {solution.message}"
        )
    rate_per_s = float(-solution.fun * unit)
    prices = np.zeros(len(share))
    prices[kinds] = np.abs(solution.eqlin.marginals)
    return rate_per_s, prices / float(share @ prices) / rate_per_s
