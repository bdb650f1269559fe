"""Chips in a job's list that the cluster or the catalogue lacks are named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clustersim as cs
from clustersim.topology import Cluster, compile_cluster
from clustersim.topology.load import resolve_cluster

CLUSTER = {
    "name": "two",
    "pools": {
        "h200": {"accelerator": "H200", "nodes": 1},
        "h20": {"accelerator": "H20", "nodes": 1},
    },
}


def two_pools() -> Cluster:
    return compile_cluster(resolve_cluster(CLUSTER, cs.load_catalogue()))


def log(*lists: str) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": range(10, 10 + len(lists)), "submit_s": 0.0})
    return jobs.assign(n_accelerators=8, duration_s=100.0, accelerators=list(lists))


@pytest.mark.parametrize("text", ["H2O", "H200,H2O", "H2O, H200"])
def test_a_scenario_refuses_an_unknown_chip_with_row_and_nearest_name(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log("H200", text).to_csv("jobs.csv", index=False)
    scenario = {
        "cluster": CLUSTER,
        "workload": {"trace": "jobs.csv"},
        "scheduler": {"policy": "fcfs"},
    }
    with pytest.raises(cs.InputError) as error:
        cs.run(scenario)
    said = str(error.value)
    assert "accelerators: row 2 (job 11): unknown accelerator 'H2O'; did you mean 'H20'?" in said


def test_a_replay_names_the_chips_of_a_list_that_the_cluster_lacks() -> None:
    found = cs.replay(
        log("H200", "H200,H2O", "H2O,H200", "H100,H20"), cluster=two_pools(), policy="fcfs"
    )
    [said] = [text for text in found.provenance["notes"] if text.startswith("accelerators: ")]
    assert said.startswith("accelerators: 3 jobs also list chips that the cluster lacks and do not")
    assert "'H2O' (row 2 (job 11); did you mean 'H20'?)" in said
    assert "'H100' (row 4 (job 13))" in said


def test_lists_of_chips_of_the_cluster_cause_no_note() -> None:
    found = cs.replay(log("H200,H20", "h20", "NVIDIA H200"), cluster=two_pools(), policy="fcfs")
    assert not [
        text for text in found.provenance.get("notes", []) if text.startswith("accelerators: ")
    ]
