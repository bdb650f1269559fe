"""What each option of spending the budget gives, and the budget divided between two pools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats
from clustersim.briefing.fleet_file import FleetFile
from clustersim.briefing.service import ServedFleet, served_fleet
from clustersim.frontier import proportional
from clustersim.outlook.break_even import BreakEven
from clustersim.outlook.loss_factor import LossFactor
from clustersim.outlook.outlook import CaseOutlook, Outlook, Target, outlook
from clustersim.outlook.stop import Stop
from clustersim.scenario.scenario import LoadedScenario
from clustersim.training.on_fleet import time_to_train_on_fleet

__all__ = ["Option", "Sweep", "budget_divided", "compare_options", "option_versions", "stop_of"]

SHARES = np.linspace(0.0, 1.0, 9)
"""Shares of the budget in the figure that divides it."""
TRAINING_DRAWS = 64
"""Draws of the supply for the days to train."""


@dataclass(frozen=True, eq=False, slots=True)
class Option:
    """One option of spending the budget.

    Attributes
    ----------
    name : str
    chips : mapping of str to int
        Bought, by pool.
    spent_cny : float
    power_w : float
        Of the bought chips, busy, with hosts and the overhead of the site.
    training : CaseOutlook
        Useful capacity by month, with the assumed probability of the stop.
    days, days_lo, days_hi : float
        Days of the first training on the fastest gang at the end of the horizon, without a stop,
        with the 90 % interval; infinite if it is not possible.
    trains_on : str
        The pool and the number of chips of that gang; empty if it is not possible.
    served_share : float
        Share of the demand at the end of the horizon that is served, the same for all services,
        by the expected chips with the assumed probability of the stop.
    served : ServedFleet
    against_best : BreakEven or None
        The best option against this one, by the probability of the stop; None for the best.
    """

    name: str
    chips: Mapping[str, int]
    spent_cny: float
    power_w: float
    training: CaseOutlook
    days: float
    days_lo: float
    days_hi: float
    trains_on: str
    served_share: float
    served: ServedFleet
    against_best: BreakEven | None


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """The budget divided between two pools, with and without the stop.

    Attributes
    ----------
    pools : tuple of str
        The first gets the share, the second the rest.
    shares : float array (n,)
    with_stop, without_stop, expected : float array (n,)
        Mean useful FLOP/s over the last months; `expected` with the assumed probability.
    break_even : BreakEven
        All money for the first pool against all for the second.
    """

    pools: tuple[str, str]
    shares: Floats
    with_stop: Floats
    without_stop: Floats
    expected: Floats
    break_even: BreakEven


def stop_of(file: FleetFile, *, certain: bool = False) -> Stop:
    """Return the stop of the section, with its assumed probability or with certainty."""
    spec = file.spec.stop
    at_s = file.at_s(spec.at, "stop.at")
    return Stop(tuple(spec.pools), (at_s,), (1.0 if certain else spec.probability,))


def target_of(file: FleetFile) -> Target:
    """Return the target of the section."""
    return Target(file.spec.target.capacity, file.spec.target.months)


def compare_options(
    file: FleetFile, loss: LossFactor, *, draws: int, seed: int | None, model_draws: int
) -> tuple[Option, ...]:
    """Return what each option gives, on top of the base case."""
    changes = {name: file.changes_of(shares) for name, shares in file.spec.options.items()}
    cases = option_versions(file)
    loss_case = None if set(cases) <= set(loss.by_case) else file.base
    found = outlook(
        cases,
        draws=draws,
        seed=seed,
        target=target_of(file),
        stops=[stop_of(file)],
        model_draws=model_draws,
        loss=loss,
        loss_case=loss_case,
    )
    best = max(cases, key=lambda name: float(found.case(name).end.mean[0]))
    against = outlook(
        {best: cases[best], **{name: case for name, case in cases.items() if name != best}},
        draws=draws,
        seed=seed,
        target=target_of(file),
        event=stop_of(file, certain=True),
        model_draws=0,
        loss=loss,
        loss_case=loss_case,
    ).break_even
    return tuple(
        _option(file, name, changes[name], found.case(key), against.get((best, key)))
        for name, key in zip(changes, cases, strict=True)
    )


def option_versions(file: FleetFile) -> dict[str, LoadedScenario]:
    """Return the scenario of each option, in their order, by the name of its loss factor.

    An option that buys nothing is the base.
    """
    found = {}
    for name, shares in file.spec.options.items():
        changes = file.changes_of(shares)
        key = file.base if not changes and file.base not in found else f"option {name}"
        found[key] = file.version(changes=changes)
    return found


def _option(
    file: FleetFile,
    name: str,
    changes: Mapping[str, Any],
    training: CaseOutlook,
    against_best: BreakEven | None,
) -> Option:
    loaded = file.version(changes=changes)
    horizon_s = float(loaded.scenario.horizon or 0.0)
    first = file.spec.trainings[0]
    at = f"{horizon_s!r} s"
    days = time_to_train_on_fleet(
        first.model, loaded, at, draws=TRAINING_DRAWS, **first.options()
    ).fastest
    chips = file.chips_bought(file.spec.options[name])
    served = served_fleet(
        file, horizon_s, float(training.loss[-1]), changes=changes, stops=[stop_of(file)]
    )
    return Option(
        name=name,
        chips=chips,
        spent_cny=sum(n * file.cost(pool).price_cny for pool, n in chips.items()),
        power_w=sum(n * file.cost(pool).power_w for pool, n in chips.items()),
        training=training,
        days=math.inf if days is None else days["days"],
        days_lo=math.inf if days is None else days["days_lo"],
        days_hi=math.inf if days is None else days["days_hi"],
        trains_on="" if days is None else f"{days['count']:,} {days['accelerator']}",
        served_share=proportional(served.rates, served.training_share).served,
        served=served,
        against_best=against_best,
    )


def budget_divided(file: FleetFile, loss: LossFactor, *, draws: int, seed: int | None) -> Sweep:
    """Return the capacity at each share of the budget for the first of two pools.

    Limits of the numbers of chips (``at_most``) do not count.
    """
    first, second = file.spec.between
    divided = {
        f"{share:.4g}": {first: float(share), second: 1.0 - float(share)} for share in SHARES[::-1]
    }
    cases = {
        name: file.version(changes=file.changes_of(shares, limited=False))
        for name, shares in divided.items()
    }
    found: Outlook = outlook(
        cases,
        draws=draws,
        seed=seed,
        target=target_of(file),
        event=stop_of(file, certain=True),
        model_draws=0,
        loss=loss,
        loss_case=file.base,
    )
    pairs = list(found.break_even.values())
    with_stop = np.array([pairs[0].a_with, *(each.b_with for each in pairs)])[::-1]
    without = np.array([pairs[0].a_without, *(each.b_without for each in pairs)])[::-1]
    probability = file.spec.stop.probability
    return Sweep(
        (first, second),
        SHARES,
        with_stop,
        without,
        probability * with_stop + (1.0 - probability) * without,
        pairs[-1],
    )
