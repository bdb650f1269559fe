"""The hash of a run: equal for equal runs, however written; another for whatever matters."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import clustersim.performance
from clustersim.files import read_yaml
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.study import Study, define_study, load_study
from clustersim.topology import find_topology

Tree = dict[str, Any]
SCENARIO: Tree = {
    "name": "small",
    "cluster": {
        "name": "two",
        "pools": {
            "new": {"accelerator": "H200", "nodes": 4, "nic": "400 Gb/s"},
            "old": {"accelerator": "Old", "nodes": 2, "virtual_clusters": {"x": {"nodes": 1}}},
        },
    },
    "catalogue": [{"accelerators": {"Old": {"extends": "H20", "power": "500 W"}}}],
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "train",
                    "weight": 1,
                    "sizes": {8: 1, 16: 2},
                    "duration": {"kind": "exponential", "average": "10 min"},
                }
            ],
        },
        "jobs": 40,
        "load": 0.6,
    },
    "scheduler": {"policy": "easy"},
    "seed": 7,
}
LOG = "job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n2,5,8,70\n3,9,16,30\n"
POLICY = """
from clustersim.scheduling.policies import Sjf


class Mine(Sjf):
    pass
"""


def study(base: Tree | str = SCENARIO, **fields: Any) -> Study:
    tree = {"name": "x", "base": base, "parameters": {"workload.load": [0.6]}, **fields}
    return define_study(tree, check=False)


def key(
    base: Tree | str = SCENARIO, *, draw: int = POSTERIOR_MEAN, run: int = 0, **fields: Any
) -> str:
    """Hash of the run of the study's first point."""
    made = study(base, **fields)
    return made.base.at(made.points[0].changes).run(draw, run).key


def edited(path: str, value: Any, tree: Tree = SCENARIO) -> Tree:
    """The scenario with another value at a path ("cluster/pools/new/nodes")."""
    changed = copy.deepcopy(tree)
    here: Any = changed
    *above, last = path.split("/")
    for part in above:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    here[int(last) if isinstance(here, list) else last] = value
    return changed


def write(path: Path, tree: Tree) -> Path:
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
    return path


def test_a_hash_is_24_hexadecimal_digits_and_repeatable() -> None:
    assert len(key()) == 24
    assert int(key(), 16) >= 0
    assert key() == key(copy.deepcopy(SCENARIO))


# --- Equal runs ---------------------------------------------------------------------

CLASS = "workload/generate/classes/0/"
EQUAL: dict[str, Tree] = {
    "name": edited("name", "other"),
    "description": edited("description", "said to readers"),
    "defaults of the scenario": edited("performance/precision", "bf16")
    | {"replication": 0, "horizon": None},
    "defaults of the scheduler": edited(
        "scheduler",
        {"policy": "easy", "placement": "consolidate", "choose": "fastest", "estimates": "user"},
    ),
    "defaults of the workload": edited("workload/sort", False),
    "defaults of a pool": edited("cluster/pools/new/fabric", {"type": "none"}),
    "defaults of a class": edited(CLASS + "estimate", None),
    "unit of a rate": edited("cluster/pools/new/nic", "50 GB/s"),
    "unit of a duration": edited(CLASS + "duration/average", "600 s"),
    "unit of a chip": edited("catalogue/0/accelerators/Old/power", "0.5 kW"),
    "range of a chip written out": edited("catalogue/0/accelerators/Old/power", {"value": "500 W"}),
}


@pytest.mark.parametrize("case", EQUAL)
def test_equal_scenarios_have_one_hash(case: str) -> None:
    assert key(EQUAL[case]) == key()


def test_a_whole_number_is_the_fraction() -> None:
    assert key(parameters={"workload.load": [1]}) == key(parameters={"workload.load": [1.0]})


def test_order_of_fields_does_not_matter() -> None:
    tree = {name: SCENARIO[name] for name in sorted(SCENARIO, reverse=True)}
    pools = SCENARIO["cluster"]["pools"]
    tree["cluster"] = {
        "pools": {name: dict(reversed(pool.items())) for name, pool in pools.items()},
        "name": "two",
    }
    assert key(tree) == key()


def test_names_files_and_contents_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = read_yaml(find_topology("mixed-small"))
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "cluster.yaml", contents)
    write(tmp_path / "chips.yaml", SCENARIO["catalogue"][0])
    write(tmp_path / "jobs.yaml", SCENARIO["workload"]["generate"])
    monkeypatch.chdir(tmp_path)
    expected = key(edited("cluster", contents))
    assert key(edited("cluster", "mixed-small")) == expected
    assert key(edited("cluster", "sub/cluster.yaml")) == expected
    assert key(edited("cluster", str(tmp_path / "sub" / "cluster.yaml"))) == expected
    assert key(edited("catalogue", ["chips.yaml"])) == key()
    assert key(edited("workload/generate", "jobs.yaml")) == key()


