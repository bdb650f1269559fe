"""How often intervals of waits contain the truth, on queues with known answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from clustersim.analysis.job_statistics import best_of, job_mean, job_quantile, share_above
from clustersim.analysis.root_search import Root, RootSearch
from clustersim.analysis.samples import Sample
from clustersim.studies.capacity.gains import gains_table
from clustersim.studies.conclusions import differences_table
from clustersim.studies.objective import chosen
from clustersim.studies.search_spec import CapacitySearch, Objective
from clustersim.studies.spec import Comparison
from tests.analysis.known_queues import Queue, exponential, hyperexponential, lognormal

REPLICATIONS = 8
CELLS = [
    Queue(exponential(), 4, 0.5),
    Queue(exponential(), 4, 0.8),
    Queue(exponential(), 16, 0.9),
    Queue(exponential(), 4, 0.95),
    Queue(lognormal(4.0), 4, 0.8),
    Queue(lognormal(20.0), 4, 0.7),
    Queue(hyperexponential(20.0), 8, 0.8),
    Queue(hyperexponential(4.0), 4, 0.9),
]
STATISTICS = ("mean", "controlled mean", "p95", "controlled p95", "share", "controlled share")


def studies(
    queue: Queue, count: int, seed: int, load: float | None = None
) -> list[list[dict[str, Sample]]]:
    """Runs of some studies; each run is 60 relaxation times long after a warm-up of 20.

    With another `load`, the same jobs arrive at another rate.
    """
    at = queue if load is None else Queue(queue.service, queue.servers, load)
    warm = int(20 * queue.relaxation_jobs)
    jobs = int(max(60 * queue.relaxation_jobs, queue.service.enough))
    found = []
    block = max(1, int(2e7 / (REPLICATIONS * (warm + jobs))))
    for begin in range(0, count, block):
        here = min(block, count - begin)
        drawn = queue.drawn(here * REPLICATIONS, warm + jobs, seed + begin)
        runs = at.samples(*drawn, warm)
        found += [runs[k : k + REPLICATIONS] for k in range(0, len(runs), REPLICATIONS)]
    return found


def coverage(queue: Queue, count: int, jobs: int) -> dict[str, tuple[float, float]]:
    """Share of studies whose interval contains the truth, and median relative half width."""
    mean, p95 = queue.truth(jobs)
    covered: dict[str, list[bool]] = {name: [] for name in STATISTICS}
    widths: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for runs in studies(queue, count, seed=100):
        means = np.array([run["wait_s"].mean for run in runs])
        share, shares = share_above(runs, "wait_s", p95)
        average, averages = job_mean(means, runs, "wait_s")
        pairs = {
            "mean": ((average, best_of(averages)), mean),
            "p95": (job_quantile(runs, "wait_s", 0.95), p95),
            "share": ((share, best_of(shares)), 0.05),
        }
        for name, ((plain, controlled), truth) in pairs.items():
            for key, found in ((name, plain), (f"controlled {name}", controlled or plain)):
                covered[key].append(found.low <= truth <= found.high)
                widths[key].append((found.high - found.low) / (2 * truth))
    return {
        name: (float(np.mean(covered[name])), float(np.median(widths[name]))) for name in STATISTICS
    }


def report(queue: Queue, found: dict[str, tuple[float, float]]) -> None:
    text = ", ".join(
        f"{name} {share:.1%} (+-{width:.1%})" for name, (share, width) in found.items()
    )
    print(f"{queue.service.name}, {queue.servers} servers, load {queue.load}: {text}")


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_on_two_queues() -> None:
    """The controls narrow the intervals, and they still contain the truth.

    The mean of a few large jobs is controlled well; a quantile among them less so.
    """
    for queue, narrower in ((CELLS[1], 0.4), (CELLS[4], 0.8)):
        found = coverage(queue, 150, 4_000_000)
        report(queue, found)
        for name, (share, _) in found.items():
            assert 0.88 <= share <= 0.995, name
        for name in ("mean", "p95"):
            assert found[f"controlled {name}"][1] < narrower * found[name][1]


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_on_all_queues() -> None:
    """400 studies for each queue; truths from 10^8 jobs where there is no formula."""
    shares: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for queue in CELLS:
        found = coverage(queue, 400, 100_000_000)
        report(queue, found)
        for name, (share, _) in found.items():
            shares[name].append(share)
    for name, each in shares.items():
        print(f"{name}: mean over the queues {np.mean(each):.1%}")
    for name, each in shares.items():
        assert min(each) >= 0.91, name
        assert max(each) <= 0.98, name
        assert 0.935 <= np.mean(each) <= 0.965, name


def capacities(queue: Queue, count: int, jobs: int) -> dict[str, list[Root]]:
    """Loads at which 5 % of the jobs wait longer than at the load of a queue, in some studies."""
    _, limit = queue.truth(jobs)
    step = 0.2 * (1 - queue.load)
    loads = [queue.load + k * step for k in (-2.2, -0.8, 0.5, 1.4)]
    search = RootSearch(0.05, loads[0], loads[-1], 2 * step)
    at_loads = [studies(queue, count, 100, load) for load in loads]
    found: dict[str, list[Root]] = {"plain": [], "controlled": []}
    for study in zip(*at_loads, strict=True):
        tried = {
            load: share_above(runs, "wait_s", limit)
            for load, runs in zip(loads, study, strict=True)
        }
        found["plain"].append(search.result({load: plain for load, (plain, _) in tried.items()}))
        found["controlled"].append(search.result(chosen(tried, search)))
    return found


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_of_capacities() -> None:
    """400 studies for each queue."""
    shares: dict[str, list[float]] = {"plain": [], "controlled": []}
    for queue in (CELLS[1], CELLS[4], CELLS[7]):
        for name, roots in capacities(queue, 400, 100_000_000).items():
            shares[name].append(float(np.mean([r.low <= queue.load <= r.high for r in roots])))
            half = float(np.median([(root.high - root.low) / 2 for root in roots]))
            print(
                f"{queue.service.name}, {queue.servers} servers, load {queue.load}: "
                f"{name} capacity {shares[name][-1]:.1%} (+-{half:.4f})"
            )
    for name, each in shares.items():
        print(f"{name} capacity: mean over the queues {np.mean(each):.1%}")
        assert min(each) >= 0.91, name
        assert max(each) <= 0.98, name
        assert 0.935 <= np.mean(each) <= 0.965, name


def test_the_truth_of_many_jobs_is_the_formula() -> None:
    """The recursion and its regression, on M/M/4."""
    queue = Queue(exponential(), 4, 0.8)
    mean, p95 = queue.truth(0)
    service, gaps = queue.drawn(200, 3000, 5)
    waits = queue.waits(service, gaps)[:, 500:]
    assert waits.mean() == pytest.approx(mean, rel=0.03)
    assert np.quantile(waits, 0.95) == pytest.approx(p95, rel=0.03)
    stationary = queue.stationary()
    assert stationary is not None
    assert math.isclose(stationary.mean, 0.8 / (4 * 0.2), rel_tol=1e-3)


FASTER = 1.1
"""Speed of the second system."""
STUDIES = 400
OBJECTIVE = "p95_wait_s"


def runs_of(
    queue: Queue, speed: float, loads: Sequence[float], count: int
) -> tuple[pd.DataFrame, dict[str, dict[str, Sample]]]:
    """Runs of a system that is faster than a queue, on the same jobs, and their samples.

    At a load, its waits are those of the queue at a load that is lower by its speed, divided by
    the speed.
    """
    rows: list[dict[str, Any]] = []
    samples: dict[str, dict[str, Sample]] = {}
    for load in loads:
        for study, runs in enumerate(studies(queue, count, 100, load / speed)):
            for replication, run in enumerate(runs):
                key, wait = f"{study} {speed} {load} {replication}", run["wait_s"]
                wait = Sample(wait.count, wait.values / speed, wait.mean / speed)
                samples[key] = {**run, "wait_s": wait}
                rows.append(
                    {
                        "run": key,
                        "study": study,
                        "system": "faster" if speed > 1 else "queue",
                        "workload.load": load,
                        "replication": replication,
                        "draw": -1,
                        "status": "finished",
                        "offered_load": load / speed,
                        "jobs_per_day": load,
                        "backlog_growth": 0.0,
                        "mean_wait_s": wait.mean,
                        OBJECTIVE: wait.quantile(0.95),
                    }
                )
    return pd.DataFrame(rows), samples


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_of_gains_and_ratios() -> None:
    """400 studies that compare a queue with a faster one on the same jobs; truths by formula."""
    queue = CELLS[1]
    mean, limit = queue.truth(0)

    def at(load: float) -> Queue:
        return Queue(queue.service, queue.servers, load / FASTER)

    faster = float(brentq(lambda load: at(load).truth(0)[1] / FASTER - limit, 0.5, 1.05))
    step = 0.2 * (1 - queue.load)
    around = np.array([-2.2, -0.8, 0.5, 1.4]) * step
    search = CapacitySearch(between=(0.5, 1.0), tolerance=2 * step)
    objective = Objective(metric=OBJECTIVE, at_most=f"{limit} s")
    compare = Comparison(of="system", baseline="queue")
    ours, our_samples = runs_of(queue, FASTER, [queue.load, *(faster + around)], STUDIES)
    theirs, their_samples = runs_of(queue, 1.0, [queue.load, *(queue.load + around)], STUDIES)
    samples = our_samples | their_samples
    truths = {
        "gain": faster - queue.load,
        "mean_wait_s": at(queue.load).truth(0)[0] / FASTER / mean - 1,
        OBJECTIVE: at(queue.load).truth(0)[1] / FASTER / limit - 1,
    }
    covered: dict[str, list[bool]] = {name: [] for name in truths}
    for _, runs in pd.concat([ours, theirs]).groupby("study"):
        (gain,) = gains_table(
            runs, ["system"], compare, search, objective, samples=samples
        ).to_dict("records")
        covered["gain"].append(gain["gain_low"] <= truths["gain"] <= gain["gain_high"])
        found = differences_table(
            runs[runs["workload.load"] == queue.load],
            ["system"],
            of="system",
            baseline="queue",
            metrics=["mean_wait_s", OBJECTIVE],
            samples=samples,
        )
        for row in found.to_dict("records"):
            truth = truths[row["metric"]]
            covered[row["metric"]].append(row["relative_low"] <= truth <= row["relative_high"])
    for name, each in covered.items():
        kind = "gain of capacity" if name == "gain" else f"ratio of {name}"
        print(f"{kind}: {np.mean(each):.1%}")
        assert 0.91 <= np.mean(each) <= 0.98, name
