"""Simulated queues against queueing theory.

The exact value of every mean must lie within the 99.9 % interval over independent
replications, and that interval must be narrow. Seeds are fixed.
"""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.statistics import mean_interval
from clustersim.scheduling import Policy
from clustersim.seeds import Streams
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.simulate import replay
from clustersim.workload import WorkloadSpec, generate_jobs

SERVICE_S = 100.0
REPLICATIONS = 14


def queue(load: float, servers: int, duration: dict[str, Any]) -> WorkloadSpec:
    """Poisson arrivals of jobs of one accelerator and mean duration 100 s."""
    return WorkloadSpec.model_validate(
        {
            "arrivals": {"mean_interarrival": f"{SERVICE_S / servers / load!r} s"},
            "classes": [{"name": "job", "weight": 1, "sizes": {1: 1}, "duration": duration}],
        }
    )


EXPONENTIAL = {"kind": "exponential", "average": f"{SERVICE_S} s"}


def waits(spec: WorkloadSpec, servers: int, replication: int, n_jobs: int) -> np.ndarray:
    """Waits of all jobs but those of the warm-up, the first fifth."""
    log = generate_jobs(spec, Streams(97, replication=replication), n_jobs=n_jobs)
    table = replay(log, policy="fcfs", accelerators=servers).jobs
    return (table["start_s"] - table["submit_s"]).to_numpy()[n_jobs // 5 :]


def erlang_c(servers: int, load: float) -> float:
    """Probability to wait in M/M/c (A. K. Erlang, 1917), from Erlang B by recursion."""
    offered, blocked = servers * load, 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def test_erlang_c_by_hand() -> None:
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert erlang_c(2, 0.5) == pytest.approx(1 / 3)
    # a = 8 on 10 servers: the value of every table of Erlang C.
    assert erlang_c(10, 0.8) == pytest.approx(0.40918, abs=1e-5)


def check(values: list[float], theory: float, widest: float) -> None:
    """The exact value lies in a 99.9 % interval that is at most so wide, relative to it."""
    mean, low, high = mean_interval(values, level=0.999)
    assert low <= theory <= high, f"{mean} [{low}, {high}] instead of {theory}"
    assert high - mean < widest * theory, "more replications are needed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("servers", "load", "n_jobs", "widest"),
    [
        (1, 0.5, 5_000, 0.13),
        (1, 0.8, 12_000, 0.25),
        (2, 0.8, 12_000, 0.25),
        (8, 0.5, 8_000, 0.4),
        (8, 0.9, 12_000, 0.45),
        (64, 0.8, 12_000, 0.7),
        (64, 0.9, 12_000, 0.45),
    ],
)
def test_mean_wait_in_m_m_c_is_that_of_erlang_c(
    servers: int, load: float, n_jobs: int, widest: float
) -> None:
    spec = queue(load, servers, EXPONENTIAL)
    samples = [waits(spec, servers, k, n_jobs) for k in range(REPLICATIONS)]
    waiting = erlang_c(servers, load)
    wait_s = waiting * SERVICE_S / (servers * (1 - load))
    check([float(np.mean(sample)) for sample in samples], wait_s, widest)
    check([float(np.mean(sample > 0)) for sample in samples], waiting, widest)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("duration", "variation", "widest"),
    [
        ({"kind": "constant", "value": "100 s"}, 0.0, 0.1),
        (
            {"kind": "lognormal", "median": f"{100 * math.exp(-0.5)!r} s", "sigma": 1.0},
            math.e - 1,
            0.3,
        ),
        (
            {"kind": "weibull", "scale": f"{100 / math.gamma(1 + 1 / 0.7)!r} s", "shape": 0.7},
            math.gamma(1 + 2 / 0.7) / math.gamma(1 + 1 / 0.7) ** 2 - 1,
            0.3,
        ),
    ],
    ids=["deterministic", "lognormal", "Weibull"],
)
def test_mean_wait_in_m_g_1_is_that_of_pollaczek_and_khinchine(
    duration: dict[str, Any], variation: float, widest: float
) -> None:
    load = 0.7
    spec = queue(load, 1, duration)
    samples = [float(np.mean(waits(spec, 1, k, 12_000))) for k in range(REPLICATIONS)]
    # W = rho / (1 - rho) x service / 2 x (1 + squared coefficient of variation)
    wait_s = load / (1 - load) * SERVICE_S / 2 * (1 + variation)
    check(samples, wait_s, widest)


