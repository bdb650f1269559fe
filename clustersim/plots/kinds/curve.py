"""Plot of a metric against a parameter, with a line for each value of the other parameters."""

from __future__ import annotations

from functools import partial

from clustersim.plots.axis import axis_of
from clustersim.plots.curves import plot_curve
from clustersim.plots.scatter import plot_scatter
from clustersim.plots.study_lines import needed, with_lines
from clustersim.studies.plot_kinds import Panel, PlotKind
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _curves(result: StudyResult, plot: Plot) -> list[Panel]:
    spec, x = result.study.spec, needed(plot, "x", plot.x)
    points = result.points
    # Omit values that a capacity search tried only in single draws of the calibration.
    points = points[(points["replications"] > 0) | (points["failed"] > 0)]
    beside = spec.sampled if x in spec.sampled else [x]
    points, by, axes = with_lines(result, points, beside, plot.by)
    if x in spec.sampled:
        return [
            partial(plot_scatter, points, x, metric, by=by, axes=axes)
            for metric in plot.ys or spec.metrics
        ]

    def panel(metric: str) -> Panel:
        objective = spec.objective
        marked = None
        if objective is not None and objective.metric == metric:
            marked = (objective.limit, f"objective {axis_of(metric).text(objective.limit)}")
        return partial(plot_curve, points, x, metric, by=by, objective=marked, axes=axes)

    return [panel(metric) for metric in plot.ys or spec.metrics]


KIND = PlotKind(
    name="curve",
    title="Curves",
    description="Metrics against a parameter or metric, with a line for each value of the others.",
    panels=_curves,
    takes=("x", "y", "by"),
    needs=("x",),
)
