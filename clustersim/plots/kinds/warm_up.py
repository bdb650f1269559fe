"""Plot of how a run approaches its steady state."""

from __future__ import annotations

from functools import partial

import pandas as pd

from clustersim.errors import InputError
from clustersim.plots.study_axes import place_in_words, study_axes
from clustersim.plots.warm_up import plot_warm_up
from clustersim.studies.plot_kinds import Panel, PlotKind
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _warm_up(result: StudyResult, _plot: Plot) -> list[Panel]:
    """Return the warm-up panel of the point with the longest waits that meets the objective."""
    runs = result.runs[(result.runs["status"] == "finished") & (result.runs["draw"] == -1)]
    if runs.empty:
        raise InputError(result.study.source, "plots: no run has finished")
    point = _most_loaded(result, runs)
    chosen = runs[runs["point"] == point]
    share = (chosen["warm_up_jobs"] / chosen["jobs_submitted"]).to_numpy()
    reached = bool(chosen["warm_up_reached"].all())
    series = result.series_of(point)
    (row,) = result.points[result.points["point"] == point].to_dict("records")
    where = place_in_words(result, row, study_axes(result))
    return [partial(plot_warm_up, series, warm_up=share, reached=reached, where=where)]


def _most_loaded(result: StudyResult, runs: pd.DataFrame) -> int:
    """Return the point with the longest waits that meets the objective of the study.

    Without an objective, points without a steady state are excluded. If no point remains, all
    points are considered.
    """
    objective = result.study.spec.objective
    waits = runs.groupby("point")["mean_wait_s"].mean()
    points = result.points.set_index("point").loc[waits.index]
    kept = ~(points["overload"] | points["rising"]).astype(bool)
    if objective is not None:
        kept = points[objective.metric] <= objective.limit
    chosen = waits[kept.to_numpy()] if kept.any() else waits
    return int(chosen.index[int(chosen.to_numpy().argmax())])


KIND = PlotKind(
    name="warm-up",
    title="Warm-up",
    description="Mean wait of consecutive jobs, at the point with the longest waits that meets "
    "the objective.",
    panels=_warm_up,
)
