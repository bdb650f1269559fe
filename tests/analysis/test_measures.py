"""The measures of a run, on schedules worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.measures import fleet_facts, measure
from clustersim.analysis.metrics import is_metric, metric_names, metric_of
from clustersim.analysis.part import FleetView
from clustersim.errors import InputError
from clustersim.scenario.platform import open_platform
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.simulate import replay, simulate
from clustersim.topology import single_pool


def every_10_s(n_jobs: int, run_s: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "job_id": np.arange(n_jobs),
            "submit_s": 10 * np.arange(n_jobs),
            "n_accelerators": 1,
            "duration_s": run_s,
        }
    )


def measured(n_jobs: int, run_s: float, **window: float | str) -> dict[str, float]:
    window = {"warm_up": 0.2, "cool_down": 0.1, **window}
    return measure(
        replay(every_10_s(n_jobs, run_s), policy="fcfs", accelerators=1), **window
    ).metrics


def test_a_stream_that_one_accelerator_carries():
    found = measured(100, 8)
    assert (found["jobs"], found["warm_up_jobs"], found["jobs_submitted"]) == (70, 20, 100)
    assert found["mean_wait_s"] == found["p95_wait_s"] == found["waited"] == 0.0
    assert found["backlog_growth"] == found["wait_rise_s"] == found["censored"] == 0.0
    assert found["utilisation"] == found["utilisation.pool"] == pytest.approx(0.8)
    assert found["mean_bounded_slowdown"] == 1.0
    assert found["mean_jct_s"] == found["p95_jct_s"] == 8.0
    assert found["jobs_per_day"] == pytest.approx(8640)
    # 70 jobs of 8 s in the 690 s from the first measured submission to the last.
    assert found["accelerator_hours_per_day"] == pytest.approx(70 * 8 / 690 * 24)
    assert found["makespan_s"] == 998.0


def test_a_stream_that_is_twice_too_much():
    # Job k starts at 20 k and waits 10 k; every second job of the window is still waiting.
    found = measured(100, 20)
    assert found["mean_wait_s"] == pytest.approx(10 * np.mean(np.arange(20, 90)))
    assert found["median_wait_s"] == pytest.approx(545.0)
    assert found["waited"] == 1.0
    assert found["utilisation"] == pytest.approx(1.0)
    assert found["backlog_growth"] == pytest.approx(0.5, abs=0.01)
    # The later half of jobs 20 to 89 came 35 jobs after the earlier: 350 s more of wait.
    assert found["wait_rise_s"] == pytest.approx(350)
    assert found["mean_bounded_slowdown"] == pytest.approx(found["mean_jct_s"] / 20)


def test_windows_by_time():
    assert measured(100, 8, warm_up="500 s")["warm_up_jobs"] == 50
    # The last submission is at 990 s: jobs up to 890 s count.
    found = measured(100, 8, warm_up="500 s", cool_down="100 s")
    assert found["jobs"] == 40


def test_mser_5_leaves_the_transient_out():
    jobs = every_10_s(400, 8)
    jobs.loc[:4, "duration_s"] = 40.0  # a jam at the start, worked off at 2 s a job
    result = replay(jobs, policy="fcfs", accelerators=1)
    found = measure(result, warm_up="mser-5", cool_down=0.0).metrics
    waits = (result.jobs["start_s"] - result.jobs["submit_s"]).to_numpy()
    settled = int(np.flatnonzero(waits > 0)[-1]) + 1
    assert settled > 50
    assert settled <= found["warm_up_jobs"] < settled + 5  # it works in batches of five
    assert found["mean_wait_s"] == 0.0
    assert found["warm_up_reached"] == 1.0
    overloaded = replay(every_10_s(400, 20), policy="fcfs", accelerators=1)
    assert measure(overloaded, warm_up="mser-5").metrics["warm_up_reached"] == 0.0


def test_a_horizon_censors_waits():
    # Jobs every 10 s of 20 s each: at 500 s, 51 were submitted, jobs 0 to 25 had started.
    result = simulate(every_10_s(100, 20), single_pool(1), horizon_s=505)
    found = measure(result, warm_up=0.0, cool_down=0.0).metrics
    assert found["jobs"] == found["jobs_submitted"] == 51
    assert found["censored"] == pytest.approx(25 / 51)
    waits = [10 * k if k <= 25 else 505 - 10 * k for k in range(51)]
    assert found["mean_wait_s"] == pytest.approx(np.mean(waits))
    # 25 jobs had ended by then, at 20 (k + 1) s.
    assert found["mean_jct_s"] == pytest.approx(np.mean([10 * k + 20 for k in range(25)]))
    assert found["backlog_growth"] == pytest.approx(0.5, abs=0.02)


def test_the_series_is_the_mean_wait_of_shares_of_the_jobs():
    result = replay(every_10_s(200, 20), policy="fcfs", accelerators=1)
    series = measure(result).series
    assert series.tolist() == [10 * (2 * k + 0.5) for k in range(100)]


def test_jobs_that_can_never_run_are_counted_and_left_out():
    jobs = every_10_s(100, 5)
    jobs.loc[50, "n_accelerators"] = 2
    found = measure(replay(jobs, policy="fcfs", accelerators=1)).metrics
    assert (found["jobs"], found["never_runnable"]) == (64, 1)


def test_batch_means_are_reported_of_a_long_run_only():
    assert measured(2000, 8)["mean_wait_s_half"] == 0.0
    assert measured(1000, 8)["mean_wait_s_half"] == np.inf, "35 jobs in a batch"
    assert measured(2000, 20)["mean_wait_s_half"] == np.inf, (
        "batch means rise from each to the next"
    )


def test_quantiles_of_a_long_run_have_an_interval_by_order_statistics():
    even = measured(2000, 8)
    assert (even["p95_jct_s"], even["p95_jct_s_at_least"], even["p95_jct_s_at_most"]) == (8, 8, 8)
    rising = measured(2000, 20)
    assert rising["p95_wait_s_at_most"] == np.inf, "every wait is longer than those before it"
    assert rising["p95_wait_s_at_least"] == -np.inf


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (
            {"warm_up": "1 h"},
            "warm_up: 1 h leaves no job to measure; the last job is submitted 16.5 min after",
        ),
        ({"warm_up": 0.95, "cool_down": 0.1}, "none of the 100 jobs is left"),
    ],
)
def test_windows_that_leave_nothing(window, words):
    with pytest.raises(InputError, match=words):
        measured(100, 5, **window)


def test_nothing_ran():
    jobs = every_10_s(10, 5).assign(n_accelerators=2)
    with pytest.raises(InputError, match="jobs is left to measure"):
        measure(replay(jobs, policy="fcfs", accelerators=1))


def test_facts_of_a_fleet():
    pools = {
        "a": {"accelerator": "H20", "nodes": 2},
        "b": {"accelerator": "910B", "nodes": 3},
    }
    workload = {"generate": "philly-2017", "jobs": 1}
    fleet = open_platform(
        define_scenario({"cluster": {"name": "two", "pools": pools}, "workload": workload})
    )
    facts = fleet_facts(FleetView(fleet))
    h20, ascend = (fleet.catalogue.accelerator(name) for name in ("H20", "910B"))
    assert (facts["chips"], facts["chips.a"], facts["chips.b"]) == (40, 16, 24)
    assert facts["fleet_power_w"] == 16 * h20.power_w + 24 * ascend.power_w
    server = 32_010 * 7.2 / 8
    by_hand = 16 * (13_500 * 7.2 + server) + 24 * (16_000 * 7.2 + server)
    assert facts["fleet_cost_cny"] == pytest.approx(by_hand)


def test_energy_and_money_of_the_whole_run():
    message = {
        "cluster": {"name": "one", "pools": {"a": {"accelerator": "H20", "nodes": 2}}},
        "workload": {
            "generate": {
                "arrivals": {"mean_interarrival": "1 h"},
                "classes": [
                    {
                        "name": "train",
                        "weight": 1,
                        "sizes": {8: 1},
                        "model": "llama3-8b",
                        "tokens": {"kind": "constant", "value": 1e7},
                    }
                ],
            },
            "jobs": 20,
        },
    }
    without = measure(run_scenario(define_scenario(message))).metrics
    result = run_scenario(define_scenario(message | {"energy": {}, "money": {}}))
    found = measure(result).metrics
    names = ["energy_j", "electricity_cny", "carbon_kg", "cost_cny", "cost_per_job_cny"]
    names += ["cost_per_million_tokens_cny", "cost_per_useful_pflop_day_cny"]
    assert all(np.isnan(without[name]) for name in names)
    assert without == {**found, **{name: pytest.approx(np.nan, nan_ok=True) for name in names}}
    assert found["energy_j"] == pytest.approx(result.costs["energy_j"].sum())
    assert found["cost_cny"] == pytest.approx(result.costs["cost_cny"].sum())
    assert found["cost_per_job_cny"] == pytest.approx(found["cost_cny"] / 20)
    assert found["cost_per_million_tokens_cny"] == pytest.approx(found["cost_cny"] / 20 / 10)
    # llama3-8b: 6 FLOPs for each of 7.5e9 weights but the input embedding, and some for attention.
    pflop_days = 20 * 1e7 * 6 * 7.5e9 / 86400e15
    per_day = found["cost_per_useful_pflop_day_cny"]
    assert 0.8 * found["cost_cny"] / pflop_days < per_day < found["cost_cny"] / pflop_days


def test_every_metric_has_words_and_a_name_that_is_known():
    found = [name for name in measured(100, 8) if "." not in name]
    of_fleets = ["chips", "fleet_cost_cny", "fleet_power_w", "offered_load"]
    always = [name for name in metric_names() if not metric_of(name).on_request]
    assert [*found, *of_fleets] == always
    assert is_metric("utilisation.h200")
    assert not is_metric("utilisation.")
    assert not is_metric("wait")
