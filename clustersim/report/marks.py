"""Marks of a timeline: events with their times, read from a user's table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from clustersim.availability.supply import NO_ROOM
from clustersim.calendar import UNDATED, Calendar
from clustersim.engine.node_events import NodeEventKind
from clustersim.errors import InputError, unknown_name
from clustersim.estimation.table import read_csv_as_text
from clustersim.scenario.dates import is_date, seconds_of_date
from clustersim.simulation.tables import serves
from clustersim.units import format_duration, format_percent

__all__ = ["COLUMNS", "Mark", "fault_marks", "outage_marks", "read_marks"]

COLUMNS = ("time_s", "kind", "pool", "node", "text")
_REQUIRED = ("time_s", "kind")
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """One event, such as a failure, a delivery of chips or an announcement.

    Attributes
    ----------
    time_s : float
        Simulated seconds.
    kind : str
        Kind of the event, which names the mark.
    pool : str
        Pool of the event; "" for all pools.
    node : int
        Index in the pool; -1 for the whole pool.
    text : str
        Details, or "".
    """

    time_s: float
    kind: str
    pool: str = ""
    node: int = -1
    text: str = ""


def outage_marks(outages: pd.DataFrame) -> list[Mark]:
    """Return a mark for each failed node, and for each arrival and departure of nodes.

    Nodes without power or space get one mark when they start to wait and one when they are
    switched on.

    Parameters
    ----------
    outages : pandas.DataFrame
        Table of outages of a result.
    """
    absent = outages["absent"].to_numpy()
    serving = serves(outages)
    waits = (outages["kind"] == NodeEventKind.NO_ROOM.label).to_numpy(dtype=bool)
    came = absent & ~waits & (outages["begin_s"] == 0) & np.isfinite(outages["end_s"])
    left = absent & ~waits & (outages["begin_s"] > 0)
    moves = [
        *_moves("delivered", outages[came], "end_s"),
        *_moves(NO_ROOM, outages[waits], "begin_s"),
        *_moves("switched on", outages[waits & np.isfinite(outages["end_s"])], "end_s"),
        *_moves("retired", outages[left], "begin_s"),
        *_moves("taken to serve", outages[serving], "begin_s"),
    ]
    failed = outages.loc[~absent & ~serving]
    return moves + [_outage_mark(row) for row in failed.itertuples(index=False)]


def _outage_mark(row: Any) -> Mark:
    """Return the mark of one node that went out of service or was slow."""
    what = "planned outage" if row.planned else "failure"
    if row.kind == NodeEventKind.CUT_OFF.label:
        what = "cut off from the network"
    after = f"{format_duration(row.end_s - row.begin_s)}" if math.isfinite(row.end_s) else ""
    if math.isfinite(row.slowdown):
        what = f"slow by {format_percent(row.slowdown - 1)}"
        text = f"for {after}" if after else "to the end"
    else:
        text = f"back after {after}" if after else "never back"
    return Mark(row.begin_s, f"{what}: {row.cause or 'unknown'}", str(row.pool), row.node, text)


def fault_marks(faults: pd.DataFrame) -> list[Mark]:
    """Return a mark for each part of the network that failed or was degraded.

    Parameters
    ----------
    faults : pandas.DataFrame
        Table of network faults of a result.
    """
    marks = []
    for row in cast(Iterator[Any], faults.itertuples(index=False)):
        left = f"at {format_percent(row.capacity)} of its rate" if row.capacity else "down"
        after = "never repaired"
        if math.isfinite(row.end_s):
            after = f"repaired after {format_duration(row.end_s - row.begin_s)}"
        text = f"{row.part} {left}, {after}"
        marks.append(Mark(row.begin_s, f"network fault: {row.cause}", str(row.pool), -1, text))
    return marks


def _moves(kind: str, rows: pd.DataFrame, at: str) -> Iterator[Mark]:
    """Yield a mark for each group of nodes of a pool that arrive or leave at the same time."""
    for key, moved in rows.groupby(["pool", at], observed=True):
        pool, time = cast(tuple[str, float], key)
        nodes = f"{len(moved):,} node{'s' if len(moved) > 1 else ''}"
        yield Mark(float(time), f"{kind}: {nodes}", str(pool))


def read_marks(
    events: pd.DataFrame | str | Path,
    *,
    pools: Sequence[str],
    end_s: float,
    calendar: Calendar = UNDATED,
) -> list[Mark]:
    """Read and check a table of events.

    Parameters
    ----------
    events : pandas.DataFrame or path of a CSV file
        ``time_s`` (simulated seconds, or a date such as ``2026-04-01T08:00``) and ``kind``;
        optionally ``pool``, ``node`` (index in
        the pool) and ``text``, which may be empty.
    pools : sequence of str
        Pools of the run.
    end_s : float
        End of the run, in seconds.
    calendar : Calendar
        Dates of the run.

    Returns
    -------
    list of Mark
        In the order of the table.

    Raises
    ------
    InputError
        If the file cannot be read, a column is unknown or missing, a time is not a number or
        is outside the run, a pool is unknown, or a node is not a whole number or has no pool.
        Messages count rows from 1.
    """
    source = "events" if isinstance(events, pd.DataFrame) else events
    table = events if isinstance(events, pd.DataFrame) else read_csv_as_text(events)
    names = [str(name) for name in table.columns]
    problems = [unknown_name("column", name, COLUMNS) for name in names if name not in COLUMNS]
    problems += [
        f"{name}: this column is required but absent" for name in _REQUIRED if name not in names
    ]
    marks = []
    if not problems:
        cells = table.astype(object).where(table.notna(), "")
        for number, row in enumerate(cells.to_dict("records"), start=1):
            problem, row = _with_time(row, calendar)
            found = [f"row {number}: {text}" for text in problem or _problems(row, pools, end_s)]
            problems += found
            if not found:
                marks.append(_mark(row))
    if len(problems) > _MOST_PROBLEMS:
        more = len(problems) - _MOST_PROBLEMS
        problems = [*problems[:_MOST_PROBLEMS], f"and {more:,} more"]
    if problems:
        raise InputError(source, problems)
    return marks


def _with_time(row: dict[Any, Any], calendar: Calendar) -> tuple[list[str], dict[Any, Any]]:
    """Return the row with a date replaced by its time, and what is wrong with the date."""
    if not is_date(row["time_s"]):
        return [], row
    try:
        return [], {**row, "time_s": seconds_of_date(row["time_s"], calendar)}
    except ValueError as error:
        return [f"time_s: {error}"], row


def _problems(row: dict[Any, Any], pools: Sequence[str], end_s: float) -> Iterator[str]:
    time, pool, node = row["time_s"], _text(row, "pool"), row.get("node", "")
    if not 0 <= _number(time) <= end_s:
        yield f"time_s {time!r} is outside the run, which lasts from 0 to {end_s:.15g} s"
    if not _text(row, "kind"):
        yield "kind is empty"
    if pool and pool not in pools:
        yield unknown_name("pool", pool, pools)
    if node != "" and not (_number(node) >= 0 and _number(node).is_integer()):
        yield f"node {node!r} is not a whole number of 0 or more"
    if node != "" and not pool:
        yield f"node {node!r} is given without its pool"


def _mark(row: dict[Any, Any]) -> Mark:
    node = row.get("node", "")
    return Mark(
        time_s=_number(row["time_s"]),
        kind=_text(row, "kind"),
        pool=_text(row, "pool"),
        node=-1 if node == "" else int(_number(node)),
        text=_text(row, "text"),
    )


def _text(row: dict[Any, Any], name: str) -> str:
    return str(row.get(name, "")).strip()


def _number(value: Any) -> float:
    """Return the value as a float, NaN if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
