"""Starting, stopping and slowing jobs through the engine itself, without node events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.attempts import Attempts
from clustersim.engine.clock import NODE_EVENT
from clustersim.engine.engine import Simulation
from clustersim.engine.invariants import check_accelerators
from clustersim.engine.node_driver import NodeDriver
from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.engine.partitions import build_partitions
from clustersim.engine.record import RunRecord
from clustersim.engine.recovery import Progress, Recovery
from clustersim.errors import ClusterSimError
from clustersim.scheduling.placements import Consolidate, Pooled
from clustersim.scheduling.plugins import find_policy
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.queue import JobColumns
from tests.examples import examples
from tests.simulation.fleets import cluster, pool

POLICIES = ("fcfs", "sjf", "easy", "easy_sjbf", "conservative")
PARTS = Progress._fields
SHOWN = PARTS[:-1]
"""Without the time lost on storage that jobs share, which these simulations do not have."""


def simulation(
    rows: Sequence[tuple[float, int, float]],
    *,
    nodes: int = 1,
    policy: str | type[Policy] = "fcfs",
    placement: type = Consolidate,
    slack_s: float = 0.0,
    recovery: Recovery | None = None,
    horizon_s: float | None = None,
) -> Simulation:
    """Jobs (submitted, accelerators, run time) on nodes of eight; invariants are checked."""
    submit_s, sizes, run_s = (list(column) for column in zip(*rows, strict=True))
    columns = JobColumns(
        n_accelerators=sizes,
        estimate_s=[array("d", [each + slack_s for each in run_s])],
        choices=[(0,)],
        choice_of=[0] * len(rows),
    )
    return Simulation(
        submit_s,
        [run_s],
        columns,
        build_partitions(cluster(pool("gpu", nodes, 8)), placement),
        find_policy(policy),
        recovery=recovery,
        horizon_s=horizon_s,
        check=check_accelerators,
    )


def every(
    interval_s: float, *, cost_s: float = 0.0, restart_s: float = 0.0, n: int = 30
) -> Recovery:
    return Recovery([[interval_s] * n], [cost_s] * n, [restart_s] * n)


def at(there: Simulation, time_s: float, action: Callable[[], object]) -> None:
    """Have something done at a time, after completions and before submissions."""
    there.clock.at(time_s, NODE_EVENT).callbacks.append(lambda _: action())


def rows(attempts: Attempts, *names: str) -> list[tuple[float, ...]]:
    columns = [getattr(attempts, name).tolist() for name in names]
    return [tuple(row) for row in zip(*columns, strict=True)]


def check_accounts(record: RunRecord, run_s: Sequence[float]) -> None:
    """All parts of an attempt are its wall-clock time; kept work of a job is its work."""
    attempts = record.attempts
    parts = np.array([getattr(attempts, name) for name in PARTS])
    assert (parts >= -1e-9).all()
    end_s = np.where(np.isnan(attempts.end_s), record.end_s, attempts.end_s)
    np.testing.assert_allclose(parts.sum(axis=0), end_s - attempts.start_s, atol=1e-9)
    ended = np.isfinite(record.finish_s)
    kept_s = np.bincount(attempts.job, attempts.kept_s, minlength=len(run_s))
    np.testing.assert_allclose(kept_s[ended], np.array(run_s)[ended], atol=1e-9)
    done = np.bincount(attempts.job, attempts.done, minlength=len(run_s))
    np.testing.assert_allclose(done[ended & (np.array(run_s) > 0)], 1.0, atol=1e-9)
    for job in set(attempts.job.tolist()):
        own = attempts.job == job
        assert (attempts.start_s[own][1:] >= end_s[own][:-1]).all(), "one after the other"
        assert record.start_s[job] == attempts.start_s[own][0]
        if ended[job]:
            assert record.finish_s[job] == end_s[own][-1]


# --- By hand ------------------------------------------------------------------------


def test_a_job_stopped_twice_resumed_twice_and_slowed() -> None:
    """100 s of work, a checkpoint of 1 s after every 10 s, 5 s to come back.

    Stopped after 25 s: two checkpoints are written, 3 s of work are lost.  Stopped again after 5 s
    of coming back, 10 s of work, a checkpoint and 2 s of work, which it may save.  68 s are left,
    with 6 checkpoints; 10 s at half the speed cost 5 s.
    """
    there = simulation([(0, 8, 100)], recovery=every(10, cost_s=1, restart_s=5))
    at(there, 25, lambda: there.stop(0, saved=False))
    at(there, 43, lambda: there.stop(0, saved=True))
    at(there, 60, lambda: there.rerate(0, 2.0))
    at(there, 70, lambda: there.rerate(0, 1.0))
    record = there.run()
    np.testing.assert_allclose(
        rows(record.attempts, "start_s", "end_s", *SHOWN),
        [
            (0, 25, 20, 3, 2, 0, 0, 0),
            (25, 43, 12, 0, 1, 5, 0, 0),
            (43, 127, 68, 0, 6, 5, 5, 0),
        ],
        atol=1e-9,
    )
    assert record.attempts.done.tolist() == pytest.approx([0.2, 0.12, 0.68])
    assert record.finish_s.tolist() == pytest.approx([127])
    check_accounts(record, [100])


def test_without_checkpoints_a_stopped_job_begins_anew() -> None:
    there = simulation([(0, 8, 100)], placement=Pooled)
    at(there, 30, lambda: there.stop(0, saved=False))
    record = there.run()
    assert rows(record.attempts, "start_s", "end_s", "kept_s", "lost_s", "done") == [
        (0, 30, 0, 30, 0),
        (30, 130, 100, 0, 1),
    ]
    assert record.start_s.tolist() == [0]


def test_a_stopped_job_goes_back_to_its_old_place_in_the_line() -> None:
    """So FCFS starts it again before those that came later."""
    there = simulation([(0, 8, 100), (1, 8, 10)])
    at(there, 40, lambda: there.stop(0, saved=True))
    record = there.run()
    assert rows(record.attempts, "job", "start_s", "end_s") == [
        (0, 0, 40),
        (0, 40, 100),
        (1, 100, 110),
    ]


def test_the_estimate_is_that_of_the_work_left() -> None:
    """SJF prefers the job of 30 s to the other's 100 s, but not to the 20 s that are left of it."""
    for stopped_s, order in ((80.0, [0, 0, 1]), (60.0, [0, 1, 0])):
        there = simulation([(0, 8, 100), (1, 8, 30)], policy="sjf")
        at(there, stopped_s, lambda there=there: there.stop(0, saved=True))
        assert there.run().attempts.job.tolist() == order


