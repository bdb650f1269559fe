"""Objectives of Gavel as linear programs over time fractions.

From D. Narayanan, K. Santhanam, F. Kazhamiaka, A. Phanishayee and M. Zaharia,
"Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads", OSDI 2020,
section 4, and the semantics of its published simulator. A job's *effective rate* is its steps per
second averaged over time. All programs share these constraints: a job runs on one pool at a time
(the fractions of a job add up to at most 1), and the accelerators in use on average are at most
those of the pool.

The optimum of the maximum and minimum objectives is rarely unique: a job that is not the worst
may get anything between the worst and its best. A second program chooses: among the optima, the
one with the largest sum of normalised rates, so nothing is left idle and the time goes to those
who gain most from it. Jobs that a program cannot tell apart get the same fractions.

A heterogeneity-agnostic variant takes all pools to be alike; `agnostic` gives each pool the same
share of a job's time, in proportion to its accelerators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.scheduling.programs.linear import AtLeast, merged, time_fractions
from clustersim.scheduling.programs.problem import Allocation, AllocationProblem

__all__ = [
    "agnostic",
    "first_come_first_served",
    "isolated",
    "max_min_fairness",
    "max_total_throughput",
    "max_total_throughput_per_cost",
    "min_finish_time_ratio",
    "min_makespan",
]

Program = Callable[[AllocationProblem], Allocation]

_NONE = np.zeros(0)
_ROOT_TOLERANCE = 1e-9
_MOST_STEPS = 100
_LEAST_LEFT = 1e-4
"""Shortest time that a job needs to its end in a program, as a share of the time since it arrived
or of what the longest job needs; smaller ones are rounded up to it, for the sake of the solver."""


def isolated(problem: AllocationProblem) -> Allocation:
    """Give each job an equal share of each pool to itself; the objective is 0.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0], [2.0, 1.0]], gangs=[2, 1],
    ...                             accelerators=[2, 2])
    >>> isolated(problem).fractions.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    return Allocation(problem.isolated, 0.0, 0)


def first_come_first_served(problem: AllocationProblem) -> Allocation:
    """Give each job in turn its fastest pool among those with enough free accelerators.

    The rows of the problem are in the order of arrival; the walk stops at the first job that fits
    on no pool. Of equally fast pools the first is taken. If the fastest of the free pools cannot
    run the job at all, the job gets nothing and the walk continues. The objective is the number
    of jobs that got a pool.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0], [3.0, 2.0], [5.0, 5.0]], gangs=[2, 2, 4],
    ...                             accelerators=[2, 2])
    >>> first_come_first_served(problem).fractions.tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    """
    fractions = np.zeros(problem.rates.shape)
    free = problem.accelerators.copy()
    for job in range(problem.n_jobs):
        room = free >= problem.gangs[job]
        if not room.any():
            break
        pool = int(np.argmax(np.where(room, problem.rates[job], -1.0)))
        if problem.rates[job, pool] > 0:
            fractions[job, pool] = 1.0
            free[pool] -= problem.gangs[job]
    return Allocation(fractions, float(fractions.sum()), 0)


def max_min_fairness(problem: AllocationProblem) -> Allocation:
    """Maximise the smallest normalised rate (least attained service over time).

    A job's normalised rate is its effective rate, times its gang, over its rate under an equal
    split of the pools and its weight. Jobs that can run nowhere are left out. The objective is
    the smallest normalised rate.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0], [1.0, 1.0]], gangs=[1, 1],
    ...                             accelerators=[1, 1])
    >>> max_min_fairness(problem).fractions.round(6).astype(int).tolist()
    [[1, 0], [0, 1]]
    """
    normalised = problem.normalised_rates
    group = merged(normalised, problem.gangs)
    values = normalised[group.first]
    able = values.any(axis=1)
    if not able.any():
        return _nothing(problem)
    space = time_fractions(problem, group)
    sums = space.sums(values, np.flatnonzero(able))
    ones = np.ones(able.sum())
    _, level, _ = space.maximise(_NONE, [AtLeast(sums, 0.0 * ones, ones)])
    total = values * group.sizes[:, None]
    rows, _, _ = space.maximise(total, [AtLeast(sums, level * ones)])
    fractions = rows[group.group_of]
    worst = (normalised * fractions).sum(axis=1)[normalised.any(axis=1)].min()
    return Allocation(fractions, float(worst), space.solved, space.losses[group.group_of])


