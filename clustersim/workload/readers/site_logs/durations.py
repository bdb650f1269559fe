"""Read lengths of time as schedulers write them, in seconds."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from clustersim.workload.columns import UNIT_S
from clustersim.workload.readers.cells import given_cells

__all__ = ["duration_s", "durations_s"]

_CLOCK = re.compile(r"(?:(\d+)(?:-| days?,? ?|d ?))?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", re.I)
_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?")
_UNITS = re.compile(r"([\d.]+)\s*([a-zA-Zµ]+)")
_LENGTHS = {**UNIT_S, "m": 60.0, "w": 604800.0, "week": 604800.0, "weeks": 604800.0, "µs": 1e-6}
_LENGTHS |= {"stunden": 3600.0, "stunde": 3600.0, "std": 3600.0, "minuten": 60.0, "sekunden": 1.0}
_LENGTHS |= {"tage": 86400.0, "tag": 86400.0}
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?\s*(?:|m?s|secs?|seconds?|min|minutes?)", re.I
)
"""Three digits behind a comma are thousands of seconds or minutes; of hours, they are a part."""
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


def duration_s(text: str, unit_s: float = 1.0) -> float:
    """Return a length of time in seconds; NaN if the text is not one.

    ``D-HH:MM:SS``, ``HH:MM:SS`` and ``MM:SS`` are read as Slurm writes them (``09:00`` is nine
    minutes), ``D-HH`` and ``D-HH:MM`` as Slurm accepts them. A plain number is in units of
    `unit_s` seconds.

    Examples
    --------
    >>> duration_s("1-02:03:04"), duration_s("27:10:05"), duration_s("09:00"), duration_s("90 min")
    (93784.0, 97805.0, 540.0, 5400.0)
    >>> duration_s("60,5"), duration_s("3,600 s")
    (60.5, 3600.0)
    """
    text = text.strip().replace("(s)", "s").replace("second(s)", "s")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    text = re.sub(r"(?<=\d),(?=\d{1,6}\s*[a-zA-Z]*$)", ".", text)
    if re.search("[秒分时天]", text):
        text = _chinese_units(text)
    try:
        return float(text) * unit_s
    except ValueError:
        pass
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        if clock[1] is not None and clock[2] is None:  # in Slurm, 1-02:30 is hours and minutes
            return days * 86400 + minutes * 3600 + seconds * 60
        return days * 86400 + hours * 3600 + minutes * 60 + seconds
    if days_hours := _DAYS.fullmatch(text):
        days, hours, minutes = (float(part or 0) for part in days_hours.groups())
        return days * 86400 + hours * 3600 + minutes * 60
    if text.startswith("P") and (iso := _ISO.fullmatch(text)):
        days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
        return days * 86400 + hours * 3600 + minutes * 60 + seconds
    parts = _UNITS.findall(text)
    if parts and not _UNITS.sub("", text).strip(" ,+"):
        units = [_LENGTHS.get(unit.lower(), np.nan) for _, unit in parts]
        numbers = [float(number) for number, _ in parts if number.count(".") <= 1]
        if len(numbers) == len(units):
            return float(np.dot(numbers, units))
    return float("nan")


def _chinese_units(text: str) -> str:
    """Return a length such as ``2小时3分`` with units of English."""
    for word, unit in (
        ("小时", "h "),
        ("时", "h "),
        ("分钟", "min "),
        ("分", "min "),
        ("秒", "s "),
    ):
        text = text.replace(word, unit)
    return text.replace("天", "d ").strip()


def durations_s(cells: pd.Series, unit_s: float = 1.0) -> pd.Series:
    """Return lengths of time in seconds; NaN for absent cells, ``UNLIMITED`` and other words."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.astype(np.float64) * unit_s
    codes, texts = pd.factorize(cells.where(pd.Series(given_cells(cells), index=cells.index)))
    values = np.array([*(duration_s(str(text), unit_s) for text in texts), np.nan])
    return pd.Series(values[codes], index=cells.index)
