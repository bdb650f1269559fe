"""The progress of a study on one line of a terminal, or at intervals in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from clustersim.console import shows_progress
from clustersim.studies.execution import Progress
from clustersim.units import counted

__all__ = ["ProgressDisplay"]

SHOW_EVERY_S = 10.0


class ProgressDisplay:
    """Shows progress on one line of a terminal, or at intervals in a pipe; calls `progress`."""

    def __init__(self, *, report: bool, progress: Callable[[Progress], None] | None) -> None:
        self._reports, self._progress = report and shows_progress(), progress
        self._last: Progress | None = None
        self._shown_at = time.perf_counter()
        self._on_terminal = sys.stderr.isatty()

    def show(self, now: Progress) -> None:
        """Show the progress if the last update is old enough."""
        self._last = now
        if self._progress is not None:
            self._progress(now)
        if not self._reports:
            return
        passed = time.perf_counter() - self._shown_at
        if self._on_terminal:
            if passed > 0.1 or now.done == now.planned:
                self._shown_at = time.perf_counter()
                print(f"\r\033[K{now.text}", end="", file=sys.stderr, flush=True)
        elif passed > SHOW_EVERY_S:
            self._shown_at = time.perf_counter()
            print(now.text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the progress line."""
        if self._on_terminal and self._reports:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """Return how many runs were done, reused and failed, as text."""
        if self._last is None:
            return "no run"
        reused = f", {self._last.reused:,} of them reused" if self._last.reused else ""
        if self._last.kept_old:
            reused += f" ({self._last.kept_old:,} made by different code)"
        failed = f", {self._last.failed:,} failed" if self._last.failed else ""
        return f"{counted(self._last.done, 'run')}{reused}{failed}"
