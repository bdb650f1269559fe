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


def test_a_job_that_runs_only_smaller_than_it_asks_for_is_explained() -> None:
    # Job 2 asks for 24 of 16 and can have 8: it waits until job 1 ends, and starts with 16.
    table = jobs((0, 16, 100), (1, 24, 50), min_accelerators=[16, 8])
    result, known = ran(table, "fcfs", partial=True)
    assert result.jobs["start_s"].tolist() == [0, 100]
    assert causes(result, known, 2) == [(1, 100, "accelerators")]
    detail = str(cs.explain(result, job=2, **known).intervals["detail"][0])
    assert detail.startswith("needs at least 8 (asks for 24) on gpu, 0 free")


def test_another_pool_on_which_a_job_runs_only_smaller_counts_as_its_own() -> None:
    # Pool a holds the whole job, pool b only 8 of it; job 2 leaves 8 of b free for it.
    small = Cluster("small", (pool("a", 3), pool("b", 1)))
    table = jobs((0, 24, 100), (0, 4, 50), (1, 24, 60), min_accelerators=[24, 4, 8])
    result, known = ran(table, "fcfs", cluster=small, partial=True)
    assert result.jobs["start_s"].tolist() == [0, 0, 50]
    assert causes(result, known, 3) == [(1, 50, "accelerators")]
    found = cs.explain(result, job=3, **known).intervals
    assert (found["free_least"][0], found["free_most"][0]) == (4, 4)
    assert "on a, b" in str(found["detail"][0])


def test_sizes_of_rounds_are_those_that_the_policy_gives() -> None:
    # Of 3 to 12, sia gives 4, 8 or 12.
    table = jobs((0, 12, 100), (1, 8, 50), min_accelerators=[3, 8])
    _, known = ran(table, "sia", round=60)
    result, _ = ran(table, "sia", round=60)
    assert open_state(result, **known).needs.tolist() == [4, 8]


LIMIT = {"limits": {"user": {"ann": 24}}}
FOUR = Cluster("four", (pool("gpu", 4),))


def test_a_limit_holds_no_job_that_fits_it_at_a_smaller_size() -> None:
    # Job 1 has 16 of ann's 24.  Job 2 asks for 16, enters with 4 and starts with 8; job 3 waits for
    # the limit until job 1 ends.
    table = jobs(
        (0, 16, 100), (0, 16, 100), (50, 8, 10), user=["ann"] * 3, min_accelerators=[4, 4, 8]
    )
    result, known = ran(table, "fcfs", cluster=FOUR, partial=True, quotas=LIMIT)
    assert result.jobs["start_s"].tolist() == [0, 0, 100]
    assert causes(result, known, 2) == []
    assert causes(result, known, 3) == [(50, 100, "limit")]
    detail = str(cs.explain(result, job=3, **known).intervals["detail"][0])
    assert detail == "limit of user ann is in use; the end of job 1 let it in"


def test_a_job_larger_than_its_limit_is_held_at_its_smaller_size() -> None:
    # Ann may use 8 of 32; both jobs ask for 12.  Job 1 starts with 8, job 2 waits for it.
    table = jobs((0, 12, 100), (5, 12, 50), user=["ann"] * 2, min_accelerators=[4, 4])
    quotas = {"limits": {"user": {"ann": 8}}}
    result, known = ran(table, "fcfs", cluster=FOUR, partial=True, quotas=quotas)
    assert result.jobs["start_s"].tolist() == [0, 150]
    assert causes(result, known, 2) == [(5, 150, "limit")]


def test_a_job_that_shrinks_lets_another_one_in() -> None:
    # Ann's 16 are in use until job 1 shrinks to 8 at 40 s.
    class Shrinks(cs.Policy):
        def decide(self, view: cs.scheduling.View) -> list[cs.scheduling.Decision]:
            decisions: list[cs.scheduling.Decision] = [
                cs.scheduling.Start(job) for job in view.waiting.tolist()
            ]
            if view.now < 40:
                return [*decisions, cs.scheduling.Wake(40.0)]
            if view.now == 40 and view.sizes(view.running).tolist() == [16]:
                return [cs.scheduling.Resize(0, 8, cost_s=0.0)]
            return decisions

    table = jobs((0, 16, 100), (5, 8, 50), user=["ann"] * 2, min_accelerators=[8, 8])
    quotas = {"limits": {"user": {"ann": 16}}}
    result, known = ran(table, Shrinks, cluster=FOUR, quotas=quotas)
    assert result.jobs["start_s"].tolist() == [0, 40]
    assert causes(result, known, 2) == [(5, 40, "limit")]
