"""Scenario files with one thing wrong each."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli.main import main

Refuse = Callable[..., str]
CLASS = "workload/generate/classes/0/"
VALUE = CLASS + "duration/value"
ARRIVALS = "workload/generate/arrivals/"
SHORT = {"kind": "constant", "value": 1e9}
RUN = ["run", "scenario.yaml", "--out", "out"]

MISSPELT = {
    "sheduler": ("sheduler: unknown key", "did you mean 'scheduler'"),
    "scheduler/polcy": ("scheduler.polcy: unknown key", "did you mean 'policy'"),
    "workload/jbs": ("workload.jbs: unknown key", "did you mean 'jobs'"),
    "workload/generate/arivals": ("workload.generate.arivals", "did you mean 'arrivals'"),
    ARRIVALS + "mean_interarival": ("arrivals.mean_interarival", "'mean_interarrival'"),
    CLASS + "wieght": ("workload.generate.classes[0].wieght", "did you mean 'weight'"),
    CLASS + "duration/valeu": ("classes[0].duration.valeu", "did you mean 'value'"),
    "cluster/poools": ("cluster: poools: unknown key", "did you mean 'pools'"),
    "cluster/pools/a/noddes": ("cluster: pools.a.noddes", "did you mean 'nodes'"),
}


@pytest.mark.parametrize("key", MISSPELT)
def test_misspelt_key(refuse: Refuse, write_scenario: Callable[..., None], key: str) -> None:
    write_scenario({key: 1})
    message = refuse(RUN, "scenario.yaml: ", "allowed: ", *MISSPELT[key])
    assert "problems" not in message, "one problem, one line"


VALUES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    # Types
    "workload is a number": ({"workload": 5}, ("workload: ", "mapping of keys, found 5")),
    "cluster is a list": ({"cluster": [1]}, ("cluster: ", "a text or a mapping of keys")),
    "cluster is empty": ({"cluster": ""}, ("cluster: ", "at least 1 character")),
    "scheduler is a text": ({"scheduler": "easy"}, ("scheduler: ", "found 'easy'")),
    "policy is a list": ({"scheduler/policy": ["easy"]}, ("scheduler.policy", "a text")),
    "classes are a mapping": (
        {"workload/generate/classes": {"a": 1}},
        ("workload.generate.classes: ", "a list"),
    ),
    "sizes are a list": ({CLASS + "sizes": [8]}, ("classes[0].sizes", "a mapping of keys")),
    "size is a text": ({CLASS + "sizes": {"eight": 1}}, ("sizes", "whole number", "'eight'")),
    "size is a fraction": ({CLASS + "sizes": {1.5: 1}}, ("sizes", "whole number", "1.5")),
    "chips are a text": ({CLASS + "accelerators": "H20"}, ("accelerators", "a list", "'H20'")),
    "reference models are a list": (
        {"workload/reference_models": ["llama3-8b"]},
        ("workload.reference_models", "a mapping of keys"),
    ),
    "catalogue is a text": ({"catalogue": "mine.yaml"}, ("catalogue", "a list")),
    "wait is a text": ({"scheduler/wait_for_best": "maybe"}, ("wait_for_best", "true or false")),
    "seed is a text": ({"seed": "x"}, ("seed", "whole number", "'x'")),
    "jobs are a text": ({"workload/jobs": "many"}, ("workload.jobs", "whole number", "'many'")),
    "load is in percent": ({"workload/load": "80%"}, ("workload.load", "a number", "'80%'")),
    # Units
    "duration without unit": ({VALUE: 600}, ("duration.value: 600 has no unit", "30 min")),
    "duration in bytes": ({VALUE: "3 TB"}, ("'3 TB' has the unit 'TB'", "30 min")),
    "duration in words": ({VALUE: "10 minutes"}, ("unit 'minutes'", "30 min")),
    "duration is no quantity": ({VALUE: "soon"}, ("expected duration, found 'soon'",)),
    "duration is true": ({VALUE: True}, ("expected duration, found True",)),
    "horizon without unit": ({"horizon": 5}, ("horizon: 5 has no unit",)),
    "horizon in bytes": ({"horizon": "5 GB"}, ("horizon", "unit 'GB'")),
    "gap without unit": ({ARRIVALS + "mean_interarrival": 60}, ("mean_interarrival: 60 has no",)),
    "rate without unit": ({"cluster/pools/a/nic": 400}, ("pools.a.nic: 400 has no unit",)),
    "tokens with a unit": (
        {CLASS + "duration": None, CLASS + "model": "llama3-8b", CLASS + "tokens": SHORT}
        | {CLASS + "tokens/value": "1 h"},
        ("tokens.value", "a number", "'1 h'"),
    ),
    # Numbers
    "negative duration": ({VALUE: "-3 h"}, ("'-3 h' is negative",)),
    "duration is NaN": ({VALUE: math.nan}, ("expected duration, found nan",)),
    "duration of 0": ({VALUE: "0 s"}, ("duration.value", "greater than 0")),
    "absurd duration": (
        {VALUE: "1e9 yr"},
        ("duration.value", "'1e9 yr' is too large", "10,000 yr"),
    ),
    "date for a duration": (
        {"horizon": date(2026, 2, 28)},
        ("horizon: '2026-02-28' needs `start`",),
    ),
    "absurd tokens": (
        {CLASS + "duration": None, CLASS + "model": "llama3-8b"}
        | {CLASS + "tokens": {"kind": "constant", "value": 1e25}},
        ("workload", "tokens.value", "found 1e+25"),
    ),
    "size of 0": ({CLASS + "sizes": {0: 1}}, ("sizes", "0 is not a number of accelerators")),
    "negative size": ({CLASS + "sizes": {-8: 1}}, ("sizes", "-8 is not a number")),
    "absurd size": ({CLASS + "sizes": {10**12: 1}}, ("sizes", "1000000000000 is not")),
    "no sizes": ({CLASS + "sizes": {}}, ("sizes", "at least one size", "{8: 1}")),
    "weights of 0": (
        {CLASS + "sizes": {8: 0}},
        ("sizes", "at least one weight must be more than 0"),
    ),
    "weight is NaN": ({CLASS + "sizes": {8: math.nan}}, ("sizes", "finite number, found nan")),
    "class of weight 0": (
        {CLASS + "weight": 0},
        ("classes[0].weight", "greater than or equal to 0.000000001"),
    ),
    "infinite weight": ({CLASS + "weight": math.inf}, ("classes[0].weight", "finite")),
    "sigma of 0": (
        {CLASS + "duration": {"kind": "lognormal", "median": "1 h", "sigma": 0}},
        ("duration.sigma", "greater than 0"),
    ),
    "absurd sigma": (
        {CLASS + "duration": {"kind": "lognormal", "median": "1 h", "sigma": 99}},
        ("duration.sigma", "10", "99"),
    ),
    "limits crossed": (
        {CLASS + "duration/at_least": "3 h", CLASS + "duration/at_most": "2 h"},
        ("at_most (7200) must not be below at_least (10800)",),
    ),
    "quantiles that do not match": (
        {CLASS + "duration": {"kind": "quantiles", "probabilities": [0, 1]}}
        | {CLASS + "duration/values": ["1 s", "2 s", "3 s"]},
        ("must have the same length, found 2 and 3",),
    ),
    "day of 23 hours": ({ARRIVALS + "daily": [1.0] * 23}, ("arrivals.daily", "24", "23")),
    "negative hour": (
        {ARRIVALS + "daily": [-1.0] * 24},
        ("daily: relative rates must be 0 or more",),
    ),
    "bursts of no burst": (
        {ARRIVALS + "process": {"kind": "hyperexponential", "cv": 1}},
        ("process.cv", "greater than 1"),
    ),
    "negative seed": ({"seed": -1}, ("seed", "greater than or equal to 0", "-1")),
    "fractional seed": ({"seed": 1.5}, ("seed", "whole number", "1.5")),
    "seed beyond 63 bits": ({"seed": 2**70}, ("seed", "less than")),
    "negative replication": ({"replication": -1}, ("replication", "-1")),
    "no jobs": ({"workload/jobs": 0}, ("workload.jobs", "greater than or equal to 1")),
    "negative jobs": ({"workload/jobs": -3}, ("workload.jobs", "-3")),
    "absurd jobs": ({"workload/jobs": 10**12}, ("workload.jobs", "100000000")),
    "half a job": ({"workload/jobs": 2.5}, ("workload.jobs", "whole number", "2.5")),
    "load of 0": ({"workload/load": 0}, ("workload.load", "greater than 0")),
    "negative load": ({"workload/load": -1}, ("workload.load", "greater than 0", "-1")),
    "absurd load": ({"workload/load": 1000}, ("workload.load", "100", "1000")),
    "load is NaN": ({"workload/load": math.nan}, ("workload.load", "finite", "nan")),
    "horizon of 0": ({"horizon": "0 s"}, ("horizon", "greater than 0")),
    "negative horizon": ({"horizon": "-5 s"}, ("horizon", "negative")),
    "no nodes": ({"cluster/pools/a/nodes": 0}, ("pools.a.nodes", "1")),
    "too short for a job": (
        {"workload/jobs": None, "workload/duration": "1 ms"},
        ("workload", "no job arrives"),
    ),
    # Names
    "unknown policy": (
        {"scheduler/policy": "fcsf"},
        ("scheduler.policy", "mean 'fcfs'", "`clustersim policies`"),
    ),
    "unknown placement": (
        {"scheduler/placement": "consolidated"},
        ("scheduler.placement", "did you mean 'consolidate'"),
    ),
    "unknown choice": ({"scheduler/choose": "cheapest"}, ("scheduler.choose", "best_value")),
    "unknown estimates": ({"scheduler/estimates": "usr"}, ("scheduler.estimates", "'user'")),
    "unknown chip": ({"cluster/pools/a/accelerator": "H21"}, ("pools.a.accelerator", "'H20'")),
    "unknown chip of a class": (
        {CLASS + "accelerators": ["H300"]},
        ("classes.train.accelerators", "'H300'"),
    ),
    "class without chips": ({CLASS + "accelerators": []}, ("accelerators", "at least 1")),
    "unknown model": (
        {CLASS + "duration": None, CLASS + "model": "llama3-8", CLASS + "tokens": SHORT},
        ("classes.train.model", "did you mean 'llama3-8b'"),
    ),
    "unknown cluster": ({"cluster": "mixed-smal"}, ("cluster: mixed-smal", "'mixed-small'")),
    "unknown workload": (
        {"workload/generate": "philly-2016"},
        ("workload.generate: ", "did you mean 'philly-2017'"),
    ),
    "missing workload file": (
        {"workload/generate": "mine.yaml"},
        ("workload.generate: mine.yaml: no such file",),
    ),
    "missing catalogue file": ({"catalogue": ["mine.yaml"]}, ("catalogue: mine.yaml: no such",)),
    "unknown distribution": (
        {CLASS + "duration": {"kind": "lognomal", "median": "1 h", "sigma": 1}},
        ("duration.kind", "'lognomal'", "did you mean 'lognormal'"),
    ),
    "distribution without kind": ({CLASS + "duration/kind": None}, ("needs the key 'kind'",)),
    "unknown arrival process": (
        {ARRIVALS + "process": {"kind": "poison"}},
        ("arrivals.process.kind", "did you mean 'poisson'"),
    ),
    "unknown reference chip": (
        {"workload/reference_accelerator": "H201"},
        ("workload.reference_accelerator", "'H201'"),
    ),
    "unknown reference model": (
        {"workload/reference_accelerator": "H20"}
        | {"workload/reference_models": {"default": "llama4"}},
        ("workload.reference_models.default", "'llama4'"),
    ),
    "reference model of no class": (
        {"workload/reference_accelerator": "H20"}
        | {"workload/reference_models": {"trian": "llama3-8b"}},
        ("workload.reference_models", "job class 'trian'", "did you mean 'train'"),
    ),
    "reference model without chip": (
        {"workload/reference_models": {"default": "llama3-8b"}},
        ("workload.reference_models", "needs workload.reference_accelerator"),
    ),
    # What does not go together
    "no arrivals": ({"workload/generate/arrivals": None}, ("generate.arrivals: is required",)),
    "no pools": ({"cluster/pools": None}, ("cluster: pools: is required",)),
    "no class": ({"workload/generate/classes": []}, ("classes: must have at least one",)),
    "two kinds of work": (
        {CLASS + "model": "llama3-8b", CLASS + "tokens": SHORT},
        ("class 'train' needs either a duration or a model",),
    ),
    "no work": ({CLASS + "duration": None}, ("class 'train' needs either",)),
    "model without tokens": (
        {CLASS + "duration": None, CLASS + "model": "llama3-8b"},
        ("must have both model and tokens, or neither",),
    ),
    "neither log nor model": ({"workload/generate": None}, ("workload: needs either trace or",)),
    "log and model": ({"workload/trace": "log.csv"}, ("workload: needs either trace or",)),
    "number of jobs left open": ({"workload/jobs": None}, ("workload: generate needs jobs",)),
    "missing log": ({"workload": {"trace": "log.csv"}}, ("workload.trace: log.csv: no such",)),
    "log with load": (
        {"workload": {"trace": "log.csv", "load": 0.5}},
        ("load applies to generate",),
    ),
    "log of no format": (
        {"workload": {"trace": "log.csv", "format": "cvs"}},
        ("workload.format", "did you mean 'csv'"),
    ),
    "model to be sorted": ({"workload/sort": True}, ("workload: format and sort apply to trace",)),
    "more nodes for teams than there are": (
        {"cluster/pools/a/virtual_clusters": {"x": {"nodes": 9}}},
        ("pools.a.virtual_clusters", "9", "2"),
    ),
    "load of jobs that fit nowhere": (
        {CLASS + "sizes": {512: 1.0}, "workload/load": 0.5},
        ("workload.load", "none of its jobs can run"),
    ),
    "best value without price": (
        {"cluster/pools/a/accelerator": "A800", "scheduler/choose": "best_value"},
        ("scheduler.choose", "price of A800", "catalogue file"),
    ),
    "best value of the P800": (
        {"cluster/pools/a/accelerator": "P800", "scheduler/choose": "best_value"},
        ("scheduler.choose", "price of P800"),
    ),
    "best value of the 810E": (
        {"cluster/pools/a/accelerator": "810E", "scheduler/choose": "best_value"},
        ("scheduler.choose", "price of 810E"),
    ),
    # extends
    "extends nothing": ({"extends": "base.yaml"}, ("extends: base.yaml: no such file",)),
    "extends itself": (
        {"extends": "scenario.yaml"},
        ("extends: the files extend each other in a circle",),
    ),
    "extends a number": ({"extends": 5}, ("extends: must be the name of a file, found 5",)),
    "extends a folder": ({"extends": "."}, ("extends: ", "is not a file")),
}


@pytest.mark.parametrize("case", VALUES)
def test_bad_value(refuse: Refuse, write_scenario: Callable[..., None], case: str) -> None:
    edits, words = VALUES[case]
    write_scenario(edits)
    message = refuse(RUN, "scenario.yaml: ", *words)
    assert "problems" not in message, "one problem, one line"


def test_all_problems_at_once(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({VALUE: "3 TB", CLASS + "weight": -1, "seed": -1, "sheduler": {}})
    refuse(RUN, "4 problems", "'3 TB'", "weight", "seed", "did you mean 'scheduler'")


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "comment": (b"# nothing\n", "is empty"),
    "list": (b"- 1\n", "must contain a mapping"),
    "plain text": (b"hello", "must contain a mapping"),
    "cut short": (b"workload: [1\nseed: 2\n", "not valid YAML"),
    "tab": (b"workload:\n\tjobs: 2\n", "line 2"),
    "key twice": (b"seed: 1\nseed: 2\n", "the key 'seed' occurs twice (the second time in line 2)"),
    "two documents": (b"seed: 1\n---\nseed: 2\n", "another document"),
    "binary": (bytes(range(256)), "not a text file"),
    "zero byte": (b"seed: 1\0\n", "not valid YAML"),
    "Python object": (b"seed: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    "nested too deeply": (b"cluster: " + b"[" * 3000, "nested too deeply"),
    "no such day": (b"seed: 2020-99-99\n", "seed: input should be a whole number, found '2020"),
    "number of 5,000 digits": (b"seed: " + b"9" * 5000, "cannot be read"),
    "unhashable key": (b"? {a: b}\n: 1\n", "not valid YAML"),
    "number as a key": (b"5: 1\n", "5: keys should be strings"),
    "a topology": (b"name: x\npools: {}\n", "pools: unknown key"),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_file(refuse: Refuse, tmp_path: Path, case: str) -> None:
    content, words = FILES[case]
    (tmp_path / "scenario.yaml").write_bytes(content)
    refuse(RUN, "scenario.yaml: ", words)


def test_missing_file_and_folder(refuse: Refuse) -> None:
    refuse(RUN, "scenario.yaml: no such file")
    refuse(["run", ".", "--out", "out"], "is a folder, not a YAML file")


def test_circle_of_files(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({"extends": "other.yaml"})
    write_scenario({"extends": "scenario.yaml"}, "other.yaml")
    refuse(
        RUN,
        "extends: the files extend each other in a circle",
        "scenario.yaml -> other.yaml -> scenario.yaml",
    )


CHANGES = {
    "scheduler.polcy=easy": "did you mean 'policy'",
    "scheduler.policy": "--set scheduler.policy: must be path.to.field=value",
    "=5": "--set =5: must be path.to.field=value",
    "a..b=1": "--set a..b=1: is not a path such as workload.load",
    "workload.generate.classes.0.weight=2": "unknown name in workload.generate.classes '0'",
    "seed.x=3": "--set seed.x: seed has no fields",
    "cluster.name.x=3": "cluster.name is 'tiny' and has no fields",
    "seed=[1": "--set seed=[1: the value '[1' is not valid YAML",
    "seed={a: 1, a: 2}": "is not valid YAML",
    "seed=": "seed: input should be a whole number",
    "seed=2020-99-99": "seed: input should be a whole number",
    "horizon=2026-02-28": "horizon: '2026-02-28' needs `start`, such as start: 2026-01-01",
    "start=2026-02-30": "start: '2026-02-30' is not a date",
    "start=5": "start: 5 is not a date; write a date such as 2026-01-01",
    "start=0001-01-01": "start: 0001-01-01 is not between the years 1900 and 2200",
    "time_zone=Asia/Shangai": "time_zone: unknown time zone 'Asia/Shangai'; did you mean 'Asia/Sha",
    "time_zone=Asia/Beijing": "did you mean 'Asia/Shanghai'?",
    "time_zone=8": "time_zone: ",
    "time_zone=Asia/Tokyo": "time_zone: has no effect without a date; add `start`",
    "cluster=nowhere": "nowhere: no such topology file",
    "cluster.pools.a.nodes=-4": "pools.a.nodes",
    "extends=other.yaml": "extends: unknown key",
}


@pytest.mark.parametrize("change", CHANGES)
def test_bad_change(refuse: Refuse, write_scenario: Callable[..., None], change: str) -> None:
    write_scenario({})
    refuse([*RUN, "--set", change], CHANGES[change])


def test_bad_seed_option(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({})
    refuse([*RUN, "--seed", "-1"], "seed", "greater than or equal to 0")
    refuse([*RUN, "--seed", "x"], "--seed", "'x'")


def test_change_of_a_misspelt_field_of_a_named_model(
    refuse: Refuse, write_scenario: Callable[..., None]
) -> None:
    write_scenario({"workload/generate": "philly-2017", "cluster": "mixed-small"})
    refuse([*RUN, "--set", "cluster.nme=x"], "cluster: nme", "did you mean 'name'")
    refuse([*RUN, "--set", "workload.generate.arrivals.proces=1"], "did you mean 'process'")


def test_jobs_that_never_run_are_reported_and_the_rest_runs(
    write_scenario: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario({CLASS + "sizes": {8: 1, 512: 1}, "workload/jobs": 40})
    assert main(RUN) == 0
    printed = capsys.readouterr().out
    assert "needs 512 accelerators, but the largest pool it may use has 16" in printed
