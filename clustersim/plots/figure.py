"""Figures with panels, a title and a caption that are never cut off, and type sizes for print."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from clustersim.errors import InputError
from clustersim.plots.style import style

__all__ = [
    "DOUBLE",
    "SINGLE",
    "StudyFigure",
    "describe",
    "dress",
    "fit_height",
    "need_height",
    "panel",
    "panel_width",
    "plot_style",
    "study_figure",
    "type_size",
    "wrap",
]

SINGLE, DOUBLE = 3.3, 7.0
"""Widths of one column and of both columns of a two-column paper, in inches."""
_NARROW, _SMALL, _LARGE = 4.5, 7.5, 8.5
_LINE, _AROUND = 1.25, 60.0
"""Line height as a multiple of the type size; total space above and below axes, in points."""
_INK, _GREY = "#222222", "#444444"


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
            text = wrap(heading, room, _LARGE + 1.0, bold=True)
            look: dict[str, Any] = {"x": 0.05 / width, "ha": "left", "color": _INK}
            self._above_text = self.suptitle(text, fontsize=_LARGE + 1.0, fontweight="bold", **look)
            lines += (text.count("\n") + 1) * (_LARGE + 1.0)
        if self._sentences:
            size = 7.0 if width < _NARROW else 7.5
            text = wrap(self.caption, room, size)
            look = {"x": 0.05 / width, "ha": "left", "color": _GREY, "parse_math": False}
            self._below_text = self.supxlabel(text, fontsize=size, linespacing=1.15, **look)
            lines += (text.count("\n") + 1) * size
        self._above = _LINE * lines / 72.0
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
                if isinstance(artist, _Labels):
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
            top = height - box.y0 - kept * box.height / lines + (0.0 if kept else gap)
        if self._below_text is not None:
            bottom = height - self._below_text.get_window_extent(renderer).y1 - gap
        return max(0.0, top - gap) / height, min(height, bottom) / height

    @property
    def _heading_room(self) -> tuple[float, float]:
        """Width of the heading and its type size, in points."""
        return 72.0 * (float(self.get_size_inches()[0]) - 0.2), _LARGE + 1.0


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


def panel_width(ax: Axes) -> float:
    """Return the width of a panel including its labels, in inches."""
    figure = ax.figure
    width = float(figure.bbox.width / figure.dpi)
    place = ax.get_subplotspec()
    if place is None:
        return width * float(ax.get_position().width)
    return width * len(place.colspan) / place.get_gridspec().ncols


def type_size(ax: Axes | float) -> float:
    """Return the type size of axis labels in points; tick labels are 0.5 points smaller.

    Parameters
    ----------
    ax : Axes or float
        A panel, or its width in inches.
    """
    width = ax if isinstance(ax, float | int) else panel_width(ax)
    return _SMALL if width < _NARROW else _LARGE


@contextmanager
def plot_style(ax: Axes | float | None) -> Iterator[None]:
    """Use the shared style and the type sizes for a panel, or for its width in inches."""
    size = type_size(SINGLE if ax is None else ax)
    sizes: Any = {
        "font.size": size - 0.5,
        "axes.titlesize": size + 0.5,
        "axes.labelsize": size,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.0,
        "axes.linewidth": 0.7,
        "hatch.linewidth": 0.5,
    }
    with style(), matplotlib.rc_context(sizes):
        yield


def dress(ax: Axes, title: str, *, x: str = "", y: str = "", capital: bool = True) -> None:
    """Write the title of a panel and the labels of its axes, wrapped to its width.

    The label of the y axis is horizontal, above the axis and below the title. There, it leaves
    the full width to the axes and is easy to read.  A title that is a name, such as that of a
    policy, does not get a capital letter.
    """
    size, width = type_size(ax), 72.0 * panel_width(ax)
    look: dict[str, Any] = {"parse_math": False}
    heading = ax.set_title(title[:1].upper() + title[1:] if capital else title, loc="left", **look)
    look["fontsize"] = size
    ax.set_xlabel(wrap(x, 0.8 * width, size), **look)
    ax.set_ylabel(y, rotation=0, ha="left", va="bottom", color=_GREY, **look)
    ax.tick_params(labelsize=size - 0.5)
    labels = next((artist for artist in ax.artists if isinstance(artist, _Labels)), None)
    if labels is None:
        labels = _Labels(ax, heading)
        ax.add_artist(labels)
    labels.wrap(width - 12.0)


class BeforeDrawing(Artist):
    """Invisible artist that arranges other artists before they are drawn or measured."""

    def __init__(self, ax: Axes) -> None:
        super().__init__()
        self.of = ax
        self.set_zorder(-100.0)

    def arrange(self, renderer: RendererBase) -> None:
        """Place the artists; all transforms are known when this method is called."""
        raise NotImplementedError

    def draw(self, renderer: RendererBase) -> None:
        self.arrange(renderer)

    def get_tightbbox(self, renderer: RendererBase | None = None) -> None:
        if renderer is not None:
            self.arrange(renderer)


class _Labels(BeforeDrawing):
    """Aligns the title and the y label of a panel with the widest tick labels in its column.

    Title and label may extend to the tick labels of the next column of panels.
    """

    def __init__(self, ax: Axes, heading: Text) -> None:
        super().__init__(ax)
        self.heading = heading
        self.left = 0.0
        self.whole: dict[Text, tuple[str, str]] = {}

    def wrap(self, width: float) -> None:
        """Wrap the title and the y label to a width in points; place the title above the label."""
        label = self.of.yaxis.label
        size = type_size(self.of)
        for text, points, bold in ((self.heading, size + 0.5, True), (label, size, False)):
            whole, written = self.whole.get(text, ("", ""))
            if text.get_text() != written:
                whole = text.get_text()
            text.set_text(wrap(whole, width, points, bold=bold))
            self.whole[text] = whole, text.get_text()
        lines = label.get_text().count("\n") + 1 if label.get_text() else 0
        pad = 5.0 + _LINE * lines * size
        look: dict[str, Any] = {"fontsize": size + 0.5, "fontweight": "bold"}
        self.of.set_title(self.heading.get_text(), loc="left", pad=pad, **look)

    def arrange(self, renderer: RendererBase) -> None:
        column = [ax for ax in self.of.figure.axes if _same(_columns(ax), _columns(self.of))]
        self.left = _left([self.of, *column], renderer)
        place = (self.left - self.of.bbox.x0) / self.of.bbox.width
        self.heading.set_x(place)
        point = self.of.figure.dpi / 72.0
        self.of.yaxis.set_label_coords(place, 1.0 + 3.0 * point / self.of.bbox.height)
        self._keep_inside(self.of.xaxis.label, renderer)

    def fit(self, renderer: RendererBase) -> None:
        """Wrap text that would reach into the next column or out of the figure."""
        self.arrange(renderer)
        own = _columns(self.of)
        spans = {ax: _columns(ax) for ax in self.of.figure.axes}
        beside = [ax for ax, span in spans.items() if own and span and span.start == own.stop]
        right = min(_left(beside, renderer), self.of.figure.bbox.x1)
        room = 72.0 * (right - self.left) / self.of.figure.dpi - 4.0
        boxes = [text.get_window_extent(renderer) for text in (self.heading, self.of.yaxis.label)]
        if max(box.width for box in boxes) * 72.0 / self.of.figure.dpi > room:
            self.wrap(room)

    def _keep_inside(self, label: Text, renderer: RendererBase) -> None:
        """Move the label of the x axis if it would leave the figure."""
        label.set_x(0.5)
        box, room = label.get_window_extent(renderer), self.of.figure.bbox
        over = max(0.0, 2.0 - box.x0) - max(0.0, box.x1 - room.x1 + 2.0)
        label.set_x(0.5 + over / self.of.bbox.width)


def _columns(ax: Axes) -> range | None:
    place = ax.get_subplotspec()
    return None if place is None else place.colspan


def _same(one: range | None, other: range | None) -> bool:
    return one is not None and one == other


def _left(axes: Sequence[Axes], renderer: RendererBase) -> float:
    """Return the left end of the tick labels of the y axes, in pixels."""
    labels = [label for ax in axes for label in ax.get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent(renderer) for label in labels]
    return min(
        [*(ax.bbox.x0 for ax in axes), *(box.x0 for box in boxes if box.height > 0)],
        default=math.inf,
    )


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal", family="DejaVu Sans")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def wrap(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Break text into lines of at most `width` points; split a word only if it alone is wider.

    Parameters
    ----------
    text : str
        Line breaks in the text are kept. A number stays on the same line as its unit.
    width, size : float
        Points.
    bold : bool

    Examples
    --------
    >>> wrap("mean wait of all jobs", 60.0, 7.5).splitlines()
    ['mean wait of', 'all jobs']
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in re.split(r"(?<!\d) +", paragraph):
            joined = f"{line} {word}".strip()
            if line and text_width(joined, size, bold=bold) > width:
                lines.append(line)
                joined = word
            while text_width(joined, size, bold=bold) > width and len(joined) > 1:
                head = _head(joined, width, size, bold)
                lines.append(head)
                joined = joined[len(head) :]
            line = joined
        lines.append(line)
    return "\n".join(lines)


def _head(word: str, width: float, size: float, bold: bool) -> str:
    """Return the part of a word for the first line: up to a separator, or an equal share."""
    most = next(
        (n - 1 for n in range(2, len(word) + 1) if text_width(word[:n], size, bold=bold) > width),
        len(word),
    )
    at = max(word.rfind(mark, 0, most) for mark in "._-/:")
    parts = math.ceil(len(word) / most)
    return word[: at + 1] if at >= 1 else word[: math.ceil(len(word) / parts)]
