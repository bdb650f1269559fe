"""Useful work and the metrics of periods, on schedules worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.cost_metrics import ACCOUNTS
from clustersim.analysis.goodput import goodput_of
from clustersim.analysis.measures import measure
from clustersim.analysis.metrics import period_of
from clustersim.calendar import period_ends_s
from clustersim.catalogue import load_catalogue
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.performance.arrays import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import compile_cluster, resolve_cluster
from tests.studies.conducted import QUEUE

NEVER = float("inf")
CATALOGUE = load_catalogue()
LLAMA = float(model_flops_per_token(ModelArrays.of([CATALOGUE.model("llama3-8b")]))[0])
KEPT = {"warm_up": 0.0, "cool_down": 0.0}


def ran(
    submit_s: list[float],
    run_s: list[float],
    *,
    model: list[str | None] | None = None,
    horizon_s: float = 400.0,
    outages: list[NodeEvent] | None = None,
    interval_s: float = 1e9,
) -> Result:
    """Jobs of 8 accelerators with 1,000 tokens each, on two nodes of 8, first come first served."""
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(len(submit_s)),
            "submit_s": submit_s,
            "n_accelerators": 8,
            "duration_s": run_s,
            "tokens": 1000.0,
            "model": pd.Series(model or [None] * len(submit_s), dtype="string"),
        }
    )
    cluster = compile_cluster(
        resolve_cluster(
            {"name": "two", "pools": {"a": {"accelerator": "H200", "nodes": 2}}}, CATALOGUE
        )
    )
    return simulate(
        jobs,
        cluster,
        Scheduling(policy="fcfs", placement="consolidate"),
        node_events=outages,
        recovery=Recovery([[interval_s] * len(jobs)], [0.0] * len(jobs), [0.0] * len(jobs)),
        horizon_s=horizon_s,
    ).with_provenance({"scenario": {"horizon": f"{horizon_s} s"}})


def by_period(result: Result, metric: str, periods: int = 4) -> list[float]:
    found = measure(result, **KEPT, periods=periods, catalogue=CATALOGUE).metrics
    return [found[f"{metric}@{k}"] for k in range(1, periods + 1)]


def test_work_is_spread_evenly_over_an_attempt() -> None:
    # 50 to 250 s: half a period, a whole one, half of the third; the other has no model.
    result = ran([50, 50, 350], [200, 100, 10], model=["llama3-8b", None, None])
    whole = 1000 * LLAMA
    assert by_period(result, "useful_flop_per_s") == pytest.approx(
        [whole / 4 / 100, whole / 2 / 100, whole / 4 / 100, 0.0]
    )
    assert by_period(result, "tokens_per_day") == pytest.approx(
        [86400 * 250 / 100, 86400 * 500 / 100, 86400 * 250 / 100, 0.0]
    )
    assert by_period(result, "useful_flop_per_s.a") == by_period(result, "useful_flop_per_s")
    assert by_period(result, "jobs_done_per_day") == [0.0, 864.0, 864.0, 864.0]
    assert by_period(result, "utilisation") == pytest.approx([0.5, 0.75, 0.25, 0.05])
    assert by_period(result, "accelerators") == [16.0] * 4


def test_the_whole_window_has_the_mean_of_its_periods() -> None:
    result = ran([0, 0, 390], [350, 120, 10], model=["llama3-8b"] * 3)
    found = measure(result, **KEPT, periods=3, catalogue=CATALOGUE).metrics
    parts = [found[f"useful_flop_per_s@{k}"] for k in (1, 2, 3)]
    assert np.mean(parts) * 400 == pytest.approx(3000 * LLAMA)
    # Measured to the last submission, at 390 s: the last job's work comes behind it.
    assert found["useful_flop_per_s"] == pytest.approx(2000 * LLAMA / 390)


def test_a_job_that_still_runs_has_done_a_part() -> None:
    result = ran([0, 300], [800, 50], model=["llama3-8b", None])
    assert by_period(result, "tokens_per_day", 1) == pytest.approx([86400 * 500 / 400])


def test_work_that_a_failure_loses_is_not_useful() -> None:
    # Saved every 40 s: of 100 s until the failure 80 are kept, and 120 are left.
    lost = [NodeEvent(100.0, 150.0, 0, 0, "chip")]
    result = ran([0, 0, 390], [200, 400, 1], model=["llama3-8b", None, None], outages=lost,
                 interval_s=40.0)  # fmt: skip
    assert result.attempts is not None
    work = goodput_of(result, CATALOGUE)
    assert work.attempts["flop"].sum() == pytest.approx(1000 * LLAMA)
    first = by_period(result, "tokens_per_day")[0] / 86400 * 100
    assert first == pytest.approx(0.4 * 1000)
    # Of both nodes one is out for 50 of the second 100 s.
    assert by_period(result, "availability") == pytest.approx([1.0, 0.75, 1.0, 1.0])
    assert by_period(result, "ettr")[0] == pytest.approx(0.8)
    assert by_period(result, "lost_work")[0] == pytest.approx(0.2)


def test_waits_of_those_who_came_in_the_period() -> None:
    # Two take the nodes to the end: the fourth and fifth never start within the horizon.
    result = ran([0, 10, 20, 150, 350], [5, 500, 500, 5, 5])
    assert by_period(result, "mean_wait_s")[:2] == [0.0, 250.0]
    assert np.isnan(by_period(result, "mean_wait_s")[2])
    np.testing.assert_array_equal(by_period(result, "censored"), [0, 1, np.nan, 1])
    assert by_period(result, "mean_wait_s")[3] == 50.0, "until the horizon"
    assert np.isnan(by_period(result, "p95_wait_s")[3]), "unknown"
    assert by_period(result, "p95_wait_s")[0] == 0.0


def test_accelerators_come_and_go() -> None:
    # The second node is there from 250 s on.
    absent = [NodeEvent(0.0, 250.0, 0, 1, "not delivered", kind=NodeEventKind.LATE_DELIVERY)]
    result = ran([0, 390], [300, 5], outages=absent)
    assert by_period(result, "accelerators") == [8.0, 8.0, 12.0, 16.0]
    assert by_period(result, "accelerators.a") == by_period(result, "accelerators")
    assert by_period(result, "availability") == [1.0] * 4


def test_energy_and_money_of_the_periods_add_up() -> None:
    tree = {**QUEUE, "horizon": "8 h", "energy": {}, "money": {"period": "2 h"}}
    result = run_scenario(define_scenario(tree))
    found = measure(result, **KEPT, periods=4).metrics
    for name in (account.name for account in ACCOUNTS):
        parts = [found[f"{name}@{k}"] for k in (1, 2, 3, 4)]
        assert sum(parts) == pytest.approx(found[name], rel=1e-12)
        assert found[name] > 0
    # Jobs come in the first period, and then the nodes are idle: less energy, the same price.
    assert found["energy_j@4"] < found["energy_j@1"]
    of_nodes = [found[f"cost_cny@{k}"] - found[f"electricity_cny@{k}"] for k in (1, 4)]
    assert of_nodes[0] == pytest.approx(of_nodes[1])


@pytest.mark.parametrize("period", ["1 h", "8 h", "1 yr"])
def test_the_costs_of_a_period_do_not_hang_on_the_rows_of_the_table(period: str) -> None:
    """In the last of four quarters of 2 h there are two nodes, before it one."""
    late = {"deliveries": [{"pool": "gpu", "nodes": 1, "at": "6 h"}]}
    placed = {**QUEUE["scheduler"], "placement": "consolidate"}
    tree = {**QUEUE, "horizon": "8 h", "supply": late, "money": {"period": period}}
    loaded = define_scenario({**tree, "scheduler": placed})
    ends = period_ends_s(loaded.scenario.horizon, 4)
    ran_by_period = run_scenario(loaded, cost_dates_s=lambda _: ends)
    found = measure(ran_by_period, **KEPT, periods=4).metrics
    costs = [found[f"cost_cny@{k}"] for k in (1, 2, 3, 4)]
    assert costs == pytest.approx([costs[0], costs[0], costs[0], 2 * costs[0]])


def test_periods_need_a_horizon() -> None:
    result = ran([0, 1], [1, 1])
    result.provenance["scenario"].pop("horizon")
    with pytest.raises(InputError, match="the scenario needs a `horizon`"):
        measure(result, **KEPT, periods=2)


@pytest.mark.parametrize("name", ["x@0", "x@", "@1", "x@1.5", "x@y"])
def test_names_without_a_period(name: str) -> None:
    assert period_of(name) == (name, None)
