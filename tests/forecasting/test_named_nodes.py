"""Running jobs on the nodes that their queue names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.alone import Alone
from clustersim.forecasting.named_nodes import NamedJob, Place, named_places
from clustersim.scheduling import find_placement
from clustersim.sites.hostlist import expand_hosts, host_list
from clustersim.topology import Cluster
from tests.forecasting.test_forecast import HOUR, exact, running, starts, state, waiting
from tests.forecasting.test_running import pool

FOUR = Cluster("four", (pool("a", 4, ("gpu",)),))


def named(cluster: Cluster, *names: str) -> Cluster:
    pools = [replace(each, node_names=n) for each, n in zip(cluster.pools, names, strict=True)]
    return replace(cluster, pools=tuple(pools))


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative", "multifactor", "las"])
@pytest.mark.parametrize("cluster", [FOUR, named(FOUR, "n[1-4]")])
def test_nodes_that_jobs_split_up_are_not_free(
    monkeypatch: pytest.MonkeyPatch, policy: str, cluster: Cluster
) -> None:
    """Four jobs of 2 hold a node each; the first ends after 1 h, and the next each hour."""
    exact(monkeypatch)
    jobs = state(
        *(
            running(str(at), 2, 0.0, at * HOUR, partition="gpu", nodes=(f"n{at}.site.org",))
            for at in range(1, 5)
        ),
        waiting("w", 8, partition="gpu"),
        waiting("v", 16, partition="gpu"),
    )
    found = cs.forecast(jobs, cluster=cluster, policy=policy, replications=2)
    # After 1,625 s on 2 accelerators, 1 s of them before now, the running jobs fall a level of las.
    falls = 1624.0
    alike = {"w": HOUR, "v": 2 * HOUR}
    assert starts(found) == ({"w": falls, "v": falls} if policy == "las" else alike)
    anywhere = state(*(replace(job, nodes=()) for job in jobs.jobs))
    assert starts(cs.forecast(anywhere, cluster=cluster, replications=2))["w"] == 0.0
    pooled = cs.forecast(jobs, cluster=cluster, placement="pooled", replications=2)
    assert starts(pooled)["w"] == 0.0


def test_the_nodes_of_a_job_may_be_in_several_pools_or_out_of_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Job 1 is on a node of each pool, 2 on a node that the cluster does not have, 3 on both."""
    exact(monkeypatch)
    two = named(Cluster("two", (pool("a", 1, ("gpu",)), pool("b", 2, ("gpu",)))), "a1", "b[1-2]")
    jobs = state(
        running("1", 16, 0.0, HOUR, partition="gpu", nodes=("a1", "b1")),
        running("2", 8, 0.0, 5 * HOUR, partition="gpu", nodes=("drained",)),
        running("3", 8, 0.0, 2 * HOUR, partition="gpu", nodes=("other", "b2")),
        waiting("w", 12, partition="gpu"),
        waiting("v", 16, partition="gpu"),
    )
    found = cs.forecast(jobs, cluster=two, policy="fcfs", replications=2)
    assert starts(found) == {"w": HOUR, "v": 2 * HOUR}
    (said,) = found.without_room
    assert said.startswith("1 running job of partition 'gpu' with 8 accelerators found no room")


def test_jobs_on_nodes_without_names_in_the_cluster_share_them() -> None:
    """Node x holds 2 jobs and node y one of them too, so both are in the only pool for both."""
    cluster = Cluster("two", (pool("a", 1, ("gpu",)), pool("b", 3, ("gpu", "long"))))
    parts = build_partitions(cluster, find_placement("consolidate"))
    jobs = [
        NamedJob({"x": 4, "y": 8}, (0, 1)),
        NamedJob({"x": 4}, (1,)),
        NamedJob({"z": 9}, (0, 1)),
        None,
    ]
    places = named_places(jobs, parts, cluster)
    assert places[0] == (Place(1, ((0, 4), (1, 8)), 12),)
    assert places[1] == (Place(1, ((0, 4),), 4),)
    assert places[2:] == [None, None]  # more than a node has; not known
    assert [part.placement.free for part in parts] == [8, 8]


