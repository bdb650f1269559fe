"""Dotted paths of a scenario: where they lead, and that the value arrives in the run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim.catalogue import Accelerator
from clustersim.errors import InputError
from clustersim.scenario.changes import set_path
from clustersim.scenario.file_names import path_of_change
from clustersim.scenario.parameter_paths import check_path
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario

HERE = Path()
SCENARIO: dict[str, Any] = {
    "cluster": {
        "name": "three",
        "pools": {
            "seedchip": {"accelerator": "SeedChip", "nodes": 4},
            "new": {"accelerator": "H200", "nodes": 4},
            "old": {"accelerator": "H20", "nodes": 2, "virtual_clusters": {"x": {"nodes": 1}}},
        },
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "pretraining",
                    "weight": 1,
                    "sizes": {8: 2, 16: 1},
                    "model": "llama3-8b",
                    "tokens": {"kind": "lognormal", "median": 1.0e8, "sigma": 1.0},
                },
                {
                    "name": "tests",
                    "weight": 3,
                    "sizes": {1: 1},
                    "duration": {"kind": "constant", "value": "5 min"},
                },
            ],
        },
        "jobs": 40,
    },
    "seed": 3,
}


def changed(*changes: tuple[str, Any], tree: dict[str, Any] = SCENARIO) -> dict[str, Any]:
    own = copy.deepcopy(tree)
    for path, value in changes:
        check_path(own, path, HERE)
        set_path(own, path, value, HERE)
    return own


def fleet(*changes: tuple[str, Any], tree: dict[str, Any] = SCENARIO) -> Platform:
    return open_platform(define_scenario(changed(*changes, tree=tree)))


def chip(name: str, *changes: tuple[str, Any], tree: dict[str, Any] = SCENARIO) -> Accelerator:
    return fleet(*changes, tree=tree).catalogue.accelerator(name)


# --- Lists by name ------------------------------------------------------------------


def test_an_element_of_a_list_is_found_by_its_name() -> None:
    classes = "workload.generate.classes"
    tree = changed((f"{classes}.tests.weight", 5), (f"{classes}.pretraining.sizes.16", 7))
    first, second = tree["workload"]["generate"]["classes"]
    assert (first["weight"], second["weight"]) == (1, 5)
    assert first["sizes"] == {8: 2, 16: 7}, "16 is the number, not a new key"
    workload = open_platform(define_scenario(tree)).workload
    assert workload is not None
    assert [own.weight for own in workload.classes] == [1, 5]
    assert dict(workload.classes[0].sizes) == {8: 2, 16: 7}
    assert SCENARIO["workload"]["generate"]["classes"][0]["sizes"] == {8: 2, 16: 1}


def test_an_element_of_a_named_model_is_found_by_its_name() -> None:
    named = copy.deepcopy(SCENARIO)
    named["workload"] = {"generate": "doubao-jimeng-lab", "jobs": 10}
    plain = fleet(tree=named).workload
    assert plain is not None
    first, *others = plain.classes
    heavier = fleet((f"workload.generate.classes.{first.name}.weight", 0.25), tree=named).workload
    assert heavier is not None
    assert heavier.classes[0] == first.model_copy(update={"weight": 0.25})
    assert list(heavier.classes[1:]) == others


def test_a_new_name_may_stand_for_a_value() -> None:
    tree = changed(
        ("workload.reference_accelerator", "H200"),
        ("workload.reference_models.tests", "llama3-8b"),
        ("performance.stack.H200", "unknown"),
        ("workload.generate.classes.tests.sizes.2", 3),
    )
    assert tree["workload"]["reference_models"] == {"tests": "llama3-8b"}
    assert tree["performance"] == {"stack": {"H200": "unknown"}}
    loaded = define_scenario(tree)
    workload = open_platform(loaded).workload
    assert workload is not None
    assert dict(workload.classes[1].sizes) == {1: 1, 2: 3}


# --- Catalogue ----------------------------------------------------------------------


def test_a_value_arrives_at_the_chip_and_in_the_run_times() -> None:
    slow = ("catalogue.H200.hbm_bandwidth", "1 TB/s")
    fast = ("catalogue.H200.peak_flops.bf16", "2000 TFLOP/s")
    assert chip("H200", slow).hbm_Bps == 1e12
    assert chip("H200", fast).peak_flops["bf16"] == 2e15
    assert chip("H200", fast).peak_flops["fp8"] == chip("H200").peak_flops["fp8"]
    assert chip("H200", slow, fast).hbm_Bps == 1e12
    assert chip("H20", slow, fast) == chip("H20")

    def training_s(*changes: tuple[str, Any]) -> float:
        only = [("cluster.pools.seedchip.nodes", 0), ("cluster.pools.old.nodes", 0), *changes]
        jobs = run_scenario(define_scenario(changed(*only))).jobs
        ran = jobs[jobs["job_class"] == "pretraining"]
        return float((ran["finish_s"] - ran["start_s"]).sum())

    plain = training_s()
    assert training_s(fast) < 0.9 * plain
    assert training_s(slow) > 1.01 * plain


def test_several_fields_of_a_chip_are_one_change_in_any_order() -> None:
    stacks = ("catalogue.SeedChip.hbm_stacks", 6)
    rate = ("catalogue.SeedChip.hbm_bandwidth", "4 TB/s")
    one, other = chip("SeedChip", stacks, rate), chip("SeedChip", rate, stacks)
    assert one == other
    assert (one.hbm_stacks, one.hbm_Bps) == (6, 4e12)


def test_seedchip_stays_hypothetical_and_keeps_the_ranges_that_were_not_set() -> None:
    path = "catalogue.SeedChip.hbm_bandwidth"
    plain, own = chip("SeedChip"), chip("seedchip", ("catalogue.seedchip.hbm_bandwidth", "4 TB/s"))
    assert own.hypothetical
    assert own.name == "SeedChip"
    assert own.hbm_Bps == 4e12
    assert "hbm_Bps" in plain.ranges
    assert own.ranges == {name: ends for name, ends in plain.ranges.items() if name != "hbm_Bps"}
    drawn = chip("SeedChip", (path, "4 TB/s"), ("performance.draw", 3))
    assert drawn.hbm_Bps == 4e12, "what is set is not drawn"
    assert drawn.peak_flops == chip("SeedChip", ("performance.draw", 3)).peak_flops
    assert drawn.peak_flops != plain.peak_flops
    assert not chip("SeedChip", ("catalogue.SeedChip.hypothetical", False)).hypothetical


def test_a_chip_of_one_s_own_is_changed_and_others_are_not(tmp_path: Path) -> None:
    entries = {
        "Mine": {"extends": "H20", "power": "450 W"},
        "Twin": {"extends": "H20", "power": "460 W"},
        "H20": {"extends": "H20", "chips_per_node": 16},
    }
    inline = {**SCENARIO, "catalogue": [{"accelerators": entries}]}
    with (tmp_path / "chips.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({"accelerators": entries}, file)
    in_file = {**SCENARIO, "catalogue": [str(tmp_path / "chips.yaml")]}
    for tree in (inline, in_file):
        changes = [("catalogue.Mine.hbm_bandwidth", "1 TB/s"), ("catalogue.H20.power", "300 W")]
        mine, twin, h20 = (chip(name, *changes, tree=tree) for name in ("Mine", "Twin", "H20"))
        assert (mine.hbm_Bps, mine.power_w) == (1e12, 450)
        assert (h20.power_w, h20.chips_per_node) == (300, 16)
        assert twin == chip("Twin", tree=tree)
        assert twin.power_w == 460


def test_a_chip_written_in_full_is_changed() -> None:
    """It extends nothing, and a change must not make it extend itself."""
    full = {
        "vendor": "Us",
        "family": "other",
        "year": 2026,
        "peak_flops": {"bf16": "100 TFLOP/s"},
        "hbm_type": "HBM3",
        "hbm_stacks": 4,
        "hbm_capacity": "64 GB",
        "hbm_bandwidth": "2 TB/s",
        "scaleup_shape": "switch",
        "scaleup_bandwidth": "200 GB/s",
        "nic_bandwidth": "200 Gb/s",
        "chips_per_node": 8,
        "power": "400 W",
        "source": "a test",
    }
    tree = {**SCENARIO, "catalogue": [{"accelerators": {"Full": full}}]}
    own = chip("Full", ("catalogue.Full.hbm_bandwidth", "3 TB/s"), tree=tree)
    assert (own.hbm_Bps, own.power_w, own.vendor) == (3e12, 400, "Us")


def test_a_model_is_changed_beside_a_chip() -> None:
    changes = [("catalogue.H200.power", "1 kW"), ("catalogue.llama3-8b.global_batch", 64)]
    found = fleet(*changes).catalogue
    assert found.model("llama3-8b").global_batch == 64
    assert found.accelerator("H200").power_w == 1000
    with pytest.raises(InputError, match=r"no 'layrs' in catalogue.llama3-8b.*'layers'"):
        check_path(changed(*changes), "catalogue.llama3-8b.layrs", HERE)


# --- Pools of no nodes --------------------------------------------------------------


def test_a_pool_of_0_nodes_is_left_out() -> None:
    none = fleet(("cluster.pools.seedchip.nodes", 0))
    assert [pool.name for pool in none.cluster.pools] == ["new", "old"]
    without = copy.deepcopy(SCENARIO)
    del without["cluster"]["pools"]["seedchip"]
    zero = run_scenario(define_scenario(changed(("cluster.pools.seedchip.nodes", 0))))
    absent = run_scenario(define_scenario(without))
    assert zero.jobs.equals(absent.jobs)
    assert (
        zero.utilisation["pool"].unique().tolist() == absent.utilisation["pool"].unique().tolist()
    )
    with pytest.raises(InputError, match="the cluster has 0 nodes"):
        fleet(*((f"cluster.pools.{name}.nodes", 0) for name in ("seedchip", "new", "old")))


# --- Where paths lead ---------------------------------------------------------------

HELD = {
    "workload.jobs": 40,
    "cluster.pools.new.nodes": 4,
    "cluster.pools.old.virtual_clusters.x.nodes": 1,
    "workload.generate.classes.tests.sizes.1": 1,
    "workload.generate.classes.tests.duration.value": "5 min",
    # What may be there and is not
    "workload.load": None,
    "horizon": None,
    "scheduler.policy": None,
    "cluster.pools.new.fabric.radix": None,
    "cluster.pools.new.scale_up.size": None,
    "workload.generate.arrivals.process.cv": None,
    "workload.generate.classes.tests.users.ann": None,
    "catalogue.SeedChip.hbm_bandwidth": None,
    "catalogue.SeedChip.hbm_bandwidth.high": None,
    "catalogue.SeedChip.peak_flops.fp8": None,
    "catalogue.nvidia h200.power": None,
    "catalogue.llama3-8b.layers": None,
}


@pytest.mark.parametrize("path", HELD)
def test_check_path_reports_what_is_there(path: str) -> None:
    tree = copy.deepcopy(SCENARIO)
    assert check_path(tree, path, HERE) == HELD[path]
    assert tree == SCENARIO, "looking changes nothing"


NOWHERE = {
    "": "is not a path such as workload.load",
    "workload.": "is not a path",
    "sheduler.policy": "no 'sheduler' in the scenario; did you mean 'scheduler'?",
    "workload.jobs.x": "workload.jobs is 40 and has no fields",
    "horizon.x": "horizon has no fields",
    "cluster.pools.news.nodes": "no 'news' in cluster.pools; did you mean 'new'?",
    "cluster.pools.old.virtual_clusters.y.nodes": "no 'y' in .*; allowed: x",
    "workload.generate.classes.test.weight": "'test'; did you mean 'tests'?",
    "workload.generate.classes.tests": "names no field of tests; allowed: accelerators",
    "workload.reference_models.tests.x": "workload.reference_models.tests has no fields",
    "catalogue.H200": "names no field of H200",
    "catalogue.SedChip.power": "'SedChip'; did you mean 'SeedChip'?",
    "catalogue.SeedChip.peak_flops.fp16": "no 'fp16' in .*did you mean .* allowed: bf16, fp8",
}


@pytest.mark.parametrize("path", NOWHERE)
def test_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(InputError, match=NOWHERE[path]):
        check_path(SCENARIO, path, HERE)


def test_every_path_that_check_path_allows_can_be_set() -> None:
    """And is there when it is looked for again."""
    for path in HELD:
        tree = changed((path, "new"))
        assert check_path(tree, path, HERE) == "new"


def test_a_list_is_set_as_a_whole() -> None:
    tree = copy.deepcopy(SCENARIO)
    with pytest.raises(InputError, match="classes is a list; set it as a whole"):
        set_path(tree, "workload.generate.classes", 5, HERE)
    set_path(tree, "workload.generate.classes", [], HERE)
    assert tree["workload"]["generate"]["classes"] == []


def test_a_file_of_a_change_is_beside_the_scenario_or_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "own.yaml").touch()
    here = str(tmp_path / "here" / "own.yaml")
    there = tmp_path / "there"
    assert path_of_change(there, "cluster", "own.yaml") == here
    assert path_of_change(there, "scheduler.policy", "own.yaml:Mine") == f"{here}:Mine"
    assert path_of_change(there, "catalogue", ["own.yaml", {}, "no.yaml"]) == [here, {}, "no.yaml"]
    assert path_of_change(there, "name", "own.yaml") == "own.yaml"
    (there / "own.yaml").touch()
    assert path_of_change(there, "cluster", "own.yaml") == "own.yaml"
