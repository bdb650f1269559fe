"""Another period like a log: its weeks or days, drawn again as whole blocks.

This is a block bootstrap (Künsch, "The jackknife and the bootstrap for general stationary
observations", Annals of Statistics 17, 1989): blocks long enough to hold the daily and the weekly
pattern, and the bursts of a project, are drawn with replacement.  Every job keeps its size, its run
time and its time of day.  Each job is expected once.  A draw that takes every block once is the log
in another order and shows no other period, so it is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S, WEEK_S, Calendar
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.units import counted, format_duration
from clustersim.workload.log_blocks import LogClock, with_new_ids
from clustersim.workload.log_links import with_own_links

__all__ = ["BLOCKS", "Blocks", "block_counts", "chosen_blocks", "resampled"]

Blocks = Literal["auto", "week", "day", "none"]
BLOCKS = ("auto", "week", "day", "none")
ENOUGH_WEEKS = 4
"""Smallest number of complete weeks that are drawn as blocks by default; a log of fewer weeks is
drawn by days."""
FEWEST = 2
"""Smallest number of complete blocks between which there is a choice."""
STREAM = "blocks of the log"


def chosen_blocks(jobs: pd.DataFrame, calendar: Calendar, blocks: Blocks = "auto") -> str:
    """Return the kind of blocks in which a log is drawn again.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    calendar : Calendar
        Calendar of the run.
    blocks : {"auto", "week", "day", "none"}

    Returns
    -------
    {"week", "weekday", "day", "none"}
        ``weekday`` means days that are replaced by days of the same name, which needs two weeks;
        in a shorter log, ``day`` replaces a working day by a working day and a weekend day by a
        weekend day (any day by any day if the log has no date). ``none`` if the log is shorter than
        two days.

    Raises
    ------
    InputError
        If weeks or days are asked for and the log has fewer than two.

    Examples
    --------
    >>> from clustersim.calendar import UNDATED
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 20 * 86400.0]})
    >>> chosen_blocks(jobs, UNDATED), chosen_blocks(jobs, UNDATED, "week")
    ('weekday', 'week')
    """
    clock = LogClock.of(jobs, calendar)
    have = {"week": clock.weeks, "day": clock.days}.get(blocks, FEWEST)
    if have < FEWEST:
        raise InputError(
            "workload.resample",
            f"{blocks} needs a log of two {blocks}s or more; this one lasts "
            f"{format_duration(clock.span_s)}; allowed: none, or auto",
        )
    if blocks == "none":
        return "none"
    if blocks == "week" or (blocks == "auto" and clock.weeks >= ENOUGH_WEEKS):
        return "week"
    if clock.weeks >= FEWEST:
        return "weekday"
    return "day" if clock.days >= FEWEST else "none"


def block_counts(jobs: pd.DataFrame, calendar: Calendar, kind: str) -> tuple[int, int]:
    """Return the number of complete blocks of a log, and that of the classes they belong to.

    A block is replaced by one of its class, so the blocks tell ``blocks - classes`` times how much
    one of them differs from another.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    calendar : Calendar
        Calendar of the run.
    kind : {"week", "weekday", "day", "none"}
        See :func:`chosen_blocks`.

    Examples
    --------
    >>> from clustersim.calendar import UNDATED
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 20.5 * 86400.0]})
    >>> [block_counts(jobs, UNDATED, kind) for kind in ("week", "weekday", "day", "none")]
    [(2, 1), (20, 7), (20, 1), (0, 0)]
    """
    if kind == "none":
        return 0, 0
    clock = LogClock.of(jobs, calendar)
    full = clock.weeks if kind == "week" else clock.days
    return full, len(set(_classes(clock, kind, full).tolist()))


def resampled(
    jobs: pd.DataFrame,
    calendar: Calendar,
    streams: Streams,
    blocks: Blocks = "auto",
    *,
    log: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, str]:
    """Return another period like a log, of the same length.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    calendar : Calendar
        Calendar of the run; blocks are moved along its local clock.
    streams : Streams
        Replication 0 returns the log as it happened.
    blocks : {"auto", "week", "day", "none"}
        See :func:`chosen_blocks`.
    log : pandas.DataFrame, optional
        The log whose period is divided into blocks, if `jobs` is a part of it or has copies of its
        jobs.  The same blocks are then drawn as for the log itself.

    Returns
    -------
    jobs : pandas.DataFrame
        In order of submission.  A job that is drawn again has the id ``ID~1``, ``ID~2``, ...
    note : str
        What was drawn; empty for the log as it happened.

    Raises
    ------
    InputError
        See :func:`chosen_blocks`.

    Examples
    --------
    >>> from clustersim.calendar import UNDATED
    >>> days = 86400.0 * np.arange(29)
    >>> jobs = pd.DataFrame({"job_id": np.arange(29), "submit_s": days})
    >>> drawn, note = resampled(jobs, UNDATED, Streams(1, replication=1))
    >>> (drawn["submit_s"] % 86400.0).unique().tolist(), note
    ([0.0], 'the log is drawn again in 4 blocks of a week (replication 1)')
    """
    log = jobs if log is None else log
    kind = chosen_blocks(log, calendar, blocks)
    if streams.replication == 0 or kind == "none":
        return jobs, ""
    clock = LogClock.of(log, calendar).of_part(jobs)
    length_s = WEEK_S if kind == "week" else DAY_S
    block, within_s = clock.blocks(length_s)
    full = int(clock.span_s // length_s)
    rest_s = clock.span_s - full * length_s
    generator = streams(STREAM)
    classes = _classes(clock, kind, full + 1)
    rows, shifts = [], []
    early = within_s <= rest_s
    order = np.argsort(block, kind="stable")
    begins = np.searchsorted(block[order], np.arange(full + 2))
    for target, first, second in _drawn(classes, full, generator, cut=rest_s < 0.5 * length_s):
        for source, of_part in ((first, early), (second, ~early)):
            if source < 0:
                continue
            own = order[begins[source] : begins[source + 1]]
            own = own[of_part[own]]
            rows.append(own)
            shifts.append(np.full(len(own), (target - source) * length_s))
    chosen: Ints = np.concatenate(rows).astype(np.int64)
    drawn = _moved(jobs, clock, chosen, np.concatenate(shifts))
    if drawn.empty:
        return jobs, ""
    what = "a week" if kind == "week" else "a day"
    return drawn, (
        f"the log is drawn again in {counted(full, 'block')} of {what} "
        f"(replication {streams.replication})"
    )


def _classes(clock: LogClock, kind: str, count: int) -> Ints:
    """Return the class of each block; a block is replaced by one of its own class."""
    if kind == "week":
        return np.zeros(count, dtype=np.int64)
    days = np.arange(count)
    if kind == "weekday":
        return days % 7
    if not clock.calendar.is_dated:
        return np.zeros(count, dtype=np.int64)
    # The day in which most of a block lies.
    middle_s = clock.first_s + (days + 0.5) * DAY_S
    return ((middle_s // DAY_S).astype(np.int64) % 7 >= 5).astype(np.int64)


def _drawn(
    classes: Ints, full: int, generator: np.random.Generator, *, cut: bool = False
) -> list[tuple[int, int, int]]:
    """Return for each block the sources of its early and of its late part.

    The last block is cut off: it has only an early part, up to the time within a block at which
    the log ends.  The early part of every block is drawn from all blocks, and the late part from
    the complete ones.  Both come from the same block where possible.  Each source is expected once,
    also without those draws that take every source of the longer part once: these are drawn again
    (unless there are no others), which treats all sources of a class alike.

    Parameters
    ----------
    classes : int64 array (full + 1,)
    full : int
        Number of complete blocks; block `full` is the last, cut one.
    generator : numpy.random.Generator
    cut : bool
        Whether the late part is the longer one.

    Returns
    -------
    list of tuple of int
        ``target, first, second``; `second` is -1 for the last block.
    """
    part, count = (2, full) if cut else (1, full + 1)
    choice = count > len(np.unique(classes[:count]))
    while True:
        drawn = list(_draw(classes, full, generator))
        if not choice or len({row[part] for row in drawn[:count]}) < count:
            return drawn


def _draw(
    classes: Ints, full: int, generator: np.random.Generator
) -> Iterator[tuple[int, int, int]]:
    """Yield one draw of the sources of each block; see :func:`_drawn`."""
    uniform = generator.random((full + 1, 2))
    for target in range(full + 1):
        alike = np.flatnonzero(classes == classes[target])
        complete = alike[alike < full]
        first = int(alike[int(uniform[target, 0] * len(alike))])
        if target == full:
            yield target, first, -1
        elif first < full:
            yield target, first, first
        else:
            yield target, first, int(complete[int(uniform[target, 1] * len(complete))])


def _moved(jobs: pd.DataFrame, clock: LogClock, rows: Ints, by_s: Floats) -> pd.DataFrame:
    """Return the chosen rows at their new times, in order of submission, with unique ids."""
    times_s = clock.moved(rows, by_s, jobs["submit_s"].to_numpy(dtype=np.float64))
    place = np.lexsort((rows, times_s))
    drawn = jobs.iloc[rows[place]].assign(submit_s=times_s[place]).reset_index(drop=True)
    chosen = pd.Series(rows[place])
    again = np.asarray(chosen.groupby(chosen).cumcount(), dtype=np.int64)
    return with_own_links(with_new_ids(drawn, again, "~"), jobs, rows[place])
