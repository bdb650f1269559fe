"""Plot of a metric by period, for fleets that grow and shrink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import label_ends
from clustersim.plots.figure import describe, dress, panel, plot_style
from clustersim.plots.of_study import plot_of_study
from clustersim.plots.series import (
    axis_for,
    check_columns,
    draw_series,
    edges_of,
    ends_of,
    one_row_each,
    place_x,
    series_of,
)
from clustersim.plots.ticks import set_axis
from clustersim.studies.study_result import StudyResult

__all__ = ["period_rows", "plot_periods"]

_ENDS = ("", "_low", "_high", "_draw_low", "_draw_high")


def period_rows(
    points: pd.DataFrame, metric: str, names: Sequence[str], *, by: str | None = None
) -> pd.DataFrame:
    """Return a table with a row for each point and period of a study.

    Parameters
    ----------
    points : DataFrame
        One row per point, with columns ``METRIC@k`` and their intervals for the k-th period.
    metric : str
    names : sequence of str (periods,)
    by : str, optional
        Column that distinguishes the points.

    Returns
    -------
    DataFrame
        ``period`` (name of the period), `by`, the metric and its intervals.
    """
    parts = []
    for number, name in enumerate(names, 1):
        columns = {f"{metric}@{number}{end}": f"{metric}{end}" for end in _ENDS}
        there = [column for column in columns if column in points]
        kept = points[there].rename(columns=columns)
        lead = {"period": name} if by is None else {"period": name, by: points[by]}
        parts.append(kept.assign(**lead))
    return pd.concat(parts, ignore_index=True)


def plot_periods(
    points: pd.DataFrame | StudyResult,
    metric: str,
    names: Sequence[str] | None = None,
    *,
    by: str | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric by period, with a line for each value of a parameter.

    The marks of different lines are shifted within a period, so that no bar hides another.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per point, with columns ``METRIC@k`` and their intervals for the k-th period. A
        study result supplies its table of points, its labels, the names and, by default, `by`.
    metric : str
    names : sequence of str (periods,), optional
        Names of the periods, which a table needs.
    by : str, optional
        Column that defines the lines, one for each of its values.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If a column is unknown, or a line has several rows in a period.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> points = pd.DataFrame({"utilisation@1": [0.6], "utilisation@2": [0.8]})
    >>> ax = cs.plots.plot_periods(points, "utilisation", ["Q1", "Q2"])
    >>> ax.get_ylabel()
    'utilisation, %'
    """
    if isinstance(points, StudyResult):
        if names is not None:
            raise InputError("plot_periods", "names: a study result has the names of its periods")
        fields = {"y": [metric], "by": by}
        options = {"axes": axes}
        return plot_of_study("plot_periods", "periods", points, fields, options, y="metric", ax=ax)
    if names is None:
        raise InputError("plot_periods", "names: a table needs the names of its periods")
    needed = [f"{metric}@{number}" for number in range(1, len(names) + 1)]
    check_columns(points, (*needed, by), "plot_periods")
    table = period_rows(points, metric, names, by=by)
    one_row_each(table, ("period", by), "plot_periods")
    axis = axis_for(metric, axes)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(table, by, axes)
        places, x_title = place_x(ax, table, "period", axis_for("period", axes))
        y_axis = set_axis(ax, "y", axis, table[metric], edges=edges_of(table, metric))
        draw_series(ax, series, places, metric, joined=True)
        for line in range(len(names) - 1):
            ax.axvline(line + 0.5, color="#dddddd", lw=0.6, zorder=0.4)
        if table[metric].isna().any():
            describe(ax, "Gaps: no value in the period, or not known at the end of the run.")
        label_ends(ax, ends_of(series, places, metric))
        title = f"{axis.label} by {axis_for(by or 'period', axes).label}"
        dress(ax, title, x=x_title, y=y_axis.title)
    return ax
