"""The answer card of a study: what meets the objective, what is best, and what matters most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import place_in_words, study_axes
from clustersim.report.amounts import range_text
from clustersim.report.answer_differences import (
    answer_of_differences,
    answering_metric,
    has_differences,
)
from clustersim.report.answer_gains import answer_of_gains, has_gains
from clustersim.report.answer_parts import (
    MOST_NAMED,
    SAME,
    Quantity,
    capital,
    effects_of,
    failures,
    most_matters,
    next_steps,
    number_text,
    what_chance_does,
    what_matters,
)
from clustersim.report.no_capacity import beyond_the_range, no_capacity
from clustersim.report.page import Answer
from clustersim.studies.spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent

__all__ = ["answering_plot", "study_answer"]


def study_answer(result: StudyResult) -> Answer | None:
    """Return the answer card of a study; None if no run has finished."""
    finished = result.runs[result.runs["status"] == "finished"]
    if finished.empty or result.points.empty:
        return None
    answer = {
        "indices": _of_indices,
        "capacity": _of_capacities,
        "differences": answer_of_differences,
        "": _of_points,
    }[answering_plot(result)[0]]
    found = answer(result, study_axes(result))
    if result.study.spec.preview is None:
        return found
    return replace(found, sentence=f"Quick version (--quick): {_small(found.sentence)}")


def _small(sentence: str) -> str:
    """Return a sentence with a small first letter, to follow a colon."""
    return sentence[:1].lower() + sentence[1:]


def answering_plot(result: StudyResult) -> tuple[str, str]:
    """Return the plot kind and the metric of what the answer of a study says; "" for any."""
    if result.indices is not None and result.indices["total"].notna().any():
        return "indices", ""
    if result.capacities is not None:
        return "capacity", ""
    objective = result.study.spec.objective
    if objective is None and has_differences(result):
        return "differences", answering_metric(result)
    return "", _metric_of_points(result)


def _metric_of_points(result: StudyResult) -> str:
    """Return the metric of the objective, or else the first metric, of the table of points."""
    spec = result.study.spec
    asked = [*([spec.objective.metric] if spec.objective else []), *spec.metrics]
    return next((name for name in dict.fromkeys(asked) if name in result.points), "")


def _of_capacities(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    spec, table = result.study.spec, result.capacities
    assert table is not None
    assert spec.capacity is not None
    assert spec.objective is not None
    searched = axes.get(spec.capacity.of, axis_of(spec.capacity.of))
    limit = _limit(result, axes)
    if has_gains(result):
        return answer_of_gains(result, axes, limit)
    known = table[np.isfinite(table["capacity"].to_numpy(dtype=np.float64))]
    if known.empty:
        return no_capacity(result, axes, limit)
    more = spec.capacity.more_is == "worse"
    varying = [name for name in result.parameters
               if name in known and known[name].map(str).nunique() > 1]  # fmt: skip
    axis = axes.get("capacity", searched)
    quantity = Quantity(known, "capacity", axis, varying, more)
    rows, effects = quantity.ordered().to_dict("records"), effects_of(quantity, axes)
    best, bound = rows[0], "up to" if more else "from"
    ends = [float(known["capacity"].max()), float(known["capacity"].min())]
    texts = quantity.texts(*(ends if more else ends[::-1]))
    which = texts[0] if len(set(texts)) == 1 else " and ".join((f"{texts[1]} at worst",
                                                                f"{texts[0]} at best"))  # fmt: skip
    clauses = [f"meets the objective ({limit}): {bound} {searched.label} {which}"]
    clauses[0] += beyond_the_range(result, axes)
    place = place_in_words(result, best, axes)
    if len(known) > 1:
        clauses.append(f"best: {_alike(result, quantity, rows, axes)}")
    if most := most_matters(effects, axes):
        clauses.append(most)
    hinges = [*what_matters(quantity, effects, axes), *what_chance_does(result, quantity, rows)]
    if "capacity_draw_low" in best and math.isfinite(best["capacity_draw_low"]):
        low, high = quantity.texts(best["capacity_draw_low"], best["capacity_draw_high"])
        hinges.append(
            f"Calibration: over {spec.draws} draws of its coefficients, {low} to {high} (5th to "
            "95th percentile)."
        )
    if best.get("note"):
        hinges.append(f"Note on the best: {best['note']}.")
    jobs = f", {best['jobs_per_day']:,.0f} jobs a day" if spec.capacity.of == LOAD else ""
    interval = quantity.interval(result, best)
    return Answer(
        f"{capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if len(known) > 1 else ''}",
        quantity.texts(float(best["capacity"]))[0],
        interval + jobs,
        tuple(hinges),
        tuple(next_steps(result, quantity, rows)),
    )


def _of_points(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study with an objective, or with metrics at its points."""
    spec, metric = result.study.spec, _metric_of_points(result)
    axis = axes.get(metric, axis_of(metric)) if metric else Axis("")
    points = result.points
    if not metric:
        return Answer(f"The study has {counted(len(points), 'point')} and no metric to compare.")
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    if known.empty:
        why = "overloaded" if points["overload"].astype(bool).all() else "without a value"
        return Answer(
            f"No point has a finite {axis.label}: all are {why}.",
            next_steps=("Reduce the load or enlarge the fleet of the base scenario.",),
        )
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    less = spec.objective is not None or axis.better != "more"
    quantity = Quantity(known, metric, axis, varying, not less)
    rows, effects = quantity.ordered().to_dict("records"), effects_of(quantity, axes)
    best = rows[0]
    clauses = []
    if spec.objective is not None:
        clauses.append(f"meets the objective ({_limit(result, axes)}): {_met(result, metric)}")
    if len(rows) > 1 and (spec.objective is not None or axis.better):
        named = _alike(result, quantity, rows, axes)
        clauses.append(f"best: {named}, with {axis.label} {number_text(quantity, best)}")
    elif len(rows) > 1:
        low, high = float(known[metric].min()), float(known[metric].max())
        clauses.append(f"{axis.label}: {' to '.join(quantity.texts(low, high))}")
    else:
        clauses.append(f"{axis.label}: {number_text(quantity, best)}")
    if most := most_matters(effects, axes):
        clauses.append(most)
    interval = quantity.interval(result, best)
    place = place_in_words(result, best, axes)
    return Answer(
        f"{capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if place and len(rows) > 1 else ''}",
        number_text(quantity, best),
        interval,
        (*what_matters(quantity, effects, axes), *what_chance_does(result, quantity, rows)),
        tuple(next_steps(result, quantity, rows)),
    )


