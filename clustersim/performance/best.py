"""Search for the fastest plan that fits, for many (model, accelerator, count) rows at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError, check_kind, names_former_arguments, shown
from clustersim.performance.arrays import (
    BINARY_GIGABYTE,
    RECOMPUTE,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    scaleup_domain,
)
from clustersim.performance.calibration import default_draw
from clustersim.performance.coefficient_draw import CoefficientDraw
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.memory_options import parse_memory
from clustersim.performance.memory_rules import MemoryRules
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.plan_rules import judge, precision_note
from clustersim.performance.plans import Candidates, describe_plan, enumerate_plans
from clustersim.performance.step_time import evaluate, memory_of, step_seconds
from clustersim.units import format_duration, format_memory

__all__ = ["BestPlans", "best_plans"]


ROWS_AT_ONCE = 16
"""Number of rows whose plans are enumerated together. It limits memory use to about 100 MB."""
SIZES = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "recompute", "zero")
RECOMPUTE_MODES = tuple(range(len(RECOMPUTE)))


@dataclass(frozen=True, slots=True, repr=False)
class BestPlans(Brief):
    """The fastest plan that fits, for each row; all arrays have the shape (R,).

    Attributes
    ----------
    step_time_s : array
        Seconds per step; inf if no plan fits.
    tokens_per_step, tokens_per_s, mfu : array
        Tokens/s and MFU are 0 if no plan fits.
    memory_bytes : array
        Memory of the fullest chip. If no plan fits, this is the memory of the plan that needs the
        least, or inf if there is no plan at all.
    tp, pp, dp, cp, ep, etp, vpp, micro_batch, recompute, zero : array of int
        The plan (0 if no plan fits); `recompute` indexes ``RECOMPUTE``. `etp` is 0 for a model
        without experts.
    parts : dict of str to array
        Seconds per step by part (0 if no plan fits).
    reason : list of str
        Why no plan fits; empty if a plan fits.
    notes : list of tuple of str
        Remarks on each row's plan (:mod:`clustersim.performance.plan_rules`) and on its precision.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> best = cs.best_plans(catalogue.model("llama3-8b"), catalogue.accelerator("H200"), [8, 16])
    >>> best.dp.tolist()
    [8, 16]
    """

    step_time_s: Floats
    tokens_per_step: Floats
    tokens_per_s: Floats
    mfu: Floats
    memory_bytes: Floats
    tp: Ints
    pp: Ints
    dp: Ints
    cp: Ints
    ep: Ints
    etp: Ints
    vpp: Ints
    micro_batch: Ints
    recompute: Ints
    zero: Ints
    parts: dict[str, Floats]
    reason: list[str]
    notes: list[tuple[str, ...]]

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        rows, fitting = len(self.reason), np.flatnonzero(self.fits)
        facts = {"rows": f"{rows:,}", "with a plan that fits": f"{len(fitting):,}"}
        if len(fitting):
            steps_s = self.step_time_s[fitting]
            times = format_duration(float(steps_s.min()))
            if len(fitting) > 1:
                times += f" to {format_duration(float(steps_s.max()))}"
            facts |= {"step time": times, "plan of the first": self.describe(int(fitting[0]))}
        elif rows:
            facts["reason of the first"] = self.reason[0]
        return "BestPlans", facts

    @property
    def fits(self) -> Bools:
        """Whether a plan fits, for each row."""
        return np.isfinite(self.step_time_s)

    def describe(self, row: int) -> str:
        """Describe the plan of one row, or explain why no plan fits.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> model, chip = catalogue.model("llama3-8b"), catalogue.accelerator("H200")
        >>> cs.best_plans(model, chip, [8]).describe(0)
        'tp 1 x pp 1 x dp 8, micro-batch 2, recompute none, ZeRO-1'
        """
        if self.reason[row]:
            return self.reason[row]
        plan = Plans.of(**{name: getattr(self, name)[row : row + 1] for name in SIZES})
        return describe_plan(plan, 0)


@names_former_arguments(world="draw=...")
def best_plans(
    models: Model | Sequence[Model],
    accelerators: Accelerator | Sequence[Accelerator],
    counts: ArrayLike,
    *,
    global_batch: ArrayLike | None = None,
    nic_Bps: ArrayLike | None = None,
    scaleup_size: ArrayLike | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    memory: str | Mapping[str, object] | None = None,
    draw: CoefficientDraw | None = None,
) -> BestPlans:
    """Find the fastest plan that fits in memory, for every row at once.

    Parameters
    ----------
    models, accelerators : Model and Accelerator, or sequences of R
    counts : array_like of int
        Chips of the job, shape (R,) or a scalar.
    global_batch : array_like, optional
        Sequences per step (default: each model's own).
    nic_Bps : array_like, optional
        Network bandwidth per chip in bytes/s, after oversubscription (default: each chip's own).
    scaleup_size : array_like, optional
        Chips in one scale-up domain (default: each chip's own).
    precision : {"bf16", "fp8"}
        A chip without FP8 computes in BF16, and a note says so.
    stack : str, optional
        Software stack (default: :func:`clustersim.performance.default_stack`).
    memory : str or mapping, optional
        Options from :data:`clustersim.performance.MEMORY_OPTIONS` (default: those of the stack).
    draw : CoefficientDraw, optional
        Values of the coefficients (default: the posterior mean of the default calibration).

    Raises
    ------
    InputError
        If counts, batches or bandwidths are not positive, or if the lengths of the arguments
        differ.

    Examples
    --------
    >>> from clustersim import best_plans
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> found = best_plans(catalogue.model("llama3-70b"), catalogue.accelerator("H200"), [1, 256])
    >>> found.fits.tolist()
    [False, True]
    """
    shapes = [models] if isinstance(models, Model | str) else list(models)
    chips = [accelerators] if isinstance(accelerators, Accelerator | str) else list(accelerators)
    for kind, name, given in ((Model, "models", shapes), (Accelerator, "accelerators", chips)):
        remedy = f"use catalogue.{name[:-1]}(name)"
        for each in given:
            check_kind(name, each, kind, f"{kind.__name__} objects from the catalogue", remedy)
    check_precision(precision)
    rows = rows_of("best_plans", shapes, chips, counts, global_batch, nic_Bps, scaleup_size)
    distinct, inverse = np.unique(rows.matrix, axis=0, return_inverse=True)
    shape_index, chip_index = distinct[:, 0].astype(np.int64), distinct[:, 1].astype(np.int64)
    model_arrays = ModelArrays.of(rows.models).take(shape_index)
    chip_arrays = dataclasses.replace(
        AcceleratorArrays.of(rows.chips, precision).take(chip_index),
        nic_Bps=distinct[:, 4],
        scaleup_size=distinct[:, 5],
    )
    draw = default_draw() if draw is None else draw
    coefficients = draw.for_chips(rows.chips, stack, precision).take(chip_index)
    options = parse_memory(memory)
    kept = draw.memory_rules(rows.chips, stack, options).take(chip_index)
    jobs = (model_arrays, chip_arrays, distinct[:, 2], distinct[:, 3])
    found = _search(*jobs, coefficients, kept, float(host_optimizer({**draw.memory, **options})))
    best = _assemble(
        rows, distinct, model_arrays, chip_arrays, found, coefficients, kept, precision
    )
    return _expand(best, inverse.reshape(-1))


def check_precision(precision: str) -> None:
    """Raise InputError unless the precision is ``bf16`` or ``fp8``."""
    if precision not in ("bf16", "fp8"):
        raise InputError("precision", f"must be bf16 or fp8, found {shown(precision)}")


@dataclass(frozen=True, slots=True)
class Rows:
    """Jobs as the rows of a matrix, and the distinct models and chips that they use.

    The columns of `matrix` are: index of the model, index of the chip, number of chips, sequences
    per step, network bandwidth per chip (bytes/s), and number of chips in one scale-up domain.
    """

    models: list[Model]
    chips: list[Accelerator]
    matrix: Floats


def rows_of(
    source: str,
    models: list[Model],
    chips: list[Accelerator],
    counts: ArrayLike,
    global_batch: ArrayLike | None,
    nic_Bps: ArrayLike | None,
    scaleup_size: ArrayLike | None,
) -> Rows:
    """Check the input and broadcast it to rows; each model and each chip is stored only once."""
    unique_models = list({id(model): model for model in models}.values())
    unique_chips = list({id(chip): chip for chip in chips}.values())
    model_place = {id(model): place for place, model in enumerate(unique_models)}
    chip_place = {id(chip): place for place, chip in enumerate(unique_chips)}
    batch = [m.global_batch for m in models] if global_batch is None else global_batch
    nic = [c.nic_Bps for c in chips] if nic_Bps is None else nic_Bps
    domain = [scaleup_domain(c) for c in chips] if scaleup_size is None else scaleup_size
    columns = [
        [model_place[id(model)] for model in models],
        [chip_place[id(chip)] for chip in chips],
        counts,
        batch,
        nic,
        domain,
    ]
    arrays = [np.atleast_1d(np.asarray(column, dtype=np.float64)) for column in columns]
    try:
        matrix = np.stack(np.broadcast_arrays(*arrays), axis=1)
    except ValueError:
        lengths = ", ".join(str(array.shape[0]) for array in arrays)
        raise InputError(source, f"the arguments have different lengths: {lengths}") from None
    names = ("counts", "global_batch", "nic_Bps", "scaleup_size")
    problems = [
        f"{name}: must be finite and {'1 or more' if least else 'more than 0'}"
        for name, column, least in zip(names, matrix.T[2:], (1, 1, 0, 1), strict=True)
        if not np.all(np.isfinite(column) & (column > 0) & (column >= least))
    ]
    if np.any(np.mod(matrix[:, 2], 1) != 0):
        problems.append("counts: must be whole numbers")
    if problems:
        raise InputError(source, problems)
    return Rows(unique_models, unique_chips, matrix)


@dataclass(frozen=True, slots=True)
class _Found:
    """The fastest plan of each row; `winner` is False for a row in which no plan fits."""

    winner: Bools
    plans: Plans
    least_memory: Floats


def _search(
    models: ModelArrays,
    chips: AcceleratorArrays,
    counts: Floats,
    global_batch: Floats,
    coefficients: Coefficients,
    kept: MemoryRules,
    host: float,
) -> _Found:
    """Find the fastest plan of each row by evaluating all plans, a block of rows at a time."""
    n_rows = counts.shape[0]
    winner = np.zeros(n_rows, dtype=bool)
    least_memory = np.full(n_rows, np.inf)
    chosen = [np.ones(n_rows) for _ in dataclasses.fields(Plans)]
    for start in range(0, n_rows, ROWS_AT_ONCE):
        block = np.arange(start, min(start + ROWS_AT_ONCE, n_rows))
        shape, chip, batch = models.take(block), chips.take(block), global_batch[block]
        found = enumerate_plans(shape, chip, counts[block], batch, recompute=RECOMPUTE_MODES[:1])
        mode, used = _least_recompute(shape, chip, found, batch, kept.take(block))
        row = found.row + start
        _least(least_memory, row, used)
        keep = np.flatnonzero(used <= chips.hbm_bytes[row])
        row = row[keep]
        plans = dataclasses.replace(
            found.plans.take(keep),
            recompute=mode[keep],
            host_optimizer=np.full(keep.shape, host),
        )
        seconds = step_seconds(
            models.take(row), chips.take(row), plans, global_batch[row], coefficients.take(row)
        )
        first = _first_minimum(row, seconds)
        winner[row[first]] = True
        for column, field in zip(chosen, dataclasses.fields(Plans), strict=True):
            column[row[first]] = getattr(plans, field.name)[first]
    return _Found(winner, Plans(*chosen), least_memory)


def _least_recompute(
    models: ModelArrays,
    chips: AcceleratorArrays,
    found: Candidates,
    global_batch: Floats,
    kept: MemoryRules,
) -> tuple[Floats, Floats]:
    """Return the recompute mode and the memory in bytes of each plan.

    The mode is the first one in which the plan fits, or the last one if it never fits. The memory
    is the least of all modes up to this one.

    More recompute never makes a step faster, because the recomputed work takes at least as much
    time as the additional communication that it can hide. The first mode that fits is therefore the
    fastest.
    """
    mode = np.zeros(found.row.shape)
    least = np.full(found.row.shape, np.inf)
    left = np.arange(found.row.size)
    for recompute in RECOMPUTE_MODES:
        row = found.row[left]
        chip, plans = chips.take(row), found.plans.take(left)
        plans = dataclasses.replace(plans, recompute=np.full(left.shape, float(recompute)))
        used = memory_of(models.take(row), chip, plans, global_batch[row], kept.take(row))
        mode[left] = recompute
        least[left] = np.minimum(least[left], used)
        left = left[used > chip.hbm_bytes]
    return mode, least


def _least(least: Floats, row: Ints, values: Floats) -> None:
    if row.size:
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        least[row[starts]] = np.minimum.reduceat(values, starts)


def _first_minimum(row: Ints, values: Floats) -> NDArray[np.intp]:
    """Return, for each row, the index of the first minimum of `values`.

    `row` contains the row number of each value, in ascending order.
    """
    if not row.size:
        return np.zeros(0, dtype=np.intp)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    least = np.minimum.reduceat(values, starts)
    lengths = np.diff(np.append(starts, row.size))
    at_least = np.flatnonzero(values == np.repeat(least, lengths))
    return at_least[np.flatnonzero(np.diff(row[at_least], prepend=-1))]


def _assemble(
    rows: Rows,
    distinct: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    found: _Found,
    coefficients: Coefficients,
    kept: MemoryRules,
    precision: str,
) -> BestPlans:
    """Evaluate the fastest plans in full, and explain why the other rows have no plan."""
    step = evaluate(
        models,
        chips,
        found.plans,
        global_batch=distinct[:, 3],
        coefficients=coefficients,
        memory=kept,
    )
    fits = found.winner

    def number(values: Floats) -> Ints:
        return np.where(fits, values, 0).astype(np.int64)

    reason = [""] * len(fits)
    for place in np.flatnonzero(~fits):
        model = rows.models[int(distinct[place, 0])]
        chip = rows.chips[int(distinct[place, 1])]
        reason[place] = reason_of(model, chip, int(distinct[place, 2]), found.least_memory[place])
    plans = found.plans
    unusual = judge(models, chips, plans, distinct[:, 3]).notes
    narrow = [precision_note(chip, precision) for chip in rows.chips]
    notes = [
        ((narrow[int(chip)],) if narrow[int(chip)] else ()) + (tuple(remarks) if there else ())
        for chip, remarks, there in zip(distinct[:, 1], unusual, fits, strict=True)
    ]
    return BestPlans(
        step_time_s=np.where(fits, step.step_time_s, np.inf),
        tokens_per_step=step.tokens_per_step,
        tokens_per_s=np.where(fits, step.tokens_per_s, 0.0),
        mfu=np.where(fits, step.mfu, 0.0),
        memory_bytes=np.where(fits, step.memory_bytes, found.least_memory),
        **{name: number(getattr(plans, name)) for name in SIZES},
        parts={
            name: np.where(fits, np.broadcast_to(part, fits.shape), 0.0)
            for name, part in step.parts.items()
        },
        reason=reason,
        notes=notes,
    )


def reason_of(model: Model, chip: Accelerator, count: int, least_memory: float) -> str:
    """Return the reason why no plan of a model fits on a number of chips."""
    if not np.isfinite(least_memory):
        return f"{model.name} has no plan that divides {count} chips"
    chips = "chip" if count == 1 else "chips"
    return (
        f"{model.name} on {count} {chip.name} {chips} needs at least {format_memory(least_memory)} "
        f"per chip; a chip has {format_memory(chip.hbm_bytes * BINARY_GIGABYTE)}"
    )


def _expand(best: BestPlans, inverse: NDArray[np.intp]) -> BestPlans:
    """Return the result of every requested row, given the results of the distinct rows."""
    values = {
        field.name: getattr(best, field.name)[inverse]
        for field in dataclasses.fields(BestPlans)
        if field.name not in ("parts", "reason", "notes")
    }
    return BestPlans(
        **values,
        parts={name: part[inverse] for name, part in best.parts.items()},
        reason=[best.reason[place] for place in inverse],
        notes=[best.notes[place] for place in inverse],
    )
