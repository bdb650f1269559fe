"""Handling of SIGINT, SIGTERM and SIGHUP: a command ends soon and keeps what it has computed.

Python's own handler raises KeyboardInterrupt between any two bytecodes of the main thread.  This
can leave locks of the standard library held, tables half written and a simulation in the middle of
an event.  Within :func:`watched`, a signal is therefore only a request.  If nothing can be lost,
the request raises an exception.  If something could be lost, it is deferred (:func:`held`).  During
a simulation, it stops the run once all events of the current instant are done (:func:`stopping`).
A command that does not respond is ended.  After a second request, a message states what the command
is waiting for; a third request ends the process at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

__all__ = [
    "SIGNALS",
    "Interrupted",
    "allowed",
    "by_signal",
    "check",
    "end_process",
    "exit_code",
    "held",
    "is_ours",
    "keeping",
    "last_words",
    "own_process",
    "stopping",
    "taken",
    "watched",
]

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a command to end."""
AGAIN_S = 1.0
"""Signals within this many seconds count as one request; `timeout` sends each signal twice."""
RESPONSE_S = 2.0
"""Seconds after which a request that has had no effect is repeated."""
MOST_REPEATS = 2
"""If a command catches this many repeats and continues, the next repeat ends it."""
LAST_REQUEST = 3
"""The number of the request that ends the process at once."""


class Interrupted(KeyboardInterrupt):
    """Raised when a signal asks this process to end."""


@dataclass(slots=True)
class _State:
    watched: bool = False
    command: bool = False
    mode: str = "raise"  # or "hold" or "stop"
    keeping: bool = False
    stop: Callable[[], None] | None = None
    received: int = 0
    handled: bool = True
    requests: int = 0
    repeats: int = 0
    last_s: float = -1e9
    timer: bool = False
    words: str = ""


_state = _State()
_worker = False


@contextmanager
def watched(*signals: int, command: bool = False) -> Iterator[None]:
    """Treat signals as requests to end, until the end of the block.

    Nothing changes outside the main thread, inside another such block, or for a signal that this
    process ignores (as under ``nohup``).

    Parameters
    ----------
    *signals : int
        Signal numbers; SIGINT by default.
    command : bool
        Whether this process is a clustersim command.  If so, handlers set by a caller are also
        replaced, and a process that cannot respond (during a long call of compiled code) is
        ended.  A program that calls a function of this package keeps its own handlers.
    """
    global _state
    if _state.watched or not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals or (signal.SIGINT,)}
    ours = (signal.SIG_DFL, signal.default_int_handler)
    before = {
        number: handler
        for number, handler in before.items()
        if handler not in (signal.SIG_IGN, None) and (command or handler in ours)
    }
    outer, hook = _state, sys.unraisablehook
    _state = _State(watched=True, command=command)
    for number in before:
        signal.signal(number, _request)
    timer = None
    if signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
        timer = signal.signal(signal.SIGALRM, _repeat)
        _state.timer = True
    sys.unraisablehook = _swallowed
    ended = _start_watch() if command else None
    state = _state
    try:
        yield
    finally:
        state.mode = "hold"  # nothing is raised between these lines
        _disarm()
        if ended is not None:
            ended()
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        if timer is not None:
            signal.signal(signal.SIGALRM, timer)
        _state = outer


@contextmanager
def held() -> Iterator[None]:
    """Defer the signals that arrive in the block; :func:`check` and :func:`allowed` raise them."""
    with _mode("hold"):
        _disarm()
        yield


@contextmanager
def allowed() -> Iterator[None]:
    """Raise signals at once, in a part of a :func:`held` block where an interrupt loses nothing.

    Raises
    ------
    Interrupted
    """
    with _mode("raise"):
        check()
        yield


def check() -> None:
    """Raise a deferred signal.

    Raises
    ------
    Interrupted
        If a signal was received that has not been raised yet.
    """
    if not _state.handled:
        _state.handled = True
        raise Interrupted


