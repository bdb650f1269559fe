"""Public functions of Python that are given another kind of thing say what to give instead."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import clustersim as cs

CATALOGUE = cs.load_catalogue()
SPEC = cs.load_cluster("mixed-small", CATALOGUE)
CLUSTER = cs.compile_cluster(SPEC)
WORKLOAD = cs.load_workload("philly-2017")
JOBS = cs.generate_jobs(WORKLOAD, cs.Streams(1), n_jobs=5)
H200, LLAMA = CATALOGUE.accelerator("H200"), CATALOGUE.model("llama3-8b")

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "compile_cluster(name)": (
        lambda: cs.compile_cluster("mixed-small"),
        r"cluster: .*found 'mixed-small'; use clustersim\.load_cluster",
    ),
    "compile_cluster(compiled)": (
        lambda: cs.compile_cluster(CLUSTER),
        r"cluster: .*not compiled, found a Cluster",
    ),
    "build_graph(name)": (lambda: cs.build_graph("mixed-small"), r"cluster: .*load_cluster"),
    "build_graph(compiled)": (lambda: cs.build_graph(CLUSTER), r"cluster: .*found a Cluster"),
    "summarise(name)": (lambda: cs.summarise("mixed-small"), r"cluster: .*load_cluster"),
    "load_cluster(number)": (lambda: cs.load_cluster(3, CATALOGUE), r"file: .*path.*found 3"),
    "load_cluster(loaded)": (lambda: cs.load_cluster(SPEC, CATALOGUE), r"found a ClusterSpec"),
    "load_cluster without catalogue": (
        lambda: cs.load_cluster("mixed-small", None),
        r"catalogue: must be a catalogue, found None; use clustersim\.load_catalogue\(\)",
    ),
    "load_cluster(catalogue file)": (
        lambda: cs.load_cluster("mixed-small", "own.yaml"),
        r"catalogue: .*found 'own\.yaml'",
    ),
    "single_pool(text)": (lambda: cs.single_pool("8"), r"accelerators: .*whole number, found '8'"),
    "single_pool(True)": (lambda: cs.single_pool(True), r"accelerators: .*found True"),
    "generate_jobs(name)": (
        lambda: cs.generate_jobs("philly-2017", cs.Streams(1), n_jobs=3),
        r"workload: .*found 'philly-2017'; use clustersim\.load_workload",
    ),
    "generate_jobs(seed)": (
        lambda: cs.generate_jobs(WORKLOAD, 1, n_jobs=3),
        r"streams: .*found 1; use clustersim\.Streams\(seed\)",
    ),
    "describe_jobs(path)": (lambda: cs.describe_jobs("jobs.csv"), r"jobs: .*read_jobs\(path\)"),
    "read_jobs(table)": (lambda: cs.read_jobs(JOBS), r"file: must be a path.*found a DataFrame"),
    "replay on a text": (
        lambda: cs.replay(JOBS, policy="fcfs", accelerators="8"),
        r"accelerators: .*found '8'",
    ),
    "replay on a name": (
        lambda: cs.replay(JOBS, policy="fcfs", cluster="mixed-small"),
        r"cluster: must be a compiled topology, found 'mixed-small'",
    ),
    "replay a path": (
        lambda: cs.replay("jobs.csv", policy="fcfs", accelerators=8),
        r"jobs: .*found 'jobs\.csv'",
    ),
    "check_policy(number)": (lambda: cs.check_policy(3), r"policy: must be a name.*found 3"),
    "load_scenario(mapping)": (lambda: cs.load_scenario({}), r"file: must be a path.*a dict"),
    "load_study(mapping)": (lambda: cs.load_study({}), r"file: must be a path.*a dict"),
    "load_plan(mapping)": (lambda: cs.load_plan({}), r"file: must be a path.*a dict"),
    "load_catalogue(number)": (lambda: cs.load_catalogue(3), r"file: must be a path.*found 3"),
    "load_workload(number)": (lambda: cs.load_workload(3), r"file: must be a path.*found 3"),
    "load_result(number)": (lambda: cs.load_result(3), r"folder: must be a path, found 3"),
    "Result.load(number)": (lambda: cs.Result.load(3), r"folder: must be a path, found 3"),
    "write_report(None)": (lambda: cs.write_report(None), r"folder: must be a path, found None"),
    "changes as a number": (
        lambda: cs.run("experiments/mixed_small.yaml", 3),
        r"changes: must be a mapping such as .*found 3",
    ),
    "changes as one text": (
        lambda: cs.run("experiments/mixed_small.yaml", "seed=3"),
        r"changes: must be a mapping such as .*found 'seed=3'",
    ),
    "changes as pairs": (
        lambda: cs.run("experiments/mixed_small.yaml", [("seed", 3)]),
        r"changes: must be texts such as seed=3, found a tuple",
    ),
    "estimate(number)": (
        lambda: cs.estimate(3, "H200", 8),
        r"model: must be the name of .*found 3",
    ),
    "estimate on a number": (
        lambda: cs.estimate("llama3-8b", 8, 8),
        r"accelerator: must be the name of .*found 8",
    ),
    "best_plans of a name": (
        lambda: cs.best_plans("llama3-8b", H200, 8),
        r"models: .*found 'llama3-8b'; use catalogue\.model\(name\)",
    ),
    "best_plans on a name": (
        lambda: cs.best_plans(LLAMA, ["H200"], 8),
        r"accelerators: .*found 'H200'; use catalogue\.accelerator\(name\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_kind_of_thing_is_refused_in_words(case: str) -> None:
    call, words = REFUSED[case]
    with pytest.raises(cs.InputError, match=words):
        call()


def test_what_is_of_the_right_kind_is_taken() -> None:
    assert cs.summarise(SPEC).name == cs.compile_cluster(SPEC).name == "mixed-small"
    assert isinstance(JOBS, pd.DataFrame)
    assert len(cs.generate_jobs(WORKLOAD, cs.Streams(1), n_jobs=3)) == 3
