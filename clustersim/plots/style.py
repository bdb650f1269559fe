"""The shared style of all figures: colours, type sizes, and reproducible files.

Draw inside ``with style():``, so that new axes use the shared style. Global settings do not change.
Figures are plain :class:`matplotlib.figure.Figure` objects without pyplot. No window, display or
list of open figures is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from clustersim.errors import InputError, unknown_name
from clustersim.outputs import replacing, write_errors

__all__ = [
    "COLOURS",
    "FORMATS",
    "LINE_STYLES",
    "MARKERS",
    "PALETTE",
    "STYLE",
    "check_formats",
    "colour",
    "new_figure",
    "picture_formats",
    "save_figure",
    "style",
    "svg_text",
]

#: Okabe & Ito, "Color Universal Design" (2008): distinguishable with common colour blindness.
COLOURS = MappingProxyType(
    {
        "blue": "#0072B2",
        "vermilion": "#D55E00",
        "green": "#009E73",
        "purple": "#CC79A7",
        "orange": "#E69F00",
        "sky": "#56B4E9",
        "black": "#000000",
        "yellow": "#F0E442",
    }
)
PALETTE = tuple(COLOURS.values())
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", "-.", ":")

STYLE = MappingProxyType(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10.0,
        "axes.titlesize": 11.0,
        "axes.titleweight": "bold",
        "axes.labelsize": 10.0,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=list(PALETTE)),
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9.0,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.0,
        "xtick.labelsize": 9.0,
        "ytick.labelsize": 9.0,
        "figure.dpi": 100.0,
        "savefig.dpi": 160.0,
        "svg.hashsalt": "clustersim",
    }
)

#: Options of each file format, including those that make the files reproducible.
FORMATS: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "clustersim"},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": "clustersim"},
}


def style() -> AbstractContextManager[None]:
    """Return a context in which new axes and texts use the shared style."""
    settings: Any = dict(STYLE)
    return matplotlib.rc_context(settings)


def colour(index: int) -> str:
    """Return the `index`-th colour of the palette, cyclically.

    Examples
    --------
    >>> colour(0), colour(8) == colour(0)
    ('#0072B2', True)
    """
    return PALETTE[index % len(PALETTE)]


def new_figure(width: float = 7.0, height: float = 4.5) -> Figure:
    """Return an empty figure that keeps its labels inside its borders.

    Parameters
    ----------
    width, height : float
        Inches.
    """
    with style():
        return Figure(figsize=(width, height), layout="constrained")


def picture_formats(text: str, source: str) -> tuple[str, ...]:
    """Return the formats in a text such as ``"png,svg"``.

    Raises
    ------
    InputError
        If a format is not ``png``, ``svg`` or ``pdf``.
    """
    formats = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in formats:
        if name not in FORMATS:
            raise InputError(source, unknown_name("format", name, FORMATS))
    return formats


def svg_text(figure: Figure) -> str:
    """Return a figure as the text of an SVG file."""
    text = StringIO()
    with style():
        figure.savefig(text, format="svg", metadata=FORMATS["svg"])
    return text.getvalue()


def check_formats(path: str | Path, formats: Sequence[str]) -> None:
    """Raise an error if figures cannot be saved in one of the formats.

    Examples
    --------
    >>> check_formats("fleet", ["svg"])
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(path, f"cannot save a figure as {unknown[0]!r}; allowed: png, svg, pdf")


def save_figure(
    figure: Figure, path: str | Path, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write a figure once per format; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        Figure to save.
    path : str or Path
        The path without its suffix; missing folders are created.
    formats : sequence of str
        Any of ``png``, ``svg`` and ``pdf``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If a format is unknown, or a file cannot be written.

    Examples
    --------
    >>> from clustersim.plots import save_figure, study_figure
    >>> figure = study_figure(1, title="Empty")
    >>> [path.name for path in save_figure(figure, "figures/empty")]
    ['empty.png', 'empty.svg']
    """
    check_formats(path, formats)
    written = []
    for name in formats:
        target = Path(f"{path}.{name}")
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with style(), replacing(target) as draft:
            figure.savefig(draft, format=name, metadata=FORMATS[name])
        written.append(target)
    return written
