"""What a validation takes from a log and a cluster: places, hours, starts, users; its errors."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.errors import InputError
from clustersim.report.of_validation.answer import validation_answer
from clustersim.report.of_validation.text import mechanisms_text
from clustersim.validation import mechanism
from clustersim.validation.case import Case, case_of
from clustersim.validation.hours import HOURS
from clustersim.validation.limits import most_at_once
from clustersim.validation.setting import Setting, first_open_s
from clustersim.validation.sharing import Sharing
from clustersim.validation.tables import groups_table, use_table
from clustersim.workload import JobLog
from tests.examples import examples

HOUR = 3600.0


def table(submit_s: Any, start_s: Any, **columns: Any) -> pd.DataFrame:
    jobs = pd.DataFrame({"submit_s": np.asarray(submit_s, float), "start_s": start_s})
    jobs = jobs.assign(**{"n_accelerators": 4, "duration_s": 100.0, **columns})
    return jobs.assign(job_id=np.arange(1, len(jobs) + 1))


def case(jobs: pd.DataFrame, origin: datetime | None = None, **options: Any) -> Case:
    return case_of(JobLog(jobs, len(jobs), "jobs", "table", origin=origin), **options)


def pools(nodes: int, **options: Any) -> dict[str, Any]:
    """Return a cluster of two pools with nodes of 8."""
    own = {"accelerator": "H200", "nodes": nodes, "chips_per_node": 8}
    both = {name: {**own, **options.get(name, {})} for name in ("p", "q")}
    return {"name": "lab", "pools": both}


def drained_site(**columns: Any) -> pd.DataFrame:
    """Return 16 jobs of 8 accelerators and 6 h; only 8 of 16 accelerators work for two days."""
    starts = [*(6 * HOUR * np.arange(8)), *np.repeat(48 * HOUR + 6 * HOUR * np.arange(4), 2)]
    return table([0.0] * 16, starts, n_accelerators=8, duration_s=6 * HOUR, **columns)


def by_key(found: cs.Validation, key: str) -> mechanism.Mechanism:
    return next(each for each in found.tested if each.key == key)


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy"])
def test_capacity_is_closed_in_pools_that_jobs_share(policy: str) -> None:
    """Two pools of 8 that all jobs may use: for two days, one job runs in either of them."""
    found = cs.validate(drained_site(), cluster=pools(1), policies=[policy])
    assert found.case.capacity == {"p + q": 16}
    capacity = by_key(found, "capacity")
    assert (capacity.distance_s, capacity.taken) == (0.0, 2)
    assert "in whichever of the pools that jobs share" in capacity.takes
    assert found.use["available"].tolist() == [8, 8, 16]
    assert any("in several of the 2 parts of the cluster" in note for note in found.notes)


def test_what_is_tested_in_pools_that_jobs_share() -> None:
    jobs = drained_site(user=["a", "b"] * 8, vc=["x", "y"] * 8, estimate_s=6 * HOUR)
    found = cs.validate(jobs, cluster=pools(1), policies=["conservative"])
    untested = {each.key: each.untested for each in found.tested if each.untested}
    assert set(untested) == {"capacity", "hours", "initial_state"}
    assert untested["capacity"].startswith("conservative reserves accelerators in each pool")
    assert untested["hours"] == "there are no such hours"


def test_a_limit_of_users_is_found_in_overlapping_queues() -> None:
    """Queue x uses pool p, queue y both; each user may have 8 of the 64, and nobody else waits."""
    cluster = pools(4, p={"queues": ["x", "y"]}, q={"queues": ["y"]})
    jobs = table(
        [0.0] * 8, [0.0, 0.0, 100.0, 100.0, 0.0, 100.0, 200.0, 200.0],
        n_accelerators=[4, 4, 4, 4, 8, 8, 2, 2], user=list("aaaabbbb"), vc=list("xyxyxyxy"),
    )  # fmt: skip
    found = cs.validate(jobs, cluster=cluster, policies=["fcfs"])
    first = found.explanation
    assert first is not None
    assert first.name == "a limit of 8 running accelerators of a user"
    assert (first.distance_s, first.recorded, first.simulated) == (0.0, 1.0, 0.0)


def test_jobs_are_where_their_accelerators_and_sizes_are() -> None:
    """Without queues, a job that names a chip, or is larger than one pool, is in the other one."""
    cluster = pools(1, q={"nodes": 2, "accelerator": "H100"})
    jobs = table(
        [0.0] * 4, [0.0] * 4, n_accelerators=[16, 4, 4, 4], accelerators=["", "h100", "h200", ""]
    )
    own = case(jobs, cluster=cluster)
    allowed = own.sharing.sets[own.sharing.set_of]
    assert allowed.tolist() == [[False, True], [False, True], [True, False], [True, True]]
    clear = case(jobs.iloc[:3].assign(job_id=range(3)), cluster=cluster)
    assert not clear.sharing.overlaps
    assert list(clear.capacity.values()) == [8, 16]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60))
def test_a_size_that_surely_had_room_has_it_wherever_the_others_are(seed: int) -> None:
    """Against all allocations of running jobs to three pools; some pool then has that much free."""
    random = np.random.default_rng(seed)
    capacity = random.integers(1, 7, 3)
    sets = np.array([[True, False, False], [True, True, False], [False, True, True], [True] * 3])
    of = random.integers(0, 4, 4)
    size = random.integers(1, 5, 4)
    sharing = Sharing(capacity, sets, of)
    asked = np.arange(4)
    found = sharing.largest(np.zeros(4), np.ones(4), size, asked, np.full(4, 0.5))
    feasible = []
    for where in itertools.product(range(3), repeat=4):
        free = capacity - np.bincount(where, weights=size, minlength=3).astype(int)
        if (free >= 0).all() and all(sets[a][b] for a, b in zip(of, where, strict=True)):
            feasible.append(free)
    for largest, own in zip(found, sets, strict=True):
        assert all(largest <= free[own].max() for free in feasible)


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_capacity_is_closed_in_the_pool_of_the_queue(policy: str) -> None:
    """Queue x has a pool in which one of two nodes is drained; that of queue y is idle."""
    jobs = pd.concat([drained_site(vc="x"), table([60 * HOUR], [60 * HOUR], vc="y")])
    jobs = jobs.assign(job_id=range(17))
    cluster = pools(2, p={"queues": ["x"]}, q={"queues": ["y", "z"]})
    found = cs.validate(jobs, cluster=cluster, policies=[policy])
    assert found.case.capacity == {"x": 16, "y": 16}
    assert found.case.share.tolist() == [0] * 16 + [1]
    capacity = by_key(found, "capacity")
    assert (capacity.distance_s, capacity.taken) == (0.0, 2)
    assert found.use["available"].tolist() == [24, 24, 32]


def test_an_idle_pool_of_another_queue_is_no_room() -> None:
    jobs = table([0.0, 0.0], [0.0, 100.0], n_accelerators=8, vc="x")
    cluster = pools(1, p={"queues": ["x"]}, q={"queues": ["y"]})
    own = case(jobs, cluster=cluster)
    assert mechanism.Tested(Setting(own, "fcfs"), own.start_s).both[0].room.sum() == 0
    both = case(jobs, cluster=pools(1, p={"queues": ["x"]}, q={"queues": ["x"]}))
    assert both.sharing.overlaps
    assert list(both.capacity.values()) == [16]
    # One job of 8 runs, so one of two pools of 8 is empty, whichever it is.
    assert mechanism.Tested(Setting(both, "fcfs"), both.start_s).both[0].room.all()


def test_queues_of_one_name_are_those_of_the_namespaces() -> None:
    jobs = table([0.0, 0.0], [0.0, 100.0], n_accelerators=8, partition="lq")
    jobs["job_id"] = ["a/1", "b/1"]
    own = case(jobs, cluster=pools(1, p={"queues": ["a/lq"]}, q={"queues": ["b/lq"]}))
    assert own.jobs["vc"].tolist() == ["a/lq", "b/lq"]
    assert own.sharing.sets[own.sharing.set_of].tolist() == [[True, False], [False, True]]


def test_jobs_may_spread_over_nodes() -> None:
    """Two jobs of 6 leave 2 + 2 accelerators free, on which a job of 4 started at once."""
    jobs = table([0.0, 0.0, 10.0], [0.0, 0.0, 10.0], n_accelerators=[6, 6, 4])
    lab = pools(2)
    options = {
        "cluster": {**lab, "pools": {"p": lab["pools"]["p"]}},
        "policies": ["fcfs"],
        "mechanisms": False,
    }
    assert cs.validate(jobs, placement="pooled", **options).distance_s == 0.0
    assert cs.validate(jobs, **options).distance_s > 0.0


def test_hours_open_on_the_local_clock() -> None:
    """Open from 18:00 to 24:00; the log begins at 10:37, and the night after has no hour 2."""
    origin = datetime(2026, 3, 28, 10, 37, tzinfo=ZoneInfo("Europe/Berlin"))
    closed = (np.arange(HOURS) % 24 < 18)[None, :]
    jobs = table([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    own = case(jobs, origin, accelerators=12)
    times = np.array([0.0, 8 * HOUR, 14.5 * HOUR])  # 10:37, 18:37, 01:07 of the next day
    found = first_open_s(own, times, np.zeros(3, dtype=np.int64), closed)
    evening = (7 * 60 + 23) * 60.0
    assert found.tolist() == [evening, 8 * HOUR, evening + 23 * HOUR]
    assert [own.calendar.text(each)[-5:] for each in found] == ["18:00", "18:37", "18:00"]


def test_jobs_that_start_before_their_submission_are_in_use() -> None:
    """Job 2 starts 10 s early (a wait of 0 s), job 3 by 500 s (not compared); both run then."""
    jobs = table([0.0, 100.0, 600.0, 700.0], [0.0, 90.0, 100.0, np.nan], duration_s=200.0)
    own = case(jobs)
    assert own.compared.tolist() == [True, True, False, False]
    assert own.start_s.tolist()[:3] == [0.0, 90.0, 100.0]
    assert own.wait_s.tolist()[:3] == [0.0, 0.0, 0.0]
    assert own.most_in_use == 12
    notes = "\n".join(own.notes)
    assert "1 job started up to 60 s before the submission" in notes
    assert "1 job started more than 60 s before the submission" in notes
    assert "1 job without a recorded start" in notes
    found = cs.validate(jobs, accelerators=12, policies=["fcfs"], mechanisms=False)
    assert found.recorded_s.tolist() == [0.0, 0.0]


def test_a_requeued_job_is_in_use_only_while_it_ran() -> None:
    """Job 1 runs for 1 h, job 2 in its pause of 5 h, and job 1 for another 3 h."""
    jobs = table([0.0, 0.0], [0.0, HOUR], duration_s=[4 * HOUR, 5 * HOUR])
    jobs["runs_s"] = ["0-3600 21600-32400", None]
    own = case(jobs, accelerators=4)
    assert own.most_in_use == 4
    assert not own.is_too_small
    assert case(jobs.drop(columns="runs_s"), accelerators=4).is_too_small
    both = np.zeros(2, dtype=np.int64)
    assert most_at_once(own, both, own.size, 1).tolist() == [4]
    assert use_table(own)["most_in_use"].max() == 4
    assert own.window(1800.0).runs[1].tolist() == [1800.0, HOUR]  # the rest of a job is one run


def test_a_fleet_that_is_too_small_comes_first() -> None:
    jobs = table([0.0] * 4, [0.0] * 4, user=list("aabb"))
    found = cs.validate(jobs, accelerators=12, policies=["fcfs"])
    answer = validation_answer(found)
    assert answer.hinges_on[0].startswith(
        "Up to 16 accelerators were in use at once according to the log, more than the 12 of"
    )
    assert answer.next_steps[0].startswith("Give the cluster of the log's time")


def test_days_begin_at_local_midnight_and_weeks_have_dates() -> None:
    """The log begins on 24 October 2026, 22:00; the clocks in Berlin go back in its first night."""
    submit_s = np.array([0.0, 3 * HOUR, 30 * HOUR, 22 * 24 * HOUR])
    start = datetime(2026, 10, 24, 22, tzinfo=ZoneInfo("Europe/Berlin"))
    own = case(table(submit_s, submit_s, duration_s=HOUR), start)
    days = use_table(own)
    assert days["date"].tolist()[:3] == ["2026-10-24 00:00", "2026-10-25 00:00", "2026-10-26 00:00"]
    assert days["time_s"].tolist()[:3] == [-22 * HOUR, 2 * HOUR, 27 * HOUR]
    assert days["most_in_use"].tolist()[:3] == [4, 4, 4]
    assert days["mean_in_use"].iloc[0] == pytest.approx(4 / 24)
    groups = groups_table(own, {})
    assert groups.loc[groups["kind"] == "week", "date"].tolist() == [
        "2026-10-24 22:00", "2026-11-14 21:00",
    ]  # fmt: skip
    assert set(groups.loc[groups["kind"] != "week", "date"]) == {""}


def test_no_policy_is_near_a_site_that_serves_jobs_in_the_opposite_order() -> None:
    last_first = 100.0 * np.arange(40)[::-1]
    jobs = table([0.0] * 40, last_first + 1000.0, n_accelerators=8)
    options: Any = {"accelerators": 8, "policies": ["fcfs"], "mechanisms": False}
    found = cs.validate(jobs, **options)
    assert found.rank_correlation == pytest.approx(-1.0)
    assert not found.is_near
    answer = validation_answer(found)
    assert answer.sentence.startswith("No: no policy is near; the least distant is fcfs, whose ")
    assert answer.hinges_on[0].startswith("No policy is near: the rank correlation")
    assert answer.hinges_on[0].endswith("Do not choose a policy by this comparison.")
    in_order = cs.validate(jobs.assign(start_s=last_first[::-1] + 1000.0), **options)
    assert in_order.is_near
    assert "the nearest policy is fcfs" in validation_answer(in_order).sentence


def test_a_mechanism_without_a_trace_in_the_log_is_not_named() -> None:
    jobs = table([0.0, 0.0], [0.0, 1000.0], user=["a", "b"])
    found = cs.validate(jobs, accelerators=8, policies=["fcfs"], mechanisms=False)
    limit = mechanism.Mechanism(
        "user_jobs", "a limit", trace="waits", recorded=0.05, simulated=0.09,
        base_s=found.distance_s, distance_s=1.0, policy="fcfs", start_s=found.starts["fcfs"],
    )  # fmt: skip
    unseen = replace(found, tested=(limit,))
    assert unseen.explanation is None
    assert validation_answer(unseen).sentence.endswith(
        "the one mechanism that was tested has no higher trace in the log than in the replay."
    )
    assert "a limit" not in " ".join((validation_answer(unseen).sentence, *_hinges(unseen)))
    seen = replace(limit, recorded=0.5)
    assert replace(found, tested=(limit, seen)).explanation is seen
    assert "Slurm" not in validation_answer(replace(found, tested=(seen,))).next_steps[0]
    own = replace(found.case, log_format="slurm")
    steps = validation_answer(replace(found, tested=(seen,), case=own)).next_steps
    assert "MaxJobsPerUser in Slurm" in steps[0]
    worse = replace(seen, distance_s=8 * found.distance_s)
    assert " worse " in mechanisms_text(replace(found, tested=(worse,)))


def _hinges(found: cs.Validation) -> tuple[str, ...]:
    return tuple(validation_answer(found).hinges_on)


def test_missing_users_are_unknown() -> None:
    jobs = table([0.0] * 5, [0.0] * 5, user=["a", "", None, " ", "b"])
    assert case(jobs).user.tolist() == [0, -1, -1, -1, 1]


def test_few_jobs_are_counted() -> None:
    submit = np.arange(199.0)
    jobs = table(submit, submit + np.where(np.arange(199) == 7, 5000.0, 1.0), n_accelerators=1)
    found = cs.validate(jobs, accelerators=500, policies=["fcfs"], mechanisms=False)
    assert "1 of 199 jobs holds 96 % of the recorded waiting time" in found.notes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"since": float("nan")}, "since: must be 0 s or more, found nan"),
        ({"until": -5}, "until: must be 0 s or more, found -5.0"),
        ({"since": True}, "since: must be seconds, a duration or a date"),
        (
            {"policies": "fcfs,easy"},
            r"must be a list such as \['fcfs', 'easy'\], found 'fcfs,easy'",
        ),
    ],
)
def test_parameters_that_cannot_be_used(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        cs.validate(table([0.0], [0.0]), **options)


def test_a_size_does_not_follow_from_run_times_of_zero() -> None:
    with pytest.raises(InputError, match=r"run time of 0 s.*give --cluster or --accelerators"):
        cs.validate(table([0.0], [0.0], duration_s=0.0))
