"""Partitions of a site's log: honoured where the cluster has them, and said where it has not."""

from __future__ import annotations

import pandas as pd
import pytest

import clustersim as cs
from clustersim.topology import Cluster, resolve_cluster
from clustersim.workload.named_groups import group_mask, group_problems

JOBS = pd.DataFrame(
    {
        "job_id": [1, 2, 3],
        "submit_s": [0, 1, 2],
        "n_accelerators": [8, 8, 8],
        "duration_s": [100, 100, 100],
        "partition": ["a", "a", "b"],
    }
)


def cluster(*queues: str) -> Cluster:
    """Pools of one node with eight chips, each with a queue."""
    pools = {
        f"pool-{name}": {"accelerator": "H200", "nodes": 1, "queues": [name]} for name in queues
    }
    site = {"name": "site", "pools": pools}
    return cs.compile_cluster(resolve_cluster(site, cs.load_catalogue()))


def starts(jobs: pd.DataFrame, *queues: str) -> list[float]:
    found = cs.replay(jobs, policy="fcfs", cluster=cluster(*queues))
    return found.jobs.sort_values("job_id")["start_s"].tolist()


@pytest.mark.parametrize("column", ["partition", "vc"])
def test_jobs_stay_in_their_partition(column):
    assert starts(JOBS.rename(columns={"partition": column}), "a", "b") == [0, 100, 2]


@pytest.mark.parametrize("column", ["partition", "vc"])
def test_a_job_with_several_partitions_runs_where_there_is_room(column):
    """Job 2 may use b, too, which is free at once; then job 3 waits for it."""
    jobs = JOBS.assign(partition=["a", "a,b", "b"]).rename(columns={"partition": column})
    assert starts(jobs, "a", "b") == [0, 1, 101]
    assert starts(jobs.assign(**{column: ["a", "a, gone", "b"]}), "a", "b") == [0, 100, 2]
    every = cs.replay(jobs.assign(**{column: "b,c"}), policy="fcfs", cluster=cluster("a", "b"))
    assert every.jobs["pool"].unique().tolist() == ["pool-b"]
    gone = cs.replay(JOBS.assign(vc=["a", "x,y", "b"]), policy="fcfs", cluster=cluster("a", "b"))
    reason = gone.jobs.set_index("job_id")["reason"].loc[2]
    assert reason.startswith("virtual cluster 'x,y' does not exist")


def test_a_scenario_groups_jobs_by_the_queue_of_their_namespace(tmp_path):
    """Of three jobs of `lq`, two belong to that of x; the third names a queue of its own."""
    log = tmp_path / "log.csv"
    names = JOBS.assign(job_id=["x/1", "x/2", "y/1"], partition=["lq", "lq", "own"])
    names.to_csv(log, index=False)
    pools = {
        name: {"accelerator": "H200", "nodes": 1, "queues": [queue]}
        for name, queue in (("p", "x/lq"), ("q", "own"))
    }
    scenario = {
        "cluster": {"name": "site", "pools": pools},
        "workload": {"trace": str(log)},
        "scheduler": {"policy": "fcfs"},
    }
    jobs = cs.run(scenario).jobs
    assert jobs["partition"].tolist() == ["x/lq", "x/lq", "own"]
    assert jobs["start_s"].tolist() == [0, 100, 2]
    assert group_mask(jobs, "x/lq", None).tolist() == [True, True, False]
    assert group_problems(jobs, {"x/lq": None, "own": None}) == []


def test_partitions_that_the_cluster_does_not_have_are_said_to_be_ignored():
    found = cs.replay(JOBS, policy="fcfs", cluster=cluster("x", "y"))
    assert found.jobs["start_s"].tolist() == [0, 1, 100]
    (note,) = found.provenance["notes"]
    assert "3 jobs name 2 partitions, such as 'a' and 'b'" in note
    assert "it has 'x' and 'y'" in note
    assert "queues" in note


def test_a_single_name_that_the_cluster_does_not_have_is_said_to_be_ignored():
    found = cs.replay(JOBS.assign(partition="user-queue"), policy="fcfs", cluster=cluster("x", "y"))
    (note,) = found.provenance["notes"]
    assert "3 jobs name 1 partition, such as 'user-queue'" in note


def test_a_partition_that_only_some_jobs_have_keeps_the_others_out():
    found = cs.replay(JOBS, policy="fcfs", cluster=cluster("a", "c"))
    jobs = found.jobs.set_index("job_id")
    assert jobs["start_s"].loc[[1, 2]].tolist() == [0, 100]
    assert jobs["reason"].loc[3].startswith("virtual cluster 'b' does not exist")
