"""Sentences that explain why numbers of one study differ: estimates, widths of intervals, waits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import in_period, period_of
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import period_names, place_in_words, study_axes
from clustersim.report.amounts import in_one_unit, signed, signed_amounts
from clustersim.report.of_study.controls import is_controlled
from clustersim.studies.study_result import StudyResult

__all__ = [
    "cut_off_waits",
    "is_plain",
    "two_estimates",
    "two_estimates_of_figure",
    "wider_relative",
]

_WIDER = 1.1
"""An interval that is wider by this factor, relative to its number, needs an explanation."""
_CUT_OFF = 0.05
"""Share of jobs that still wait at the horizon from which on their waits are unknown."""


def is_plain(result: StudyResult, metric: str) -> bool:
    """Return whether the differences of a metric are without control variates, unlike its points.

    Parameters
    ----------
    result : StudyResult
    metric : str
        A metric of the table of differences.
    """
    table, plain = result.differences, f"{metric}_plain"
    if table is None or plain not in result.points or not result.points[plain].notna().any():
        return False
    rows = table[table["metric"] == metric].to_dict("records")
    return bool(rows) and not any(is_controlled(row, "relative") for row in rows)


def two_estimates(result: StudyResult, metric: str) -> str:
    """Return the sentence of the card on the two estimates of one number; "" if it has one.

    Differences without control variates are shown beside points with them. The sentence gives both
    numbers of the point at which they differ most.
    """
    if found := _two(result, metric):
        label, place, plain, with_them = found
        return (
            f"Two estimates: {label}{place} is {plain} without control variates (this card and the "
            f"differences) and {with_them} with them (curves and the table of points)."
        )
    return ""


def two_estimates_of_figure(result: StudyResult, metric: str) -> str:
    """Return the same as :func:`two_estimates` for the caption of a figure of the points."""
    if found := _two(result, metric):
        label, place, plain, with_them = found
        return (
            f"These are estimates with control variates: {label}{place} is {with_them} here, and "
            f"{plain} without them, as on the card and in the differences."
        )
    return ""


def _two(result: StudyResult, metric: str) -> tuple[str, str, str, str] | None:
    """Return the label, the place and the two estimates of the number that differs most."""
    if not is_plain(result, metric):
        return None
    axes = study_axes(result)
    axis = axes.get(metric, axis_of(metric))
    rows = [
        row
        for row in result.points.to_dict("records")
        if all(0 < float(row[name]) < math.inf for name in (metric, f"{metric}_plain"))
    ]
    if not rows:
        return None
    row = max(rows, key=lambda row: abs(math.log(row[metric] / row[f"{metric}_plain"])))
    (own, plain), unit = in_one_unit([float(row[metric]), float(row[f"{metric}_plain"])], axis)
    if own == plain:
        return None
    place = place_in_words(result, row, axes)
    return (
        axis.label,
        f" at {place}" * bool(place),
        f"{plain} {unit}".strip(),
        f"{own} {unit}".strip(),
    )


def wider_relative(
    rows: Sequence[Mapping[Any, Any]], name: str, metric: str, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield why the interval of a relative difference is wider than that of the difference.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table of differences that the card shows.
    name : str
        Name of the system.
    metric : str
    axes : mapping of str to Axis
    """
    axis = axes.get(metric, axis_of(metric))
    for row in rows:
        if not is_controlled(row, "difference") or is_controlled(row, "relative"):
            continue
        widths = {of: _relative_width(row, of) for of in ("relative", "difference")}
        if not widths["relative"] > _WIDER * widths["difference"]:
            continue
        ends = [float(row[f"difference_{end}"]) for end in ("low", "high")]
        low, high = signed_amounts(ends, axis)
        low = low.removesuffix(f" {high.partition(' ')[2]}")
        first, last = (signed(float(row[f"relative_{end}"])) for end in ("low", "high"))
        yield (
            f"Width of the interval: that of the relative difference of {name} ({first} to {last}) "
            "is without control variates, because they do not explain enough of it; that of the "
            f"difference ({low} to {high}) is with them and therefore narrower."
        )
        return


def _relative_width(row: Mapping[Any, Any], of: str) -> float:
    """Return the width of the interval of a number, divided by the number."""
    return abs((float(row[f"{of}_high"]) - float(row[f"{of}_low"])) / float(row[of]))


def cut_off_waits(result: StudyResult, metric: str) -> Iterator[str]:
    """Yield in how many runs the waits behind a metric are cut off by the horizon.

    Parameters
    ----------
    result : StudyResult
    metric : str
        If it is that of a period, the jobs are those of the period.
    """
    period = period_of(metric)[1]
    column = "censored" if period is None else in_period("censored", period)
    finished = result.runs[result.runs["status"] == "finished"]
    if column not in finished:
        return
    cut = int((pd.to_numeric(finished[column]) > _CUT_OFF).sum())
    if cut:
        which = "measured jobs" if period is None else f"jobs of {period_names(result)[period - 1]}"
        yield (
            f"Waits: in {cut} of {len(finished)} runs, more than 5 % of the {which} were still "
            "waiting at the horizon; the waits of these runs are lower bounds, or unknown."
        )
