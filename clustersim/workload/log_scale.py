"""More or less load of a log: copies of users' jobs, users left out, or compressed time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import DAY_S, HOUR_S, Calendar
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.units import counted, format_number, format_percent
from clustersim.workload.jobs import texts_of, users_of_namespaces
from clustersim.workload.log_blocks import LogClock, with_new_ids
from clustersim.workload.log_filter import JobFilter
from clustersim.workload.log_links import with_own_links

__all__ = ["LogScale", "Scale", "changes_load", "scaled"]

MOST_LOAD = 1000.0
FIELD = "workload.scale"
LEAST_NOTED = 0.02
"""A load that differs from the requested one by more than this share of it causes a warning."""
PURPOSE = "scale of the log"
Load = Annotated[float, Field(gt=0, le=MOST_LOAD)]


class LogScale(FileModel):
    """A change of the load of a log.

    Examples
    --------
    >>> from clustersim.workload.log_scale import LogScale
    >>> LogScale(load=2, method="superpose", where={"accelerators": "64+"}).load
    2.0
    """

    load: Load = Field(
        1.0,
        description="factor on the work of the jobs (accelerators x run time): 1.2 is 20 % more; "
        "with `where`, on the work of those jobs only",
    )
    method: Literal["superpose", "compress"] = Field(
        "superpose",
        description="superpose: copies of whole users, moved by whole weeks, or users left out "
        "for a load below 1; it keeps hours, weekdays and the pattern of each user. compress: the "
        "times between submissions are divided by the load; it keeps all jobs and their order, "
        "makes bursts sharper, shifts the hours of the day and shortens the log",
    )
    by: str | None = Field(
        None,
        description="column whose groups are copied or left out as a whole, such as user, vc or "
        "job_class; by default user or, for jobs whose user is unknown or their namespace on "
        "Kubernetes, the jobs submitted in the same hour",
    )
    where: JobFilter | None = Field(
        None,
        description="conditions on the jobs that are copied or left out, such as "
        "{accelerators: 64+} for the large jobs; by default all jobs",
    )

    @model_validator(mode="after")
    def _compression_is_of_all_jobs(self) -> LogScale:
        if self.method == "compress":
            for name in ("by", "where"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} applies to superpose; compress divides the times of all jobs"
                    )
        return self


Scale = float | LogScale
"""A change of load; a number means compression."""


def changes_load(scale: Scale | Mapping[str, Any] | None) -> bool:
    """Return whether a scale changes a log.

    Examples
    --------
    >>> changes_load(None), changes_load(1.0), changes_load(LogScale(load=1.2))
    (False, False, True)
    """
    if isinstance(scale, Mapping):
        return bool(scale.get("load", 1.0) != 1.0)
    load = scale.load if isinstance(scale, LogScale) else scale
    return load is not None and load != 1.0


def scaled(
    jobs: pd.DataFrame, scale: Scale | None, calendar: Calendar, streams: Streams
) -> tuple[pd.DataFrame, list[str]]:
    """Return a log with more or less load.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    scale : float, LogScale or None
        A number means ``compress``.
    calendar : Calendar
        Calendar of the run; copies are moved along its local clock.
    streams : Streams
        Decides which users are copied or left out, and by how many weeks copies are moved.  A
        larger load has the jobs of a smaller one, and more.

    Returns
    -------
    jobs : pandas.DataFrame
        In order of submission.  Copies have the ids ``ID+1``, ``ID+2``, ...
    notes : list of str
        What was changed; empty without a change.

    Raises
    ------
    InputError
        If the log lacks a column, no job meets the conditions, or no job is left.

    Examples
    --------
    >>> from clustersim.calendar import UNDATED
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0.0, 60.0], "n_accelerators": 8,
    ...                      "duration_s": 60.0})
    >>> scaled(jobs, 2.0, UNDATED, Streams(1))[0]["submit_s"].tolist()
    [0.0, 30.0]
    >>> twice, notes = scaled(jobs, LogScale(load=2), UNDATED, Streams(1))
    >>> twice["job_id"].tolist()
    ['1', '1+1', '2', '2+1']
    """
    if not changes_load(scale) or jobs.empty:
        return jobs, []
    spec = scale if isinstance(scale, LogScale) else LogScale(load=scale, method="compress")
    if spec.method == "compress":
        first = jobs["submit_s"].iloc[0]
        times = f"the times between submissions are divided by {format_number(spec.load)}"
        columns = [name for name in ("submit_s", "not_before_s") if name in jobs]
        return (
            jobs.assign(**{name: first + (jobs[name] - first) / spec.load for name in columns}),
            [f"scale: {times}; bursts are sharper, and the hours of the day shift"],
        )
    return _superposed(jobs, spec, calendar, streams)


def _superposed(
    jobs: pd.DataFrame, spec: LogScale, calendar: Calendar, streams: Streams
) -> tuple[pd.DataFrame, list[str]]:
    clock = LogClock.of(jobs, calendar)
    mask = np.ones(len(jobs), dtype=bool)
    if spec.where is not None:
        mask = spec.where.mask(jobs, f"{FIELD}.where")
        if not mask.any():
            raise InputError(f"{FIELD}.where", "no job of the log meets the conditions")
    work = jobs["n_accelerators"].to_numpy(np.float64) * _run_s(jobs, mask)
    group, groups = _groups(jobs, spec.by, clock)
    whole = int(spec.load)
    parts = _chosen_part(group, work, mask, clock, spec.load - whole, streams)
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    kept = np.ones(len(jobs), dtype=bool) if whole else parts | ~mask
    rows, times, copy = [np.flatnonzero(kept)], [submit_s[kept]], [np.zeros(kept.sum(), np.int64)]
    for number, steps in enumerate(_steps(int(group.max()) + 1, whole, clock, streams), start=1):
        chosen = np.flatnonzero(mask if number < whole else parts)
        rows.append(chosen)
        times.append(clock.rotated(chosen, steps[group[chosen]], submit_s))
        copy.append(np.full(len(chosen), number))
    row, time_s, again = (np.concatenate(each) for each in (rows, times, copy))
    if not len(row):
        raise InputError(FIELD, f"a load of {spec.load:g} leaves no job of the log")
    place = np.lexsort((again, row, time_s))
    changed = jobs.iloc[row[place]].assign(submit_s=time_s[place]).reset_index(drop=True)
    reached = float(work[row][mask[row]].sum() / work[mask].sum()) if work[mask].sum() else 1.0
    named = with_new_ids(changed, again[place], "+")
    return with_own_links(named, jobs, row[place], again[place]), _notes(
        spec, reached, groups, clock
    )


def _other_blocks(clock: LogClock) -> int:
    """Return the number of steps within a log that move a copy to another block."""
    # Rotations are modulo `full` or `full + 1` blocks; a step of 0 would not move the copy.
    full = clock.weeks if clock.weeks >= 2 else clock.days
    return max(full - 1, 1)


def _steps(groups: int, copies: int, clock: LogClock, streams: Streams) -> Iterator[Ints]:
    """Yield for each copy the number of blocks by which it moves the jobs of each group.

    The copies of a group have different steps, in random order, as long as there are any; then
    all steps are allowed again.
    """
    count = _other_blocks(clock)
    for copy in range(copies):
        if copy % count == 0:
            left = np.tile(np.arange(1, count + 1), (groups, 1))
        drawn = streams(f"{PURPOSE}, weeks of copy {copy + 1}").integers(1, 10**6, groups)
        place = drawn % left.shape[1]
        yield left[np.arange(groups), place]
        kept = np.arange(left.shape[1]) != place[:, np.newaxis]
        left = left[kept].reshape(groups, -1)


def _run_s(jobs: pd.DataFrame, mask: Bools) -> Floats:
    """Return the run times that weigh the jobs; 1 for a job without a recorded one."""
    run_s = jobs["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(run_s)
    return run_s if known[mask].all() else np.where(known, run_s, 1.0)


def _groups(jobs: pd.DataFrame, by: str | None, clock: LogClock) -> tuple[Ints, str]:
    """Return the number of each job's group, and the name of the groups."""
    if by is not None and by not in jobs:
        raise InputError(f"{FIELD}.by", unknown_name("column of the log", by, map(str, jobs)))
    hour = np.floor((clock.local_s - clock.first_s) / HOUR_S).astype(np.int64)
    column = by or "user"
    texts = texts_of(jobs[column]) if column in jobs else np.full(len(jobs), "", dtype=object)
    groups = f"all jobs of a {column}"
    if by is None and len(set(texts.tolist())) < 2:
        texts = np.full(len(jobs), "", dtype=object)
    elif by is None and (spaces := users_of_namespaces(jobs)).any():
        texts = np.where(spaces, "", texts)
        groups += ", and of an hour where the user is a namespace"
    if not (texts != "").any():
        return pd.factorize(hour)[0].astype(np.int64), "the jobs of single hours"
    codes = pd.factorize(pd.Series(texts))[0].astype(np.int64)
    codes = np.where(texts == "", codes.max() + 1 + hour, codes)  # jobs without a name: by hour
    return pd.factorize(codes)[0].astype(np.int64), groups


