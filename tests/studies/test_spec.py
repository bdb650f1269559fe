"""What a study file says: its small version, what it extends, what it sets, what it is saved as."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.studies.search_spec import Objective
from clustersim.studies.spec import Range, StudySpec
from clustersim.studies.study import define_study, load_study

BASE: dict[str, Any] = {
    "name": "two pools",
    "cluster": {
        "name": "two",
        "pools": {
            "new": {"accelerator": "H200", "nodes": 4},
            "old": {"accelerator": "H20", "nodes": 2},
        },
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "train",
                    "weight": 1,
                    "sizes": {8: 1},
                    "duration": {"kind": "exponential", "average": "10 min"},
                }
            ],
        },
        "jobs": 40,
        "load": 0.6,
    },
    "seed": 7,
}
STUDY: dict[str, Any] = {
    "name": "small",
    "base": BASE,
    "parameters": {"workload.load": [0.5, 0.7], "scheduler.policy": ["fcfs", "easy"]},
    "replications": 4,
    "window": {"warm_up": "2 min", "cool_down": 0.2},
}


def write(path: Path, tree: dict[str, Any]) -> Path:
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
    return path


# --- The small version --------------------------------------------------------------


def test_quick_is_laid_over_the_study_key_by_key(tmp_path: Path) -> None:
    quick = {
        "parameters": {"workload.load": [0.6]},
        "replications": {"at_most": 3, "relative_width": 0.5},
        "window": {"cool_down": 0.0},
        "set": {"workload.jobs": 12},
    }
    path = write(tmp_path / "study.yaml", {**STUDY, "quick": quick})
    whole, small = load_study(path), load_study(path, quick=True)
    assert len(whole.points) == 4
    assert whole.spec.replications == 4
    assert whole.base.tree["workload"]["jobs"] == 40
    assert whole.spec.parameters["workload.load"] == [0.5, 0.7]
    # What it does not say stays; lists are replaced as a whole.
    assert small.spec.parameters == {"workload.load": [0.6], "scheduler.policy": ["fcfs", "easy"]}
    assert small.spec.window.warm_up == "2 min"
    assert small.spec.window.cool_down == 0.0
    assert not isinstance(small.spec.replications, int)
    assert small.base.tree["workload"]["jobs"] == 12
    assert len(small.points) == 2


def test_quick_changes_a_range_in_part(tmp_path: Path) -> None:
    ranged = {"workload.load": {"from": 0.3, "to": 0.9, "steps": 13}}
    tree = {**STUDY, "parameters": ranged}
    tree["quick"] = {"parameters": {"workload.load": {"steps": 3}}}
    small = load_study(write(tmp_path / "study.yaml", tree), quick=True)
    assert [point.changes["workload.load"] for point in small.points] == [0.3, 0.6, 0.9]


# --- extends, set -------------------------------------------------------------------


def test_a_study_extends_another(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "base.yaml", BASE)
    write(tmp_path / "wide.yaml", {**STUDY, "base": "base.yaml", "quick": {"replications": 2}})
    own = {"extends": "../wide.yaml", "name": "own", "base": "../base.yaml"}
    own["parameters"] = {"workload.load": [0.4], "cluster.pools.old.nodes": [1, 2]}
    path = write(tmp_path / "sub" / "own.yaml", own)
    study = load_study(path)
    assert study.spec.name == "own"
    assert study.spec.replications == 4
    assert list(study.spec.parameters) == [
        "workload.load",
        "scheduler.policy",
        "cluster.pools.old.nodes",
    ]
    assert study.spec.parameters["workload.load"] == [0.4]
    assert load_study(path, quick=True).spec.replications == 2


def test_base_may_be_a_file_that_extends_another(tmp_path: Path) -> None:
    """File names in the base are relative to the base, not to the study."""
    home = tmp_path / "home"
    home.mkdir()
    write(home / "cluster.yaml", BASE["cluster"])
    write(home / "plain.yaml", {**BASE, "cluster": "cluster.yaml"})
    write(home / "base.yaml", {"extends": "plain.yaml", "seed": 8})
    study = load_study(write(tmp_path / "study.yaml", {**STUDY, "base": "home/base.yaml"}))
    assert study.base.seed == 8
    assert study.base.tree["cluster"]["pools"]["new"]["nodes"] == 4


def test_set_and_changes_go_into_the_base(tmp_path: Path) -> None:
    own = {"workload.jobs": 20, "cluster.pools.new.nodes": 3, "catalogue.H200.power": "650 W"}
    path = write(tmp_path / "study.yaml", {**STUDY, "set": own})
    tree = load_study(path).base.tree
    assert tree["workload"]["jobs"] == 20
    assert tree["cluster"]["pools"]["new"]["nodes"] == 3
    assert tree["catalogue"][-1]["accelerators"]["H200"]["power"] == "650 W"
    changed = load_study(path, changes=["workload.jobs=30", "seed=9"]).base
    assert changed.tree["workload"]["jobs"] == 30, "the command line goes before the file"
    assert changed.tree["cluster"]["pools"]["new"]["nodes"] == 3
    assert changed.seed == 9


def test_parameters_may_replace_a_whole_and_lead_into_it() -> None:
    """`cluster` is set before what leads into it, in whichever order they are listed."""
    topologies = ["mixed-small", "seedchip-pod"]
    tree = {**STUDY, "replications": 2}
    tree["parameters"] = {"cluster.pools.seedchip.nodes": [3], "cluster": topologies}
    study = define_study(tree)
    for point, name in zip(study.points, topologies, strict=True):
        changes = study.base.at(point.changes).changes
        assert list(changes) == ["cluster", "cluster.pools.seedchip.nodes"]
        assert changes["cluster"] == name


# --- Values -------------------------------------------------------------------------


def test_types_of_values_are_kept() -> None:
    listed = {
        "cluster.pools.new.nodes": [1, 2],
        "workload.load": [0.5, 1],
        "scheduler.wait_for_best": [True, False],
        "scheduler.policy": ["fcfs"],
        "horizon": ["2 d"],
    }
    spec = validate(StudySpec, {**STUDY, "parameters": listed}, "study")
    assert spec.parameters == listed
    kinds = [[type(value) for value in spec.listed(path)] for path in listed]
    assert kinds == [[int, int], [float, int], [bool, bool], [str], [str]]


def test_true_and_1_are_two_values() -> None:
    tree = {**STUDY, "parameters": {"scheduler.wait_for_best": [True, 1]}}
    assert validate(StudySpec, tree, "study").parameters["scheduler.wait_for_best"] == [True, 1]


@pytest.mark.parametrize("alike", [[1, 1.0], ["2 h", "120 min"], ["1 GB", "1000 MB"], ["a", "a"]])
def test_the_same_value_twice_is_refused(alike: list[Any]) -> None:
    with pytest.raises(InputError, match="listed twice"):
        validate(StudySpec, {**STUDY, "parameters": {"horizon": alike}}, "study")


def test_window_of_each_kind() -> None:
    for begin in (0, 0.25, "3 d", "mser-5"):
        spec = validate(StudySpec, {**STUDY, "window": {"warm_up": begin}}, "study")
        assert spec.window.warm_up == begin
        assert spec.window.cool_down == 0.1


def test_objective_in_seconds_and_as_a_number() -> None:
    def limit(**objective: Any) -> float:
        found = validate(StudySpec, {**STUDY, "objective": objective}, "study").objective
        assert found is not None
        return found.limit

    assert limit() == 3600
    assert limit(metric="mean_wait_s", at_most="30 min") == 1800
    assert limit(metric="mean_bounded_slowdown", at_most=10) == 10


def test_what_a_search_tries() -> None:
    def search(**fields: Any) -> Any:
        tree = {**STUDY, "objective": {}, "capacity": fields}
        return validate(StudySpec, tree, "study").capacity

    plain = search()
    assert (plain.of, plain.between, plain.whole) == ("workload.load", (0.3, 1.0), False)
    assert plain.width == pytest.approx(0.007)
    assert plain.load_of(0.4) == 0.4
    nodes = search(of="cluster.pools.new.nodes", between=[1, 64], more_is="better")
    assert nodes.whole
    assert nodes.width == 1
    assert nodes.load_of(4) is None
    assert search(between=[0.5, 0.9], tolerance=0.05).width == 0.05


def test_names_that_plots_show() -> None:
    plots = [
        {"kind": "curve", "x": "workload.load", "y": ["p95_wait_s", "waited"]},
        {"kind": "trade-off", "x": "chips.new", "y": "waited", "by": "scheduler.policy"},
    ]
    study = define_study({**STUDY, "plots": plots})
    assert study.spec.plotted == [
        "workload.load", "p95_wait_s", "waited", "chips.new", "scheduler.policy",
    ]  # fmt: skip


# --- Saved and read again -----------------------------------------------------------


def test_a_saved_study_is_the_same_study(tmp_path: Path) -> None:
    tree = copy.deepcopy(STUDY)
    tree["base"] = {**BASE, "cluster": "mixed-small"}
    tree["set"] = {"workload.jobs": 25}
    tree["parameters"]["catalogue.SeedChip.hbm_bandwidth"] = {"from": "2 TB/s", "to": "4 TB/s"}
    tree["paired"] = [{"cluster.pools.h20.nodes": [1, 2], "cluster.pools.h200.nodes": [2, 1]}]
    tree["sample"] = {"method": "latin-hypercube", "points": 3}
    study = define_study(tree)
    document = study.document()
    assert document["base"]["cluster"]["pools"]["h200"]["accelerator"] == "H200", "no names left"
    again = load_study(write(tmp_path / "again.yaml", document))
    assert again.spec.parameters == study.spec.parameters
    assert again.points == study.points
    assert again.document() == document
    assert keys(again) == keys(study)


def keys(study: Any) -> list[str]:
    return [study.base.at(point.changes).run(-1, 0).key for point in study.points]


def test_a_range_reads_as_it_was_written() -> None:
    tree = {**STUDY, "parameters": {"horizon": {"from": "1 h", "to": "2 h", "spacing": "log"}}}
    tree["sample"] = {"method": "sobol", "points": 2}
    found = validate(StudySpec, tree, "study").parameters["horizon"]
    assert isinstance(found, Range)
    dumped = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert dumped == {"from": "1 h", "to": "2 h", "spacing": "log"}


def test_a_quick_study_says_that_it_is_a_preview() -> None:
    from clustersim.cli.study import _preview

    message = " ".join(_preview(1, "my.yaml").split())
    assert message == (
        "Note: this is a preview (--quick) with 1 replication, which gives no interval between "
        "runs; for the full study, run clustersim study my.yaml --out DIR without --quick."
    )
    assert "with 3 replications; for the full study" in " ".join(_preview(3, "my.yaml").split())


@pytest.mark.parametrize("limit", ["1 h", 3600])
@pytest.mark.parametrize("metric", ["p95_wait_s@2", "mean_wait_s_half"])
def test_an_objective_of_a_time_may_be_a_duration(metric: str, limit: object) -> None:
    assert Objective(metric=metric, at_most=limit).limit == 3600.0


def test_an_objective_of_a_share_is_no_duration() -> None:
    with pytest.raises(ValueError, match=r"waited needs a number such as 0\.1 or 10 %, found"):
        Objective(metric="waited", at_most="1 h")


def test_an_objective_of_a_share_in_per_cent() -> None:
    for written in ("10 %", "10%", " 10.0 % ", 0.1):
        assert Objective(metric="waited", at_most=written).limit == pytest.approx(0.1)
    for metric in ("jobs", "mean_bounded_slowdown"):
        with pytest.raises(ValueError, match=f"{metric} needs a number, found '10 %'"):
            Objective(metric=metric, at_most="10 %")
    with pytest.raises(ValueError, match="must be more than 0, found '0 %'"):
        Objective(metric="waited", at_most="0 %")
    with pytest.raises(ValueError, match="needs a duration such as 1 h, found '10 %'"):
        Objective(metric="p95_wait_s", at_most="10 %")
