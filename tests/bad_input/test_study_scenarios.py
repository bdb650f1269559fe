"""Studies whose paths lead nowhere, or whose scenarios cannot be used."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.bad_input.conftest import TINY
from tests.bad_input.study_files import RUN, assert_one_line, write_study

Refuse = Callable[..., str]

LOAD = "parameters/workload.load"
PATIENCE: dict[str, Any] = {LOAD: None, "parameters/scheduler.wait_for_best": [False, True]}
HOUR = {"metric": "p95_wait_s", "at_most": "1 h"}

PATHS = {
    "sheduler.policy": ("no 'sheduler' in the scenario", "'scheduler'"),
    "scheduler.polcy": ("no 'polcy' in scheduler", "'policy'"),
    "scheduler.policy.x": ("scheduler.policy is 'fcfs' and has no fields",),
    "horizon.x": ("horizon has no fields",),
    "workload.laod": ("no 'laod' in workload", "'load'"),
    "workload..load": ("is not a path such as workload.load",),
    "extends": ("no 'extends' in the scenario",),
    "cluster.pools.b.nodes": ("no 'b' in cluster.pools; allowed: a",),
    "cluster.pools.a.noddes": ("no 'noddes' in cluster.pools.a", "'nodes'"),
    "cluster.pools.a.fabric.raddix": ("no 'raddix' in cluster.pools.a.fabric", "'radix'"),
    "workload.generate.classes.trian.weight": ("'trian'; did you mean 'train'",),
    "workload.generate.classes.0.weight": ("classes '0'; allowed: train",),
    "workload.generate.classes.train.wieght": ("no 'wieght'", "'weight'"),
    "workload.generate.classes.train": ("names no field of train", "weight"),
    "workload.generate.classes": ("is a list; a parameter must be a single value",),
    "catalogue.H21.hbm_bandwidth": ("unknown accelerator or model 'H21'", "'H20'"),
    "catalogue.H20.hbm_bandwith": ("no 'hbm_bandwith' in catalogue.H20", "'hbm_bandwidth'"),
    "catalogue.H20.peak_flops.bf61": ("no 'bf61' in catalogue.H20.peak_flops", "'bf16'"),
    "catalogue.H20.hbm_bandwidth.vlaue": ("no 'vlaue'", "'value'"),
    "catalogue.H20": ("names no field of H20", "hbm_capacity"),
    "catalogue.llama3-8b.layrs": ("no 'layrs' in catalogue.llama3-8b", "'layers'"),
}


@pytest.mark.parametrize("path", PATHS)
def test_path_that_leads_nowhere(refuse: Refuse, path: str) -> None:
    write_study({f"parameters/{path}": [1, 2]})
    assert_one_line(refuse(RUN, f"study.yaml: parameters: {path}: ", *PATHS[path]))


def test_the_field_that_names_a_wrong_path_is_reported(refuse: Refuse) -> None:
    path = "cluster.pools.a.noddes"
    write_study({"paired": [{path: [1, 2]}]})
    assert_one_line(refuse(RUN, f"study.yaml: paired[0]: {path}: no 'noddes'"))
    write_study({"set": {path: 3}})
    assert_one_line(refuse(RUN, f"study.yaml: set: {path}: no 'noddes'"))
    write_study({"objective": HOUR, "capacity": {"of": path, "between": [1, 4]}})
    assert_one_line(refuse(RUN, f"study.yaml: capacity.of: {path}: no 'noddes'"))
    write_study({})
    assert_one_line(refuse([*RUN, "--set", f"{path}=3"], f"study.yaml: --set: {path}: no 'noddes'"))


def test_path_into_one_of_two_topologies(refuse: Refuse) -> None:
    edits = {"parameters/cluster": ["mixed-small", "seedchip-pod"]}
    write_study({**edits, "parameters/cluster.pools.h200.nodes": [1, 2]})
    assert_one_line(refuse(RUN, "parameters: cluster.pools.h200.nodes: no 'h200'"))


VALUES: dict[str, tuple[str, list[Any], tuple[str, ...]]] = {
    "half a node": ("cluster.pools.a.nodes", [1, 2.5], ("= 2.5: ", "a whole number, found 2.5")),
    "fewer nodes than none": ("cluster.pools.a.nodes", [1, -1], ("= -1: ", "found -1")),
    "no node at all": ("cluster.pools.a.nodes", [1, 0], ("= 0: ", "the cluster has 0 nodes")),
    "unknown chip": ("cluster.pools.a.accelerator", ["H20", "H21"], ("= H21: ", "mean 'H20'")),
    "unknown policy": (
        "scheduler.policy",
        ["fcfs", "easyy"],
        ("= easyy: scheduler.policy: unknown policy 'easyy'; did you mean 'easy'",),
    ),
    "policy file that is missing": (
        "scheduler.policy",
        ["fcfs", "mine.py:Mine"],
        ("= mine.py:Mine: scheduler.policy: ", "mine.py: cannot be read"),
    ),
    "unknown placement": ("scheduler.placement", ["pooled", "spraed"], ("mean 'spread'",)),
    "unknown topology": ("cluster", ["mixed-small", "mixed-smal"], ("= mixed-smal: cluster",)),
    "bandwidth without unit": (
        "catalogue.H20.hbm_bandwidth",
        ["4 TB/s", 4],
        ("= 4: catalogue: accelerators.H20.hbm_bandwidth: 4 has no unit", "4.8 TB/s"),
    ),
    "bandwidth of no chip": (
        "catalogue.H20.hbm_bandwidth",
        ["4 TB/s", "900 TB/s"],
        ("= 900 TB/s: ", "at most 100 TB/s"),
    ),
    "horizon before the first job": (
        "horizon",
        ["1 s", "9 h"],
        ("= 1 s: horizon: no job arrives within 1 s",),
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_value_that_the_scenario_refuses(refuse: Refuse, case: str) -> None:
    path, values, words = VALUES[case]
    write_study({f"parameters/{path}": values})
    assert_one_line(refuse(RUN, f"study.yaml: parameters: {path}", *words))


def test_values_are_reported_once_and_all(refuse: Refuse) -> None:
    write_study({LOAD: ["50%", "70%"], "parameters/scheduler.policy": ["fcfs", "easy"]})
    message = refuse(RUN, "2 problems", "= 50%: workload.load: ", "= 70%: workload.load: ")
    assert len(message.splitlines()) == 3, "one line a problem"


def test_fault_of_two_values_together(refuse: Refuse) -> None:
    teams = "cluster.pools.a.virtual_clusters.x.nodes"
    write_study(
        {"base/cluster/pools/a": {"accelerator": "H20", "nodes": 9}}
        | {"base/cluster/pools/a/virtual_clusters": {"x": {"nodes": 1}}, LOAD: None}
        | {f"parameters/{teams}": [1, 3], "parameters/cluster.pools.a.nodes": [4, 2]}
    )
    words = ("study.yaml: with ", f"{teams} = 3", "cluster.pools.a.nodes = 2", "own 3 nodes")
    assert_one_line(refuse(RUN, *words))


def test_searched_value_that_the_scenario_refuses(refuse: Refuse) -> None:
    search = {"of": "cluster.pools.a.nodes", "between": [0, 4], "more_is": "better"}
    write_study({"objective": HOUR, "capacity": search})
    assert_one_line(refuse(RUN, "capacity.of: cluster.pools.a.nodes = 0: ", "has 0 nodes"))


BASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "misspelt key": ({"base/sheduler": {}}, ("sheduler: unknown key", "'scheduler'")),
    "no workload": ({"base/workload": None}, ("workload: is required but absent",)),
    "unknown policy": ({"base/scheduler/policy": "fcsf"}, ("scheduler.policy: ", "'fcfs'")),
    "unknown chip": ({"base/cluster/pools/a/accelerator": "H21"}, ("cluster: pools.a", "'H20'")),
    "unknown topology": ({"base/cluster": "mixed-smal"}, ("cluster: mixed-smal", "'mixed-small'")),
    "unknown model of jobs": (
        {"base/workload/generate": "philly-2016"},
        ("workload.generate: ", "'philly-2017'"),
    ),
    "missing catalogue": ({"base/catalogue": ["mine.yaml"]}, ("catalogue: mine.yaml: no such",)),
    "missing log": (
        {"base/workload": {"trace": "jobs.csv"}},
        ("workload.trace: jobs.csv: no such file",),
    ),
    "missing calibration": (
        {"base/performance": {"calibration": "fit.json"}},
        ("performance: fit.json: cannot be read",),
    ),
    "jobs that fit nowhere": (
        {"base/workload/generate/classes/0/sizes": {512: 1}, "base/workload/load": 0.5},
        ("workload.load: none of its jobs can run on this cluster",),
    ),
}


@pytest.mark.parametrize("case", BASES)
def test_bad_base(refuse: Refuse, case: str) -> None:
    edits, words = BASES[case]
    write_study({**PATIENCE, **edits})
    assert_one_line(refuse(RUN, "study.yaml: base: ", *words))


@pytest.mark.parametrize("case", BASES)
def test_bad_base_file(refuse: Refuse, case: str) -> None:
    """The base's own file is named."""
    edits, words = BASES[case]
    write_study({**PATIENCE, **edits})
    tree = YAML(typ="safe", pure=True).load(Path("study.yaml"))
    dump(tree["base"], "scenario.yaml")
    dump({**tree, "base": "scenario.yaml"}, "study.yaml")
    assert_one_line(refuse(RUN, "scenario.yaml: ", *words))


