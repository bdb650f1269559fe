"""Order matters where a scenario's results depend on it: of pools, of sizes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.result import Result
from clustersim.studies.execution import make_runs
from clustersim.studies.redo import load_run
from clustersim.studies.study import Study, define_study
from clustersim.studies.study_result import load_result
from clustersim.studies.worker import simulate_changed

SCENARIO: dict[str, Any] = {
    "cluster": {
        "name": "two",
        "pools": {
            "west": {"accelerator": "H200", "nodes": 2},
            "east": {"accelerator": "H200", "nodes": 2},
        },
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "1 min"},
            "classes": [
                {
                    "name": "train",
                    "weight": 1,
                    "sizes": {8: 1, 16: 1, 4: 2},
                    "duration": {"kind": "exponential", "average": "10 min"},
                }
            ],
        },
        "jobs": 60,
        "load": 0.8,
    },
    "seed": 1,
}


def study(tree: dict[str, Any] = SCENARIO) -> Study:
    return define_study(
        {"name": "x", "base": tree, "parameters": {"workload.load": [0.7]}, "replications": 2}
    )


def same(one: Result, other: Result) -> bool:
    return all(getattr(one, name).equals(getattr(other, name)) for name in ("jobs", "allocations"))


def test_a_study_runs_the_scenario_as_it_is_written() -> None:
    plain = run_scenario(define_scenario(SCENARIO, {"workload.load": 0.7}), by_node=False)
    made = study()
    run = made.base.at(made.points[0].changes).run(-1, 0)
    assert same(simulate_changed(made.base.tree, run.changes)[0], plain)


@pytest.mark.parametrize("path", ["cluster/pools", "workload/generate/classes/0/sizes"])
def test_another_order_is_another_run(path: str) -> None:
    tree = copy.deepcopy(SCENARIO)
    here: Any = tree
    *above, last = path.split("/")
    for part in above:
        here = here[int(part)] if isinstance(here, list) else here[part]
    here[last] = dict(reversed(here[last].items()))
    keys = [made.base.at({}).run(-1, 0).key for made in (study(), study(tree))]
    assert keys[0] != keys[1]
    results = [run_scenario(define_scenario(own)) for own in (SCENARIO, tree)]
    assert not same(*results)


def test_a_run_is_redone_in_the_order_that_it_had(tmp_path: Path) -> None:
    make_runs(study(), tmp_path / "out", workers=1)
    runs = load_result(tmp_path / "out").runs
    loaded, _ = load_run(tmp_path / "out", runs["run"].iloc[1])
    assert list(loaded.scenario.cluster["pools"]) == ["west", "east"]  # type: ignore[index]
    plain = define_scenario(SCENARIO, {"workload.load": 0.7, "replication": 1})
    assert same(run_scenario(loaded), run_scenario(plain))
