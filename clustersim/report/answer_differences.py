"""The answer card of a study that compares systems with a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.report.answer_parts import (
    MOST_NAMED,
    Quantity,
    capital,
    effects_of,
    failures,
    most_matters,
    next_steps,
    signed,
    what_matters,
)
from clustersim.report.identical import without_effect
from clustersim.report.page import Answer
from clustersim.report.spans import averaged, change_spans
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent

__all__ = ["answer_of_differences", "has_differences"]


@dataclass(frozen=True)
class _Compared:
    """A system compared with the baseline.

    Attributes
    ----------
    name : str
    rows : DataFrame
        Its differences, one row per point.
    mean : float
        Mean of the relative differences.
    gain : float
        The same, above 0 if it is an improvement.
    better, worse : bool
        Whether the 95 % interval at some point is entirely on this side of 0.
    """

    name: str
    rows: pd.DataFrame
    mean: float
    gain: float
    better: bool
    worse: bool


def _compared(rows: pd.DataFrame, sign: float) -> list[_Compared]:
    """Return the systems of a table of differences, the best first."""
    found = []
    for name, own in rows.groupby(rows["system"].map(str), sort=False):
        mean = float(own["relative"].mean())
        above, below = bool((own["relative_low"] > 0).any()), bool((own["relative_high"] < 0).any())
        better, worse = (above, below) if sign > 0 else (below, above)
        found.append(_Compared(str(name), own, mean, sign * mean, better, worse))
    return sorted(found, key=lambda system: -system.gain)


def answer_of_differences(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study that compares systems with a baseline."""
    table = result.differences
    assert table is not None
    finite = table[np.isfinite(table["relative"].to_numpy(dtype=np.float64))]
    metric = str(finite["metric"].iloc[0])
    rows = finite[finite["metric"] == metric]
    axis = axes.get(metric, axis_of(metric))
    sign, baseline = (1.0 if axis.better == "more" else -1.0), str(rows["baseline"].iloc[0])
    systems = _compared(rows, sign)
    chosen, sentence = _verdict(systems, baseline, axis)
    points = result.points
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    quantity = Quantity(known, metric, axis, varying, sign > 0)
    effects = effects_of(quantity, axes) if len(known) else []
    clear = any(system.better or system.worse for system in systems)
    compare = result.study.spec.compare
    but = "" if clear or compare is None else compare.of
    if most := most_matters(effects, axes, but=but):
        sentence += f"; {most}"
    pairs = int(chosen.rows["pairs"].min())
    hinges = [*what_matters(quantity, effects, axes)]
    of_runs = f"{counted(pairs, 'pair')} of runs"
    few = ", too few for narrow intervals" if 1 < pairs <= FEW else ""
    hinges.append(f"Chance: {of_runs}{few}, each pair on the same random numbers.")
    count = len(chosen.rows)
    mean = f", mean of {count} points" if count > 1 else ""
    own = averaged(change_spans(result, chosen.rows, "relative", metric))
    ordered = quantity.ordered().to_dict("records")
    return Answer(
        f"{capital(sentence)}.",
        f"{axis.label}, {chosen.name} against {baseline}{mean}",
        signed(chosen.mean),
        own.sentence(lambda low, high: (signed(low), signed(high))),
        (*without_effect(result), *hinges, *failures(result)),
        tuple(next_steps(result, quantity, ordered, clear=chosen.better or chosen.worse)),
    )


def _verdict(systems: Sequence[_Compared], baseline: str, axis: Axis) -> tuple[_Compared, str]:
    """Return the system whose number is shown, and the sentence on all systems."""
    best, largest = systems[0], max(systems, key=lambda system: abs(system.mean))
    count = len(best.rows)
    where = f" on average at {count} points" if count > 1 else ""
    if best.gain > 0 and best.better and axis.better:
        noun = axis.noun or axis.label
        return best, f"best: {best.name}, with {_size(best)} {noun} than {baseline}{where}"
    clear = [system for system in systems if system.better or system.worse]
    if clear and not axis.better:
        shown = max(clear, key=lambda system: abs(system.mean))
        return shown, f"{shown.name} has {_size(shown)} {axis.label} than {baseline}{where}"
    if clear and all(system.worse for system in systems):
        shown = systems[0]
        return (
            shown,
            f"best: {baseline}, the baseline; {_others(systems)} a clearly worse {axis.label}",
        )
    if clear:
        shown = clear[-1]
        named = ", ".join(f"{each.name} ({signed(each.mean)})" for each in clear[:MOST_NAMED])
        more = f" and {len(clear) - MOST_NAMED} more" if len(clear) > MOST_NAMED else ""
        side = "clearly worse" if all(system.worse for system in clear) else "clear at some points"
        return shown, f"no system is clearly better than {baseline} in {axis.label}; {side}: " + (
            f"{named}{more}"
        )
    text = f"no system clearly differs from {baseline} in {axis.label}"
    if largest.mean and len(systems) > 1:
        text += f"; the largest difference is that of {largest.name}"
    return largest, text


def _others(systems: Sequence[_Compared]) -> str:
    return (
        f"{systems[0].name} has" if len(systems) == 1 else f"all {len(systems)} other systems have"
    )


def _size(system: _Compared) -> str:
    word = "more" if system.mean > 0 else "less"
    return f"{format_percent(abs(system.mean), 0)} {word}"


def has_differences(result: StudyResult) -> bool:
    table = result.differences
    return table is not None and bool(np.isfinite(table["relative"].astype(float)).any())
