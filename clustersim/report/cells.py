"""Table values formatted for reading: few digits, suitable units, intervals in parentheses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.units import (
    format_bytes,
    format_duration,
    format_money,
    format_number,
    format_quantity,
    format_rate,
    scale_of,
)

__all__ = ["Cell", "Column", "Format", "table_columns"]

Format = Callable[[float], str]
"""A function that converts a finite number of a column to text."""

_ENDS = ("_low", "_high")
_MISSING = "–"
_ONE_UNIT = 1e4
"""A column has one unit if its largest number is at most this factor above its smallest."""


@dataclass(frozen=True)
class Cell:
    """Text of a value, and its sort key (NaN: missing, None: sort by text).

    `same` marks a value that only repeats the group of the row above.
    """

    text: str
    value: float | None = None
    same: bool = False

    @property
    def key(self) -> str:
        """The sort key in JavaScript syntax."""
        return repr(self.value).replace("inf", "Infinity").replace("nan", "NaN")


@dataclass(frozen=True)
class Column:
    """Heading and cells of a column; numeric columns are right-aligned."""

    label: str
    numeric: bool
    cells: Sequence[Cell]
    name: str = ""


_BY_SUFFIX: Mapping[str, Format] = {
    "_s": format_duration,
    "_w": partial(format_rate, unit="W"),
    "_bytes": format_bytes,
    "_Bps": format_rate,
    "_cny": format_money,
}


_DIMENSIONS: Mapping[Format, str] = {
    format_duration: "duration",
    format_bytes: "bytes",
    format_money: "money",
}


def table_columns(
    frame: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    formats: Mapping[str, Format],
    intervals: bool,
    prefixes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    endless: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[Column]:
    """Convert a table to columns of formatted cells.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows and columns, quantities in SI.
    labels, formats : mapping
        Heading and format by column name; they replace those derived from the name and the
        values.  Names that are not in the table are ignored.  With `intervals`, an entry for
        ``m`` also applies to ``m_low`` and ``m_high``.
    intervals : bool
        Whether to join ``m``, ``m_low`` and ``m_high`` as ``"12.3 min (11 to 14)"``. Without a
        column ``m``, the other two are joined to a column ``m`` of ranges, ``"11 to 14 min"``.
    prefixes : mapping of str to sequence of str
        What precedes the interval of each row, by column ``m``: "" (nothing), ``"up to "`` or
        ``"from "`` (only the upper or lower end is shown), words before both ends, such as
        ``"3 runs: "``, or a text without a space at its end, which replaces both ends.
    endless : mapping of str to (str, str)
        Texts for minus and plus infinity, by column.

    Examples
    --------
    >>> waits = pd.DataFrame({"wait_s": [738.0], "wait_s_low": [660.0], "wait_s_high": [840.0]})
    >>> (column,) = table_columns(waits, labels={}, formats={}, intervals=True)
    >>> column.label, column.cells[0].text, column.cells[0].value
    ('wait', '12.3 min (11 to 14)', 738.0)
    """
    groups = _groups([str(name) for name in frame.columns], intervals)
    columns = []
    for name, members in groups.items():
        to_text = formats.get(name) or _format_of(name, frame[members])
        to_text = _in_column_unit(to_text, frame[members])
        rows = zip(*(frame[member].tolist() for member in members), strict=True)
        before = prefixes.get(name) or [""] * len(frame)
        cells = [
            _cell(row, to_text, is_range=members[0] != name, prefix=prefix)
            for row, prefix in zip(rows, before, strict=True)
        ]
        if name in endless:
            cells = [_with_ends(cell, *endless[name]) for cell in cells]
        label = labels.get(name, _label(name))
        columns.append(Column(label, _is_numeric(frame[members]), cells, name))
    return columns


def _groups(names: Sequence[str], intervals: bool) -> dict[str, list[str]]:
    """Return the columns to show, in order, each with the table columns that it joins."""
    groups: dict[str, list[str]] = {}
    for name in names:
        stem = re.sub("_(low|high)$", "", name)
        ends = [stem + end for end in _ENDS]
        if intervals and all(end in names for end in ends):
            groups[stem] = [stem, *ends] if stem in names else ends
        else:
            groups[name] = [name]
    return groups


def _format_of(name: str, values: pd.DataFrame) -> Format:
    """Return the format for a column, from its unit suffix or else from its numbers."""
    suffix = _unit_suffix(name)
    return _BY_SUFFIX[suffix] if suffix else _number_format(values)


def _unit_suffix(name: str) -> str:
    bare = re.sub("_(draw|half)$", "", name)
    return next((suffix for suffix in _BY_SUFFIX if bare.endswith(suffix)), "")


def _number_format(values: pd.DataFrame) -> Format:
    """Return a format for numbers without a unit.

    Numbers of similar magnitude have the same number of decimals, so that the smallest number has
    three digits.  Fewer decimals are used if all numbers, including intervals, are round.  Other
    numbers have three digits each.
    """
    if all(pd.api.types.is_integer_dtype(kind) for kind in values.dtypes):
        return partial(_fixed, decimals=0)
    sizes, with_ends = _sizes(values.iloc[:, :1]), _sizes(values)
    if len(sizes) == 0 or sizes.min() < 1e-4 or sizes.max() >= 1e7:
        return _significant
    alike = bool(sizes.max() <= 100 * sizes.min())
    most = _decimals(float(sizes.min())) if alike else 2
    for decimals in range(most):
        if np.allclose(np.round(with_ends, decimals), with_ends, rtol=1e-9, atol=0.0):
            return partial(_fixed, decimals=decimals)
    return partial(_fixed, decimals=most) if alike else _significant


def _sizes(values: pd.DataFrame) -> Floats:
    """Return the magnitudes of all finite non-zero numbers."""
    numbers = [v for name in values for v in values[name].tolist() if isinstance(v, Real)]
    sizes: Floats = np.abs(np.array(numbers, dtype=np.float64))
    kept: Floats = sizes[np.isfinite(sizes) & (sizes != 0)]
    return kept


def _decimals(size: float, digits: int = 3) -> int:
    return max(0, digits - 1 - math.floor(math.log10(size)))


def _fixed(value: float, *, decimals: int) -> str:
    return f"{value:z,.{decimals}f}"


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return _fixed(value, decimals=_decimals(abs(value)))


def _is_numeric(values: pd.DataFrame) -> bool:
    return all(
        pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
        for kind in values.dtypes
    )


def _with_ends(cell: Cell, below: str, above: str) -> Cell:
    """Return a cell with a text for an infinite value."""
    if cell.value is None or not math.isinf(cell.value):
        return cell
    return replace(cell, text=above if cell.value > 0 else below)


def _cell(row: Sequence[Any], to_text: Format, *, is_range: bool, prefix: str = "") -> Cell:
    """Return the cell of a value, of a value with its interval, or of a range."""
    if len(row) == 1:
        return _single(row[0], to_text)
    to_text = _in_one_unit(to_text, row)
    cells = [_single(value, to_text) for value in row]
    ends = [cell.value for cell in cells[-2:]]
    if prefix and not prefix.endswith(" ") and not is_range:
        return Cell(f"{cells[0].text} ({prefix})", cells[0].value)
    unknown = any(end is None or math.isnan(end) for end in ends) or ends == [-math.inf, math.inf]
    if is_range:
        return Cell(_MISSING, math.nan) if unknown else Cell(_to(cells), cells[0].value)
    middle = cells[0]
    if unknown or middle.value is None or not math.isfinite(middle.value):
        return middle
    unit = _shared_unit(cells)
    low, high = (cell.text.removesuffix(unit) for cell in cells[1:])
    one = {"up to ": high, "from ": low}.get(prefix)
    if one is None:
        one = low if low == high and prefix else f"{low} to {high}"
    return Cell(f"{middle.text} ({prefix}{one})", middle.value)


def _in_column_unit(to_text: Format, values: pd.DataFrame) -> Format:
    """Return a format that uses one unit for a column, unless its numbers differ too much."""
    dimension = _dimension_of(to_text)
    sizes = _sizes(values if len(values.columns) == 2 else values.iloc[:, :1])
    if not dimension or len(sizes) == 0 or sizes.max() > _ONE_UNIT * sizes.min():
        return to_text
    return _with_unit(dimension, math.sqrt(float(sizes.min()) * float(sizes.max())))


def _in_one_unit(to_text: Format, row: Sequence[Any]) -> Format:
    """Return a format that uses the unit of the first number other than 0 for all numbers."""
    dimension = _dimension_of(to_text)
    numbers = [float(value) for value in row if isinstance(value, Real) and value == value]
    known = [abs(value) for value in numbers if math.isfinite(value) and value != 0]
    return _with_unit(dimension, known[0]) if dimension and known else to_text


def _dimension_of(to_text: Format) -> str:
    """Return the dimension of a format whose unit depends on the number; "" for other formats."""
    dimension = _DIMENSIONS.get(to_text, "")
    if isinstance(to_text, partial) and to_text.func is format_quantity:
        dimension = to_text.keywords.get("dimension", "")
    return "" if dimension in ("share", "ratio", "count") else dimension


def _with_unit(dimension: str, like: float) -> Format:
    """Return a format with the unit that suits a number."""
    size, unit = scale_of(dimension, [like])
    digits = 3 if dimension in ("duration", "money", "bytes") else 4
    return lambda value: f"{format_number(value / size, digits)} {unit}"


def _to(cells: Sequence[Cell]) -> str:
    low, high = (cell.text for cell in cells)
    if low == high:
        return low
    return f"{low.removesuffix(_shared_unit(cells))} to {high}"


def _shared_unit(cells: Sequence[Cell]) -> str:
    """Return the unit and the space before it if all cells share it, otherwise ""."""
    units = {"".join(cell.text.partition(" ")[1:]) for cell in cells}
    return units.pop() if len(units) == 1 else ""


def _single(value: Any, to_text: Format) -> Cell:
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return Cell(_MISSING, math.nan)
    if not isinstance(value, Real):
        return Cell(str(value))
    number = float(value)
    text = "∞" if math.isinf(number) else to_text(abs(number) if number == 0 else number)
    negative = text.startswith("-") or number == -math.inf
    return Cell(f"−{text.removeprefix('-')}" if negative else text, number)


def _label(name: str) -> str:
    """Return a heading made from a column name; a dotted path is not changed."""
    if "." in name:
        return name
    suffix = _unit_suffix(name)
    return re.sub(f"{suffix}(?=_draw$|_half$|$)", "", name).replace("_", " ")
