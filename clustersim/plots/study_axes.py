"""Labels of a study's columns, and its points and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, SupportsFloat

import numpy as np

from clustersim.analysis.metrics import period_of
from clustersim.calendar import DAY_S, HOUR_S, Calendar, period_ends_s
from clustersim.plots.axis import Axis, axis_of
from clustersim.scenario.dates import calendar_of
from clustersim.studies.search_spec import CapacitySearch
from clustersim.studies.spec import Range
from clustersim.studies.study_result import StudyResult
from clustersim.units import find_quantity

__all__ = [
    "compared_axis",
    "named_value",
    "number_in_words",
    "period_names",
    "place_in_words",
    "study_axes",
    "system_name",
    "value_name",
]


def study_axes(result: StudyResult) -> dict[str, Axis]:
    """Return the axes of the columns whose labels or units depend on the study."""
    spec = result.study.spec
    periods = period_names(result)
    axes = {name: axis_of(name, label=spec.labels.get(name)) for name in spec.labels}
    for path in result.parameters:
        values = spec.parameters.get(path)
        examples = [values.begin] if isinstance(values, Range) else spec.listed(path)
        quantity = find_quantity(examples[0]) if examples else None
        if quantity is not None:
            axis = axes.get(path, axis_of(path))
            axes[path] = replace(axis, dimension=quantity.dimension)
    for metric in dict.fromkeys([*result.metrics, *(name for _, name in spec.named_metrics)]):
        base, period = period_of(metric)
        if period is not None:
            axis = axes.get(base, axis_of(base))
            label = f"{axis.label} in {periods[period - 1]}"
            axes.setdefault(metric, replace(axis, label=label, noun=axis.noun or axis.label))
    if spec.capacity is not None:
        of = spec.capacity.of
        axes.setdefault("capacity", _capacity_axis(axes.get(of, axis_of(of)), spec.capacity))
    return axes


def period_names(result: StudyResult) -> list[str]:
    """Return the names of the periods of a study; empty without periods.

    Periods without names are named by their dates, if the scenario has a `start`; otherwise by
    their days, such as ``days 90 to 120``, or by their hours or minutes if they are short.  The
    latter holds for a quick version with another horizon, because the names of the file are not
    true of it.
    """
    spec, tree = result.study.spec, result.study.base.tree
    names = spec.window.period_names
    preview = spec.preview
    shorter = preview is not None and "horizon" in (preview.changes.get("set") or {})
    horizon = find_quantity(tree.get("horizon"))
    dated = tree.get("start") is not None
    if not names or horizon is None or (isinstance(spec.window.periods, list) and not shorter):
        return names
    if dated and not shorter:
        return _dated_periods(calendar_of(tree), horizon.value, len(names))
    ends_s = period_ends_s(horizon.value, len(names))
    units = (("days", DAY_S), ("hours", HOUR_S), ("minutes", 60.0))
    unit, unit_s = next((each for each in units if np.diff(ends_s).min() >= each[1]), units[-1])
    ends = [round(end / unit_s, 1) for end in ends_s]
    return [f"{unit} {low:g} to {high:g}" for low, high in pairwise(ends)]


def _dated_periods(calendar: Calendar, horizon_s: float, periods: int) -> list[str]:
    """Return the dates of periods: months if each period is made of whole months, else days.

    Examples
    --------
    >>> from datetime import datetime
    >>> start = Calendar(datetime(2026, 1, 1))
    >>> _dated_periods(start, 365 * 86400.0, 4)[:2]
    ['2026-01 to 2026-03', '2026-04 to 2026-06']
    >>> _dated_periods(start, 20 * 86400.0, 2)
    ['2026-01-01 to 2026-01-11', '2026-01-11 to 2026-01-21']
    """
    ends = [calendar.at(end) for end in period_ends_s(horizon_s, periods, calendar)]
    if all(end.day == 1 and not (end.hour or end.minute) for end in ends[:-1]):
        firsts = [f"{begin:%Y-%m}" for begin in ends[:-1]]
        lasts = [f"{end - timedelta(days=15):%Y-%m}" for end in ends[1:]]
        pairs = zip(firsts, lasts, strict=True)
        return [first if first == last else f"{first} to {last}" for first, last in pairs]
    exact = any(end.hour or end.minute for end in ends)
    texts = [f"{end:%Y-%m-%d %H:%M}" if exact else f"{end:%Y-%m-%d}" for end in ends]
    return [f"{begin} to {end}" for begin, end in pairwise(texts)]


def _capacity_axis(searched: Axis, search: CapacitySearch) -> Axis:
    """Return the axis of a capacity: a larger load is better, but a larger fleet is worse."""
    better = "more" if search.more_is == "worse" else "less"
    return replace(searched, label=f"{searched.label} at the objective", better=better)


def place_in_words(result: StudyResult, row: Mapping[Any, Any], axes: Mapping[str, Axis]) -> str:
    """Describe the position of a table row in the study's parameter space."""
    parts = []
    for path in result.parameters:
        if path not in row:
            continue
        value, axis = row[path], axes.get(path, axis_of(path))
        if isinstance(value, bool | np.bool_):
            shown = "yes" if value else "no"
        else:
            shown = number_in_words(value, axis) if isinstance(value, float) else str(value)
        parts.append(named_value(path, value, shown, axis))
    return ", ".join(parts)


def named_value(path: str, value: Any, text: str, axis: Axis) -> str:
    """Return the text of a parameter's value with the label of the parameter.

    A name stands alone, and a count comes first: ``32 nodes of pool h20``.

    Examples
    --------
    >>> load, nodes = "workload.load", "cluster.pools.h20.nodes"
    >>> named_value(load, 0.5, "0.5", axis_of(load)), named_value(nodes, 32, "32", axis_of(nodes))
    ('offered load 0.5', '32 nodes of pool h20')
    """
    if isinstance(value, str) and axis.dimension == "":
        return text
    usual = axis_of(path)
    if axis.dimension == "count" and axis.label == usual.label and text[:1].isdigit():
        return f"{text} {axis.label}"
    return f"{axis.label} {text}"


def value_name(value: Any, axis: Axis) -> str:
    """Return a value of a parameter as text, without the label of the parameter.

    Examples
    --------
    >>> value_name(43200.0, Axis("checkpoint interval", dimension="duration"))
    '12 h'
    >>> value_name(True, Axis("wait")), value_name("easy", Axis("policy"))
    ('yes', 'easy')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str) or not isinstance(value, SupportsFloat):
        return str(value)
    return axis.text(float(value), 6)


def compared_axis(result: StudyResult, axes: Mapping[str, Axis]) -> Axis:
    """Return the axis of the compared parameter."""
    compare = result.study.spec.compare
    return Axis("") if compare is None else axes.get(compare.of, axis_of(compare.of))


def system_name(result: StudyResult, value: Any, axes: Mapping[str, Axis]) -> str:
    """Return the name of a compared system for a sentence.

    A number, and yes or no, have the label of the parameter: ``checkpoint interval 12 h``.
    """
    compare, axis = result.study.spec.compare, compared_axis(result, axes)
    name = value_name(value, axis)
    return name if compare is None else named_value(compare.of, value, name, axis)


def number_in_words(value: float, axis: Axis) -> str:
    """Format a value of a parameter, or say that the value is outside the searched range."""
    if math.isinf(value):
        return "above the range" if value > 0 else "below the range"
    return f"{value:.3f}" if axis.dimension == "ratio" else axis.text(value)
