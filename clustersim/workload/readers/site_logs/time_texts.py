"""Read columns of times in any of the notations that schedulers and exports use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells

__all__ = ["TimeColumn", "read_times"]

_EPOCH_S = 631152000.0
"""The start of 1990 in Unix time; smaller numbers count from the start of the log."""
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (0.0, 1.0))
"""Least Unix time in each unit, and its length in seconds: nano-, micro-, milliseconds, seconds."""
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)$"
_ABBREVIATION = r"\s([A-Z]{2,5})$"
_KNOWN_ABBREVIATIONS = {
    **dict.fromkeys(("UTC", "GMT", "WET", "UCT"), 0.0),
    **dict.fromkeys(("CET", "BST", "WEST"), 1.0),
    **dict.fromkeys(("CEST", "EET", "SAST"), 2.0),
    **dict.fromkeys(("EEST", "MSK"), 3.0),
    **dict.fromkeys(("JST", "KST"), 9.0),
    **dict.fromkeys(("AEST",), 10.0),
    **dict.fromkeys(("AEDT",), 11.0),
    **dict.fromkeys(("EST", "CDT"), -5.0),
    **dict.fromkeys(("EDT",), -4.0),
    **dict.fromkeys(("CST", "MDT"), -6.0),
    **dict.fromkeys(("MST", "PDT"), -7.0),
    **dict.fromkeys(("PST",), -8.0),
}
"""Hours from UTC of abbreviations, for files without a time zone; CST is the American one."""
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
    for name in [names]
}
_CLOCK = r"(?P<h>\d{1,2}):(?P<mi>\d\d)(?::(?P<s>\d\d(?:[.,]\d+)?))?\s*(?P<ap>[AaPp]\.?[Mm]\.?)?"
_WORDS = re.compile(
    r"(?:(?P<w>[A-Za-z]{3})[a-z]*,?\s+)?(?P<mo>[A-Za-z]{3})[a-z]*\.?\s+(?P<d>\d{1,2}),?\s+"
    r"(?:(?P<y1>\d{4})\s+)?" + _CLOCK + r"(?:\s+(?P<y2>\d{4}))?"
)
_DAY_FIRST = re.compile(
    r"(?:(?P<w>[A-Za-z]{3})[a-z]*,?\s+)?(?P<d>\d{1,2})[ -](?P<mo>[A-Za-z]{3})[a-z]*\.?[ -]"
    r"(?P<y1>\d{4})(?P<y2>)[ T,]+" + _CLOCK
)
_NUMERIC = re.compile(
    r"(?P<a>\d{1,2})(?P<sep>[/.-])(?P<b>\d{1,2})[/.-](?P<y1>\d{4}|\d\d)[ T,]+" + _CLOCK
)
_MONTH_DAY = re.compile(r"(?P<mo>\d{1,2})/(?P<d>\d{1,2})[- ](?P<y1>)(?P<y2>)" + _CLOCK)
_NO_YEAR = "times have no year"
_DAYS_OF_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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


def read_times(columns: dict[str, pd.Series], year: int) -> tuple[dict[str, TimeColumn], list[str]]:
    """Read columns of times.

    Parameters
    ----------
    columns : dict of str to pandas.Series
        Texts or numbers of seconds.
    year : int
        The latest year that a time without a year can be in.

    Returns
    -------
    (dict of str to TimeColumn, list of str)
        The times, and notes on what was assumed.
    """
    notes: list[str] = []
    numbers = {name: _numbers(cells) for name, cells in columns.items()}
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
            read[name] = _texts(cells, values, relative, year, notes)
    return read, list(dict.fromkeys(notes))


def _given(cells: pd.Series) -> pd.Series:
    given = pd.Series(given_cells(cells), index=cells.index)
    if cells.dtype == object or isinstance(cells.dtype, pd.StringDtype):
        texts = cells.astype("string").str.strip()
        absent = texts.isin(["-/-", "(null)", "\\N", "0000-00-00 00:00:00", "N/A", "0"])
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
    if not relative and values.notna().any():
        top = float(values.max())
        scale = next(length for least, length in _UNITS if top >= least)
    seconds = values * scale
    good = seconds.notna() & (seconds >= 0 if relative else seconds > 0) & (seconds < 7.26e9)
    whole = np.round(seconds.where(good, 0.0).to_numpy() * 1e6).astype(np.int64)
    known = pd.Series(
        pd.to_datetime(whole, unit="us", utc=True).as_unit("ns"), index=values.index
    ).where(good)
    empty = pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns]")
    given = values.notna() & (values > 0 if not relative else values >= 0)
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
    cells: pd.Series, values: pd.Series, relative: bool, year: int, notes: list[str]
) -> TimeColumn:
    given = _given(cells)
    for layout in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"):  # what most logs have, fast
        plain = pd.to_datetime(cells.where(given), format=layout, errors="coerce")
        if (plain.notna() == given).all():
            return _dates(plain)
    text = cells.astype("string").str.strip().where(given)
    text = text.str.replace(r"^(\d{4})/(\d{1,2})/(\d{1,2})", r"\1-\2-\3", regex=True)
    text = text.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    iso = text.str.match(r"\d{4}-\d{1,2}-\d{1,2}|\d{8}T\d{4,6}", na=False)
    abbreviated = text.str.extract(_ABBREVIATION)[0].where(iso)
    bare = text.str.replace(_ABBREVIATION, "", regex=True).where(abbreviated.notna(), text)
    bare = bare.str.replace(r"\s+(?=[+-]\d\d:?\d\d$)", "", regex=True)
    zoned = (
        iso & bare.str.contains(_OFFSET, regex=True, na=False) & bare.str.contains(":", na=False)
    )
    known = pd.to_datetime(bare.where(zoned), format="ISO8601", errors="coerce", utc=True)
    known = known.astype("datetime64[ns, UTC]")
    wall = _iso(bare.where(iso & ~zoned))
    if abbreviated.notna().any():
        hours = abbreviated.map(_KNOWN_ABBREVIATIONS).astype(np.float64)
        at = (wall - pd.to_timedelta(hours, unit="h")).dt.tz_localize("UTC")
        known = known.fillna(at)
        wall = wall.mask(at.notna())
    plain = values.where(given & ~iso)
    if plain.notna().any():
        known = known.fillna(_unix(plain, relative).known)
    rest = given & known.isna() & wall.isna() & ~iso & plain.isna()
    if rest.any():
        wall, known = _spelt(text[rest], year, notes, wall, known)
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


def _spelt(
    text: pd.Series, year: int, notes: list[str], wall: pd.Series, known: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Read dates such as ``Mon Jan  6 02:06:10 2025`` and ``1/6/2025 2:06 PM``."""
    codes, uniques = pd.factorize(text)
    matches = []
    zones: list[float | None] = []
    for unique in uniques:
        plain = re.sub(r"\s+([A-Z]{2,5})(?=\s+\d{4}$|$)", "", str(unique))
        zone = re.search(r"\s([A-Z]{2,5})(?=\s+\d{4}$|$)", str(unique))
        zones.append(
            _KNOWN_ABBREVIATIONS.get(zone[1]) if zone and zone[1] not in ("AM", "PM") else None
        )
        if zone and zone[1] in ("AM", "PM"):
            plain = str(unique)
        plain = re.sub(r"\s+[LEX]$", "", plain).rstrip(":")  # LSF marks limits and estimates
        matches.append(
            _WORDS.fullmatch(plain)
            or _DAY_FIRST.fullmatch(plain)
            or _NUMERIC.fullmatch(plain)
            or _MONTH_DAY.fullmatch(plain)
        )
    day_first = _day_first(
        [match for match in matches if match and "a" in match.re.groupindex], notes
    )
    weekdays = [
        match for match in matches if match and "mo" in match.re.groupindex and _year(match) is None
    ]
    base = _latest_year(weekdays, year, notes) if weekdays else year
    times = [None if match is None else _time(match, day_first, base) for match in matches]
    local = pd.Series([*times, None], dtype="datetime64[ns]").iloc[codes].set_axis(text.index)
    wall = wall.fillna(local)
    hours = pd.Series([*zones, None], dtype=np.float64).iloc[codes].set_axis(text.index)
    if hours.notna().any():
        at = (local - pd.to_timedelta(hours, unit="h")).dt.tz_localize("UTC")
        known = known.fillna(at.reindex(known.index))
        wall = wall.mask(known.notna())
    return wall, known