def test_place_of_the_base_does_not_matter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home / "cluster.yaml", SCENARIO["cluster"])
    write(home / "plain.yaml", edited("cluster", "cluster.yaml"))
    write(home / "base.yaml", {"extends": "plain.yaml"})
    for base in ("plain.yaml", "base.yaml"):
        assert key(str(home / base)) == key()


def test_a_change_is_the_same_as_a_scenario_that_says_so() -> None:
    nodes, load = "cluster.pools.new.nodes", "workload.load"
    plain = key(edited("cluster/pools/new/nodes", 3))
    assert key(set={nodes: 3}) == plain
    assert key(parameters={nodes: [3]}) == plain
    assert key(parameters={load: [0.6], nodes: [3]}) == plain
    assert key(parameters={nodes: [3], load: [0.6]}) == plain
    assert key(paired=[{nodes: [3]}]) == plain
    stepped = {"from": 0.1, "to": 0.5, "steps": 5}
    assert {run.key for run in first_runs(study(parameters={load: stepped}))} == {
        run.key for run in first_runs(study(parameters={load: [0.1, 0.2, 0.3, 0.4, 0.5]}))
    }


def test_what_is_concluded_does_not_matter() -> None:
    concluded = {
        "metrics": ["waited"],
        "objective": {"at_most": "2 h"},
        "plots": [{"kind": "warm-up"}],
        "labels": {"waited": "share"},
        "question": "why?",
        "replications": 9,
        "draws": 4,
    }
    assert key(**concluded) == key()


def first_runs(made: Study) -> list[Any]:
    return [made.base.at(point.changes).run(POSTERIOR_MEAN, 0) for point in made.points]


# --- Runs that are not equal --------------------------------------------------------

OTHER: dict[str, Callable[[], str]] = {
    "seed": lambda: key(edited("seed", 8)),
    "replication": lambda: key(run=1),
    "draw": lambda: key(draw=0),
    "another draw": lambda: key(draw=1),
    "both": lambda: key(draw=1, run=1),
    "a draw of the base": lambda: key(edited("performance/draw", 2)),
    "warm-up": lambda: key(window={"warm_up": 0.3}),
    "cool-down": lambda: key(window={"cool_down": "1 h"}),
    "MSER-5": lambda: key(window={"warm_up": "mser-5"}),
    "policy": lambda: key(edited("scheduler/policy", "fcfs")),
    "placement": lambda: key(edited("scheduler/placement", "spread")),
    "choice": lambda: key(edited("scheduler/choose", "listed")),
    "patience": lambda: key(edited("scheduler/wait_for_best", True)),
    "estimates": lambda: key(edited("scheduler/estimates", "exact")),
    "precision": lambda: key(edited("performance/precision", "fp8")),
    "stack": lambda: key(edited("performance/stack", "unknown")),
    "horizon": lambda: key(edited("horizon", "1 d")),
    "jobs": lambda: key(edited("workload/jobs", 41)),
    "load": lambda: key(parameters={"workload.load": [0.7]}),
    "a size's weight": lambda: key(edited(CLASS + "sizes", {8: 1, 16: 3})),
    "a duration": lambda: key(edited(CLASS + "duration/average", "11 min")),
    "a stand-in": lambda: key(edited("workload/reference_models", {"train": "llama3-8b"})),
    "nodes": lambda: key(edited("cluster/pools/new/nodes", 5)),
    "network": lambda: key(edited("cluster/pools/new/nic", "200 Gb/s")),
    "a virtual cluster": lambda: key(edited("cluster/pools/old/virtual_clusters", {})),
    "a chip's power": lambda: key(edited("catalogue/0/accelerators/Old/power", "501 W")),
    "a chip by path": lambda: key(set={"catalogue.Old.hbm_bandwidth": "2 TB/s"}),
    "a built-in chip by path": lambda: key(set={"catalogue.H200.hbm_bandwidth": "5 TB/s"}),
    "whether a chip is hypothetical": lambda: key(
        edited("catalogue/0/accelerators/Old/hypothetical", True)
    ),
}


def test_what_matters_changes_the_hash_and_each_change_to_another() -> None:
    found = {"nothing": key(), **{name: make() for name, make in OTHER.items()}}
    alike = [name for name, own in found.items() if list(found.values()).count(own) > 1]
    assert alike == []


def test_not_to_say_is_not_to_deny() -> None:
    """What extends the hypothetical SeedChip is hypothetical, unless it says that it is not."""
    chip = {"extends": "SeedChip", "power": "500 W"}
    said = {**chip, "hypothetical": False}
    keys = {key(edited("catalogue/0/accelerators/Old", entry)) for entry in (chip, said)}
    assert len(keys) == 2