def min_makespan(problem: AllocationProblem) -> Allocation:
    """Minimise the time at which the last job ends if the fractions stay as they are.

    The objective is this time in seconds. Jobs that can run nowhere are left out.

    Raises
    ------
    InputError
        If the problem has no remaining steps.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0], [4.0, 1.0]], gangs=[1, 1],
    ...                             accelerators=[1, 1], remaining_steps=[300.0, 100.0])
    >>> round(min_makespan(problem).objective, 6)
    80.0
    """
    remaining = _remaining(problem)
    able = problem.rates.any(axis=1)
    if not able.any():
        return _nothing(problem)
    space = time_fractions(problem)
    # Scaled by the shortest time that the longest job needs, so that t is at most 1.
    fastest = problem.rates.max(axis=1)
    alone = (remaining[able] / fastest[able]).max()
    remaining = np.maximum(remaining, _LEAST_LEFT * alone * fastest)
    rates = problem.rates * (alone / remaining)[:, None]
    sums = space.sums(rates, np.flatnonzero(able))
    ones = np.ones(able.sum())
    _, speed, _ = space.maximise(_NONE, [AtLeast(sums, 0.0 * ones, ones)], ceiling=1.0)
    use = np.repeat(problem.gangs[:, None], problem.n_pools, axis=1).astype(np.float64)
    fractions, _, _ = space.maximise(-use, [AtLeast(sums, speed * ones)])
    effective = problem.effective_rates(fractions)[able]
    return Allocation(fractions, float((remaining[able] / effective).max()), space.solved)


def min_finish_time_ratio(problem: AllocationProblem) -> Allocation:
    r"""Minimise the largest finish-time ratio (finish-time fairness of Themis).

    The ratio of a job is the time from its arrival to its end if the fractions stay as they are,
    over the same with an equal share of the cluster to itself:
    :math:`\rho_i = (t_i + R_i / r_i) / (s_i + R_i / r^0_i)` with :math:`t_i` the seconds since
    its arrival, :math:`s_i` those that its steps so far would have taken in isolation,
    :math:`R_i` its remaining steps, and :math:`r_i`, :math:`r^0_i` its effective and isolated
    rates. With :math:`u = 1/\rho` and :math:`D_i` the denominator a job needs
    :math:`r_i \ge R_i u / (D_i - t_i u)`, which is convex in u. Newton's method on u solves a
    linear program per step with the tangents of these curves; it converges from above.

    The objective is the largest ratio. Jobs that can run nowhere are left out.

    Raises
    ------
    InputError
        If the problem has no remaining steps.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0], [4.0]], gangs=[1, 1], accelerators=[1],
    ...                             remaining_steps=[400.0, 400.0], since_arrival_s=[300.0, 0.0])
    >>> round(min_finish_time_ratio(problem).objective, 4)
    2.1514
    """
    remaining = _remaining(problem)
    able = problem.rates.any(axis=1)
    if not able.any():
        return _nothing(problem)
    zeros = np.zeros(problem.n_jobs)
    elapsed = (zeros if problem.since_arrival_s is None else problem.since_arrival_s)[able]
    so_far = (zeros if problem.isolated_so_far_s is None else problem.isolated_so_far_s)[able]
    work = remaining[able] / problem.isolated_rates[able]
    best = problem.rates[able].max(axis=1) / problem.isolated_rates[able]
    work = np.maximum(work, _LEAST_LEFT * elapsed * best)
    denominator = so_far + work
    # Rates in multiples of the isolated rate.
    relative = np.zeros(problem.rates.shape)
    relative[able] = problem.rates[able] / problem.isolated_rates[able, None]
    space = time_fractions(problem)
    sums = space.sums(relative, np.flatnonzero(able))
    u = float((denominator / (elapsed + work / best)).min())
    for _ in range(_MOST_STEPS):
        slope = work * denominator / (denominator - elapsed * u) ** 2
        value = work * u / (denominator - elapsed * u)
        _, below, _ = space.maximise(_NONE, [AtLeast(sums, value - slope * u, slope)], ceiling=u)
        converged = u - below <= _ROOT_TOLERANCE * u
        u = below
        if converged:
            break
    needed = work * u / (denominator - elapsed * u)
    fractions, _, _ = space.maximise(problem.normalised_rates, [AtLeast(sums, needed)])
    rates = np.maximum((relative * fractions).sum(axis=1)[able], needed)
    return Allocation(
        fractions, float(((elapsed + work / rates) / denominator).max()), space.solved, space.losses
    )


