"""Figures with panels, a title and a caption that are never cut off, and type sizes for print."""

from clustersim.plots.figure.panel_labels import BeforeDrawing, dress
from clustersim.plots.figure.study_figure import (
    StudyFigure,
    describe,
    fit_height,
    need_height,
    panel,
    study_figure,
    wide_panel,
)
from clustersim.plots.figure.type_sizes import (
    DOUBLE,
    SINGLE,
    panel_width,
    plot_style,
    type_size,
)
from clustersim.plots.figure.wrapped_text import text_width, wrap

__all__ = [
    "DOUBLE",
    "SINGLE",
    "BeforeDrawing",
    "StudyFigure",
    "describe",
    "dress",
    "fit_height",
    "need_height",
    "panel",
    "panel_width",
    "plot_style",
    "study_figure",
    "text_width",
    "type_size",
    "wide_panel",
    "wrap",
]
