"""The fastest plan and the next best plans, for one model on one type of chip."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError, shown
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.best import check_precision, reason_of, rows_of
from clustersim.performance.calibration import default_draw
from clustersim.performance.coefficient_draw import CoefficientDraw
from clustersim.performance.memory_options import parse_memory
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.plan_rules import judge, precision_note, switch_problems
from clustersim.performance.plans import describe_plan, enumerate_plans, full_space
from clustersim.performance.step_time import StepTime, evaluate, memory_of, step_seconds
from clustersim.units import format_duration

__all__ = ["SPACES", "SWITCHES", "PlanSearch", "search_plans"]


SPACES = ("usual", "full")
"""Names of the plan spaces, in this order: :func:`clustersim.performance.plans.enumerate_plans` and
:func:`clustersim.performance.plans.full_space`."""
SWITCHES = ("flash", "sequence_parallel", "overlap", "lora", "moe_recompute", "dispatcher",
            "cuda_graphs", "host_optimizer")  # fmt: skip
"""Settings that a software stack can use in any layout, so a search can fix them."""
PLANS_AT_ONCE = 65_536
"""Number of plans that are kept in memory at once (8 MB)."""
SAME_TIME = 1e-9
"""Plans whose step times differ by less than this fraction count as equally fast."""


@dataclass(frozen=True, slots=True, repr=False)
class PlanSearch(Brief):
    """The fastest plans that fit, in ascending order of step time.

    Attributes
    ----------
    plans : Plans
        Up to `keep` plans, one element per plan; empty if no plan fits.
    step : StepTime
        Their step times and memory.
    looked_at, fitting : int
        Number of plans whose memory was computed, and number of those that fit. The step time was
        computed for every plan that fits.
    least_memory_bytes : float
        Memory of the plan that needs the least memory (inf if there is no plan at all).
    reason : str
        Why no plan fits; empty if a plan fits.
    notes : tuple of tuple of str
        Remarks on each plan (:mod:`clustersim.performance.plan_rules`) and on its precision.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import search_plans
    >>> catalogue = cs.load_catalogue()
    >>> found = search_plans(catalogue.model("llama3-8b"), catalogue.accelerator("H200"), 8)
    >>> found.fitting <= found.looked_at
    True
    """

    plans: Plans
    step: StepTime
    looked_at: int
    fitting: int
    least_memory_bytes: float
    reason: str
    notes: tuple[tuple[str, ...], ...]

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        facts = {"tried": f"{self.looked_at:,} plans", "fitting": f"{self.fitting:,}"}
        if len(self):
            facts["fastest"] = self.describe()
            facts["step time"] = format_duration(float(np.atleast_1d(self.step.step_time_s)[0]))
        return "PlanSearch", {**facts, "reason": self.reason}

    def __len__(self) -> int:
        return len(self.plans.tp)

    def describe(self, place: int = 0) -> str:
        """Describe one plan, or explain why no plan fits.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> model, chip = catalogue.model("llama3-8b"), catalogue.accelerator("H200")
        >>> cs.performance.search_plans(model, chip, 8).describe()
        'tp 1 x pp 1 x dp 8, micro-batch 2, recompute none, ZeRO-1'
        """
        return self.reason or describe_plan(self.plans, place)


def search_plans(
    model: Model,
    accelerator: Accelerator,
    count: int,
    *,
    global_batch: float | None = None,
    nic_Bps: float | None = None,
    scaleup_size: float | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    memory: str | Mapping[str, object] | None = None,
    draw: CoefficientDraw | None = None,
    keep: int = 5,
    space: str = "usual",
    switches: Mapping[str, float] | None = None,
) -> PlanSearch:
    """Find the fastest plan that fits in memory, and the next best plans.

    The memory of every plan in the space is computed, and the step time of every plan that fits.

    Parameters
    ----------
    model, accelerator, count
        The job.
    global_batch, nic_Bps, scaleup_size, precision, stack, memory, draw : optional
        As for :func:`clustersim.performance.best_plans`.
    keep : int
        Number of plans to keep. Of plans that differ only in settings without effect on the step
        time (such as ZeRO 1 and 2), only the first is kept.
    space : {"usual", "full"}
        ``usual`` is the space of :func:`clustersim.performance.best_plans`: plans that people use
        (hundreds to thousands). ``full`` contains every plan that the performance model
        distinguishes (millions; takes seconds); :func:`clustersim.performance.plans.full_space`
        defines it.
    switches : mapping of str to float, optional
        Fields of :class:`Plans` from :data:`SWITCHES` to fix in all plans of the usual space. For
        example, ``{"lora": 1}`` searches for the best plan with low-rank adapters.

    Raises
    ------
    InputError
        If a space, precision or switch is unknown or impossible for the model, or if a number is
        not positive.

    Examples
    --------
    >>> from clustersim.performance import search_plans
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> model, chip = catalogue.model("llama3-70b"), catalogue.accelerator("H200")
    >>> found = search_plans(model, chip, 256, keep=2)
    >>> len(found), bool(found.step.step_time_s[0] < found.step.step_time_s[1])
    (2, True)
    >>> search_plans(model, chip, 1).describe()
    'llama3-70b on 1 H200 chip needs at least 1,088 GiB per chip; a chip has 141 GiB'
    """
    check_precision(precision)
    switches = {} if switches is None else switches
    _check_options(keep, space, switches)
    rows = rows_of(
        "search_plans", [model], [accelerator], count, global_batch, nic_Bps, scaleup_size
    )
    if len(rows.matrix) != 1:
        raise InputError("search_plans", "takes one job; use best_plans for several")
    _, _, chips_of_job, batch, nic, domain = rows.matrix.T
    models = ModelArrays.of([model])
    chips = dataclasses.replace(
        AcceleratorArrays.of([accelerator], precision), nic_Bps=nic, scaleup_size=domain
    )
    problems = switch_problems(models, chips, switches)
    if problems:
        raise InputError("search_plans", problems)
    draw = default_draw() if draw is None else draw
    coefficients = draw.for_chips([accelerator], stack, precision)
    options = parse_memory(memory)
    rules = draw.memory_rules([accelerator], stack, options)
    host = _place_of_optimizer({**draw.memory, **options}, switches)
    fastest = _Fastest(keep)
    for block in _blocks(models, chips, chips_of_job, batch, space, switches):
        plans = dataclasses.replace(block, host_optimizer=np.full(block.micro_batch.shape, host))
        used = memory_of(models, chips, plans, batch, rules)
        fits = fastest.look_at(used, chips.hbm_bytes)
        if fits.size:
            kept = _take(plans, fits)
            fastest.offer(kept, step_seconds(models, chips, kept, batch, coefficients))
    least, fitting = fastest.least_memory_bytes, fastest.fitting
    reason = "" if fitting else reason_of(model, accelerator, int(chips_of_job[0]), least)
    step = evaluate(
        models,
        chips,
        fastest.plans,
        global_batch=batch,
        coefficients=coefficients,
        memory=rules,
    )
    remarks = judge(models, chips, fastest.plans, batch).notes if len(fastest.seconds) else []
    narrow = precision_note(accelerator, precision)
    notes = tuple(((narrow,) if narrow else ()) + tuple(lines) for lines in remarks)
    return PlanSearch(fastest.plans, step, fastest.looked_at, fitting, least, reason, notes)


def _check_options(keep: ArrayLike, space: str, switches: Mapping[str, float]) -> None:
    problems = [
        f"switches: must be among {', '.join(SWITCHES)}, found {shown(name)}"
        for name in switches
        if name not in SWITCHES
    ]
    if switches and space != "usual":
        problems.append("switches: cannot be given with the full space, which tries all values")
    if not (isinstance(keep, int | np.integer) and keep >= 1):
        problems.append(f"keep: must be a whole number of 1 or more, found {shown(keep)}")
    if space not in SPACES:
        near = difflib.get_close_matches(str(space), SPACES, 1, cutoff=0.0)
        problems.append(
            f"space: must be {' or '.join(SPACES)}, found {shown(space)}; nearest: {near[0]}"
        )
    if problems:
        raise InputError("search_plans", problems)


def _place_of_optimizer(memory: Mapping[str, str], switches: Mapping[str, float]) -> np.float64:
    """Return 1 if the optimizer is on the host, else 0; raise an error if the switches disagree."""
    host = np.float64(host_optimizer(memory))
    if switches.get("host_optimizer", host) != host:
        raise InputError(
            "search_plans",
            f"switches: host_optimizer must be {host:g} as in the memory option offload, found "
            f"{switches['host_optimizer']:g}",
        )
    return host


def _blocks(
    models: ModelArrays,
    chips: AcceleratorArrays,
    count: Floats,
    batch: Floats,
    space: str,
    switches: Mapping[str, float],
) -> Iterator[Plans]:
    if space == "full":
        yield from full_space(models, chips, int(count[0]), float(batch[0])).blocks(PLANS_AT_ONCE)
        return
    plans = enumerate_plans(models, chips, count, batch).plans
    plans = dataclasses.replace(
        plans, **{name: np.full(plans.tp.shape, value) for name, value in switches.items()}
    )
    for start in range(0, plans.tp.size, PLANS_AT_ONCE):
        yield plans.take(np.arange(start, min(start + PLANS_AT_ONCE, plans.tp.size)))


def _take(plans: Plans, index: NDArray[np.intp]) -> Plans:
    """Return the plans at `index`; a value that all plans share is kept as it is."""
    columns = (getattr(plans, column.name) for column in dataclasses.fields(Plans))
    return Plans(*(column[index] if column.ndim else column for column in columns))


class _Fastest:
    """The fastest plans so far, with distinct step times, in ascending order, and counts of all."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.looked_at = self.fitting = 0
        self.least_memory_bytes = np.inf
        self.seconds = np.zeros(0)
        self.plans = Plans.of(**{column.name: np.zeros(0) for column in dataclasses.fields(Plans)})

    def look_at(self, used_bytes: Floats, memory_bytes: Floats) -> NDArray[np.intp]:
        """Count plans, and return the indices of those that fit in the memory of a chip."""
        fits = np.flatnonzero(used_bytes <= memory_bytes)
        self.looked_at += used_bytes.size
        self.fitting += fits.size
        self.least_memory_bytes = float(np.min(used_bytes, initial=self.least_memory_bytes))
        return fits

    def offer(self, plans: Plans, seconds: Floats) -> None:
        """Add those of the given plans that are among the fastest so far."""
        if len(self.seconds) == self.keep:
            better = np.flatnonzero(seconds < self.seconds[-1])
            plans, seconds = _take(plans, better), seconds[better]
        together = np.concatenate([self.seconds, seconds])
        order = np.argsort(together, kind="stable")
        ascending = together[order]
        unlike = np.diff(ascending, prepend=0.0) > SAME_TIME * ascending
        order = order[unlike][: self.keep]
        offered = dataclasses.astuple(plans)
        self.plans = Plans(
            *(
                np.concatenate([kept, np.broadcast_to(column, seconds.shape)])[order]
                for kept, column in zip(dataclasses.astuple(self.plans), offered, strict=True)
            )
        )
        self.seconds = together[order]
