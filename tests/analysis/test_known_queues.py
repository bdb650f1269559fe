"""How often intervals of waits contain the truth, on queues with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.job_statistics import job_mean, job_quantile, share_above
from clustersim.analysis.root_search import RootSearch
from clustersim.analysis.samples import Sample
from clustersim.studies.objective import chosen
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


def studies(queue: Queue, count: int, seed: int) -> list[list[dict[str, Sample]]]:
    """Runs of some studies; each run is 60 relaxation times long after a warm-up of 20.

    It has enough jobs for the rare large ones: 2,000 times the squared coefficient of variation.
    """
    warm = int(20 * queue.relaxation_jobs)
    jobs = int(max(60 * queue.relaxation_jobs, 2000 * queue.service.square))
    stationary, _ = queue.stationary()
    found = []
    block = max(1, int(2e7 / (REPLICATIONS * (warm + jobs))))
    for begin in range(0, count, block):
        here = min(block, count - begin)
        drawn = queue.drawn(here * REPLICATIONS, warm + jobs, seed + begin)
        waits, work = queue.waits(*drawn)[:, warm:], queue.unfinished(*drawn)[:, warm:]
        squares = (drawn[0][:, warm:] ** 2).mean(axis=1) / queue.servers**2
        runs = [
            {
                "wait_s": Sample.of(wait),
                "unfinished_work_s": Sample.of(before),
                "stationary_work_s": stationary,
                "means": Sample(3, np.array([wait.mean(), before.mean(), square])),
            }
            for wait, before, square in zip(waits, work, squares, strict=True)
        ]
        found += [runs[k : k + REPLICATIONS] for k in range(0, len(runs), REPLICATIONS)]
    return found


def controls(queue: Queue, runs: list[dict[str, Sample]]) -> dict[str, np.ndarray]:
    """The metrics of runs that control variates need."""
    means = np.array([run["means"].values for run in runs])
    square = (1 + queue.service.square) / queue.servers**2
    return {
        "mean_unfinished_work_s": means[:, 1],
        "expected_unfinished_work_s": np.full(len(runs), queue.stationary()[1]),
        "mean_square_work_s2": means[:, 2],
        "expected_square_work_s2": np.full(len(runs), square),
    }


def coverage(queue: Queue, count: int, jobs: int) -> dict[str, tuple[float, float]]:
    """Share of studies whose interval contains the truth, and median relative half width."""
    mean, p95 = queue.truth(jobs)
    covered: dict[str, list[bool]] = {name: [] for name in STATISTICS}
    widths: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for runs in studies(queue, count, seed=100):
        means = np.array([run["means"].values[0] for run in runs])
        metrics = controls(queue, runs)
        pairs = {
            "mean": (job_mean(means, metrics), mean),
            "p95": (job_quantile(runs, "wait_s", 0.95, metrics), p95),
            "share": (share_above(runs, "wait_s", p95, metrics), 0.05),
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
@pytest.mark.coverage
def test_intervals_on_two_queues() -> None:
    """The control halves the intervals at least, and they still contain the truth."""
    for queue in (CELLS[1], CELLS[4]):
        found = coverage(queue, 150, 4_000_000)
        report(queue, found)
        for name, (share, _) in found.items():
            assert 0.88 <= share <= 0.995, name
        for name in ("mean", "p95"):
            assert found[f"controlled {name}"][1] < found[name][1] / 2


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
        assert max(each) <= 0.985, name
        assert 0.93 <= np.mean(each) <= 0.97, name


def capacity(
    queue: Queue, limit: float, loads: tuple[float, ...], seed: int
) -> tuple[float, float]:
    """Interval of the load at which 5 % of the jobs wait longer than a limit."""
    warm = int(20 * queue.relaxation_jobs)
    drawn = queue.drawn(REPLICATIONS, warm + int(40 * queue.relaxation_jobs), seed)
    tried: dict[float, tuple[Estimate, Estimate | None]] = {}
    squares = (drawn[0][:, warm:] ** 2).mean(axis=1) / queue.servers**2
    for load in loads:
        at = Queue(queue.service, queue.servers, load)
        stationary, _ = at.stationary()
        waits, work = at.waits(*drawn)[:, warm:], at.unfinished(*drawn)[:, warm:]
        runs = [
            {
                "wait_s": Sample.of(wait),
                "unfinished_work_s": Sample.of(before),
                "stationary_work_s": stationary,
                "means": Sample(3, np.array([wait.mean(), before.mean(), square])),
            }
            for wait, before, square in zip(waits, work, squares, strict=True)
        ]
        tried[load] = share_above(runs, "wait_s", limit, controls(at, runs))
    search = RootSearch(0.05, loads[0], loads[-1], 1.0)
    root = search.result(chosen(tried, search))
    return root.low, root.high


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_of_capacities() -> None:
    """On M/M/4, the load at which 5 % of the jobs wait longer than at load 0.85."""
    queue = Queue(exponential(), 4, 0.85)
    _, limit = queue.truth(0)
    ends = [capacity(queue, limit, (0.82, 0.84, 0.86, 0.88), seed) for seed in range(400)]
    covered = float(np.mean([low <= 0.85 <= high for low, high in ends]))
    half = float(np.median([(high - low) / 2 for low, high in ends]))
    print(f"capacity: {covered:.1%} of 400 studies, median half width {half:.4f}")
    assert 0.91 <= covered <= 0.98
    assert half < 0.01


def test_the_truth_of_many_jobs_is_the_formula() -> None:
    """The recursion and its regression, on M/M/4."""
    queue = Queue(exponential(), 4, 0.8)
    mean, p95 = queue.truth(0)
    service, gaps = queue.drawn(200, 3000, 5)
    waits = queue.waits(service, gaps)[:, 500:]
    assert waits.mean() == pytest.approx(mean, rel=0.03)
    assert np.quantile(waits, 0.95) == pytest.approx(p95, rel=0.03)
    assert math.isclose(queue.stationary()[1], 0.8 / (4 * 0.2), rel_tol=1e-3)
