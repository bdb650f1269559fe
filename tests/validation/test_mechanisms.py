"""Each mechanism of a site, in a log worked out by hand, is found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.validation import mechanism
from clustersim.validation.case import case_of
from clustersim.validation.granted import Closable
from clustersim.validation.limits import common_ceiling
from clustersim.validation.occupancy import running_at
from clustersim.validation.order import overtaken, ranked
from clustersim.validation.replays import replayed
from clustersim.validation.setting import Closures, Setting
from clustersim.workload import JobLog
from tests.examples import examples

HOUR = 3600.0


def table(submit_s: Any, start_s: Any, **columns: Any) -> pd.DataFrame:
    jobs = pd.DataFrame({"submit_s": np.asarray(submit_s, float), "start_s": start_s})
    jobs = jobs.assign(**{"n_accelerators": 4, "duration_s": 100.0, **columns})
    return jobs.assign(job_id=np.arange(1, len(jobs) + 1))


def named(found: cs.Validation, key: str) -> Any:
    return next(each for each in found.tested if each.key == key)


def random_site(policy: str, **options: Any) -> pd.DataFrame:
    """Return 300 jobs with the starts of a site that runs a policy on 16 accelerators."""
    generator = np.random.default_rng(5)
    run = np.ceil(generator.lognormal(6.0, 1.2, 300))
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(300),
            "submit_s": np.sort(np.floor(generator.uniform(0, 250_000, 300))),
            "n_accelerators": generator.choice([1, 2, 8, 16], 300),
            "duration_s": run,
            "estimate_s": np.ceil(run * generator.uniform(1, 5, 300)),
            "user": generator.choice(list("abcd"), 300),
        }
    )
    jobs["submit_s"] = np.floor(jobs["submit_s"] / 3)
    site = cs.replay(jobs, policy=policy, accelerators=16, **options).jobs
    return jobs.assign(start_s=site["start_s"])


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "conservative"])
def test_a_log_of_the_simulator_is_found_to_be_its_policy(policy: str) -> None:
    found = cs.validate(random_site(policy), accelerators=16)
    assert found.nearest == policy
    assert found.distance_s == 0.0
    assert found.agrees
    assert found.tested == ()
    assert found.policies["error_s"].iloc[1] == 0.0
    assert found.policies["spearman"].iloc[1] == pytest.approx(1.0)
    assert found.policies["distance_s"].iloc[2] > 0.0


def test_a_limit_of_users_is_named() -> None:
    """No user may have more than 8 accelerators; a limit of two jobs is not the same."""
    jobs = table(
        [0.0] * 8,
        [0.0, 0.0, 100.0, 100.0, 0.0, 100.0, 200.0, 200.0],
        n_accelerators=[4, 4, 4, 4, 8, 8, 2, 2],
        user=list("aaaabbbb"),
    )
    found = cs.validate(jobs, accelerators=64)
    assert found.distance_s == pytest.approx((2 * 100 + 100 + 2 * 200) / 8)
    first = found.explanation
    assert first is not None
    assert first.name == "a limit of 8 running accelerators of a user"
    assert first.takes == (
        "one limit of 8, which 2 of 2 users reached exactly; other jobs of the user may pass one "
        "that is held by it"
    )
    assert first.distance_s == 0.0
    assert first.taken == 1
    # Every wait is with room and at the ceiling; in the replay nobody waits.
    assert (first.recorded, first.simulated) == (1.0, 0.0)
    assert named(found, "user_jobs").distance_s > 0.0


def test_priorities_are_named() -> None:
    """On 4 accelerators the last of three jobs starts before the second."""
    jobs = table([0.0, 10.0, 20.0], [0.0, 200.0, 100.0])
    found = cs.validate(jobs, accelerators=4, policies=["fcfs"])
    # Waits 0, 190, 80 against 0, 90, 180: sorted, they differ by 0, 10 and 10.
    assert found.distance_s == pytest.approx(20 / 3)
    order = named(found, "order")
    assert order.recorded == pytest.approx(1 / 3)
    assert order.simulated == 0.0
    assert order.distance_s == 0.0


def test_partitions_are_named() -> None:
    """Two partitions of 4 accelerators: the jobs of one wait while the other one is free."""
    jobs = table([0.0, 0.0, 0.0, 50.0], [0.0, 100.0, 200.0, 50.0], vc=list("aaab"))
    found = cs.validate(jobs, accelerators=8, policies=["fcfs"])
    # Partition a: waits 0, 100, 200 against 0, 0, 100; partition b: 0 against 50.
    assert found.distance_s == pytest.approx((100 + 100 + 50) / 4)
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s) == ("partitions", 0.0)
    assert "(8 in all, of 8)" in first.takes


def test_virtual_clusters_of_the_cluster_can_be_pooled() -> None:
    pools = {"gpu": {"accelerator": "H200", "nodes": 2, "chips_per_node": 4,
                     "virtual_clusters": {"a": {"nodes": 1}, "b": {"nodes": 1}}}}  # fmt: skip
    jobs = table([0.0, 0.0], [0.0, 0.0], vc=["a", "a"])
    found = cs.validate(jobs, cluster={"name": "lab", "pools": pools}, policies=["fcfs"])
    assert found.distance_s == 50.0
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s, first.taken) == ("pooled", 0.0, 0)


def drained_site() -> pd.DataFrame:
    """Return 16 jobs of 8 accelerators and 6 h; only 8 of 16 accelerators work for two days."""
    starts = [*(6 * HOUR * np.arange(8)), *np.repeat(48 * HOUR + 6 * HOUR * np.arange(4), 2)]
    return table([0.0] * 16, starts, n_accelerators=8, duration_s=6 * HOUR)


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "conservative"])
def test_capacity_that_was_not_available_is_named(policy: str) -> None:
    found = cs.validate(drained_site(), accelerators=16, policies=[policy])
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s, first.taken) == ("capacity", 0.0, 2)
    assert "2 days" in first.takes
    assert found.use["available"].tolist() == [8, 8, 16]
    assert found.use["most_in_use"].tolist() == [8, 8, 16]


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "conservative"])
def test_a_job_larger_than_what_is_left_waits_for_the_rest(policy: str) -> None:
    """From 50 s to 300 s, 6 of 8 accelerators are closed; a job of 8 starts at 300 s."""
    jobs = table([0.0, 60.0, 70.0], [0.0, 300.0, 70.0], n_accelerators=[8, 8, 2], duration_s=40.0)
    case = case_of(JobLog(jobs, 3, "jobs", "table"), accelerators=8)
    plan = Closures(np.array([0.0, 50.0, 300.0]), {"": np.array([0, 6, 0])})
    strict = policy == "fcfs"  # the small job is behind the large one
    expected = [0.0, 300.0, 340.0 if strict else 70.0]
    starts = Setting(case, policy, closures=plan).outcome()[0].tolist()
    if policy == "sjf":  # equal run times: in order of submission
        expected = [0.0, 300.0, 340.0]
    assert starts == expected


def test_accelerators_in_use_are_closed_when_their_jobs_end() -> None:
    placement = Closable(n_nodes=1, chips_per_node=8)
    assert placement.take(6) == ()
    placement.closed = 4
    assert (placement.free, placement.take(1)) == (0, None)
    placement.give((), 6)
    assert placement.free == 4
    placement.closed = 0
    assert placement.free == 8


def test_dependencies_are_named() -> None:
    """Three jobs in a chain; the user can have more at once, as two others show."""
    jobs = table(
        [0.0, 0.0, 0.0, 1000.0, 1000.0],
        [0.0, 100.0, 200.0, 1000.0, 1000.0],
        user=["a"] * 5,
    )
    jobs = pd.concat([jobs, table([2000.0], [2000.0], user="b")], ignore_index=True)
    found = cs.validate(jobs.assign(job_id=range(6)), accelerators=16, policies=["fcfs"])
    assert found.distance_s == pytest.approx(300 / 6)
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s, first.taken) == ("dependencies", 0.0, 2)
    assert (first.recorded, first.simulated) == (1.0, 0.0)


def test_dependencies_are_not_those_of_namespaces() -> None:
    names = ["a/one", "a/two", "b/one"]
    jobs = table([0.0, 0.0, 0.0], [0.0, 100.0, 0.0], user=["a", "a", "b"])
    found = cs.validate(jobs.assign(job_id=names), accelerators=16, policies=["fcfs"])
    (why,) = (each.untested for each in found.tested if each.key == "dependencies")
    assert why.startswith("users are namespaces")


def test_night_queues_are_named() -> None:
    """Jobs with limits of 10 h are submitted at 10:00 and start at 20:00; short ones at once."""
    days = np.arange(35) * 24 * HOUR
    long = np.repeat(days + 10 * HOUR, 6)
    short = (days[:, None] + np.arange(24) * HOUR).ravel()
    jobs = pd.concat(
        [
            table(long, long + 10 * HOUR, n_accelerators=1, estimate_s=10 * HOUR),
            table(short, short, n_accelerators=1, estimate_s=HOUR),
        ]
    ).sort_values("submit_s", kind="stable")
    jobs = jobs.assign(job_id=np.arange(len(jobs))).reset_index(drop=True)
    found = cs.validate(jobs, accelerators=100, policies=["easy"])
    assert found.distance_s == pytest.approx(10 * HOUR * len(long) / len(jobs))
    first = found.explanation
    assert first is not None
    assert (first.key, first.taken) == ("hours", 70)  # ten hours on each day of the week
    assert first.distance_s == 0.0
    assert (first.recorded, first.simulated) == (1.0, 0.0)


def test_limits_on_run_times_that_the_scheduler_did_not_use() -> None:
    """The site knew the run times; the log has limits of one to five times as much."""
    jobs = random_site("easy", exact_estimates=True)
    found = cs.validate(jobs, accelerators=16, policies=["easy"])
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s) == ("estimates", 0.0)


def test_none_is_named_if_none_explains_it() -> None:
    """Jobs that start at random times up to a day late, on a cluster that is never full."""
    generator = np.random.default_rng(1)
    submit = np.sort(generator.uniform(0, 30 * 24 * HOUR, 200))
    jobs = table(submit, submit + generator.uniform(0, 24 * HOUR, 200), n_accelerators=1)
    found = cs.validate(jobs, accelerators=1000, policies=["easy"])
    assert found.explanation is None
    assert found.tested
    assert named(found, "capacity").recorded == 1.0


def test_common_ceilings() -> None:
    held = np.array([True, True, False, False])
    assert common_ceiling(np.array([8, 8, 2, 1]), held) == (8, 2)
    assert common_ceiling(np.array([8, 4, 2, 1]), held) is None  # no two users share one
    assert common_ceiling(np.array([8, 8, 99, 1]), held) is None  # a quarter is above it
    assert common_ceiling(np.array([8, 8, 2, 1]), ~held) is None  # nobody was held there


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 5), st.integers(1, 4)),
        max_size=12,
    )
)
@settings(max_examples=examples(80))
def test_running_accelerators_are_those_of_a_loop(rows: list[tuple[int, int, int, int]]) -> None:
    group, start, run, size = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    asked = [(g, t + half) for g in range(3) for t in range(-1, 16) for half in (0.0, 0.5)]
    of, time_s = np.array([g for g, _ in asked]), np.array([t for _, t in asked])
    found = running_at(group, start.astype(float), (start + run).astype(float), size, of, time_s)
    for (g, t), number in zip(asked, found, strict=True):
        assert number == sum(n for gg, s, r, n in rows if gg == g and s <= t < s + r)


@given(
    st.lists(st.tuples(*(st.integers(0, most) for most in (1, 5, 9, 3))), max_size=10),
    st.booleans(),
)
@settings(max_examples=examples(80))
def test_overtaken_jobs_are_those_of_two_loops(
    rows: list[tuple[int, int, int, int]], by_limit: bool
) -> None:
    group, submit, wait, limit = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    start = submit + wait
    key = limit if by_limit else submit
    jobs = list(zip(group, submit, start, key, strict=True))
    late = [
        any(g == gg and s <= tt < t and k < kk for gg, _, tt, kk in jobs) for g, s, t, k in jobs
    ]
    everything = np.ones(len(rows), dtype=bool)
    rank = ranked(limit.astype(float)) if by_limit else None
    found = overtaken(submit.astype(float), start.astype(float), group, everything, rank)
    assert found == pytest.approx(np.mean(late) if rows else 0.0)


def test_priorities_are_named_although_sjf_lets_as_many_jobs_pass() -> None:
    """On 4 accelerators, the site starts long jobs before short ones.

    The first job runs until 100 s.  Of the three that then wait, the last is the shortest: sjf
    starts it first, so 2 of 4 jobs start after a later one, and none does at the site.  There, two
    wait while a longer one starts; under sjf none does.
    """
    submit, run = [0.0, 10.0, 20.0, 30.0], [100.0, 300.0, 200.0, 50.0]
    jobs = table(submit, [0.0, 100.0, 400.0, 600.0], duration_s=run, estimate_s=run)
    found = cs.validate(jobs, accelerators=4, policies=["sjf"])
    assert found.starts["sjf"].tolist() == [0.0, 350.0, 150.0, 100.0]
    every = np.ones(4, dtype=bool)
    later = [
        overtaken(np.array(submit), start, np.zeros(4, dtype=int), every)
        for start in (found.case.start_s, found.starts["sjf"])
    ]
    assert later == [0.0, 0.5]
    first = found.explanation
    assert first is not None
    assert (first.key, first.distance_s) == ("order", 0.0)
    assert (first.recorded, first.simulated) == (0.5, 0.0)  # the last two wait for longer ones
    assert first.trace.startswith("jobs that waited while a longer one")


def test_room_while_waiting_by_hand() -> None:
    """A job of 4 waits from 0 to 80 s; 8 accelerators, of which 6 are in use until 40 s."""
    jobs = table([0.0, 0.0], [0.0, 80.0], n_accelerators=[6, 4], duration_s=[40.0, 10.0])
    case = case_of(JobLog(jobs, 2, "jobs", "table"), accelerators=8)
    waiting = mechanism.Tested(Setting(case, "fcfs"), case.start_s).both[0]
    assert waiting.job.tolist() == [1]
    assert waiting.time_s[0].tolist() == [5.0, 15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0]
    assert waiting.share(waiting.room) == 0.5


@pytest.mark.parametrize(("passing", "third_s"), [(True, 2.0), (False, 100.0)])
def test_a_smaller_job_of_a_user_may_pass_one_that_a_ceiling_holds(
    passing: bool, third_s: float
) -> None:
    """Of 8, one job has 6: the job of 4 waits for its end, the job of 2 only if it may not pass."""
    from clustersim.scheduling import find_policy
    from clustersim.validation.granted import with_ceilings

    jobs = table([0.0, 1.0, 2.0], [0.0] * 3, n_accelerators=[6, 4, 2], user=list("aaa"))
    case = case_of(JobLog(jobs, 3, "jobs", "table"), accelerators=32)
    for name in ("fcfs", "sjf", "easy", "easy_sjbf", "conservative"):
        policy = with_ceilings(
            find_policy(name), case.user, [(case.size, np.array([8.0]))], passing=passing
        )
        assert replayed(case, policy).tolist() == [0.0, 100.0, third_s]


def test_a_ceiling_never_holds_the_only_job_of_a_user() -> None:
    from clustersim.scheduling import find_policy
    from clustersim.validation.granted import with_ceilings

    jobs = table([0.0, 0.0, 0.0], [0.0] * 3, n_accelerators=[8, 8, 8], user=list("aab"))
    case = case_of(JobLog(jobs, 3, "jobs", "table"), accelerators=32)
    for name in ("fcfs", "sjf", "easy", "easy_sjbf", "conservative"):
        policy = with_ceilings(
            find_policy(name), case.user, [(case.size, np.array([4.0, np.inf]))], passing=False
        )
        assert replayed(case, policy).tolist() == [0.0, 100.0, 0.0]
