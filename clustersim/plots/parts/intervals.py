"""Intervals as bars or bands; an end that is unbounded is drawn open instead of at the frame.

An end is open if it is infinite, or if it reaches or passes the bound of the quantity although the
value does not.  For example, an interval of waits that begins at 0 says that its lower end is
unknown, not that it is 0.  If an interval does not determine the value, both ends are open; see
:mod:`~clustersim.plots.parts.determined`.

An interval that is much wider than most would leave no room for the rest.  The axis then ends
before it (:func:`near_ends`), its bar is cut at the edge with an arrow head, and the caption says
so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.metric_estimates import bounds_of
from clustersim.array_types import Bools, Floats
from clustersim.plots.axis import Axis
from clustersim.plots.parts.determined import is_undetermined, open_sides
from clustersim.plots.parts.ticks import finite

__all__ = [
    "CUT_BANDS",
    "CUT_BARS",
    "OPEN_BANDS",
    "OPEN_BARS",
    "Ends",
    "draw_band",
    "draw_bars",
    "ends_of_rows",
    "is_cut",
    "near_ends",
    "open_room",
]

OPEN_BARS = (
    "Arrow heads: the interval has no limit on this side; with two arrow heads, it is not "
    "determined. There are too few replications, or they differ too much."
)
OPEN_BANDS = (
    "Fading: the interval has no limit on this side; if it fades on both sides, it is not "
    "determined. There are too few replications, or they differ too much."
)
CUT_BARS = (
    "Arrow heads at the edge of the picture: the interval, much wider than the others, goes on."
)
CUT_BANDS = (
    "Shading up to the edge of the picture: the interval, much wider than the others, goes on."
)
_REACH, _MOST = 0.12, 0.6
"""Largest length of an open end, as a share of the axes and of the distance to their end."""
_ROOM = 0.16
"""Room at the end of an axis for open ends of intervals, as a share of the span of the values."""
_SLICES = 6
_FAR = 3.0
"""An end is cut if it is further from the values and their narrow intervals than this multiple of
their span."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Intervals of the rows of a table.

    Attributes
    ----------
    middle, low, high : array (rows,)
        Values and ends of their intervals; NaN if a row has no interval.
    open_low, open_high : array of bool (rows,)
        Whether an end is unbounded; `low` or `high` is then meaningless.
    """

    middle: Floats
    low: Floats
    high: Floats
    open_low: Bools
    open_high: Bools

    def __getitem__(self, rows: Any) -> Ends:
        return Ends(
            self.middle[rows],
            self.low[rows],
            self.high[rows],
            self.open_low[rows],
            self.open_high[rows],
        )

    @property
    def known(self) -> Bools:
        """Whether a row has an interval."""
        return np.isfinite(self.middle) & ~np.isnan(self.low) & ~np.isnan(self.high)

    @property
    def is_open(self) -> bool:
        """Whether an interval has an unbounded end."""
        return bool(((self.open_low | self.open_high) & self.known).any())

    @property
    def closed(self) -> Floats:
        """The finite ends, which axes must show."""
        known = self.known
        return np.concatenate(
            (self.low[known & ~self.open_low], self.high[known & ~self.open_high])
        )


def near_ends(ends: Ends, values: npt.ArrayLike, axis: Axis) -> Floats:
    """Return the finite ends that an axis shows: those that leave room for the values.

    All values and, of the intervals with an end, the narrower half are shown in any case.  On a
    logarithmic axis all ends are, because a wide interval takes little room there.

    Parameters
    ----------
    ends : Ends
    values : array_like
        Further values on the axis, in SI units.
    axis : Axis
        Axis of the quantity.

    Examples
    --------
    >>> from clustersim.plots.axis import Axis
    >>> middle, three = np.array([5.0, 6.0, 7.0]), np.zeros(3, dtype=bool)
    >>> ends = Ends(middle, middle - 1.0, np.array([6.0, 90.0, 8.0]), three, three)
    >>> near_ends(ends, [], Axis("load")).tolist()
    [4.0, 5.0, 6.0, 6.0, 8.0]
    """
    known, closed = ends.known & ~(ends.open_low & ends.open_high), ends.closed
    points = finite(values, ends.middle)
    if not len(closed) or axis.fitted(points).logarithmic:
        return closed
    low = np.where(known & ~ends.open_low, ends.low, ends.middle)
    high = np.where(known & ~ends.open_high, ends.high, ends.middle)
    narrow = known & (high - low <= np.median((high - low)[known]))
    shown = finite(points, low[narrow], high[narrow])
    least, most = float(shown.min()), float(shown.max())
    reach = _FAR * (most - least)
    near: Bools = (closed >= least - reach) & (closed <= most + reach)
    return closed[near] if reach > 0 else closed


def is_cut(ax: Axes, along: Literal["x", "y"], ends: Ends) -> bool:
    """Return whether an interval goes on beyond the limits of the axis."""
    return bool(np.any(_cut(ax, along, ends)))


def _cut(ax: Axes, along: Literal["x", "y"], ends: Ends) -> tuple[Bools, Bools]:
    """Return which intervals go on below and above the limits of the axis."""
    least, most = _limits(ax, along)
    return (
        ends.known & ~ends.open_low & (ends.low < least),
        ends.known & ~ends.open_high & (ends.high > most),
    )


def _limits(ax: Axes, along: Literal["x", "y"]) -> tuple[float, float]:
    least, most = sorted(ax.get_xlim() if along == "x" else ax.get_ylim())
    return float(least), float(most)


def open_room(ends: Ends | None, room: tuple[float, float]) -> tuple[float, float]:
    """Return the room at the ends of an axis, enlarged where open ends of intervals need it."""
    if ends is None:
        return room
    known = ends.known
    sides = (ends.open_low & known).any(), (ends.open_high & known).any()
    low, high = (max(own, _ROOM) if side else own for own, side in zip(room, sides, strict=True))
    return low, high


def ends_of_rows(
    rows: pd.DataFrame,
    value: str,
    kind: str = "",
    *,
    bounds: tuple[float, float] | None = None,
) -> Ends | None:
    """Return the intervals of a column; None if the table has none.

    Parameters
    ----------
    rows : DataFrame
        With the columns ``VALUE``, ``VALUE_low`` and ``VALUE_high``, or ``VALUE_draw_low`` and
        ``VALUE_draw_high`` for `kind` ``"_draw"``.  A single replication has no interval.
    value, kind : str
    bounds : (float, float), optional
        Least and largest possible value; by default those of the metric.
    """
    names = (value, f"{value}{kind}_low", f"{value}{kind}_high")
    if not set(names) <= set(rows.columns):
        return None
    least, most = bounds_of(value) if bounds is None else bounds
    middle, low, high = (rows[name].to_numpy(dtype=np.float64) for name in names)
    if not kind and "replications" in rows:
        alone = rows["replications"].to_numpy() == 1
        unknown = alone & ((low <= least) | (high >= most))
        low, high = (np.where(unknown, np.nan, end) for end in (low, high))
    open_low, open_high = open_sides(middle, low, high, (least, most))
    if not kind:
        count = rows["replications"].to_numpy(np.float64) if "replications" in rows else None
        null = 0.0 if value == "relative" else None
        nothing = is_undetermined(middle, low, high, (least, most), count=count, null=null)
        open_low, open_high = open_low | nothing, open_high | nothing
    return Ends(middle, low, high, open_low, open_high)


def _tips(ax: Axes, along: Literal["x", "y"], values: Floats, side: int) -> Floats:
    """Return where open ends of intervals stop: a short way from the values, inside the axes."""
    place = 0 if along == "x" else 1
    to_axes = ax.transScale + ax.transLimits
    ends = np.empty((len(values), 2))
    ends[:, 1 - place] = (ax.get_ylim() if along == "x" else ax.get_xlim())[0]
    ends[:, place] = values
    shares = to_axes.transform(ends)
    at = shares[:, place]
    distance = np.where(side < 0, np.minimum(at, 1.0), np.maximum(1.0 - at, 0.0))
    shares[:, place] = at + side * np.minimum(_REACH, _MOST * np.maximum(distance, 0.0))
    return np.asarray(to_axes.inverted().transform(shares)[:, place])


def _starts(ends: Ends, past: tuple[float, float] | None) -> tuple[Floats, Floats]:
    """Return where the open ends of intervals start: at their values, or at the values to pass."""
    least, most = (np.inf, -np.inf) if past is None else past
    # If there is no effect and the interval determines nothing, it starts at its own value.
    nothing = ends.open_low & ends.open_high & (least == most)
    return (
        np.where(nothing, ends.middle, np.minimum(ends.middle, least)),
        np.where(nothing, ends.middle, np.maximum(ends.middle, most)),
    )


def _reaches(
    ax: Axes, along: Literal["x", "y"], ends: Ends, past: tuple[float, float] | None
) -> tuple[Floats, Floats]:
    """Return where intervals are drawn to: ends, tips of open ends, or the edge of the picture."""
    below, above = _starts(ends, past)
    least, most = _limits(ax, along)
    low = np.where(ends.open_low, _tips(ax, along, below, -1), np.maximum(ends.low, least))
    high = np.where(ends.open_high, _tips(ax, along, above, 1), np.minimum(ends.high, most))
    return low, high


def draw_bars(
    ax: Axes,
    at: Floats,
    ends: Ends,
    *,
    ink: str,
    along: Literal["x", "y"] = "y",
    past: tuple[float, float] | None = None,
    transform: Any = None,
    cap: float = 4.0,
    **look: Any,
) -> None:
    """Draw intervals as bars with caps; an open end has an arrow head.

    An end beyond the axis is drawn to its edge and has an arrow head there (see `is_cut`).

    Parameters
    ----------
    ax : Axes
        Axes whose limits are already set.
    at : array (rows,)
        Positions of the bars across their direction.
    ends : Ends
    ink : str
    along : {"x", "y"}
        Direction of the bars.
    past : (float, float), optional
        Values that lower and upper open ends must visibly pass, such as no difference.
    transform : Transform, optional
        By default that of the data.
    cap : float
        Length of the caps in points; 0 for none.
    **look
        Passed to the lines.
    """
    known = ends.known
    at, ends = at[known], ends[known]
    low, high = _reaches(ax, along, ends, past)
    base = ax.transData if transform is None else transform
    lines = ax.vlines if along == "y" else ax.hlines
    lines(at, low, high, color=ink, transform=base, **{"lw": 0.9, **look})
    heads = (("v", "^"), "_") if along == "y" else (("<", ">"), "|")
    cut_low, cut_high = _cut(ax, along, ends)
    for end, has_head, head in (
        (low, ends.open_low | cut_low, heads[0][0]),
        (high, ends.open_high | cut_high, heads[0][1]),
    ):
        for which, marker, size in ((has_head, head, 3.2), (~has_head, heads[1], cap)):
            if which.any() and size:
                places = (at[which], end[which]) if along == "y" else (end[which], at[which])
                mark: dict[str, Any] = {"marker": marker, "ms": size, "mew": 0.9, "color": ink}
                ax.plot(*places, ls="none", transform=base, clip_on=which is not has_head, **mark)


def draw_band(
    ax: Axes,
    x: Floats,
    ends: Ends,
    *,
    ink: str,
    alpha: float,
    past: tuple[float, float] | None = None,
) -> None:
    """Shade intervals along a line; toward an open end, the shading fades out.

    Parameters
    ----------
    ax : Axes
        Axes whose limits are already set.
    x : array (rows,)
    ends : Ends
        With an interval in each row.
    ink : str
    alpha : float
    past : (float, float), optional
        As for :func:`draw_bars`.
    """
    below, above = _starts(ends, past)
    inner = (
        np.where(ends.open_low, below, ends.low),
        np.where(ends.open_high, above, ends.high),
    )
    ax.fill_between(x, *inner, color=ink, alpha=alpha, lw=0)
    for start, tip, is_open in zip(
        inner, _reaches(ax, "y", ends, past), (ends.open_low, ends.open_high), strict=True
    ):
        if not is_open.any():
            continue
        steps = [start + (tip - start) * share for share in np.linspace(0.0, 1.0, _SLICES + 1)]
        for number, (one, other) in enumerate(pairwise(steps)):
            faded = alpha * (1.0 - (number + 0.5) / _SLICES)
            ax.fill_between(x, one, other, color=ink, alpha=faded, lw=0)