@pytest.mark.parametrize("servers", [1, 3, 20])
def test_every_wait_is_that_of_kiefer_and_wolfowitz(servers: int) -> None:
    log = generate_jobs(queue(0.95, servers, EXPONENTIAL), Streams(5), n_jobs=5_000)
    table = replay(log, policy="fcfs", accelerators=servers).jobs
    free_at = [0.0] * servers
    for submit, run, start in table[["submit_s", "duration_s", "start_s"]].to_numpy().tolist():
        begin = max(submit, heapq.heappop(free_at))
        heapq.heappush(free_at, begin + run)
        assert start == begin


# --- Little's law -------------------------------------------------------------------


def area(times: np.ndarray, changes: np.ndarray) -> float:
    """Integral over time of a number that starts at 0 and changes by `changes` at `times`."""
    order = np.argsort(times, kind="stable")
    number = np.cumsum(changes[order])
    return float(np.dot(number[:-1], np.diff(times[order])))


def mixed_log() -> pd.DataFrame:
    """Jobs of several sizes that crowd a pool of 16."""
    spec = WorkloadSpec.model_validate(
        {
            "arrivals": {"mean_interarrival": "30 s"},
            "classes": [
                {
                    "name": "job",
                    "weight": 1,
                    "sizes": {1: 4, 4: 2, 8: 1},
                    "duration": {"kind": "lognormal", "median": "80 s", "sigma": 1.0},
                }
            ],
        }
    )
    return generate_jobs(spec, Streams(12), n_jobs=3_000)


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "easy_sjbf", "conservative"])
def test_littles_law_holds_exactly(policy: str) -> None:
    result = replay(mixed_log(), policy=policy, accelerators=16)
    table = result.jobs
    n_jobs, end = len(table), result.provenance["simulated_s"]
    rate = n_jobs / end
    submit, start, finish = (
        table[name].to_numpy(dtype=np.float64) for name in ("submit_s", "start_s", "finish_s")
    )
    up, down = np.ones(n_jobs), -np.ones(n_jobs)
    waiting = area(np.concatenate([submit, start]), np.concatenate([up, down])) / end
    assert waiting == pytest.approx(rate * np.mean(start - submit), rel=1e-9)
    assert waiting > 0.1, "a queue in which nobody waits shows nothing"
    present = area(np.concatenate([submit, finish]), np.concatenate([up, down])) / end
    assert present == pytest.approx(rate * np.mean(finish - submit), rel=1e-9)
    # The utilisation table gives the same number of busy accelerators.
    busy = accelerator_seconds(result.utilisation)["allocated"].sum() / end
    work = table["n_accelerators"] * table["duration_s"]
    assert busy == pytest.approx(rate * work.mean(), rel=1e-9)


def test_littles_law_holds_for_the_queue_that_a_policy_sees() -> None:
    seen: list[tuple[float, int]] = [(0.0, 0)]

    class Watching(Policy):
        def schedule(self, now: float) -> None:
            for job in list(self.waiting):
                if not self.start(job):
                    break
            seen.append((now, len(self.waiting)))

    result = replay(mixed_log(), policy=Watching, accelerators=16)
    times, lengths = np.array(seen).T
    end = result.provenance["simulated_s"]
    assert times[-1] == end
    length = float(np.dot(lengths[:-1], np.diff(times))) / end
    wait_s = (result.jobs["start_s"] - result.jobs["submit_s"]).mean()
    assert length == pytest.approx(len(result.jobs) / end * wait_s, rel=1e-9)
