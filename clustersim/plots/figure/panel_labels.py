"""The title and the axis labels of a panel: wrapped to its width, and aligned within a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.text import Text

from clustersim.plots.figure.type_sizes import panel_width, type_size
from clustersim.plots.figure.wrapped_text import wrap

__all__ = ["GREY", "LINE", "BeforeDrawing", "PanelLabels", "dress"]

LINE = 1.25
"""Line height as a multiple of the type size."""
GREY = "#444444"
"""Colour of captions and of the labels above y axes."""


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
    ax.set_ylabel(y, rotation=0, ha="left", va="bottom", color=GREY, **look)
    ax.tick_params(labelsize=size - 0.5)
    labels = next((artist for artist in ax.artists if isinstance(artist, PanelLabels)), None)
    if labels is None:
        labels = PanelLabels(ax, heading)
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


class PanelLabels(BeforeDrawing):
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
        pad = 5.0 + LINE * lines * size
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
