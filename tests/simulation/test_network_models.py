"""Jobs with a model in a simulated network: their slowdown follows from their plans."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.simulation.runtimes import models_of_jobs
from clustersim.simulation.speeds import PlacedJob, Speeds

CATALOGUE = cs.load_catalogue()
LEAVES = {"type": "rail-optimised", "unit_nodes": 2, "oversubscription": {"leaf": 4}}
POOL = {"accelerator": "H200", "nodes": 16, "nic": "400 Gb/s", "fabric": LEAVES}
CLUSTER = cs.compile_cluster(
    cs.topology.resolve_cluster({"name": "eight leaves", "pools": {"a": POOL}}, CATALOGUE)
)


def of_model(name: str, n: int) -> pd.DataFrame:
    """Return one job that trains a model on some accelerators."""
    columns = {"job_id": [1], "submit_s": [0.0], "n_accelerators": [n], "duration_s": [np.nan]}
    return pd.DataFrame({**columns, "model": [name], "tokens": [1e9]})


def run_s(table: pd.DataFrame, placement: str, network: dict[str, object]) -> float:
    """Return how long the first job runs."""
    scheduling = cs.Scheduling(policy="fcfs", placement=placement)
    result = cs.simulate(table, CLUSTER, scheduling, catalogue=CATALOGUE, network=network)
    return float(result.jobs["finish_s"][0])


@pytest.mark.parametrize(("name", "n"), [("llama3-8b", 8), ("llama3-70b", 64)])
def test_a_job_with_few_chips_on_each_node_is_slower_as_its_plan_says(name: str, n: int) -> None:
    table = of_model(name, n)
    speeds = Speeds(CLUSTER, CATALOGUE)
    inside = max(1, n // 16)  # `spread` uses all 16 nodes
    [placed] = speeds.responses([PlacedJob(name, n, 0, inside)], communication_share=0.2)
    packed = run_s(table, "consolidate", {"contention": False})
    spread = run_s(table, "spread", {"contention": False})
    assert placed.response.slowdown[0] > 1.001
    assert spread == pytest.approx(packed * placed.response.slowdown[0], rel=1e-9)
    assert run_s(table, "spread", {}) == spread  # nobody shares its trunks


def test_whole_nodes_are_ideal_even_if_the_last_is_not_full() -> None:
    table = of_model("llama3-8b", 12)
    assert run_s(table, "consolidate", {}) == run_s(table, "consolidate", {"contention": False})
    [ideal] = Speeds(CLUSTER, CATALOGUE).responses(
        [PlacedJob("llama3-8b", 12, 0, 8)], communication_share=0.2
    )
    assert ideal.response.slowdown[0] == 1.0


def test_what_stands_for_jobs_without_a_model() -> None:
    table = pd.concat([of_model("llama3-8b", 8), of_model("llama3-8b", 8)], ignore_index=True)
    table.loc[1, ["model", "duration_s"]] = [None, 60.0]
    assert models_of_jobs(table, Speeds(CLUSTER, CATALOGUE)).tolist() == ["llama3-8b", ""]
    settings = cs.RunTimeModel(
        reference_accelerator="H200", reference_models={"default": "gpt3-175b"}
    )
    assert models_of_jobs(table, Speeds(CLUSTER, CATALOGUE, settings)).tolist() == [
        "llama3-8b",
        "gpt3-175b",
    ]
