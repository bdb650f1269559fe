"""The figures of a study: the plots that its file requests, or suitable default plots."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from clustersim.analysis.metrics import is_metric
from clustersim.errors import InputError
from clustersim.plots.axis import axis_of
from clustersim.plots.figure import DOUBLE, StudyFigure, study_figure
from clustersim.plots.parts.quick_mark import quick_mark
from clustersim.plots.study_axes import study_axes
from clustersim.report.of_study.default_plots import default_plots
from clustersim.studies.plot_kinds import PlotKind, find_plot_kind
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["NamedFigure", "draw_plots"]

_ALONE, _STACKED = 2.9, 2.2
"""Heights of the only panel of a figure, and of panels below each other, in inches."""


@dataclass(frozen=True)
class NamedFigure:
    """A figure, its title, its file name and its kind of plot.

    ``svg`` is the text of its SVG file if this has been written already; ``metrics`` are those that
    the study file names for the plot.
    """

    name: str
    title: str
    figure: StudyFigure
    kind: str = ""
    svg: str = ""
    metrics: tuple[str, ...] = ()


def draw_plots(result: StudyResult) -> tuple[list[NamedFigure], list[str]]:
    """Draw the figures of a study.

    Returns
    -------
    figures : list of NamedFigure
    problems : list of str
        Reasons why plots could not be drawn: the study lacks the data or does not have them yet,
        or a user-defined plot kind failed. In the last case, its file is named.
    """
    plots = result.study.spec.plots or default_plots(result)
    drawn, problems = [], []
    for number, plot in enumerate(plots, 1):
        kind = find_plot_kind(plot.kind)
        assert kind is not None, "the name of the kind was checked"
        name = f"{number}-{plot.kind}"
        try:
            parts = kind.drawn_pictures(result, plot)
        except InputError as error:
            problems += _problems(kind, number, error)
            continue
        for part in parts:
            own = f"{name}-{_file_name(part)}" if len(parts) > 1 else name
            try:
                figure = _drawn(result, kind, part, own)
            except InputError as error:
                problems += _problems(kind, number, error)
                continue
            if plot.title and part.ys and len(parts) > 1:
                label = study_axes(result).get(part.ys[0], axis_of(part.ys[0])).label
                figure = replace(figure, title=f"{plot.title}: {label}")
            drawn.append(figure)
    return drawn, list(dict.fromkeys(problems))


def _problems(kind: PlotKind, number: int, error: InputError) -> list[str]:
    """Return why the pictures of an entry cannot be drawn."""
    file = f"{kind.file}: " if kind.file == error.source else ""
    return [f"plot {number} ({kind.name}): {file}{problem}" for problem in error.problems]


def _file_name(plot: Plot) -> str:
    """Return the part of a file name for the metric of a picture."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.]", "-", name) for name in plot.ys)


def _drawn(result: StudyResult, kind: PlotKind, plot: Plot, name: str) -> NamedFigure:
    panels = list(kind.drawn_panels(result, plot))
    across, alone = len(panels), len(panels) == 1 or plot.groups is not None
    beside = kind.beside(result, plot) if alone and kind.beside is not None else []
    panels += beside
    count = len(panels)
    columns = None if count in (1, 2, 4) else 3
    figure = study_figure(
        count,
        title=plot.title or "",
        mark=quick_mark(result),
        width=DOUBLE,
        columns=across if beside else columns,
        panel_height=_ALONE if count == 1 else _STACKED if beside else None,
    )
    for ax, draw in zip(figure.panels, panels, strict=True):
        draw(ax=ax)
    if count > 1:
        figure.entitle(kind.title)
    figure.mark_below()
    return NamedFigure(
        name,
        plot.title or figure.heading or kind.title,
        figure,
        kind.name,
        metrics=tuple(name for name in (*plot.ys, plot.value) if name and is_metric(name)),
    )
