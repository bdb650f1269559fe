"""A forecast in words: a sentence, and notes on what contradicts it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.forecasting.limits import UNNAMED
from clustersim.forecasting.replicate import Replications
from clustersim.forecasting.shared_limits import SharedLimit
from clustersim.forecasting.snapshot import Snapshot
from clustersim.simulation.partition_names import names_any, partition_names_of
from clustersim.sites.slurm_queue import SQUEUE_FORMAT
from clustersim.topology import Cluster
from clustersim.units import capital, counted, format_count, format_duration, listed

__all__ = [
    "ADD_DEPENDENCIES",
    "COULD_START",
    "NOTHING_RUNS",
    "contradictions",
    "divided_note",
    "foreign_note",
    "overflow_note",
    "sentence",
    "sentence_of_asked",
    "unnamed_jobs",
]

_LIMIT_REASON = re.compile(r"^(?:QOS|Assoc|MaxGRES|.*Max.*Per(?:User|Account|Job))")

_NO_ROOM_REASON = re.compile(r"^(?:Resources|Priority)|(?i:insufficient (?:unused )?quota)")
NOTHING_RUNS = "no running job is given, so the whole cluster counts as free"
ADD_DEPENDENCIES = (
    f'Print the queue with their names: squeue -a --json, or squeue -a -o "{SQUEUE_FORMAT}"'
)
"""What to do where jobs wait for others that the file does not name."""
COULD_START = "by this state, "
"""Beginning of the note on jobs that the scheduler lets wait although they have room."""
_MOST_NAMES = 4


def overflow_note(found: Replications, snapshot: Snapshot) -> list[str]:
    """Return a note on running jobs for which the cluster has no room; empty if there are none."""
    without = np.array([not each for each in found.places], dtype=bool)
    if not without.any():
        return []
    own = snapshot.running[without]
    n = int(own["n_accelerators"].sum())
    jobs = counted(int(without.sum()), "running job", "running jobs")
    named = [str(name) for name in own["vc"].value_counts().index if name]
    where = f" of partition {_few(named)}" if named else ""
    return [
        f"{jobs}{where} with {format_count(n)} accelerators found no room in the cluster as given "
        "(nodes that leave service, or partitions that it does not have): they end without freeing "
        "any"
    ]


def foreign_note(found: Replications, snapshot: Snapshot, cluster: Cluster) -> list[str]:
    """Return a note if the partitions of waiting jobs are none of the cluster; else empty."""
    there = partition_names_of(cluster)
    names = snapshot.waiting["vc"].astype(str)
    known = names.map(lambda name: names_any([name], there)).astype(bool)
    foreign = names.index.isin([*found.reasons]) & (names != "") & ~known
    n = int(foreign.sum())
    if not there or not n:
        return []
    own = names[foreign].value_counts()
    jobs = f"{format_count(n)} of {counted(len(names), 'waiting job')} can never run"
    return [
        f"{jobs}, because the cluster does not have the partitions of these jobs "
        f"({_few([str(name) for name in own.index])}): its own are {_few(sorted(there))}"
    ]


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = [repr(name) for name in names[:_MOST_NAMES]]
    return listed(shown if more <= 0 else [*shown, f"{more} more"])


def contradictions(
    found: Replications, snapshot: Snapshot, limits: Sequence[SharedLimit]
) -> list[str]:
    """Return notes on jobs whose forecast contradicts what the scheduler says of them."""
    notes = [*_unnamed(found)]
    reasons = snapshot.waiting["reason"].astype(str)
    limited = reasons.str.contains(_LIMIT_REASON)
    limited &= ~reasons.isin([limit.reason for limit in limits])
    if limited.any() and not any(limit.otherwise and not limit.reason for limit in limits):
        kinds = listed(sorted(reasons[limited].unique())[:4])
        jobs = counted(int(limited.sum()), "job waits", "jobs wait")
        notes.append(
            f"{jobs} for a limit of the scheduler ({kinds}), which the file does not contain: it "
            "is not simulated, so they may start later (--user-limit N)"
        )
    now = np.quantile(found.start_s, 0.5, axis=0, method="inverted_cdf") <= 0
    odd = now & reasons.str.contains(_NO_ROOM_REASON).to_numpy(dtype=bool)
    if odd.any():
        jobs = counted(int(odd.sum()), "job", "jobs")
        notes.append(
            f"{COULD_START}{jobs} could start now, but the scheduler lets them wait for "
            "resources or priority: check the size of the cluster; memory, cores and reservations "
            f"are not known{_placed_anew(snapshot)}"
        )
    if len(snapshot.waiting) and snapshot.running.empty:
        notes.append(NOTHING_RUNS)
    return notes


def _placed_anew(snapshot: Snapshot) -> str:
    """Return that the nodes of running jobs are not known, if so."""
    unnamed = snapshot.running["nodes"].map(len) == 0
    return ", nor is which nodes the running jobs split up" if unnamed.any() else ""


def divided_note(snapshot: Snapshot, cluster: Cluster) -> list[str]:
    """Return a note if pools divide the partition of a waiting job; else empty."""
    named = {name for names in snapshot.waiting["vc"] for name in str(names).split(",")} - {""}
    texts = []
    for name in sorted(named):
        pools = [pool for pool in cluster.pools if name in pool.queues]
        if len(pools) > 1:
            sizes = listed([f"{pool.name} ({counted(pool.n_nodes, 'node')})" for pool in pools])
            texts.append(f"{name} into {sizes}")
    if not texts:
        return []
    return [
        f"the cluster divides partitions into pools ({'; '.join(texts)}), and no waiting job spans "
        "two of them: large jobs may start earlier than forecast, and jobs behind them later. If "
        "jobs do, use --span-pools equal"
    ]


def _unnamed(found: Replications) -> Iterator[str]:
    """Yield a note on jobs that wait for jobs which the file does not name."""
    n = sum(text.endswith(UNNAMED) for text in found.after_unknown.values())
    if n:
        yield (
            f"{counted(n, 'job waits for another job', 'jobs wait for other jobs')} that the file "
            f"does not name: they are not simulated, so jobs behind them may start later than "
            f"forecast. {ADD_DEPENDENCIES}"
        )


def sentence(jobs: pd.DataFrame, foreign: Sequence[str] = ()) -> str:
    """Return a forecast in a sentence.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The table of a :class:`~clustersim.forecasting.Forecast`.
    foreign : sequence of str
        Notes that come first, such as that most jobs can never run.

    Examples
    --------
    >>> sentence(pd.DataFrame({"median_s": [0.0]}))
    '1 job waits; 1 of them could start now.'
    """
    if foreign:
        return " ".join([*(f"{capital(note)}." for note in foreign), sentence(jobs)])
    known = jobs["median_s"].notna()
    if not len(jobs):
        return "No job with accelerators waits."
    now = int((jobs["median_s"] <= 0).sum())
    text = f"{counted(len(jobs), 'job waits', 'jobs wait')}"
    if now:
        text += f"; {now:,} of them could start now"
    later = jobs[known & (jobs["median_s"] > 0)]
    if len(later):
        first = later.iloc[int(later["median_s"].argmin())]
        last = later.iloc[int(later["median_s"].argmax())]
        text += (
            f"; the next to start is job {first['job_id']} in {format_duration(first['median_s'])} "
            f"({format_duration(first['low_s'])} to {_text(first['high_s'])}), the last is job "
            f"{last['job_id']} in {format_duration(last['median_s'])} "
            f"({format_duration(last['low_s'])} to {_text(last['high_s'])})"
        )
    unknown = int((~known).sum())
    if unknown:
        text += f"; {unknown:,} cannot be forecast"
        if after := unnamed_jobs(jobs):
            text += f", of which {after:,} wait for jobs that the file does not name"
    return text + "."


def sentence_of_asked(jobs: pd.DataFrame) -> str:
    """Return in a sentence when the jobs start that are asked about, and what they wait for.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["7"], "low_s": 60.0, "median_s": 120.0, "high_s": 600.0})
    >>> sentence_of_asked(jobs.assign(detail="needs 8 accelerators, 0 free"))
    'Job 7 starts in 2 min (60 s to 10 min): needs 8 accelerators, 0 free.'
    """
    if len(jobs) > _MOST_NAMES:
        return f"Of the jobs that are asked about, {sentence(jobs)}"
    return " ".join(_when_it_starts(job) for job in jobs.to_dict("records"))


def _when_it_starts(job: dict[Hashable, Any]) -> str:
    if not np.isfinite(job["median_s"]):
        return f"Job {job['job_id']} cannot be forecast: {job['detail']}."
    if job["median_s"] <= 0:
        return f"Job {job['job_id']} could start now."
    ends = f"{format_duration(job['low_s'])} to {_text(job['high_s'])}"
    when = f"{format_duration(job['median_s'])} ({ends})"
    return f"Job {job['job_id']} starts in {when}: {job['detail']}."


def unnamed_jobs(jobs: pd.DataFrame) -> int:
    """Return how many jobs of a forecast wait for a job that the file does not name.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The table of a :class:`~clustersim.forecasting.Forecast`.
    """
    return int(jobs["detail"].str.endswith(UNNAMED).sum()) if "detail" in jobs else 0


def _text(seconds: float) -> str:
    return format_duration(seconds) if np.isfinite(seconds) else "an unknown time"
