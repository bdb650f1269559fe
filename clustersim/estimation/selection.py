"""Correction of the best plan of a search for selection, relative to a published plan.

A search takes the minimum over many uncertain estimates, which is too low on average. The estimate
is therefore compared with published practice: the fastest of the nearest plans of published runs
that are possible for the job. The scatter of predictions between plans of one job, and the
variation of their measured step times, are facts of the calibration
(:mod:`clustersim.calibration.plan_pairs`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError
from clustersim.estimation.given_plan import plan_text, read_plan
from clustersim.estimation.settled_plan import settle_plan
from clustersim.performance import Calibration, ModelArrays, StepTime
from clustersim.performance.runs import Run, params_of
from clustersim.units import format_count, format_percent

__all__ = ["Selection", "corrected", "published_plan", "select"]


MOST_PLANS = 40
"""Number of distinct published plans that are tried, in the order of their models' sizes."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The best plan of a search next to a published plan.

    Attributes
    ----------
    best_s : float
        Predicted step time of the best plan.
    plan : mapping of str to int
        The published plan, for the chips of the job.
    plan_s : float
        Its predicted step time.
    run : Run
        The run from which the plan is taken.
    gain : float
        Share of the published plan's step time that the best plan saves according to the model;
        below 0 if the published plan is faster.
    uncertainty : float
        Standard deviation of the logarithm of the ratio of two plans' step times.
    corrected_s : float
        Expected step time of the best plan, given that it was selected: the logarithm of the gain
        is multiplied by the share of the variance between plans that is not error.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> run = default_calibration().runs.nearest("H200", mixture=False, params=70e9, count=8)
    >>> found = Selection(9.0, {"tp": 8, "pp": 1, "dp": 1}, 10.0, run, 0.1, 0.2, 9.5)
    >>> found.prefers_published
    True
    """

    best_s: float
    plan: Mapping[str, int]
    plan_s: float
    run: Run
    gain: float
    uncertainty: float
    corrected_s: float

    @property
    def prefers_published(self) -> bool:
        """Whether the gain of the best plan is within the uncertainty."""
        return bool(-np.log1p(-self.gain) <= self.uncertainty)

    def __str__(self) -> str:
        plan = (
            f"the published plan {plan_text(self.plan)} ({self.run.model} on "
            f"{format_count(self.run.count)} {self.run.chip}) takes {self.plan_s:.3g} s"
        )
        if self.gain <= 0:
            return f"{plan}, no longer than the best plan of the search: prefer the published plan"
        size = format_percent(-np.expm1(-self.uncertainty))
        verdict = (
            f"is within the uncertainty of comparing two plans ({size}): prefer the published plan"
            if self.prefers_published
            else f"exceeds the uncertainty of comparing two plans ({size})"
        )
        return (
            f"{plan}; the gain of {format_percent(self.gain)} {verdict}; corrected for selection, "
            f"expect {self.corrected_s:.3g} s"
        )

    def to_data(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON."""
        return {**dataclasses.asdict(self), "prefers_published": self.prefers_published}


