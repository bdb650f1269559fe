"""The tables of results on the page of a study, with the labels and units of its columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import in_period, is_constant, is_metric, period_of
from clustersim.plots.axis import axis_of
from clustersim.plots.study_axes import period_names, study_axes, system_name
from clustersim.report.cells import Format
from clustersim.report.grouped import grouped
from clustersim.report.of_study.controls import controls_table, which_estimate
from clustersim.report.of_study.hints import column_hints
from clustersim.report.of_study.terms import terms_sentence
from clustersim.report.page import Table
from clustersim.report.spans import change_spans, method_sentence, value_spans
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, counted, format_percent, format_quantity

__all__ = ["planned_facts", "point_table", "result_parts", "study_table"]

_MOST_COLUMNS = 6
"""Number of estimates and ranges over draws that one table of points shows side by side."""
_SHOWN = ("share", "duration", "bandwidth", "bytes", "flop rate", "power", "money")
"""Dimensions whose numbers are shown in a unit that fits their size."""
_MANY_DRAWS = 20
_LARGE = 1e7
_IN_SERVICE = "accelerators"
_CHECKS = {
    "failed": "no run failed",
    "overload": "no point is overloaded",
    "rising": "waits do not rise clearly to the end of the runs",
}
"""What the caption says instead of a column without any such point."""


def result_parts(result: StudyResult) -> list[str | Table]:
    """Return how the numbers of a study are made, and the tables of its results."""
    parts: list[str | Table] = [
        *filter(None, [method_sentence(result), terms_sentence(result)]),
        *_of_capacities(result),
    ]
    differences, axes = result.differences, study_axes(result)
    if differences is not None and len(differences):
        for metric, rows in differences.groupby("metric", sort=False):
            baselines = rows["baseline"].map(str).unique()
            only = len(baselines) == 1
            name = system_name(result, rows["baseline"].iloc[0], axes)
            of = f"baseline ({name})" if only else "baseline"
            parts.append(
                study_table(
                    result,
                    f"Paired differences: {axes.get(str(metric), axis_of(str(metric))).label}",
                    rows.drop(columns="metric"),
                    f"System minus {of} on the same random numbers, with the 95 % interval. "
                    f"{which_estimate(result, rows, str(metric))}".strip(),
                    "differences.csv",
                    same_as=str(metric),
                    hidden=["baseline"] if only else [],
                )
            )
    if result.indices is not None:
        parts.append(_of_indices(result, result.indices))
    parts += _in_parts(point_table(result), result.parameters)
    beside = controls_table(result)
    return parts if beside is None else [*parts, beside]


def _of_indices(result: StudyResult, table: pd.DataFrame) -> Table:
    """Return the table of Sobol indices, with the names of parameters and metrics."""
    axes = study_axes(result)

    def label(name: object) -> str:
        return axes.get(str(name), axis_of(str(name))).label

    frame = table.assign(**{name: table[name].map(label) for name in ("parameter", "metric")})
    shown = study_table(
        result,
        "Sobol indices",
        frame,
        "Share of a metric's variance that a parameter explains; in parentheses: 95 % bootstrap "
        "interval. No number: the variance could not be attributed.",
        "indices.csv",
    )
    percentages = {"first": _whole_percent, "total": _whole_percent}
    labels = {"first": "alone", "total": "with interactions"}
    return replace(shown, formats={**shown.formats, **percentages},
                   labels={**shown.labels, **labels})  # fmt: skip


def _whole_percent(share: float) -> str:
    return format_percent(share, 0)


def _of_capacities(result: StudyResult) -> Iterator[Table]:
    """Yield the tables of the capacities and of their gains."""
    table = result.capacities
    if table is not None:
        plain = table.get("capacity_plain")
        same = plain is not None and _same(table["capacity"], plain)
        about = " They are the same with and without control variates." if same else ""
        about += " The runs are those at all values that the search tried."
        yield study_table(
            result,
            "Capacity at the objective",
            table,
            "In parentheses: 95 % interval over replications, or the values between which "
            f"overload begins if a note says so.{about}",
            "capacities.csv",
        )
    if result.gains is not None and len(result.gains):
        frame = result.gains
        same_jobs = bool(frame["same_jobs"].astype(bool).all())
        about = " Compared systems are offered the same jobs." if same_jobs else ""
        yield study_table(
            result,
            "Gain of capacity, paired by replication",
            frame.drop(columns="same_jobs") if same_jobs else frame,
            "In parentheses: 95 % interval of the paired difference, or bounds if a note says "
            f"so.{about}",
            "gains.csv",
        )


def _in_parts(table: Table, parameters: Sequence[str]) -> list[Table]:
    """Return a table in parts that fit a page; each part repeats the parameters, or the point."""
    stems: dict[str, list[str]] = {}
    names = list(map(str, table.frame.columns))
    repeated = [name for name in names if name in parameters] or names[:1]
    lead = next(
        (place for place, name in enumerate(names) if is_metric(name) and name not in parameters),
        len(names),
    )
    for name in names[lead:]:
        stem = re.sub("(_draw)?_?(low|high)?$", "", name)
        stems.setdefault(stem if stem in names else name, []).append(name)
    groups = _packed([*stems.values()])
    if len(groups) < 2:
        return [table]
    parts = []
    for number, chosen in enumerate(groups):
        kept = [*names[:lead], *chosen] if number == 0 else [*repeated, *chosen]
        title = f"{table.title}, part {number + 1} of {len(groups)}"
        caption = table.caption if number == 0 else ""
        parts.append(replace(table, frame=table.frame[kept], title=title, caption=caption))
    return parts


def _packed(metrics: Sequence[list[str]]) -> list[list[str]]:
    """Return the columns of metrics in parts of similar width; a range over draws is a column."""
    widths = [1 + any("_draw" in name for name in columns) for columns in metrics]
    count = math.ceil(sum(widths) / _MOST_COLUMNS)
    parts: list[list[str]] = [[] for _ in range(count)]
    before = 0
    for columns, width in zip(metrics, widths, strict=True):
        parts[before * count // max(1, sum(widths))] += columns
        before += width
    return [part for part in parts if part]


def point_table(result: StudyResult) -> Table:
    """Return the table of a study's points, without facts that are the same at all of them."""
    points = result.points.drop(columns=_constant_facts(result.points))
    caption = (
        "In parentheses: 95 % interval. Waits and slowdowns of a whole run are means or quantiles "
        "over the jobs of all replications; other metrics, and those of a period, are means over "
        "the replications."
    )
    if result.of_log:
        caption += (
            " The interval is that of another period like the log: replications draw its weeks or "
            "days again."
        )
    planned = planned_facts(result)
    shown = [name for name in planned if name in points]
    if shown:
        points = _with_service(result, points)
        caption += (
            " “As planned” counts all chips that the scenario lists, whether or not they are "
            "delivered in this case."
        )
    checks = [name for name in _CHECKS if name in points and not points[name].astype(bool).any()]
    if not result.steady:
        checks = [name for name in checks if name == "failed"]
        points = points.drop(columns=["overload", "rising"])
    points = points.drop(columns=checks)
    if checks:
        text = "; ".join(_CHECKS[name] for name in checks)
        caption += f" {capital(text)}."
    return study_table(result, "Points", points, caption, "points.csv")


