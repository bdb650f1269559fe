"""Rounds: fractions are realised over time, gangs are whole, and deficits are carried over."""

from __future__ import annotations

import numpy as np
import pytest
from allocation_problems import problems
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.programs import gavel
from clustersim.scheduling.programs.problem import AllocationProblem
from clustersim.scheduling.programs.rounds import RoundState, Turn
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(40))


@repeatable
@given(problems(), st.lists(st.integers(0, 4), max_size=12))
def test_gangs_are_whole_and_fit(problem: AllocationProblem, leaving: list[int]) -> None:
    state = RoundState(problem.accelerators.tolist())
    for job in range(problem.n_jobs):
        state.add(job, int(problem.gangs[job]), problem.rates[job] > 0)
    assert not state.decide()
    state.reset(0.0, gavel.isolated(problem).fractions)
    for job in leaving:
        if job in state.jobs:
            state.remove(job)
        turns = state.decide()
        used = np.zeros(problem.n_pools)
        for turn in turns:
            assert problem.rates[turn.job, turn.pool] > 0
            used[turn.pool] += problem.gangs[turn.job]
            state.record(turn.job, turn.pool, 360.0)
        assert (used <= problem.accelerators).all()
        assert len({turn.job for turn in turns}) == len(turns)


def test_fractions_are_realised() -> None:
    """Three jobs on two pools of one accelerator: after many rounds each has its fraction."""
    wanted = np.array([[0.5, 0.2], [0.3, 0.3], [0.2, 0.5]])
    state = RoundState([1, 1])
    for job in range(3):
        state.add(job, 1)
    state.reset(0.0, wanted)
    had = np.zeros((3, 2))
    for _ in range(400):
        for turn in state.decide():
            state.record(turn.job, turn.pool, 360.0)
            had[turn.job, turn.pool] += 1 / 400
    assert had == pytest.approx(wanted, abs=0.02)


def test_priorities_by_hand() -> None:
    """After a full round of job a, its share is 540 of 720 s: 0.5 / 0.75 against 0.5 / 0.25."""
    state = RoundState([2], round_s=360.0)
    state.add("a", 2)
    state.add("b", 1)
    state.reset(0.0, [[0.5], [0.5]])
    assert state.decide() == [Turn("a", 0)]
    state.record("a", 0, 360.0)
    assert state.priorities().ravel() == pytest.approx([0.5 / 0.75, 0.5 / 0.25])
    assert state.decide() == [Turn("b", 0)]


def test_deficits_are_booked_at_a_reset_and_break_ties() -> None:
    state = RoundState([1], round_s=360.0)
    for job in ("a", "b"):
        state.add(job, 1)
    state.reset(0.0, [[0.5], [0.5]])
    state.record("a", 0, 360.0)
    state.reset(400.0, [[0.5], [0.5]])
    assert state.deficits_s.ravel() == pytest.approx([200.0 - 360.0, 200.0])
    assert state.decide() == [Turn("b", 0)]


def test_resets_are_due_by_change_and_interval() -> None:
    state = RoundState([1], reset_interval_s=1920.0)
    assert not state.due(0.0)
    state.add("a", 1)
    assert state.due(50.0)
    state.reset(50.0, [[1.0]])
    assert not state.due(5000.0)
    state.add("b", 1)
    assert [state.due(time) for time in (50.0, 1969.0, 1970.0)] == [False, False, True]


def test_a_job_waits_for_its_first_fractions_and_zero_runs_in_what_is_left() -> None:
    state = RoundState([2])
    for job in ("a", "b"):
        state.add(job, 1)
    state.reset(0.0, [[1.0], [0.0]])
    state.add("c", 1)
    assert state.decide() == [Turn("a", 0), Turn("b", 0)]
    strict = RoundState([2], zero_runs=False)
    for job in ("a", "b"):
        strict.add(job, 1)
    strict.reset(0.0, [[1.0], [0.0]])
    assert strict.decide() == [Turn("a", 0)]


def test_small_losses_come_first_among_zeros() -> None:
    state = RoundState([1])
    for job in ("a", "b"):
        state.add(job, 1)
    state.reset(0.0, [[0.0], [0.0]], np.array([[2.0], [1.0]]))
    assert state.decide() == [Turn("b", 0)]


def test_wrong_calls() -> None:
    state = RoundState([1])
    state.add("a", 1)
    with pytest.raises(InputError, match="job 'a' is here already"):
        state.add("a", 1)
    with pytest.raises(InputError, match="there is no job 'b'"):
        state.remove("b")
    with pytest.raises(InputError, match="2 rows of fractions for 1 jobs"):
        state.reset(0.0, [[1.0], [1.0]])
