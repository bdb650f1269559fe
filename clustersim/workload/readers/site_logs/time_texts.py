"""Read columns of times in any of the notations that schedulers and exports use."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.site_logs.spelt_dates import (
    ZONE_HOURS,
    are_day_first,
    read_spelt,
    unknown_zone_note,
)

__all__ = ["TimeColumn", "read_times"]

_EPOCH_S = 631152000.0
"""The start of 1990 in Unix time; smaller numbers count from the start of the log."""
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (0.0, 1.0))
"""Least Unix time in each unit, and its length in seconds: nano-, micro-, milliseconds, seconds."""
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)$"
_ABBREVIATION = r"\s([A-Z]{2,5})$"
_COMPACT = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d"
"""Year, month, day, hour and minute in digits alone."""
_COMPACT_ZONED = r"\d{8}T\d{4,6}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)"
_EAST_ASIAN = r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日\s*"
_NO_DATE = r"(?:0\d|1[0-8]|2[2-9]|[3-9]\d)\d\d-"
"""Years before 1900 and from 2200 on: databases and Go write such dates where there is none."""
_EPOCH_ITSELF = r"1970-01-01[T ]\d\d:[03]0:00|1969-12-31[T ]\d\d:[03]0:00"
"""Unix time 0 on the clocks of all zones."""
_LATEST_S = 4102444800.0
"""The start of 2100 in Unix time; later times stand for none."""
_DAYS_1970, _DAYS_2100 = 25569.0, 73051.0
"""1970 and 2100 in the day numbers of spreadsheets, which count from 30 December 1899."""


@dataclass(slots=True)
class TimeColumn:
    """The times of one column.

    Attributes
    ----------
    given : pandas.Series
        Which cells have a value.
    known : pandas.Series
        Instants in UTC of cells that tell their offset from UTC or count from 1970.
    wall : pandas.Series
        Times of the local clock of the other cells; NaT if a cell cannot be read.
    relative : bool
        Whether the numbers count from the start of the log, not from 1970.
    """

    given: pd.Series
    known: pd.Series
    wall: pd.Series
    relative: bool = False

    @property
    def unread(self) -> pd.Series:
        """Which cells have a value that is not a time."""
        return self.given & self.known.isna() & self.wall.isna()


def read_times(
    columns: dict[str, pd.Series], year: int, *, month_first: bool = True
) -> tuple[dict[str, TimeColumn], list[str]]:
    """Read columns of times.

    Parameters
    ----------
    columns : dict of str to pandas.Series
        Texts or numbers of seconds.
    year : int
        The latest year that a time without a year can be in.
    month_first : bool
        Whether dates such as ``1/3/2025`` have the month first where the log leaves both open.

    Returns
    -------
    (dict of str to TimeColumn, list of str)
        The times, and notes on what was assumed.
    """
    notes: list[str] = []
    columns = {name: _without_own_digits(cells) for name, cells in columns.items()}
    numbers = {name: _numbers(cells) for name, cells in columns.items()}
    if _are_day_numbers(numbers):
        notes.append("times are read as day numbers of a spreadsheet")
        columns = {name: _of_day_numbers(values) for name, values in numbers.items()}
        numbers = {name: _numbers(cells) for name, cells in columns.items()}
    day_first = are_day_first(columns, notes, month_first)
    largest = [float(np.nanmax(values)) for values in numbers.values() if values.notna().any()]
    relative = bool(largest) and max(largest) < _EPOCH_S
    read = {}
    for name, cells in columns.items():
        values = numbers[name]
        if pd.api.types.is_datetime64_any_dtype(cells):
            read[name] = _dates(cells)
        elif values.notna().any() and (values.notna() | ~_given(cells)).all():
            read[name] = _unix(values, relative)
        else:
            read[name] = _texts(cells, values, relative, year, notes, day_first)
    return read, list(dict.fromkeys(notes))


def _without_own_digits(cells: pd.Series) -> pd.Series:
    """Return times such as ``20250301100500`` and ``2025年3月1日 10:05`` as in ISO 8601."""
    if cells.dtype != object and not isinstance(cells.dtype, pd.StringDtype):
        return cells
    texts = cells.astype("string").str.strip()
    head = texts.dropna().head(50)
    if head.str.contains("年", regex=False).any():
        texts = texts.str.replace(_EAST_ASIAN, r"\1-\2-\3 ", regex=True)
        texts = texts.str.replace(
            r"(\d)\s*[时時点](\d{1,2})分(?:(\d{1,2})秒)?", r"\1:\2:\3", regex=True
        )
        return texts.str.rstrip(" :").astype(object)
    texts = texts.str.replace(
        r"^((?:19|20)\d{6})[-_ ]+(\d\d:?\d\d(?::?\d\d)?)$", _joined, regex=True
    )
    compact = texts.str.fullmatch(rf"{_COMPACT}(?:[0-5]\d)?(?:\.\d+)?", na=False)
    if compact.any() and (compact | ~_given(cells)).all():
        parts = r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)"
        texts = texts.str.replace(rf"^{parts}(\d\d)", r"\1-\2-\3 \4:\5:\6", regex=True)
        return texts.str.replace(rf"^{parts}$", r"\1-\2-\3 \4:\5", regex=True).astype(object)
    return cells


def _joined(match: re.Match[str]) -> str:
    """Return a date and a time of day in digits, such as ``20250203-100000``, as one number."""
    return match[1] + match[2].replace(":", "")


def _are_day_numbers(numbers: dict[str, pd.Series]) -> bool:
    """Return whether all times are day numbers of a spreadsheet, most of them with a fraction."""
    known = [values[values > 0] for values in numbers.values() if (values > 0).any()]
    if not known:
        return False
    values = pd.concat(known)
    if not values.between(_DAYS_1970, _DAYS_2100).all() or (values % 1 == 0).mean() > 0.5:
        return False
    if len(known) < 2:  # seconds since the start of a log can be in this range, too
        return bool((values - (values * 1e4).round() / 1e4).abs().median() > 1e-7)
    lengths = pd.concat([one - known[0] for one in known[1:]]).dropna()
    return bool((lengths.abs() < 60).mean() > 0.9)


def _of_day_numbers(values: pd.Series) -> pd.Series:
    whole = (values.where(values > 0) * 86400.0).round(1)
    days = pd.to_timedelta(whole, unit="s") + pd.Timestamp("1899-12-30")
    return days.dt.round("s").astype("datetime64[ns]")


def _given(cells: pd.Series) -> pd.Series:
    given = pd.Series(given_cells(cells), index=cells.index)
    if cells.dtype == object or isinstance(cells.dtype, pd.StringDtype):
        texts = cells.astype("string").str.strip()
        absent = texts.isin(["-/-", "(null)", "\\N", "0000-00-00 00:00:00", "N/A", "0"])
        absent |= texts.str.match(_NO_DATE)
        if texts.str.match(r"(?:199|20\d)\d-").any():  # else the log may begin in 1970
            absent |= texts.str.match(_EPOCH_ITSELF)
        given &= ~absent.fillna(False).astype(bool)
    return given


def _numbers(cells: pd.Series) -> pd.Series:
    """Return the cells that are numbers; NaN for others."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return pd.Series(np.nan, index=cells.index)
    return pd.to_numeric(cells, errors="coerce").astype(np.float64)


