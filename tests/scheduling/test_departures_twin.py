"""Saving, suspending, moving and failing: equal to a twin that counts seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pytest
from departures_twin import FINISH_EVERY_S, SPEED, Action, Times, Twin, TwinJob
from hypothesis import given, settings
from hypothesis import strategies as st
from preemption_cases import a_pool, a_table, run

from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.scheduling import Migrate, Policy, Preempt, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from tests.examples import examples

NODES = {"a": 2, "b": 1}


class Scripted(Policy):
    """Does what a script says, where it is possible."""

    tracks_running: ClassVar[bool] = True
    script: ClassVar[list[Action]]
    saves: ClassVar[bool]

    def decide(self, view: View) -> Iterable[Decision]:
        last = max([time for time, *_ in self.script], default=0)
        for time, what, job, pool in self.script:
            if time == view.now:
                yield from self._act(what, job, pool, view)
        if view.now > last and not view.now % FINISH_EVERY_S:
            for job in range(len(self.queue.jobs.n_accelerators)):
                for pool in SPEED:
                    yield from self._act("start", job, pool, view)
        later = [time for time, *_ in self.script if time > view.now]
        then = last - last % FINISH_EVERY_S + FINISH_EVERY_S
        if view.now >= then:
            then = int(view.now - view.now % FINISH_EVERY_S) + FINISH_EVERY_S
        if len(view.active) or len(view.leaving):
            yield Wake(min([*later, then]))

    def _act(self, what: str, job: int, pool: str, view: View) -> Iterable[Decision]:
        if what == "start":
            if job in view.waiting and view.fits(job, pool):
                free = np.flatnonzero(view.free_by_node(pool) == 8)
                own = job in self.queue.own_nodes
                yield Start(job, pool, None if own else [(int(free[0]), 8)])
        elif job not in view.running:
            return
        elif what == "move":
            waits = job in view.waiting
            at = view.job(job).pool
            if not waits and not self.saves and at != pool and (view.free_by_node(pool) == 8).any():
                yield Migrate(job, pool)
        else:
            yield Preempt(job, what)  # type: ignore[arg-type]


EVEN = st.integers(0, 60).map(lambda half: 2 * half)
ACTIONS = st.tuples(
    EVEN, st.sampled_from(["start", "start", "save", "suspend", "requeue", "move"]),
    st.integers(0, 3), st.sampled_from(["a", "b"]),
)  # fmt: skip
NODES_OF_ALL = [("a", 0), ("a", 1), ("b", 0)]
FAILURES = st.tuples(
    EVEN.map(lambda time: time + 1), st.integers(1, 10), st.sampled_from(NODES_OF_ALL)
)


def one_at_a_time(
    failures: list[tuple[int, int, tuple[str, int]]],
) -> list[tuple[int, int, str, int]]:
    """Return failures in order of their start, of which no two of a node overlap."""
    out: dict[tuple[str, int], int] = {}
    found = []
    for begin_s, half, (pool, node) in sorted(failures):
        if begin_s > out.get((pool, node), -1):
            out[pool, node] = begin_s + 2 * half
            found.append((begin_s, begin_s + 2 * half, pool, node))
    return found


@pytest.mark.slow
@settings(max_examples=examples(120), deadline=None)
@given(
    units=st.lists(st.integers(1, 40).map(lambda half: 4 * half), min_size=1, max_size=4),
    times=st.builds(
        Times,
        st.sampled_from([4, 10, 20, 1000]), st.sampled_from([0, 0, 2]), st.sampled_from([0, 0, 4]),
        st.sampled_from([0, 2, 6]),
    ),
    script=st.lists(ACTIONS, max_size=25),
    failures=st.lists(FAILURES, max_size=4),
)  # fmt: skip
def test_departures_are_those_of_a_twin_that_counts_seconds(
    units: list[int],
    times: Times,
    script: list[Action],
    failures: list[tuple[int, int, tuple[str, int]]],
) -> None:
    n = len(units)
    script = sorted((each for each in script if each[2] < n), key=lambda each: each[0])
    broken = one_at_a_time(failures)
    twin = Twin([TwinJob(each) for each in units], NODES, times, script, broken)
    twin.run()

    rates = {f"steps_per_s.{pool}": float(speed) for pool, speed in SPEED.items()}
    jobs = a_table([1] * n, 8, steps=units, **rates).drop(columns="duration_s")
    recovery = Recovery(
        [[float(times.every_s)] * n] * 2, *([float(each)] * n for each in
        (times.cost_s, times.restart_s, times.write_s))
    )  # fmt: skip
    policy = type(
        "Scripted", (Scripted,), {"script": script, "saves": times.cost_s + times.write_s > 0}
    )
    events = [NodeEvent(*each[:2], list(SPEED).index(each[2]), each[3]) for each in broken]
    pools = [a_pool(pool, nodes) for pool, nodes in NODES.items()]
    result = run(policy, jobs, recovery, pools, node_events=events)
    np.testing.assert_allclose(result.jobs["finish_s"], [job.end_s for job in twin.jobs])
    assert result.attempts is not None
    lost_s = result.attempts.groupby("job_id")["lost_s"].sum()
    np.testing.assert_allclose(lost_s, [job.lost_s for job in twin.jobs], atol=1e-6)
    parts = result.attempts[["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s"]]
    spans_s = result.attempts["end_s"] - result.attempts["start_s"]
    np.testing.assert_allclose(parts.sum(axis=1), spans_s, atol=1e-6)
    done = result.attempts.groupby("job_id")["done"].sum()
    np.testing.assert_allclose(done, 1.0, atol=1e-9)
