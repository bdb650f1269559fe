"""Studies: what a second worker brings, what a run costs beyond itself, and ten thousand runs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from clustersim.scenario.run import run
from clustersim.studies.execution import make_runs
from clustersim.studies.store_file import open_store
from clustersim.studies.study import define_study
from clustersim.studies.study_result import load_result

__all__ = ["studies"]

Row = tuple[object, ...]
SECOND, TINY = 110_000, 20
"""Jobs of a run of about a second, and of one that is as short as can be."""


def scenario(n_jobs: int) -> dict[str, Any]:
    """Small jobs on two nodes of eight."""
    job_class = {
        "name": "small",
        "weight": 1,
        "sizes": {1: 3, 8: 1},
        "duration": {"kind": "exponential", "average": "1 min"},
    }
    generate = {"arrivals": {"mean_interarrival": "1 min"}, "classes": [job_class]}
    pool = {"accelerator": "H200", "nodes": 2, "chips_per_node": 8}
    return {
        "cluster": {"name": "one", "pools": {"gpu": pool}},
        "workload": {"generate": generate, "jobs": n_jobs, "load": 0.8},
        "scheduler": {"policy": "fcfs", "placement": "pooled"},
    }


def load_study(n_jobs: int, points: int, replications: int) -> dict[str, Any]:
    """A study of the offered load."""
    loads = {"from": 0.3, "to": 0.9, "steps": points}
    return {
        "name": "load",
        "base": scenario(n_jobs),
        "parameters": {"workload.load": loads},
        "replications": replications,
    }


def studies() -> list[Row]:
    """All of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return [*second_worker(folder), *overhead(folder), *ten_thousand(folder)]


def _row(name: str, runs: int, seconds: float, measured: str, bound: str, kept: bool) -> Row:
    rate = f"{runs / seconds:,.1f}"
    return (name, f"{runs:,}", f"{seconds:.2f}", rate, measured, bound, "ok" if kept else "MISSED")


def _conduct(fields: dict[str, Any], out: Path, workers: int) -> float:
    study = define_study(fields)
    began = time.perf_counter()
    assert make_runs(study, out, workers=workers)
    return time.perf_counter() - began


def second_worker(folder: Path) -> list[Row]:
    """Two workers against one, their start included."""
    n_runs = 80
    fields = load_study(SECOND, points=n_runs // 4, replications=4)
    alone, both = (_conduct(fields, folder / f"of-{n}", n) for n in (1, 2))
    each, at_work = (_seconds_in_runs(folder / f"of-{n}") / n_runs for n in (1, 2))
    share, busy = alone / both / 2, at_work * n_runs / both / 2
    name = f"study of runs of {each:.1f} s, 2 workers"
    measured = f"{share:.2f} of 2 x 1 worker, busy {busy:.0%}"
    return [_row(name, n_runs, both, measured, ">= 0.9", share >= 0.9)]


def _seconds_in_runs(folder: Path) -> float:
    with open_store(folder) as store:
        return sum(run.wall_s for run in store.outcomes().values())


def overhead(folder: Path) -> list[Row]:
    """A study of tiny runs against a loop over the same scenarios, and against simulating alone."""
    fields = load_study(TINY, points=60, replications=5)
    file = folder / "scenario.yaml"
    with file.open("w") as text:
        YAML(typ="safe", pure=True).dump(fields["base"], text)
    changes = [
        {**point.changes, "replication": replication}
        for point in define_study(fields).points
        for replication in range(5)
    ]
    n_runs = len(changes)
    run(file, changes[0])
    began = time.perf_counter()
    simulating = sum(float(run(file, change).provenance["wall_s"]) for change in changes)
    loop = time.perf_counter() - began
    study = _conduct(fields, folder / "tiny", 1)
    more, beyond = (1e3 * (study - other) / n_runs for other in (loop, simulating))
    return [
        _row("loop of clustersim.run, tiny runs", n_runs, loop, "", "", True),
        _row("study of them, 1 worker", n_runs, study, f"{more:+.1f} ms a run", "", True),
        _row("  beyond simulating", n_runs, study, f"{beyond:.1f} ms a run", "< 20", beyond < 20),
    ]


CONDUCTOR = """
import json, resource, sys
from clustersim.studies.execution import make_runs
from clustersim.studies.study import define_study

def show(now):
    if now.done in (1000, 10000):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

make_runs(define_study(json.loads(sys.argv[1])), sys.argv[2], workers=2, progress=show)
"""


def ten_thousand(folder: Path) -> list[Row]:
    """Memory of the process that conducts, and how long its folder takes to open."""
    out = folder / "many"
    fields = load_study(TINY, points=2_000, replications=5)
    command = [sys.executable, "-c", CONDUCTOR, json.dumps(fields), str(out)]
    began = time.perf_counter()
    message = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - began
    few, many = (int(line) / 1e3 for line in message.split())
    grown = f"{few:.0f} MB at 1,000, {many:.0f} MB at 10,000"
    began = time.perf_counter()
    with open_store(out) as store:
        n_runs = len(store.outcomes())
    opened = time.perf_counter() - began
    size = (out / "runs.sqlite").stat().st_size / 1e6
    began = time.perf_counter()
    assert len(load_result(out).runs) == n_runs == 10_000
    loaded = time.perf_counter() - began
    return [
        _row("study of tiny runs, 2 workers", n_runs, seconds, grown, "< 1.2 x", many < 1.2 * few),
        _row("opening its store", n_runs, opened, f"{size:.0f} MB", "< 1 s", opened < 1),
        _row("table of its runs", n_runs, loaded, "", "", True),
    ]
