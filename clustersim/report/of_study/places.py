"""Texts that describe sets of points by what the points share instead of listing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import named_value, number_in_words, place_in_words, value_name
from clustersim.studies.study_result import StudyResult
from clustersim.units import listed

__all__ = ["MOST_PLACES", "places_in_words", "shared_in_words"]

MOST_PLACES = 3
"""At most this many points are named one by one."""
_MOST_VALUES, _MOST_PARTS = 5, 4

Row = Mapping[Any, Any]


def places_in_words(
    result: StudyResult,
    rows: Sequence[Row],
    universe: Sequence[Row],
    axes: Mapping[str, Axis],
    *,
    leave_out: Sequence[str] = (),
) -> str:
    """Return which points some rows are, by the values of the parameters that they share.

    Up to three points are named.  For more, the text names the values of each parameter if the
    points are all combinations of them, or the same for each value of one parameter.  If neither
    holds, it gives the range of the parameters.

    Parameters
    ----------
    result : StudyResult
    rows : sequence of mapping
        Rows with the parameters of the study; at least one.
    universe : sequence of mapping
        All rows from which they were chosen.
    axes : mapping of str to Axis
    leave_out : sequence of str
        Parameters that the text does not need.
    """
    names = [
        name
        for name in result.parameters
        if name not in leave_out and all(name in row for row in universe)
    ]
    if len(rows) <= MOST_PLACES:
        kept = [{name: row[name] for name in names} for row in rows]
        return "; ".join(dict.fromkeys(place_in_words(result, row, axes) for row in kept))
    words = _Words(universe, names, axes)
    exact, text = words.of(rows)
    if exact:
        return text or f"all {len(rows)} points"
    count = f"{len(rows)} of {len(universe)} points"
    return f"{count}, all with {text}" if text else f"{count}, at all values"


def shared_in_words(
    result: StudyResult, rows: Sequence[Row], universe: Sequence[Row], axes: Mapping[str, Axis]
) -> str:
    """Return what some rows share: values of parameters that not all rows have; "" for nothing."""
    names = [name for name in result.parameters if all(name in row for row in universe)]
    return _Words(universe, names, axes).of(rows)[1]


class _Words:
    """The values of the parameters of a study, and texts for sets of its points."""

    def __init__(self, universe: Sequence[Row], names: Sequence[str], axes: Mapping[str, Axis]):
        self.axes = axes
        self.all = {name: _values(universe, name) for name in names}
        self.names = [name for name in names if len(self.all[name]) > 1]
        self.universe = {self._place(row) for row in universe}

    def _place(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.names)

    def of(self, rows: Sequence[Row]) -> tuple[bool, str]:
        """Return whether words name exactly these points, and the words; "" for all points."""
        chosen = {self._place(row) for row in rows}
        if self._is_product(chosen):
            return True, self._product(rows)
        parts = [text for name in self.names if (text := self._by(name, rows))]
        return (True, min(parts, key=len)) if parts else (False, self._product(rows))

    def _is_product(self, chosen: set[tuple[Any, ...]]) -> bool:
        """Return whether places are all combinations of some values of each parameter."""
        values = [list(dict.fromkeys(place[k] for place in chosen)) for k in range(len(self.names))]
        if prod(map(len, values)) > len(self.universe):
            return False
        return {place for place in product(*values) if place in self.universe} == chosen

    def _by(self, name: str, rows: Sequence[Row]) -> str:
        """Return the points for each value of a parameter; "" if this takes too many words."""
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            groups.setdefault(row[name], []).append(row)
        if len(groups) > _MOST_PARTS:
            return ""
        texts: dict[str, list[Any]] = {}
        for value, own in groups.items():
            if not self._is_product({self._place(row) for row in own}):
                return ""
            texts.setdefault(self._product(own, but=name), []).append(value)
        parts = []
        for text, values in texts.items():
            every = len(values) == len(self.all[name])
            named = "" if every else self._named(name, values)
            parts.append(", ".join(filter(None, [named, text])))
        return "; ".join(parts)

    def _product(self, rows: Sequence[Row], but: str = "") -> str:
        """Return the values of each parameter that are not all of its values."""
        parts = []
        for name in self.names:
            values = _values(rows, name)
            if name != but and len(values) < len(self.all[name]):
                parts.append(self._named(name, values))
        return ", ".join(parts)

    def _named(self, name: str, values: Sequence[Any]) -> str:
        """Return some values of a parameter, with its label unless they are names."""
        axis, known = self.axes.get(name, axis_of(name)), self.all[name]
        texts = [
            number_in_words(value, axis) if isinstance(value, float) else value_name(value, axis)
            for value in values
        ]
        first = known.index(values[0])
        follow = known[first : first + len(values)] == list(values) and _is_number(values[0])
        if len(values) > _MOST_VALUES or (len(values) > 2 and follow):
            ends = f"{texts[0]} to {texts[-1]}"
            text = ends if _is_number(values[0]) else f"{len(values)} values"
        else:
            text = listed(texts)
        if text.endswith(" values"):
            return f"{text} of {axis.label}"
        return named_value(name, values[0], text, axis)


def _values(rows: Sequence[Row], name: str) -> list[Any]:
    """Return the values of a parameter: numbers in ascending order, names as they come."""
    values = list(dict.fromkeys(row[name] for row in rows))
    return sorted(values) if all(map(_is_number, values)) else values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