def test_base_that_is_no_scenario(refuse: Refuse) -> None:
    write_study({"base": "nowhere.yaml"})
    assert_one_line(refuse(RUN, "study.yaml: base: nowhere.yaml: no such file"))
    write_study({"base": "stuyd.yaml"})
    assert_one_line(refuse(RUN, "stuyd.yaml: no such file; did you mean 'study.yaml'?"))
    write_study({"base": "."})
    assert_one_line(refuse(RUN, "study.yaml: base: .: is a folder"))
    write_study({"base/extends": "x.yaml"})
    assert_one_line(refuse(RUN, "study.yaml: base: `extends` is allowed only in a file"))
    write_study({"base": "study.yaml"})
    assert "unknown key" in refuse(RUN, "study.yaml: ")


def test_a_fault_that_the_study_set_is_not_the_base_s(refuse: Refuse) -> None:
    dump(TINY, "scenario.yaml")
    write_study({"base": "scenario.yaml", "set": {"workload.jobs": -5}})
    assert_one_line(refuse(RUN, "study.yaml: set: workload.jobs: ", "found -5"))
    broken = copy.deepcopy(TINY) | {"seed": -1}
    dump(broken, "scenario.yaml")
    assert "set: " not in refuse(RUN, "scenario.yaml: ", "seed", "found -1")


def test_files_that_tables_would_mix_up(refuse: Refuse) -> None:
    for folder in ("small", "large"):
        Path(folder).mkdir()
        dump(TINY["cluster"], f"{folder}/cluster.yaml")
    write_study({"parameters/cluster": ["small/cluster.yaml", "large/cluster.yaml"]})
    shown = refuse(
        RUN, "study.yaml: parameters: cluster: ", "cluster.yaml as cluster.yaml; rename one"
    )
    assert_one_line(shown)


def test_load_of_a_log(refuse: Refuse) -> None:
    Path("jobs.csv").write_text("job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n")
    write_study({"base/workload": {"trace": "jobs.csv"}})
    refuse(RUN, "parameters: workload.load = 0.5: workload: load applies to generate")


def dump(tree: dict[str, Any], file: str) -> None:
    with Path(file).open("w", encoding="utf-8") as text:
        YAML(typ="safe", pure=True).dump(tree, text)
