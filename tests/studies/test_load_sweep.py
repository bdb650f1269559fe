"""Load sweeps: common random numbers, capacity against theory, overload, interrupts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.studies import LoadSweep, Objective, SweepResult, load_sweep

SCENARIO = """
cluster:
  name: one
  pools: {gpu: {accelerator: H200, nodes: 1, chips_per_node: 8}}
workload:
  generate:
    arrivals: {mean_interarrival: 1 min}
    classes:
      - {name: c, weight: 1, sizes: {1: 1}, duration: {kind: exponential, average: 1 min}}
  jobs: 4000
scheduler: {policy: fcfs, placement: pooled}
seed: 5
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "scenario.yaml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture(scope="module")
def result(scenario):
    sweep = LoadSweep(scenario, (0.5, 0.7, 0.9, 1.3), ("fcfs", "sjf"), replications=4)
    with ThreadPoolExecutor(1) as executor:
        return load_sweep(sweep, executor=executor)


def test_every_run_is_there_once(result):
    assert len(result.runs) == 4 * 2 * 4
    assert not result.runs.duplicated(["load", "policy", "replication"]).any()


def erlang_c_wait(servers: int, rho: float, service_s: float) -> float:
    offered = servers * rho
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = offered * blocking / (k + offered * blocking)
    waits = blocking / (1 - rho + rho * blocking)
    return waits * service_s / (servers * (1 - rho))


def test_curve_of_an_mmc_queue_lies_around_erlang_c(result):
    points = result.points().set_index(["policy", "load"])
    for load in (0.5, 0.7):
        row = points.loc[("fcfs", load)]
        truth = erlang_c_wait(8, load, 60.0)
        half = row["mean_wait_s_high"] - row["mean_wait_s"]
        assert abs(row["mean_wait_s"] - truth) < 2 * half
        assert row["utilisation"] == pytest.approx(load, rel=0.05)


def test_overload_is_called_so_and_has_no_wait(result):
    points = result.points()
    assert points.loc[points["load"] == 1.3, "overload"].all()
    assert not points.loc[points["load"] <= 0.7, "overload"].any()
    assert np.isinf(points.loc[points["overload"], "mean_wait_s"]).all()
    assert np.isfinite(points.loc[points["overload"], "utilisation"]).all()


def test_a_load_of_one_has_no_steady_state_however_it_looks(result):
    runs = result.runs.assign(load=result.runs["load"].replace(0.5, 1.0), backlog_growth=0.0)
    points = SweepResult(LoadSweep("", (0.7, 1.0), ("fcfs",)), runs).points()
    assert points.set_index("load")["overload"].to_dict() == {0.7: False, 1.0: True}


def test_both_policies_see_the_same_work(result):
    use = result.runs.pivot_table(
        index=["load", "replication"], columns="policy", values="utilisation"
    )
    assert np.allclose(use["fcfs"], use["sjf"], atol=0.03)


def test_capacity_lies_between_the_loads_around_it(result):
    objective = Objective("mean_wait_s", at_most=10.0)
    for found in result.capacity(objective):
        assert 0.7 < found.load < 0.9
        assert 0.5 < found.low < found.load < found.high < 1.3


def test_capacity_outside_the_loads_tried(result):
    none = result.capacity(Objective("utilisation", at_most=0.1))
    assert all(np.isnan(found.load) for found in none)
    runs = result.runs[result.runs["load"] < 0.8]
    low = SweepResult(LoadSweep("", (0.5, 0.7), ("fcfs",)), runs)
    assert [found.load for found in low.capacity(Objective("p95_wait_s", 1e6))] == [np.inf]


def test_a_crossing_into_overload_is_known_to_the_grid_only(result):
    runs = result.runs.assign(mean_wait_s=1.0)
    flat = SweepResult(result.sweep, runs)
    (found, _) = flat.capacity(Objective("mean_wait_s", 30.0))
    assert (found.low, found.high) == (0.9, 1.3)


def test_paired_gain_is_surer_than_the_capacities(result):
    objective = Objective("mean_wait_s", at_most=10.0)
    gain = result.capacity_gain(objective, "sjf", over="fcfs")
    fcfs, sjf = result.capacity(objective)
    assert gain.load == pytest.approx(sjf.load - fcfs.load)
    assert gain.high - gain.low < (sjf.high - sjf.low) + (fcfs.high - fcfs.low)


def test_one_replication_can_show_overload_too(result):
    runs = result.runs[result.runs["replication"] == 0].assign(backlog_growth=0.5)
    points = SweepResult(LoadSweep("", (0.5, 0.7), ("fcfs",), 1), runs).points()
    assert points["overload"].all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"loads": ()}, "loads"),
        ({"loads": (0.9, 0.5)}, "ascend"),
        ({"loads": (-0.1, 0.5)}, "above 0"),
        ({"policies": ()}, "policies"),
        ({"policies": ("fcfs", "fcfs")}, "each once"),
        ({"replications": 0}, "replications"),
    ],
)
def test_a_sweep_that_makes_no_sense(wrong, words):
    with pytest.raises(InputError, match=words):
        LoadSweep(**{"scenario": "", "loads": (0.5,), "policies": ("fcfs",), **wrong})


def test_what_a_sweep_cannot_use_is_told_before_any_run(scenario):
    with pytest.raises(InputError, match="did you mean 'easy'"):
        load_sweep(LoadSweep(scenario, (0.5,), ("eazy",)))
    with pytest.raises(InputError, match="horizon"):
        load_sweep(LoadSweep(scenario, (0.5,), ("fcfs",), changes=("horizon=1 d",)))
    with pytest.raises(InputError, match="did you mean 'p95_wait_s'"):
        Objective("p95_wait")


def test_interrupt_keeps_the_runs_made(scenario):
    def stop(runs: pd.DataFrame) -> None:
        if len(runs) == 3:
            raise KeyboardInterrupt

    sweep = LoadSweep(scenario, (0.5,), ("fcfs",), 8, ("workload.jobs=200",))
    with ThreadPoolExecutor(1) as executor:
        assert len(load_sweep(sweep, executor=executor, on_run=stop).runs) == 3


def test_a_scenario_that_is_wrong_is_told_before_any_run(scenario):
    with pytest.raises(InputError, match="policy"):
        load_sweep(LoadSweep(scenario, (0.5,), ("fcfs",), 1, ("scheduler.polcy=easy",)))
