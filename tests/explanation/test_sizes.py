"""Gangs that can be smaller than a job asks for, and gangs over several pools."""

from __future__ import annotations

from small_clusters import causes, jobs, pool, ran

import clustersim as cs
from clustersim.explanation.holds import holds_of
from clustersim.explanation.state import open_state
from clustersim.topology import Cluster

TWO = Cluster("two", (pool("a"), pool("b")))


def test_jobs_over_several_pools_wait_for_room_on_all_of_them() -> None:
    # Both need 24 of 2 x 16. Beside the first one, 8 are free on b; job 3 takes them.
    table = jobs((0, 24, 100), (1, 24, 50), (2, 8, 10))
    result, known = ran(table, "first_fit", cluster=TWO, span_pools="equal")
    assert causes(result, known, 2) == [(1, 100, "accelerators")]
    found = cs.explain(result, job=2, **known).intervals
    assert (found["free_least"][0], found["free_most"][0]) == (0, 8)
    assert cs.explain(result, **known).jobs["waited_for"].tolist() == ["", "accelerators", ""]


def test_a_gang_that_fits_on_two_pools_together_waits_for_its_turn() -> None:
    # 8 are free on a, 16 on b: 24 would fit, but job 2 comes first.
    table = jobs((0, 8, 100), (1, 32, 50), (2, 24, 10))
    result, known = ran(table, "fcfs", cluster=TWO, span_pools="equal")
    assert causes(result, known, 3) == [(2, 100, "order"), (100, 150, "accelerators")]


def test_a_job_that_the_policy_may_start_smaller_waits_for_the_next_round() -> None:
    # Job 2 asks for 8 and starts on 2: 4 are free before the round of 60 s.
    table = jobs((0, 12, 100), (1, 8, 50), min_accelerators=[12, 2])
    result, known = ran(table, "sia", round=60)
    assert causes(result, known, 2)[0] == (1, 60, "order")
    detail = str(cs.explain(result, job=2, **known).intervals["detail"][0])
    assert detail.startswith("needs at least 2 (asks for 8) on gpu, 4 free, so it fitted, but")


def test_a_job_that_is_admitted_partly_waits_for_its_least_size() -> None:
    table = jobs((0, 16, 100), (1, 16, 50), (2, 16, 5), min_accelerators=[12, 16, 8])
    result, known = ran(table.iloc[[0, 2]], "fcfs", partial=True)
    assert causes(result, known, 3) == [(2, 100, "accelerators")]
    assert open_state(result, **known).needs.tolist() == [12, 8]
    assert holds_of(open_state(result, **known)) is None
