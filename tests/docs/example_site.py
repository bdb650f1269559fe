"""The site of the walk-through in the documentation: what its Slurm prints, drawn at random.

It has 8 nodes of 8 H100 and 4 nodes of 8 H20.  The jobs of a month start as under EASY
backfilling with the users' limits. In the third week, two of the H100 nodes are in repair.

``python -m tests.docs.example_site`` writes the files again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

import clustersim as cs
from clustersim.array_types import Ints
from clustersim.sites.hostlist import host_list
from clustersim.topology import resolve_cluster

__all__ = ["FOLDER", "site_files"]

FOLDER = Path(__file__).parents[2] / "experiments" / "site"
BEGIN = pd.Timestamp("2026-09-07", tz="Europe/Zurich")
WEEKS = 4
NODES = {"train": (8, "h100", "ga"), "dev": (4, "h20", "gb")}
"""Partition -> nodes, type of accelerator, names of the nodes; each node has 8."""

USERS = {
    "train": {"ada": "chat", "bela": "chat", "cleo": "video", "dario": "video", "emma": "speech"},
    "dev": {"finn": "chat", "gita": "video", "hugo": "speech", "ines": "tools", "jan": "tools"},
}
"""Partition -> user -> account."""

SIZES = {
    "train": ([1, 4, 8, 16, 32], [0.1, 0.15, 0.4, 0.25, 0.1]),
    "dev": ([1, 2, 4, 8], [0.5, 0.2, 0.2, 0.1]),
}
LOADS = {"train": 0.86, "dev": 0.7}
HOUR = 3600.0
DAY = 24 * HOUR


def site_files() -> dict[str, str]:
    """Return the text of each file by its name."""
    jobs = _jobs(np.random.default_rng(7))
    now = (WEEKS * 7 + 2) * DAY + 15 * HOUR
    past = jobs[jobs["submit_s"] < now]
    return {"jobs.txt": _sacct(past, now), "nodes.txt": _sinfo(), "queue.txt": _squeue(past, now)}


def _jobs(random: np.random.Generator) -> pd.DataFrame:
    """Return the jobs of a month, and some later ones, with their starts."""
    parts = [_submitted(partition, random) for partition in NODES]
    repair = pd.DataFrame(
        {
            "submit_s": 14 * DAY + 6 * HOUR,
            "partition": "train",
            "user": "root",
            "n_accelerators": [8, 8],
            "duration_s": 6 * DAY,
            "limit_s": 6 * DAY,
        }
    )
    jobs = pd.concat([*parts, repair]).sort_values("submit_s", kind="stable", ignore_index=True)
    jobs["job_id"] = 40_001 + np.arange(len(jobs))
    pools = {
        name: {"accelerator": kind.upper(), "nodes": nodes, "queues": [name]}
        for name, (nodes, kind, _) in NODES.items()
    }
    site = resolve_cluster({"name": "site", "pools": pools}, cs.load_catalogue())
    done = cs.replay(
        jobs.rename(columns={"limit_s": "estimate_s"}),
        policy="easy",
        cluster=cs.compile_cluster(site),
    ).jobs
    assert (done["outcome"] == "finished").all()
    return done[done["user"] != "root"].reset_index(drop=True)


def _submitted(partition: str, random: np.random.Generator) -> pd.DataFrame:
    """Return jobs that are submitted mostly in working hours, without starts."""
    nodes = NODES[partition][0]
    sizes, shares = SIZES[partition]
    hours = np.arange((WEEKS + 1) * 7 * 24)
    weekend, night = hours // 24 % 7 > 4, (hours % 24 < 8) | (hours % 24 > 19)
    rate = np.where(weekend, 0.35, 1.0) * np.where(night, 0.25, 1.0)
    mean_s = {"train": 9.0, "dev": 3.0}[partition] * HOUR
    work = np.dot(sizes, shares) * mean_s
    n_jobs = round(LOADS[partition] * nodes * 8 * len(hours) * HOUR / work)
    at = random.choice(hours, n_jobs, p=rate / rate.sum()) + random.uniform(size=n_jobs)
    run = random.lognormal(np.log(mean_s) - 0.72, 1.2, n_jobs).clip(30, 3 * DAY)
    limits = np.array([1, 2, 4, 8, 12, 24, 48, 72]) * HOUR
    limit = limits[np.searchsorted(limits, (run * random.uniform(1, 3, n_jobs)).clip(0, 3 * DAY))]
    return pd.DataFrame(
        {
            "submit_s": np.floor(at * HOUR),
            "partition": partition,
            "user": random.choice(list(USERS[partition]), n_jobs, p=[0.4, 0.25, 0.15, 0.12, 0.08]),
            "n_accelerators": random.choice(sizes, n_jobs, p=shares),
            "duration_s": np.floor(run),
            "limit_s": limit,
        }
    )


def _sacct(jobs: pd.DataFrame, now: float) -> str:
    """Return the jobs as the command of ``clustersim trace --command sacct`` prints them."""
    lines = [
        "JobID|User|Account|Partition|QOS|Submit|Start|End|ElapsedRaw|State|AllocTRES|NNodes|"
        "TimelimitRaw"
    ]
    for job in jobs.itertuples():
        start, finish = cast(float, job.start_s), cast(float, job.finish_s)
        begun, ended = start <= now, finish <= now
        fields = {
            "JobID": job.job_id,
            "User": job.user,
            "Account": _account(job),
            "Partition": job.partition,
            "QOS": "normal",
            "Submit": _time(job.submit_s),
            "Start": _time(start) if begun else "Unknown",
            "End": _time(finish) if ended else "Unknown",
            "ElapsedRaw": round(min(finish, now) - start) if begun else 0,
            "State": "COMPLETED" if ended else "RUNNING" if begun else "PENDING",
            "AllocTRES": _tres(job) if begun else "",
            "NNodes": _n_nodes(job),
            "TimelimitRaw": round(job.estimate_s / 60),
        }
        lines.append("|".join(map(str, fields.values())))
    return "\n".join(lines) + "\n"


def _sinfo() -> str:
    """Return the nodes as ``sinfo -a -N -o "%N|%P|%c|%m|%T|%l|%f|%G"`` prints them."""
    lines = ["NODELIST|PARTITION|CPUS|MEMORY|STATE|TIMELIMIT|AVAIL_FEATURES|GRES"]
    for partition, (nodes, kind, prefix) in NODES.items():
        for number in range(1, nodes + 1):
            node = f"{prefix}{number:02}"
            lines.append(f"{node}|{partition}|128|2000000|mixed|3-00:00:00|(null)|gpu:{kind}:8")
    return "\n".join(lines) + "\n"


def _squeue(jobs: pd.DataFrame, now: float) -> str:
    """Return the queue as ``squeue -a -o`` prints it with the format of the documentation."""
    lines = [
        "JOBID|PARTITION|USER|ACCOUNT|QOS|STATE|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME_LEFT|NODES|"
        "CPUS|TRES_PER_NODE|DEPENDENCY|PRIORITY|NODELIST(REASON)"
    ]
    free = {name: np.full(nodes, 8) for name, (nodes, _, _) in NODES.items()}
    for job in jobs[jobs["finish_s"] > now].itertuples():
        start, limit = cast(float, job.start_s), cast(float, job.estimate_s)
        runs = start <= now
        nodes = _n_nodes(job)
        fields = [
            *(job.job_id, job.partition, job.user, _account(job), "normal"),
            "RUNNING" if runs else "PENDING",
            _time(job.submit_s),
            _time(start) if runs else "N/A",
            _length(limit),
            _length(start + limit - now if runs else limit),
            *(nodes, job.n_accelerators * 16),
            f"gres/gpu:{job.n_accelerators // nodes}",
            "(null)",
            1000,
            _hosts(job, free[str(job.partition)]) if runs else "(Resources)",
        ]
        lines.append("|".join(map(str, fields)))
    return "\n".join(lines) + "\n"


def _hosts(job: Any, free: Ints) -> str:
    """Return the nodes of a running job, and take its accelerators."""
    nodes = _n_nodes(job)
    each = job.n_accelerators // nodes
    chosen = np.flatnonzero(free >= each)[:nodes]
    assert len(chosen) == nodes
    free[chosen] -= each
    return host_list(f"{NODES[job.partition][2]}{node + 1:02}" for node in chosen)


def _n_nodes(job: Any) -> int:
    return -(-job.n_accelerators // 8)


def _account(job: Any) -> str:
    return USERS[job.partition][job.user]


def _tres(job: Any) -> str:
    kind = NODES[job.partition][1]
    count = job.n_accelerators
    return f"cpu={16 * count},gres/gpu:{kind}={count},gres/gpu={count}"


def _time(seconds: float) -> str:
    """Return a local time as Slurm writes it."""
    return (BEGIN + pd.Timedelta(seconds=round(seconds))).strftime("%Y-%m-%dT%H:%M:%S")


def _length(seconds: float) -> str:
    """Return a length of time as Slurm writes it."""
    days, rest = divmod(round(seconds), 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in site_files().items():
        (FOLDER / name).write_text(text)