def test_accelerators_on_each_node() -> None:
    assert NamedJob.of(["a", "b"], [3, 5], 8, ()) == NamedJob({"a": 3, "b": 5}, ())
    assert NamedJob.of(["a", "b"], [], 3, ()) == NamedJob({"a": 2, "b": 1}, ())
    assert NamedJob.of(["a", "b"], [], 1, ()) is None
    assert NamedJob.of([], [], 3, ()) is None


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 4), min_size=4, max_size=4), st.integers(1, 5)),
        max_size=6,
    ),
    st.integers(1, 32),
    st.sampled_from(["consolidate", "spread", "pooled"]),
)
def test_the_first_time_alone_is_that_of_a_search_over_all_ends(
    held: list[tuple[list[int], int]], n: int, placement: str
) -> None:
    partition = build_partitions(FOUR, find_placement(placement))[0]
    places, ends, on_node = [], [], np.zeros(4, dtype=int)
    for chips, end in held:
        nodes = tuple((node, k) for node, k in enumerate(chips) if k)
        if not nodes or (on_node + chips > 8).any():
            continue
        on_node += chips
        nodes = nodes if placement != "pooled" else ()
        places.append((Place(0, nodes, sum(chips)),))
        ends.append(float(end))
        partition.placement.take_these(nodes, sum(chips))
    found = Alone(places, build_partitions(FOUR, find_placement(placement)))
    time = found.first_s(np.array(ends), (0,), n)
    for end in sorted({0.0, *ends}):
        for job, (place,) in enumerate(places):
            if ends[job] == end:
                partition.placement.give(place.nodes, place.n)
        if partition.placement.fits_each(np.array([n]))[0]:
            assert time == end
            return
    assert time == float("inf")


@given(
    st.lists(
        st.from_regex(r"[a-z]{1,3}-?(0[0-9]|[1-9][0-9]?)?", fullmatch=True),
        unique=True,
        max_size=30,
    )
)
def test_a_list_of_hosts_stands_for_its_names(names: list[str]) -> None:
    assert expand_hosts(host_list(names)) == names
    assert expand_hosts(host_list(sorted(names))) == sorted(names)


def test_a_pool_without_names_has_the_other_jobs() -> None:
    """Node a1 has a name, those of pool b have none; the cluster does not have node a9."""
    cluster = named(Cluster("two", (pool("a", 1, ("x",)), pool("b", 2, ("y",)))), "a1", "")
    parts = build_partitions(cluster, find_placement("consolidate"))
    jobs = [
        NamedJob({"a1": 8}, (0,)),
        NamedJob({"b1": 8, "b2": 8}, (1,)),
        NamedJob({"a9": 8}, (0,)),
    ]
    places = named_places(jobs, parts, cluster)
    assert places == [(Place(0, ((0, 8),), 8),), (Place(1, ((0, 8), (1, 8)), 16),), ()]
    # A single job on a node that is not there is on no other node.
    parts = build_partitions(cluster, find_placement("consolidate"))
    assert named_places(jobs[2:], parts, cluster) == [()]


def test_a_cluster_with_other_names_counts_the_nodes_only() -> None:
    cluster = named(FOUR, "rack1-[1-4]")
    parts = build_partitions(cluster, find_placement("consolidate"))
    places = named_places([NamedJob({f"n{at}": 8}, (0,)) for at in range(3)], parts, cluster)
    assert [len(each or ()) for each in places] == [1, 1, 1]
    assert parts[0].placement.free == 8


def test_names_with_and_without_their_domain() -> None:
    cluster = named(Cluster("two", (pool("a", 3, ("x",)),)), "n1.a.org,n1.b.org,n2.a.org")
    parts = build_partitions(cluster, find_placement("consolidate"))
    jobs = [NamedJob.of([name], [], 8, (0,)) for name in ("N2", "n1.b.org")]
    assert [place and place[0].nodes for place in named_places(jobs, parts, cluster)] == [
        ((2, 8),), ((1, 8),),
    ]  # fmt: skip