def max_total_throughput(problem: AllocationProblem) -> Allocation:
    """Maximise the sum of the effective rates; the objective is this sum.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 3.0], [4.0, 1.0]], gangs=[1, 1],
    ...                             accelerators=[1, 1])
    >>> max_total_throughput(problem).objective
    7.0
    """
    return _max_total(problem, problem.rates)


def max_total_throughput_per_cost(problem: AllocationProblem) -> Allocation:
    """Maximise the sum of the effective rates, each over the price of an accelerator-hour.

    The objective is this sum. Without prices it is `max_total_throughput`.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 3.0], [4.0, 1.0]], gangs=[1, 1],
    ...                             accelerators=[1, 1], prices=[2.0, 0.5])
    >>> max_total_throughput_per_cost(problem).objective
    8.0
    """
    prices = np.ones(problem.n_pools) if problem.prices is None else problem.prices
    return _max_total(problem, problem.rates / prices)


def agnostic(program: Program, problem: AllocationProblem, reference: int) -> Allocation:
    """Solve a program as if all pools had the rates of one.

    The pools are merged to one for the program; each job's time is then divided among the pools in
    proportion to their accelerators.

    Parameters
    ----------
    program : callable
        One of the programs of this module.
    problem : AllocationProblem
        The jobs with their true rates.
    reference : int
        The pool whose rates stand for all.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0], [2.0, 1.0]], gangs=[1, 1],
    ...                             accelerators=[1, 1])
    >>> agnostic(max_min_fairness, problem, 0).fractions.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    total = problem.accelerators.sum()
    one = replace(
        problem,
        rates=problem.rates[:, [reference]],
        accelerators=np.array([total]),
        prices=None if problem.prices is None else problem.prices[[reference]],
    )
    found = program(one)
    shares = problem.accelerators / total
    return replace(found, fractions=found.fractions * shares, losses=None)


def _max_total(problem: AllocationProblem, values: Floats) -> Allocation:
    """Maximise a weighted sum of the fractions."""
    if not values.any():
        return _nothing(problem)
    group = merged(values, problem.gangs)
    space = time_fractions(problem, group)
    rows, _, _ = space.maximise(values[group.first] * group.sizes[:, None], [])
    fractions = rows[group.group_of]
    return Allocation(
        fractions, float((values * fractions).sum()), space.solved, space.losses[group.group_of]
    )


def _remaining(problem: AllocationProblem) -> Floats:
    if problem.remaining_steps is None:
        raise InputError("allocation program", "remaining_steps: is required but absent")
    return problem.remaining_steps


def _nothing(problem: AllocationProblem) -> Allocation:
    """Return the answer where no job can run."""
    return Allocation(np.zeros(problem.rates.shape), 0.0, 0)
