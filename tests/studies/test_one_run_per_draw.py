"""Capacities of draws, each from one replication."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conducted import QUEUE
from synthetic import noise, parts_of, runs_of

from clustersim.studies import define_study
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.capacity.capacities import capacities_table
from clustersim.studies.search_spec import CapacitySearch, Objective

HOUR = 3600.0
OBJECTIVE = Objective(metric="mean_wait_s", at_most="1 h")
VALUES = [10.0, 20.0, 40.0, 80.0]


def table(waits: Mapping[tuple[int, int], Any], search: CapacitySearch) -> pd.Series[Any]:
    """The row of a search, from the waits (in hours) of each draw and replication by value."""
    rows = [
        {
            "run": f"{draw} {replication} {value}", "point": place, search.of: value,
            "draw": draw, "replication": replication, "status": "finished",
            "mean_wait_s": hours * HOUR, "wait_rise_s": 0.0, "offered_load": 0.5,
            "backlog_growth": 0.0, "jobs_per_day": 2.0 * value,
        }
        for (draw, replication), each in waits.items()
        for place, (value, hours) in enumerate(zip(VALUES, each, strict=True))
        if not math.isnan(hours)
    ]  # fmt: skip
    return capacities_table(pd.DataFrame(rows), [], search, OBJECTIVE).iloc[0]


JOBS = CapacitySearch(of="workload.jobs_per_day", between=(10.0, 80.0))
USUAL = {(-1, 0): [0.25, 0.5, 1.0, 2.0], (-1, 1): [0.75, 1.5, 3.0, 6.0]}
"""Mean waits of 0.5, 1, 2 and 4 h: the capacity is 20; the replications measure 0.5 h and 1.5 h."""


def test_a_draw_reaches_what_its_replication_measures_at_the_capacity() -> None:
    """With draw 0, waits double, so half the jobs wait as long; with draw 1, they halve."""
    row = table({**USUAL, (0, 0): [0.5, 1.0, 2.0, 4.0], (1, 1): [0.375, 0.75, 1.5, 3.0]}, JOBS)
    assert row["capacity"] == pytest.approx(20.0)
    low, high = 10.0, 40.0  # of two draws, the 5th percentile is 0.05 of the way
    assert row["capacity_draw_low"] == pytest.approx(low + 0.05 * (high - low))
    assert row["capacity_draw_high"] == pytest.approx(high - 0.05 * (high - low))
    assert row["jobs_per_day_draw_low"] == pytest.approx(2 * row["capacity_draw_low"])
    # The same draws with the other replication, which alone has a capacity of 40 or 13.3.
    other = table({**USUAL, (0, 1): [1.5, 3.0, 6.0, 12.0], (1, 0): [0.125, 0.25, 0.5, 1.0]}, JOBS)
    assert other["capacity_draw_low"] == pytest.approx(row["capacity_draw_low"])
    assert other["capacity_draw_high"] == pytest.approx(row["capacity_draw_high"])


def test_draws_with_all_replications_of_an_earlier_version_are_read() -> None:
    double = {(0, k): [2 * hours for hours in USUAL[-1, k]] for k in (0, 1)}
    row = table({**USUAL, **double}, JOBS)
    assert row["capacity_draw_low"] == row["capacity_draw_high"] == pytest.approx(10.0)


def test_a_replication_without_waits_and_an_overloaded_draw() -> None:
    """A replication in which nobody waits at the capacity is compared at a quarter of an hour."""
    usual = {(-1, 0): [0.0, 0.0, 0.25, 2.0], (-1, 1): [1.0, 2.0, 4.0, 8.0]}
    same = table({**usual, (0, 0): usual[-1, 0]}, JOBS)
    assert same["capacity"] == pytest.approx(20.0)
    assert same["capacity_draw_low"] == pytest.approx(20.0)
    overloaded = table({**usual, (0, 0): [math.inf] * 4, (1, 1): usual[-1, 1]}, JOBS)
    assert overloaded["capacity_draw_low"] == -math.inf
    assert overloaded["capacity_draw_high"] == pytest.approx(20.0)
    # A replication that never waits cannot be compared.
    never = table({(-1, 0): [0.0] * 4, (-1, 1): [1.0, 2.0, 4.0, 8.0], (0, 0): [0.0] * 4}, JOBS)
    assert math.isnan(never["capacity_draw_low"])
    assert "coefficient draws without a capacity: 1" in never["note"]


def test_where_overload_begins_a_draw_is_searched_at_the_objective() -> None:
    """Overload begins between 20 and 40; with the draw, jobs wait 1 h at 20."""
    usual = {(-1, k): [0.5, 0.5, math.inf, math.inf] for k in (0, 1)}
    row = table({**usual, (0, 0): [0.25, 1.0, 4.0, math.inf], (1, 1): usual[-1, 1]}, JOBS)
    assert row["capacity"] == pytest.approx(30.0)
    assert row["note"].startswith("overload begins between 20 and 40")
    assert row["capacity_draw_low"] == pytest.approx(20.0 + 0.05 * 10.0)
    assert row["capacity_draw_high"] == pytest.approx(30.0 - 0.05 * 10.0)


def test_a_fleet_size_is_a_whole_number() -> None:
    """Waits fall with the number of nodes; with the draw, three times as many nodes are needed."""
    nodes = CapacitySearch(of="cluster.pools.gpu.nodes", between=(10, 80), more_is="better")
    falls = {(-1, 0): [3.9, 1.9, 0.9, 0.4], (-1, 1): [1.9, 0.9, 0.4, 0.2]}
    row = table({**falls, (0, 0): [12.0, 5.8, 2.8, 1.3], (1, 1): falls[-1, 1]}, nodes)
    assert 20 < row["capacity"] < 40
    assert row["capacity_draw_low"] >= row["capacity"]
    assert row["capacity_draw_high"] > 1.9 * row["capacity"]
    few = table({**falls, (0, 0): [12.0, 5.8, 2.8, 1.9], (1, 1): [0.0] * 4}, nodes)
    assert few["capacity_draw_high"] == math.inf  # one draw needs more than 80
    assert few["capacity_draw_low"] == -math.inf  # one draw needs fewer than 10


SEARCH = {
    "name": "search",
    "base": QUEUE,
    "parameters": {"scheduler.policy": ["fcfs"]},
    "metrics": ["mean_wait_s"],
    "objective": {"metric": "mean_wait_s", "at_most": "1 min"},
    "capacity": {"between": [0.2, 0.95], "tolerance": 0.01},
    "replications": 3,
    "draws": 5,
}


def grows(changes: Mapping[str, Any], draw: int, replication: int) -> dict[str, float]:
    """Waits as at a load that differs by a number of the replication and one of the draw."""
    load = changes["workload.load"] + 0.05 * noise(replication)
    factor = 1.0 if draw == POSTERIOR_MEAN else 1.0 + 0.04 * (draw - 2)
    return {"mean_wait_s": 60.0 * math.exp(8.0 * (factor * load - 0.6)), "jobs_per_day": 1.0}


def test_each_draw_is_searched_with_one_replication() -> None:
    study = define_study(SEARCH, check=False)
    (runs,) = parts_of(study, grows).values()
    by_draw: dict[int, set[int]] = {}
    for run in runs:
        by_draw.setdefault(run.draw, set()).add(run.replication)
    assert by_draw.pop(POSTERIOR_MEAN) == {0, 1, 2}
    assert by_draw == {0: {0}, 1: {1}, 2: {2}, 3: {0}, 4: {1}}
    assert {run.key for run in runs} == {
        run.key for each in parts_of(study, grows, order=-1).values() for run in each
    }
    # Without a capacity at the posterior mean, the draws are not searched.
    (kept,) = parts_of(study, lambda *_: {"mean_wait_s": 1.0, "jobs_per_day": 1.0}).values()
    assert {run.draw for run in kept} == {POSTERIOR_MEAN}
    assert len(kept) == 2 * 3


@lru_cache(maxsize=16)
def arrivals(replication: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaps between jobs at one job per unit of time, their work, and whether they are large."""
    random = np.random.default_rng([7, replication])
    large = random.random(1500) < 0.3
    return random.exponential(1.0, 1500), np.where(large, 2.0, 0.57), large


