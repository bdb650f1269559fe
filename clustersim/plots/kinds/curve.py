"""Plot of a metric against a parameter, with a line for each value of the other parameters."""

from __future__ import annotations

from clustersim.plots.curves import plot_curve
from clustersim.plots.scatter import plot_scatter
from clustersim.plots.study_lines import metric_pictures, needed, with_lines
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
    lines = with_lines(result, points, beside, plot.by)
    panels: list[Panel] = []
    for metric in plot.ys or spec.metrics:
        drawn = {"points": lines.table, "x": x, "y": metric, "by": lines.by, "axes": lines.axes}
        if x in spec.sampled:
            panels += lines.drawn(plot_scatter, **drawn)
            continue
        objective = spec.objective
        limit = objective.limit if objective and objective.metric == metric else None
        panels += lines.drawn(plot_curve, objective=limit, **drawn)
    return panels


KIND = PlotKind(
    name="curve",
    title="Curves",
    description="Metrics against a parameter or metric; the others differ by line and by panel.",
    panels=_curves,
    takes=("x", "y", "by"),
    needs=("x",),
    pictures=metric_pictures(lambda result: result.study.spec.metrics),
)