def _constant_facts(points: pd.DataFrame) -> list[str]:
    """Return the names of fleet facts that are the same at all points and need not be shown."""
    columns = map(str, points.columns)
    return [name for name in columns if is_constant(name) and points[name].nunique() <= 1]


def planned_facts(result: StudyResult) -> list[str]:
    """Return the facts of the fleet that count chips which a case may never deliver."""
    study = result.study
    changes = (path for point in study.points for path in point.changes)
    own = any(study.base.tree.get(section) for section in ("supply", "fleet"))
    supply = own or any(path.startswith(("supply", "fleet")) for path in changes)
    return [name for name in map(str, result.points) if is_constant(name)] if supply else []


def _with_service(result: StudyResult, points: pd.DataFrame) -> pd.DataFrame:
    """Return the points with the mean number of accelerators in service in the last period."""
    last = in_period(_IN_SERVICE, len(result.study.spec.window.period_names))
    name = last if last in result.runs else _IN_SERVICE
    runs = result.runs
    if name in points or name not in runs:
        return points
    own = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    means = own.groupby("point")[name].mean().round()
    return points.assign(**{name: points["point"].map(means)})


def _period_label(result: StudyResult, column: str) -> str:
    """Return the label of a metric in a period, with the name of the period."""
    base, period = period_of(column)
    label = axis_of(base).label
    return label if period is None else f"{label} in {period_names(result)[period - 1]}"


