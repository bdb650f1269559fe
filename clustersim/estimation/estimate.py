"""Estimate of one training job: step time with its interval, memory, plans, duration and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Catalogue, Model, load_catalogue
from clustersim.estimation.arguments import check_arguments, check_documents
from clustersim.estimation.assumptions import (
    chip_notes,
    close_notes,
    name_notes,
    unmeasured_notes,
)
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.cost import Cost, Prices, cost_of
from clustersim.estimation.estimate_result import Estimate, PlanEstimate
from clustersim.estimation.evidence import Evidence, evidence_of
from clustersim.estimation.job import Job, job_of, model_and_chip, with_lengths
from clustersim.estimation.memory_fit import memory_probability
from clustersim.estimation.plan_choice import (
    PlanChoice,
    back_end_of_plan,
    chosen_plans,
    plan_of_job,
)
from clustersim.estimation.prediction import draw_specifications, predict, sampled
from clustersim.estimation.selection import Selection, select
from clustersim.performance import (
    Calibration,
    ModelArrays,
    default_calibration,
    describe_memory,
)
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.memory_overhead import FITS_FROM
from clustersim.performance.runs import params_of
from clustersim.performance.step_time import step_seconds
from clustersim.units import format_memory, format_percent

__all__ = ["TOKENS_PER_PARAMETER", "estimate"]


TOKENS_PER_PARAMETER = 20.0
"""Compute-optimal tokens per parameter (Hoffmann et al. 2022, arXiv 2203.15556, table 3)."""


def estimate(
    model: str | Model,
    accelerator: str | Accelerator,
    count: int,
    *,
    plan: str | Mapping[str, object] | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    document_tokens: int | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    memory: str | Mapping[str, object] | None = None,
    nic_Bps: float | None = None,
    tokens: float | None = None,
    prices: Prices | None = None,
    calibration: Calibration | None = None,
    catalogue: Catalogue | None = None,
    draws: int = 0,
    seed: int = 0,
) -> Estimate:
    """Estimate the step time of a training job with its 90 % interval, memory, duration and cost.

    Parameters
    ----------
    model, accelerator : str or Model or Accelerator
        Names in the catalogue, or the objects themselves.
    count : int
        Chips of the job.
    plan : str or mapping, optional
        A plan as :func:`clustersim.estimation.given_plan.read_plan` reads it. If it gives no size
        (only switches, or nothing), the fastest plan that fits is searched for. Otherwise a size
        that is not given is 1.
    global_batch : int, optional
        Sequences per step (default: the model's own).
    seq_len : int, optional
        Tokens per sequence (default: the model's own).
    document_tokens : int, optional
        Mean length of the documents that are packed into a sequence and attend only to themselves,
        averaged over tokens (default: the model's own, usually the whole sequence).
    precision : {"bf16", "fp16", "fp8", "mxfp8", "fp32"}
        FP16 and FP32 are treated as BF16; a chip without FP8 computes in BF16. Notes say so.
    stack : str, optional
        Software stack (default: :func:`clustersim.performance.default_stack`). For a stack that was
        not measured, and for ``"unknown"``, the mean of all stacks is used, and the interval
        includes their spread.
    memory : str or mapping, optional
        Options from :data:`clustersim.performance.MEMORY_OPTIONS`, such as
        ``"loss_fused=linear,offload=optimizer"`` (default: those of the stack).
    nic_Bps : float, optional
        Network bandwidth per chip in bytes/s (default: the chip's own).
    tokens : float, optional
        Tokens for duration and cost (default: :data:`TOKENS_PER_PARAMETER` per parameter).
    prices : Prices, optional
    calibration : Calibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional
    draws, seed : int
        Number of draws for `drawn_s`, and the seed of all draws.

    Raises
    ------
    InputError
        If a name is unknown (the nearest one is suggested), a value is out of range, or a rule
        refuses the plan.

    Examples
    --------
    >>> from clustersim import estimate
    >>> found = estimate("llama3-70b", "H200", 512, plan="tp=4,pp=2")
    >>> found.best.lo_s < found.best.step_time_s < found.best.hi_s
    True
    >>> found.best.fits, found.best.plan["dp"]
    (True, 64)
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    calibration = default_calibration() if calibration is None else calibration
    shape, chip = model_and_chip(model, accelerator, catalogue)
    shape = with_lengths(shape, seq_len, document_tokens)
    batch = shape.global_batch if global_batch is None else global_batch
    network = chip.nic_Bps if nic_Bps is None else nic_Bps
    budget = TOKENS_PER_PARAMETER * shape.params if tokens is None else tokens
    check_arguments(count, batch, shape.seq_len, draws, seed, precision, network, budget)
    check_documents(shape.document_tokens, given=document_tokens is not None)
    notes = name_notes(accelerator, catalogue) if isinstance(accelerator, str) else []
    job = job_of(
        shape,
        chip,
        count,
        batch,
        network,
        calibration,
        notes,
        precision=precision,
        stack=None if stack is None else back_end_of_plan(stack, plan, notes),
        memory=memory,
    )
    notes += _token_notes(job, budget, document_tokens)
    given = plan_of_job(job, plan, notes)
    free = all(value is None for name, value in given.items() if name != "host_optimizer")
    choice = chosen_plans(job, given)
    found = _evaluate(job, choice, draws, seed)
    paid = prices or Prices.of(catalogue.assumptions)
    return _result(job, choice, found, free=free, tokens=budget, prices=paid, notes=notes)


def _token_notes(job: Job, budget: float, document_tokens: int | None) -> list[str]:
    """Return notes on numbers of tokens that contradict each other."""
    notes, shape = [], job.model
    if document_tokens is not None and document_tokens > shape.seq_len:
        notes.append(f"Documents of {document_tokens:,} tokens are longer than a sequence.")
    if budget < job.batch * shape.seq_len:
        notes.append("The tokens of the training are fewer than those of one step.")
    return notes


def _result(
    job: Job,
    choice: PlanChoice,
    found: _Evaluated,
    *,
    free: bool,
    tokens: float,
    prices: Prices,
    notes: list[str],
) -> Estimate:
    """Return the estimate of a job from its evaluated plans.

    `free` says that the search was free to choose all sizes of the plan.
    """
    first = found.plans[0] if found.plans else None
    if first:
        notes += [*first.notes, *close_notes(first.fit_probability, fits=first.fits)]
    notes += unmeasured_notes(job.chip, job.calibration)
    notes += chip_notes(job.chip, first.memory_bytes if first else 0.0)
    return Estimate(
        model=job.model,
        accelerator=job.chip,
        count=job.count,
        precision=job.precision,
        stack=job.stack,
        global_batch=job.batch,
        nic_Bps=job.nic_Bps,
        plans=found.plans,
        searched=choice.searched,
        parts=found.parts,
        memory=found.memory,
        memory_basis=describe_memory(job.stack, job.memory),
        reason=found.reason,
        cost=_cost(job, first, tokens, prices) if first else None,
        notes=tuple(notes),
        evidence=_evidence(job, adapters=bool(first and first.plan["lora"])),
        selection=_selection(job, first) if first and free else None,
        drawn_s=found.drawn_s,
    )


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """The evaluated plans of a job, as fields of :class:`Estimate`."""

    plans: tuple[PlanEstimate, ...]
    parts: Mapping[str, float]
    memory: Mapping[str, float]
    reason: str
    drawn_s: Floats


def _evaluate(job: Job, choice: PlanChoice, draws: int, seed: int) -> _Evaluated:
    plans, reason = choice.plans, choice.reason
    if not plans:
        return _Evaluated((), {}, {}, reason, np.zeros(0))
    rows = job.rows(plans)
    found = predict(rows, job.calibration, seed=seed)
    step = found.step
    probability = memory_probability(rows, step)
    estimates = tuple(
        PlanEstimate(
            plan=plan,
            step_time_s=float(step.step_time_s[row]),
            lo_s=float(found.lo_s[row]),
            hi_s=float(found.hi_s[row]),
            tokens_per_s=float(step.tokens_per_s[row]),
            mfu=float(step.mfu[row]),
            memory_bytes=float(step.memory_bytes[row]),
            fits=bool(step.fits[row]),
            fit_probability=float(probability[row]),
            notes=choice.notes[row],
        )
        for row, plan in enumerate(plans)
    )
    if not estimates[0].fits:
        needed = format_memory(estimates[0].memory_bytes)
        has = format_memory(job.chip.hbm_bytes * BINARY_GIGABYTE)
        chance = format_percent(estimates[0].fit_probability)
        reason = (
            f"the plan does not fit: the fullest chip needs {needed}; a chip has {has} "
            f"(probability of fitting {chance}; at least {format_percent(FITS_FROM)} is required)"
        )
    drawn_s = _drawn(rows.take(np.array([0])), job.calibration, draws, seed)
    return _Evaluated(estimates, _first(step.parts), _first(step.memory), reason, drawn_s)


def _first(columns: Mapping[str, Floats]) -> dict[str, float]:
    return {name: float(np.atleast_1d(column)[0]) for name, column in columns.items()}


def _cost(job: Job, first: PlanEstimate, tokens: float, prices: Prices) -> Cost:
    per_step = job.batch * job.model.seq_len
    per_token = (first.step_time_s / per_step, first.lo_s / per_step, first.hi_s / per_step)
    return cost_of(job.chip, job.count, tokens, per_token, prices)


def _evidence(job: Job, *, adapters: bool) -> Evidence:
    return evidence_of(
        job.calibration,
        job.chip.name,
        mixture=job.model.n_experts > 0,
        params=float(params_of(ModelArrays.of([job.model]))[0]),
        count=job.count,
        architecture=job.chip.family,
        adapters=adapters,
    )


def _selection(job: Job, first: PlanEstimate) -> Selection | None:
    """Compare the best plan of a search with a published plan."""
    return select(
        job.step,
        job.calibration,
        job.model,
        job.chip,
        job.count,
        job.batch,
        first.step_time_s,
    )


def _drawn(rows: Configurations, calibration: Calibration, draws: int, seed: int) -> Floats:
    """Return the step times of one row, one for each draw from the calibration."""
    if not draws:
        return np.zeros(0)
    sample = sampled(calibration, draws, seed)
    chips = draw_specifications(rows.chips, rows.accelerators, sample)
    coefficients = sample.coefficients(rows.labels)
    return step_seconds(rows.models, chips, rows.plans, rows.global_batch, coefficients)[:, 0]
