"""Study files with one thing wrong in a field of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.study_files import RUN, STUDY, assert_one_line, write_study

Refuse = Callable[..., str]
Cases = dict[str, tuple[dict[str, Any], tuple[str, ...]]]

LOAD = "parameters/workload.load"
WEIGHT_PATH = "workload.generate.classes.train.weight"
WEIGHT = f"parameters/{WEIGHT_PATH}"
BANDWIDTH = "parameters/catalogue.H20.hbm_bandwidth"
POLICY = "parameters/scheduler.policy"
HOUR = {"metric": "p95_wait_s", "at_most": "1 h"}
SEARCH = {"objective": HOUR, "parameters": {}}
FRACTIONS = {"from": 1.0, "to": 2.0}

MISSPELT: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "a field": ({"replicatons": 3}, ("replicatons: unknown key", "'replications'")),
    "of a range": (
        {WEIGHT: {**FRACTIONS, "stepz": 3}},
        (f"parameters.{WEIGHT_PATH}.stepz: unknown key", "'steps'"),
    ),
    "of the spacing": ({WEIGHT: {**FRACTIONS, "spacing": "lgo"}}, ("spacing: unknown", "'log'")),
    "of the window": ({"window": {"warmup": 0.1}}, ("window.warmup: unknown key", "'warm_up'")),
    "of replications": (
        {"replications": {"at_most": 4, "relative_width": 0.1, "at_leest": 2}},
        ("replications.at_leest: unknown key", "'at_least'"),
    ),
    "of the sample": (
        {WEIGHT: FRACTIONS, "sample": {"method": "sobol", "points": 4, "sed": 1}},
        ("sample.sed: unknown key", "allowed: method, points"),
    ),
    "of the method": (
        {WEIGHT: FRACTIONS, "sample": {"method": "sobl", "points": 4}},
        ("sample.method: unknown value 'sobl'", "'sobol'"),
    ),
    "of the objective": ({"objective": {"metrik": "waited"}}, ("objective.metrik", "'metric'")),
    "of the search": (
        {**SEARCH, "capacity": {"betwen": [0.3, 0.9]}},
        ("capacity.betwen", "'between'"),
    ),
    "of the effect": (
        {**SEARCH, "capacity": {"more_is": "worst"}},
        ("capacity.more_is", "'worse'"),
    ),
    "of the comparison": (
        {LOAD: [0.5, 0.7], "compare": {"of": "workload.load", "baseline": 0.5, "metrik": []}},
        ("compare.metrik", "'metrics'"),
    ),
    "of a plot": (
        {"plots": [{"kind": "curve", "x": "workload.load", "yy": "waited"}]},
        ("plots[0].yy: unknown key", "'y'"),
    ),
    "a kind of plot": ({"plots": [{"kind": "curves"}]}, ("plots[0].kind", "'curve'")),
    "a metric": ({"metrics": ["p95_wait"]}, ("metrics[0]: unknown metric", "'p95_wait_s'")),
    "the objective's metric": (
        {"objective": {"metric": "mean_wait"}},
        ("objective.metric: unknown metric", "'mean_wait_s'"),
    ),
    "the rule's metric": (
        {"replications": {"at_most": 4, "relative_width": 0.1, "metric": "p95wait"}},
        ("replications.metric: unknown metric", "'p95_wait_s'"),
    ),
    "a compared metric": (
        {"compare": {"of": "workload.load", "baseline": 0.5, "metrics": ["utilization"]}},
        ("compare.metrics[0]: unknown metric", "'utilisation'"),
    ),
    "a labelled path": ({"labels": {"workload.laod": "x"}}, ("labels: unknown", "'workload.load'")),
    "in the quick version": (
        {"quick": {"replicatons": 1}},
        ("study.yaml: quick: replicatons: unknown key", "'replications'"),
    ),
    "a pool's metric": (
        {"metrics": ["utilisation.aa"]},
        ("metrics: utilisation.aa: unknown pool 'aa'", "'a'"),
    ),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_misspelt_name(refuse: Refuse, case: str) -> None:
    edits, words = MISSPELT[case]
    write_study(edits)
    assert_one_line(refuse(RUN, "study.yaml: ", "allowed: ", *words))


FIELDS: Cases = {
    "no name": ({"name": None}, ("name: is required but absent",)),
    "name is a number": ({"name": 5}, ("name: input should be a text, found 5",)),
    "no base": ({"base": None}, ("base: is required but absent",)),
    "base is a list": ({"base": ["a"]}, ("base: input should be a text or a mapping",)),
    "nothing varies": ({"parameters": {}}, ("parameters: nothing varies", "clustersim run")),
    "parameters are a list": ({"parameters": ["workload.load"]}, ("parameters: ", "a mapping")),
    "value alone": ({LOAD: 0.5}, ("parameters.workload.load: ", "a list or a mapping", "0.5")),
    "empty list": ({LOAD: []}, ("parameters.workload.load: ", "at least 1 item")),
    "list in a list": ({LOAD: [[0.5]]}, ("workload.load[0]: must be a number, a string", "[0.5]")),
    "NaN": ({LOAD: [math.nan]}, ("workload.load[0]: must be a finite number, found nan",)),
    "listed twice": ({LOAD: [0.5, 0.7, 0.5]}, ("parameters.workload.load: 0.5 is listed twice",)),
    "listed twice in two units": (
        {BANDWIDTH: ["2 TB/s", "2000 GB/s"]},
        ("hbm_bandwidth: '2000 GB/s' (equal to '2 TB/s') is listed twice",),
    ),
    "varies twice": (
        {"paired": [{"workload.load": [0.5, 0.6]}]},
        ("parameters: workload.load is listed more than once",),
    ),
    "seed varies": (
        {"parameters/seed": [1, 2]},
        ("seed must not be a parameter; `replications` varies it",),
    ),
    "pairs of unequal length": (
        {"paired": [{"cluster.pools.a.nodes": [1, 2], "scheduler.policy": ["fcfs"]}]},
        ("paired[0]: lists must have equal lengths", "nodes has 2", "policy has 1"),
    ),
    "a pair twice": (
        {"paired": [{"cluster.pools.a.nodes": [1, 1], "scheduler.policy": ["fcfs", "fcfs"]}]},
        ("paired[0]: cluster.pools.a.nodes = 1, scheduler.policy = fcfs is listed twice",),
    ),
    "paired is a mapping": ({"paired": {"scheduler.policy": ["fcfs"]}}, ("paired: ", "a list")),
    "set is a list": ({"set": ["workload.jobs=5"]}, ("set: input should be a mapping",)),
    "set of what varies": (
        {"set": {"workload.load": 0.4}},
        ("set: workload.load has no effect, because it varies under parameters",),
    ),
    "set inside what varies": (
        {"parameters/cluster": ["mixed-small"], "set": {"cluster.pools.a.nodes": 1}},
        ("set: cluster.pools.a.nodes has no effect, because cluster varies as a whole",),
    ),
    "more points than any machine can run": (
        {LOAD: {"from": 0.1, "to": 0.9, "steps": 10**5}, WEIGHT: {**FRACTIONS, "steps": 10**5}},
        ("parameters: 100,000 x 100,000", "10,000,000,000 points", "at most 1,000,000"),
    ),
    "quick is a number": ({"quick": 5}, ("quick: must be a mapping of keys, found 5",)),
    # Ranges
    "backwards": (
        {WEIGHT: {"from": 3, "to": 2, "steps": 2}},
        ("`from` must be less than `to`", "3 and 2"),
    ),
    "mixed units": (
        {BANDWIDTH: {"from": "2 TB/s", "to": "3 TB", "steps": 2}},
        ("hbm_bandwidth: `from` and `to` must have the same unit, found '2 TB/s' and '3 TB'",),
    ),
    "half a unit": (
        {BANDWIDTH: {"from": 2, "to": "3 TB/s", "steps": 2}},
        ("hbm_bandwidth: `from` and `to` must have the same unit, found 2 and '3 TB/s'",),
    ),
    "from a word": (
        {POLICY: {"from": "fcfs", "to": "sjf", "steps": 2}},
        ("scheduler.policy: 'fcfs' is neither a number nor a quantity",),
    ),
    "from false": (
        {WEIGHT: {"from": False, "to": 2, "steps": 2}},
        ("weight.from: must be a number or a quantity", "found False"),
    ),
    "to a number of 400 digits": (
        {WEIGHT: {"from": 1, "to": 10**400, "steps": 2}},
        ("weight.to: must be a finite number", "more than 300 digits"),
    ),
    "log from 0": (
        {WEIGHT: {"from": 0, "to": 2, "steps": 2, "spacing": "log"}},
        ("weight: a log range must start above 0, found 0",),
    ),
    "one step": ({WEIGHT: {**FRACTIONS, "steps": 1}}, ("weight.steps: ", "equal to 2, found 1")),
    "steps of whole numbers that repeat": (
        {WEIGHT: {"from": 1, "to": 3, "steps": 5}},
        (
            f"parameters.{WEIGHT_PATH}: needs 5 distinct whole numbers, but 1 to 3 has fewer",
            "write 1.0",
        ),
    ),
    "no end": ({WEIGHT: {"from": 1, "steps": 5}}, ("weight.to: is required but absent",)),
    # Samples
    "no sample": ({WEIGHT: FRACTIONS}, (f"parameters.{WEIGHT_PATH}: the range needs `steps`",)),
    "nothing to sample": (
        {"sample": {"method": "sobol", "points": 4}},
        ("sample: no parameter is a range without `steps`",),
    ),
    "six points of a Sobol sequence": (
        {WEIGHT: FRACTIONS, "sample": {"method": "sobol", "points": 6}},
        ("sample.points: sobol needs a power of 2, such as 4 or 8, found 6",),
    ),
    "indices of one range": (
        {WEIGHT: FRACTIONS, "sample": {"method": "sobol-indices", "points": 4}},
        ("sample: sobol-indices need two or more ranges", WEIGHT_PATH),
    ),
    "indices of whole numbers": (
        {WEIGHT: FRACTIONS, "parameters/cluster.pools.a.nodes": {"from": 1, "to": 4}}
        | {"sample": {"method": "sobol-indices", "points": 4}},
        ("parameters.cluster.pools.a.nodes: sobol-indices need fractions", "write 1.0 and 4.0"),
    ),
    # Draws, replications, window
    "draws twice": (
        {"parameters/performance.draw": [1, 2], "draws": 2},
        ("draws: performance.draw is already a parameter",),
    ),
    "draws of a draw": (
        {"base/performance": {"draw": 3}, "draws": 2},
        ("draws: cannot be combined with performance.draw = 3",),
    ),
    "no replication": ({"replications": 0}, ("replications: must be from 1 to 100,000, found 0",)),
    "replications are true": (
        {"replications": True},
        ("replications: input should be a whole number or a mapping of keys, found True",),
    ),
    "more at least than at most": (
        {"replications": {"at_least": 5, "at_most": 4, "relative_width": 0.1}},
        ("replications: at_least must not exceed at_most, found 5 and 4",),
    ),
    "width of 0": (
        {"replications": {"at_most": 4, "relative_width": 0}},
        ("replications.relative_width: ", "greater than 0"),
    ),
    "warm-up of no kind": (
        {"window": {"warm_up": "mser5"}},
        ("window.warm_up: must be a share", "2 d, a date, or mser-5; found 'mser5'"),
    ),
    "warm-up in percent": ({"window": {"warm_up": 25}}, ("warm_up: must be a share", "found 25")),
    "negative cool-down": ({"window": {"cool_down": "-1 h"}}, ("cool_down: must be", "'-1 h'")),
    "nothing between them": (
        {"window": {"warm_up": 0.6, "cool_down": 0.5}},
        ("window: the sum of warm_up and cool_down must be less than 1, found 0.6 and 0.5",),
    ),
    "warm-up beyond the last job": (
        {"window": {"warm_up": "5 d"}},
        ("window: warm_up 5 d and cool_down 0.1 exclude all of the 5 jobs",),
    ),
    "no metric": ({"metrics": []}, ("metrics: ", "at least 1 item")),
    # Objective and capacity
    "limit without unit": (
        {"objective": {"at_most": 3600}},
        ("objective.at_most: p95_wait_s needs a duration such as 1 h, found 3600",),
    ),
    "limit in bytes": ({"objective": {"at_most": "3 TB"}}, ("a duration such as 1 h", "'3 TB'")),
    "limit of a share with a unit": (
        {"objective": {"metric": "utilisation", "at_most": "1 h"}},
        ("objective.at_most: utilisation needs a number such as 0.1 or 10 %, found '1 h'",),
    ),
    "no limit of a number": (
        {"objective": {"metric": "mean_bounded_slowdown"}},
        ("objective: mean_bounded_slowdown needs a number",),
    ),
    "limit of 0": ({"objective": {"at_most": "0 s"}}, ("at_most: must be more than 0",)),
    "capacity at no objective": ({"capacity": {}}, ("capacity: needs an objective",)),
    "backwards search": (
        {**SEARCH, "capacity": {"between": [0.9, 0.3]}},
        ("capacity.between: must be two numbers in ascending order", "[0.9, 0.3]"),
    ),
    "search in words": (
        {**SEARCH, "capacity": {"between": "0.3-0.9"}},
        (
            "capacity.between: must be two numbers in ascending order",
            "found '0.3-0.9'",
        ),
    ),
    "search beyond a load of 1": (
        {**SEARCH, "capacity": {"between": [0.3, 1.5]}},
        ("capacity.between: an offered load must be above 0 and at most 1", "0.3 to 1.5"),
    ),
    "search that takes more load for better": (
        {**SEARCH, "capacity": {"more_is": "better"}},
        ("capacity.more_is: must be 'worse', because waits grow with more load",),
    ),
    "search wider than it is exact": (
        {**SEARCH, "capacity": {"tolerance": 5}},
        ("capacity.tolerance: must be less than the width of `between` (0.7), found 5",),
    ),
    "search with a rule for a metric": (
        {
            **SEARCH,
            "capacity": {},
            "replications": {"at_most": 4, "relative_width": 0.1, "metric": "mean_wait_s"},
        },
        ("replications.metric: remove it; in a capacity search, relative_width is the width of",),
    ),
    "rule for a difference without one": (
        {"replications": {"at_most": 4, "relative_width": 0.1, "of": "difference"}},
        ("replications.of: a difference needs `compare`, such as compare: {of: scheduler.policy",),
    ),
    "search with one replication": (
        {**SEARCH, "capacity": {}, "replications": 1},
        ("replications: a capacity search needs two or more, found 1",),
    ),
    # Comparison
    "comparison of what does not vary": (
        {"compare": {"baseline": "fcfs"}},
        ("compare.of: unknown parameter 'scheduler.policy'; allowed: workload.load",),
    ),
    "baseline that is not listed": (
        {POLICY: ["fcfs", "easy"], "compare": {"baseline": "fcsf"}},
        ("compare.baseline: unknown value 'fcsf'; did you mean 'fcfs'?",),
    ),
    "comparison within a range": (
        {LOAD: {"from": 0.1, "to": 0.5, "steps": 3}}
        | {"compare": {"of": "workload.load", "baseline": 0.1}},
        ("compare.of: workload.load is a range",),
    ),
    "comparison of one value": (
        {POLICY: ["fcfs"], "compare": {"baseline": "fcfs"}},
        ("compare.of: scheduler.policy has only one value, 'fcfs'",),
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_bad_field(refuse: Refuse, case: str) -> None:
    edits, words = FIELDS[case]
    write_study(edits)
    assert_one_line(refuse(RUN, "study.yaml: ", *words))


def test_all_problems_at_once(refuse: Refuse) -> None:
    write_study({LOAD: [0.5, 0.5], "window": {"warm_up": 3}, "replicatons": 3, "draws": -1})
    message = refuse(RUN, "4 problems", "0.5 is listed twice", "'replications'", "draws", "warm_up")
    assert len(message.splitlines()) == 5, "one line a problem"
    write_study({"capacity": {}, "compare": {"baseline": "fcfs"}, "labels": {"x": "y"}})
    message = refuse(RUN, "3 problems", "an objective", "'scheduler.policy'", "labels: unknown")
    assert len(message.splitlines()) == 4, "one line a problem"


def test_file_that_is_no_study(refuse: Refuse) -> None:
    refuse(RUN, "study.yaml: no such file")
    for content, words in {
        "": "is empty",
        "- 1\n": "must contain a mapping",
        "name: [1\n": "is not valid YAML",
        "name: a\nname: b\n": "the key 'name' occurs twice (the second time in line 2)",
        "extends: other.yaml\n": "extends: other.yaml: no such file",
        "extends: study.yaml\n": "extends: the files extend each other in a circle",
    }.items():
        Path("study.yaml").write_text(content, encoding="utf-8")
        assert_one_line(refuse(RUN, "study.yaml: ", words))
    refuse(["study", ".", "--out", "out"], ".: is a folder, not a YAML file")


def test_quick_where_the_file_has_none(refuse: Refuse) -> None:
    write_study({})
    assert_one_line(
        refuse([*RUN, "--quick"], "study.yaml: quick: the file has no `quick:` section")
    )


def test_the_quick_version_is_checked_with_what_it_changes(refuse: Refuse) -> None:
    write_study({"quick": {"parameters": {"workload.load": [0.5, 0.5]}}})
    for options in ([], ["--quick"]):
        assert_one_line(refuse([*RUN, *options], "workload.load: 0.5 is listed twice"))
    assert STUDY["parameters"]["workload.load"] == [0.5, 0.7]


def test_set_does_not_change_the_study_itself(refuse: Refuse) -> None:
    write_study({})
    changes = ["--set", "metrics=[waited]", "--set", "window.warm_up=0", "--set", "seed=3"]
    message = refuse([*RUN, *changes], "metrics belongs to the study, but --set changes its base")
    assert "window.warm_up belongs to the study" in message
    assert "seed belongs" not in message
