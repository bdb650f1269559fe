"""Distribution of a quantity over jobs, with a line for each value of a parameter."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from clustersim.analysis.metrics import jobs_statistic
from clustersim.analysis.samples import Sample
from clustersim.errors import InputError
from clustersim.plots.distribution import distribution_rows, plot_distribution
from clustersim.plots.figure import describe
from clustersim.plots.study_lines import metric_pictures, with_lines
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.plot_kinds import Panel, PlotKind, known_names
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _distributions(result: StudyResult, plot: Plot) -> list[Panel]:
    panels: list[Panel] = []
    for metric in plot.ys:
        table = _rows(result, metric)
        lines = with_lines(result, table, [""], plot.by)
        drawn = {"points": lines.table, "metric": metric, "by": lines.by, "axes": lines.axes}
        panels += lines.drawn(_pooled, **drawn)
    return panels


def _pooled(**arguments: object) -> object:
    """Draw a distribution, and say whose jobs it contains."""
    ax = plot_distribution(**arguments)  # type: ignore[arg-type]
    describe(ax, "The jobs of all replications are taken together.")
    return ax


def _rows(result: StudyResult, metric: str) -> pd.DataFrame:
    """Return the distribution at each point of the study, with the parameters of the point."""
    statistic = jobs_statistic(metric)
    assert statistic is not None, "the entry was checked"
    runs = result.runs
    runs = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    tables = []
    for row in result.points.to_dict("records"):
        keys = runs.loc[runs["point"] == row["point"], "run"]
        samples: list[Sample] = [
            result.samples[key][statistic[0]]
            for key in keys
            if statistic[0] in result.samples.get(key, {})
        ]
        own = {name: row[name] for name in result.parameters}
        tables.append(distribution_rows(samples).assign(**own))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if table.empty:
        raise InputError(result.study.source, f"plots: no finished run has jobs with {metric}")
    return table


def _check_name(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    problems = list(known_names(spec, plot, field, name))
    yield from problems
    if field == "y" and not problems and jobs_statistic(name) is None:
        yield f"{name} is no statistic over jobs, such as p95_wait_s or mean_jct_s.GROUP"


KIND = PlotKind(
    name="distribution",
    title="Distribution over jobs",
    description="The quantity of a statistic over jobs (such as p95_wait_s) against the share of "
    "the jobs, with a line for each value of a parameter.",
    panels=_distributions,
    takes=("y", "by"),
    needs=("y",),
    check_name=_check_name,
    pictures=metric_pictures(lambda _: []),
)