def study_table(
    result: StudyResult,
    title: str,
    frame: pd.DataFrame,
    caption: str,
    file: str,
    *,
    same_as: str = "",
    hidden: Sequence[str] = (),
) -> Table:
    """Return a table with the labels and units of its columns.

    Estimates without control variates have a table of their own
    (:func:`~clustersim.report.of_study.controls.controls_table`).

    Parameters
    ----------
    result : StudyResult
    title : str
    frame : pandas.DataFrame
    caption, file : str
        See :class:`~clustersim.report.page.Table`.
    same_as : str
        The metric of a table of differences.
    hidden : sequence of str
        Columns to leave out.
    """
    frame, groups = grouped(result, frame.drop(columns=_not_shown(frame)))
    labels, formats = _looks(result, frame, same_as)
    frame, prefixes = _with_spans(result, frame, same_as)
    axes = study_axes(result)
    names = {name: frame[name].map(lambda value: system_name(result, value, axes))
             for name in ("system", "baseline") if name in frame}  # fmt: skip
    frame = frame.assign(**names)
    left = [*hidden, *(["point"] if result.parameters else [])]
    frame = frame.drop(columns=[name for name in left if name in frame])
    if any(str(name).endswith("_draw_low") for name in frame):
        caption += f" Over draws: {_over_draws(result)}."
    return Table(
        title,
        frame,
        caption,
        labels=labels,
        formats=formats,
        file=file,
        groups=groups,
        hints=column_hints(result, frame, same_as),
        prefixes=prefixes,
        endless=_beyond(result),
    )


def _over_draws(result: StudyResult) -> str:
    few = result.study.spec.draws < _MANY_DRAWS
    more = "; of so few draws, this is almost their whole range" if few else ""
    return f"5th to 95th percentile over the draws of the calibration{more}"


def _looks(
    result: StudyResult, frame: pd.DataFrame, same_as: str
) -> tuple[dict[str, str], dict[str, Format]]:
    """Return the labels and formats of the columns; a range over draws has those of its metric."""
    axes, labels = study_axes(result), {}
    formats: dict[str, Format] = {}
    draws = f"over {counted(result.study.spec.draws, 'draw')}"
    planned = planned_facts(result)
    for column in map(str, frame.columns):
        axis = axes.get(column, axis_of(column))
        if column in axes or axis.dimension or column in result.parameters:
            labels[column] = axis.label + (", as planned" if column in planned else "")
        if column not in axes and period_of(column)[1] is not None and is_metric(column):
            labels[column] = _period_label(result, column)
        if column.endswith(("_low", "_high")):
            continue
        large = axis.dimension == "count" and _is_large(frame[column])
        if (axis.dimension in _SHOWN or large) and pd.api.types.is_float_dtype(frame[column]):
            formats[column] = partial(format_quantity, dimension=axis.dimension)
            formats[f"{column}_draw"] = formats[column]
        labels[f"{column}_draw"] = f"{axis.label} {draws}"
    labels |= {"capacity": _capacity_label(result), "relative": "relative difference"}
    labels |= {"relative_draw": f"relative difference {draws}", "relative_note": "note"}
    labels |= {"baseline_mean": "mean of the baseline", "overload_in": "overloaded in"}
    labels["capacity_draw"] = f"{labels['capacity']} {draws}"
    formats |= {"relative": format_percent, "relative_draw": format_percent}
    if same_as and (dimension := axis_of(same_as).dimension) in _SHOWN:
        to_text = partial(format_quantity, dimension=dimension)
        formats |= dict.fromkeys(("baseline_mean", "difference"), to_text)
    return labels, formats


