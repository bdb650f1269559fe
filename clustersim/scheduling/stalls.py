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

    A thread watches, and interrupts the main thread by the signal ``SIGVTALRM``, which nothing else
    here uses.  In another thread, and where there is no such signal (Windows), there is no limit.

    Parameters
    ----------
    progress : callable
        Returns a value that changes as long as there is progress; called in that thread.
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
    main = threading.main_thread()
    if threading.current_thread() is not main or not hasattr(signal, "SIGVTALRM"):
        yield
        return
    over = threading.Event()

    def raise_it(_signal: int, _frame: FrameType | None) -> None:
        if not over.is_set():
            raise StalledError(f"did not come to an end within {limit_s:g} s")

    def watch() -> None:
        last, since_s = progress(), time.monotonic()
        while not over.wait(_LOOK_EVERY_S):
            value, now_s = progress(), time.monotonic()
            if value != last:
                last, since_s = value, now_s
            elif now_s - since_s >= limit_s and main.ident is not None:
                signal.pthread_kill(main.ident, signal.SIGVTALRM)

    before = signal.signal(signal.SIGVTALRM, raise_it)
    watcher = threading.Thread(target=watch, daemon=True, name="stalls")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGVTALRM, before)
