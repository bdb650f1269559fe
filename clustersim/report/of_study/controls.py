"""Estimates with control variates beside those without, and which of them a table shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import study_axes
from clustersim.report.page import Table
from clustersim.studies.study_result import StudyResult
from clustersim.units import format_percent

__all__ = ["controls_table", "is_controlled", "which_estimate"]

_MOST_NAMED = 4
_ENDS = ("", "_low", "_high")
_CAPTION = (
    "Numbers for which a control variate is used; the other tables show them with it. It corrects "
    "an estimate for the work, deliveries or failures that happened to occur in these "
    "replications, of which the expectation is known. For waits, it is the work that was still "
    "unfinished when a job was submitted."
)
_STEADY = (
    " Without it, an estimate describes the measured part of runs that start empty; with it, the "
    "estimate is closer to the steady state. If the two differ by more than their intervals allow, "
    "the runs are too short."
)
_GAINS = (
    " If both capacities have a control variate, so has their gain, even if its interval is wider."
)
_RELATIVE = Axis("relative difference", dimension="share")


def controls_table(result: StudyResult) -> Table | None:
    """Return the estimates with control variates beside those without; None if there are none.

    Each row is one number at one point, with the 95 % intervals of both estimates in one unit.
    """
    rows = [*_of_differences(result), *_of_points(result), *_of_capacities(result)]
    if not rows:
        return None
    axes = study_axes(result)
    places = [name for name in (*result.parameters, "system") if any(name in row for row in rows)]
    labels = {name: axes.get(name, axis_of(name)).label for name in result.parameters}
    compare = result.study.spec.compare
    frame = pd.DataFrame(rows)
    if "system" in places and compare is not None and compare.of in places:
        # The compared parameter of a point is the system of a difference.
        frame[compare.of] = frame[compare.of].fillna(frame["system"].map(str))
        places.remove("system")
    return Table(
        "Estimates with and without control variates",
        frame[["number", *places, "with", "without", "explained"]].fillna(
            {name: "" for name in places if frame[name].dtype == object}
        ),
        _CAPTION
        + (_STEADY if result.steady else "")
        + (_GAINS if result.gains is not None else "")
        + " In parentheses: 95 % interval.",
        labels={
            **labels,
            "with": "with control variates",
            "without": "without",
            "explained": "share of the variance explained",
        },
        formats={"explained": format_percent},
        file=_files(result),
    )


def _files(result: StudyResult) -> str:
    tables = {
        "points.csv": result.points,
        "capacities.csv": result.capacities,
        "gains.csv": result.gains,
        "differences.csv": result.differences,
    }
    return " and ".join(name for name, table in tables.items() if table is not None and len(table))


def is_controlled(row: Mapping[Any, Any], name: str) -> bool:
    """Return whether a number of a row is an estimate with control variates."""
    return math.isfinite(float(row.get(f"{name}_plain", math.nan)))


def _of_points(result: StudyResult) -> Iterator[dict[str, Any]]:
    axes, points = study_axes(result), result.points
    stems = [str(name).removesuffix("_explained") for name in points
             if str(name).endswith("_explained")]  # fmt: skip
    for metric in result.metrics:
        if metric in stems:
            yield from _rows(points, metric, axes.get(metric, axis_of(metric)), result.parameters)


def _of_differences(result: StudyResult) -> Iterator[dict[str, Any]]:
    table, axes = result.differences, study_axes(result)
    if table is None or table.empty:
        return
    places = [name for name in (*result.parameters, "system") if name in table]
    for metric, rows in table.groupby("metric", sort=False):
        axis = axes.get(str(metric), axis_of(str(metric)))
        for name, what in (("difference", axis), ("relative", _RELATIVE)):
            label = f"{_RELATIVE.label if name == 'relative' else name}: {axis.label}"
            yield from _rows(rows, name, what, places, label)


def _of_capacities(result: StudyResult) -> Iterator[dict[str, Any]]:
    table, search = result.capacities, result.study.spec.capacity
    if table is None or search is None or "capacity_plain" not in table:
        return
    axes = study_axes(result)
    own = table[~np.isclose(table["capacity"], table["capacity_plain"], rtol=1e-9)]
    axis = axes.get(search.of, axis_of(search.of))
    places = [name for name in result.parameters if name in table]
    yield from _rows(own, "capacity", axis, places, f"capacity: {axis.label}")
    gains = result.gains
    if gains is not None and "gain_plain" in gains:
        places = [name for name in (*result.parameters, "system") if name in gains]
        yield from _rows(gains, "gain", axis, places, f"gain: {axis.label}")


def _rows(
    table: pd.DataFrame, name: str, axis: Axis, places: list[str], label: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield the numbers of a column that have an estimate without control variates."""
    rows = [row for row in table.to_dict("records") if is_controlled(row, name)]
    stems = (name, f"{name}_plain")
    values = [float(row[f"{stem}{end}"]) for row in rows for stem in stems for end in _ENDS]
    fits = axis.fitted(values)
    for row in rows:
        texts = [_text(fits, *(float(row[f"{stem}{end}"]) for end in _ENDS)) for stem in stems]
        explained = float(row.get(f"{name}_explained", math.nan))
        yield {
            "number": label or axis.label,
            **{place: row[place] for place in places if place in row},
            "with": texts[0],
            "without": texts[1],
            "explained": explained,
        }


def _text(axis: Axis, value: float, low: float, high: float) -> str:
    number = f"{axis.number(value)} {axis.unit}".strip()
    if not (math.isfinite(low) and math.isfinite(high)):
        return number
    return f"{number} ({axis.number(low)} to {axis.number(high)})"


def which_estimate(result: StudyResult, rows: pd.DataFrame, metric: str) -> str:
    """Return which numbers of a table of differences have control variates; "" if none has any.

    Parameters
    ----------
    result : StudyResult
    rows : pandas.DataFrame
        The rows of the table of differences for the metric.
    metric : str
    """
    records = rows.to_dict("records")
    both = {name: [is_controlled(row, name) for row in records]
            for name in ("difference", "relative")}  # fmt: skip
    of_points = (
        f"{metric}_plain" in result.points and result.points[f"{metric}_plain"].notna().any()
    )
    if not of_points and not any(map(any, both.values())):
        return ""
    sentences = []
    if not any(map(any, both.values())):
        sentences.append(
            "Differences and the mean of the baseline are without control variates; the table of "
            "points has estimates with them."
        )
    else:
        sentences.append("The mean of the baseline is without control variates.")
    for one, other in (("difference", "relative"), ("relative", "difference")):
        only = [row for row, own, its in zip(records, both[one], both[other], strict=True)
                if own and not its]  # fmt: skip
        names = [str(name) for name in dict.fromkeys(row["system"] for row in only)]
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            words = {"difference": "difference", "relative": "relative difference"}
            sentences.append(
                f"The {words[one]} of {', '.join(names[:_MOST_NAMED])}{more} uses control "
                f"variates; the {words[other]} does not, because they do not explain enough of "
                "it, so its interval is relatively wider."
            )
    return " ".join(sentences)
