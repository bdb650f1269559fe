"""A scenario is resolved once: what the offered load and the run share, and the forms it has."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.performance import default_calibration
from clustersim.scenario.platform import open_platform
from clustersim.scenario.resolved import offered_work_of, resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.simulation import speeds as speeds_module
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.studies.worker import simulate_changed
from tests.examples import examples

CATALOGUE = cs.load_catalogue()
CLUSTER = cs.compile_cluster(cs.load_cluster("mixed-small", CATALOGUE))
MODELS = ["llama3-8b", "llama3-70b", "mixtral-8x7b"]
SIZES = [1, 3, 8, 16, 64, 128]
SCENARIO: dict[str, Any] = {
    "name": "shared",
    "cluster": "mixed-small",
    "workload": {
        "generate": {
            "name": "two kinds",
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "pretraining",
                    "weight": 1,
                    "sizes": {8: 1, 16: 1},
                    "model": "llama3-8b",
                    "tokens": {"kind": "lognormal", "median": 1.0e9, "sigma": 0.5},
                },
                {
                    "name": "tests",
                    "weight": 2,
                    "sizes": {1: 1, 4: 1},
                    "duration": {"kind": "lognormal", "median": "20 min", "sigma": 1.0},
                },
            ],
        },
        "jobs": 60,
        "load": 0.8,
        "reference_accelerator": "H200",
        "reference_models": {"default": "llama3-8b"},
    },
    "scheduler": {"policy": "easy"},
    "seed": 3,
}


def same(one: cs.Result, other: cs.Result) -> None:
    for name in ("jobs", "allocation_ranges", "utilisation", "summary"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


# --- Speeds -------------------------------------------------------------------------


@settings(max_examples=examples(12), deadline=None)
@given(
    order=st.permutations([(model, size) for model in MODELS for size in SIZES]),
    cut=st.integers(1, 17),
)
def test_a_speed_does_not_depend_on_what_else_was_asked_for(
    order: list[tuple[str, int]], cut: int
) -> None:
    """Bit for bit, so that runs of a study may share speeds in any order, on any worker."""
    piecewise, whole = Speeds(CLUSTER, CATALOGUE), Speeds(CLUSTER, CATALOGUE)
    found = [*piecewise.of_models(order[:cut]), *piecewise.of_models(order[cut:])]
    for one, other in zip(found, whole.of_models(order), strict=True):
        np.testing.assert_array_equal(one.seconds_per_token, other.seconds_per_token)
        assert one[1:] == other[1:]


def test_slowdowns_do_not_depend_on_what_else_was_asked_for() -> None:
    model = RunTimeModel("H200", {"default": "llama3-8b"})
    whole = Speeds(CLUSTER, CATALOGUE, model).slowdowns("llama3-8b", SIZES)
    single = Speeds(CLUSTER, CATALOGUE, model)
    for column in reversed(range(len(SIZES))):
        own = single.slowdowns("llama3-8b", [SIZES[column]])
        np.testing.assert_array_equal(own[:, 0], whole[:, column])
    assert (whole[[pool.accelerator for pool in CLUSTER.pools].index("H200")] == 1).all()
    assert (whole.max(axis=0) > 1).all()


def test_the_offered_load_and_the_run_search_each_plan_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[tuple[str, str, int]] = []
    compared: list[tuple[str, int]] = []
    best_plans, relative_speed = speeds_module.best_plans, speeds_module.relative_speed

    def counted(models: Any, chips: Any, counts: Any, **options: Any) -> Any:
        searched.extend(
            (model.name, chip.name, int(count))
            for model, chip, count in zip(models, chips, counts, strict=True)
        )
        return best_plans(models, chips, counts, **options)

    def compare(model: Any, chip: Any, reference: Any, counts: Any, **options: Any) -> Any:
        compared.extend((chip.name, int(count)) for count in counts)
        return relative_speed(model, chip, reference, counts, **options)

    monkeypatch.setattr(speeds_module, "best_plans", counted)
    monkeypatch.setattr(speeds_module, "relative_speed", compare)
    cs.run(SCENARIO)
    assert len(searched) == len(set(searched)) == 4 * 2  # pools x sizes of the class with a model
    assert len(compared) == len(set(compared)) == 3 * 4  # pools that are not H200 x sizes


def test_runs_of_a_study_search_each_plan_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    best_plans = speeds_module.best_plans

    def counted(models: Any, chips: Any, counts: Any, **options: Any) -> Any:
        searched.append(len(counts))
        return best_plans(models, chips, counts, **options)

    monkeypatch.setattr(speeds_module, "best_plans", counted)
    tree = {**SCENARIO, "name": "a study of its own"}
    tree["workload"] = {**SCENARIO["workload"], "reference_models": {"tests": "llama3-8b"}}
    for replication in range(3):
        simulate_changed(tree, {"replication": replication, "scheduler.policy": "fcfs"})
    assert sum(searched) == 4 * 2


def test_a_shared_platform_gives_the_tables_of_one_of_its_own() -> None:
    loaded = define_scenario(SCENARIO)
    platform = open_platform(loaded)
    offered = offered_work_of(loaded, platform)
    for seed in (1, 2):
        other = define_scenario(SCENARIO, {"seed": seed, "scheduler.policy": "fcfs"})
        shared = resolve(other, platform=platform, offered=offered)
        same(run_scenario(shared), run_scenario(other))


def test_a_draw_has_the_jobs_of_the_mean_and_speeds_of_its_own() -> None:
    mean, drawn = (
        resolve(define_scenario(SCENARIO, changes)) for changes in ({}, {"performance.draw": 4})
    )
    pd.testing.assert_frame_equal(mean.jobs, drawn.jobs)
    assert mean.arrival_per_s == drawn.arrival_per_s
    assert (mean.run_times.run_s != drawn.run_times.run_s).any()
    expected = Speeds(
        drawn.cluster,
        drawn.catalogue,
        dataclasses.replace(drawn.platform.speeds.model, draw=default_calibration().draw(seed=4)),
    )
    pair = [("llama3-8b", 8)]
    np.testing.assert_array_equal(
        drawn.platform.speeds.of_models(pair)[0].seconds_per_token,
        expected.of_models(pair)[0].seconds_per_token,
    )


def test_a_resolved_scenario_runs_again_with_the_same_events() -> None:
    often = {
        "name": "node",
        "time_to_failure": {"kind": "exponential", "average": "2 d"},
        "repair": {"kind": "constant", "value": "1 h"},
    }
    tree = {**SCENARIO, "failures": {"sources": [often]}}
    resolved = resolve(define_scenario(tree))
    first, again = cs.run(resolved), cs.run(resolved)
    assert first.outages is not None
    assert len(first.outages)
    same(first, again)
    pd.testing.assert_frame_equal(first.outages, again.outages)


# --- Forms of a scenario ------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "scenario.yaml"
    file.write_text(json.dumps(SCENARIO))
    return file


def test_run_takes_a_path_a_mapping_and_what_is_loaded(path: Path) -> None:
    loaded = cs.load_scenario(path)
    first = cs.run(path)
    for given_as in (str(path), SCENARIO, loaded, loaded.scenario, resolve(loaded)):
        same(cs.run(given_as), first)


def test_changes_are_made_in_every_form(path: Path) -> None:
    loaded = cs.load_scenario(path)
    first = cs.run(path, {"scheduler.policy": "fcfs", "workload.jobs": 30})
    assert len(first.jobs) == 30
    for given_as in (str(path), SCENARIO, loaded, loaded.scenario, resolve(loaded)):
        same(cs.run(given_as, ["scheduler.policy=fcfs", "workload.jobs=30"]), first)


def test_changes_of_a_loaded_scenario_keep_its_folder(path: Path) -> None:
    (path.parent / "own.csv").write_text(
        "job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n2,5,8,60\n"
    )
    loaded = cs.load_scenario(path)
    changes = {"workload": {"trace": "own.csv"}}
    assert len(cs.run(loaded, changes).jobs) == 2


@pytest.mark.parametrize("wrong", [3, None, ["experiments/mixed_small.yaml"], b"mixed_small.yaml"])
def test_something_else_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(cs.InputError, match=r"scenario: must be a path, a mapping or .*found"):
        cs.run(wrong)


def test_a_mapping_with_a_fault_is_refused_as_a_file_is() -> None:
    tree = {**SCENARIO, "scheduler": {"policy": "easi"}}
    with pytest.raises(cs.InputError, match="did you mean 'easy'"):
        cs.run(tree)


def test_parts_of_a_loaded_scenario() -> None:
    loaded = define_scenario(SCENARIO)
    assert isinstance(loaded, LoadedScenario)
    resolved = resolve(loaded)
    assert resolved.log is None
    assert len(resolved.jobs) == 60
    assert resolved.scheduling == cs.Scheduling("easy", "consolidate", folder=Path())
    assert resolved.run_times.run_s.shape == (4, 60)
    assert resolved.node_events() is None
