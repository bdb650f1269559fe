"""All numbers of a briefing: cases, options, days to train, and training against serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.briefing.checks import check_briefing
from clustersim.briefing.fleet_file import FleetFile
from clustersim.briefing.options import (
    Option,
    Sweep,
    budget_divided,
    compare_options,
    option_versions,
    stop_of,
    target_of,
)
from clustersim.briefing.service import ServedFleet, demand_per_s, served_fleet
from clustersim.frontier import Assignment, Frontier, frontier, proportional
from clustersim.outlook.loss_factor import LossFactor, loss_factor
from clustersim.outlook.outlook import DRAWS, MODEL_DRAWS, CaseOutlook, Outlook, outlook
from clustersim.scenario.scenario import LoadedScenario
from clustersim.training.named_trainings import NamedTrainings, compare_trainings

__all__ = ["BriefingAnswer", "answer_briefing", "briefing_loss"]

REPLICATIONS, QUICK_REPLICATIONS = 4, 2
QUICK_DRAWS = 400


@dataclass(frozen=True, eq=False, slots=True)
class BriefingAnswer:
    """What a briefing says, in numbers.

    Attributes
    ----------
    file : FleetFile
    cases : Outlook
        The base and the other cases, with the assumed probability of the stop.
    options : tuple of Option
    divided : Sweep
    trainings : pandas.DataFrame
        From :func:`~clustersim.training.named_trainings.compare_trainings`.
    fleet : ServedFleet
        The whole base fleet at the end of the horizon, with the assumed probability of the stop.
    frontier : Frontier
    equal : Assignment
        Each pool trains with its share in the file.
    demand_dates : tuple of str
        Dates of `demand`.
    demand : float array (dates,)
        Demand at some dates as a multiple of that at the end of the horizon.
    notes : tuple of str
    quick : bool
        Whether draws and runs were few.
    """

    file: FleetFile
    cases: Outlook
    options: tuple[Option, ...]
    divided: Sweep
    trainings: pd.DataFrame
    fleet: ServedFleet
    frontier: Frontier
    equal: Assignment
    demand_dates: tuple[str, ...]
    demand: Floats
    notes: tuple[str, ...]
    quick: bool

    @property
    def base(self) -> CaseOutlook:
        """The outlook of the base."""
        return self.cases.cases[0]

    @property
    def best(self) -> Option:
        """The option with the largest expected capacity at the end."""
        return max(self.options, key=lambda each: float(each.training.end.mean[0]))


def briefing_loss(
    file: FleetFile,
    *,
    quick: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LossFactor:
    """Return the loss factor from full runs of all cases and options.

    For a quick one, only the base runs, and its factor is used for all.

    What would make the other parts of the page fail is checked before the runs. `workers` and
    `progress` are those of :func:`~clustersim.outlook.loss_factor.loss_factor`.

    Raises
    ------
    InputError
        If a part of the file is invalid or has no closed form.
    """
    check_briefing(file)
    cases = {**_cases(file), **option_versions(file)}
    if quick:
        cases = {file.base: cases[file.base]}
    replications = QUICK_REPLICATIONS if quick else REPLICATIONS
    return loss_factor(cases, replications=replications, workers=workers, progress=progress)


def _cases(file: FleetFile) -> dict[str, LoadedScenario]:
    """Return the base and the other cases, by name."""
    others = {case: file.version(case) for case in file.spec.cases}
    return {file.base: file.version(), **others}


def answer_briefing(
    file: FleetFile,
    loss: LossFactor,
    *,
    draws: int | None = None,
    seed: int | None = None,
    quick: bool = False,
) -> BriefingAnswer:
    """Compute all numbers of a briefing.

    Parameters
    ----------
    file : FleetFile
    loss : LossFactor
        From :func:`briefing_loss`.
    draws : int, optional
        Default: 10,000, and 400 for a quick one.
    seed : int, optional
        Default: that of the file.
    quick : bool
        Whether to draw less, for a look at the page.

    Raises
    ------
    InputError
        If a part of the file is invalid or has no closed form.
    """
    spec = file.spec
    n_draws = (QUICK_DRAWS if quick else DRAWS) if draws is None else draws
    cases = _cases(file)
    model_draws = 4 if quick else MODEL_DRAWS
    found = outlook(
        cases,
        draws=n_draws,
        seed=seed,
        target=target_of(file),
        stops=[stop_of(file)],
        model_draws=model_draws,
        loss=loss,
    )
    options = compare_options(file, loss, draws=n_draws, seed=seed, model_draws=model_draws)
    divided = budget_divided(file, loss, draws=n_draws, seed=seed)
    trainings, notes = compare_trainings(
        NamedTrainings(
            name="briefing",
            trainings=spec.trainings,
            accelerators=spec.chips,
            counts=spec.counts,
            catalogue=file.data.get("catalogue") or [],
        ),
        file.path.parent,
    )
    horizon_s = float(next(iter(cases.values())).scenario.horizon or 0.0)
    fleet = served_fleet(file, horizon_s, float(found.cases[0].loss[-1]), stops=[stop_of(file)])
    dates = _dates(file, horizon_s)
    at_end = sum(demand_per_s(file, each, horizon_s) for each in spec.served[:1])
    demand = [demand_per_s(file, spec.served[0], at_s) / at_end for at_s in dates.values()]
    return BriefingAnswer(
        file=file,
        cases=found,
        options=options,
        divided=divided,
        trainings=trainings,
        fleet=fleet,
        frontier=frontier(fleet.rates),
        equal=proportional(fleet.rates, fleet.training_share),
        demand_dates=tuple(dates),
        demand=np.array(demand),
        notes=notes,
        quick=quick,
    )


def _dates(file: FleetFile, horizon_s: float) -> dict[str, float]:
    """Return the date of the first service's demand and the end of the horizon."""
    first = file.spec.served[0]
    return {
        f"{first.name}, {first.at}": file.at_s(first.at, "served.at"),
        "end": horizon_s,
    }
