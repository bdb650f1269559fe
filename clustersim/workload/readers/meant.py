"""Convert a table with other column names, or with dates instead of seconds, to a jobs table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from clustersim.meanings import squashed
from clustersim.workload.columns import Found, find_column
from clustersim.workload.readers.cells import ISO_DATE, cell_problem, given_cells, not_numbers
from clustersim.workload.readers.observed import are_states, early_note, observed_run

__all__ = ["Meant", "as_jobs_table"]

_EPOCH_S = 631152000.0
"""The start of 1990 in Unix time; columns that reach this number are read as Unix times."""
_EPOCH_MS = 1e12
"""September 2001 in milliseconds since 1970; this number of seconds would be 30,000 years."""
_OFFSET = r":.*(?:Z|[+-]\d\d:?\d\d)$"
"""Pattern for the end of a time that has an offset from UTC."""
_START = {"start", "starttime", "starts", "startedat", "started", "startts", "begintime", "begin"}
_END = {"end", "endtime", "ends", "endedat", "ended", "endts", "finish", "finishtime", "finishedat"}
_END |= {"completiontime", "completedat", "endat", "finisheds", "finishs"}
_STATE = {"state", "jobstate", "jobstatus", "finalstatus", "finalstate"}


@dataclass(slots=True)
class Meant:
    """A table in which columns have been recognised as columns of a jobs table.

    Attributes
    ----------
    table : pandas.DataFrame
        The table; recognised columns have the names of the jobs table.
    notes : list of str
        Notes on the recognised columns: their names in the jobs table and their units.
    reasons : pandas.Series, optional
        Reason why each row is not a job, missing for jobs; set if start and end times were read.
    origin : datetime, optional
        Local time at ``submit_s`` 0; set if submit times are dates.
    problems : dict of str to str
        Problems with recognised columns, by name in the jobs table.
    """

    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    reasons: pd.Series | None = None
    origin: datetime | None = None
    problems: dict[str, str] = field(default_factory=dict)


class _UnreadError(ValueError):
    """Raised for a column with cells that cannot be read."""


def as_jobs_table(table: pd.DataFrame) -> Meant:
    """Give recognised columns the names of the jobs table, and convert times to seconds.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of a file. Columns that already have a name of the jobs table are not changed.

    Examples
    --------
    >>> meant = as_jobs_table(pd.DataFrame({"id": [7], "gpus": [8], "arrival_s": [0]}))
    >>> meant.notes
    ['id is read as job_id', 'gpus is read as n_accelerators', 'arrival_s is read as submit_s, \
in seconds']
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
    meant.notes += _early_starts(table)
    if "duration_s" in meant.table and not {"estimate_s", "req_time_s"} & set(table.columns):
        _read_estimate(meant)
    return meant


def _read_state(meant: Meant) -> None:
    """Read a column of job states as ``status`` if all its values are known states."""
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
    try:
        if wanted == "submit_s":
            values, unit, meant.origin = _submissions(values, found)
        elif wanted == "duration_s" and pd.api.types.is_timedelta64_dtype(values):
            values, unit = values.dt.total_seconds(), ", in seconds"
        elif wanted == "duration_s":
            numbers = _numbers(found.name, values, f"a number of {found.unit} is needed")
            values = numbers if found.scale == 1.0 else numbers * found.scale
            unit = f", in {found.unit}"
        elif wanted == "n_accelerators":
            _numbers(found.name, values, "a whole number is needed")
    except _UnreadError as error:
        problem = f"{error} (the column is read as {wanted})"
        if wanted == "n_accelerators" and not_numbers(values).all():  # names of chips
            problem = f"{wanted}: this column is required but absent; {error}"
        meant.problems[wanted] = problem
        return
    meant.table = meant.table.rename(columns={found.name: wanted}).assign(**{wanted: values})
    meant.notes.append(f"{found.name} is read as {wanted}{unit}")


def _early_starts(table: pd.DataFrame) -> list[str]:
    """Return a note on jobs that start before they were submitted.

    The note requires that submit and start times are both dates or both numbers. A start in a
    column ``start_s`` is checked by :func:`~clustersim.workload.readers.clean.finish`.
    """
    start = _named(table, _START)
    submit = Found("submit_s") if "submit_s" in table else find_column("submit_s", table.columns)
    if start in (None, "start_s") or not isinstance(submit, Found):
        return []
    submits = table[submit.name]
    try:
        starts = _moments(str(start), table[start])
        if _are_numbers(submits):
            submitted: pd.Series | None = _seconds(pd.to_numeric(submits), submit)[0]
        else:
            submitted = _moments(submit.name, submits)
        early = None if starts is None or submitted is None else starts < submitted
    except (TypeError, _UnreadError):  # different types, or an error elsewhere
        return []
    return [] if early is None else early_note(early)