def published_plan(
    calibration: Calibration,
    model: Model,
    chip: Accelerator,
    count: int,
    global_batch: int,
    seconds: Callable[[dict[str, int]], float],
) -> tuple[dict[str, int], Run] | None:
    """Return the fastest of the nearest published plans that are possible; None without one.

    Only plans of runs with models of the same kind that train all weights are tried, in the order
    of the ratio of the models' parameters, then of the ratio of the numbers of chips. The data
    parallel size follows from the number of chips. How tokens reach experts follows from the job's
    software, as in the search, so that the two plans differ in their sizes only.

    Parameters
    ----------
    calibration : Calibration
    model : Model
    chip : Accelerator
    count : int
        Chips of the job.
    global_batch : int
        Sequences per step.
    seconds : callable
        Step time of a complete plan; inf if it does not fit in memory.

    Returns
    -------
    dict of str to int, Run
        The plan for the chips of the job, and the run from which it is taken.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_calibration
    >>> catalogue = load_catalogue()
    >>> job = (catalogue.model("llama3-8b"), catalogue.accelerator("H200"), 8, 512)
    >>> plan, run = published_plan(default_calibration(), *job, lambda plan: float(plan["tp"]))
    >>> plan["tp"] * plan["pp"] * plan["dp"] * plan["cp"], run.mixture
    (8, False)
    """
    mixture = model.n_experts > 0
    params = float(params_of(ModelArrays.of([model]))[0])
    runs = calibration.runs.by_distance(
        chip.name, mixture=mixture, params=params, count=count, chip_first=False
    )
    first: dict[str, Run] = {}
    for run in runs:
        if run.mixture == mixture and not run.adapters:
            first.setdefault(run.plan, run)
    found: list[tuple[float, dict[str, int], Run]] = []
    for text, run in list(first.items())[:MOST_PLANS]:
        try:
            given = {**read_plan(text, []), "dispatcher": None}
            plan = settle_plan(given, model, chip, count, global_batch, [])
        except InputError:
            continue
        step_s = seconds(plan)
        if np.isfinite(step_s):
            found.append((step_s, plan, run))
    best = min(found, key=lambda each: each[0], default=None)
    return None if best is None else best[1:]


def corrected(
    calibration: Calibration,
    best_s: float,
    plan: Mapping[str, int],
    plan_s: float,
    run: Run,
) -> Selection | None:
    """Correct the step time of a search's best plan for selection.

    Returns
    -------
    Selection or None
        None if the calibration does not state how well plans are compared. If the best plan is not
        faster than the published plan, the latter is expected.

    Examples
    --------
    >>> import dataclasses
    >>> from clustersim.performance import default_calibration
    >>> facts = {"plans": {"dense": {"scatter": 0.1, "variation": 0.1, "comparisons": 40}}}
    >>> calibration = dataclasses.replace(default_calibration(), facts=facts)
    >>> run = calibration.runs.nearest("H200", mixture=False, params=70e9, count=8)
    >>> found = corrected(calibration, 8.1, {"tp": 8, "pp": 1, "dp": 1}, 10.0, run)
    >>> round(found.gain, 2), round(found.uncertainty, 3), round(found.corrected_s, 2)
    (0.19, 0.141, 9.0)
    """
    known = calibration.facts.get("plans", {}).get("mixture" if run.mixture else "dense")
    if known is None:
        return None
    error, variation = known["scatter"] ** 2, known["variation"] ** 2
    kept = variation / (variation + error)
    return Selection(
        best_s=best_s,
        plan=plan,
        plan_s=plan_s,
        run=run,
        gain=1.0 - best_s / plan_s,
        uncertainty=float(np.sqrt(2.0 * error)),
        corrected_s=float(plan_s * min(best_s / plan_s, 1.0) ** kept),
    )


def select(
    step: Callable[[dict[str, int]], StepTime],
    calibration: Calibration,
    model: Model,
    chip: Accelerator,
    count: int,
    global_batch: int,
    best_s: float,
) -> Selection | None:
    """Compare the best plan of a search with a published plan.

    Parameters
    ----------
    step : callable
        Evaluates a complete plan of the job.
    calibration, model, chip, count, global_batch
        As for :func:`published_plan`.
    best_s : float
        Predicted step time of the best plan.

    Returns
    -------
    Selection or None
        None if no published plan is possible, and in the cases of :func:`corrected`.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.job import job_of, model_and_chip
    >>> from clustersim.performance import default_calibration
    >>> calibration = default_calibration()
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> job = job_of(model, chip, 8, 512, chip.nic_Bps, calibration, [])
    >>> best_s = 0.01  # much faster than any published plan
    >>> found = select(job.step, calibration, model, chip, 8, 512, best_s)
    >>> found.corrected_s > best_s, found.prefers_published
    (True, False)
    """

    def seconds(plan: dict[str, int]) -> float:
        found = step(plan)
        return float(found.step_time_s[0]) if found.fits[0] else np.inf

    found = published_plan(calibration, model, chip, count, global_batch, seconds)
    if found is None:
        return None
    plan, run = found
    return corrected(calibration, best_s, plan, seconds(plan), run)
