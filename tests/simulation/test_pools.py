"""Jobs on several pools and in virtual clusters; jobs that can never run."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from fleets import cluster, jobs, pool

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import RunTimeModel, Scheduling, replay, simulate
from clustersim.topology import Cluster, Pool


@functools.cache
def catalogue() -> Catalogue:
    return load_catalogue()


def two_pools() -> Cluster:
    return cluster(pool("fast", accelerator="H200"), pool("slow", accelerator="H20"))


def run(log: pd.DataFrame, policy: str = "fcfs", *, speeds: bool = True, **how: object) -> Result:
    """Run on a pool of 8 H200 and one of 8 H20, durations as measured on H200."""
    return simulate(
        log,
        two_pools(),
        Scheduling(policy=policy, **how),
        catalogue=catalogue(),
        run_times=RunTimeModel("H200", {"default": "llama3-8b"}) if speeds else None,
        check=True,
    )


def pools_of(result: Result) -> list[object]:
    """Pool of each job, None where it never ran."""
    return [None if pd.isna(name) else name for name in result.jobs["pool"]]


# --- Which of the pools with room ---------------------------------------------------


def test_fastest_takes_the_faster_pool_while_it_has_room() -> None:
    result = run(jobs([(0, 8, 100), (1, 8, 100), (2, 8, 100)]))
    assert pools_of(result) == ["fast", "slow", "fast"]
    run_s = result.jobs["finish_s"] - result.jobs["start_s"]
    assert result.jobs["start_s"].tolist() == [0, 1, 100]
    assert run_s.iloc[0] == 100
    assert run_s.iloc[1] > 200, "an H20 has less than a sixth of the H200's FLOP/s"


def test_a_job_that_waits_for_the_best_does_not_take_what_is_free() -> None:
    result = run(jobs([(0, 8, 100), (1, 8, 100), (2, 8, 100)]), wait_for_best=True)
    assert pools_of(result) == ["fast"] * 3
    assert result.jobs["start_s"].tolist() == [0, 100, 200]


def test_listed_follows_the_order_of_the_job_and_else_of_the_cluster() -> None:
    log = jobs([(0, 4, 10), (0, 4, 10), (0, 4, 10)], accelerators=["H20,H200", "H200,H20", ""])
    assert pools_of(run(log, choose="listed")) == ["slow", "fast", "fast"]


def test_a_job_runs_only_on_the_accelerators_that_it_lists() -> None:
    log = jobs([(0, 8, 10), (0, 8, 10), (0, 8, 10)], accelerators=["H20", "h20", "H200"])
    result = run(log)
    assert pools_of(result) == ["slow", "slow", "fast"]
    assert result.jobs["start_s"].iloc[1] == result.jobs["finish_s"].iloc[0]
    assert result.jobs["start_s"].iloc[2] == 0


def test_best_value_takes_the_pool_with_the_least_price_for_the_work() -> None:
    result = run(jobs([(0, 8, 100), (0, 8, 100)]), choose="best_value")
    run_s = (result.jobs["finish_s"] - result.jobs["start_s"]).tolist()
    price = {}
    for name, chip in (("fast", "H200"), ("slow", "H20")):
        entry = catalogue().accelerator(chip)
        price[name] = (entry.price_low + entry.price_high) / 2
    first, second = pools_of(result)
    assert {first, second} == {"fast", "slow"}
    assert run_s[0] * price[first] < run_s[1] * price[second]


# --- Who blocks whom ----------------------------------------------------------------


def test_the_head_of_the_line_closes_only_the_pools_it_waits_for() -> None:
    log = jobs(
        [(0, 6, 100), (1, 8, 10), (2, 2, 10), (3, 4, 10)],
        accelerators=["H200", "H200", "H200", "H20"],
    )
    result = run(log, speeds=False)
    assert result.jobs["start_s"].tolist() == [0, 100, 110, 3]


def test_easy_reserves_in_each_pool() -> None:
    log = jobs(
        [
            (0, 8, 100),  # all of fast until 100
            (0, 4, 50),  # half of slow until 50
            (1, 8, 10),  # waits for fast: reserved at 100
            (1, 8, 10),  # waits for slow: reserved at 50
            (2, 4, 40),  # fits beside until 42: does not delay the reservation on slow
            (43, 4, 20),  # would end at 63 and delay it; fast is full: waits
            (44, 4, 6),  # ends at 50: just in time
        ],
        accelerators=["H200", "H20", "H200", "H20", "", "", "H20"],
    )
    result = run(log, "easy", speeds=False)
    assert result.jobs["start_s"].tolist() == [0, 0, 100, 50, 2, 60, 44]
    assert pools_of(result)[4:] == ["slow", "slow", "slow"]


def test_conservative_reserves_where_a_job_would_finish_first() -> None:
    log = jobs(
        [(0, 8, 100), (0, 8, 60), (1, 8, 10), (2, 8, 10)], accelerators=["H200", "H20", "", ""]
    )
    result = run(log, "conservative", speeds=False)
    assert result.jobs["start_s"].tolist() == [0, 0, 60, 70]


def test_virtual_clusters_block_only_themselves() -> None:
    fleet = cluster(pool("gpu", 4, virtual_clusters={"a": 1, "b": 2}))
    log = jobs(
        [(0, 8, 100), (1, 8, 10), (2, 8, 10), (3, 16, 10), (4, 8, 10), (5, 8, 10)],
        vc=["a", "a", "b", "b", None, None],
    )
    for policy in ("fcfs", "sjf", "easy", "easy_sjbf", "conservative"):
        result = replay(log, policy=policy, cluster=fleet, placement="consolidate", check=True)
        assert result.jobs["start_s"].tolist() == [0, 100, 2, 12, 4, 14], policy
        assert result.allocations["node"].tolist() == [0, 0, 1, 1, 2, 3, 3], policy
        owners = result.allocations["virtual_cluster"].tolist()
        assert owners == ["a", "a", "b", "b", "b", "", ""]


# --- Jobs that can never run --------------------------------------------------------


def test_never_runnable_jobs_say_why_and_the_rest_runs() -> None:
    fleet = cluster(
        pool("fast", 2, accelerator="H200", virtual_clusters={"a": 1}),
        pool("slow", 1, accelerator="H20", virtual_clusters={"a": 1}),
    )
    log = jobs(
        [(0, 1, 5)] * 6,
        vc=["a", "a", "aa", "", "a", ""],
        accelerators=["", "", "", "H20", "H100", ""],
    )
    log.loc[1, "n_accelerators"] = 9
    result = simulate(log, fleet, catalogue=catalogue(), check=True)
    assert result.jobs["outcome"].tolist() == ["finished"] + ["never runnable"] * 4 + ["finished"]
    reasons = result.jobs["reason"].tolist()
    assert reasons[1] == (
        "needs 9 accelerators, but the largest pool of virtual cluster 'a' has 8: no job spans two "
        "pools, and all of its pools together would do (16)"
    )
    assert "virtual cluster 'aa' does not exist" in reasons[2]
    assert "'a'" in reasons[2]
    assert "names no virtual cluster" in reasons[3]
    assert reasons[4] == "the cluster has none of its accelerators (H100)"
    assert pd.isna(reasons[0])
    assert result.jobs.loc[1:4, ["start_s", "finish_s", "pool"]].isna().all(axis=None)
    assert result.summary["scope"].tolist() == ["all", "fast", "slow", "vc a"]
    assert result.summary["never_runnable"].tolist() == [4, 0, 0, 2]


def test_virtual_cluster_without_nodes_in_the_pools_of_its_accelerators() -> None:
    fleet = cluster(
        pool("fast", 1, accelerator="H200", virtual_clusters={"a": 1}),
        pool("slow", 1, accelerator="H20", virtual_clusters={"b": 1}),
    )
    log = jobs([(0, 1, 5), (0, 1, 5)], vc=["a", "b"], accelerators=["H20", "H20"])
    result = simulate(log, fleet, catalogue=catalogue())
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]
    assert "virtual cluster 'a' has no nodes in the pools" in result.jobs["reason"].iloc[0]


def test_a_model_that_memory_does_not_hold() -> None:
    log = jobs([(0, 1, 0), (0, 8, 0)], model=["llama3-405b", "llama3-8b"], tokens=[1e9, 1e9])
    log["duration_s"] = np.nan
    result = simulate(log, two_pools(), catalogue=catalogue())
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]
    reason = result.jobs["reason"].iloc[0]
    assert "fast:" in reason
    assert "slow:" in reason
    assert result.jobs["finish_s"].iloc[1] > 0


def test_a_job_too_large_for_a_bare_pool() -> None:
    result = replay(jobs([(0, 8, 5), (1, 1001, 5), (2, 8, 5)]), policy="fcfs", accelerators=8)
    assert result.jobs["outcome"].tolist() == ["finished", "never runnable", "finished"]
    assert result.jobs["reason"].iloc[1] == (
        "needs 1,001 accelerators, but the largest pool it may use has 8"
    )
    assert result.jobs["start_s"].iloc[2] == 5


def test_a_gang_never_spans_two_pools() -> None:
    result = run(jobs([(0, 9, 5), (0, 8, 5)]), speeds=False)
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]


@pytest.mark.parametrize("placement", ["pooled", "consolidate", "spread"])
def test_without_virtual_clusters_their_column_does_not_matter(placement: str) -> None:
    log = jobs([(0, 8, 5), (0, 8, 5)], vc=["x", "y"])
    result = replay(log, policy="fcfs", cluster=cluster(pool("gpu", 2)), placement=placement)
    assert result.jobs["start_s"].tolist() == [0, 0]


@pytest.mark.parametrize("estimates", [None, np.nan])
def test_an_estimate_factor_changes_no_run_time(estimates: float | None) -> None:
    log = jobs([(0, 8, 0), (1, 8, 0)], model="llama3-8b", tokens=1e9, accelerators="H200")
    log["duration_s"] = np.nan
    if estimates is not None:
        log["estimate_s"] = estimates
    plain = simulate(log, two_pools(), Scheduling(policy="easy"), catalogue=catalogue()).jobs
    log["estimate_factor"] = [3.0, 1.0]
    listed = simulate(log, two_pools(), Scheduling(policy="easy"), catalogue=catalogue()).jobs
    assert listed["finish_s"].tolist() == plain["finish_s"].tolist()


def test_the_users_estimate_counts_for_a_job_with_a_model_too() -> None:
    # Half of the chips are busy for 1e6 s; all of them are wanted next.
    log = jobs([(0, 4, 1e6), (1, 8, 10), (2, 4, 0)], accelerators="H200")
    log["model"], log["tokens"] = [None, None, "llama3-8b"], [np.nan, np.nan, 1e9]
    log["duration_s"] = [1e6, 10, np.nan]
    log["estimate_s"] = [1e6, 10, np.nan]
    how = Scheduling(policy="easy")
    assert simulate(log, two_pools(), how, catalogue=catalogue()).jobs["start_s"].iloc[2] == 2
    log.loc[2, "estimate_s"] = 2e6
    assert simulate(log, two_pools(), how, catalogue=catalogue()).jobs["start_s"].iloc[2] > 1e6


def test_a_job_may_list_more_chips_than_the_cluster_has_pools() -> None:
    fleet = cluster(pool("only", 1, accelerator="H20"))
    log = jobs([(0, 1, 5)] * 2, accelerators=["H200,H100,H20", "H200"])
    for known in (catalogue(), None):
        result = simulate(log, fleet, catalogue=known)
        assert result.jobs["outcome"].tolist() == ["finished", "never runnable"]


def test_conservative_passes_a_job_that_finds_no_nodes() -> None:
    """Three chips are free, on two nodes: the third job must wait, the fourth need not."""
    fleet = cluster(pool("p", 2, 4))
    log = jobs([(0, 3, 1000), (0, 2, 1000), (1, 3, 10), (2, 1, 5)])
    scheduling = Scheduling(policy="conservative", placement="consolidate")
    assert simulate(log, fleet, scheduling).jobs["start_s"].tolist() == [0, 0, 1000, 2]


def test_utilisation_counts_from_the_first_submission() -> None:
    log = jobs([(1_000_000, 8, 10), (1_000_010, 8, 10)])
    result = simulate(log, cluster(pool("p")))
    assert result.summary["utilisation"].tolist() == [1.0, 1.0]


def test_jobs_that_only_the_division_of_their_partition_keeps_out_are_counted():
    zero = np.zeros(3, dtype=np.int32)
    pools = [
        Pool(name, "", n, 8, float("inf"), 8, zero[:n], zero[:n], queues=queues)
        for name, n, queues in (("h", 3, ("gpu",)), ("h-dev", 2, ("gpu", "dev")))
    ]
    log = pd.DataFrame(
        {"job_id": [1, 2, 3], "submit_s": 0.0, "n_accelerators": [40, 24, 48], "vc": "gpu",
         "duration_s": 60.0}
    )  # fmt: skip
    result = simulate(log, Cluster("c", tuple(pools)), Scheduling())
    reasons = result.jobs["reason"].tolist()
    assert reasons[0] == (
        "needs 40 accelerators, but the largest pool of partition 'gpu' has 24: no job spans two "
        "pools, and all of its pools together would do (40)"
    )
    assert "together" not in reasons[2]
    notes = [note for note in result.provenance["notes"] if "would be enough" in note]
    assert len(notes) == 1
    assert notes[0].startswith("1 job can never run although the nodes of the partition")
    spanning = simulate(log, Cluster("c", tuple(pools)), Scheduling(span_pools="equal"))
    assert spanning.jobs["outcome"].tolist() == ["finished", "finished", "never runnable"]
    assert spanning.jobs["reason"].tolist()[2] == (
        "needs 48 accelerators, but all pools of partition 'gpu' together have 40"
    )
