"""Notice before a stop, and what protects running jobs; for every policy that preempts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preemption_cases import INF, Later, a_pool, a_table, run, spans, two_jobs

from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import POLICIES, Policy, Preempt, Start, View, Wake, options_of
from clustersim.scheduling.decisions import Decision
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.simulation.result import Result
from tests.examples import examples

QUOTAS = {
    "queues": {
        "a": {"cohort": "lab", "quotas": {"gpu": 16}, "preemption": {"within_queue": "lower"}}
    },
    "default": "a",
}
WITH_LIMITS = {
    "las": {"thresholds": (30.0,)},
    "srtf": {},
    "srsf": {},
    "priority": {},
    "max_min_fairness": {"round": 20.0, "reset": 20.0},
    "kueue": {"quotas": QUOTAS},
    "multifactor": {
        "preempt_type": "qos",
        "preempt_mode": "requeue",
        "qos_preempts": {"high": ("low",)},
        "bf_interval": 0.0,
    },
}


class LaterWithNotice(PreemptionOptions, Later):
    """As Later, with the options that all preemptive policies share."""


def saves(n: int, *, every_s: float = INF, save_s: float = 0.0) -> Recovery:
    return Recovery([[every_s] * n] * 2, [0.0] * n, [5.0] * n, [save_s] * n)


def test_a_job_works_until_the_last_moment_that_it_can_save():
    result = run(LaterWithNotice, two_jobs(), saves(2, save_s=10), grace=30)
    # Notice at 50 s; it works until 70 s and saves until 80 s.
    assert spans(result) == {1: [(0, 80), (100, 100 + 5 + 30)], 2: [(80, 100)]}
    assert result.attempts is not None
    assert result.attempts[["kept_s", "checkpoint_s"]].iloc[0].tolist() == [70, 10]
    assert result.attempts["stopped"].iloc[0] == "preempted (saved)"


def test_a_job_that_cannot_save_in_time_keeps_its_last_checkpoint():
    result = run(LaterWithNotice, two_jobs(), saves(2, every_s=25, save_s=10), grace=8)
    # It works until 58 s; the checkpoint of 25 s was written at 35 s, that of 50 s not yet.
    assert result.attempts is not None
    first = result.attempts.iloc[0]
    assert first[["end_s", "kept_s", "lost_s", "stopped"]].tolist() == [
        58, 25, 33, "preempted (requeued)",
    ]  # fmt: skip


@pytest.mark.parametrize(("how", "kept_s"), [("requeue", 60.0), ("suspend", 65.0), ("cancel", 0)])
def test_other_jobs_work_through_their_grace(how: str, kept_s: float):
    result = run(LaterWithNotice, two_jobs(), saves(2, every_s=30), grace=15, how=how)
    assert result.attempts is not None
    first = result.attempts.iloc[0]
    assert (first["end_s"], first["kept_s"]) == (
        65,
        pytest.approx(kept_s, abs=60 * (how == "cancel")),
    )
    assert result.jobs["start_s"].iloc[1] == 65


def test_a_job_that_ends_within_its_grace_just_ends():
    result = run(LaterWithNotice, two_jobs(submit_s=[0.0, 80.0]), saves(2, save_s=5), grace=60)
    assert result.jobs["finish_s"].tolist() == [100, 120]
    assert "preemptions" not in result.jobs


def test_a_failure_within_the_grace_ends_it():
    result = run(
        LaterWithNotice, two_jobs(), saves(2, every_s=30), grace=60,
        node_events=[NodeEvent(55, 57, 0, 0)],
    )  # fmt: skip
    assert result.attempts is not None
    assert result.attempts["stopped"].tolist()[0] == "node"
    assert spans(result) == {1: [(0, 55), (77, 77 + 5 + 70)], 2: [(57, 77)]}


def jobs_of_two_classes(log: list[tuple[int, int, int]], seed: int) -> pd.DataFrame:
    submit, sizes, run_s = (list(column) for column in zip(*log, strict=True))
    jobs = a_table(run_s, sizes, submit_s=np.array(submit, dtype=float))
    high = np.random.default_rng(seed).integers(0, 2, len(log))
    return jobs.assign(priority=high, qos=np.where(high, "high", "low"))


def stops(result: Result) -> pd.DataFrame:
    """Return the attempts that a policy ended."""
    if result.attempts is None:
        return pd.DataFrame({"job_id": [], "start_s": [], "end_s": []})
    return result.attempts[result.attempts["stopped"].str.startswith("preempted")]


ROW = st.tuples(st.integers(0, 60), st.integers(1, 16), st.integers(1, 80))
LOGS = st.lists(ROW, min_size=2, max_size=8).map(lambda rows: sorted(rows, key=lambda row: row[0]))


@pytest.mark.parametrize("policy", sorted(WITH_LIMITS))
@settings(max_examples=examples(4), deadline=None)
@given(log=LOGS, seed=st.integers(0, 9), save_s=st.sampled_from([0.0, 4.0]))
def test_every_policy_keeps_the_limits(
    policy: str, log: list[tuple[int, int, int]], seed: int, save_s: float
) -> None:
    jobs = jobs_of_two_classes(log, seed)
    recovery = saves(len(log), every_s=10, save_s=save_s)
    limits = {"min_run": 25, "most_preemptions": 2, "most_preemptions_per_hour": 3}
    result = run(policy, jobs, recovery, [a_pool("gpu", 2)], **{**WITH_LIMITS[policy], **limits})
    assert (result.jobs["outcome"] == "finished").all()
    stopped = stops(result)
    assert ((stopped["end_s"] - stopped["start_s"]) >= 25).all()
    assert stopped.groupby("job_id").size().max() <= 2 if len(stopped) else True
    ends = np.sort(stopped["end_s"].to_numpy(dtype=float))
    assert all(np.sum((ends >= end) & (ends < end + 3600 - save_s)) <= 3 for end in ends)


FAILURES = st.lists(
    st.tuples(st.integers(5, 300), st.integers(1, 60), st.integers(0, 1)), max_size=5
)


@pytest.mark.parametrize("policy", sorted(set(WITH_LIMITS) - {"srsf"}))
@settings(max_examples=examples(8), deadline=None)
@given(
    log=LOGS,
    seed=st.integers(0, 9),
    save_s=st.sampled_from([0.0, 4.0]),
    how=st.sampled_from(["save", "requeue", "suspend"]),
    grace=st.sampled_from([None, 0.0, 3.0, 15.0]),
    failures=FAILURES,
)
def test_jobs_end_whatever_the_notice_and_the_failures(
    policy: str,
    log: list[tuple[int, int, int]],
    seed: int,
    save_s: float,
    how: str,
    grace: float | None,
    failures: list[tuple[int, int, int]],
) -> None:
    jobs = jobs_of_two_classes(log, seed)
    options = {**WITH_LIMITS[policy], "grace": grace}
    if policy == "multifactor":
        options["preempt_mode"] = how if how != "save" else "requeue"
    elif policy != "max_min_fairness" or how != "suspend":
        options["preempt_by"] = how
    result = run(
        policy, jobs, saves(len(log), every_s=10, save_s=save_s), [a_pool("gpu", 2)],
        node_events=[NodeEvent(at, at + length, 0, node) for at, length, node in sorted(failures)],
        **options,
    )  # fmt: skip
    assert (result.jobs["outcome"] == "finished").all()
    assert result.attempts is not None
    parts = result.attempts[["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s"]]
    assert (parts >= -1e-9).all(axis=None)
    lasted_s = result.attempts["end_s"] - result.attempts["start_s"]
    np.testing.assert_allclose(parts.sum(axis=1), lasted_s, atol=1e-6)
    done = result.attempts.groupby("job_id")["done"].sum()
    np.testing.assert_allclose(done, 1.0, atol=1e-9)


@pytest.mark.parametrize("policy", ["las", "srsf", "srtf"])
def test_nobody_stops_for_room_that_a_leaving_job_makes(policy: str) -> None:
    """One of two long jobs saves from 50 to 60 s for a short one; a large job comes at 55 s."""
    jobs = a_table([400, 500, 20, 900], [8, 8, 8, 16], submit_s=[0.0, 0.0, 50.0, 55.0])
    result = run(policy, jobs, saves(4, save_s=10), [a_pool("gpu", 2)], **WITH_LIMITS[policy])
    first = stops(result)["end_s"].min()
    assert first == 60
    assert (stops(result)["end_s"] <= 70).sum() == 1
    assert result.jobs["start_s"].iloc[2] == 60


@pytest.mark.parametrize("policy", sorted(WITH_LIMITS))
def test_a_job_is_preempted_when_its_minimum_is_over(policy: str):
    """A short job of high priority comes 20 s after a long one, which may run 45 s."""
    jobs = a_table([400, 20], 16, submit_s=[0.0, 20.0], priority=[0, 9], qos=["low", "high"])
    result = run(policy, jobs, pools=[a_pool("gpu", 2)], min_run=45, **WITH_LIMITS[policy])
    first = float(result.jobs["start_s"].iloc[1])
    assert first == (60 if policy == "max_min_fairness" else 45)


class Reports(PreemptionOptions, Policy):
    """Writes down what the view says about running jobs."""

    tracks_running: ClassVar[bool] = True
    seen: ClassVar[list[tuple[Any, ...]]] = []

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        lost_s, time_s = view.cost_of_stopping(view.running, "requeue")
        saved = view.cost_of_stopping(view.running, "save")
        self.seen.append(
            (
                view.now,
                view.running.tolist(),
                view.protected,
                (lost_s + time_s).tolist(),
                (saved[0] + saved[1]).tolist(),
                view.free_by_node("gpu").tolist(),
            )
        )
        if view.now < 40:
            yield Wake(40)


def test_the_view_says_who_is_protected_and_what_a_stop_costs():
    Reports.seen.clear()
    run(Reports, a_table([100], 12), saves(1, every_s=25, save_s=7), [a_pool("gpu", 2)], min_run=30)
    # At 40 s, 15 s of work are not in a checkpoint, and a restart takes 5 s.
    assert Reports.seen[0][:3] == (0, [], {0: 30.0})
    assert Reports.seen[2] == (40, [0], {}, [20], [12], [0, 4])


class Stubborn(Reports):
    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        yield Preempt(0)


def test_a_protected_job_is_not_preempted():
    with pytest.raises(ClusterSimError, match=r"job 0 .* it is protected until 30 s \(options min"):
        run(Stubborn, a_table([100], 8), min_run=30)


def test_jobs_that_fit_together_keep_the_protected_ones() -> None:
    """Job 1 is protected until 60 s, so that only job 2 makes room for the urgent job 3."""
    jobs = a_table([500, 500, 10], 8, submit_s=[30.0, 0.0, 65.0]).sort_values("submit_s")
    result = run("srtf", jobs, pools=[a_pool("gpu", 2)], min_run=60)
    assert result.jobs.set_index("job_id")["preemptions"].to_dict() == {2: 1, 1: 0, 3: 0}


def test_a_suspended_job_is_chosen_only_if_its_own_nodes_get_free():
    """Job 0 is suspended on node 0, where job 1 runs; the job on node 1 must not stop for it."""

    class Suspends(Policy):
        tracks_running: ClassVar[bool] = True
        chosen: ClassVar[list[list[int]]] = []

        def decide(self, view: View) -> Iterable[Decision]:
            if view.now == 0:
                yield Start(0, nodes=[(0, 8)])
                yield Start(2, nodes=[(1, 8)])
                yield Wake(10)
            elif view.now == 10:
                yield Preempt(0, "suspend")
                yield Start(1, nodes=[(0, 8)])
                self.chosen.append(view.those_that_fit([1, 0, 2]))
                self.chosen.append(view.those_that_fit([0, 1, 2]))
            else:
                yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))

    run(Suspends, a_table([100, 50, 70], 8), pools=[a_pool("gpu", 2)])
    assert Suspends.chosen == [[1, 2], [0, 2]]


VICTIMS = pd.DataFrame(
    {
        "job_id": [1, 2, 3, 4],
        "submit_s": [0.0, 12.0, 15.0, 40.0],
        "n_accelerators": [8, 8, 8, 8],
        "duration_s": 300.0,
        "priority": [2, 1, 2, 9],
    }
)


@pytest.mark.parametrize(
    ("order", "victims"),
    [
        ("lowest_priority", [2]),
        ("lowest_priority,latest_start", [2]),
        ("latest_start", [2, 3]),
        ("earliest_start", [1, 2]),
        ("least_lost_work", [2, 3]),
    ],
)
def test_the_order_of_victims_is_an_option(order: str, victims: list[int]):
    # A victim of priority 2 preempts job 2 in turn.
    # At 40 s jobs 1, 2 and 3 lose 20, 8 and 5 s; job 1 has not written its checkpoint of 40 s yet.
    recovery = saves(4, every_s=20, save_s=3)
    result = run(
        "priority", VICTIMS, recovery, [a_pool("gpu", 3)], victims=order, preempt_by="requeue"
    )
    stopped = stops(result)
    assert stopped.loc[stopped["end_s"] == 40, "job_id"].tolist() == victims


def test_limits_are_numbers_of_at_least_0() -> None:
    with pytest.raises(InputError, match="option grace: must be a number of at least 0, found -1"):
        run("srtf", two_jobs(), grace=-1)
    with pytest.raises(InputError, match="option min_run: has no effect without preempt_type"):
        run("multifactor", two_jobs(), min_run=5)
    with pytest.raises(InputError, match="has no option 'minimum_run'; did you mean 'min_run'"):
        run("priority", two_jobs(), minimum_run=5)


def test_a_policy_may_have_options_of_the_same_name() -> None:
    """The limits hold for policies that derive from PreemptionOptions only."""

    class Own(Later):
        min_run: str = "long"

    assert spans(run(Own, two_jobs())) == {1: [(0, 50), (70, 120)], 2: [(50, 70)]}


def test_all_policies_that_preempt_have_the_limits() -> None:
    limits = {"grace", "min_run", "most_preemptions", "most_preemptions_per_hour"}
    for policy in POLICIES.values():
        options = set(options_of(policy))
        assert not options & {"cost", "preempt_by"} or limits <= options
