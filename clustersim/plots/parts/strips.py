"""Strips at the top or bottom of axes, which show where and why a line has no finite value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from clustersim.array_types import Bools, Floats
from clustersim.plots.figure import BeforeDrawing, type_size

__all__ = ["NO_STRIP", "Strip", "draw_strip", "middle_of", "rooms", "spans"]

_WORDS, _ROW, _EDGE = 0.09, 0.045, 0.02
"""Heights of the words, of a row of bars, and of the space around them, as shares of the axes."""
_THICK = 3.0
_GROUND = "#f2f2f2"
"""Colour behind a strip, which sets it apart from the scale of the axes."""
NO_STRIP = 0.06
"""Room at an edge without a strip, as a share of the height of the axes."""


class Strip:
    """Bars of one strip, with the words that explain them.

    Parameters
    ----------
    words : str
        Such as "overloaded".
    bars : sequence of (str, list of (float, float))
        Colour and spans along x of each line.
    in_one_row : bool
        Whether all bars are in one row.
    inset : float
        Distance from the edge, as a share of the height of the axes.
    """

    def __init__(
        self,
        words: str,
        bars: Sequence[tuple[str, list[tuple[float, float]]]],
        *,
        in_one_row: bool = False,
        inset: float = 0.0,
    ) -> None:
        self.words = words
        self.bars = [(ink, found) for ink, found in bars if found]
        self.in_one_row, self.inset = in_one_row, inset

    @property
    def room(self) -> float:
        """The share of the height of the axes that the strip needs."""
        rows = min(len(self.bars), 1) if self.in_one_row else len(self.bars)
        return self.inset + 2 * _EDGE + _WORDS + _ROW * rows if rows else NO_STRIP


def spans(x: Floats, which: Bools) -> list[tuple[float, float]]:
    """Return the ranges of x around the chosen points, up to halfway to the next points.

    Parameters
    ----------
    x : array (points,)
        In ascending order.
    which : array of bool (points,)

    Returns
    -------
    list of (float, float)
        A bound is infinite if there is no next point on that side.

    Examples
    --------
    >>> spans(np.array([1.0, 2.0, 4.0]), np.array([False, True, True]))
    [(1.5, inf)]
    """
    half = 0.5 * (x[1:] + x[:-1])
    begins, ends = np.concatenate(([-np.inf], half)), np.concatenate((half, [np.inf]))
    found: list[tuple[float, float]] = []
    for begin, end in zip(begins[which], ends[which], strict=True):
        if found and found[-1][1] == begin:
            begin = found.pop()[0]
        found.append((float(begin), float(end)))
    return found


def middle_of(ax: Axes, begin: float, end: float) -> float:
    """Return the value of x that is drawn halfway between two others, on any scale."""
    ends = ax.transScale.transform([(begin, ax.get_ylim()[1]), (end, ax.get_ylim()[1])])
    half = ends.mean(axis=0)
    return float(ax.transScale.inverted().transform(half)[0])


def rooms(below: Strip, above: Strip) -> tuple[float, float]:
    """Return the room that two strips need next to the data, as shares of the span of the data."""
    inside = 1.0 - below.room - above.room
    return below.room / inside, above.room / inside


def draw_strip(ax: Axes, strip: Strip, *, top: bool, said: bool = True) -> None:
    """Draw the bars of a strip in rows, and its words next to the edge of the axes.

    Parameters
    ----------
    ax : Axes
        Axes whose limits are already set.
    strip : Strip
    top : bool
        Whether the strip is at the top of the axes; if not, it is at the bottom.
    said : bool
        Whether to write the words.
    """
    if not strip.bars:
        return
    low, high = sorted(ax.get_xlim())
    base = ax.get_xaxis_transform()
    begin = 1.0 - strip.room if top else strip.inset
    ground = Rectangle((0.0, begin), 1.0, strip.room - strip.inset, transform=ax.transAxes)
    ground.set(facecolor=_GROUND, edgecolor="none", zorder=0.6, gid="strip-ground")
    ax.add_patch(ground)
    middles = []
    for row, (ink, found) in enumerate(strip.bars):
        up = strip.inset + _EDGE + _WORDS + _ROW * (0.5 if strip.in_one_row else row + 0.5)
        for begin, end in found:
            begin, end = max(begin, low), min(end, high)
            middles.append((begin, end))
            at = 1.0 - up if top else up
            ax.plot(
                [begin, end],
                [at, at],
                color=ink,
                lw=_THICK,
                solid_capstyle="butt",
                transform=base,
                zorder=3.5,
                clip_on=False,
                gid="strip",
            )
    if said:
        widest = max(middles, key=lambda span: span[1] - span[0])
        up = strip.inset + _EDGE + 0.5 * _WORDS
        middle = middle_of(ax, *widest)
        text = ax.text(
            middle,
            1.0 - up if top else up,
            strip.words,
            transform=base,
            ha="center",
            va="center",
            fontsize=type_size(ax) - 0.5,
            color="#444444",
            zorder=4,
            parse_math=False,
        )
        text.set_in_layout(False)
        ax.add_artist(_KeptInside(ax, text, middle))


class _KeptInside(BeforeDrawing):
    """Moves a text along x until it lies inside its axes."""

    def __init__(self, ax: Axes, text: Text, x: float) -> None:
        super().__init__(ax)
        self.text, self.x = text, x

    def arrange(self, renderer: RendererBase) -> None:
        self.text.set_x(self.x)
        box, room = self.text.get_window_extent(renderer), self.of.bbox
        over = max(0.0, room.x0 + 2.0 - box.x0) - max(0.0, box.x1 - room.x1 + 2.0)
        if over:
            at = self.of.transData.transform((self.x, self.of.get_ylim()[0]))[0] + over
            self.text.set_x(float(self.of.transData.inverted().transform((at, 0.0))[0]))
