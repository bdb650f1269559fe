"""What a fleet can train by month, as probabilities, for each case of a scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.outlook.break_even import BreakEven, break_even_probability
from clustersim.outlook.fan import (
    LEAST_DRAWS,
    Fan,
    Missed,
    fan_of,
    mean_interval_of,
    probability_missed,
)
from clustersim.outlook.fluid_capacity import open_fluid
from clustersim.outlook.loss_factor import LossFactor, loss_factor
from clustersim.outlook.model_spread import model_factors
from clustersim.outlook.monthly_chips import chips_at, month_ends_s, monthly_chips
from clustersim.outlook.stop import Stop
from clustersim.scenario.platform import open_platform
from clustersim.scenario.scenario import LoadedScenario

__all__ = ["CaseOutlook", "Outlook", "Target", "outlook"]

DRAWS = 10_000
MODEL_DRAWS = 19
MODEL_LEVEL = (0.05, 0.95)
PARTS = 4
"""Parts of a month, in the average over the last months."""


@dataclass(frozen=True, slots=True)
class Target:
    """A useful capacity that the average of the last months should reach.

    Attributes
    ----------
    flop_per_s : float
        NaN for no target; the average is then reported only.
    months : int
        Number of months at the end of the horizon.
    """

    flop_per_s: float = math.nan
    months: int = 3


@dataclass(frozen=True, slots=True)
class CaseOutlook:
    """The outlook of one case.

    Attributes
    ----------
    name : str
    months : tuple of str
    pools : tuple of str
    loss : float64 array (months,)
        Loss factors by which the fluid capacity was multiplied.
    chips : float64 array (months, pools)
        Expected chips in service at the end of each month.
    by_pool : float64 array (months, pools)
        Expected useful FLOP/s of each pool at the end of each month.
    fan : Fan
        Useful FLOP/s of the fleet at the end of each month.
    model_low, model_high : float64 array (months,)
        90 % interval of the median over the coefficients of the performance model; NaN without
        draws of them.
    end : Fan
        The average over the last months (:class:`Target`), as a fan of one month.
    end_model_low, end_model_high : float
        90 % interval of its median over the coefficients.
    missed : Missed or None
        Probability that the average is below the target; None without a target.
    missed_model_low, missed_model_high : float
        The same probability with the coefficients at the two ends of their interval.
    """

    name: str
    months: tuple[str, ...]
    pools: tuple[str, ...]
    loss: Floats
    chips: Floats
    by_pool: Floats
    fan: Fan
    model_low: Floats
    model_high: Floats
    end: Fan
    end_model_low: float
    end_model_high: float
    missed: Missed | None
    missed_model_low: float
    missed_model_high: float

    @property
    def sampling_error(self) -> float:
        """Half the width of the 95 % interval of the mean at the end, relative to it."""
        return float(self.end.mean_error[0] / self.end.mean[0]) if self.end.mean[0] > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """The outlook of several cases.

    Attributes
    ----------
    cases : tuple of CaseOutlook
    loss : LossFactor
    target : Target
    break_even : mapping of (str, str) to BreakEven
        For each pair of the first case and another one, the probability of the stop at which both
        are expected to give the same capacity at the end. Empty without a stop.
    draws, model_draws : int
    seed : int or None
        None for that of each scenario.
    event : Stop or None
    """

    cases: tuple[CaseOutlook, ...]
    loss: LossFactor
    target: Target
    break_even: Mapping[tuple[str, str], BreakEven]
    draws: int
    model_draws: int
    seed: int | None
    event: Stop | None

    def case(self, name: str) -> CaseOutlook:
        """Return the outlook of a case."""
        return next(each for each in self.cases if each.name == name)


def outlook(
    cases: Mapping[str, LoadedScenario],
    *,
    draws: int = DRAWS,
    seed: int | None = None,
    target: Target | None = None,
    stops: Sequence[Stop] = (),
    event: Stop | None = None,
    replications: int = 4,
    model_draws: int = MODEL_DRAWS,
    loss: LossFactor | None = None,
    loss_case: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outlook:
    """Return the useful capacity of a fleet by month, with the probability of missing a target.

    The chips of each draw (:func:`~clustersim.outlook.monthly_chips.monthly_chips`) are turned into
    fluid capacity (:func:`~clustersim.outlook.fluid_capacity.fluid_capacity`) and multiplied by the
    loss factor of full simulations (:func:`~clustersim.outlook.loss_factor.loss_factor`).

    Parameters
    ----------
    cases : mapping of str to LoadedScenario
        Scenarios that differ in their supply.
    draws : int
    seed : int, optional
        Default: that of each scenario.
    target : Target, optional
        Default: no target; the average of the last three months is reported.
    stops : sequence of Stop
        Rules that may stop the supply, in all cases.
    event : Stop, optional
        A rule for which break-even probabilities are computed: with and without it. Its own
        probabilities must add up to 1.
    replications : int
        Runs of each case for the loss factor.
    model_draws : int
        Draws of the coefficients of the performance model.
    loss : LossFactor, optional
        Computed before, to avoid the runs.
    loss_case : str, optional
        The case whose factor is used for all cases. By default, each has its own.
    workers, progress
        For the runs; see :func:`~clustersim.outlook.loss_factor.loss_factor`.

    Raises
    ------
    InputError
        If a scenario is invalid or has no closed form, or a number is out of range.

    Examples
    --------
    A fleet of H200 that doubles after 100 days, with a probability of one half:

    >>> import clustersim as cs
    >>> more = {"chips": 64, "at": "100 d", "probability": 0.5}
    >>> h200 = {"accelerator": "H200", "stock": 64, "deliveries": {"more": more}}
    >>> tokens = {"kind": "constant", "value": 1e9}
    >>> train = {"model": "llama3-8b", "tokens": tokens}
    >>> jobs = {"arrivals": {"mean_interarrival": "20 min"}}
    >>> jobs["classes"] = [{"name": "jobs", "weight": 1, "sizes": {8: 1}, **train}]
    >>> tree = {
    ...     "fleet": {"pools": {"h200": h200}},
    ...     "workload": {"generate": jobs, "duration": "190 d"},
    ...     "horizon": "190 d",
    ... }
    >>> cases = {"usual": cs.define_scenario(tree)}
    >>> found = outlook(cases, draws=1000, replications=1, model_draws=0, workers=1)
    >>> end = found.case("usual").end
    >>> round(float(end.p90[0] / end.p10[0]), 2)
    2.0
    """
    target = Target() if target is None else target
    if event is not None and abs(sum(event.probabilities) - 1) > 1e-9:
        raise InputError(f"stop {event.name}", "probabilities: their sum must be 1 for an event")
    for loaded in cases.values():
        _check_months(loaded, target)
    if draws < LEAST_DRAWS:
        raise InputError("outlook", f"draws: must be {LEAST_DRAWS} or more, found {draws}")
    if loss is None:
        loss = loss_factor(cases, replications=replications, workers=workers, progress=progress)
    found, ends = [], {}
    for name, loaded in cases.items():
        factors = loss.by_month(loss_case or name, len(month_ends_s(loaded)[0]))
        case = _Case(name, loaded, draws, seed, target, factors)
        found.append(case.outlook(stops, model_draws))
        if event is not None:
            ends[name] = np.concatenate([case.end([*stops, event]), case.end(stops)])
    pairs = {}
    if event is not None:
        first = found[0].name
        happens = np.arange(2 * draws) < draws
        for each in found[1:]:
            pair = first, each.name
            pairs[pair] = break_even_probability(ends[first], ends[each.name], happens)
    return Outlook(tuple(found), loss, target, pairs, draws, model_draws, seed, event)


def _check_months(loaded: LoadedScenario, target: Target) -> None:
    """Check that the horizon has the months of the target, before the runs."""
    most, months = len(month_ends_s(loaded)[0]), target.months
    if not 1 <= months <= most:
        raise InputError(loaded.source, f"target months: must be 1 to {most}, found {months}")


class _Case:
    """A case whose platform is opened once."""

    def __init__(
        self,
        name: str,
        loaded: LoadedScenario,
        draws: int,
        seed: int | None,
        target: Target,
        loss: Floats,
    ) -> None:
        self.name, self.loaded, self.draws, self.seed = name, loaded, draws, seed
        self.target = target
        self.loss = loss
        self.platform = open_platform(loaded)
        self.fluid = open_fluid(loaded, self.platform)

    def end(self, stops: Sequence[Stop]) -> Floats:
        """Return the average useful FLOP/s over the last months in each draw.

        Each month counts with the middles of :data:`PARTS` equal parts.
        """
        ends_s, _ = month_ends_s(self.loaded)
        months = self.target.months
        edges_s = np.append(0.0, ends_s)[-months - 1 :]
        middles = (np.arange(PARTS) + 0.5) / PARTS
        times_s = (edges_s[:-1, None] + np.diff(edges_s)[:, None] * middles).ravel()
        weight = np.repeat(self.loss[-months:] * np.diff(edges_s), PARTS)
        chips = chips_at(self.loaded, self.platform, times_s, self.draws, self.seed, stops=stops)
        capacity = self.fluid.capacity(chips, times_s, self.seed).sum(axis=2)
        return np.asarray(capacity @ weight / (PARTS * (edges_s[-1] - edges_s[0])))

    def outlook(self, stops: Sequence[Stop], model_draws: int) -> CaseOutlook:
        chips = monthly_chips(
            self.loaded, self.draws, self.seed, stops=stops, platform=self.platform
        )
        fluid = self.fluid.capacity(chips.chips, chips.month_ends_s, self.seed)
        by_pool = self.loss[:, None] * fluid
        capacity = by_pool.sum(axis=2)
        end, fan = self.end(stops), fan_of(capacity)
        factors = model_factors(
            self.loaded, self.fluid, chips.chips, chips.month_ends_s, model_draws, self.seed
        )
        low, high = _ends(factors)
        weights = mean_interval_of(capacity)[0][-self.target.months :]
        end_factors = factors[:, -self.target.months :] @ weights / max(weights.sum(), 1e-300)
        end_low, end_high = _ends(end_factors)
        goal, end_fan = self.target.flop_per_s, fan_of(end[:, None])
        missed = None if math.isnan(goal) else probability_missed(end, goal)
        return CaseOutlook(
            name=self.name,
            months=chips.months,
            pools=chips.pools,
            loss=self.loss,
            chips=chips.chips.mean(axis=0),
            by_pool=by_pool.mean(axis=0),
            fan=fan,
            model_low=fan.p50 * low,
            model_high=fan.p50 * high,
            end=end_fan,
            end_model_low=float(end_fan.p50[0] * end_low),
            end_model_high=float(end_fan.p50[0] * end_high),
            missed=missed,
            missed_model_low=_missed(end * end_high, goal),
            missed_model_high=_missed(end * end_low, goal),
        )


def _ends(factors: Floats) -> tuple[Floats, Floats]:
    """Return the interval of the factors over the draws (the first dimension)."""
    if len(factors) < 2:
        none = np.full(factors.shape[1:], np.nan)
        return none, none
    low, high = np.quantile(factors, MODEL_LEVEL, axis=0, method="weibull")
    return low, high


def _missed(values: Floats, goal: float) -> float:
    return math.nan if math.isnan(goal) or np.isnan(values).any() else float((values < goal).mean())
