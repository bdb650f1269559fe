"""Progress of long-running work: a bar on a terminal, nothing in a pipe or with ``--quiet``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clustersim.console import shows_progress

__all__ = ["job_progress"]


@contextmanager
def job_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show the jobs done, their rate and the time left in a bar on a terminal.

    Yields a function to call with the jobs done and the total; None in a pipe or with ``--quiet``.
    """
    if not (sys.stderr.isatty() and shows_progress()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="job", unit_scale=True, desc="simulated", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
