"""Run all benchmarks: `make bench`; `python -m tests.benchmarks studies` those of studies alone.

`python -m tests.benchmarks passes` times the passes of every policy.  `network_million` runs a
million jobs with and without the network, only on request.

The logs are those of the reference data (CLUSTERSIM_DATA); where they are absent, logs of
the same size are drawn from the workload models.  Times are wall-clock seconds of the whole
of it, reading the log and writing the result included, unless said otherwise.  Policies and their
passes are timed in seconds of CPU time.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.seeds import Streams
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import replay, simulate
from clustersim.text_table import table
from clustersim.topology import Cluster, compile_cluster, resolve_cluster
from clustersim.workload import generate_jobs, load_workload, read_jobs
from tests.benchmarks.bare_simpy import bare_fcfs
from tests.benchmarks.flows_on_fat_tree import flows_on_fat_tree
from tests.benchmarks.network_runs import network, network_million
from tests.benchmarks.passes import coming_jobs, four_pools, passes
from tests.benchmarks.placements import placements
from tests.benchmarks.quotas import quotas_against_easy
from tests.benchmarks.step_time import step_time
from tests.benchmarks.studies import studies
from tests.reference_data import reference_data

CURIE_PROCESSORS = 93_312
PEERS = {"FCFS": 5_000, "EASY": 804}
"""Best published peers on the Philly log and 800 accelerators, jobs a second (AccaSim, pyss)."""


def main() -> None:
    parts = {
        "step_time": step_time,
        "placements": placements,
        "studies": studies,
        "flows": flows_on_fat_tree,
        "network": network,
        "passes": passes,
        "policies": policies,
        "simulation": simulation,
    }
    on_request = {"network_million": network_million}
    rows = [row for name in sys.argv[1:] or parts for row in (parts | on_request)[name]()]
    print(table(rows, ["benchmark", "count", "seconds", "a second", "measured", "bound", ""]))
    if any(row[-1] == "MISSED" for row in rows):
        sys.exit(1)


def simulation() -> list[tuple[object, ...]]:
    """Jobs a second of the simulator."""
    data = reference_data()
    traces = None if data is None else data / "traces"
    if traces is None:
        print("no reference data: logs of the same size are drawn from workload models")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return [
            *curie(_log(traces, "swf_cea_curie", "kth-sp2", 295_540, folder), folder),
            *philly(_log(traces, "philly_2017", "philly-2017", 82_247, folder), folder),
            *fleet(folder),
        ]


def policies() -> list[tuple[object, ...]]:
    """Policies with bounds of their own, on the log of Philly and on four pools."""
    data = reference_data()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = _log(None if data is None else data / "traces", "philly_2017", "philly-2017",
                    82_247, folder)  # fmt: skip
        log = read_jobs(path).jobs.drop(columns="vc", errors="ignore")
        return [
            _least_rate("easy_sjbf", log, 400, 12_000),
            _least_rate("conservative", log.head(30_000), 800, 5_000),
            _least_rate("conservative", log.head(30_000), 400, 5_000),
            _against_easy(),
            *quotas_against_easy(),
        ]


def _least_rate(
    policy: str, log: pd.DataFrame, accelerators: int, least: int
) -> tuple[object, ...]:
    seconds = _cpu_timed(lambda: replay(log, policy=policy, accelerators=accelerators))
    easy = _cpu_timed(lambda: replay(log, policy="easy", accelerators=accelerators))
    return _row(
        f"{policy}, Philly, {accelerators} accelerators",
        len(log),
        seconds,
        measured=f"{seconds / easy:.1f} x EASY",
        bound=f">= {least:,}/s",
        kept=len(log) / seconds >= least,
    )


def _against_easy() -> tuple[object, ...]:
    """Priorities by age, size and fair share, in overload on four pools."""
    jobs, pools = coming_jobs(20_000, every_s=10.0), four_pools()
    weights = {"weight_age": 1000.0, "weight_fair_share": 10_000.0, "weight_job_size": 100.0}
    schedulers = {
        "easy": Scheduling(policy="easy", placement="consolidate"),
        "multifactor": Scheduling(policy="multifactor", placement="consolidate", options=weights),
    }
    seconds = {
        policy: _cpu_timed(lambda chosen=chosen: simulate(jobs, pools, chosen, by_node=False))
        for policy, chosen in schedulers.items()
    }
    ratio = seconds["multifactor"] / seconds["easy"]
    return _row(
        "multifactor with fair share, 4 pools, overload",
        len(jobs),
        seconds["multifactor"],
        measured=f"{ratio:.1f} x EASY",
        bound="<= 3 x EASY",
        kept=ratio <= 3,
    )


def _log(traces: Path | None, name: str, model: str, n_jobs: int, folder: Path) -> Path:
    if traces is not None:
        return traces / f"{name}.parquet"
    path = folder / f"{name}.parquet"
    jobs = generate_jobs(load_workload(model), Streams(1), n_jobs=n_jobs)
    jobs.drop(columns="job_class").to_parquet(path)
    return path


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cpu_timed(work: Callable[[], object]) -> float:
    """Return seconds of CPU time, which depend less on what else the machine does."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _row(
    name: str, jobs: int, seconds: float, *, measured: str, bound: str, kept: bool
) -> tuple[object, ...]:
    rate = f"{jobs / seconds:,.0f}"
    return (name, f"{jobs:,}", f"{seconds:.2f}", rate, measured, bound, "ok" if kept else "MISSED")


