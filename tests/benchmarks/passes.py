"""Time of a scheduling pass of every policy: 2,000 waiting and 1,000 running jobs, 4 chip types.

All jobs are there from the beginning or come one after the other, so that most passes follow the
end of a job or the arrival of one. The same passes are timed twice, and the shorter time of each
counts, because whatever else the machine does only makes them longer. It is the processor time of
the thread, so that other processes count as little as possible. The time of the process, which
includes threads that solve programs, advances by milliseconds while a timer watches for passes
without end (:mod:`clustersim.scheduling.stalls`), so it is used only where it matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.scheduling import POLICIES, Policy, find_policy
from clustersim.scheduling.policies.elastic_rounds import ElasticRounds
from clustersim.scheduling.policies.in_rounds import InRounds
from clustersim.scheduling.programs import elastic
from clustersim.scheduling.programs.options import Choice
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, compile_cluster, resolve_cluster

__all__ = ["coming_jobs", "four_pools", "passes", "timed_passes"]

WAITING, RUNNING = 2_000, 1_000
BOUND_S, BOUND_OF_PROGRAMS_S = 0.05, 1.0
POOLS = {"h200": "H200", "h20": "H20", "910b": "910B2", "seedchip": "SeedChip"}
SPEEDS = {"h200": 1.0, "h20": 0.3, "910b": 0.4, "seedchip": 0.7}
"""Typical rates on each pool; those of a job differ from them by up to a half."""
USERS = [f"user {number}" for number in range(20)]
TEAMS = ("language", "video", "search", "ads")
SIZES = {1: 0.2, 2: 0.15, 4: 0.2, 8: 0.25, 16: 0.12, 32: 0.06, 64: 0.02}
"""Shares of the sizes of jobs: 8.4 accelerators in the mean."""
NODES = 264
"""Of each pool, which gives room for 1,000 jobs."""
MEAN_RUN_S, HORIZON_S = 7_200.0, 2_400.0
LONGEST_S = 10.0
"""Time of all passes of a policy after which no further ones take place."""
QUOTAS = {
    "queues": {
        team: {
            "cohort": "lab",
            "quotas": dict.fromkeys(POOLS, 2 * NODES),
            "preemption": {"within_queue": "lower", "reclaim_within_cohort": "any"},
        }
        for team in TEAMS
    }
}

OPTIONS: dict[str, Mapping[str, Any]] = {
    "multifactor": {
        "weight_age": 1000.0,
        "weight_fair_share": 10_000.0,
        "weight_qos": 1000.0,
        "qos_priority": {"high": 2.0, "normal": 1.0},
        "preempt_type": "qos",
        "preempt_mode": "requeue",
        "qos_preempts": {"high": ("normal",)},
    },
    "kai": {"quotas": QUOTAS, "by": "team"},
    "kueue": {"quotas": QUOTAS, "by": "team"},
    "max_throughput_per_cost": {"prices": dict(zip(POOLS, (30.0, 10.0, 8.0, 12.0), strict=True))},
}
"""Options of policies that need some, or do more with them."""


def passes() -> list[tuple[object, ...]]:
    """Rows of the table of benchmarks: one for each policy."""
    rows: list[tuple[object, ...]] = []
    for name in POLICIES:
        gaps: list[float] = []
        with patch.object(elastic, "choose", _noting_gaps(gaps)):
            seconds = np.minimum(*_of_equal_length(timed_passes(name), timed_passes(name)))
        programs = _solves_programs(name)
        bound = BOUND_OF_PROGRAMS_S if programs else BOUND_S
        gap = f", gap at most {100 * max(gaps):.3f} %" if gaps else ", optimal" if programs else ""
        slowest = float(seconds.max())
        rows.append(
            (
                f"pass of {name}",
                f"{len(seconds):,}",
                f"{seconds.sum():.2f}",
                f"{len(seconds) / seconds.sum():,.0f}",
                f"mean {1e3 * np.mean(seconds):.1f} ms, slowest {1e3 * slowest:.1f} ms{gap}",
                f"<= {1e3 * bound:,.0f} ms",
                "ok" if slowest <= bound else "MISSED",
            )
        )
    return rows


def _solves_programs(name: str) -> bool:
    return issubclass(POLICIES[name], InRounds | ElasticRounds)


def _noting_gaps(gaps: list[float]) -> Callable[..., Choice]:
    """Return `choose`, such that it notes the gap of each integer program."""
    choose = elastic.choose

    def noting(*options: Any, **limits: Any) -> Choice:
        found = choose(*options, **limits)
        gaps.append(found.gap)
        return found

    return noting


def _of_equal_length(*times: list[float]) -> list[list[float]]:
    shortest = min(map(len, times))
    return [each[:shortest] for each in times]


def timed_passes(name: str) -> list[float]:
    """Return the processor time of each pass after the first, seconds."""
    seconds: list[float] = []
    chosen = find_policy(name, options=OPTIONS.get(name, {}))
    clock = time.process_time if _solves_programs(name) else time.thread_time

    def schedule(policy: Policy, now: float) -> None:
        if sum(seconds) > LONGEST_S:
            return
        began = clock()
        chosen.schedule(policy, now)
        if now > 0:
            seconds.append(clock() - began)

    timed = type(chosen.__name__, (chosen,), {"schedule": schedule, "__doc__": chosen.__doc__})
    scheduling = Scheduling(policy=timed, placement="consolidate")
    simulate(_jobs(), four_pools(), scheduling, horizon_s=HORIZON_S, by_node=False)
    return seconds


def four_pools() -> Cluster:
    """A cluster of four pools of different chips."""
    pools = {
        pool: {"accelerator": chip, "nodes": NODES, "chips_per_node": 8}
        for pool, chip in POOLS.items()
    }
    return compile_cluster(resolve_cluster({"name": "four", "pools": pools}, load_catalogue()))


def _jobs() -> pd.DataFrame:
    """Jobs that fill the cluster at time 0, those that wait behind them, and those that come."""
    first, later = RUNNING + WAITING + 200, round(HORIZON_S / MEAN_RUN_S * RUNNING)
    jobs = coming_jobs(first + later)
    came_s = np.sort(np.random.default_rng(1).uniform(1, HORIZON_S, later))
    return jobs.assign(submit_s=np.concatenate([np.zeros(first), came_s]))


def coming_jobs(n: int, *, every_s: float = 10.0) -> pd.DataFrame:
    """Jobs of 20 users, one after the other."""
    draw = np.random.default_rng(18)
    jobs = {
        "job_id": np.arange(n),
        "submit_s": np.cumsum(draw.exponential(every_s, n)),
        "n_accelerators": draw.choice(list(SIZES), n, p=list(SIZES.values())),
        "steps": draw.lognormal(0, 1, n) * MEAN_RUN_S / np.exp(0.5),
        "user": draw.choice(USERS, n),
        "team": draw.choice(list(TEAMS), n),
        "qos": draw.choice(["high", "normal"], n, p=[0.1, 0.9]),
        "priority": draw.integers(0, 3, n),
    }
    rates = {
        f"steps_per_s.{pool}": speed * draw.uniform(0.5, 1.5, n) for pool, speed in SPEEDS.items()
    }
    return pd.DataFrame(jobs | rates)