def _read_estimate(meant: Meant) -> None:
    """Read a column of estimated or requested run times; add a note if it cannot be read."""
    found = find_column("estimate_s", meant.table.columns)
    if isinstance(found, list):
        if found:
            names = " or ".join(found)
            meant.notes.append(
                f"estimates are ignored: {names} may be meant; rename the right one to estimate_s"
            )
        return
    values = meant.table[found.name]
    given = given_cells(values)
    if not given.any():
        return
    seconds, unit = _clock_seconds(values), "days, hours, minutes and seconds"
    if seconds[given].isna().all():
        scale, unit = found.scale, found.unit
        if squashed(found.name) == "timelimitraw":  # a column of Slurm
            scale, unit = 60.0, "minutes"
        seconds = pd.to_numeric(values.mask(not_numbers(values)), errors="coerce") * scale
    seconds = seconds.mask(~(seconds >= 0) | np.isinf(seconds))
    unread = int((given & seconds.isna()).sum())
    if seconds.isna().all():
        meant.notes.append(
            f"{found.name} is not used as estimate_s: no row has a number of {found.unit}"
        )
        return
    name = f"{found.name} is read as estimate_s, in {unit}"
    meant.notes.append(name + (f"; {unread:,} of its values cannot be read" if unread else ""))
    meant.table = meant.table.drop(columns=found.name).assign(estimate_s=seconds)


def _clock_seconds(values: pd.Series) -> pd.Series:
    """Convert texts such as ``1-02:30:00`` or ``30:00`` to seconds; other texts become NaN."""
    if pd.api.types.is_timedelta64_dtype(values):
        elapsed: pd.Series = values.dt.total_seconds()
        return elapsed
    text = values.astype("string").str.strip()
    parts = text.str.extract(r"^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$").astype(float)
    days, hours, minutes, seconds = (parts[place] for place in range(4))
    whole = minutes * 60.0 + seconds + hours.fillna(0.0) * 3600.0 + days.fillna(0.0) * 86400.0
    return whole.mask(days.notna() & hours.isna())  # in Slurm, 1-02:30 is days-hours:minutes


def _are_numbers(values: pd.Series) -> bool:
    return not not_numbers(values).any()


def _numbers(name: str, values: pd.Series, needed: str) -> pd.Series:
    bad = not_numbers(values)
    if bad.any():
        raise _UnreadError(cell_problem(name, values, bad, "no number", needed))
    return pd.to_numeric(values)


def _submissions(values: pd.Series, found: Found) -> tuple[pd.Series, str, datetime | None]:
    """Return submit times in seconds, a text on their unit, and the local time at second 0."""
    if _are_numbers(values):
        numbers = pd.to_numeric(values)
        scaled, unit = _seconds(numbers, found)
        if not _is_epoch(scaled):
            return (numbers if found.scale == 1.0 else scaled), unit, None
        first = float(scaled.min())
        origin = datetime.fromtimestamp(first, UTC)
        return scaled - first, f"{unit} since 1970 (UTC), minus the first time", origin
    moments = _dates(found.name, values, f"a number of {found.unit}")
    if moments is None:
        raise _UnreadError(f"{found.name}: no row has a time; {ISO_DATE}")
    seconds, start = moments
    zone = "" if start.tzinfo is not None else " without a time zone"
    return seconds, f", dates{zone}, in seconds since the first date", start


def _seconds(numbers: pd.Series, found: Found | None = None) -> tuple[pd.Series, str]:
    """Return times in seconds and a text on their unit; Unix times of 0 or less become NaN."""
    scale = 1.0 if found is None else found.scale
    scaled = numbers.astype(np.float64) * scale
    unit = ", in seconds" if found is None else f", in {found.unit}"
    if (found is None or not found.has_unit) and scaled.max() >= _EPOCH_MS:
        scaled, unit = scaled / 1e3, ", in milliseconds"
    return scaled.mask(scaled <= 0) if _is_epoch(scaled) else scaled, unit


def _is_epoch(seconds: pd.Series) -> bool:
    """Return whether times are Unix times, that is, count from 1970."""
    return bool(seconds.max() >= _EPOCH_S)


