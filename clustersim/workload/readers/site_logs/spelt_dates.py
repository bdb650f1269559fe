"""Read dates in words and figures, such as ``Mon Jan  6 02:06:10 2025`` and ``1/6/2025 2:06``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

__all__ = ["ZONE_HOURS", "are_day_first", "read_spelt", "unknown_zone_note"]

ZONE_HOURS = {
    **dict.fromkeys(("UTC", "GMT", "WET", "UCT"), 0.0),
    **dict.fromkeys(("CET", "BST", "WEST"), 1.0),
    **dict.fromkeys(("CEST", "EET", "SAST"), 2.0),
    **dict.fromkeys(("EEST", "MSK"), 3.0),
    **dict.fromkeys(("JST", "KST"), 9.0),
    **dict.fromkeys(("AEST",), 10.0),
    **dict.fromkeys(("AEDT",), 11.0),
    **dict.fromkeys(("EST", "CDT"), -5.0),
    **dict.fromkeys(("EDT",), -4.0),
    **dict.fromkeys(("MDT",), -6.0),
    **dict.fromkeys(("MST", "PDT"), -7.0),
    **dict.fromkeys(("PST",), -8.0),
}
"""Hours from UTC of abbreviations. Not among them are those of several zones, such as CST and IST:
their times are in the zone that the user names."""
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
    for name in [names]
}
_MONTHS |= {"mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "fév": 2, "avr": 4, "aoû": 8}
_CLOCK = (
    r"(?P<h>\d{1,2})[:.](?P<mi>\d\d)(?:[:.](?P<s>\d\d(?:[.,]\d+)?))?"
    r"(?:\s*(?P<ap>[AaPp]\.?[Mm]\.?)|\s+Uhr)?"
)
_WORDS = re.compile(
    r"(?:(?P<w>[A-Za-z]{3})[a-z]*,?\s+)?(?P<mo>[^\W\d_]{3})[^\W\d_]*\.?\s+(?P<d>\d{1,2}),?\s+"
    r"(?:(?P<y1>\d{4}),?\s+)?(?:at\s+|@\s*)?" + _CLOCK + r"(?:\s+(?P<y2>\d{4}))?"
)
_DAY_FIRST = re.compile(
    r"(?:(?P<w>[A-Za-z]{2,3})[a-z]*[,.]*\s+)?(?P<d>\d{1,2})\.?[ /-]+(?P<mo>[^\W\d_]{3})[^\W\d_]*\.?"
    r"[ /-](?P<y1>\d{4}|\d\d)(?P<y2>)(?:[ T,:]+|\s+at\s+|\s+um\s+)" + _CLOCK
)
_NUMERIC = re.compile(
    r"(?P<a>\d{1,2})(?P<sep>[/.-])(?P<b>\d{1,2})[/.-](?P<y1>\d{4}|\d\d)[ T,_-]+" + _CLOCK
)
_MONTH_DAY = re.compile(r"(?P<mo>\d{1,2})/(?P<d>\d{1,2})[- ](?P<y1>)(?P<y2>)" + _CLOCK)
_YEARLESS = re.compile(
    r"(?P<d>\d{1,2})[ -](?P<mo>[^\W\d_]{3})[^\W\d_]*\.?(?P<y1>)(?P<y2>)[ T,]+" + _CLOCK
)
_NO_YEAR = "times have no year"
_DAYS_OF_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_spelt(
    text: pd.Series,
    year: int,
    notes: list[str],
    wall: pd.Series,
    known: pd.Series,
    day_first: bool,
) -> tuple[pd.Series, pd.Series]:
    """Read dates such as ``Mon Jan  6 02:06:10 2025`` and ``1/6/2025 2:06 PM``."""
    codes, uniques = pd.factorize(text)
    matches = []
    zones: list[float | None] = []
    for unique in uniques:
        plain, offset = _without_zone(str(unique), notes)
        zones.append(offset)
        matches.append(_matched(plain))
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


def unknown_zone_note(name: str) -> str:
    """Return a note on an abbreviation that does not tell a zone."""
    return f"{name} stands for several zones or none: these times are in the zone of --time-zone"


def _without_zone(text: str, notes: list[str]) -> tuple[str, float | None]:
    """Return a date without its zone, and the hours of the zone from UTC; None without a zone."""
    offset = re.search(r"\s*(?:UTC|GMT)?([+-])(\d\d):?(\d\d)(?:\s*\([A-Z]+\))?$", text)
    if offset:
        hours = int(offset[2]) + int(offset[3]) / 60
        return text[: offset.start()], hours if offset[1] == "+" else -hours
    zone = re.search(r"\s([A-Z]{2,5})(?=\s+\d{4}$|$)", text)
    if zone and zone[1] not in ("AM", "PM"):
        hours_of = ZONE_HOURS.get(zone[1])
        if hours_of is None:
            note = unknown_zone_note(zone[1])
            notes += [note] if note not in notes else []
        return text[: zone.start()] + text[zone.end() :], hours_of
    return text, None


def _matched(text: str) -> re.Match[str] | None:
    """Return a date as a match with its parts; None if it is none."""
    text = re.sub(r"\s+[LEX]$", "", text).rstrip(":")  # LSF marks limits and estimates
    for pattern in (_WORDS, _DAY_FIRST, _NUMERIC, _MONTH_DAY, _YEARLESS):
        if match := pattern.fullmatch(text):
            return match
    return None


def _year(match: re.Match[str]) -> int | None:
    groups = match.groupdict()
    text = groups.get("y1") or groups.get("y2")
    return None if not text else int(text) + (2000 if len(text) == 2 else 0)


def are_day_first(columns: dict[str, pd.Series], notes: list[str], month_first: bool) -> bool:
    """Return whether dates in numbers, such as ``1/3/2025``, have the day first, in all columns.

    If no day is above 12, the order is taken with which the log spans the shorter time.
    """
    matches: list[re.Match[str] | None] = []
    for cells in columns.values():
        if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
            continue
        texts = cells.astype("string").str.strip()
        numeric = texts.str.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2}", na=False)
        dates = texts[numeric].unique()
        matches += [_NUMERIC.fullmatch(_without_zone(str(date), notes)[0]) for date in dates]
    found = [match for match in matches if match]
    if not found:
        return False
    if any(int(match["a"]) > 12 for match in found):
        return True
    if any(int(match["b"]) > 12 for match in found):
        return False
    spans = []
    for first in (False, True):
        times = [time for match in found if (time := _time(match, first, 2000))]
        spans.append(max(times) - min(times) if times else timedelta.max)
    if abs(spans[0] - spans[1]) > timedelta(days=1):
        return spans[1] < spans[0]
    if found[0]["sep"] in ".-":
        return True
    month_first = month_first or any(match["ap"] for match in found)
    order = "month" if month_first else "day"
    notes.append(f"dates such as {found[0][0]} are read with the {order} first")
    return not month_first


def _latest_year(matches: list[re.Match[str]], year: int, notes: list[str]) -> int:
    """Return the latest year in which most of the dates fall on the days of the week they tell."""
    with_weekday = [match for match in matches if match.groupdict().get("w")]
    first = with_weekday[0] if with_weekday else matches[0]

    def fits_here(candidate: int) -> int:
        return sum(_weekday(match, candidate) == match["w"].lower() for match in with_weekday)

    def fits(candidate: int) -> int:  # a log may go over the turn of the year
        return sum(
            match["w"].lower() in (_weekday(match, candidate), _weekday(match, candidate + 1))
            for match in with_weekday
        )

    base = year
    if with_weekday:
        base = max(range(year, year - 12, -1), key=lambda one: (fits(one), fits_here(one), one))
    if not any(note.startswith(_NO_YEAR) for note in notes):
        how = ", the latest with these days of the week" if with_weekday else ""
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
    if not 1900 <= year < 2200:
        return None
    try:
        return datetime(year, number, int(day), hour, int(groups["mi"])) + timedelta(
            seconds=seconds
        )
    except ValueError:
        return None