def _year(match: re.Match[str]) -> int | None:
    groups = match.groupdict()
    text = groups.get("y1") or groups.get("y2")
    return None if not text else int(text) + (2000 if len(text) == 2 else 0)


def _day_first(matches: list[re.Match[str]], notes: list[str]) -> bool:
    """Return whether numeric dates have the day first."""
    if not matches:
        return False
    if any(int(match["a"]) > 12 for match in matches):
        return True
    if any(int(match["b"]) > 12 for match in matches):
        return False
    if matches[0]["sep"] == ".":
        return True
    notes.append(f"dates such as {matches[0][0]} are read with the month first")
    return False


def _latest_year(matches: list[re.Match[str]], year: int, notes: list[str]) -> int:
    """Return the latest year in which most of the dates fall on the days of the week they tell."""
    told = [match for match in matches if match.groupdict().get("w")]
    first = told[0] if told else matches[0]

    def fits_here(candidate: int) -> int:
        return sum(_weekday(match, candidate) == match["w"].lower() for match in told)

    def fits(candidate: int) -> int:  # a log may go over the turn of the year
        return sum(
            match["w"].lower() in (_weekday(match, candidate), _weekday(match, candidate + 1))
            for match in told
        )

    base = year
    if told:
        base = max(range(year, year - 12, -1), key=lambda one: (fits(one), fits_here(one), one))
    if not any(note.startswith(_NO_YEAR) for note in notes):
        how = ", the latest with these days of the week" if told else ""
        notes.append(f"{_NO_YEAR}, such as {first[0]!r}: {base} is assumed{how}")
    return base


def _weekday(match: re.Match[str], year: int) -> str | None:
    try:
        return _DAYS_OF_WEEK[datetime(year, _month(match["mo"]), int(match["d"])).weekday()]
    except (KeyError, ValueError):
        return None


def _month(text: str) -> int:
    """Return the number of a month by its name or its number; 0 if it is none."""
    return int(text) if text.isdigit() else _MONTHS.get(text.lower(), 0)


def _time(match: re.Match[str], day_first: bool, base: int) -> datetime | None:
    groups = match.groupdict()
    year = _year(match)
    if "a" in groups:
        day, month = (groups["a"], groups["b"]) if day_first else (groups["b"], groups["a"])
        number = int(month)
    else:
        day, number = groups["d"], _month(groups["mo"])
    if year is None:
        year = base
        weekday = groups.get("w")
        if weekday and _weekday(match, base) != weekday.lower():
            near = [one for one in (base - 1, base + 1) if _weekday(match, one) == weekday.lower()]
            year = near[0] if near else base
    hour = int(groups["h"])
    if groups["ap"]:
        hour = hour % 12 + (12 if groups["ap"].lower().startswith("p") else 0)
    seconds = float((groups["s"] or "0").replace(",", "."))
    try:
        return datetime(year, number, int(day), hour, int(groups["mi"])) + timedelta(
            seconds=seconds
        )
    except ValueError:
        return None
