"""Plot of a quantity of jobs by the share of the jobs: whole distributions instead of a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.metrics import jobs_statistic, metric_of
from clustersim.analysis.on_request.compared_runs import values_by_job
from clustersim.analysis.on_request.whole_run import part_of_group, whole_run
from clustersim.analysis.samples import Pooled, Sample
from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.direct_labels import EndLabel
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    panel,
    plot_style,
    study_figure,
)
from clustersim.plots.parts.multiples import Only, finish, kept
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.series import axis_for, check_columns, series_of
from clustersim.simulation.result import Result
from clustersim.studies.study_result import StudyResult

__all__ = [
    "SHARE",
    "distribution_rows",
    "draw_distributions",
    "plot_distribution",
    "quantity_axis",
]

SHARE = "share of jobs"
"""Column with the share of the jobs that have at most a value."""
_LEVELS = np.unique(np.concatenate([np.linspace(0.0, 0.9, 91), np.linspace(0.9, 1.0, 101)]))
"""Shares of the jobs at which a distribution is drawn."""


def quantity_axis(metric: str) -> Axis:
    """Return the axis of the quantity whose distribution over the jobs a metric summarises.

    Examples
    --------
    >>> quantity_axis("p95_wait_s").label, quantity_axis("p95_network_slowdown.gang").label
    ('wait', 'network slowdown of gang')

    Raises
    ------
    InputError
        If the metric is unknown, or no statistic over jobs.
    """
    found = metric_of(metric)
    if jobs_statistic(metric) is None:
        raise InputError("distribution", f"{metric} is no statistic over jobs, such as mean_wait_s")
    base = axis_of(metric)
    words = found.label.split(" of ", 1) if found.label[:1].isdigit() else ["", found.label]
    label = words[-1].removeprefix("mean ").removeprefix("median ")
    return Axis(
        label + base.label.removeprefix(found.label),
        unit=base.unit,
        dimension=base.dimension,
        logarithmic=base.logarithmic,
        better=base.better,
    )


def distribution_rows(samples: Sequence[npt.ArrayLike | Sample]) -> pd.DataFrame:
    """Return the values at each share of the jobs, of the jobs of several runs together.

    Parameters
    ----------
    samples : sequence of array_like or Sample
        Values of the jobs of each run; NaN is left out.

    Returns
    -------
    pandas.DataFrame
        ``share of jobs`` and ``value``; empty without a job.

    Examples
    --------
    >>> rows = distribution_rows([[1.0, 1.0, 1.0, 3.0]])
    >>> rows.loc[[0, len(rows) // 2, len(rows) - 1], "value"].tolist()
    [1.0, 3.0, 3.0]
    """
    own = [each if isinstance(each, Sample) else Sample.of(np.asarray(each)) for each in samples]
    own = [each for each in own if each.count]
    values = Pooled(own).at(_LEVELS) if own else np.empty(0)
    return pd.DataFrame({SHARE: _LEVELS[: len(values)], "value": values})


def plot_distribution(
    points: pd.DataFrame | StudyResult,
    metric: str,
    *,
    by: str | None = None,
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a quantity of jobs against the share of the jobs that have at most this value.

    Parameters
    ----------
    points : DataFrame or StudyResult
        Rows of :func:`distribution_rows`, with a column `by`.  A study result supplies its
        distributions over the jobs of all replications.
    metric : str
        A statistic over jobs, such as ``p95_network_slowdown``; the distribution is that of its
        quantity.
    by : str, optional
        Column that defines the lines, one for each of its values. By default, a table has one line,
        and a study result has one for each combination of its parameters.
    only, axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column is unknown, the table has no rows, or `metric` is no statistic over jobs.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.plots.distribution import distribution_rows
    >>> rows = distribution_rows([[1.0, 1.0, 1.2, 3.0]])
    >>> ax = cs.plots.plot_distribution(rows, "p95_network_slowdown")
    >>> ax.get_ylabel()
    'network slowdown'
    """
    if isinstance(points, StudyResult):
        fields = {"y": [metric], "by": by}
        options = {"axes": axes}
        return plot_of_study(
            "plot_distribution", "distribution", points, fields, options, y="metric", ax=ax
        )
    column = only[0] if only else None
    check_columns(points, (SHARE, "value", by, column), "plot_distribution")
    quantity = quantity_axis(metric)
    with plot_style(ax):
        ax = panel(ax)
        shares = Axis("jobs, in ascending order", dimension="share")
        x_axis = set_axis(ax, "x", shares, [0.0, 1.0], room=(0.0, 0.0))
        from_zero = metric_of(metric).least <= 0.0
        y_axis = set_axis(ax, "y", quantity, points["value"], from_zero=from_zero)
        series = kept(series_of(points, by, axes), only)
        ends = []
        for one in series:
            x, y = one.rows[SHARE].to_numpy(), one.rows["value"].to_numpy(dtype=np.float64)
            if not len(x):
                continue
            ax.plot(x, y, color=one.ink, linestyle=one.dashes, clip_on=False)
            if one.name:
                ends.append(EndLabel(one.name, float(x[-1]), float(y[-1]), one.ink))
        title = quantity.label + ("" if by is None else f" by {axis_for(by, axes).label}")
        finish(ax, title, ends, only=only, axes=axes, x=x_axis.title, y=y_axis.title)
        describe(ax, "Each line: all jobs, from the smallest value to the largest.")
    return ax


def draw_distributions(
    runs: Mapping[str, Result], metrics: Sequence[str], *, plugins: Sequence[str] = ()
) -> StudyFigure:
    """Draw the distributions of several whole runs, with a line for each run.

    Parameters
    ----------
    runs : mapping of str to Result
        Runs by name.
    metrics : sequence of str
        Statistics over jobs, one for each panel.
    plugins : sequence of str
        Files whose metrics may be named.

    Raises
    ------
    InputError
        If a metric is no statistic over jobs, or no run has jobs with its quantity.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20]})
    >>> log = log.assign(n_accelerators=[4, 8, 4], duration_s=100)
    >>> runs = {name: cs.replay(log, policy=name, accelerators=8)
    ...         for name in ("fcfs", "first_fit")}
    >>> draw_distributions(runs, ["mean_wait_s"]).heading
    'Wait by run'
    """
    by_quantity = {quantity_axis(metric).label: metric for metric in metrics}
    parts = {name: whole_run(result, plugins=plugins) for name, result in runs.items()}
    panels = []
    for metric in by_quantity.values():
        quantity, _ = metric_of(metric).of_jobs or ("", None)
        tables = []
        for name, part in parts.items():
            values = values_by_job(part_of_group(part, metric), quantity)
            tables.append(distribution_rows([values.to_numpy(dtype=np.float64)]).assign(run=name))
        table = pd.concat(tables, ignore_index=True)
        if table.empty:
            raise InputError("distribution", f"no run has jobs with {metric}")
        panels.append((table, metric))
    figure = study_figure(len(panels), width=DOUBLE, panel_height=2.9)
    for ax, (table, metric) in zip(figure.panels, panels, strict=True):
        plot_distribution(table, metric, by="run" if len(runs) > 1 else None, ax=ax)
    return figure