def _unix(values: pd.Series, relative: bool) -> TimeColumn:
    """Convert numbers to instants; those that count from 1970 have a unit by their size."""
    scale = 1.0
    if not relative and (values > 0).any():
        top = float(values[values > 0].median())
        scale = next(length for least, length in _UNITS if top >= least)
    seconds = values * scale
    last = 7.26e9 if relative else _LATEST_S
    good = seconds.notna() & (seconds >= 0 if relative else seconds > 0) & (seconds < last)
    whole = np.round(seconds.where(good, 0.0).to_numpy() * 1e6).astype(np.int64)
    known = pd.Series(
        pd.to_datetime(whole, unit="us", utc=True).as_unit("ns"), index=values.index
    ).where(good)
    empty = pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns]")
    given = values.notna() & ((values > 0) & (seconds < _LATEST_S) if not relative else values >= 0)
    return TimeColumn(given, known, empty, relative)


def _dates(cells: pd.Series) -> TimeColumn:
    if cells.dt.tz is not None:
        known = cells.dt.tz_convert("UTC").astype("datetime64[ns, UTC]")
        wall = pd.Series(pd.NaT, index=cells.index, dtype="datetime64[ns]")
    else:
        known = pd.Series(pd.NaT, index=cells.index, dtype="datetime64[ns, UTC]")
        wall = cells.astype("datetime64[ns]")
    return TimeColumn(cells.notna(), known, wall)


