"""A limit on how long a user's own code may run without an end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["LONGEST_CALL_S", "StalledError", "stopped_when_stalled"]

LONGEST_CALL_S = 60.0
"""How long one call of a policy or placement of a user's own may take, seconds."""
_LOOK_EVERY_S = 0.5


class StalledError(BaseException):
    """Raised into code that does not come to an end; no `except Exception` of it holds this up."""


@contextmanager
def stopped_when_stalled(progress: Callable[[], object], limit_s: float) -> Iterator[None]:
    """Raise :class:`StalledError` when a value has not changed for a while.

    It works in the main thread of a system with ``SIGALRM`` (all but Windows); elsewhere there is
    no limit.

    Parameters
    ----------
    progress : callable
        Returns a value that changes as long as there is progress.
    limit_s : float
        Seconds without a change.

    Examples
    --------
    >>> with stopped_when_stalled(lambda: 0, limit_s=1.0):
    ...     while True:
    ...         pass
    Traceback (most recent call last):
        ...
    clustersim.scheduling.stalls.StalledError: did not come to an end within 1 s
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not (in_main_thread and hasattr(signal, "SIGALRM")):
        yield
        return
    last, since_s = progress(), time.monotonic()

    def look(_signal: int, _frame: FrameType | None) -> None:
        nonlocal last, since_s
        now_s, value = time.monotonic(), progress()
        if value != last:
            last, since_s = value, now_s
        elif now_s - since_s >= limit_s:
            raise StalledError(f"did not come to an end within {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
