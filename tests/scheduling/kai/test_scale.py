"""Speed of a round on 500 nodes with 50 queues, 1,000 running and 2,000 waiting jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from clustersim.scheduling.kai import ACTIONS, Limits, Session, allocate
from tests.scheduling.kai.clusters import check_books, gangs_are_whole
from tests.scheduling.kai.large import large_cluster

MOST_ALLOCATE_S = 0.05
MOST_ROUND_S = 5.0
"""Several times what a round takes: this notices a search that tries everything again."""


def least_time_s(function: Callable[[], object], tries: int) -> float:
    times = []
    for _ in range(tries):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.slow
def test_a_pass_of_allocate_is_fast() -> None:
    cluster = large_cluster(1)
    assert least_time_s(lambda: allocate(Session(cluster)), tries=5) < MOST_ALLOCATE_S


@pytest.mark.slow
def test_a_round_with_limits_is_fast_and_keeps_the_books() -> None:
    session = Session(replace(large_cluster(1), limits=Limits(jobs_per_queue=10, trials=16)))

    def whole_round() -> None:
        for action in ACTIONS.values():
            action(session)

    assert least_time_s(whole_round, tries=1) < MOST_ROUND_S
    check_books(session)
    assert gangs_are_whole(session)
