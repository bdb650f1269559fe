"""The answer card of a study: what meets the objective, what is best, and what matters most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import number_in_words, place_in_words, study_axes
from clustersim.report.amounts import range_text
from clustersim.report.page import Answer
from clustersim.studies.spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent

__all__ = ["answering_plot", "study_answer"]

_MOST_NAMED = 3
_SAME = 1e-9
"""Numbers that differ by a smaller share are the same."""
_MOST_VALUES = 6
"""A numeric parameter with more values is split into quarters of its values."""

_QUARTERS = ("lowest", "second", "third", "highest")


@dataclass(frozen=True)
class _Quantity:
    """A number at each point (or search) of a study, of which either more or less is better.

    Attributes
    ----------
    table : DataFrame
        Rows with a finite number.
    column : str
    axis : Axis
    parameters : list of str
        Parameters that vary in the table.
    more : bool
        Whether more is better.
    """

    table: pd.DataFrame
    column: str
    axis: Axis
    parameters: list[str]
    more: bool

    def ordered(self) -> pd.DataFrame:
        """Return the rows with the best first."""
        return self.table.sort_values(self.column, ascending=not self.more, kind="stable")

    def texts(self, *values: float) -> list[str]:
        """Return numbers as text with a unit, which is the same for all of them."""
        if self.axis.dimension == "ratio" and self.column == "capacity":
            return [number_in_words(value, self.axis) for value in values]
        first = values[:1] if values[0] else values
        fits = self.axis if self.axis.unit else self.axis.fitted(list(first))
        return [f"{fits.number(value)} {fits.unit}".strip() for value in values]

    def interval(self, row: Mapping[Any, Any]) -> str:
        """Return the ends of the 95 % interval of a row as text; "" if it has no finite ends."""
        ends = [float(row.get(f"{self.column}{end}", math.nan)) for end in ("_low", "_high")]
        if not all(map(math.isfinite, ends)):
            return ""
        _, low, high = self.texts(float(row[self.column]), *ends)
        unit = self.axis.unit or low.partition(" ")[2]
        return f"{low.removesuffix(unit).strip()} to {high}"


@dataclass(frozen=True)
class _Effect:
    """How far the mean of a number moves with one parameter."""

    parameter: str
    low: float
    high: float
    at_low: str
    at_high: str

    @property
    def size(self) -> float:
        return self.high - self.low


def study_answer(result: StudyResult) -> Answer | None:
    """Return the answer card of a study; None if no run has finished."""
    finished = result.runs[result.runs["status"] == "finished"]
    if finished.empty or result.points.empty:
        return None
    answer = {
        "indices": _of_indices,
        "capacity": _of_capacities,
        "differences": _of_differences,
        "": _of_points,
    }[answering_plot(result)]
    return answer(result, study_axes(result))


def answering_plot(result: StudyResult) -> str:
    """Return the plot kind that shows what the answer of a study says; "" for any."""
    if result.indices is not None and result.indices["total"].notna().any():
        return "indices"
    if result.capacities is not None:
        return "capacity"
    objective = result.study.spec.objective
    return "differences" if objective is None and _has_differences(result) else ""


def _effects(quantity: _Quantity, axes: Mapping[str, Axis]) -> list[_Effect]:
    """Return the effect of each parameter, averaged over the others, the largest first."""
    found = []
    for name in quantity.parameters:
        column = quantity.table[name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        axis = axes.get(name, axis_of(name))
        if numeric and column.nunique() > _MOST_VALUES:
            quarters = [f"the {word} quarter of its values" for word in _QUARTERS]
            groups = pd.qcut(column.rank(method="first"), 4, labels=quarters).astype(str)
        elif numeric:
            groups = column.map(lambda value, axis=axis: axis.text(float(value), 6))
        else:
            groups = column.map(str)
        means = quantity.table.groupby(groups, sort=False)[quantity.column].mean()
        if len(means) > 1:
            low, high = float(means.min()), float(means.max())
            if high - low > _SAME * max(abs(low), abs(high)):
                found.append(_Effect(name, low, high, str(means.idxmin()), str(means.idxmax())))
    return sorted(found, key=lambda effect: -effect.size)


def _matters(
    quantity: _Quantity, effects: Sequence[_Effect], axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield a sentence for each of the two parameters that matter most."""
    for effect in effects[:2]:
        label = axes.get(effect.parameter, axis_of(effect.parameter)).label
        low, high = quantity.texts(effect.low, effect.high)
        others = ", averaged over the other parameters" if len(quantity.parameters) > 1 else ""
        yield (
            f"{_capital(label)}: {quantity.axis.label} is {low} with {effect.at_low} and {high} "
            f"with {effect.at_high}{others}."
        )


