"""The plans of a job that are evaluated: the given plan, or the fastest plans of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.errors import InputError
from clustersim.estimation.arguments import MOST_CHIPS
from clustersim.estimation.assumed_inputs import back_end_of, usual_recompute
from clustersim.estimation.given_plan import (
    PLAN_KEYS,
    RECOMPUTE_MODES,
    Given,
    is_searched,
    read_plan,
)
from clustersim.estimation.job import Job
from clustersim.estimation.settled_plan import check_switches, settle_plan
from clustersim.performance import best_plans, search_plans
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.search import SWITCHES
from clustersim.units import format_count

__all__ = ["PlanChoice", "back_end_of_plan", "chosen_plans", "plan_of_job"]


PLANS_KEPT = 5
DOUBLINGS = 10
"""If no plan fits, the number of chips is doubled up to this many times to find one on which a plan
fits."""


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """The plans of a job that are evaluated.

    Attributes
    ----------
    plans : list of dict of str to int
        The given plan, or the plans that were found, the fastest one first.
    notes : list of tuple of str
        Notes on each plan.
    reason : str
        Why no plan fits; otherwise empty.
    searched : tuple of int, or None
        Number of plans tried and number of those that fit; None if a plan was given.
    """

    plans: list[dict[str, int]]
    notes: list[tuple[str, ...]]
    reason: str = ""
    searched: tuple[int, int] | None = None


def plan_of_job(job: Job, plan: str | Mapping[str, object] | None, notes: list[str]) -> Given:
    """Parse the plan of a job, with what follows from its memory options and its stack.

    Parameters
    ----------
    job : Job
    plan : str or mapping, optional
        As :func:`clustersim.estimation.given_plan.read_plan` reads it.
    notes : list of str
        Notes on the plan are appended to this list.

    Raises
    ------
    InputError
        If keys are unknown or values are not allowed.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.job import job_of, model_and_chip
    >>> from clustersim.performance import default_calibration
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> rest = (chip.nic_Bps, default_calibration(), [])
    >>> job = job_of(model, chip, 8, 128, *rest, memory="offload=optimizer:0.5")
    >>> given = plan_of_job(job, "tp=2", [])
    >>> given["tp"], given["host_optimizer"], given["pp"]
    (2.0, 50, None)
    """
    given = read_plan({} if plan is None else plan, notes)
    share = host_optimizer(job.memory)
    if given["host_optimizer"] not in (None, share):
        raise InputError(
            "plan",
            f"host_optimizer: must agree with the memory option offload, which keeps {share} % of "
            f"the optimizer on the host; found {given['host_optimizer']:g} (an offload such as "
            "optimizer:0.5 changes both)",
        )
    given["host_optimizer"] = share or None
    usual = usual_recompute(job.stack)
    if usual and given["recompute"] is None and not is_searched(given):
        given["recompute"] = RECOMPUTE_MODES[usual[0]]
        notes.append(usual[1])
    return given


def back_end_of_plan(stack: str, plan: str | Mapping[str, object] | None, notes: list[str]) -> str:
    """Return the back end of a stack that runs a plan, or the plans of a search.

    Examples
    --------
    >>> back_end_of_plan("ms-swift", "dp=8", []), back_end_of_plan("ms-swift", "tp=2", [])
    ('ms-swift', 'Megatron-SWIFT')
    """
    given = read_plan({} if plan is None else plan, [])
    split = is_searched(given) or any((given[name] or 1) > 1 for name in ("tp", "pp", "ep"))
    return back_end_of(stack, notes, split=split)


def chosen_plans(job: Job, given: Given) -> PlanChoice:
    """Return the given plan, or the fastest plans if none of its sizes is given.

    Parameters
    ----------
    job : Job
    given : mapping
        As returned by :func:`plan_of_job`.

    Raises
    ------
    InputError
        If the plan, or a switch of a search, is not allowed.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.job import job_of, model_and_chip
    >>> from clustersim.performance import default_calibration
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> job = job_of(model, chip, 8, 128, chip.nic_Bps, default_calibration(), [])
    >>> choice = chosen_plans(job, plan_of_job(job, "tp=2", []))
    >>> choice.plans[0]["dp"], choice.searched
    (4, None)
    """
    if is_searched(given):
        check_switches(given, job.model, job.chip)
        return _search(job, given)
    unusual: list[str] = []
    settled = settle_plan(given, job.model, job.chip, job.count, job.batch, unusual)
    return PlanChoice([settled], [tuple(unusual)])


def _search(job: Job, given: Given) -> PlanChoice:
    """Return the best plans with the given switches."""
    switches = {name: given[name] for name in SWITCHES}
    found = search_plans(
        job.model,
        job.chip,
        job.count,
        global_batch=job.batch,
        nic_Bps=job.nic_Bps,
        precision=job.precision,
        stack=job.stack,
        memory=job.memory,
        draw=job.calibration.mean_draw(),
        keep=PLANS_KEPT,
        switches={name: value for name, value in switches.items() if value is not None},
    )
    plans = [
        {name: int(np.broadcast_to(getattr(found.plans, name), len(found))[row])
         for name in PLAN_KEYS}
        for row in range(len(found))
    ]  # fmt: skip
    reason = found.reason + _fits_from(job) if found.reason else ""
    return PlanChoice(plans, list(found.notes), reason, (found.looked_at, found.fitting))


def _fits_from(job: Job) -> str:
    """Return text that states on how many chips a plan fits; empty if no such number is found."""
    most = min(DOUBLINGS, int(np.log2(MOST_CHIPS / job.count)))
    counts = [job.count * 2**power for power in range(1, most + 1)]
    if not counts:
        return ""
    found = best_plans(
        job.model,
        job.chip,
        counts,
        global_batch=job.batch,
        precision=job.precision,
        stack=job.stack,
        memory=job.memory,
    )
    fitting = [count for count, fits in zip(counts, found.fits, strict=True) if fits]
    return f"; a plan fits on {format_count(fitting[0])} chips" if fitting else ""