@contextmanager
def keeping() -> Iterator[None]:
    """Defer signals from the end of a simulation to the end of the block.

    The block writes the result of the simulation.  Before and during the simulation, signals act as
    they would without the block.
    """
    state, before, mode = _state, _state.keeping, _state.mode
    state.keeping = True
    try:
        yield
    finally:
        state.keeping, state.mode = before, mode


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first signal within the block; `stop` must make the block end soon.

    If the block is still running after :data:`RESPONSE_S`, or another signal comes, the signal is
    raised.

    Parameters
    ----------
    stop : callable
        Called by the signal handler, between two bytecodes; it must not wait for anything.
    """
    with watched():
        state, before, mode = _state, _state.stop, _state.mode
        if not _in_main_thread():
            yield
            return
        if not state.handled and mode != "hold":
            check()
        state.stop, state.mode = stop, "stop"
        try:
            yield
        finally:
            _disarm()
            state.stop, state.mode = before, "hold" if state.keeping else mode


@contextmanager
def last_words(text: str) -> Iterator[None]:
    """Print a message if the process is ended within the block because it does not respond.

    Parameters
    ----------
    text : str
        Which results are kept, and how to continue.
    """
    state, before = _state, _state.words
    state.words = text
    try:
        yield
    finally:
        state.words = before


def taken() -> None:
    """Mark the raised signal as handled, so that it is not repeated."""
    _disarm()


def own_process() -> None:
    """Mark this process as a clustersim worker, which may be ended."""
    global _worker
    _worker = True


def is_ours() -> bool:
    """Return whether this process is a clustersim command or worker, not a user's program."""
    return _state.command or _worker


def end_process(code: int, line: str) -> None:
    """If this is a clustersim process, print a message and end the process at once.

    This function is for code that catches every exception raised to stop it.
    """
    if is_ours():
        with suppress(Exception):
            sys.stdout.flush()
        _say(line)
        os._exit(code)


def by_signal(error: KeyboardInterrupt) -> bool | None:
    """Return whether a signal caused an error; None if unknown because signals are not watched."""
    if isinstance(error, Interrupted) or _state.received:
        return True
    return False if _state.command else None


def exit_code(code: int) -> int:
    """Return the exit code of a command: 128 + the number of the signal, or `code` without one."""
    return 128 + _state.received if _state.received else code


@contextmanager
def _mode(mode: str) -> Iterator[None]:
    state, before = _state, _state.mode
    if not _in_main_thread():
        yield
        return
    state.mode = mode
    try:
        yield
    finally:
        state.mode = before


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _request(number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    again = now - _state.last_s < AGAIN_S
    _state.last_s = now
    if again:
        return
    _state.requests += 1
    _state.received = _state.received or number
    if number == getattr(signal, "SIGHUP", None):
        _leave_terminal()
    if _state.requests >= LAST_REQUEST:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _take()


def _take() -> None:
    """Respond to a request: raise it, defer it, or stop the simulation."""
    if _state.mode == "stop" and _state.stop is not None:
        stop, _state.stop = _state.stop, None
        _arm(RESPONSE_S)
        stop()
    elif _state.mode == "hold":
        _state.handled = False
        if _state.requests > 1:
            _say("writing what was computed; a third signal ends the command at once")
    else:
        _arm(RESPONSE_S)
        raise Interrupted


def _repeat(_number: int, _frame: FrameType | None) -> None:
    """Repeat a request that had no effect, and end a command that still continues."""
    if _state.mode != "hold":
        _state.repeats += 1
        if _state.repeats > MOST_REPEATS and _state.command:
            words = _state.words or "the interrupt was caught, so what was computed is lost"
            end_process(exit_code(130), f"interrupted; {words}")
        _arm(RESPONSE_S)
        raise Interrupted


def _swallowed(unraisable: Any) -> None:
    """Repeat an interrupt that could not propagate (from a finaliser); pass on other errors."""
    if unraisable.exc_type is not None and issubclass(unraisable.exc_type, Interrupted):
        if not _arm(0.01):
            _state.handled = False
    else:
        sys.__unraisablehook__(unraisable)


def _arm(seconds: float) -> bool:
    if _state.timer:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    return _state.timer


def _disarm() -> None:
    _state.repeats = 0
    if _state.timer:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


@atexit.register
def _switch_off() -> None:
    """Switch off a timer left by an interrupt; at interpreter shutdown it would end the process."""
    if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) is _repeat:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _say(line: str) -> None:
    with suppress(OSError):
        os.write(2, f"clustersim: {line}\n".encode())


def _leave_terminal() -> None:
    """Redirect output from the terminal, which is gone, to the null device."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _start_watch() -> Callable[[], None]:
    """Start a thread that ends this process if it does not respond to a signal.

    This is needed during a long call of compiled code, because Python calls a signal handler only
    after the call has returned.  The thread does not end a process within a block of :func:`held`
    or :func:`stopping`.

    Returns
    -------
    callable
        Function that ends the thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    state, over = _state, threading.Event()

    def watch() -> None:
        while number := os.read(reader, 1):
            if number[0] not in SIGNALS or state.mode != "raise" or state.received:
                continue
            if not over.wait(RESPONSE_S) and not state.received and state.mode == "raise":
                _say(f"interrupted; {state.words}" if state.words else "interrupted")
                os._exit(128 + number[0])
        os.close(reader)

    threading.Thread(target=watch, daemon=True, name="signals").start()

    def end() -> None:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writer)

    return end
