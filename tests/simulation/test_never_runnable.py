"""Why jobs of a log can never run: the causes, with the number of jobs and what is near."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.simulation.never_runnable import why_never_run
from clustersim.topology import compile_cluster, resolve_cluster, single_pool

POOL = {"accelerator": "H200", "nodes": 4, "chips_per_node": 8}


def cluster_of(**pools: dict[str, Any]) -> Any:
    return compile_cluster(resolve_cluster({"name": "lab", "pools": pools}, cs.load_catalogue()))


def why(cluster: Any, sizes: list[int], **columns: Any) -> str:
    jobs = pd.DataFrame({"job_id": range(len(sizes)), "submit_s": 0.0, "n_accelerators": sizes})
    result = cs.simulate(jobs.assign(duration_s=60.0, **columns), cluster, cs.Scheduling())
    assert set(result.jobs["outcome"]) == {"never runnable"}
    return why_never_run(result.jobs, cluster)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([8], "1 job asks for more accelerators than the largest pool has (8; it has 4)"),
        (
            [1_024, 8],
            "2 jobs ask for more accelerators than the largest pool has (8 or more; it has 4)",
        ),
    ],
)
def test_jobs_larger_than_the_pool(sizes: list[int], words: str) -> None:
    assert why(single_pool(4), sizes) == words


def test_the_largest_of_several_pools_counts() -> None:
    found = why(cluster_of(a=POOL, b=POOL | {"nodes": 6}), [64, 128])
    assert found == (
        "2 jobs ask for more accelerators than the largest pool has (64 or more; it has 48)"
    )


def test_jobs_larger_than_the_largest_of_their_partitions() -> None:
    cluster = cluster_of(a=POOL | {"queues": ["a"]}, b=POOL | {"nodes": 2, "queues": ["b"]})
    assert why(cluster, [64], vc="b,a") == (
        "1 job asks for more accelerators than its partition has (such as 64 in 'b,a', of 32)"
    )


def test_jobs_larger_than_their_partition() -> None:
    cluster = cluster_of(gpu=POOL | {"virtual_clusters": {"a": {"nodes": 1}, "b": {"nodes": 2}}})
    found = why(cluster, [16, 24, 40], vc=["a", "b", ""])
    assert found == (
        "1 job asks for more accelerators than the largest pool has (40; it has 8); "
        "2 jobs ask for more accelerators than their partition has (such as 16 in 'a', of 8)"
    )


def test_partitions_that_the_topology_lacks() -> None:
    cluster = cluster_of(gpu=POOL | {"queues": ["batch", "debug"]})
    assert why(cluster, [8, 8, 8], vc=["bacth", "bacth", "night"]) == (
        "3 jobs name a partition that the topology lacks, such as 'bacth' "
        "(did you mean 'batch'? allowed: batch, debug)"
    )
    assert why(cluster, [8, 64], vc=["night", "debug"]) == (
        "1 job names a partition that the topology lacks, 'night' (allowed: batch, debug); "
        "1 job asks for more accelerators than its partition has (such as 64 in 'debug', of 32)"
    )


def test_accelerators_that_the_cluster_lacks() -> None:
    cluster = cluster_of(gpu=POOL, old=POOL | {"accelerator": "A100-80GB"})
    assert why(cluster, [8, 8], accelerators=["H20", "H20"]) == (
        "2 jobs name accelerators that the cluster lacks, 'H20' (it has A100-80GB and H200)"
    )


def test_other_reasons_are_those_of_the_result() -> None:
    """A gang of 40 fits on the chips of the larger pool, which these jobs do not name."""
    cluster = cluster_of(gpu=POOL, old=POOL | {"accelerator": "A100-80GB", "nodes": 8})
    found = why(cluster, [40, 40, 48], accelerators="H200")
    assert found == (
        "3 jobs, most often: needs 40 accelerators, but the largest pool it may use has 32"
    )


def test_jobs_that_can_run_are_not_counted() -> None:
    """That one job names a partition of the cluster tells that its names are those of the log."""
    cluster = cluster_of(gpu=POOL | {"queues": ["batch"]})
    jobs = pd.DataFrame({"job_id": range(3), "submit_s": 0.0, "duration_s": 60.0})
    jobs = jobs.assign(n_accelerators=[8, 8, 64], partition=["batch", "bacth", "batch"])
    result = cs.simulate(jobs, cluster, cs.Scheduling())
    assert result.jobs["outcome"].tolist() == ["finished", "never runnable", "never runnable"]
    assert why_never_run(result.jobs, cluster) == (
        "1 job names a partition that the topology lacks, 'bacth' "
        "(did you mean 'batch'? allowed: batch); "
        "1 job asks for more accelerators than its partition has (such as 64 in 'batch', of 32)"
    )
    assert why_never_run(result.jobs[:1], cluster) == ""