def curie(path: Path, folder: Path) -> list[tuple[object, ...]]:
    """CEA-Curie: FCFS against bare SimPy, and EASY."""
    log = read_jobs(path).jobs
    columns = [log[name].tolist() for name in ("submit_s", "n_accelerators", "duration_s")]
    largest = max(CURIE_PROCESSORS, int(log["n_accelerators"].max()))
    bare = min(_timed(lambda: bare_fcfs(*columns, largest)) for _ in range(2))

    def ours(policy: str, out: str) -> None:
        jobs = read_jobs(path).jobs
        replay(jobs, policy=policy, accelerators=largest).save(folder / out)

    fcfs = min(_timed(lambda turn=turn: ours("fcfs", turn)) for turn in ("fcfs", "again"))
    easy = _timed(lambda: ours("easy", "easy"))
    n = len(log)
    return [
        (
            "bare SimPy, FCFS, Curie (no reading, no writing)",
            f"{n:,}",
            f"{bare:.2f}",
            f"{n / bare:,.0f}",
            "",
            "",
            "",
        ),
        _row(
            "FCFS, Curie, reading and writing",
            n,
            fcfs,
            measured=f"{fcfs / bare:.2f} x bare",
            bound="<= 1.5 x bare",
            kept=fcfs <= 1.5 * bare,
        ),
        _row(
            "EASY, Curie, reading and writing",
            n,
            easy,
            measured=f"{easy:.0f} s",
            bound="< 180 s",
            kept=easy < 180,
        ),
    ]


def philly(path: Path, folder: Path) -> list[tuple[object, ...]]:
    """Philly: on 800 accelerators, counted and on nodes, and in overload on 400."""
    log = read_jobs(path).jobs.drop(columns="vc", errors="ignore")
    nodes = _nodes_of_8(100)
    rows = []
    for policy, placed, least in (
        ("fcfs", False, 15_000),
        ("easy", False, 5_000),
        ("fcfs", True, 5_000),
        ("easy", True, 5_000),
    ):
        where = {"cluster": nodes, "placement": "consolidate"} if placed else {"accelerators": 800}
        seconds = _timed(lambda where=where, policy=policy: replay(log, policy=policy, **where))
        peer = PEERS[policy.upper()]
        name = f"{policy.upper()}, Philly, " + ("100 nodes of 8" if placed else "800 accelerators")
        rate = len(log) / seconds
        rows.append(
            _row(
                name,
                len(log),
                seconds,
                measured=f"{rate / peer:.1f} x peer",
                bound=f">= {least:,}/s",
                kept=rate >= least,
            )
        )
    overload = _timed(lambda: replay(log, policy="easy", accelerators=400))
    rows.append(
        _row(
            "EASY, Philly, 400 accelerators (overload)",
            len(log),
            overload,
            measured=f"{overload:.0f} s",
            bound="< 120 s",
            kept=overload < 120,
        )
    )
    return rows


def _nodes_of_8(n_nodes: int) -> Cluster:
    pool = {"accelerator": "A100-80GB", "nodes": n_nodes, "chips_per_node": 8}
    spec = {"name": "nodes of 8", "pools": {"gpu": pool}}
    return compile_cluster(resolve_cluster(spec, load_catalogue()))


def fleet(folder: Path) -> list[tuple[object, ...]]:
    """Generated jobs on the whole 2026 fleet, in a process of its own for its memory."""
    rows = []
    seconds_per_job = {}
    for n_jobs in (100_000, 1_000_000):
        out = folder / f"fleet-{n_jobs}"
        command = [
            sys.executable,
            "-m",
            "clustersim.cli.main",
            "run",
            str(FLEET),
            "--out",
            str(out),
        ]
        command += ["--set", f"workload.jobs={n_jobs}"]
        seconds = _timed(lambda command=command: subprocess.run(command, check=True, stdout=-3))
        seconds_per_job[n_jobs] = seconds / n_jobs
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        rows.append(
            _row(
                "EASY on the 2026 fleet, 774,808 chips",
                n_jobs,
                seconds,
                measured=f"{seconds:.0f} s, {peak:.2f} GB",
                bound="< 180 s, < 2 GB",
                kept=seconds < 180 and peak < 2,
            )
        )
        assert len(pd.read_parquet(out / "jobs.parquet", columns=["job_id"])) == n_jobs
    growth = seconds_per_job[1_000_000] / seconds_per_job[100_000]
    rows.append(
        (
            "time per job, 1,000,000 over 100,000",
            "",
            "",
            "",
            f"{growth:.2f} x",
            "<= 1.5 x",
            "ok" if growth <= 1.5 else "MISSED",
        )
    )
    return rows


FLEET = Path(__file__).parent / "fleet_2026.yaml"

if __name__ == "__main__":
    main()
