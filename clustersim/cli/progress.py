"""Progress of long-running work: a bar on a terminal, and nothing with ``--quiet``.

Where stderr is a file or a pipe, commands that take long print a line now and then.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from clustersim.console import shows_progress
from clustersim.units import format_count, format_duration

__all__ = ["job_progress", "progress_of", "step_progress"]

FIRST_S, EVERY_S = 20.0, 30.0
"""Seconds before the first line where stderr is no terminal, and between lines."""


@contextmanager
def job_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show the jobs done, their rate, the time left and the simulated time."""
    with _bar(unit="job", unit_scale=True, desc="simulated") as bar, _lines(bar is None) as line:
        yield None if bar is None and line is None else _JobCounter(bar, line)


class _JobCounter:
    """Shows on a bar, or else in lines, how far a simulation is."""

    def __init__(self, bar: Any, line: Callable[[str], None] | None) -> None:
        self._bar, self._line = bar, line
        self._now_s = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Show the jobs done."""
        if self._bar is not None:
            _counter(self._bar)(done, total)
        elif self._line is not None:
            counts = f"{format_count(done)} of {format_count(total)} jobs"
            self._line(f"{counts} have ended; the simulated time is {self._time()}")

    def at(self, now_s: float) -> None:
        """Show the simulated time, seconds."""
        self._now_s = now_s
        if self._bar is not None:
            self._bar.set_postfix_str(f"simulated time {self._time()}")

    def _time(self) -> str:
        return format_duration(self._now_s)


@contextmanager
def step_progress() -> Iterator[Callable[[str], None] | None]:
    """Show the step at work, whose name the caller passes; None with ``--quiet``."""
    with _bar(unit="step") as bar, _lines(bar is None) as line:
        if bar is None:
            yield line
            return

        def show(name: str) -> None:
            bar.set_description(name)
            bar.update()

        yield show


@contextmanager
def progress_of(unit: str, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show the units done, their rate and the time left.

    Yields a function to call with the units done and the total; None with ``--quiet``.
    """
    with _bar(unit=unit, desc=what) as bar, _lines(bar is None) as line:
        if bar is not None:
            yield _counter(bar)
        elif line is None:
            yield None
        else:
            began_s = time.monotonic()

            def show(done: int, total: int) -> None:
                left_s = (time.monotonic() - began_s) / max(done, 1) * (total - done)
                counts = f"{format_count(done)} of {format_count(total)} {what}"
                line(f"{counts} done, about {format_duration(left_s)} left")

            yield show


def _counter(bar: Any) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


@contextmanager
def _bar(**options: Any) -> Iterator[Any]:
    """Yield a bar on a terminal; None in a pipe or with ``--quiet``."""
    if not (sys.stderr.isatty() and shows_progress()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(leave=False, **options) as bar:
        yield bar


@contextmanager
def _lines(wanted: bool) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that sets the text which is printed on stderr now and then.

    A thread prints it, because a step may take long.  None if no lines are wanted, or with
    ``--quiet``.
    """
    if not (wanted and shows_progress()):
        yield None
        return
    texts, over, began_s, stream = [""], threading.Event(), time.monotonic(), sys.stderr

    def talk() -> None:
        wait_s = FIRST_S
        while not over.wait(wait_s):
            wait_s = EVERY_S
            if texts[0]:
                passed = format_duration(time.monotonic() - began_s)
                with suppress(OSError, ValueError):  # nobody reads it any more
                    print(f"after {passed}: {texts[0]}", file=stream, flush=True)

    def show(text: str) -> None:
        texts[0] = text

    threading.Thread(target=talk, daemon=True, name="progress").start()
    try:
        yield show
    finally:
        over.set()
