"""Progress of long-running work: a bar on a terminal, nothing in a pipe or with ``--quiet``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clustersim.console import shows_progress

__all__ = ["job_progress", "progress_of", "step_progress"]


@contextmanager
def job_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show the jobs done, their rate and the time left; see :func:`progress_of`."""
    with progress_of("job", "simulated", unit_scale=True) as show:
        yield show


@contextmanager
def step_progress() -> Iterator[Callable[[str], None] | None]:
    """Show the step at work, whose name the caller passes; see :func:`progress_of`."""
    with _bar(unit="step") as bar:
        if bar is None:
            yield None
            return

        def show(name: str) -> None:
            bar.set_description(name)
            bar.update()

        yield show


@contextmanager
def progress_of(
    unit: str, what: str, *, unit_scale: bool = False
) -> Iterator[Callable[[int, int], None] | None]:
    """Show the units done, their rate and the time left in a bar on a terminal.

    Yields a function to call with the units done and the total; None in a pipe or with ``--quiet``.
    """
    with _bar(unit=unit, unit_scale=unit_scale, desc=what) as bar:
        if bar is None:
            yield None
            return

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def _bar(**options: Any) -> Iterator[Any]:
    """Yield a bar on a terminal; None in a pipe or with ``--quiet``."""
    if not (sys.stderr.isatty() and shows_progress()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(leave=False, **options) as bar:
        yield bar
