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

__all__ = ["estimates", "initial_state", "order", "overtaken"]

_LONGER = 2.0
"""Users' limits are typically two or more times the run time (Mu'alem and Feitelson, 2001)."""


def overtaken(submit_s: Floats, start_s: Floats, stratum: Ints, compared: Bools) -> float:
    """Return the share of jobs that started after a later job of their partition and size class.

    Parameters
    ----------
    submit_s, start_s, stratum, compared : arrays (jobs,)

    Examples
    --------
    The first of three jobs starts last:

    >>> submit, start = np.array([0.0, 1.0, 2.0]), np.array([9.0, 5.0, 6.0])
    >>> overtaken(submit, start, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    0.3333333333333333
    """
    known = np.flatnonzero(np.isfinite(start_s))
    order = known[np.lexsort((-submit_s[known], stratum[known]))]  # latest submission first
    group, submit, start = stratum[order], submit_s[order], start_s[order]
    passed = np.zeros(len(submit_s), dtype=bool)
    edges = np.flatnonzero(np.diff(group)) + 1
    for rows in np.split(np.arange(len(order)), edges):
        if not len(rows):
            continue
        earliest = np.minimum.accumulate(start[rows])
        # Jobs submitted at the same instant have no order: look at those strictly later.
        later = np.searchsorted(-submit[rows], -submit[rows], side="left")
        before = np.where(later > 0, earliest[later - 1], np.inf)
        passed[order[rows]] = before < start[rows]
    return float(passed[compared].mean()) if compared.any() else 0.0


def order(tested: Tested) -> Iterator[Mechanism]:
    """Test whether priorities explain the difference: jobs start in the order of the log."""
    case = tested.case
    shares = [
        overtaken(case.submit_s, start, case.stratum, case.compared)
        for start in (case.start_s, tested.start_s)
    ]
    mechanism = Mechanism(
        "order",
        "priorities (start order)",
        f"the order in which {counted(int(np.isfinite(case.start_s).sum()), 'job')} started",
        "jobs that started after a later job of their partition and size class",
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
