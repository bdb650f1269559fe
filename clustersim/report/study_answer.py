"""The answer card of a study: what meets the objective, what is best, and what matters most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.capacity_at import why_no_number
from clustersim.plots.study_axes import place_in_words, study_axes
from clustersim.report.answer_differences import (
    answer_of_differences,
    answering_metric,
    has_differences,
)
from clustersim.report.answer_gains import answer_of_gains, has_gains
from clustersim.report.answer_parts import (
    CHECK,
    Quantity,
    as_good,
    effects_of,
    failures,
    most_matters,
    next_steps,
    number_text,
    what_chance_does,
    what_matters,
)
from clustersim.report.identical import without_effect
from clustersim.report.no_capacity import beyond, beyond_the_range, no_capacity
from clustersim.report.of_study.answer_indices import answer_of_indices, metric_of_indices
from clustersim.report.of_study.draws_words import over_draws
from clustersim.report.of_study.places import MOST_PLACES, places_in_words, shared_in_words
from clustersim.report.page import Answer
from clustersim.studies.search_spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, counted

__all__ = ["answering_plot", "study_answer"]


def study_answer(result: StudyResult) -> Answer | None:
    """Return the answer card of a study; None if no run has finished."""
    finished = result.runs[result.runs["status"] == "finished"]
    if finished.empty or result.points.empty:
        return None
    answer = {
        "indices": answer_of_indices,
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
        return "indices", metric_of_indices(result)
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
    kinds, _ = why_no_number(table, "capacity")
    kept = table[kinds == "kept"].to_dict("records")
    known = table[np.isfinite(table["capacity"].to_numpy(dtype=np.float64))]
    if known.empty:
        return no_capacity(result, axes, limit)
    more = spec.capacity.more_is == "worse"
    axis = axes.get("capacity", searched)
    bounded = _within_the_range(result, table[kinds != "none"])
    varying = [name for name in result.parameters
               if name in bounded and bounded[name].map(str).nunique() > 1]  # fmt: skip
    quantity = Quantity(known, "capacity", axis, varying, more)
    whole = Quantity(bounded, "capacity", axis, varying, more)
    rows, effects = quantity.ordered().to_dict("records"), effects_of(whole, axes)
    bound = "up to" if more else "from"
    worst, best = (quantity.texts(float(rows[end]["capacity"]))[0] for end in (-1, 0))
    best = beyond(result, axes, "kept") if kept else best
    which = best if worst == best else f"{worst} at worst and {best} at best"
    clauses = [f"meets the objective ({limit}): {bound} {searched.label} {which}"]
    clauses[0] += beyond_the_range(result, axes)
    same = kept or as_good(quantity, rows)
    place = places_in_words(result, same, table.to_dict("records"), axes)
    if len(table) > 1:
        clauses.append(_best(result, same, table, best, axes, "case"))
    if most := most_matters(effects, axes):
        clauses.append(most)
    hinges = [*without_effect(result), *what_matters(whole, effects, axes)]
    if len(bounded) > len(known):
        hinges.append(
            "In these means, a capacity beyond the searched range counts as the end of the range."
        )
    hinges += what_chance_does(result, quantity, rows[:1] if kept else rows)
    own = {} if kept else rows[0]
    if own:
        hinges += over_draws(result, [("", own)], "capacity", quantity.texts)
    if own.get("note"):
        hinges.append(f"Note on the best: {own['note']}.")
    jobs = f", {own['jobs_per_day']:,.0f} jobs a day" if own and spec.capacity.of == LOAD else ""
    interval = (
        quantity.interval(result, own) + jobs
        if own
        else "no 95 % interval: the objective is met at every value tried"
    )
    steps = [*next_steps(result, quantity, rows)]
    if kept and not _cannot_widen(result):
        steps = [step for step in steps if step != CHECK]
        steps.append("Widen the range of the search (capacity: between).")
    return Answer(
        f"{capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if len(table) > 1 else ''}",
        best,
        interval,
        tuple(hinges),
        tuple(dict.fromkeys(steps)),
    )


def _cannot_widen(result: StudyResult) -> bool:
    """Return whether the searched range already ends where a load is full."""
    search = result.study.spec.capacity
    assert search is not None
    return search.of == LOAD and search.between[1] >= 1.0


def _within_the_range(result: StudyResult, table: pd.DataFrame) -> pd.DataFrame:
    """Return capacities of which those beyond the searched range are at its end.

    Such a row has an interval only towards the range: the value at which the objective is surely
    met.
    """
    search = result.study.spec.capacity
    assert search is not None
    low, high = search.between
    kinds, _ = why_no_number(table, "capacity")
    above = (kinds == "kept") == (search.more_is == "worse")
    ends = np.where(above, high, low)
    beyond = kinds != ""
    changes = {
        name: table[name].where(~beyond | np.isfinite(table[name]) & (name != "capacity"), ends)
        for name in ("capacity", "capacity_low", "capacity_high")
        if name in table
    }
    return table.assign(**changes)


def _best(
    result: StudyResult,
    same: Sequence[Mapping[Any, Any]],
    table: pd.DataFrame,
    number: str,
    axes: Mapping[str, Axis],
    noun: str,
) -> str:
    """Return the clause on the best points, or on what all the equally good points share."""
    rows = table.to_dict("records")
    if len(same) == len(rows) == 2:
        return f"both {noun}s are equally good ({number})"
    if len(same) <= MOST_PLACES and len(same) < len(rows):
        return f"best: {places_in_words(result, same, rows, axes)}"
    which = f"all {len(rows)}" if len(same) == len(rows) else f"{len(same)} of {len(rows)}"
    shared = shared_in_words(result, same, rows, axes)
    what = f", with {shared}" if shared else ""
    return f"{which} {noun}s are equally good ({number}){what}"


def _of_points(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study with an objective, or with metrics at its points."""
    spec, metric = result.study.spec, _metric_of_points(result)
    axis = axes.get(metric, axis_of(metric)) if metric else Axis("")
    points = result.points
    if not metric:
        return Answer(f"The study has {counted(len(points), 'point')} and no metric to compare.")
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    if known.empty:
        return _nothing_known(result, axis)
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    less = spec.objective is not None or axis.better != "more"
    quantity = Quantity(known, metric, axis, varying, not less)
    rows, effects = quantity.ordered().to_dict("records"), effects_of(quantity, axes)
    best, number = rows[0], number_text(quantity, rows[0])
    place, same = place_in_words(result, best, axes), as_good(quantity, rows)
    clauses = []
    if spec.objective is not None:
        clauses.append(f"meets the objective ({_limit(result, axes)}): {_met(result, metric)}")
    if len(points) > 1 and (spec.objective is not None or axis.better):
        clause = _best(result, same, points, number, axes, "point")
        few = clause.startswith("best:")
        clauses.append(f"{clause}, with {axis.label} {number}" if few else clause)
        if len(same) > 1:
            some = f"{len(same)} of {len(points)} points"
            place = some if len(same) < len(points) else clause.partition(" are ")[0]
    elif len(rows) > 1:
        low, high = float(known[metric].min()), float(known[metric].max())
        clauses.append(f"{axis.label}: {' to '.join(quantity.texts(low, high))}")
    else:
        clauses.append(f"{axis.label}: {number}")
    if most := most_matters(effects, axes):
        clauses.append(most)
    interval = quantity.interval(result, best)
    return Answer(
        f"{capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if place and len(points) > 1 else ''}",
        number,
        interval,
        (
            *without_effect(result),
            *what_matters(quantity, effects, axes),
            *_overloaded(result, points, axes),
            *what_chance_does(result, quantity, rows),
            *over_draws(result, [("", best)], metric, quantity.texts),
        ),
        tuple(next_steps(result, quantity, rows)),
    )


def _nothing_known(result: StudyResult, axis: Axis) -> Answer:
    """Return the answer of a study whose metric has no value at any point."""
    if result.points["overload"].astype(bool).all():
        why, step = "overloaded", "Reduce the load or enlarge the fleet of the base scenario."
    else:
        why = "without a value"
        step = (
            "Read the definition of the metric (clustersim metrics NAME) and give the base "
            "scenario what it measures, or ask for another metric."
        )
    return Answer(
        f"No point has a finite {axis.label}: all are {why}.",
        hinges_on=tuple(failures(result)),
        next_steps=(step,),
    )


def _overloaded(
    result: StudyResult, points: pd.DataFrame, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield which points are overloaded, because the means over parameters leave them out."""
    rows = points.to_dict("records")
    over = [row for row in rows if row["overload"]]
    if over and len(over) < len(rows):
        yield f"Overload, without finite waits: {places_in_words(result, over, rows, axes)}."


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


def _limit(result: StudyResult, axes: Mapping[str, Axis]) -> str:
    objective = result.study.spec.objective
    assert objective is not None
    axis = axes.get(objective.metric, axis_of(objective.metric))
    return f"{axis.label} ≤ {axis.text(objective.limit)}"
