"""The timeline of a run as a file for trace viewers: which jobs ran where and when.

The file is a JSON object of the Trace Event Format (Google, "Trace Event Format"), which Perfetto
and chrome://tracing open.  A pool is a process.  A node is a thread, or several threads if it ran
several jobs at once: viewers draw the slices of one thread only if they do not partially overlap.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from clustersim.array_types import Ints
from clustersim.errors import InputError
from clustersim.outputs import new_file
from clustersim.plots.parts.gantt_layout import lay_out
from clustersim.report.marks import Mark, fault_marks, outage_marks, read_marks
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE, UNFINISHED
from clustersim.units import format_duration

__all__ = ["ChromeTrace", "chrome_trace"]

Event = dict[str, Any]
_CHUNK = 8192
_LATEST_US = 2**53
"""Viewers store microseconds in floats, which are exact up to this value (285 years)."""
_ALL = 1
"""Process number of the events that belong to no pool; the pools have the next numbers."""
_OPTIONAL = ("model", "vc", "user")
_OF_SLICES = {"job_id", "submit_s", "start_s", "n_accelerators", "outcome", "job_class", *_OPTIONAL}


class ChromeTrace:
    """A run as events of the Trace Event Format; see :func:`chrome_trace`.

    Attributes
    ----------
    n_slices, n_tracks, n_marks : int
        Numbers of slices, of threads that contain slices, and of marks (outages and events of
        the user).
    other_data : dict
        Origin of the run: scenario, seed, policy, versions.
    """

    def __init__(
        self, result: Result, by: Literal["node", "pool"], marks: list[Mark], most_jobs: int
    ) -> None:
        drawn = result.first_jobs(most_jobs)
        jobs, layout = drawn.jobs, lay_out(drawn, by=by)
        self._result = result
        self._dated = result.calendar.is_dated
        self._bars, self._tracks = layout.bars, layout.tracks
        self._marks = marks
        self._never_began = jobs[jobs["start_s"].isna().to_numpy()]
        pools = result.utilisation["pool"].unique().tolist()
        self._pid_of = {str(pool): _ALL + 1 + k for k, pool in enumerate(pools)}
        self._never_ran_tid = _ALL + 1 + len(pools)
        # Perfetto identifies a named thread by its tid alone.
        self._first_tid = self._never_ran_tid + 1
        self._end_us = int(_us(result.utilisation["time_s"]).max())
        self.n_slices, self.n_tracks, self.n_marks = len(self._bars), len(self._tracks), len(marks)
        self.other_data = _other_data(result, by, left_out=max(0, len(result.jobs) - most_jobs))

    def events(self) -> Iterator[Event]:
        """Yield all events: names, counters, marks, slices."""
        yield from self._names()
        yield from self._counters()
        yield from self._never_ran()
        yield from self._user_marks()
        yield from self._slices()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content of the file in pieces; the same result gives the same bytes."""
        encode = json.JSONEncoder(
            sort_keys=True, separators=(",", ":"), allow_nan=False, default=str
        ).encode
        yield f'{{"displayTimeUnit":"ms","otherData":{encode(self.other_data)},'.encode()
        yield b'"traceEvents":[\n'
        events, lead = self.events(), ""
        while batch := list(itertools.islice(events, _CHUNK)):
            yield (lead + ",\n".join(map(encode, batch))).encode()
            lead = ",\n"
        yield b"\n]}\n"

    def write(self, path: str | Path) -> Path:
        """Write the file atomically, compressed with gzip if `path` ends in ``.gz``.

        Raises
        ------
        InputError
            If the file exists or cannot be written.
        """
        path = Path(path)
        with new_file(path) as draft, draft.open("wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    packed.writelines(self.chunks())
            else:
                file.writelines(self.chunks())
        return path

    def _names(self) -> Iterator[Event]:
        installed = self._result.utilisation.groupby("pool", observed=True)["installed"].max()
        titles = {_ALL: "all pools"}
        for pool, pid in self._pid_of.items():
            titles[pid] = f"{pool} ({installed[pool]:,} accelerators)"
        for pid, title in titles.items():
            yield from _name("process", pid, pid, title, pid)
        if len(self._never_began):
            yield from _name("thread", _ALL, self._never_ran_tid, "jobs that never ran", 0)
        for track, pool, node, lane in self._tracks.itertuples():
            title = _track_title(node, lane)
            yield from _name("thread", self._pid_of[pool], self._first_tid + track, title, track)

    def _counters(self) -> Iterator[Event]:
        for pool, steps in self._result.utilisation.groupby("pool", observed=True, sort=False):
            times, counts = _us(steps["time_s"]), steps["allocated"].to_numpy()
            yield from _counter(self._pid_of[str(pool)], "accelerators", "allocated", times, counts)
        jobs = self._result.jobs
        could = jobs[(jobs["outcome"] != NEVER_RUNNABLE).to_numpy()]
        yield from _counter(_ALL, "jobs", "waiting", *_waiting(could, self._end_us))
        for pool, pid in self._pid_of.items():
            here = could[(could["pool"] == pool).to_numpy()]
            waiting = _waiting(here, self._end_us)
            yield from _counter(pid, "jobs", "waiting, ran here later", *waiting)

    def _never_ran(self) -> Iterator[Event]:
        jobs = self._never_began
        values = jobs[["job_id", "n_accelerators", "reason", "submit_s"]].itertuples(index=False)
        for job_id, n, reason, submit_s in values:
            time = int(_us(submit_s))
            args = {"job_id": job_id, "n_accelerators": int(n), "reason": reason}
            args |= self._date(float(submit_s))
            yield _instant(time, "never ran", _ALL, self._never_ran_tid, "t", args)

    def _user_marks(self) -> Iterator[Event]:
        first_lanes = self._tracks[(self._tracks["lane"] == 0).to_numpy()]
        tid_of_node = {
            (pool, node): self._first_tid + track
            for track, pool, node in first_lanes[["pool", "node"]].itertuples()
            if node >= 0
        }
        for mark in self._marks:
            pid = self._pid_of.get(mark.pool, _ALL)
            tid = tid_of_node.get((mark.pool, mark.node))
            scope = "t" if tid is not None else "p" if mark.pool else "g"
            args: Event = {"text": mark.text} if mark.text else {}
            args |= self._date(mark.time_s)
            if mark.node >= 0:
                args["node"] = mark.node
            yield _instant(int(_us(mark.time_s)), mark.kind, pid, tid or pid, scope, args)

    def _dates(self, bars: pd.DataFrame) -> Iterator[list[str]]:
        """Yield the local dates of the starts and of the ends of bars."""
        for name in ("start_s", "end_s"):
            yield self._result.calendar.iso_texts(bars[name].to_numpy(dtype=np.float64)).tolist()

    def _date(self, time_s: float) -> Event:
        """Return the local date of an event, as an argument; empty without a date."""
        return {"date": self._result.calendar.iso(time_s)} if self._dated else {}

    def _slices(self) -> Iterator[Event]:
        bars, jobs = self._bars, self._result.jobs
        jobs = jobs[[name for name in jobs if name in _OF_SLICES]]
        pid_of_track = np.array([self._pid_of[pool] for pool in self._tracks["pool"]])
        for first in range(0, len(bars), _CHUNK):
            part = bars.iloc[first : first + _CHUNK]
            track = part["track"].to_numpy()
            of = jobs.iloc[part["job"].to_numpy()]
            start, end = _us(part["start_s"]), _us(part["end_s"])
            dates = zip(*self._dates(part), strict=True) if self._dated else ((),) * len(part)
            wait = np.round(of["start_s"].to_numpy() - of["submit_s"].to_numpy(), 6)
            columns = (
                pid_of_track[track].tolist(),
                (self._first_tid + track).tolist(),
                start.tolist(),
                (end - start).tolist(),
                of["job_id"].tolist(),
                _texts(of, "job_class"),
                part["n_accelerators"].tolist(),
                of["n_accelerators"].astype(np.int64).tolist(),
                wait.tolist(),
                (of["outcome"] == UNFINISHED).tolist(),
                zip(*(_texts(of, name) for name in _OPTIONAL), strict=True),
                dates,
            )
            for pid, tid, ts, dur, job_id, kind, n, gang, waited, runs, more, when in zip(
                *columns, strict=True
            ):
                args = {"job_id": job_id, "n_accelerators": n, "wait_s": waited}
                args |= dict(zip(("start", "end"), when, strict=False))
                if gang != n:
                    args["job_accelerators"] = gang
                if runs:
                    args["unfinished"] = True
                optional = zip(_OPTIONAL, more, strict=True)
                args |= {key: value for key, value in optional if value is not None}
                yield {
                    "ph": "X",
                    "name": kind or f"job {job_id}",
                    "cat": kind or "job",
                    "pid": pid,
                    "tid": tid,
                    "ts": ts,
                    "dur": dur,
                    "args": args,
                }


def chrome_trace(
    result: Result,
    *,
    by: Literal["node", "pool"] = "node",
    events: pd.DataFrame | str | Path | None = None,
    most_jobs: int | None = None,
) -> ChromeTrace:
    """Convert a run to a timeline in the Trace Event Format.

    Times are microseconds of simulated time, because viewers show no dates.  If the date of time 0
    is known, it is in `other_data` with its time zone, and slices and marks have their local dates
    as arguments.  Slices are named by job class, which gives them their colour, or by job if
    there are no classes.  Counters show the allocated accelerators of each pool and the waiting
    jobs: in total, and by the pool in which they ran later.

    Parameters
    ----------
    result : Result
        Result of a run.
    by : {"node", "pool"}
        ``"node"`` draws a slice for each job and node, in threads of the nodes.  ``"pool"`` draws a
        slice for each job, in lanes of its pool; it is also used if the run did not track nodes.
    events : pandas.DataFrame or path of a CSV file, optional
        Marks: ``time_s`` (seconds, or a date) and ``kind``, optionally ``pool``, ``node``,
        ``text``.
    most_jobs : int, optional
        Draw only this many jobs, in order of submission; counters include all jobs.

    Raises
    ------
    InputError
        If an argument or the file of `events` cannot be used.
    """
    end_s = float(result.utilisation["time_s"].max())
    if end_s * 1e6 > _LATEST_US:
        raise InputError(
            "timeline",
            f"the run lasts {format_duration(end_s)}; at most {format_duration(_LATEST_US / 1e6)} "
            "is allowed",
        )
    if most_jobs is not None and most_jobs < 1:
        raise InputError("most_jobs", f"must be a whole number of 1 or more, found {most_jobs}")
    pools = [str(pool) for pool in result.utilisation["pool"].unique()]
    marks = (
        []
        if events is None
        else read_marks(events, pools=pools, end_s=end_s, calendar=result.calendar)
    )
    if result.outages is not None:
        faults = () if result.network_faults is None else fault_marks(result.network_faults)
        marks = sorted(
            [*outage_marks(result.outages), *faults, *marks], key=lambda mark: mark.time_s
        )
    return ChromeTrace(result, by, marks, len(result.jobs) if most_jobs is None else most_jobs)


def _other_data(result: Result, by: str, left_out: int) -> dict[str, Any]:
    """Return the origin of a run from its provenance, without values that vary between runs."""
    provenance = result.provenance
    scenario: Mapping[str, Any] = provenance.get("scenario", {})
    scheduling: Mapping[str, Any] = scenario.get("scheduler", provenance.get("replay", {}))
    origin = {
        "scenario": scenario.get("name"),
        **result.calendar.document(),
        "seed": provenance.get("seed"),
        "replication": scenario.get("replication"),
        "policy": scheduling.get("policy"),
        "placement": scheduling.get("placement"),
        "versions": provenance.get("versions"),
        "simulated_s": provenance.get("simulated_s"),
        "interrupted": result.interrupted or None,
        "slices_by": by,
        "jobs_left_out": left_out or None,
    }
    return {key: value for key, value in origin.items() if value is not None}


def _track_title(node: int, lane: int) -> str:
    if node < 0:
        return f"lane {lane + 1}"
    return f"node {node}" if lane == 0 else f"node {node}, lane {lane + 1}"


def _name(of: str, pid: int, tid: int, title: str, order: int) -> Iterator[Event]:
    """Yield the events that name a process or thread and set its position in the viewer."""
    for name, args in (
        (f"{of}_name", {"name": title}),
        (f"{of}_sort_index", {"sort_index": order}),
    ):
        yield {"ph": "M", "name": name, "pid": pid, "tid": tid, "ts": 0, "args": args}


def _instant(time: int, name: str, pid: int, tid: int, scope: str, args: Event) -> Event:
    head = {"ph": "i", "name": name, "cat": "mark", "pid": pid, "tid": tid}
    return {**head, "ts": time, "s": scope, "args": args}


def _counter(pid: int, name: str, series: str, times: Ints, counts: Ints) -> Iterator[Event]:
    """Yield an event for each step of a counter, on the main thread of its process."""
    head = {"ph": "C", "name": name, "cat": "counter", "pid": pid, "tid": pid}
    for time, count in zip(times.tolist(), counts.tolist(), strict=True):
        yield {**head, "ts": time, "args": {series: count}}


def _waiting(jobs: pd.DataFrame, end_us: int) -> tuple[Ints, Ints]:
    """Return the number of waiting jobs as a step function from time 0 to the end."""
    submit, start = _us(jobs["submit_s"]), _us(jobs["start_s"].dropna())
    times = np.concatenate([[0], submit, start, [end_us]])
    changes = np.repeat([0, 1, -1, 0], [1, len(submit), len(start), 1])
    at, step_of = np.unique(times, return_inverse=True)
    waiting = np.cumsum(np.bincount(step_of, weights=changes)).astype(np.int64)
    kept = (np.diff(waiting, prepend=-1) != 0) | (at == end_us)
    return at[kept], waiting[kept]


def _us(seconds: Any) -> Ints:
    """Convert to whole microseconds. Rounding keeps the order of times, so bars do not overlap."""
    return np.rint(np.asarray(seconds, dtype=np.float64) * 1e6).astype(np.int64)


def _texts(jobs: pd.DataFrame, name: str) -> list[str | None]:
    """Return a column as texts; None if a job has no value or the column is missing."""
    if name not in jobs:
        return [None] * len(jobs)
    there = ((jobs[name] != "") & jobs[name].notna()).fillna(False).tolist()
    return [str(v) if known else None for v, known in zip(jobs[name].tolist(), there, strict=True)]