def test_bytes_of_a_log_matter_and_its_place_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text(LOG)
    (tmp_path / "away").mkdir()
    shutil.copy("jobs.csv", "away/same.csv")

    def of(trace: str) -> str:
        tree = {**SCENARIO, "workload": {"trace": trace}}
        return key(tree, parameters={"scheduler.policy": ["fcfs"]})

    first = of("jobs.csv")
    assert of(str(tmp_path / "jobs.csv")) == of("away/same.csv") == first
    (tmp_path / "jobs.csv").write_text(LOG.replace("30", "31"))
    assert of("jobs.csv") != first
    assert of("away/same.csv") == first


def test_bytes_of_a_policy_matter_and_its_place_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(POLICY)
    (tmp_path / "same.py").write_text(POLICY)
    for field in ("policy", "placement"):
        first = key(edited(f"scheduler/{field}", "mine.py:Mine"))
        assert key(edited(f"scheduler/{field}", str(tmp_path / "mine.py") + ":Mine")) == first
        assert key(edited(f"scheduler/{field}", "same.py:Mine")) == first
        assert key(edited(f"scheduler/{field}", "mine.py")) != first, "another class, or any"
    (tmp_path / "mine.py").write_text(POLICY + "\n")
    assert key(edited("scheduler/placement", "mine.py:Mine")) != first


def test_bytes_of_a_calibration_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = Path(clustersim.performance.__file__).parent / "data" / "calibration.json"
    monkeypatch.chdir(tmp_path)
    shutil.copy(built_in, "fit.json")
    shutil.copy(built_in, "same.json")
    first = key(edited("performance/calibration", "fit.json"))
    assert key(edited("performance/calibration", "same.json")) == first
    with Path("fit.json").open("a", encoding="utf-8") as file:
        file.write(" ")
    assert key(edited("performance/calibration", "fit.json")) != first


def test_an_edited_file_is_noticed_within_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also an edit of the same length, at once, so that neither time nor size may change."""
    monkeypatch.chdir(tmp_path)
    cluster = SCENARIO["cluster"]
    chips = SCENARIO["catalogue"][0]
    base = edited("cluster", "cluster.yaml") | {"catalogue": ["chips.yaml"]}
    path = write(tmp_path / "study.yaml", {"name": "x", "base": base, "parameters": {}})
    write(path, {"name": "x", "base": base, "parameters": {"cluster.pools.old.nodes": [1, 2]}})
    keys, power = [], {"accelerators": {"Old": {"extends": "H20", "power": "600 W"}}}
    for nodes, catalogue in ((4, chips), (5, chips), (6, chips), (6, power)):
        write(tmp_path / "cluster.yaml", edited("pools/new/nodes", nodes, cluster))
        write(tmp_path / "chips.yaml", catalogue)
        keys += [run.key for run in first_runs(load_study(path))]
    assert len(set(keys)) == 8


# --- Studies of many runs -----------------------------------------------------------


def test_every_run_of_a_grid_has_its_own_hash() -> None:
    made = study(
        parameters={
            "workload.load": {"from": 0.3, "to": 0.9, "steps": 4},
            "scheduler.policy": ["fcfs", "easy"],
            "catalogue.Old.hbm_bandwidth": ["3 TB/s", "4 TB/s"],
        },
        paired=[{"cluster.pools.new.nodes": [3, 4], "cluster.pools.old.nodes": [4, 3]}],
    )
    runs = [
        made.base.at(point.changes).run(draw, replication)
        for point in made.points
        for draw in (-1, 0, 1)
        for replication in (0, 1)
    ]
    assert len(runs) == 4 * 2 * 2 * 2 * 6
    assert len({run.key for run in runs}) == len(runs)


def test_a_run_says_what_it_changes() -> None:
    made = study(parameters={"workload.load": [0.6], "cluster.pools.new.nodes": [3]})
    point = made.base.at(made.points[0].changes)
    mean, drawn = point.run(POSTERIOR_MEAN, 2), point.run(5, 2)
    assert dict(mean.changes) == {**made.points[0].changes, "replication": 2}
    assert dict(drawn.changes) == {**mean.changes, "performance.draw": 5}
    assert (drawn.draw, drawn.replication) == (5, 2)


def test_a_run_that_cannot_be_used_has_a_hash_too() -> None:
    """It fails when it is made, and its failure is kept under the hash."""
    made = study()
    wrong = [made.base.at({"workload.jobs": jobs}).run(-1, 0).key for jobs in (-1, -2)]
    again = made.base.at({"workload.jobs": -1}).run(-1, 0).key
    assert len({*wrong, key()}) == 3
    assert again == wrong[0]
