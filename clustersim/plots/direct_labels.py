"""Labels that replace a legend: next to the lines and points that they name, without overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform, ScaledTranslation

from clustersim.array_types import Floats
from clustersim.plots.figure import BeforeDrawing, need_height, panel_width, type_size, wrap

__all__ = ["EndLabel", "label_ends", "label_points", "spread_out"]

_GLYPHS = {
    "o": "●",
    "s": "■",
    "^": "▲",
    "D": "◆",
    "v": "▼",
    "P": "✚",
    "X": "✖",
    "*": "★",
}
_TOP = 0.9
"""Height of the labels at the top, as a share of the axes."""
_SIDES = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
"""Sides of a point to try: 1 is right or up, -1 is left or down."""
_ACROSS: dict[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}
_UP: dict[int, Literal["bottom", "center", "top"]] = {1: "bottom", 0: "center", -1: "top"}


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A label and the end of the line that it names.

    Attributes
    ----------
    text : str
    x, y : float
        End of the line in data coordinates. If `y` is not finite, the label is placed at the
        top. If `x` is not finite, no leader line is drawn.
    ink : str
    marker : str
        Marker of the line, repeated before the label; "" for none.
    shift : float
        Horizontal distance of the line's end from `x`, in points.
    above : bool
        Whether the line has no finite value after this point, so that the label is at the top.
    """

    text: str
    x: float
    y: float
    ink: str
    marker: str = ""
    shift: float = 0.0
    above: bool = False


