"""Estimate of one training job: step time with its interval, memory, plans, duration and cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Catalogue, Model, load_catalogue
from clustersim.errors import check_kind
from clustersim.estimation.arguments import MOST_CHIPS, check_arguments, check_documents
from clustersim.estimation.assumed_inputs import usual_recompute
from clustersim.estimation.assumptions import (
    chip_notes,
    close_notes,
    memory_notes,
    precision_used,
    stack_used,
    unmeasured_notes,
)
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.cost import Cost, Prices, cost_of
from clustersim.estimation.evidence import Evidence, evidence_of
from clustersim.estimation.given_plan import (
    PLAN_KEYS,
    RECOMPUTE_MODES,
    check_switches,
    is_searched,
    read_plan,
    settle_plan,
)
from clustersim.estimation.memory_fit import memory_probability
from clustersim.estimation.prediction import draw_specifications, predict
from clustersim.estimation.selection import Selection, select
from clustersim.performance import (
    AcceleratorArrays,
    Calibration,
    ModelArrays,
    Plans,
    StepTime,
    best_plans,
    default_calibration,
    describe_memory,
    evaluate,
    labels_of,
    parse_memory,
    search_plans,
)
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.memory_overhead import CLOSE, FITS_FROM
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.runs import params_of
from clustersim.performance.search import SWITCHES
from clustersim.performance.step_time import step_seconds
from clustersim.units import (
    format_count,
    format_duration,
    format_memory,
    format_money,
    format_number,
    format_percent,
)

__all__ = ["TOKENS_PER_PARAMETER", "Estimate", "PlanEstimate", "estimate"]


TOKENS_PER_PARAMETER = 20.0
"""Compute-optimal tokens per parameter (Hoffmann et al. 2022, arXiv 2203.15556, table 3)."""
PLANS_KEPT = 5
DOUBLINGS = 10
"""If no plan fits, the number of chips is doubled up to this many times to find one on which a plan
fits."""


@dataclass(frozen=True, repr=False)
class PlanEstimate(Brief):
    """Estimate of one plan.

    Attributes
    ----------
    plan : mapping of str to int
        Values by key of :data:`clustersim.estimation.given_plan.PLAN_KEYS`; `etp` is 0 without
        experts.
    step_time_s, lo_s, hi_s : float
        Seconds per step with the bounds of its 90 % interval.
    tokens_per_s, mfu : float
    memory_bytes : float
        Memory of the fullest chip.
    fits : bool
    fit_probability : float
        Probability that the peak is at most the chip's memory. `fits` is true if it is at least
        :data:`clustersim.performance.memory_overhead.FITS_FROM`.
    notes : tuple of str
        Unusual properties of the plan (:mod:`clustersim.performance.plan_rules`).

    Examples
    --------
    >>> import clustersim as cs
    >>> best = cs.estimate("llama3-8b", "H200", 8).best
    >>> best.fits, best.lo_s < best.step_time_s < best.hi_s
    (True, True)
    """

    plan: Mapping[str, int]
    step_time_s: float
    lo_s: float
    hi_s: float
    tokens_per_s: float
    mfu: float
    memory_bytes: float
    fits: bool
    fit_probability: float = 1.0
    notes: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        sizes = [
            f"{name}={value}" for name, value in self.plan.items() if value > 1 or name == "tp"
        ]
        return "PlanEstimate", {"plan": ",".join(sizes), **self._numbers()}

    @property
    def fits_only_just(self) -> bool:
        """Whether the plan is said to fit, but with a probability below :data:`CLOSE`."""
        return self.fits and self.fit_probability < CLOSE

    def _how_it_fits(self) -> str:
        if not self.fits:
            return " (does not fit)"
        probability = format_percent(self.fit_probability)
        return f" (fits only just: {probability})" if self.fits_only_just else ""

    def _numbers(self) -> dict[str, str]:
        low, high = format_duration(self.lo_s), format_duration(self.hi_s)
        return {
            "step time": f"{format_duration(self.step_time_s)} (90 % interval {low} to {high})",
            "throughput": f"{format_number(self.tokens_per_s)} tokens/s",
            "MFU": format_percent(self.mfu),
            "memory": format_memory(self.memory_bytes) + self._how_it_fits(),
        }


@dataclass(frozen=True, repr=False)
class Estimate(Brief):
    """Estimate of one job.

    Attributes
    ----------
    model : Model
    accelerator : Accelerator
    count : int
        Number of chips.
    precision, stack : str
        The given or assumed value; `notes` states which values are assumed.
    global_batch : int
        Sequences per step.
    nic_Bps : float
        Network bandwidth per chip in bytes/s.
    plans : tuple of PlanEstimate
        The given plan, or the fastest plans that fit, in ascending order of step time; empty if no
        plan fits.
    searched : tuple of int, or None
        Number of plans tried and number of those that fit; None if a plan was given.
    parts : mapping of str to float
        Seconds per step by part, for the first plan.
    memory : mapping of str to float
        Bytes on the fullest chip by class, for the first plan.
    memory_basis : str
        The software stack whose bytes are counted, and the type of loss.
    reason : str
        Why the given plan does not fit, or why no plan fits; otherwise empty.
    cost : Cost or None
        Duration and cost, for the first plan.
    notes : tuple of str
        What was assumed, and what is unusual about the first plan.
    evidence : Evidence
        The measured runs behind the estimate.
    selection : Selection or None
        The best plan of a search next to a published plan; None if a plan was given, or if no
        published plan is possible and slower.
    drawn_s : array, shape (draws,)
        Step times of the first plan for draws from the calibration, without the scatter of a
        measurement around the model.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.estimate("llama3-8b", "H200", 8)
    >>> found.best.plan["dp"]
    8
    >>> len(found.plans)
    5
    """

    model: Model
    accelerator: Accelerator
    count: int
    precision: str
    stack: str
    global_batch: int
    nic_Bps: float
    plans: tuple[PlanEstimate, ...]
    searched: tuple[int, int] | None
    parts: Mapping[str, float]
    memory: Mapping[str, float]
    memory_basis: str
    reason: str
    cost: Cost | None
    notes: tuple[str, ...]
    evidence: Evidence
    selection: Selection | None
    drawn_s: Floats

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title = f"Estimate of {self.model.name} on {self.count:,} {self.accelerator.name}"
        facts = {"reason": self.reason}
        if self.plans:
            facts = {**self.plans[0]._brief()[1], **facts}
        if self.cost is not None:
            days = (
                f"{format_duration(self.cost.seconds)} for {format_number(self.cost.tokens)} tokens"
            )
            cny = self.cost.total_cny
            cost = "" if cny is None else format_money(cny)
            facts |= {"run": days, "cost": cost}
        return title, facts

    @property
    def best(self) -> PlanEstimate | None:
        """The given plan, or the fastest plan that fits; None if no plan fits."""
        return self.plans[0] if self.plans else None

    @property
    def tokens_per_step(self) -> int:
        """Tokens per step."""
        return self.global_batch * self.model.seq_len


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
    check_kind("model", model, (str, Model), "the name of a model in the catalogue, or a Model")
    check_kind(
        "accelerator",
        accelerator,
        (str, Accelerator),
        "the name of a chip in the catalogue, or an Accelerator",
    )
    shape = catalogue.model(model) if isinstance(model, str) else model
    chip = catalogue.accelerator(accelerator) if isinstance(accelerator, str) else accelerator
    batch = shape.global_batch if global_batch is None else global_batch
    network = chip.nic_Bps if nic_Bps is None else nic_Bps
    budget = TOKENS_PER_PARAMETER * shape.params if tokens is None else tokens
    length = shape.seq_len if seq_len is None else seq_len
    document = shape.document_tokens if document_tokens is None else document_tokens
    check_arguments(count, batch, length, draws, seed, precision, network, budget)
    check_documents(document, given=document_tokens is not None)
    shape = dataclasses.replace(shape, seq_len=length, document_tokens=document)
    notes: list[str] = []
    number = precision_used(chip, precision, notes)
    software = stack_used(chip, stack, calibration, notes)
    kept = parse_memory(memory)
    notes += memory_notes(kept)
    job = _Job(
        shape, chip, count, batch, network, number, software, stack is None, kept, calibration
    )
    given = read_plan({} if plan is None else plan, notes)
    if given["host_optimizer"] is None and (share := host_optimizer(kept)):
        given["host_optimizer"] = share
    usual = usual_recompute(software)
    if usual and given["recompute"] is None and not is_searched(given):
        given["recompute"] = RECOMPUTE_MODES[usual[0]]
        notes.append(usual[1])
    searched: tuple[int, int] | None = None
    if is_searched(given):
        check_switches(given, shape, chip)
        choice, searched = _search(job, given)
    else:
        unusual: list[str] = []
        settled = settle_plan(given, shape, chip, count, batch, unusual)
        choice = _Choice([settled], [tuple(unusual)], "")
    found = _evaluate(job, choice, draws, seed)
    first = found.plans[0] if found.plans else None
    if first:
        notes += [*first.notes, *close_notes(first.fit_probability, fits=first.fits)]
    notes += unmeasured_notes(chip, calibration)
    notes += chip_notes(chip, first.memory_bytes if first else 0.0)
    return Estimate(
        model=shape,
        accelerator=chip,
        count=count,
        precision=number,
        stack=software,
        global_batch=batch,
        nic_Bps=network,
        plans=found.plans,
        searched=searched,
        parts=found.parts,
        memory=found.memory,
        memory_basis=describe_memory(software, kept),
        reason=found.reason,
        cost=_cost(job, first, budget, prices or Prices.of(catalogue.assumptions))
        if first
        else None,
        notes=tuple(notes),
        evidence=evidence_of(
            calibration,
            chip.name,
            mixture=shape.n_experts > 0,
            params=float(params_of(ModelArrays.of([shape]))[0]),
            count=count,
            architecture=chip.family,
        ),
        selection=select(job.step, calibration, shape, chip, count, batch, first.step_time_s)
        if first and all(value is None for value in given.values())
        else None,
        drawn_s=found.drawn_s,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """The inputs of a job, apart from its plan."""

    model: Model
    chip: Accelerator
    count: int
    batch: int
    nic_Bps: float
    precision: str
    stack: str
    stack_assumed: bool
    memory: Mapping[str, str]
    calibration: Calibration

    def rows(self, plans: list[dict[str, int]]) -> Configurations:
        """Return configurations of the job, one row per plan."""
        size = len(plans)
        chips = AcceleratorArrays.of([self.chip] * size, self.precision)
        columns = {name: np.array([plan[name] for plan in plans], float) for name in PLAN_KEYS}
        return Configurations(
            models=ModelArrays.of([self.model] * size),
            chips=dataclasses.replace(chips, nic_Bps=np.full(size, self.nic_Bps)),
            plans=Plans.of(**columns),
            global_batch=np.full(size, float(self.batch)),
            labels=[labels_of(self.chip, self.stack, self.precision)] * size,
            accelerators=[self.chip] * size,
            index=np.arange(size),
            reason=[""] * size,
            memory_options=[self.memory] * size,
            stack_assumed=[self.stack_assumed] * size,
        )

    def step(self, plan: dict[str, int]) -> StepTime:
        """Evaluate one plan with the posterior mean, the optimizer being where the job has it."""
        rows = self.rows([{**plan, "host_optimizer": host_optimizer(self.memory)}])
        return evaluate(
            rows.models,
            rows.chips,
            rows.plans,
            global_batch=rows.global_batch,
            coefficients=self.calibration.mean_draw().coefficients(rows.labels),
            memory=rows.memory,
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    """The given plan, or the plans that were found, with notes and the reason if no plan fits."""

    plans: list[dict[str, int]]
    notes: list[tuple[str, ...]]
    reason: str


def _search(job: _Job, given: Mapping[str, float | None]) -> tuple[_Choice, tuple[int, int]]:
    """Return the best plans, and how many plans were tried and how many of them fit."""
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
    return _Choice(plans, list(found.notes), reason), (found.looked_at, found.fitting)


def _fits_from(job: _Job) -> str:
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


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """The evaluated plans of a job, as fields of :class:`Estimate`."""

    plans: tuple[PlanEstimate, ...]
    parts: Mapping[str, float]
    memory: Mapping[str, float]
    reason: str
    drawn_s: Floats


def _evaluate(job: _Job, choice: _Choice, draws: int, seed: int) -> _Evaluated:
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


def _cost(job: _Job, first: PlanEstimate, tokens: float, prices: Prices) -> Cost:
    per_step = job.batch * job.model.seq_len
    per_token = (first.step_time_s / per_step, first.lo_s / per_step, first.hi_s / per_step)
    return cost_of(job.chip, job.count, tokens, per_token, prices)


def _drawn(rows: Configurations, calibration: Calibration, draws: int, seed: int) -> Floats:
    """Return the step times of one row, one for each draw from the calibration."""
    if not draws:
        return np.zeros(0)
    sampled = calibration.draw(draws, seed)
    chips = draw_specifications(rows.chips, rows.accelerators, sampled)
    coefficients = sampled.coefficients(rows.labels)
    return step_seconds(rows.models, chips, rows.plans, rows.global_batch, coefficients)[:, 0]
