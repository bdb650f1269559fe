"""Plot of how a run approaches its steady state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.statistics import mean_interval
from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe
from clustersim.plots.study_axes import place_in_words, study_axes
from clustersim.plots.warm_up import plot_warm_up
from clustersim.studies.plot_kinds import Panel, PlotKind
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _warm_up(result: StudyResult, _plot: Plot) -> list[Panel]:
    """Return the warm-up panel of one point: one whose waits still rise, if there is one."""
    runs = result.runs[(result.runs["status"] == "finished") & (result.runs["draw"] == -1)]
    if runs.empty:
        raise InputError(result.study.source, "plots: no run has finished")
    point, why = _shown_point(result, runs)
    chosen = runs[runs["point"] == point]
    share = (chosen["warm_up_jobs"] / chosen["jobs_submitted"]).to_numpy()
    reached = bool(chosen["warm_up_reached"].all())
    series = result.series_of(point)
    (row,) = result.points[result.points["point"] == point].to_dict("records")
    where = place_in_words(result, row, study_axes(result))

    def draw(*, ax: Axes | None = None, **options: Any) -> Axes:
        given = {"warm_up": share, "where": where, **options}
        drawn = plot_warm_up(series, reached=reached, ax=ax, **given)
        describe(drawn, why, _verdict(result, row, chosen))
        return drawn

    return [draw]


def _shown_point(result: StudyResult, runs: pd.DataFrame) -> tuple[int, str]:
    """Return the point to show, and why it is shown; "" if there is only one point.

    Points whose waits still rise come first. Otherwise, it is a point that meets the objective of
    the study, or a point without overload. If several points remain, the one with the longest waits
    is shown.
    """
    objective = result.study.spec.objective
    waits = runs.groupby("point")["mean_wait_s"].mean()
    points = result.points.set_index("point")
    waits = waits[waits.index.isin(points.index)]  # without those of a pilot search
    points = points.loc[waits.index]
    over, rising = (points[name].astype(bool) for name in ("overload", "rising"))
    kept, what = ~(over | rising), "points without overload"
    if objective is not None:
        kept, what = points[objective.metric] <= objective.limit, "points that meet the objective"
    if (flagged := rising & ~over).any():
        kept, what = flagged, "points whose waits still rise"
    elif not kept.any():
        kept, what = pd.Series(True, index=points.index), "points"
    chosen = waits[kept.to_numpy()]
    point = int(chosen.index[int(chosen.to_numpy().argmax())])
    if len(waits) == 1:
        return point, ""
    if len(chosen) == 1:
        one = what.replace("points", "point").replace("meet ", "meets ")
        return point, f"Shown: the only {one}, of {len(waits)}."
    which = f"the {len(chosen)} {what}" if len(chosen) < len(waits) else f"all {len(waits)} points"
    return point, f"Shown: the point with the longest mean wait of {which}."


def _verdict(result: StudyResult, row: Mapping[Any, Any], runs: pd.DataFrame) -> str:
    """Return whether waits still rise after the warm-up, by the test that flags a point."""
    if not result.steady or "wait_rise_s" not in runs:
        return ""
    if row["overload"]:
        return "This point is overloaded: its waits rise without end."
    rise_s, low_s, high_s = mean_interval(runs["wait_rise_s"])
    (rise, low, high), unit = _in_unit(abs(rise_s), low_s, high_s)
    large = row["rising"] and not low_s > 0
    why = " This is more than half of the mean wait." if large else ""
    more = "less" if rise_s < 0 else "longer"
    answer = "yes" if row["rising"] else "no, not clearly"
    interval = (
        f" (95 % interval of the rise {low} to {high} {unit})" if math.isfinite(low_s) else ""
    )
    return (
        f"Do waits still rise after the warm-up? {answer.capitalize()}: the later half of the "
        f"measured jobs waits on average {rise} {unit} {more} than the earlier half{interval}.{why}"
    )


def _in_unit(*seconds: float) -> tuple[list[str], str]:
    """Return durations without a unit, and the unit that suits them all.

    Examples
    --------
    >>> _in_unit(5400.0, -1800.0)
    (['90', '−30'], 'min')
    """
    axis = Axis("", dimension="duration", logarithmic=False).fitted(seconds)
    return [axis.number(each) for each in seconds], axis.unit


KIND = PlotKind(
    name="warm-up",
    title="Warm-up",
    description="Mean wait of consecutive jobs, at a point whose waits still rise after the "
    "warm-up, or else at the point with the longest waits that meets the objective.",
    panels=_warm_up,
)
