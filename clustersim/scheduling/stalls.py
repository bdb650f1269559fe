"""A time limit for user-defined code."""

from __future__ import annotations

import atexit
import faulthandler
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from clustersim import interrupts

__all__ = ["LONGEST_CALL_S", "LONGEST_LOAD_S", "PLUGIN", "StalledError", "stopped_when_stalled"]

LONGEST_CALL_S = 60.0
"""Longest duration of one call of a user-defined policy or placement, seconds."""
LONGEST_LOAD_S = 20.0
"""Longest time (seconds) without a further import while a user's file is loaded."""
GRACE_S = 5.0
"""Time (seconds) until the process is ended if code catches the error that should stop it."""
PLUGIN = "clustersim_plugin_"
"""Prefix of the module names of users' files."""
_LOOK_EVERY_S = 0.5
_UNWIND_S = 0.4
"""Time (seconds) for which the error may propagate before it is raised again."""


class StalledError(BaseException):
    """Raised in code that does not finish in time; ``except Exception`` does not catch it."""


@dataclass
class _Watched:
    """Measures for how long a value has not changed."""

    progress: Callable[[], object]
    limit_s: float

    def __post_init__(self) -> None:
        self._last, self._since_s = self.progress(), time.monotonic()

    def beyond_s(self) -> float:
        """Return the seconds since the limit was reached; negative before that."""
        value, now_s = self.progress(), time.monotonic()
        if value != self._last:
            self._last, self._since_s = value, now_s
        return now_s - self._since_s - self.limit_s

    def message(self) -> str:
        return f"did not finish within {self.limit_s:g} s"


@contextmanager
def stopped_when_stalled(progress: Callable[[], object], limit_s: float) -> Iterator[None]:
    """Raise :class:`StalledError` when a value has not changed for some time.

    A thread checks the value and interrupts the main thread with the signal ``SIGVTALRM``, which
    clustersim uses for nothing else. A timer with the same signal covers compiled code that blocks
    other threads but handles signals, such as a regular expression. There is no limit in other
    threads or on systems without this signal (Windows).

    The stalled code may catch the error, or run compiled code that does not handle signals. In
    these cases, if the process is a command or a worker of clustersim, it is ended :data:`GRACE_S`
    seconds after the limit with exit code 2. If no thread can run, it is ended after twice that
    time with exit code 1 and a traceback.

    Parameters
    ----------
    progress : callable
        Returns a value that changes as long as there is progress; called in the checking thread.
    limit_s : float
        Longest time without a change, seconds.

    Examples
    --------
    >>> with stopped_when_stalled(lambda: 0, limit_s=1.0):
    ...     while True:
    ...         pass
    Traceback (most recent call last):
        ...
    clustersim.scheduling.stalls.StalledError: did not finish within 1 s
    """
    main = threading.main_thread()
    if threading.current_thread() is not main or not hasattr(signal, "SIGVTALRM"):
        yield
        return
    watched = _Watched(progress, limit_s)
    alarm = _Alarm(watched)

    def end_later() -> None:
        if interrupts.is_ours():
            faulthandler.dump_traceback_later(limit_s + 2 * GRACE_S, exit=True, file=2)

    def watch() -> None:
        while not alarm.over.wait(_LOOK_EVERY_S):
            beyond_s = watched.beyond_s()
            end_later()
            if beyond_s >= GRACE_S:
                interrupts.end_process(2, f"error: {_place(main)}{watched.message()}; {_CAUGHT}")
            if beyond_s >= 0 and main.ident is not None:
                signal.pthread_kill(main.ident, signal.SIGVTALRM)

    before = signal.getsignal(signal.SIGVTALRM)
    timer = signal.getitimer(signal.ITIMER_VIRTUAL)
    watcher = threading.Thread(target=watch, daemon=True, name="stalls")
    try:
        signal.signal(signal.SIGVTALRM, alarm)
        signal.setitimer(signal.ITIMER_VIRTUAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
        end_later()
        watcher.start()
        yield
    finally:
        try:
            alarm.over.set()
            signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
            if watcher.is_alive():
                watcher.join()
        finally:  # an interrupt may come between any two lines
            alarm.over.set()
            signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
            signal.signal(signal.SIGVTALRM, before)
            if interrupts.is_ours():
                faulthandler.cancel_dump_traceback_later()


class _Alarm:
    """Signal handler that raises an error in stalled code, until the limit is lifted.

    The error is not raised again while it may still be propagating: a second one would leave the
    `finally` blocks on its way, which restore the handlers of signals, unfinished.
    """

    def __init__(self, watched: _Watched) -> None:
        self.over = threading.Event()
        self._watched = watched
        self._raised_s = -math.inf

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self.over.is_set() or now_s - self._raised_s < _UNWIND_S:
            return
        if self._watched.beyond_s() >= 0:
            self._raised_s = now_s
            raise StalledError(self._watched.message())


@atexit.register
def _switch_off() -> None:
    """Stop a timer that an interrupt left running, because it would end the process at shutdown."""
    if hasattr(signal, "SIGVTALRM") and isinstance(signal.getsignal(signal.SIGVTALRM), _Alarm):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


_CAUGHT = "it did not stop when an error was raised in it, so the process was ended"


def _place(thread: threading.Thread) -> str:
    """Return the start of a message, with the line of a user's file that a thread executes."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(PLUGIN):
            code = frame.f_code
            return f"{code.co_filename}: line {frame.f_lineno}, in {code.co_name}: "
        frame = frame.f_back
    return ""
