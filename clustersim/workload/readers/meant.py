"""A table whose columns have other names, or times that are dates, as a jobs table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from clustersim.meanings import squashed
from clustersim.workload.columns import Found, find_column
from clustersim.workload.readers.observed import are_states, observed_run

__all__ = ["Meant", "as_jobs_table"]

_EPOCH_S = 631152000.0
"""1990 in Unix time: numbers of seconds above it count from 1970."""
_EPOCH_MS = 1e12
"""September 2001 in milliseconds since 1970; so many seconds are 30,000 years."""
_START = {"start", "starttime", "starts", "startedat", "started", "startts", "begintime", "begin"}
_END = {"end", "endtime", "ends", "endedat", "ended", "endts", "finish", "finishtime", "finishedat"}
_END |= {"completiontime", "completedat", "endat", "finisheds", "finishs"}
_STATE = {"state", "jobstate", "jobstatus", "finalstatus", "finalstate"}


@dataclass(slots=True)
class Meant:
    """A table with the columns of a jobs table, as far as they could be found.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns that were found have their names of the jobs table.
    notes : list of str
        Which column was read as which, in which unit.
    reasons : pandas.Series, optional
        Why a row is no job, where start and end of runs were read.
    origin : datetime, optional
        Local time at ``submit_s`` 0, where submissions are dates.
    """

    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    reasons: pd.Series | None = None
    origin: datetime | None = None


def as_jobs_table(table: pd.DataFrame) -> Meant:
    """Rename the columns that mean one of a jobs table, with times in seconds.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of a file.  Columns that have their name already stay as they are.

    Examples
    --------
    >>> told = as_jobs_table(pd.DataFrame({"id": [7], "gpus": [8], "arrival_s": [0]}))
    >>> told.notes
    ['id is read as job_id', 'gpus is read as n_accelerators', 'arrival_s is read as submit_s']
    """
    meant = Meant(table.copy(deep=False))
    _read_state(meant)
    for wanted in ("job_id", "n_accelerators", "submit_s"):
        if wanted not in table:
            found = find_column(wanted, table.columns)
            if isinstance(found, Found):
                _take(meant, wanted, found)
    if "duration_s" not in table:
        _read_run(meant)
    return meant


def _read_state(meant: Meant) -> None:
    """Read a column of states as ``status``, where it holds nothing else."""
    table = meant.table
    if "status" in table:
        return
    for name in table.columns:
        if squashed(name) in _STATE and are_states(table[name]):
            meant.table = table.rename(columns={name: "status"})
            meant.notes.append(f"{name} is read as status")
            return


def _take(meant: Meant, wanted: str, found: Found) -> None:
    values = meant.table[found.name]
    unit = ""
    if wanted == "submit_s":
        told = _submissions(values, found)
        if told is None:
            return
        values, unit, meant.origin = told
    elif wanted == "duration_s" and pd.api.types.is_timedelta64_dtype(values):
        values, unit = values.dt.total_seconds(), ", in seconds"
    elif wanted == "duration_s":
        if not _are_numbers(values):
            return
        numbers = pd.to_numeric(values)
        values = numbers if found.scale == 1.0 else numbers * found.scale
        unit = "" if found.has_unit else ", in seconds"
    elif wanted == "n_accelerators" and not _are_numbers(values):
        return
    meant.table = meant.table.rename(columns={found.name: wanted}).assign(**{wanted: values})
    meant.notes.append(f"{found.name} is read as {wanted}{unit}")


def _are_numbers(values: pd.Series) -> bool:
    if values.dtype.kind in "mMb":  # `to_numeric` takes dates for nanoseconds
        return False
    return not (pd.to_numeric(values, errors="coerce").isna() & values.notna()).any()


def _submissions(values: pd.Series, found: Found) -> tuple[pd.Series, str, datetime | None] | None:
    """Return seconds, what to say of them, and the local time at 0; None for anything else."""
    if _are_numbers(values):
        numbers = pd.to_numeric(values)
        scaled, unit = _seconds(numbers, found)
        if not _is_epoch(scaled):
            return (numbers if found.scale == 1.0 else scaled), unit, None
        first = float(scaled.min())
        origin = datetime.fromtimestamp(first, UTC)
        return scaled - first, f"{unit} since 1970 (UTC), less its first", origin
    moments = _dates(values)
    if moments is None:
        return None
    seconds, origin = moments
    zone = "" if origin.tzinfo is not None else " without a time zone"
    return seconds, f", dates{zone}, in seconds since the first", origin


def _seconds(numbers: pd.Series, found: Found | None = None) -> tuple[pd.Series, str]:
    """Return times in seconds, absent where a count since 1970 is 0 or less, and their unit."""
    scale = 1.0 if found is None else found.scale
    scaled = numbers.astype(np.float64) * scale
    unit = ", in seconds"
    if found is not None and found.has_unit:
        unit = ""
    elif scaled.max() >= _EPOCH_MS:
        scaled, unit = scaled / 1e3, ", in milliseconds"
    return scaled.mask(scaled <= 0) if _is_epoch(scaled) else scaled, unit


def _is_epoch(seconds: pd.Series) -> bool:
    """Tell whether times count from 1970."""
    return bool(seconds.max() >= _EPOCH_S)


def _dates(values: pd.Series) -> tuple[pd.Series, datetime] | None:
    """Return seconds since the first of some dates, and that date."""
    if pd.api.types.is_datetime64_any_dtype(values):
        times = values
    else:
        text = values.astype("string").str.strip()
        text = text.mask(text.str.lower().isin(["", "unknown", "none", "null", "nan"]))
        zoned = text.str.contains(r":.*(?:Z|[+-]\d\d:?\d\d)$", regex=True, na=False)
        if zoned.any() and not zoned[text.notna()].all():
            return None
        times = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=bool(zoned.any()))
        if (times.isna() & text.notna()).any():
            return None
    if times.isna().all():
        return None
    first = times.min()
    if first.tzinfo is not None and not pd.api.types.is_datetime64_any_dtype(values):
        offsets = text.str.extract(r"(Z|[+-]\d\d:?\d\d)$")[0].dropna().unique()
        if len(offsets) == 1:
            first = pd.Timestamp(str(text.loc[times == first].iloc[0]))
    return (times - first).dt.total_seconds(), first.to_pydatetime(warn=False)


def _read_run(meant: Meant) -> None:
    """Read run times: end minus start where the table has both, else a column of run times."""
    start, end = (_named(meant.table, names) for names in (_START, _END))
    if start is not None and end is not None:
        moments = [_moments(meant.table[name]) for name in (start, end)]
        if moments[0] is not None and moments[1] is not None:
            state = meant.table.get("status")
            try:
                run, meant.reasons = observed_run(moments[0], moments[1], state)
            except TypeError:  # one has a time zone, the other has none
                pass
            else:
                meant.table = meant.table.assign(duration_s=run)
                open_zone = isinstance(moments[0].dtype, np.dtype) and moments[0].dtype.kind == "M"
                told = ", local times without a zone (an hour off over a change of the clocks)"
                meant.notes.append(f"duration_s is {end} minus {start}{told if open_zone else ''}")
                return
    found = find_column("duration_s", meant.table.columns)
    if isinstance(found, Found):
        _take(meant, "duration_s", found)


def _named(table: pd.DataFrame, names: set[str]) -> str | None:
    found = [str(name) for name in table.columns if squashed(name) in names]
    return found[0] if len(found) == 1 else None


def _moments(values: pd.Series) -> pd.Series | None:
    """Return times as dates, or as numbers of seconds."""
    if _are_numbers(values):
        return _seconds(pd.to_numeric(values))[0]
    told = _dates(values)
    if told is None:
        return None
    seconds, first = told
    return pd.Timestamp(first) + pd.to_timedelta(seconds, unit="s")