def _chosen_part(
    group: Ints,
    work: Floats,
    mask: Bools,
    clock: LogClock,
    share: float,
    streams: Streams,
) -> Bools:
    """Return jobs with a share of the work: whole groups in random order, then days of the next.

    The jobs of a smaller share are among those of a larger one.
    """
    chosen = np.zeros(len(group), dtype=bool)
    rows = np.flatnonzero(mask)
    if share <= 0 or not len(rows):
        return chosen
    generator = streams(f"{PURPOSE}, order of the users")
    of_group = generator.random(int(group.max()) + 1)
    day = np.floor((clock.local_s - clock.first_s) / DAY_S).astype(np.int64)
    of_day = generator.random(int(day.max()) + 1)
    order = rows[np.lexsort((rows, of_day[day[rows]], of_group[group[rows]]))]
    begins = np.flatnonzero(np.r_[True, (np.diff(group[order]) != 0) | (np.diff(day[order]) != 0)])
    until = np.cumsum(np.add.reduceat(work[order], begins))
    target = share * float(until[-1])
    count = int(np.searchsorted(until, target, side="right"))
    if count < len(until):
        before = float(until[count - 1]) if count else 0.0
        count += int(until[count] - target < target - before)
    end = int(begins[count]) if count < len(begins) else len(order)
    chosen[order[:end]] = True
    return chosen


def _notes(spec: LogScale, reached: float, groups: str, clock: LogClock) -> list[str]:
    of = "the jobs that `where` selects" if spec.where is not None else "all jobs"
    what = f"copies of {groups} are added" if spec.load > 1 else f"{groups} are left out"
    what = f"{what}, group by group"
    times = format_number(reached, 4)
    notes = [f"scale: {what}; the work of {of} is {times} times that in the log"]
    if abs(reached / spec.load - 1.0) > LEAST_NOTED:
        off = format_percent(abs(reached / spec.load - 1.0))
        notes.append(
            f"scale: the load differs by {off} from the requested {spec.load:g}, because single "
            "jobs have much of the work"
        )
    if spec.load > 1 and clock.days < 2:
        notes.append(
            "scale: the log is shorter than two days, so copies are submitted together with their "
            "originals; compress may suit it better"
        )
    elif math.ceil(spec.load) - 1 > (most := _other_blocks(clock)):
        block = "week" if clock.weeks >= 2 else "day"
        notes.append(
            f"scale: the log has {counted(most + 1, f'whole {block}')}, so only "
            f"{counted(most, 'copy', 'copies')} of a job can be submitted at a time of its own; "
            "further copies are submitted together with others; compress may suit it better"
        )
    return notes
