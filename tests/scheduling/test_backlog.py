"""The waiting jobs as columns, and the bounds that spare a search, against plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling.placements import Consolidate, NodePlacement, Placement, Pooled, Spread
from clustersim.scheduling.policies.backlog import REMOVED, Backlog
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from tests.examples import examples

N_JOBS, N_NODES, CHIPS = 40, 5, 4
repeatable = settings(derandomize=True, deadline=None, max_examples=examples(150))


def empty_backlog() -> Backlog:
    """A backlog of jobs whose size is their number plus one, of four rows at first."""
    columns = JobColumns(
        n_accelerators=[job + 1 for job in range(N_JOBS)],
        estimate_s=[[10.0 * job for job in range(N_JOBS)]],
        choices=[(0,)],
        choice_of=[0] * N_JOBS,
    )
    partition = Partition(0, 0, "gpu", "", 0, Pooled(64, 8))
    queue = Queue([partition], [0], columns, lambda *_: None, looks_ahead=True)
    return Backlog(queue, capacity=4)


@repeatable
@given(data=st.data())
def test_jobs_that_come_back_take_their_place(data: st.DataObject) -> None:
    """Jobs are submitted, start (from any place) and are stopped; a sorted list is the twin."""
    backlog, waiting, running, submitted = empty_backlog(), [], [], 0
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["submit", "start", "first", "stop", "compact"]))
        if step == "submit" and submitted < N_JOBS:
            backlog.append(submitted)
            waiting.append(submitted)
            submitted += 1
        elif step in ("start", "first") and waiting:
            job = waiting[0] if step == "first" else data.draw(st.sampled_from(waiting))
            rows = [at for at in range(backlog.begin, backlog.end) if backlog.holds(at)]
            backlog.remove(next(at for at in rows if backlog.job(at) == job))
            waiting.remove(job)
            running.append(job)
        elif step == "stop" and running:
            job = running.pop(data.draw(st.integers(0, len(running) - 1)))
            backlog.insert(job)
            waiting = sorted([*waiting, job])
        elif step == "compact":
            backlog.compact()
        rows = [at for at in range(backlog.begin, backlog.end) if backlog.holds(at)]
        assert [backlog.job(at) for at in rows] == waiting
        assert backlog.size[rows].tolist() == [job + 1 for job in waiting]
        assert backlog.estimate_s(0)[rows].tolist() == [10.0 * job for job in waiting]
        assert (backlog.size[: backlog.begin] == REMOVED).all(), "nobody waits in front"


@pytest.mark.parametrize("kind", [Pooled, Consolidate, Spread])
@repeatable
@given(sizes=st.lists(st.integers(1, N_NODES * CHIPS), max_size=12), leave=st.integers(0, 3))
def test_no_gang_above_the_bound_fits(kind: type[Placement], sizes: list[int], leave: int) -> None:
    placement = kind(N_NODES, CHIPS)
    held = [(nodes, n) for n in sizes if (nodes := placement.take(n)) is not None]
    for nodes, n in held[:leave]:
        placement.give(nodes, n)
    every_size = np.arange(1, N_NODES * CHIPS + 2)
    fits = every_size[placement.fits_each(every_size)]
    assert placement.largest_gang() == max(fits, default=0)
    if isinstance(placement, NodePlacement):
        free = placement.free_by_node()
        assert placement.largest_gang_in(free) == placement.largest_gang()
        taken = kind(N_NODES, CHIPS)
        assert isinstance(taken, NodePlacement)
        assert not any(taken.fits_in(int(n), free) for n in every_size if n not in fits)


def test_rows_can_be_put_in_another_order():
    backlog = empty_backlog()
    for job in range(6):
        backlog.append(job)
    backlog.remove(1)
    backlog.remove(0)
    backlog.compact()
    positions = backlog.waiting()
    assert backlog.jobs_at(positions).tolist() == [2, 3, 4, 5]
    backlog.arrange(positions[[3, 0, 2, 1]])
    assert [backlog.job(at) for at in range(backlog.begin, backlog.end)] == [5, 2, 4, 3]
    assert backlog.size[:4].tolist() == [6, 3, 5, 4]
    assert backlog.estimate_s(0)[:4].tolist() == [50.0, 20.0, 40.0, 30.0]