def spread_out(wanted: npt.ArrayLike, sizes: npt.ArrayLike, low: float, high: float) -> Floats:
    """Move intervals as little as possible so that none overlaps another.

    Neighbours that would overlap are pooled around their mean position (the
    pool-adjacent-violators algorithm of isotonic regression; Barlow et al., 1972).  Then all
    intervals are shifted into ``[low, high]`` as far as they fit.

    Parameters
    ----------
    wanted, sizes : array_like (intervals,)
        Centres and lengths.
    low, high : float
        Limits; if the intervals do not fit, they start at `low` and extend beyond `high`.

    Returns
    -------
    array (intervals,)
        Centres, in the order given.

    Examples
    --------
    >>> spread_out([5.0, 5.0, 9.0], [2.0, 2.0, 1.0], 0.0, 10.0)
    array([4., 6., 9.])
    """
    wishes = np.asarray(wanted, dtype=np.float64)
    lengths = np.asarray(sizes, dtype=np.float64)
    order = np.argsort(wishes, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(lengths[order])))[:-1] + 0.5 * lengths[order]
    room = max(low, high - float(lengths.sum()))
    pools: list[tuple[float, int]] = []
    for offset in np.clip(wishes[order] - before, low, room):
        pools.append((float(offset), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, n), (other, m) = pools[-2:]
            pools[-2:] = [((n * one + m * other) / (n + m), n + m)]
    places = np.empty_like(wishes)
    places[order] = np.repeat([at for at, _ in pools], [count for _, count in pools]) + before
    return places


def label_ends(ax: Axes, labels: Sequence[EndLabel]) -> None:
    """Write labels to the right of the axes at the heights where their lines end.

    If a label had to move away from the end of its line, a thin grey line beside the axes connects
    the two.  A line that ends inside the axes has none, because it would look like data; colour and
    marker identify it.  The labels are placed anew whenever the figure is drawn, so that they
    follow the layout.

    Parameters
    ----------
    ax : Axes
    labels : sequence of EndLabel
    """
    if not labels:
        return
    size = type_size(ax) - 0.5
    leaders = LineCollection([], transform=IdentityTransform(), zorder=1.5)
    leaders.set(linewidths=0.6, color="#999999", clip_on=False)
    leaders.set_in_layout(False)
    placer = _EndPlacer(ax, labels, leaders)
    ax.add_artist(placer)
    ax.add_artist(leaders)
    beside = ax.transAxes + ScaledTranslation(5.0 / 72.0, 0.0, ax.figure.dpi_scale_trans)
    room = 72.0 * min(1.4, max(0.8, 0.26 * panel_width(ax)))
    for label in labels:
        glyph = f"{_GLYPHS[label.marker]}\u00a0" if label.marker in _GLYPHS else ""
        text = ax.text(
            1.0,
            0.5,
            wrap(glyph + label.text, room, size, bold=True),
            transform=beside,
            color=_legible(label.ink),
            fontsize=size,
            fontweight="bold",
            va="center",
            linespacing=1.0,
            parse_math=False,
        )
        placer.texts.append(text)
    lines = sum(text.get_text().count("\n") + 1 for text in placer.texts)
    need_height(ax, 1.3 * size * lines)


def _legible(ink: str) -> str:
    """Return the colour, or a darker shade of it if it is too bright for text on white."""
    red, green, blue = to_rgb(ink)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    shade = min(1.0, 0.58 / bright) if bright else 1.0
    return to_hex((shade * red, shade * green, shade * blue))


class _EndPlacer(BeforeDrawing):
    def __init__(self, ax: Axes, labels: Sequence[EndLabel], leaders: LineCollection) -> None:
        super().__init__(ax)
        self.labels, self.leaders = labels, leaders
        self.texts: list[Text] = []

    def arrange(self, renderer: RendererBase) -> None:
        box, point = self.of.bbox, self.of.figure.dpi / 72.0
        ends, top = [], self._at_top()
        for label in self.labels:
            known = np.isfinite([label.x, label.y])
            x, y = self.of.transData.transform(np.where(known, (label.x, label.y), 1.0))
            if label in top:
                y = box.y0 + _TOP * box.height - 6.0 * point * top.index(label)
            ends.append((min(x + label.shift * point, box.x1), float(np.clip(y, box.y0, box.y1))))
        heights = [text.get_window_extent(renderer).height + 1.5 * point for text in self.texts]
        places = spread_out([y for _, y in ends], heights, box.y0 - 2 * point, box.y1 + 4 * point)
        lines = []
        for (x, y), place, text, label in zip(ends, places, self.texts, self.labels, strict=True):
            text.set_y((place - box.y0) / box.height)
            beside = box.x1 - x < 12 * point and label not in top
            if beside and abs(place - y) > 6 * point and np.isfinite(label.x):
                lines.append([(x + 3 * point, y), (box.x1 + 4 * point, place)])
        self.leaders.set_segments(lines)

    def _at_top(self) -> list[EndLabel]:
        """Return the labels at the top, in the order of their lines from above."""
        top = [label for label in self.labels if label.above or not np.isfinite(label.y)]
        return sorted(top, key=lambda label: (label.x, -label.y) if label.above else (np.inf, 0.0))


def label_points(
    ax: Axes,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    texts: Sequence[str],
    *,
    avoid: Sequence[npt.ArrayLike] = (),
    toward: tuple[float, float] = (1.0, 0.1),
) -> None:
    """Write a short text next to each point, and omit texts that do not fit.

    Parameters
    ----------
    ax : Axes
    x, y : array_like (points,)
        In data coordinates.
    texts : sequence of str
        One per point; "" for a point without a text, which other texts avoid.
    avoid : sequence of array_like (vertices, 2)
        Lines that no text may cross, in data coordinates.
    toward : (float, float)
        The side of a point to try first: right and up are positive.
    """
    places = np.column_stack((np.asarray(x, dtype=float), np.asarray(y, dtype=float)))
    lines = [np.asarray(line, dtype=np.float64).reshape(-1, 2) for line in avoid]
    placer = _PointPlacer(ax, places, lines, toward)
    ax.add_artist(placer)
    for text in texts:
        written = ax.text(
            0.0,
            0.0,
            text,
            transform=IdentityTransform(),
            fontsize=type_size(ax) - 0.5,
            color="#222222",
            clip_on=False,
            parse_math=False,
        )
        written.set_in_layout(False)
        placer.texts.append(written)


class _PointPlacer(BeforeDrawing):
    def __init__(
        self,
        ax: Axes,
        places: Floats,
        avoid: Sequence[Floats],
        toward: tuple[float, float],
    ) -> None:
        super().__init__(ax)
        self.sides = sorted(_SIDES, key=lambda side: -float(np.dot(side, toward)))
        self.places, self.avoid = places, avoid
        self.texts: list[Text] = []

    def arrange(self, renderer: RendererBase) -> None:
        point = self.of.figure.dpi / 72.0
        centres = self.of.transData.transform(self.places)
        lines = [_dense(self.of.transData.transform(line), point) for line in self.avoid]
        occupied = np.concatenate([centres, *lines]) if lines else centres
        taken: list[Bbox] = []
        for text, centre in zip(self.texts, centres, strict=True):
            if not text.get_text():
                continue
            text.set_visible(True)
            boxes = self._boxes(text, centre, point, renderer)
            box = next((box for box in boxes if self._free(box, occupied, taken)), None)
            text.set_visible(box is not None)
            if box is not None:
                taken.append(box)

    def _boxes(
        self, text: Text, centre: Floats, point: float, renderer: RendererBase
    ) -> Iterator[Bbox]:
        """Move a text to each possible position around its point, and yield its box there."""
        for across, up in self.sides:
            gap = (3.2 if across and up else 4.5) * point
            x, y = centre + gap * np.array((across, up))
            text.set_position((float(x), float(y)))
            text.set_horizontalalignment(_ACROSS[across])
            text.set_verticalalignment(_UP[up])
            yield text.get_window_extent(renderer)

    def _free(self, box: Bbox, occupied: Floats, taken: list[Bbox]) -> bool:
        room = self.of.bbox
        inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
        x, y = occupied.T
        near = 2.4 * self.of.figure.dpi / 72.0
        hit = (x > box.x0 - near) & (x < box.x1 + near) & (y > box.y0 - near) & (y < box.y1 + near)
        return inside and not hit.any() and not any(box.overlaps(other) for other in taken)


def _dense(line: Floats, point: float) -> Floats:
    """Return vertices along a line, at most about 1/24 inch apart."""
    line = line[np.isfinite(line).all(axis=1)]
    if len(line) < 2:
        return line
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))))
    steps = np.linspace(0.0, along[-1], 2 + int(along[-1] / (3.0 * point)))
    return np.column_stack([np.interp(steps, along, line[:, k]) for k in (0, 1)])
