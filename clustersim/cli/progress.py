"""Progress of long work: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["job_progress"]


@contextmanager
def job_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show jobs done, rate and time left; yield a function of the jobs done and the total."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="job", unit_scale=True, desc="simulated", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
