"""Plans, step times with intervals, and memory of a training on many gangs at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.catalogue import Accelerator
from clustersim.errors import InputError
from clustersim.estimation.assumptions import PRECISIONS
from clustersim.estimation.given_plan import PLAN_KEYS
from clustersim.estimation.job import Job, configurations_of
from clustersim.estimation.memory_fit import memory_probability
from clustersim.estimation.plan_choice import chosen_plans
from clustersim.estimation.prediction import predict
from clustersim.performance import BestPlans, Plans, best_plans
from clustersim.performance.arrays import BINARY_GIGABYTE, scaleup_domain
from clustersim.performance.optimizer import host_optimizer
from clustersim.topology import Pool
from clustersim.training.training import Training
from clustersim.units import format_memory

__all__ = ["Gang", "Gangs", "find_gangs", "step_times"]


@dataclass(frozen=True, slots=True)
class Gang:
    """A number of chips of one pool that train together.

    Attributes
    ----------
    chip : Accelerator
    count : int
    pool : Pool
        Determines the links of the chips, and the nodes and switches on which the gang depends.

    Examples
    --------
    >>> import clustersim as cs
    >>> gang = Gang.of(cs.load_catalogue().accelerator("H200"), 60)
    >>> gang.pool.scaleup_size, gang.pool.n_nodes
    (8, 8)
    """

    chip: Accelerator
    count: int
    pool: Pool

    @classmethod
    def of(cls, chip: Accelerator, count: int, nic_Bps: float | None = None) -> Gang:
        """Return a gang on nodes of its own, under one switch.

        Parameters
        ----------
        chip : Accelerator
        count : int
        nic_Bps : float, optional
            Network bandwidth per chip in bytes/s; by default that of the chip.
        """
        nodes = -(-count // chip.chips_per_node)
        under_one_switch = np.zeros(nodes, dtype=np.int32)
        pool = Pool(
            name=chip.name,
            accelerator=chip.name,
            n_nodes=nodes,
            chips_per_node=chip.chips_per_node,
            nic_Bps=chip.nic_Bps if nic_Bps is None else nic_Bps,
            scaleup_size=scaleup_domain(chip),
            leaf_of_node=under_one_switch,
            unit_of_node=under_one_switch,
        )
        return cls(chip, count, pool)


@dataclass(frozen=True, slots=True)
class Gangs:
    """What a training does on R gangs; arrays have the shape (R,).

    Attributes
    ----------
    gangs : tuple of Gang
    fits : array of bool
        Whether there is a plan that fits in memory. Without one, all numbers are NaN.
    step_s, lo_s, hi_s : array
        Seconds per step, and the bounds of its 90 % interval.
    mfu : array
    memory_bytes, fit_probability : array
        Memory of the fullest chip, and the probability that it is at most the chip's.
    plans : tuple of mapping or None
        Values by key of :data:`clustersim.estimation.given_plan.PLAN_KEYS`; None without a plan.
    precisions : tuple of str
        Precision in which each gang computes.
    reasons : tuple of str
        Why no plan fits; empty if one does.
    notes : tuple of str
        Notes on what is assumed, each of them once.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-8b", catalogue, cs.performance.default_calibration())
    >>> gangs = [Gang.of(catalogue.accelerator("H200"), count) for count in (64, 128)]
    >>> found = find_gangs(training, gangs)
    >>> bool(found.fits.all()), bool(found.step_s[1] < found.step_s[0] < found.hi_s[0])
    (True, True)
    """

    gangs: tuple[Gang, ...]
    fits: Bools
    step_s: Floats
    lo_s: Floats
    hi_s: Floats
    mfu: Floats
    memory_bytes: Floats
    fit_probability: Floats
    plans: tuple[Mapping[str, int] | None, ...]
    precisions: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.gangs)


def find_gangs(training: Training, gangs: Sequence[Gang], *, seed: int = 0) -> Gangs:
    """Find the plan of a training on each gang, its step time with a 90 % interval, and its memory.

    If no plan is given, one call searches for the fastest plan of all gangs
    (:func:`clustersim.performance.best_plans`). The intervals are those of
    :func:`clustersim.estimate`: the spread over draws of the fitted coefficients and over the
    ranges of a hypothetical chip, and the scatter of measurements around the model.

    Parameters
    ----------
    training : Training
    gangs : sequence of Gang
    seed : int
        Seed of the draws.

    Raises
    ------
    InputError
        If a given plan is allowed on none of the gangs, or an option is unknown.
    """
    notes: list[str] = []
    jobs: list[Job] = []
    plans: list[dict[str, int] | None] = []
    reasons: list[str] = []
    for gang in gangs:
        job, given = training.job(gang.chip, gang.count, gang.pool.nic_Bps, notes)
        jobs.append(job)
        if training.searched:
            continue
        try:
            choice = chosen_plans(job, given)
        except InputError as error:
            if len(gangs) == 1:
                raise
            plans.append(None)
            reasons.append("; ".join(error.problems))
            continue
        plans.append(choice.plans[0] if choice.plans else None)
        reasons.append(choice.reason)
    if training.searched:
        found = _fastest(training, gangs, jobs)
        plans, reasons = _plans_of(found, jobs), list(found.reason)
    elif not any(plans) and len(set(reasons)) == 1 and reasons[0]:
        raise InputError("plan", reasons[0])
    return _evaluated(gangs, jobs, plans, reasons, tuple(dict.fromkeys(notes)), seed)


def step_times(training: Training, gangs: Sequence[Gang]) -> Floats:
    """Return the seconds per step of the fastest plan on each gang; infinite if no plan fits.

    This is the first part of :func:`find_gangs`, without intervals, for many gangs.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-70b", catalogue, cs.performance.default_calibration())
    >>> chip = catalogue.accelerator("H200")
    >>> np.isfinite(step_times(training, [Gang.of(chip, count) for count in (1, 64)])).tolist()
    [False, True]
    """
    if not gangs:
        return np.zeros(0)
    if training.searched:
        jobs = [training.job(gang.chip, gang.count, gang.pool.nic_Bps, [])[0] for gang in gangs[:1]]
        return _fastest(training, gangs, jobs).step_time_s
    found = find_gangs(training, gangs)
    return np.where(found.fits, found.step_s, np.inf)


def _fastest(training: Training, gangs: Sequence[Gang], jobs: Sequence[Job]) -> BestPlans:
    """Search for the fastest plan of every gang in one call."""
    return best_plans(
        [training.model] * len(gangs),
        [gang.chip for gang in gangs],
        [gang.count for gang in gangs],
        global_batch=training.batch,
        nic_Bps=[gang.pool.nic_Bps for gang in gangs],
        scaleup_size=[gang.pool.scaleup_size for gang in gangs],
        precision=PRECISIONS[training.precision],
        stack=None if training.stack is None else jobs[0].stack,
        memory=training.memory,
        draw=training.coefficients,
    )


def _plans_of(found: BestPlans, jobs: Sequence[Job]) -> list[dict[str, int] | None]:
    """Return the plan of each row with the settings that a search does not vary."""
    usual = Plans.of()
    plans: list[dict[str, int] | None] = []
    for row, (job, fits) in enumerate(zip(jobs, found.fits, strict=True)):
        plan = {
            name: int(getattr(found, name)[row] if hasattr(found, name) else getattr(usual, name))
            for name in PLAN_KEYS
        }
        plan["host_optimizer"] = host_optimizer(job.memory)
        plans.append(plan if fits else None)
    return plans


def _evaluated(
    gangs: Sequence[Gang],
    jobs: Sequence[Job],
    plans: Sequence[Mapping[str, int] | None],
    reasons: list[str],
    notes: tuple[str, ...],
    seed: int,
) -> Gangs:
    """Return the step times and the memory of gangs with their plans."""
    columns = {name: np.full(len(gangs), np.nan) for name in _COLUMNS}
    fits = np.zeros(len(gangs), dtype=bool)
    known = np.array([row for row, plan in enumerate(plans) if plan is not None], dtype=np.intp)
    if known.size:
        rows = configurations_of(
            [jobs[row] for row in known], [plan for plan in plans if plan is not None]
        )
        domain = np.array([gangs[row].pool.scaleup_size for row in known], dtype=np.float64)
        rows = dataclasses.replace(rows, chips=dataclasses.replace(rows.chips, scaleup_size=domain))
        found = predict(rows, jobs[0].calibration, seed=seed)
        fits[known] = found.step.fits
        values = (
            *(found.step.step_time_s, found.lo_s, found.hi_s, found.step.mfu),
            *(found.step.memory_bytes, memory_probability(rows, found.step)),
        )
        for name, value in zip(_COLUMNS, values, strict=True):
            columns[name][known] = value
        for row in known[~fits[known]]:
            reasons[row] = _too_little_memory(gangs[row].chip, columns["memory_bytes"][row])
    for column in columns.values():
        column[~fits] = np.nan
    return Gangs(
        gangs=tuple(gangs),
        fits=fits,
        plans=tuple(plan if fit else None for plan, fit in zip(plans, fits, strict=True)),
        precisions=tuple(job.precision for job in jobs),
        reasons=tuple(reasons),
        notes=notes,
        **columns,
    )


_COLUMNS = ("step_s", "lo_s", "hi_s", "mfu", "memory_bytes", "fit_probability")
"""Arrays of :class:`Gangs` that come from the prediction of the step time."""


def _too_little_memory(chip: Accelerator, needed: float) -> str:
    has = format_memory(chip.hbm_bytes * BINARY_GIGABYTE)
    return f"the plan needs {format_memory(needed)} on the fullest chip; a chip has {has}"
