"""One option per job: the integer program behind elastic allocations.

Each job has options (pool, number of accelerators, value); at most one of them is chosen per job,
and the accelerators chosen fit in the pools. This is a multiple-choice knapsack with a
constraint per pool. HiGHS solves it (`scipy.optimize.milp`) after reductions that keep the optimum:

1. An option without a positive value is worse than none, and one with as many or more accelerators
   of the same pool and no greater value is worse than the other.
2. The linear relaxation gives a price per accelerator of each pool, and with them an upper bound of
   the value and for each option the *loss* against the best of its job at these prices. It is
   solved by column generation: `option_prices` finds prices near the optimum, and the relaxation
   over the options with small losses is corrected until no other option would enter.
3. The integer program over the options with the smallest losses gives a feasible choice. Only a few
   jobs are split in the relaxation, at most as many as there are pools, so it is close.
4. If the gap is still too large, all options are searched whose loss does not exceed the difference
   of bound and value; any other is in no optimum. If these are too many, only those with the
   smallest losses are searched, and the search ends after a number of nodes of its tree, which
   does not depend on the speed of the machine. What is left of the gap is part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp, minimize

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.scheduling.programs.quiet import without_output

__all__ = ["Choice", "Options", "choose"]

_ROUNDING = 1e-9
_NO_GAP = 1e-9
"""Relative gap at which a choice counts as optimal."""

_CORE = 300
"""Options beyond one per job among which the first integer program chooses."""
_SEARCHED = 600
"""Options beyond one per job in the second integer program, if more may be in an optimum."""
_NODES, _NODES_OF_MANY = 2000, 20
"""Nodes after which the search of an integer program ends: of all options that may be in an
optimum, and of some; beyond 600 options, a node takes some milliseconds."""
_SMALL = 5000
"""Options of a relaxation that is solved at once."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of jobs, a row each.

    Parameters
    ----------
    jobs, pools, counts : array of int, shape (options,)
        Job, pool and number of accelerators of each option.
    values : array of float, shape (options,)
        What the objective gains by the option, against none.
    n_jobs : int
        Number of jobs.
    accelerators : array of int, shape (pools,)
        Accelerators of each pool.
    """

    jobs: Ints
    pools: Ints
    counts: Ints
    values: Floats
    n_jobs: int
    accelerators: Ints

    def __post_init__(self) -> None:
        for name in ("jobs", "pools", "counts"):
            if getattr(self, name).shape != self.values.shape:
                what = f"{name} and values differ in shape"
                raise InputError("options", what)
        if not np.isfinite(self.values).all():
            raise InputError("options", "values: must be finite")
        if len(self.counts) and self.counts.min() < 1:
            raise InputError("options", f"counts: is {self.counts.min()}; must be at least 1")


@dataclass(frozen=True)
class Choice:
    """Answer of `choose`.

    Parameters
    ----------
    option : array of int, shape (jobs,)
        Row of the option chosen for each job; -1 for none.
    value : float
        Sum of the values chosen.
    bound : float
        No choice has a greater value.
    """

    option: Ints
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """Difference of bound and value, relative to the bound."""
        return max(0.0, self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def choose(options: Options, *, gap: float = 0.0, time_limit_s: float | None = None) -> Choice:
    """Choose at most one option per job such that the sum of the values is largest.

    Parameters
    ----------
    options : Options
        What can be chosen.
    gap : float
        Relative difference to the bound at which the search may stop.
    time_limit_s : float, optional
        The search stops after this time. Results then depend on the speed of the machine, so
        simulations should limit the gap instead.

    Examples
    --------
    Two jobs, one pool of three accelerators; the second job gains more by its second one.

    >>> found = choose(Options(jobs=np.array([0, 0, 1, 1]), pools=np.zeros(4, dtype=int),
    ...                        counts=np.array([1, 2, 1, 2]),
    ...                        values=np.array([1.0, 1.5, 1.0, 1.8]),
    ...                        n_jobs=2, accelerators=np.array([3])))
    >>> found.option.tolist(), round(found.value, 6)
    ([0, 3], 2.8)
    """
    rows = np.flatnonzero(_useful(options))
    rows = rows[np.argsort(options.jobs[rows], kind="stable")]
    if not len(rows):
        return Choice(np.full(options.n_jobs, -1), 0.0, 0.0)
    prices = _relaxed_prices(options, rows)
    net = options.values[rows] - prices[options.pools[rows]] * options.counts[rows]
    best = np.zeros(options.n_jobs)
    np.maximum.at(best, options.jobs[rows], net)
    bound = float(best.sum() + prices @ options.accelerators)
    loss = best[options.jobs[rows]] - net
    # Having no option counts as one, with the loss of the job's best.
    losses = np.sort(np.concatenate([loss, best]))
    core = losses[min(options.n_jobs + _CORE, len(losses) - 1)]
    found = _search_near(options, rows, loss, best, float(core), gap, time_limit_s)
    if bound - found.value > max(gap, _NO_GAP) * bound:
        allowed = bound - found.value + _NO_GAP * bound
        most = float(losses[min(options.n_jobs + _SEARCHED, len(losses) - 1)])
        # If the largest loss is searched, all options are.
        some = most < min(allowed, float(losses[-1]))
        again = _search_near(
            options,
            rows,
            loss,
            best,
            min(allowed, most),
            gap,
            time_limit_s,
            nodes=_NODES_OF_MANY if some else _NODES,
        )
        if not some:
            bound = min(bound, max(again.bound, found.value))
        found = again if again.value > found.value else found
    return Choice(found.option, found.value, max(bound, found.value))


def _useful(options: Options) -> Bools:
    """Return which options are better than none and than all smaller ones of job and pool."""
    fits = options.counts <= options.accelerators[options.pools]
    useful: Bools = fits & (options.values > 0)
    order = np.lexsort((-options.values, options.counts, options.pools, options.jobs))
    order = order[useful[order]]
    group = options.jobs[order] * len(options.accelerators) + options.pools[order]
    values = options.values[order]
    # Running maximum inside each group: groups are lifted above all earlier ones.
    lift = (np.cumsum(np.diff(group, prepend=group[:1]) != 0)) * (values.max(initial=0.0) + 1.0)
    highest = np.maximum.accumulate(values + lift) - lift
    before = np.concatenate([[-np.inf], highest[:-1]])
    before[np.diff(group, prepend=-1) != 0] = -np.inf
    useful[order[values <= before]] = False
    return useful


def _constraints(options: Options, rows: Ints) -> tuple[Any, Floats]:
    """Return the matrix and the upper bounds: one option per job, room in the pools."""
    columns = np.arange(len(rows))
    jobs, row_of = np.unique(options.jobs[rows], return_inverse=True)
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(len(rows)), options.counts[rows]]),
            (np.concatenate([row_of, len(jobs) + options.pools[rows]]), np.tile(columns, 2)),
        ),
        shape=(len(jobs) + len(options.accelerators), len(rows)),
    )
    return matrix, np.concatenate([np.ones(len(jobs)), options.accelerators])


def _relaxed_prices(options: Options, rows: Ints) -> Floats:
    """Return the prices of the linear relaxation, by column generation."""
    jobs, pools = options.jobs[rows], options.pools[rows]
    counts, values = options.counts[rows], options.values[rows]
    prices = option_prices(options, rows) if len(rows) > _SMALL else np.zeros(0)
    inside = np.ones(len(rows), dtype=np.bool_)
    if len(prices):
        best = np.zeros(options.n_jobs)
        net = values - prices[pools] * counts
        np.maximum.at(best, jobs, net)
        loss = best[jobs] - net
        inside = loss <= np.partition(loss, _SMALL)[_SMALL]
    solve: Any = linprog
    while True:
        matrix, limits = _constraints(options, rows[inside])
        found = solve(-values[inside], A_ub=matrix, b_ub=limits, method="highs-ds")
        if found.status != 0:
            raise ArithmeticError(f"HiGHS: {found.message}")
        marginals: Floats = found.ineqlin.marginals[-len(options.accelerators) :]
        prices = np.maximum(-marginals, 0.0)
        if inside.all():
            return prices
        net = values - prices[pools] * counts
        best = np.zeros(options.n_jobs)
        np.maximum.at(best, jobs[inside], net[inside])
        enters = ~inside & (net > best[jobs] + _ROUNDING)
        if not enters.any():
            return prices
        inside |= enters


def option_prices(options: Options, rows: Ints) -> Floats:
    """Return prices per accelerator near the optimum of the relaxation's dual.

    The dual is the sum over jobs of their best option at given prices, plus the price of all
    accelerators. Its maxima are smoothed to a soft maximum, which L-BFGS minimises while the
    smoothing shrinks. The rows must be sorted by job.
    """
    jobs, pools = options.jobs[rows], options.pools[rows]
    counts, values = options.counts[rows].astype(np.float64), options.values[rows]
    first = np.flatnonzero(np.diff(jobs, prepend=-1))
    lengths = np.diff(np.append(first, len(rows)))
    total = options.accelerators.astype(np.float64)
    unit = values.max() * len(first) / max(1.0, total.sum())

    def smoothed(scaled: Floats, width: float) -> tuple[float, Floats]:
        prices = scaled * unit
        net = values - prices[pools] * counts
        top = np.maximum(np.maximum.reduceat(net, first), 0.0)
        weight = np.exp((net - np.repeat(top, lengths)) / width)
        sums = np.add.reduceat(weight, first) + np.exp(-top / width)
        share = weight / np.repeat(sums, lengths)
        used = np.bincount(pools, share * counts, minlength=len(total))
        dual = float(prices @ total + top.sum() + width * np.log(sums).sum())
        return dual, (total - used) * unit

    scaled = np.ones(len(total))
    for width in values.mean() * np.array([0.1, 0.01, 0.001]):
        found: Any = minimize(
            smoothed,
            scaled,
            args=(width,),
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(0.0, np.inf),
            options={"maxiter": 40},
        )
        scaled = np.asarray(found.x)
    prices: Floats = scaled * unit
    return prices


def _search_near(
    options: Options,
    rows: Ints,
    loss: Floats,
    best: Floats,
    largest: float,
    gap: float,
    time_limit_s: float | None,
    nodes: int = _NODES,
) -> Choice:
    """Choose among the options with losses up to the largest; to have none is a loss of ``best``.

    Jobs that are left with one possibility get it without a search.
    """
    jobs = options.jobs[rows]
    near = loss <= largest
    possible = np.bincount(jobs[near], minlength=options.n_jobs) + (best <= largest)
    fixed = rows[near & (possible[jobs] == 1)]
    room = options.accelerators.copy()
    np.subtract.at(room, options.pools[fixed], options.counts[fixed])
    if room.min() < 0:  # only with a loss below those of all feasible choices
        return _search(options, rows[near], gap, time_limit_s, nodes)
    left = rows[near & (possible[jobs] > 1)]
    found = _search(replace(options, accelerators=room), left, gap, time_limit_s, nodes)
    found.option[options.jobs[fixed]] = fixed
    value = float(options.values[fixed].sum())
    return replace(found, value=found.value + value, bound=found.bound + value)


def _search(
    options: Options, rows: Ints, gap: float, time_limit_s: float | None, nodes: int
) -> Choice:
    """Solve the integer program over some options."""
    if not len(rows):
        return Choice(np.full(options.n_jobs, -1), 0.0, 0.0)
    matrix, limits = _constraints(options, rows)
    limit = {} if time_limit_s is None else {"time_limit": time_limit_s}
    solve: Any = milp
    with without_output():
        found = solve(
            -options.values[rows],
            integrality=np.ones(len(rows)),
            bounds=Bounds(0.0, 1.0),
            constraints=LinearConstraint(matrix, -np.inf, limits),
            options={"mip_rel_gap": gap, "node_limit": nodes, **limit},
        )
    option = np.full(options.n_jobs, -1)
    if found.x is None:
        return Choice(option, 0.0, np.inf)
    taken = rows[found.x > 0.5]
    option[options.jobs[taken]] = taken
    return Choice(option, float(options.values[taken].sum()), float(-found.mip_dual_bound))
