"""Processes that start and end without events of their own behave as SimPy's do."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from simpy.events import Event

from clustersim.engine.clock import COMPLETION, Clock

Steps = Generator[Event, Any, Any]
waits = st.lists(st.lists(st.sampled_from([0.5, 1.0, 2.5]), min_size=1, max_size=4), max_size=6)


def journal(env: simpy.Environment, start: Any, waits: list[list[float]]) -> list[Any]:
    """Return what processes that start at one time each do, and the values that they return."""
    happened: list[Any] = []

    def steps(name: int, delays: list[float]) -> Steps:
        for delay in delays:
            happened.append((env.now, name))
            yield env.timeout(delay)
        return env.now

    def waiter(name: int, process: simpy.Process) -> Steps:
        happened.append((env.now, name, (yield process)))

    def launcher() -> Steps:
        for name, delays in enumerate(waits):
            yield env.timeout(1.25)
            process = start(steps(name, delays))
            if name % 2:
                env.process(waiter(name, process))

    env.process(launcher())
    env.run()
    return happened


@given(waits)
def test_immediate_processes_do_what_those_of_simpy_do(waits: list[list[float]]) -> None:
    clock, env = Clock(), simpy.Environment()
    assert journal(clock, clock.start, waits) == journal(env, env.process, waits)


def test_an_immediate_process_that_nobody_awaits_makes_no_event() -> None:
    clock = Clock()

    def steps() -> Steps:
        yield clock.at(10.0, COMPLETION)

    process = clock.start(steps())
    assert len(clock._queue) == 1
    clock.step()
    assert not clock._queue
    assert process.processed
    assert not process.is_alive


def test_what_fails_in_an_immediate_process_is_raised() -> None:
    clock = Clock()

    def steps() -> Steps:
        yield clock.at(10.0, COMPLETION)
        raise ValueError("at ten")

    clock.start(steps())
    with pytest.raises(ValueError, match="at ten"):
        clock.run()
