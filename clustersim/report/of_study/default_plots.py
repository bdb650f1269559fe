"""The plots of a study whose file requests none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from clustersim.analysis.metrics import in_period, period_of
from clustersim.errors import InputError
from clustersim.plots.study_lines import is_numeric
from clustersim.studies.plot_kinds import find_plot_kind
from clustersim.studies.search_spec import LOAD
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["default_plots"]

_FEWEST = 2
"""A study with parameters has at least this many pictures, if its runs finished."""


def default_plots(result: StudyResult) -> list[Plot]:
    """Return the default plots of a study, for a file that requests no plots.

    Differences and curves are drawn for one metric: that of the objective, or else the first one.
    If a curve would need too many lines or panels, a heat map takes its place, or a scatter plot of
    all points.  The tables have all metrics.
    """
    spec = result.study.spec
    plots: list[Plot] = []
    if result.capacities is not None:
        assert spec.capacity is not None
        others = [path for path in result.parameters if path != spec.capacity.of]
        numeric = [path for path in others if is_numeric(result.points, path)]
        along = [*numeric, *others]
        plots += _first_that_can_be_drawn(result, [Plot(kind="capacity", x=x) for x in along])
    if result.differences is not None and len(result.differences):
        compared = list(dict.fromkeys(result.differences["metric"]))
        metric = _first(result, compared)
        forms = [Plot(kind="differences", y=metric)]
        forms += [
            Plot(kind="differences", x=x, y=metric)
            for x in result.parameters
            if spec.compare is not None and x != spec.compare.of
        ]
        plots += _first_that_can_be_drawn(result, forms)
    if result.indices is not None:
        plots.append(Plot(kind="indices"))
    elif result.metrics and result.steady:  # none if every run failed
        metric = _first(result, result.metrics)
        plots += _first_that_can_be_drawn(result, _of_points(result, metric))
    if result.steady:
        return [*plots, Plot(kind="warm-up")]
    asked = [period_of(name)[0] for name in spec.metrics if period_of(name)[1] is not None]
    whole = [name for name in dict.fromkeys(asked) if _every_period(result, name)]
    plots += [Plot(kind="periods", y=whole)] if whole else []
    for metric in result.metrics if result.parameters else ():
        if len(plots) < _FEWEST:
            plots += _first_that_can_be_drawn(result, _of_points(result, metric))
    return plots


def _of_points(result: StudyResult, metric: str) -> Iterator[Plot]:
    """Yield the plots that can show a metric at all points, the best first."""
    points = result.points
    varied = [path for path in result.parameters if points[path].nunique() > 1]
    varied = varied or list(result.parameters)
    numeric = [path for path in varied if is_numeric(points, path)]
    first = [LOAD] if LOAD in numeric else numeric[-1:]
    order = list(dict.fromkeys([*first, *reversed(numeric), *varied]))
    yield from (Plot(kind="curve", x=x, y=metric) for x in order)
    for x in order:
        yield from (Plot(kind="curve", x=x, y=metric, by=by) for by in varied if by != x)
    sizes = sorted(varied, key=lambda path: -points[path].nunique())
    yield from (
        Plot(kind="heat-map", x=x, y=y, value=metric)
        for x, y in permutations(sizes, 2)
        if x in order
    )
    others = [name for name in result.metrics if name != metric and points[name].nunique() > 1]
    yield from (Plot(kind="trade-off", x=x, y=metric) for x in [*others, *numeric])


def _first_that_can_be_drawn(
    result: StudyResult, plots: Sequence[Plot] | Iterator[Plot]
) -> list[Plot]:
    """Return the first of some plots whose panels the study has; the first one if none has."""
    first: list[Plot] = []
    for plot in plots:
        kind = find_plot_kind(plot.kind)
        assert kind is not None
        first = first or [plot]
        try:
            kind.drawn_panels(result, plot)
        except InputError:
            continue
        return [plot]
    return first


def _first(result: StudyResult, metrics: Sequence[str]) -> str:
    """Return the most important of some metrics."""
    objective = result.study.spec.objective
    return objective.metric if objective and objective.metric in metrics else metrics[0]


def _every_period(result: StudyResult, metric: str) -> bool:
    """Return whether the points have a metric for every period."""
    count = len(result.study.spec.window.period_names)
    return all(in_period(metric, period) in result.points for period in range(1, count + 1))
