"""Runs with placements on nodes: no accelerator is taken twice or lost, and all jobs end."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.scheduling import POLICIES
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from tests.simulation.fleets import cluster, crowd, pool

PLACEMENTS = ("topology_aware", "fragmentation_aware", "buddy_cells", "random")
NEED_OPTIONS = {"max_throughput_per_cost", "kueue", "kai"}


def run(policy: str, placement: str, n_jobs: int = 60) -> None:
    log = crowd(3, n_jobs, largest=16).assign(priority=np.arange(n_jobs) % 3, user="ann")
    fleet = cluster(pool("a", 3, 8), pool("b", 2, 6))
    result = simulate(log, fleet, Scheduling(policy=policy, placement=placement), check=True)
    assert (result.jobs["outcome"] == "finished").all()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_all_jobs_end_under_easy(placement: str) -> None:
    run("easy", placement)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("policy", sorted(set(POLICIES) - NEED_OPTIONS))
def test_all_jobs_end_under_every_policy(policy: str, placement: str) -> None:
    run(policy, placement, 120)