def queue(changes: Mapping[str, Any], draw: int, replication: int) -> dict[str, float]:
    """The mean wait of a queue with one server (Lindley); draws change the work of large jobs."""
    gaps, work, large = arrivals(replication)
    factor = 1.0 if draw == POSTERIOR_MEAN else 0.8 + 0.4 * (draw + 0.5) / DRAWS
    rate = float(changes["workload.jobs_per_day"])
    steps = np.where(large, factor, 1.0)[:-1] * work[:-1] - gaps[1:] / rate
    late = np.append(0.0, np.cumsum(steps))
    wait = late - np.minimum.accumulate(late)
    return {"mean_wait_s": 600.0 * float(wait.mean()), "jobs_per_day": rate}


DRAWS = 10


def test_the_range_of_one_run_per_draw_is_that_of_all_replications() -> None:
    """Ten draws of a queue with 6 replications; each draw is also searched with all of them.

    Both ends of the range agree within 10 % of its width, with a sixth of the runs.
    """
    workload = {**QUEUE["workload"], "load": None}
    of = {"of": "workload.jobs_per_day", "between": [0.3, 0.95], "tolerance": 0.01}
    fields = {
        **SEARCH,
        "base": {**QUEUE, "workload": workload},
        "objective": {"metric": "mean_wait_s", "at_most": "20 min"},
        "capacity": of,
        "replications": 6,
        "draws": DRAWS,
    }
    study = define_study(fields, check=False)
    search, objective = study.spec.capacity, study.spec.objective
    runs = runs_of(study, queue)
    row = capacities_table(runs, [], search, objective).iloc[0]
    plain, full, count = define_study({**fields, "draws": 0}, check=False), [], 0
    for draw in range(DRAWS):
        own = runs_of(plain, lambda changes, _draw, k, draw=draw: queue(changes, draw, k))
        full.append(capacities_table(own, [], search, objective)["capacity"].iloc[0])
        count += len(own)
    low, high = np.quantile(full, [0.05, 0.95])
    assert row["capacity_draw_low"] == pytest.approx(low, abs=0.1 * (high - low))
    assert row["capacity_draw_high"] == pytest.approx(high, abs=0.1 * (high - low))
    assert 5 * (runs["draw"] >= 0).sum() < count
