"""Figures with panels, a title and a caption that are never cut off."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text

from clustersim.errors import InputError
from clustersim.plots.figure.panel_labels import GREY, LINE, PanelLabels
from clustersim.plots.figure.type_sizes import DOUBLE, LARGE, NARROW, SINGLE, plot_style
from clustersim.plots.figure.wrapped_text import wrap

__all__ = [
    "StudyFigure",
    "describe",
    "fit_height",
    "need_height",
    "panel",
    "study_figure",
    "wide_panel",
]

_AROUND = 60.0
"""Total space above and below axes, in points."""
SPACING = 1.2
"""Distance of the lines of the title, as a multiple of their height."""
_INK = "#222222"


class StudyFigure(Figure):
    """Figure with panels and a caption, to which plots add sentences about what they draw.

    Attributes
    ----------
    panels : list of Axes
        From left to right, then top to bottom.

    Examples
    --------
    >>> from clustersim.plots import study_figure
    >>> figure = study_figure(2, width=7.0)
    >>> figure.describe("Dots: single runs.", "Line: their mean.")
    >>> figure.caption
    'Dots: single runs. Line: their mean.'
    """

    panels: list[Axes]
    _rows: int
    _each: float
    _fitted: bool = False
    _above: float
    _title: str
    _mark: str
    _sentences: list[str]
    _drawn: tuple[float, float] = (0.0, 1.0)
    _above_text: Text | None = None
    _below_text: Text | None = None

    @property
    def drawn(self) -> tuple[float, float]:
        """The part without title and caption: its top and bottom as shares of the height.

        They are measured from the top, and known once the figure is drawn.
        """
        return self._drawn

    @property
    def caption(self) -> str:
        """The text under the panels, as one line."""
        return " ".join(self._sentences)

    @property
    def heading(self) -> str:
        """The title above all panels, or that of the only panel; one line."""
        alone = self.panels[0].get_title(loc="left") if len(self.panels) == 1 else ""
        return self._title or alone.replace("\n", " ")

    def mark_below(self) -> None:
        """Move the title of the only panel above the mark of the figure.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(1, mark="quick: 3 days")
        >>> title = figure.panels[0].set_title("Mean wait", loc="left")
        >>> figure.mark_below()
        >>> figure.get_suptitle().splitlines()
        ['Mean wait', 'quick: 3 days']
        """
        if self._mark and not self._title and self.heading:
            self.entitle(self.heading)
            self.panels[0].set_title("", loc="left")

    def describe(self, *sentences: str) -> None:
        """Add sentences that the caption does not contain yet; the figure grows accordingly.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(2, width=7.0)
        >>> figure.describe("Dots: single runs.")
        >>> figure.describe("Dots: single runs.", "Line: their mean.")
        >>> figure.caption
        'Dots: single runs. Line: their mean.'
        """
        self._sentences += [
            line for line in dict.fromkeys(sentences) if line and line not in self._sentences
        ]
        width = float(self.get_size_inches()[0])
        room = 72.0 * (width - 0.2)
        lines = 0.0
        if heading := "\n".join(filter(None, [self._title, self._mark])):
            text = wrap(heading, room, LARGE + 1.0, bold=True)
            look: dict[str, Any] = {"x": 0.05 / width, "ha": "left", "color": _INK}
            look["linespacing"] = SPACING
            self._above_text = self.suptitle(text, fontsize=LARGE + 1.0, fontweight="bold", **look)
            lines += (text.count("\n") + 1) * (LARGE + 1.0)
        if self._sentences:
            size = 7.0 if width < NARROW else 7.5
            text = wrap(self.caption, room, size)
            look = {"x": 0.05 / width, "ha": "left", "color": GREY, "parse_math": False}
            self._below_text = self.supxlabel(text, fontsize=size, linespacing=1.15, **look)
            lines += (text.count("\n") + 1) * size
        self._above = LINE * lines / 72.0
        self.set_size_inches(width, self._rows * self._each + self._above)

    def entitle(self, title: str) -> None:
        """Set the title above all panels if the figure has none yet.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(2, width=7.0)
        >>> figure.entitle("Mean wait")
        >>> figure.entitle("another title")
        >>> figure.get_suptitle()
        'Mean wait'
        """
        if not self._title:
            self._title = title
            self.describe()

    def fit(self, height: float) -> None:
        """Set the height of each panel (inches), including its labels; the highest one decides.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(2, width=7.0)
        >>> figure.fit(3.0)
        >>> figure.fit(2.0)
        >>> float(figure.get_figheight())
        3.0
        """
        self._each = max(self._each, height) if self._fitted else height
        self._fitted = True
        self.set_size_inches(self.get_figwidth(), self._rows * self._each + self._above)

    def grow(self, height: float) -> None:
        """Set a minimum height of each panel (inches), including its labels.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(2, width=7.0)
        >>> before = figure.get_figheight()
        >>> figure.grow(10.0)
        >>> bool(figure.get_figheight() > before)
        True
        """
        self._each = max(self._each, height)
        self.set_size_inches(self.get_figwidth(), self._rows * self._each + self._above)

    def draw(self, renderer: RendererBase) -> None:
        """Compute the layout, wrap the titles to the width of the panels, then draw.

        Examples
        --------
        >>> from clustersim.plots import study_figure
        >>> figure = study_figure(2, width=7.0)
        >>> figure.canvas.draw()
        >>> bool(figure.panels[0].get_position().x0 < figure.panels[1].get_position().x0)
        True
        """
        engine = self.get_layout_engine()
        if engine is not None:
            engine.execute(self)
        for ax in self.axes:
            for artist in ax.artists:
                if isinstance(artist, PanelLabels):
                    artist.fit(renderer)
        super().draw(renderer)
        self._drawn = self._without_texts(renderer)

    def _without_texts(self, renderer: RendererBase) -> tuple[float, float]:
        """Return the top and the bottom of the part between title and caption."""
        height, gap = float(self.bbox.height), 3.0 * self.dpi / 72.0
        top, bottom = 0.0, height
        above = self._above_text if self._title else None
        if above is None and not self._mark and len(self.panels) == 1:
            above = self.panels[0]._left_title  # type: ignore[attr-defined]
        legends = [*self.legends, *filter(None, (ax.get_legend() for ax in self.axes))]
        box = None if above is None else above.get_window_extent(renderer)
        if box and any(each.get_window_extent(renderer).y1 > box.y1 for each in legends):
            above = None
        if box is not None and above is not None and above.get_text():
            lines = above.get_text().count("\n") + 1
            mark = wrap(self._mark, *self._heading_room, bold=True).count("\n") + 1
            kept = mark if above is self._above_text and self._mark else 0
            top = height - box.y0 + gap
            if kept:  # the cut is in the middle of the gap between the title and the mark
                font = above.get_fontproperties()
                last = "\n".join(above.get_text().splitlines()[-kept:])
                alone = Text(text=last, figure=self, fontproperties=font, linespacing=SPACING)
                own = alone.get_window_extent(renderer).height
                each = (box.height - own) / (lines - kept)
                top = height - box.y0 - (own + kept * each) / 2.0 + gap
        if self._below_text is not None:
            bottom = height - self._below_text.get_window_extent(renderer).y1 - gap
        return max(0.0, top - gap) / height, min(height, bottom) / height

    @property
    def _heading_room(self) -> tuple[float, float]:
        """Width of the heading and its type size, in points."""
        return 72.0 * (float(self.get_size_inches()[0]) - 0.2), LARGE + 1.0


def study_figure(
    n_panels: int = 1,
    *,
    title: str = "",
    mark: str = "",
    caption: str = "",
    width: float = SINGLE,
    columns: int | None = None,
    panel_height: float | None = None,
) -> StudyFigure:
    """Return a figure with empty panels.

    Parameters
    ----------
    n_panels : int
    title, caption : str
        Text above and below all panels, wrapped to the width. The plots of this package add
        the meaning of their bands and marks to the caption.
    mark : str
        Text below the title, such as what limits the results.
    width : float
        Width of the whole figure in inches; at :data:`SINGLE` or more, all text is legible in
        print.
    columns : int, optional
        Number of panels per row; by default, as many as fit with 3.3 inches each.
    panel_height : float, optional
        Height of a panel in inches, without title and caption.

    Raises
    ------
    InputError
        If there is no panel, or a panel would be narrower than 1.6 inches.

    Examples
    --------
    >>> from clustersim.plots import study_figure
    >>> figure = study_figure(2, width=7.0, caption="Bands: 95 % intervals.")
    >>> len(figure.panels), figure.caption
    (2, 'Bands: 95 % intervals.')
    """
    if n_panels < 1:
        raise InputError("figure", f"n_panels must be at least 1, found {n_panels}")
    across = columns if columns is not None else max(1, int((width + 0.2) / SINGLE))
    across = min(n_panels, across)
    if across < 1 or not width / across >= 1.6:
        raise InputError(
            "figure",
            f"width {width:g} in is too narrow for {across} columns; each needs 1.6 in",
        )
    rows = math.ceil(n_panels / across)
    each = panel_height or min(4.0, max(2.3, 0.58 * width / across))
    with plot_style(width / across):
        figure = StudyFigure(figsize=(width, rows * each), layout="constrained")
        figure._rows, figure._each, figure._sentences = rows, each, []
        figure._title, figure._mark = title, mark
        grid = figure.add_gridspec(rows, across)
        figure.panels = [
            figure.add_subplot(grid[place // across, place % across]) for place in range(n_panels)
        ]
        figure.describe(caption)
    return figure


def panel(ax: Axes | None, *, height: float | None = None) -> Axes:
    """Return the given axes, or the axes of a new figure as wide as one column."""
    return study_figure(panel_height=height).panels[0] if ax is None else ax


@contextmanager
def wide_panel(ax: Axes | None) -> Iterator[Axes]:
    """Yield the given axes, or new ones, with the type sizes of a figure of two columns' width.

    Examples
    --------
    >>> with wide_panel(None) as ax:
    ...     ax.get_title()
    ''
    """
    with plot_style(DOUBLE if ax is None else ax):
        yield panel(ax)


def describe(ax: Axes, *sentences: str) -> None:
    """Add sentences to the caption of a :class:`StudyFigure`; other figures are left unchanged."""
    if isinstance(ax.figure, StudyFigure):
        ax.figure.describe(*sentences)


def need_height(ax: Axes, points: float) -> None:
    """Make the panels of a :class:`StudyFigure` high enough for axes of this height in points."""
    if isinstance(ax.figure, StudyFigure):
        ax.figure.grow((points + _AROUND) / 72.0)


def fit_height(ax: Axes, points: float) -> None:
    """Give the panels of a :class:`StudyFigure` this height of their axes, in points."""
    if isinstance(ax.figure, StudyFigure):
        ax.figure.fit((points + _AROUND) / 72.0)