class LatestFirst(Policy):
    """Whoever came last may stop those that came before."""

    there: ClassVar[Simulation]

    def schedule(self, now: float) -> None:
        for job in sorted(self.waiting, reverse=True):
            while not self.start(job):
                before = [other for other in self.there.running if other < job]
                if not before:
                    break
                self.there.stop(max(before), saved=True)


def test_a_policy_that_stops_one_job_to_start_another() -> None:
    """Both nodes: the second job needs one of them, the third needs both."""
    LatestFirst.there = there = simulation(
        [(0, 16, 100), (30, 8, 50), (40, 16, 20)], nodes=2, policy=LatestFirst
    )
    record = there.run()
    assert rows(record.attempts, "job", "start_s", "end_s", "kept_s") == [
        (0, 0, 30, 30),
        (1, 30, 40, 10),
        (2, 40, 60, 20),
        (1, 60, 100, 40),
        (0, 100, 170, 70),
    ]
    check_accounts(record, [100, 50, 20])


def test_a_slowed_job_ends_later_and_its_old_end_does_not_prolong_the_run() -> None:
    there = simulation([(0, 8, 100)])
    at(there, 50, lambda: there.rerate(0, 4.0))  # would end at 250
    at(there, 60, lambda: there.rerate(0, 1.0))
    record = there.run()
    assert record.finish_s.tolist() == [107.5]
    assert record.end_s == 107.5
    assert rows(record.attempts, "kept_s", "slow_s") == [(100, 7.5)]


def test_slow_nodes_and_the_network_slow_a_job_down_together() -> None:
    """100 s of work: 20 s at full speed, 40 s at a quarter, then half as fast through the network.

    10 s of work in 40 s; a network without delay would have saved 20 s, and the slow node costs the
    other 10 s.  The 70 s that are left take 140 s.
    """
    there = simulation([(0, 8, 100)])
    at(there, 20, lambda: there.rerate(0, 2.0))
    at(there, 20, lambda: there.rerate(0, 2.0, "network"))
    at(there, 60, lambda: there.rerate(0, 1.0))
    record = there.run()
    assert rows(record.attempts, "end_s", *SHOWN) == [(200, 100, 0, 0, 0, 10, 90)]


def test_what_runs_at_the_horizon_has_done_what_its_pace_allows() -> None:
    there = simulation([(0, 8, 100)], horizon_s=80)
    at(there, 20, lambda: there.rerate(0, 3.0))
    record = there.run()
    np.testing.assert_allclose(
        rows(record.attempts, *SHOWN, "done"), [(40, 0, 0, 0, 40, 0, 0.4)], atol=1e-9
    )
    assert math.isnan(record.attempts.end_s[0])
    assert math.isnan(record.finish_s[0])


def test_a_stopped_job_that_still_waits_has_no_end() -> None:
    """Its node is gone at that instant, for ever: the run is over."""
    there = simulation([(0, 8, 100)])

    def take_away() -> None:
        there.stop(0, saved=True)
        there.partitions[0].withdraw(0, math.inf)
        there.service_changed(there.partitions[0])

    at(there, 30, take_away)
    record = there.run()
    assert math.isnan(record.finish_s[0])
    assert record.start_s.tolist() == [0]
    assert record.partition.tolist() == [-1]
    assert (record.end_s, record.nothing_could_start) == (30, True)


