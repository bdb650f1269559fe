"""Jobs that leave: lost memory, failures while a job saves, notices, and runs without an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, ClassVar

import numpy as np
import pytest
from preemption_cases import INF, Later, a_pool, a_table, run, spans, two_jobs

from clustersim.engine import departures
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError
from clustersim.scheduling import Policy, Preempt, Start, View, Wake
from clustersim.scheduling.decisions import Decision


def fails(begin_s: float, end_s: float, node: int = 0) -> NodeEvent:
    return NodeEvent(begin_s, end_s, 0, node)


def slows(begin_s: float, end_s: float, slowdown: float) -> NodeEvent:
    return NodeEvent(begin_s, end_s, 0, 0, "", NodeEventKind.SLOWDOWN, slowdown)


def checkpoints(n: int, every_s: float = INF, **columns: float) -> Recovery:
    seconds = {"cost_s": 0.0, "restart_s": 5.0, "write_s": 0.0, **columns}
    return Recovery([[every_s] * n] * 2, **{name: [each] * n for name, each in seconds.items()})


class SuspendsAt(Policy):
    """Suspends job 0 at some times; starts what fits later than it."""

    tracks_running: ClassVar[bool] = True
    at: tuple[float, ...] = (50.0,)
    again: tuple[float, ...] = (0.0,)

    def decide(self, view: View) -> Iterable[Decision]:
        if view.now in self.at and 0 in view.running:
            yield Preempt(0, "suspend")
        elif view.now in (0, *self.again):
            yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        later = [time for time in (*self.at, *self.again) if time > view.now]
        if later:
            yield Wake(min(later))


def test_a_failure_loses_the_state_of_a_suspended_job() -> None:
    result = run(
        SuspendsAt, a_table([100], 8), checkpoints(1, 20), [a_pool("gpu", 2)],
        node_events=[fails(60, INF)], again=70,
    )  # fmt: skip
    # Of the 50 s it has the 40 s of its last checkpoint, and restarts on the other node.
    assert spans(result) == {1: [(0, 50), (70, 70 + 5 + 60)]}
    assert result.attempts is not None
    assert result.attempts[["kept_s", "lost_s", "done"]].to_numpy().tolist() == [
        [40, 10, 0.4], [60, 0, 0.6],
    ]  # fmt: skip
    nodes = result.allocation_ranges["nodes"].tolist()
    assert nodes[0] != nodes[1]


def test_a_planned_outage_lets_a_suspended_job_save_its_state() -> None:
    out = fails(60, INF)._replace(kind=NodeEventKind.MAINTENANCE)
    result = run(
        SuspendsAt, a_table([100], 8), checkpoints(1, 20), [a_pool("gpu", 2)],
        node_events=[out], again=70,
    )  # fmt: skip
    assert spans(result) == {1: [(0, 50), (70, 70 + 5 + 50)]}


def test_what_a_resumed_job_has_in_memory_is_lost_until_it_makes_a_checkpoint() -> None:
    """Suspended at 50 and 80 s, each time with 10 s since the last checkpoint, or no checkpoint."""
    result = run(
        SuspendsAt, a_table([100], 8), checkpoints(1, 40), [a_pool("gpu", 2)],
        at=(50.0, 80.0), again=(60.0, 90.0), node_events=[fails(85, INF)],
    )  # fmt: skip
    # It worked 50 and 20 s; in storage are the first 40 s.
    assert result.attempts is not None
    assert result.attempts["lost_s"].tolist() == [10, 20, 0]
    assert result.attempts["kept_s"].tolist() == [40, 0, 60]
    np.testing.assert_allclose(result.attempts["done"].sum(), 1)


def test_a_failure_while_a_job_saves_leaves_its_last_checkpoint() -> None:
    """A checkpoint of 30 s can be used from 36 s; from 33 s on, the job saves for 6 s."""
    result = run(
        Later, two_jobs(submit_s=[0.0, 33.0]), checkpoints(2, 30, write_s=6),
        node_events=[fails(38, 39)],
    )  # fmt: skip
    assert result.attempts is not None
    first = result.attempts.iloc[0]
    assert first[["end_s", "kept_s", "lost_s", "checkpoint_s"]].tolist() == [38, 30, 3, 5]


def test_a_checkpoint_of_a_slow_job_is_written_at_full_speed() -> None:
    """At a tenth of the speed, 30 s of work take until 300 s, and the checkpoint until 306 s."""
    events = [slows(0, INF, 10.0), fails(310, 320)]
    jobs = two_jobs(submit_s=[0.0, 1e6])
    result = run("fcfs", jobs, checkpoints(2, 30, write_s=6), node_events=events)
    assert result.attempts is not None
    assert result.attempts["kept_s"].iloc[0] == 30


def test_a_job_that_was_to_end_before_it_is_saved_saves_if_it_is_slowed() -> None:
    """The notice comes 5 s before the end; a second later the job becomes 100 times slower."""
    result = run(
        Later, two_jobs(submit_s=[0.0, 95.0]), checkpoints(2, cost_s=10),
        node_events=[slows(96, 200, 100.0)],
    )  # fmt: skip
    # It saves from 96 to 106 s. The other job needs 100 s per second of work until 200 s.
    assert spans(result)[1][0] == (0, 106)
    assert spans(result)[2][0][0] == 106


class CancelsAll(Policy):
    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        if view.now < 50:
            yield Wake(50.0)
        else:
            yield from (Preempt(job, "cancel") for job in view.running.tolist())


def test_a_run_ends_after_its_last_job_is_cancelled() -> None:
    def endless() -> Iterator[NodeEvent]:
        return (fails(60.0 + 20 * i, 70.0 + 20 * i, node=1) for i in count())

    jobs = a_table([100, 10], 8, after_ok=["", "1"])
    result = run(CancelsAll, jobs, pools=[a_pool("gpu", 2)], node_events=endless())
    assert result.provenance["simulated_s"] < 100
    assert result.jobs["outcome"].tolist() == ["unfinished", "unfinished"]


class OnlyTheFirst(Policy):
    """Fails if it is asked about an empty queue."""

    def decide(self, view: View) -> Iterable[Decision]:
        return [Start(job) for job in view.waiting[:1].tolist() if view.fits(job)]

    def would_start(self, fits: Any) -> bool:
        return bool(fits(next(iter(self.waiting)), 0))


def test_jobs_that_are_held_do_not_keep_a_run_from_its_end() -> None:
    """Job 2 waits for job 1, which never runs again because a node never returns."""
    jobs = a_table([100, 10], [16, 8], after_any=["", "1"])
    result = run(
        OnlyTheFirst, jobs, pools=[a_pool("gpu", 2)], node_events=[fails(5, INF), fails(9, 20, 1)]
    )
    assert result.jobs["outcome"].tolist() == ["unfinished", "unfinished"]


class Zeno(Policy):
    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        yield Wake(view.now + 1e-6)


def test_a_policy_that_asks_to_be_called_for_ever_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clustersim.engine.wakes.MOST_IDLE_WAKES", 200)
    with pytest.raises(ClusterSimError, match="policy Zeno asked 200 times in a row to be called"):
        run(Zeno, a_table([1e6], 8))


def test_a_policy_may_ask_to_be_called_every_minute_for_a_year(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Minutes(Zeno):
        def decide(self, view: View) -> Iterable[Decision]:
            yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
            if len(view.active):
                yield Wake(view.now + 60)

    monkeypatch.setattr("clustersim.engine.wakes.MOST_IDLE_WAKES", 100)
    assert run(Minutes, a_table([60_000], 8)).jobs["finish_s"].tolist() == [60_000]


class Turns(Policy):
    """Each job has a second in turn."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Preempt(job, "save", 5.0) for job in view.running.tolist())
        if len(view.active):
            yield Start(int(view.now) % len(view.active))
            yield Wake(view.now + 1)


def test_jobs_that_are_stopped_before_they_restart_end_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(departures, "MOST_FRUITLESS_STOPS", 100)
    with pytest.raises(ClusterSimError, match="no job makes progress: the last 100 preemptions"):
        run(Turns, a_table([100, 100], 8))


class Elsewhere(Policy):
    """Preempts a job of another queue."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        if view.now > 0:
            yield Preempt(0)


def test_a_job_of_another_queue_is_not_preempted() -> None:
    rates = {"steps": 100, "steps_per_s.a": [1.0, 0.0], "steps_per_s.b": [0.0, 1.0]}
    jobs = a_table([100, 100], 8, submit_s=[0.0, 5.0], **rates).drop(columns="duration_s")
    with pytest.raises(ClusterSimError, match=r"job 0 .* cannot be preempted: it is in another qu"):
        run(Elsewhere, jobs, pools=[a_pool("a"), a_pool("b")])
