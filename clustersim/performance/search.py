"""The fastest plan and the runners-up, for one model on one kind of chip."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.best import check_precision, reason_of, rows_of
from clustersim.performance.calibration import default_draw
from clustersim.performance.coefficient_draw import CoefficientDraw
from clustersim.performance.memory_rules import parse_memory
from clustersim.performance.plan_rules import judge, precision_note, switch_problems
from clustersim.performance.plans import describe_plan, enumerate_plans, full_space
from clustersim.performance.step_time import StepTime, evaluate, memory_of, step_seconds
from clustersim.units import format_duration

__all__ = ["SPACES", "SWITCHES", "PlanSearch", "search_plans"]

Array = NDArray[np.float64]

SPACES = ("usual", "full")
"""Names of the spaces: :func:`clustersim.performance.plans.enumerate_plans` and ``full_space``."""
SWITCHES = ("flash", "sequence_parallel", "overlap", "lora", "moe_recompute")
"""What a software stack does in any layout, so that a search may take it as given."""
PLANS_AT_ONCE = 65_536
"""Plans held at once (8 MB)."""
SAME_TIME = 1e-9
"""Plans whose step times differ by less than this share differ in nothing that takes time."""


@dataclass(frozen=True, slots=True, repr=False)
class PlanSearch(Brief):
    """The fastest plans that fit, the fastest first.

    Attributes
    ----------
    plans : Plans
        Up to `keep` plans, an element each; none where nothing fits.
    step : StepTime
        Their estimates.
    looked_at, fitting : int
        Plans whose memory was computed, and how many of them fit; the step time of each of these
        was computed.
    least_memory_bytes : float
        Memory of the thriftiest plan (inf where there is none at all).
    reason : str
        Why nothing fits; empty where a plan does.
    notes : tuple of tuple of str
        What is unusual of each plan (:mod:`clustersim.performance.plan_rules`), and of its
        precision.
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
        """Return one plan in words, or the reason why there is none."""
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
    """Find the fastest plan that fits in memory, and the next ones.

    The memory of every plan of the space is computed, and the step time of every one that fits.

    Parameters
    ----------
    model, accelerator, count
        The job.
    global_batch, nic_Bps, scaleup_size, precision, stack, memory, draw : optional
        As for :func:`clustersim.performance.best_plans`.
    keep : int
        How many plans are kept. Of plans that differ only in what has no effect on the step time
        (ZeRO 1 and 2, say) the first listed is kept.
    space : {"usual", "full"}
        ``usual`` is the space of :func:`clustersim.performance.best_plans`, what people run
        (hundreds to thousands of plans); ``full`` every plan that the model of the step can tell
        apart (millions; seconds):
        :func:`clustersim.performance.plans.full_space` says of what it is the product.
    switches : mapping of str to float, optional
        Fields of :class:`Plans` that all plans of the usual space have, of
        :data:`SWITCHES`: ``{"lora": 1}`` searches the best plan of low-rank adapters.

    Raises
    ------
    InputError
        For a space, precision or switch that does not exist or that the model cannot have, or
        numbers that are not positive.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> model, chip = catalogue.model("llama3-70b"), catalogue.accelerator("H200")
    >>> found = search_plans(model, chip, 256, keep=2)
    >>> len(found), bool(found.step.step_time_s[0] < found.step.step_time_s[1])
    (2, True)
    >>> search_plans(model, chip, 1).describe()
    'llama3-70b on 1 H200 chip needs at least 1,068 GiB on a chip, which has 141 GiB'
    """
    check_precision(precision)
    switches = {} if switches is None else switches
    _check_options(keep, space, switches)
    rows = rows_of(
        "search_plans", [model], [accelerator], count, global_batch, nic_Bps, scaleup_size
    )
    if len(rows.matrix) != 1:
        raise InputError("search_plans", "takes one job; best_plans takes many")
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
    rules = draw.memory_rules([accelerator], stack, parse_memory(memory))
    fastest = _Fastest(keep)
    looked_at = fitting = 0
    least = np.inf
    for plans in _blocks(models, chips, chips_of_job, batch, space, switches):
        used = memory_of(models, chips, plans, batch, rules)
        fits = np.flatnonzero(used <= chips.hbm_bytes)
        looked_at += used.size
        fitting += fits.size
        least = float(np.min(used, initial=least))
        if fits.size:
            kept = _take(plans, fits)
            fastest.offer(kept, step_seconds(models, chips, kept, batch, coefficients))
    reason = "" if fitting else reason_of(model, accelerator, int(chips_of_job[0]), least)
    step = evaluate(
        models,
        chips,
        fastest.plans,
        global_batch=batch,
        coefficients=coefficients,
        memory=rules,
    )
    told = judge(models, chips, fastest.plans, batch).notes if len(fastest.seconds) else []
    narrow = precision_note(accelerator, precision)
    notes = tuple(((narrow,) if narrow else ()) + tuple(lines) for lines in told)
    return PlanSearch(fastest.plans, step, looked_at, fitting, least, reason, notes)


def _check_options(keep: ArrayLike, space: str, switches: Mapping[str, float]) -> None:
    problems = [
        f"switches: must be among {', '.join(SWITCHES)}, found {name!r}"
        for name in switches
        if name not in SWITCHES
    ]
    if switches and space != "usual":
        problems.append("switches: the full space has every value of them")
    if not (isinstance(keep, int | np.integer) and keep >= 1):
        problems.append(f"keep: must be a whole number of 1 or more, found {keep!r}")
    if space not in SPACES:
        near = difflib.get_close_matches(str(space), SPACES, 1, cutoff=0.0)
        problems.append(
            f"space: must be {' or '.join(SPACES)}, found {space!r}; nearest: {near[0]}"
        )
    if problems:
        raise InputError("search_plans", problems)


def _blocks(
    models: ModelArrays,
    chips: AcceleratorArrays,
    count: Array,
    batch: Array,
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
    """Return some plans; what is one value for all stays one."""
    columns = (getattr(plans, column.name) for column in dataclasses.fields(Plans))
    return Plans(*(column[index] if column.ndim else column for column in columns))


class _Fastest:
    """The fastest plans so far, of unlike step times, in ascending order."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.seconds = np.zeros(0)
        self.plans = Plans.of(**{column.name: np.zeros(0) for column in dataclasses.fields(Plans)})

    def offer(self, plans: Plans, seconds: Array) -> None:
        """Take those that are among the fastest."""
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