def test_who_does_not_run_cannot_be_stopped_or_slowed() -> None:
    there = simulation([(0, 8, 10), (0, 8, 10)])
    with pytest.raises(ClusterSimError, match=r"job 1 .* cannot be stopped: it is not running"):
        there.stop(1, saved=True)
    at(there, 5, lambda: there.rerate(1, 2.0))
    with pytest.raises(ClusterSimError, match=r"job 1 .* cannot be slowed: it is not running"):
        there.run()


@pytest.mark.parametrize("slowdown", [0.0, 0.5, math.inf, math.nan])
def test_a_pace_that_cannot_be(slowdown: float) -> None:
    there = simulation([(0, 8, 10)])
    at(there, 5, lambda: there.rerate(0, slowdown))
    with pytest.raises(ClusterSimError, match="at least 1"):
        there.run()


def test_a_failure_without_a_repair_time_is_a_stop() -> None:
    """The same accounts, whoever stops the job."""
    recovery = every(7, cost_s=0.5, restart_s=2)
    log = [(0, 8, 50), (3, 12, 40), (5, 4, 10)]
    failing = simulation(log, nodes=2, policy="easy", recovery=recovery)
    NodeDriver(failing, [NodeEvent(20.0, 20.0, 0, 0)])
    called = simulation(log, nodes=2, policy="easy", recovery=recovery)
    at(called, 20, lambda: called.stop(0, saved=False))
    expected, found = failing.run(), called.run()
    for each in fields(Attempts):
        np.testing.assert_array_equal(
            getattr(found.attempts, each.name), getattr(expected.attempts, each.name)
        )


# --- What always holds ---------------------------------------------------------------

MOMENTS = st.sampled_from([0, 0.5, 1, 2, 2.5, 3, 4, 5.5, 7, 9, 12])
LOGS = st.lists(
    st.tuples(MOMENTS, st.integers(1, 16), st.sampled_from([0, 1, 2.5, 4, 7.1])),
    min_size=1,
    max_size=12,
).map(sorted)
STOPS = st.tuples(st.just("stop"), st.booleans())
PACES = st.tuples(st.just("rerate"), st.sampled_from([1.0, 1.5, 4.0]))
CALLS = st.lists(st.tuples(MOMENTS, st.integers(0, 5), STOPS | PACES), max_size=15)
RECOVERIES = st.sampled_from(
    [None, every(1), every(2, cost_s=0.5), every(0.7, cost_s=0.1, restart_s=0.3)]
)
EVENTS = st.lists(
    st.builds(
        lambda begin, length, node, kind: NodeEvent(
            begin, begin + length, 0, node, "x", kind, 2.0 if not kind else math.inf
        ),
        MOMENTS,
        st.sampled_from([0, 1, 4]),
        st.integers(0, 1),
        st.sampled_from([NodeEventKind.SLOWDOWN, NodeEventKind.FAILURE, NodeEventKind.MAINTENANCE]),
    ),
    max_size=6,
).map(sorted)


def call(there: Simulation, number: int, what: str, how: float) -> None:
    """Stop or slow one of the jobs that run, if any does."""
    running = list(there.running)
    if not running:
        return
    job = running[number % len(running)]
    if what == "stop":
        there.stop(job, saved=bool(how))
    else:
        there.rerate(job, how)


@settings(max_examples=examples(25))
@given(log=LOGS, calls=CALLS, recovery=RECOVERIES, events=EVENTS, slack_s=st.sampled_from([0, 2]))
@pytest.mark.parametrize("policy", POLICIES)
def test_whoever_stops_and_slows_jobs_the_accounts_are_right(
    log: list[tuple[float, int, float]],
    calls: list[tuple[float, int, tuple[str, float]]],
    recovery: Recovery | None,
    events: list[NodeEvent],
    slack_s: float,
    policy: str,
) -> None:
    there = simulation(log, nodes=2, policy=policy, recovery=recovery, slack_s=slack_s)
    if events:
        NodeDriver(there, without_overlaps(events))
    for time_s, number, (what, how) in calls:
        at(there, time_s, lambda n=number, w=what, h=how: call(there, n, w, h))
    record = there.run()
    assert np.isfinite(record.finish_s).all(), "all jobs end"
    check_accounts(record, [run_s for _, _, run_s in log])


@settings(max_examples=examples(25))
@given(log=LOGS, horizon_s=st.sampled_from([None, 5.0]))
@pytest.mark.parametrize("policy", POLICIES)
def test_plain_attempts_are_filled_in_as_if_noted_one_by_one(
    log: list[tuple[float, int, float]], horizon_s: float | None, policy: str
) -> None:
    """Checkpoints that are never made change nothing, but keep attempts from being plain."""
    plain = simulation(log, nodes=2, policy=policy, horizon_s=horizon_s).run()
    noted = simulation(
        log, nodes=2, policy=policy, horizon_s=horizon_s, recovery=every(math.inf)
    ).run()
    for each in fields(Attempts):
        np.testing.assert_array_equal(
            getattr(plain.attempts, each.name), getattr(noted.attempts, each.name)
        )