def _is_large(values: pd.Series[Any]) -> bool:
    """Return whether a count is too large for its digits."""
    return pd.api.types.is_numeric_dtype(values) and bool(values.abs().max() >= _LARGE)


def _not_shown(frame: pd.DataFrame) -> list[str]:
    """Return the columns without control variates, those without a value, and repeated ones."""
    names = [str(name) for name in frame]
    apart = re.compile("_plain(_low|_high)?$|_explained$")
    left = [name for name in names if apart.search(name)]
    for name in names:
        of_draws = re.search("_draw(_low|_high)?$", name) is not None
        empty = of_draws and bool(frame[name].isna().all())
        if name in ("relative_note", "note", "overload_in"):
            empty = not bool(frame[name].fillna("").astype(bool).any())
        if empty:
            left.append(name)
    for name, other in (
        ("jobs_per_day", "capacity"),
        ("jobs_per_day", "workload.jobs_per_day"),
        ("replications", "pairs"),
    ):
        if name in names and other in names and _same(frame[name], frame[other]):
            left += [each for each in (name, f"{name}_low", f"{name}_high") if each in names]
    return left


def _same(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    first, second = (each.to_numpy(dtype=np.float64) for each in (one, other))
    return bool(np.allclose(first, second, rtol=1e-9, equal_nan=True))


def _with_spans(
    result: StudyResult, frame: pd.DataFrame, of: str
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Return a table with the ends of the intervals to show, and what precedes them.

    Parameters
    ----------
    result : StudyResult
    frame : DataFrame
        Rows of the table of points, or of the differences in the metric `of`.
    of : str
        "" for the table of points.
    """
    prefixes, changes = {}, {}
    for column in map(str, frame.columns):
        if f"{column}_low" not in frame or f"{column}_high" not in frame:
            continue
        if of and column in ("relative", "difference"):
            spans = change_spans(result, frame, column, of)
        elif not of and is_metric(column):
            spans = value_spans(result, frame, column)
        else:
            continue
        prefixes[column] = [each.prefix for each in spans]
        for end in ("low", "high"):
            changes[f"{column}_{end}"] = [
                math.nan
                if each.kind == "none"
                else given
                if each.kind in ("exact", "unknown", "left", "same")
                else getattr(each, end)
                for given, each in zip(frame[f"{column}_{end}"], spans, strict=True)
            ]
    return _without_open_ends(frame.assign(**changes)), prefixes


def _without_open_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which a capacity has both ends of its interval, or none."""
    changes: dict[str, pd.Series[Any]] = {}
    for name in ("capacity", "jobs_per_day"):
        ends = [f"{name}_{end}" for end in ("low", "high")]
        if all(end in frame for end in ends):
            both = np.isfinite(frame[ends].to_numpy(dtype=np.float64)).all(axis=1)
            changes |= {end: frame[end].where(both) for end in ends}
    return frame.assign(**changes)


def _beyond(result: StudyResult) -> dict[str, tuple[str, str]]:
    """Return how tables show capacities beyond the values that a search tried."""
    search = result.study.spec.capacity
    if search is None:
        return {}
    axis = axis_of(search.of)
    low, high = (axis.text(end) for end in search.between)
    beyond = (f"< {low}", f"> {high}")
    return {"capacity": beyond, "capacity_plain": beyond, "jobs_per_day": ("–", "–")}


def _capacity_label(result: StudyResult) -> str:
    search = result.study.spec.capacity
    return "capacity" if search is None else f"capacity: {axis_of(search.of).label}"
