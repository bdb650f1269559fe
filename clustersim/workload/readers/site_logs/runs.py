"""Put together the records of one job: its further runs, and the pods of a gang."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.workload.job_runs import RUNS, runs_text
from clustersim.workload.readers.observed import is_running, is_waiting
from clustersim.workload.readers.site_logs.records import EXTRA

__all__ = ["join_pods", "join_runs"]

_NEVER = ("noise", "step", "malformed", "merged")
"""Reasons of records that take no part in this."""


def join_runs(jobs: pd.DataFrame) -> pd.DataFrame:
    """Join records with the same job id: the same record again, or further runs of a job.

    The job has the first submission, the first start, the last end and the sum of the run times;
    the column :data:`~clustersim.workload.job_runs.RUNS` has its single runs. A job whose last
    record has not ended is still running, or waits again. Records of other users under the same
    number (numbers can start again) are other jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Records with instants and reasons; the result has other reasons and times.
    """
    able = ~jobs["reason"].isin(_NEVER) & jobs["job_id"].notna() & jobs["group"].isna()
    able &= ~jobs["job_id"].astype("string").str.endswith("+", na=False)  # cut: not the whole id
    user = jobs["user"].fillna("") if "user" in jobs else pd.Series("", index=jobs.index)
    key = jobs["job_id"].astype(str) + "\0" + user.astype(str)
    if "cluster" in jobs:  # sacct --clusters: numbers of several clusters
        key = key + "\0" + jobs["cluster"].astype(str)
    again = able & key.where(able).duplicated(keep=False)
    if not again.any():
        return jobs
    jobs = jobs.copy()
    if EXTRA + RUNS not in jobs:
        jobs[EXTRA + RUNS] = pd.Series(None, index=jobs.index, dtype=object)
    for _, rows in jobs[again].groupby(key[again], sort=False):
        _join_one(jobs, rows)
    return jobs


def _join_one(jobs: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Join the records of one job, in place."""
    rows = _without_copies(jobs, rows)
    if len(rows) == 1:
        return
    when = rows["start"].fillna(rows["submit"])
    ordered = rows.loc[when.sort_values(kind="stable", na_position="last").index]
    runs = ordered[ordered["start"].notna() & ordered["end"].notna() & (ordered["run_s"] >= 0)]
    last = ordered.iloc[-1]
    states = pd.Series(["" if pd.isna(last["state"]) else str(last["state"])], dtype=object)
    waits_again = bool(is_waiting(states)[0]) and len(runs) > 0
    if waits_again or bool(is_running(states)[0]) or last["reason"] == "still_running":
        open_rows = ordered.index[ordered["reason"].isna()]
        jobs.loc[open_rows, "reason"] = "still_running"
        return
    if len(runs) == 0:
        return
    base = ordered.index[-1]
    total = float(runs["run_s"].sum())
    jobs.at[base, "submit"] = ordered["submit"].min()
    jobs.at[base, "start"] = runs["start"].min()
    jobs.at[base, "end"] = runs["end"].max()
    jobs.at[base, "run_s"] = total
    if len(runs) > 1:
        begin_s = (runs["start"] - runs["start"].min()).dt.total_seconds()
        jobs.at[base, EXTRA + RUNS] = runs_text(begin_s, begin_s + runs["run_s"])
    n = float(runs["n"].max())  # NaN if no run has one
    jobs.at[base, "n"] = n
    kept = total > 0 and n > 0 and bool(ordered["submit"].notna().any())
    others = ordered.index[:-1]
    if kept:
        jobs.at[base, "reason"] = None
        jobs.loc[others, "reason"] = "merged"


def _without_copies(jobs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Mark records of the same run as duplicates, and return the others.

    Of several records of one run, the last that has an end is right: the others are older.
    """
    start = rows["start"].astype("int64").where(rows["start"].notna(), -1)
    submit = rows["submit"].astype("int64").where(rows["submit"].notna(), -1)
    same = start.astype(str).where(start >= 0, "waits " + submit.astype(str))
    # a record from before the start of a run with the same submission is the same run
    started = set(submit[start >= 0])
    early = (start < 0) & submit.isin(started) & (submit >= 0)
    keep: list[object] = []
    for _, alike in rows[~early].groupby(same[~early], sort=False):
        ended = alike[alike["end"].notna() & (alike["reason"] != "still_running")]
        keep.append((ended if len(ended) else alike).index[0 if len(ended) else -1])
    copies = rows.index.difference(pd.Index(keep))
    jobs.loc[copies, "reason"] = "duplicate"
    return rows.loc[rows.index.intersection(pd.Index(keep))]


def join_pods(jobs: pd.DataFrame) -> pd.DataFrame:
    """Join records with the same group: the pods of one job.

    Pods that run at the same time are a gang: its accelerators are those of the moment with the
    most. Pods that run one after another are further runs. The run time is the time in which at
    least one pod with accelerators ran.
    """
    grouped = jobs["group"].notna() & ~jobs["reason"].isin(_NEVER)
    if not grouped.any():
        return jobs
    jobs = jobs.copy()
    for group, rows in jobs[grouped].groupby(jobs.loc[grouped, "group"], sort=False):
        pods = rows[rows["n"] > 0]
        running = pods[pods["reason"] == "still_running"]
        if len(running):
            jobs.loc[pods.index[pods["reason"].isna()], "reason"] = "still_running"
            continue
        ran = pods[pods["reason"].isna()]
        if not len(ran):
            continue
        base = ran.index[0]
        jobs.at[base, "job_id"] = group
        jobs.at[base, "submit"] = rows["submit"].min()
        jobs.at[base, "start"] = ran["start"].min()
        jobs.at[base, "end"] = ran["end"].max()
        jobs.at[base, "n"], jobs.at[base, "run_s"] = _gang(ran)
        jobs.loc[rows.index.difference([base]), "reason"] = "merged"
    return jobs


def _gang(pods: pd.DataFrame) -> tuple[float, float]:
    """Return the most accelerators at one time, and the seconds with at least one in use."""
    at = np.concatenate([pods["end"].astype("int64"), pods["start"].astype("int64")])
    change = np.concatenate([-pods["n"].to_numpy(), pods["n"].to_numpy()])
    order = np.argsort(at, kind="stable")  # ends come before starts at the same time
    in_use = np.cumsum(change[order])
    length = np.diff(at[order]) * 1e-9
    return float(in_use.max()), float(np.round(length[in_use[:-1] > 0].sum(), 6))
