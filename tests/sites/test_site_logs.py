"""Clusters and queues of the reference data against their truths, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.sites import read_queue, read_site

CLUSTERS = ("scontrol_nodes_o.txt", "scontrol_show_partition.txt", "sinfo_N_o.txt")
QUEUES = ("squeue_24.11.json", "squeue_default.txt", "squeue_o.txt")


def truth_of(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "site_logs" / f"{name}.truth.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    truth: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return truth


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster(shared_data: Path, name: str) -> None:
    truth = truth_of(shared_data, name)
    found = read_site(shared_data / "site_logs" / name).document()
    for key in ("rows", "nodes_total", "accelerator_nodes", "accelerators", "partitions"):
        assert found[key] == truth[key], key
    assert found["accelerators_by_type"] == truth["accelerators_by_type"]
    assert found["accelerators_out_of_service"] == truth["accelerators_out_of_service"]
    nodes = {node["name"]: node for node in found["nodes"]}
    for values in truth["nodes"]:
        wanted = dict(zip(truth["node_columns"], values, strict=True))
        node = nodes[wanted["name"]]
        assert sorted(node.pop("partitions")) == sorted(wanted.pop("partitions"))
        assert node == wanted


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue(shared_data: Path, name: str) -> None:
    truth = truth_of(shared_data, name)
    known = truth["inputs"]
    path = shared_data / "site_logs" / name
    found = read_queue(path, time_zone=known.get("zone"), taken_at=known.get("taken_at")).document()
    names = {"n_gpus": "n_accelerators", "n_gpus_each": "n_accelerators_each"}
    for key, same in (("rows", "rows"), ("running_jobs", "running_jobs"),
                      ("waiting_jobs", "pending_jobs"), ("waiting_rows", "pending_rows"),
                      ("accelerators_running", "accelerators_running"),
                      ("accelerators_waiting", "accelerators_pending")):  # fmt: skip
        assert found[key] == truth[same], key
    for part, same in (("running", "running"), ("waiting", "pending")):
        jobs = {job["job_id"]: job for job in found[part]}
        wanted = [dict(zip(truth[f"{same}_columns"], row, strict=True)) for row in truth[same]]
        assert set(jobs) == {job["job_id"] for job in wanted}
        for job in wanted:
            shown = {key: jobs[job["job_id"]][names.get(key, key)] for key in job}
            assert shown == job