def _alike(
    result: StudyResult,
    quantity: Quantity,
    rows: Sequence[Mapping[Any, Any]],
    axes: Mapping[str, Axis],
) -> str:
    """Return the places of all rows that are as good as the first."""
    best = float(rows[0][quantity.column])
    near = SAME * max(abs(best), SAME)
    same = [row for row in rows if abs(float(row[quantity.column]) - best) <= near]
    names = [place_in_words(result, row, axes) for row in same[:MOST_NAMED]]
    more = len(same) - MOST_NAMED
    return "; ".join(names) + (f"; and {more} more" if more > 0 else "")


def _met(result: StudyResult, metric: str) -> str:
    """Return how many points meet the objective, and how many are undecided."""
    objective, points = result.study.spec.objective, result.points
    assert objective is not None
    tried = points[points["replications"] > 0]
    kept = tried[metric].astype(np.float64) <= objective.limit
    sure = pd.Series(True, index=tried.index)
    if f"{metric}_high" in tried:
        high, low = (tried[f"{metric}_{end}"].astype(np.float64) for end in ("high", "low"))
        sure = (high <= objective.limit) | (low > objective.limit) | high.isna()
    undecided = int((~sure).sum())
    if kept.all():
        text = f"all {len(tried)} points" if len(tried) > 1 else "yes"
    elif not kept.any():
        text = "no point" if len(tried) > 1 else "no"
    else:
        text = f"{int(kept.sum())} of {len(tried)} points"
    if not undecided:
        return text
    which = f"{undecided} of {len(tried)} are" if undecided > 1 else f"1 of {len(tried)} is"
    if undecided == len(tried):
        which = "all are" if len(tried) > 1 else "this is"
    return f"{text} ({which} undecided: the 95 % interval includes the limit)"


def _of_indices(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study of Sobol indices, for its first metric."""
    table = result.indices
    assert table is not None
    metric = str(table["metric"].iloc[0])
    rows = table[table["metric"] == metric].sort_values("total", ascending=False)
    label = axes.get(metric, axis_of(metric)).label
    names = [axes.get(p, axis_of(p)).label for p in rows["parameter"]]
    first = rows.iloc[0].to_dict()
    named = ", ".join(
        f"{name} ({format_percent(float(total), 0)})"
        for name, total in list(zip(names, rows["total"], strict=True))[:MOST_NAMED]
    )
    ends = range_text(float(first["total_low"]), float(first["total_high"]), "share")
    wide = float(first["total_high"]) - float(first["total_low"]) > 0.5
    more = (
        "Draw a larger sample: the interval is too wide to rank the parameters."
        if wide
        else f"Measure or decide {names[0]} first: it causes most of the uncertainty."
    )
    alone = f"{format_percent(float(first['first']), 0)} of the variance"
    return Answer(
        f"What matters most for {label}: {named}, each with its interactions.",
        f"share of the variance of {label} that involves {names[0]}",
        format_percent(float(first["total"]), 0),
        f"95 % bootstrap interval {ends}",
        (f"Interactions: without them, {names[0]} explains {alone}.", *failures(result)),
        (more,),
    )


def _limit(result: StudyResult, axes: Mapping[str, Axis]) -> str:
    objective = result.study.spec.objective
    assert objective is not None
    axis = axes.get(objective.metric, axis_of(objective.metric))
    return f"{axis.label} ≤ {axis.text(objective.limit)}"
