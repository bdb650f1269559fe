"""Mechanisms about the order of jobs: priorities, limits on run times, the first jobs of a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import WEEK_S
from clustersim.scheduling import POLICIES, find_policy
from clustersim.topology import single_pool
from clustersim.units import counted, format_duration
from clustersim.validation.case import Case
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.recorded import most_in_use
from clustersim.validation.replays import replayed

__all__ = ["estimates", "initial_state", "order", "overtaken", "ranked"]

_LONGER = 2.0
"""Users' limits are typically two or more times the run time (Mu'alem and Feitelson, 2001)."""


def overtaken(
    submit_s: Floats, start_s: Floats, stratum: Ints, compared: Bools, rank: Ints | None = None
) -> float:
    """Return the share of jobs that waited while a job behind them started.

    Only jobs of their partition and size class count, so that room makes no difference.

    Parameters
    ----------
    submit_s, start_s, stratum, compared : arrays (jobs,)
    rank : int64 array (jobs,), optional
        Place of each job in the order of a policy; equal ones have no order.  By default, the order
        of submission.

    Examples
    --------
    The first of three jobs starts last:

    >>> submit, start = np.array([0.0, 1.0, 2.0]), np.array([9.0, 5.0, 6.0])
    >>> zero, every = np.zeros(3, dtype=int), np.ones(3, dtype=bool)
    >>> overtaken(submit, start, zero, every)
    0.3333333333333333

    No job did so that is behind it in an order in which the first one is last:

    >>> overtaken(submit, start, zero, every, np.array([2, 0, 1]))
    0.0
    """
    ranks = ranked(submit_s) if rank is None else rank
    known = np.flatnonzero(np.isfinite(start_s))
    order = known[np.lexsort((start_s[known], stratum[known]))]
    passed = np.zeros(len(submit_s), dtype=bool)
    edges = np.flatnonzero(np.diff(stratum[order])) + 1
    for rows in np.split(order, edges):
        # Those that started while a job waited stand between its submission and its start.
        first = np.searchsorted(start_s[rows], submit_s[rows], side="left")
        end = np.searchsorted(start_s[rows], start_s[rows], side="left")
        passed[rows] = _largest_between(ranks[rows], first, end) > ranks[rows]
    return float(passed[compared].mean()) if compared.any() else 0.0


def ranked(*keys: Floats) -> Ints:
    """Return the place of each job in an order by several keys, the first one first.

    Examples
    --------
    >>> ranked(np.array([7.0, 3.0, 7.0]), np.array([1.0, 2.0, 0.0])).tolist()
    [2, 0, 1]
    >>> ranked(np.array([7.0, 3.0, 7.0])).tolist()
    [1, 0, 1]
    """
    rows = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)[1]
    return np.asarray(rows, dtype=np.int64).reshape(-1)


def _largest_between(value: Ints, first: Ints, end: Ints) -> Ints:
    """Return the largest value at places `first` to before `end`; -1 where there is none.

    The largest value of every stretch of 1, 2, 4 ... places is known from those of half its length,
    and any range is two of these that may overlap.
    """
    found = np.full(len(first), -1, dtype=np.int64)
    length = end - first
    largest, width = value, 1
    while len(largest):
        asked = np.flatnonzero((length >= width) & (length < 2 * width))
        one, other = largest[first[asked]], largest[end[asked] - width]
        found[asked] = np.maximum(one, other)
        largest, width = np.maximum(largest[:-width], largest[width:]), 2 * width
    return found


def _own_order(case: Case, policy: str) -> tuple[Ints, str]:
    """Return the order in which a policy starts jobs of one size, and the trace of another one.

    A site that starts jobs in the order of the policy leaves no such trace, so the log and the
    replay are compared alike under every policy: sjf lets a short job pass a long one, and this
    shows no priorities.  What is not a policy of the simulator has the order of submission.
    """
    if find_policy(policy) is POLICIES["sjf"]:
        limit = case.jobs["duration_s"]
        if "estimate_s" in case.jobs:
            limit = case.jobs["estimate_s"].fillna(limit)
        return (
            ranked(limit.to_numpy(dtype=np.float64), case.submit_s),
            "jobs that waited while a longer one of their partition and size class started",
        )
    return (
        ranked(case.submit_s),
        "jobs that started after a later job of their partition and size class",
    )


def order(tested: Tested) -> Iterator[Mechanism]:
    """Test whether priorities explain the difference: jobs start in the order of the log."""
    case = tested.case
    rank, trace = _own_order(case, tested.setting.policy)
    shares = [
        overtaken(case.submit_s, start, case.stratum, case.compared, rank)
        for start in (case.start_s, tested.start_s)
    ]
    mechanism = Mechanism(
        "order",
        "priorities (start order)",
        f"the order in which {counted(int(np.isfinite(case.start_s).sum()), 'job')} started",
        trace,
        recorded=shares[0],
        simulated=shares[1],
        taken=int(np.isfinite(case.start_s).sum()),
    )
    key = np.where(np.isfinite(case.start_s), case.start_s, case.submit_s)
    yield tested.granted(mechanism, replace(tested.setting, case=_large_enough(case), order_s=key))


def _large_enough(case: Case) -> Case:
    """Return a pool as large as the log needs, if its times are rounded so that more was in use."""
    most, own = most_in_use(case.jobs, case.start_s), case.cluster.n_chips
    enough = len(case.places) > 1 or own >= most
    return case if enough else replace(case, cluster=single_pool(most))


def estimates(tested: Tested) -> Iterator[Mechanism]:
    """Test whether other time limits than those of the log explain the difference."""
    case = tested.case
    policy = tested.setting.policy
    base = find_policy(policy)
    uses = base is not POLICIES["fcfs"]
    jobs = case.jobs
    has = "estimate_s" in jobs and bool((jobs["estimate_s"] != jobs["duration_s"]).any())
    name = "exact run times instead of the users' limits" if has else (
        f"limits of {_LONGER:g} times the run time"
    )  # fmt: skip
    mechanism = Mechanism("estimates", name, "nothing from the log")
    if not uses:
        yield replace(mechanism, untested=f"{policy} does not look at limits")
    else:
        other = jobs.assign(estimate_s=(1.0 if has else _LONGER) * jobs["duration_s"])
        yield tested.granted(mechanism, replace(tested.setting, case=replace(case, jobs=other)))


def initial_state(tested: Tested) -> Iterator[Mechanism]:
    """Test whether jobs that ran before the log began explain the difference."""
    case = tested.case
    name = "the state at the beginning of the log"
    first = float(case.submit_s[0])
    span = float(case.submit_s[-1]) - first
    skip_s = min(WEEK_S, 0.1 * span)
    late = case.window(first + skip_s)
    if not late.compared.any() or late.compared.sum() == case.compared.sum():
        yield Mechanism("initial_state", name, untested="the log is too short")
        return
    base, _ = tested.measured(tested.start_s[late.rows], late)
    distance, mean = tested.measured(replayed(late, tested.setting.policy), late)
    yield Mechanism(
        "initial_state",
        name,
        f"the jobs that ran and waited after {format_duration(skip_s)}; later jobs are compared",
        base_s=base,
        distance_s=distance,
        mean_wait_s=mean,
        whole_s=tested.base_s,
        taken=int((~late.compared).sum()),
    )
