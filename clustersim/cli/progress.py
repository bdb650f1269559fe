"""Progress of long-running work: a bar on a terminal, nothing in a pipe or with ``--quiet``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clustersim.console import shows_progress

__all__ = ["job_progress", "progress_of"]


@contextmanager
def job_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show the jobs done, their rate and the time left; see :func:`progress_of`."""
    with progress_of("job", "simulated", unit_scale=True) as show:
        yield show


@contextmanager
def progress_of(
    unit: str, what: str, *, unit_scale: bool = False
) -> Iterator[Callable[[int, int], None] | None]:
    """Show the units done, their rate and the time left in a bar on a terminal.

    Yields a function to call with the units done and the total; None in a pipe or with ``--quiet``.
    """
    if not (sys.stderr.isatty() and shows_progress()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=unit, unit_scale=unit_scale, desc=what, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
