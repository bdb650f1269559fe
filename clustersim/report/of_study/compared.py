"""Systems compared with a baseline: their differences, and the points without a difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import system_name
from clustersim.report.amounts import NOTHING, signed, signed_amounts
from clustersim.report.of_study.places import places_in_words
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, listed

__all__ = [
    "ABOVE",
    "BELOW",
    "Compared",
    "compared_systems",
    "is_steady",
    "not_compared",
    "points_of_rows",
    "side",
]

ABOVE, BELOW = 1.0, -1.0

Row = dict[Any, Any]


def is_steady(row: Mapping[Any, Any]) -> bool:
    """Return whether all pairs have the same ratio, so that no interval is needed."""
    return str(row.get("relative_note") or "").startswith("the ratio is the same")


def side(row: Mapping[Any, Any]) -> float:
    """Return on which side of 0 the interval of a relative difference lies; 0 if on both."""
    low, high = float(row["relative_low"]), float(row["relative_high"])
    if is_steady(row):
        low = high = float(row["relative"])
    return ABOVE if low > NOTHING else BELOW if high < -NOTHING else 0.0


@dataclass(frozen=True)
class Compared:
    """A system compared with the baseline in one metric.

    Attributes
    ----------
    name : str
    value : object
        The value of the compared parameter.
    rows : list of dict
        Differences at the points at which both have a number; may be empty.
    better, worse : list of dict
        Rows of which the 95 % interval lies on this side of 0.
    kept, lost, both : list of dict
        Points at which only the baseline, only the system, or both are overloaded.
    without : list of dict
        Other points without a relative difference.
    gain : float
        Mean of the relative differences, above 0 if it is an improvement.
    """

    name: str
    value: Any
    rows: list[Row]
    better: list[Row]
    worse: list[Row]
    kept: list[Row]
    lost: list[Row]
    both: list[Row]
    without: list[Row]
    gain: float

    @property
    def is_better(self) -> bool:
        """Whether the system is clearly better at some point, or is not overloaded."""
        return bool(self.better or self.kept)

    @property
    def is_worse(self) -> bool:
        """Whether the system is clearly worse at some point, or is overloaded alone."""
        return bool(self.worse or self.lost)

    @property
    def is_clear(self) -> bool:
        return self.is_better or self.is_worse

    @property
    def order(self) -> tuple[int, float]:
        """Sort key that puts the best system first."""
        return len(self.lost) - len(self.kept), -self.gain

    @property
    def ends(self) -> list[Row]:
        """The rows with the smallest and the largest effect, or the only row."""
        rows = sorted(self.rows, key=lambda row: abs(row["relative"]))
        return [rows[0], rows[-1]] if len(rows) > 1 else rows

    @property
    def number(self) -> str:
        """The relative difference, or its range over the points."""
        return " to ".join(dict.fromkeys(signed(float(row["relative"])) for row in self.ends))


def compared_systems(
    result: StudyResult, rows: pd.DataFrame, sign: float, axes: Mapping[str, Axis]
) -> list[Compared]:
    """Return the systems of a table of differences in one metric, the best first.

    Parameters
    ----------
    result : StudyResult
    rows : DataFrame
    sign : float
        1 if more is better, -1 if less is.
    axes : mapping of str to Axis
    """
    found = []
    for value, own in rows.groupby("system", sort=False):
        every = own.to_dict("records")
        known = [row for row in every if math.isfinite(row["relative"])]
        by_overload: dict[tuple[bool, bool], list[Row]] = {}
        for row in every:
            if not math.isfinite(row["relative"]):
                by_overload.setdefault(_overloaded(result, row), []).append(row)
        kept, lost, both, without = (
            by_overload.get(flags, [])
            for flags in ((False, True), (True, False), (True, True), (False, False))
        )
        sides = [sign * side(row) for row in known]
        better = [row for row, each in zip(known, sides, strict=True) if each > 0]
        worse = [row for row, each in zip(known, sides, strict=True) if each < 0]
        gain = sign * sum(row["relative"] for row in known) / len(known) if known else 0.0
        name = system_name(result, value, axes)
        kinds = (kept, lost, both, without)
        found.append(Compared(name, value, known, better, worse, *kinds, gain))
    return sorted(found, key=lambda system: system.order)


def _overloaded(result: StudyResult, row: Mapping[Any, Any]) -> tuple[bool, bool]:
    """Return whether the system and the baseline of a row are overloaded."""
    compare, points, metric = result.study.spec.compare, result.points, row["metric"]
    if compare is None or compare.of not in points or metric not in points:
        return False, False
    for name in result.parameters:
        if name != compare.of and name in row:
            points = points[points[name] == row[name]]
    over = points["overload"].astype(bool) | (points[metric].astype(float) == math.inf)
    ours, theirs = (
        bool(over[points[compare.of] == row[name]].any()) for name in ("system", "baseline")
    )
    return ours, theirs


def not_compared(
    result: StudyResult, rows: pd.DataFrame, metric: str, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield why a metric has no relative difference at any point, in one sentence."""
    axis = axes.get(metric, axis_of(metric))
    label = capital(axis.label)
    records = rows.to_dict("records")
    over = [_overloaded(result, row) for row in records]
    if records and all(map(all, over)):
        yield f"{label} cannot be compared: all systems are overloaded."
    elif any(map(any, over)):
        names = _overloaded_names(result, records, over, axes)
        yield f"{label} cannot be compared: {listed(names)} overloaded."
    elif all(math.isfinite(row["difference"]) for row in records):
        changes = dict.fromkeys(
            f"{system_name(result, row['system'], axes)}: "
            f"{signed_amounts([float(row['difference'])], axis)[0]}"
            for row in records[:3]
        )
        yield (
            f"{label} has no percentage, because that of the baseline is 0 ({'; '.join(changes)})."
        )
    else:
        yield f"{label} cannot be compared: it has no value in some runs."


def _overloaded_names(
    result: StudyResult,
    records: Sequence[Row],
    over: Sequence[tuple[bool, bool]],
    axes: Mapping[str, Axis],
) -> list[str]:
    values = [
        row[name]
        for row, flags in zip(records, over, strict=True)
        for name, flag in zip(("system", "baseline"), flags, strict=True)
        if flag
    ]
    names = list(dict.fromkeys(system_name(result, value, axes) for value in values))
    return [*names[:-1], f"{names[-1]} {'is' if len(names) == 1 else 'are'}"]


def points_of_rows(
    result: StudyResult, rows: Sequence[Row], every: pd.DataFrame, axes: Mapping[str, Axis]
) -> str:
    """Return a text that names the points of some rows of a table of differences."""
    compare = result.study.spec.compare
    left = [] if compare is None else [compare.of]
    others = [name for name in result.parameters if name in every and name not in left]
    universe = every[others].drop_duplicates().to_dict("records") if others else []
    return places_in_words(result, rows, universe, axes, leave_out=left)