def _texts(
    cells: pd.Series,
    values: pd.Series,
    relative: bool,
    year: int,
    notes: list[str],
    day_first: bool,
) -> TimeColumn:
    given = _given(cells)
    layouts = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")  # what most logs have, fast
    for layout in layouts if values.isna().all() else ():
        plain = pd.to_datetime(cells.where(given), format=layout, errors="coerce")
        if (plain.notna() == given).all():
            return _dates(plain)
    text = cells.astype("string").str.strip().where(given)
    text = text.str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", r"\1-\2-\3", regex=True)
    text = text.str.replace(r"^(\d{4}-\d\d?-\d\d?)(?:[-_,]\s*|,?\s+)(?=\d\d?:)", r"\1 ", regex=True)
    text = text.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    text = text.str.replace(r"(?<=[Z\d])\[[\w/+-]+\]$", "", regex=True)  # Java repeats the zone
    text = text.str.replace(
        r"^(\d{4}-\d\d?-\d\d?[ T]\d\d?)\.(\d\d)\.(\d\d)$", r"\1:\2:\3", regex=True
    )
    iso = text.str.match(r"\d{4}-\d{1,2}-\d{1,2}|\d{8}T\d{4,6}", na=False)
    abbreviated = text.str.extract(_ABBREVIATION)[0].where(iso)
    bare = text.str.replace(_ABBREVIATION, "", regex=True).where(abbreviated.notna(), text)
    bare = bare.str.replace(r"\s+(?=[+-]\d\d:?\d\d$)", "", regex=True)
    zoned = iso & bare.str.contains(_OFFSET, regex=True, na=False)
    zoned &= bare.str.contains(":", na=False) | bare.str.fullmatch(_COMPACT_ZONED, na=False)
    known = pd.to_datetime(bare.where(zoned), format="ISO8601", errors="coerce", utc=True)
    known = known.astype("datetime64[ns, UTC]")
    wall = _iso(bare.where(iso & ~zoned))
    if abbreviated.notna().any():
        hours = abbreviated.map(ZONE_HOURS).astype(np.float64)
        for name in abbreviated[hours.isna()].dropna().unique():
            note = unknown_zone_note(str(name))
            notes += [note] if note not in notes else []
        at = (wall - pd.to_timedelta(hours, unit="h")).dt.tz_localize("UTC")
        known = known.fillna(at)
        wall = wall.mask(at.notna())
    plain = values.where(given & ~iso)
    if plain.notna().any():
        known = known.fillna(_unix(plain, relative).known)
    rest = given & known.isna() & wall.isna() & ~iso & plain.isna()
    if rest.any():
        wall, known = read_spelt(text[rest], year, notes, wall, known, day_first)
    return TimeColumn(given, known, wall, relative and bool(plain.notna().any()))


def _iso(text: pd.Series) -> pd.Series:
    times = pd.to_datetime(text, format="ISO8601", errors="coerce")
    lacking = text.notna() & times.isna()
    if lacking.any():  # months, days and hours of one digit
        again = pd.to_datetime(text[lacking], format="%Y-%m-%d %H:%M:%S", errors="coerce")
        again = again.fillna(
            pd.to_datetime(text[lacking], format="%Y-%m-%d %H:%M", errors="coerce")
        )
        times = times.fillna(again)
    return times.astype("datetime64[ns]")