def _dates(
    name: str, values: pd.Series, number: str = "a number of seconds"
) -> tuple[pd.Series, datetime] | None:
    """Return seconds since the first date, and the first date; None if there are no dates.

    Raises
    ------
    _UnreadError
        If a cell is not a date, or only some dates have an offset from UTC.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        times = values
    else:
        text = values.astype("string").str.strip().where(given_cells(values))
        zoned = text.str.contains(_OFFSET, regex=True, na=False)
        times = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=bool(zoned.any()))
        _check_dates(name, values, times, zoned, number)
    if times.isna().all():
        return None
    first = times.min()
    if first.tzinfo is not None and not pd.api.types.is_datetime64_any_dtype(values):
        offsets = text.str.extract(r"(Z|[+-]\d\d:?\d\d)$")[0].dropna().unique()
        if len(offsets) == 1:
            first = pd.Timestamp(str(text.loc[times == first].iloc[0]))
    return (times - first).dt.total_seconds(), first.to_pydatetime(warn=False)


def _check_dates(
    name: str, values: pd.Series, times: pd.Series, zoned: pd.Series, number: str
) -> None:
    """Raise an error if a cell is not a date, or if only some cells have an offset from UTC."""
    given = given_cells(values)
    numbers = given & ~not_numbers(values)
    bad = given & (np.asarray(times.isna()) | numbers)
    if bad.any() and 2 * int(numbers.sum()) > int(given.sum()):
        needed = f"{number} is needed, as in the other rows"
        raise _UnreadError(cell_problem(name, values, given & ~numbers, "no number", needed))
    if bad.any():
        needed = f"{ISO_DATE}, or {number} in every row"
        raise _UnreadError(cell_problem(name, values, bad, "no valid date", needed))
    with_offset = np.asarray(zoned, dtype=bool)
    if with_offset.any() and not with_offset[given].all():
        rare = 2 * int(with_offset.sum()) < int(given.sum())
        odd = given & (with_offset if rare else ~with_offset)
        what = "an offset from UTC" if rare else "no offset from UTC"
        needed = "give an offset in every row or in none"
        raise _UnreadError(cell_problem(name, values, odd, what, needed))


def _read_run(meant: Meant) -> None:
    """Set run times to end minus start if the table has both, else read a column of run times."""
    start, end = (_named(meant.table, names) for names in (_START, _END))
    unread = ""
    if start is not None and end is not None:
        try:
            if _read_ends(meant, start, end):
                return
        except _UnreadError as error:
            unread = str(error)
    found = find_column("duration_s", meant.table.columns)
    if isinstance(found, Found):
        _take(meant, "duration_s", found)
        if unread and "duration_s" in meant.table:
            meant.notes.append(f"{start} and {end} are ignored: {unread}")
    elif unread:
        meant.problems["duration_s"] = f"{unread} (run times are {end} minus {start})"


def _read_ends(meant: Meant, start: str, end: str) -> bool:
    """Set run times to end minus start; return False if one of the columns has no times."""
    starts, ends = (_moments(name, meant.table[name]) for name in (start, end))
    if starts is None or ends is None:
        return False
    try:
        run, reasons = observed_run(starts, ends, meant.table.get("status"))
    except TypeError:
        raise _UnreadError(_apart(start, starts, end, ends)) from None
    meant.reasons = reasons
    meant.table = meant.table.assign(duration_s=run)
    open_zone = isinstance(starts.dtype, np.dtype) and starts.dtype.kind == "M"
    zone = "; without a time zone, run times across a clock change are wrong by an hour"
    meant.notes.append(f"duration_s is {end} minus {start}{zone if open_zone else ''}")
    return True


def _apart(start: str, starts: pd.Series, end: str, ends: pd.Series) -> str:
    """Return a message on start and end times of different types, which cannot be subtracted."""
    kinds = [
        "numbers"
        if times.dtype.kind in "iuf"
        else f"dates with{'' if times.dt.tz else 'out'} an offset from UTC"
        for times in (starts, ends)
    ]
    return f"{start} has {kinds[0]}, but {end} has {kinds[1]}; both must have the same type"


def _named(table: pd.DataFrame, names: set[str]) -> str | None:
    found = [str(name) for name in table.columns if squashed(name) in names]
    return found[0] if len(found) == 1 else None


def _moments(name: str, values: pd.Series) -> pd.Series | None:
    """Return times as dates or as numbers of seconds; None if the column has no times."""
    if _are_numbers(values):
        return _seconds(pd.to_numeric(values))[0]
    dates = _dates(name, values)
    if dates is None:
        return None
    seconds, first = dates
    return pd.Timestamp(first) + pd.to_timedelta(seconds, unit="s")