def _label_of(effects: Sequence[_Effect], axes: Mapping[str, Axis]) -> str:
    name = effects[0].parameter
    return axes.get(name, axis_of(name)).label


def _of_capacities(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    spec, table = result.study.spec, result.capacities
    assert table is not None
    assert spec.capacity is not None
    assert spec.objective is not None
    searched = axes.get(spec.capacity.of, axis_of(spec.capacity.of))
    limit = _limit(result, axes)
    known = table[np.isfinite(table["capacity"].to_numpy(dtype=np.float64))]
    if known.empty:
        notes = "; ".join(dict.fromkeys(map(str, table["note"])))
        return Answer(
            f"The objective ({limit}) is {notes}.",
            next_steps=("Widen the range of the search (capacity: between).",),
        )
    more = spec.capacity.more_is == "worse"
    varying = [name for name in result.parameters
               if name in known and known[name].map(str).nunique() > 1]  # fmt: skip
    axis = axes.get("capacity", searched)
    quantity = _Quantity(known, "capacity", axis, varying, more)
    rows, effects = quantity.ordered().to_dict("records"), _effects(quantity, axes)
    best, bound = rows[0], "up to" if more else "from"
    ends = [float(known["capacity"].max()), float(known["capacity"].min())]
    texts = quantity.texts(*(ends if more else ends[::-1]))
    which = texts[0] if len(set(texts)) == 1 else " and ".join((f"{texts[1]} at worst",
                                                                f"{texts[0]} at best"))  # fmt: skip
    clauses = [f"meets the objective ({limit}): {bound} {searched.label} {which}"]
    if len(table) > len(known):
        left = len(table) - len(known)
        clauses[0] += f", and without a limit in the searched range in {left} of {len(table)} cases"
    place = place_in_words(result, best, axes)
    if len(known) > 1:
        clauses.append(f"best: {_alike(result, quantity, rows, axes)}")
    if effects:
        clauses.append(f"what matters most: {_label_of(effects, axes)}")
    hinges = [*_matters(quantity, effects, axes), *_chance(result, quantity, rows)]
    if "capacity_draw_low" in best and math.isfinite(best["capacity_draw_low"]):
        low, high = quantity.texts(best["capacity_draw_low"], best["capacity_draw_high"])
        hinges.append(
            f"Calibration: over {spec.draws} draws of its coefficients, {low} to {high} (5th to "
            "95th percentile)."
        )
    if best.get("note"):
        hinges.append(f"Note on the best: {best['note']}.")
    jobs = f", {best['jobs_per_day']:,.0f} jobs a day" if spec.capacity.of == LOAD else ""
    interval = quantity.interval(best)
    return Answer(
        f"{_capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if len(known) > 1 else ''}",
        quantity.texts(float(best["capacity"]))[0],
        (f"95 % interval {interval}" if interval else "no 95 % interval") + jobs,
        tuple(hinges),
        tuple(_next_steps(result, quantity, rows)),
    )


def _of_points(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study with an objective, or with metrics at its points."""
    spec = result.study.spec
    asked = [*([spec.objective.metric] if spec.objective else []), *spec.metrics]
    metric = next((name for name in dict.fromkeys(asked) if name in result.points), "")
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
    quantity = _Quantity(known, metric, axis, varying, not less)
    rows, effects = quantity.ordered().to_dict("records"), _effects(quantity, axes)
    best = rows[0]
    clauses = []
    if spec.objective is not None:
        clauses.append(f"meets the objective ({_limit(result, axes)}): {_met(result, metric)}")
    if len(rows) > 1 and (spec.objective is not None or axis.better):
        named = _alike(result, quantity, rows, axes)
        clauses.append(f"best: {named}, with {axis.label} {_at(quantity, best)}")
    elif len(rows) > 1:
        low, high = float(known[metric].min()), float(known[metric].max())
        clauses.append(f"{axis.label}: {' to '.join(quantity.texts(low, high))}")
    else:
        clauses.append(f"{axis.label}: {_at(quantity, best)}")
    if effects:
        clauses.append(f"what matters most: {_label_of(effects, axes)}")
    interval = quantity.interval(best)
    place = place_in_words(result, best, axes)
    return Answer(
        f"{_capital('; '.join(clauses))}.",
        f"{axis.label}{f', {place}' if place and len(rows) > 1 else ''}",
        _at(quantity, best),
        f"95 % interval {interval}" if interval else "",
        (*_matters(quantity, effects, axes), *_chance(result, quantity, rows)),
        tuple(_next_steps(result, quantity, rows)),
    )


def _alike(
    result: StudyResult,
    quantity: _Quantity,
    rows: Sequence[Mapping[Any, Any]],
    axes: Mapping[str, Axis],
) -> str:
    """Return the places of all rows that are as good as the first."""
    best = float(rows[0][quantity.column])
    near = _SAME * max(abs(best), _SAME)
    same = [row for row in rows if abs(float(row[quantity.column]) - best) <= near]
    names = [place_in_words(result, row, axes) for row in same[:_MOST_NAMED]]
    more = len(same) - _MOST_NAMED
    return "; ".join(names) + (f"; and {more} more" if more > 0 else "")


def _at(quantity: _Quantity, row: Mapping[Any, Any]) -> str:
    return quantity.texts(float(row[quantity.column]))[0]


def _met(result: StudyResult, metric: str) -> str:
    """Return how many points meet the objective, and how many are undecided."""
    objective, points = result.study.spec.objective, result.points
    assert objective is not None
    tried = points[points["replications"] > 0]
    kept = tried[metric].astype(np.float64) <= objective.limit
    sure = kept
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
    return text + (
        f" ({undecided} undecided, because the interval includes the limit)" * (undecided > 0)
    )


def _has_differences(result: StudyResult) -> bool:
    table = result.differences
    return table is not None and bool(np.isfinite(table["relative"].astype(float)).any())


def _of_differences(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study that compares systems with a baseline."""
    table = result.differences
    assert table is not None
    finite = table[np.isfinite(table["relative"].to_numpy(dtype=np.float64))]
    metric = str(finite["metric"].iloc[0])
    rows = finite[finite["metric"] == metric]
    axis = axes.get(metric, axis_of(metric))
    sign = 1.0 if axis.better == "more" else -1.0
    means = rows.groupby(rows["system"].map(str), sort=False)["relative"].mean()
    best = str(means.index[int(np.argmax(sign * means.to_numpy()))])
    own, baseline = rows[rows["system"].map(str) == best], str(rows["baseline"].iloc[0])
    value = float(own["relative"].mean())
    where = f" at {len(own)} points" if len(own) > 1 else ""
    clear = bool(((own["relative_low"] > 0) | (own["relative_high"] < 0)).any())
    if len(own) == 1:
        ends = [float(own[f"relative_{end}"].iloc[0]) for end in ("low", "high")]
        interval = f"95 % interval {_signed(ends[0])} to {_signed(ends[1])}"
        interval = interval if all(map(math.isfinite, ends)) else "no interval"
    else:
        low, high = float(own["relative"].min()), float(own["relative"].max())
        interval = f"range: {_signed(low)} to {_signed(high)} over {len(own)} points"
    if not clear:
        sentence = f"no system clearly differs from {baseline} in {axis.label}"
        sentence += f"; the largest difference is that of {best}"
    elif not axis.better:
        word = "more" if value > 0 else "less"
        sentence = f"{best} has {format_percent(abs(value), 0)} {word} {axis.label} than {baseline}"
    elif sign * value > 0:
        word = "more" if value > 0 else "less"
        sentence = (
            f"best: {best}, with {format_percent(abs(value), 0)} {word} {axis.noun or axis.label} "
            f"than {baseline}{' on average' * (len(own) > 1)}{where}"
        )
    else:
        sentence = f"best: {baseline}, the baseline; no other system has a better {axis.label}"
    points = result.points
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    quantity = _Quantity(known, metric, axis, varying, sign > 0)
    effects = _effects(quantity, axes) if len(known) else []
    if effects:
        sentence += f"; what matters most: {_label_of(effects, axes)}"
    pairs = int(own["pairs"].min())
    hinges = [*_matters(quantity, effects, axes)]
    hinges.append(
        f"Chance: {counted(pairs, 'pair')} of runs, each pair on the same random numbers."
    )
    hinges += _failed(result)
    return Answer(
        f"{_capital(sentence)}.",
        f"{axis.label}, {best} against {baseline}",
        _signed(value),
        interval,
        tuple(hinges),
        tuple(_next_steps(result, quantity, quantity.ordered().to_dict("records"), clear=clear)),
    )


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
        for name, total in list(zip(names, rows["total"], strict=True))[:_MOST_NAMED]
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
        (f"Interactions: without them, {names[0]} explains {alone}.", *_failed(result)),
        (more,),
    )


def _limit(result: StudyResult, axes: Mapping[str, Axis]) -> str:
    objective = result.study.spec.objective
    assert objective is not None
    axis = axes.get(objective.metric, axis_of(objective.metric))
    return f"{axis.label} ≤ {axis.text(objective.limit)}"


def _chance(
    result: StudyResult, quantity: _Quantity, rows: Sequence[Mapping[Any, Any]]
) -> Iterator[str]:
    """Yield what chance does to the answer: replications, and whether the best is clearly best."""
    best = rows[0]
    own = result.runs[result.runs["status"] == "finished"]
    count = int(best["replications"]) if "replications" in best else own["replication"].nunique()
    text = f"Chance: {counted(count, 'replication')}"
    if len(rows) > 1 and (apart := _apart(quantity, best, rows[1])) is not None:
        axes = study_axes(result)
        second = place_in_words(result, rows[1], axes)
        verb = "is clearly worse" if apart else "may be as good"
        text += f"; the second best, {second}, {verb} ({_at(quantity, rows[1])})"
    yield f"{text}."
    yield from _failed(result)


def _failed(result: StudyResult) -> list[str]:
    failed = int((result.runs["status"] == "failed").sum())
    return [f"Failures: {failed} of {len(result.runs)} runs failed and are left out."] * (
        failed > 0
    )


def _apart(quantity: _Quantity, best: Mapping[Any, Any], second: Mapping[Any, Any]) -> bool | None:
    """Return whether the intervals of two rows do not overlap; None without intervals."""
    ends = [float(row.get(f"{quantity.column}{end}", math.nan))
            for row in (best, second) for end in ("_low", "_high")]  # fmt: skip
    if any(map(math.isnan, ends)):
        return None
    return ends[0] > ends[3] if quantity.more else ends[1] < ends[2]


def _next_steps(
    result: StudyResult,
    quantity: _Quantity,
    rows: Sequence[Mapping[Any, Any]],
    *,
    clear: bool | None = None,
) -> Iterator[str]:
    """Yield what to do next."""
    spec = result.study.spec
    if (result.runs["status"] == "failed").any():
        yield "Read the error of the failed runs (below), correct it, and continue with --resume."
    apart = clear
    if clear is None and len(rows) > 1:
        apart = _apart(quantity, rows[0], rows[1])
    few = int(result.points["replications"].max()) < 2
    if few:
        yield "Set replications to 2 or more: a single replication gives no interval."
    elif apart is False:
        yield "Add replications (replications: N, then --resume) to separate the best points."
    if spec.objective is not None and quantity.column != "capacity":
        limit = spec.objective.limit
        met = quantity.table[quantity.column].astype(np.float64) <= limit
        if not met.any():
            yield "Add capacity, reduce the load, or relax the objective: no point meets it."
        elif met.all():
            yield "Increase the load or reduce the fleet to find where the objective is missed."
    if quantity.column == "capacity" and spec.capacity is not None:
        low, high = spec.capacity.between
        at_edge = [row for row in rows if float(row["capacity"]) >= 0.98 * high
                   or float(row["capacity"]) <= low]  # fmt: skip
        if at_edge:
            yield "Widen the range of the search: a capacity is at its edge."
    if apart is not False and not few:
        yield "Check the assumptions below; then vary the ones that you doubt in a further study."


def _signed(share: float) -> str:
    text = format_percent(abs(share), 0 if abs(share) >= 0.1 or share == 0 else 1)
    return f"{'+' if share >= 0 else '−'}{text}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
