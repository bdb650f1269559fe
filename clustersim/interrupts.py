"""What SIGINT, SIGTERM and SIGHUP do: a command ends soon, and keeps what it has computed.

Python's own handler raises KeyboardInterrupt between any two bytecodes of the main thread.  That
leaves locks of the standard library taken, tables half written and a simulation in the midst of an
event.  Within :func:`watched`, a signal is a request: it raises where nothing can be lost, is noted
where something would be (:func:`held`), and ends a simulation once the events of an instant are
over (:func:`stopping`).  What cannot respond is ended: a second request tells what is waited for, a
third ends the process at once.
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
"""What asks a command to end."""
AGAIN_S = 1.0
"""Signals that come sooner after another are one request; `timeout` sends each signal twice."""
RESPONSE_S = 2.0
"""A request that had no effect for so long is repeated."""
MOST_REPEATS = 2
"""A command that goes on after so many repeats, as it catches them, is ended at the next."""
LAST_REQUEST = 3
"""The request that ends the process at once."""


class Interrupted(KeyboardInterrupt):
    """A signal asks this process to end."""


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
    """Take these signals as requests until the end of the block.

    Nothing is changed outside the main thread, within another such block, and for a signal that
    this process ignores (as under ``nohup``).

    Parameters
    ----------
    *signals : int
        By default SIGINT.
    command : bool
        Whether the process is a command of ours: the handlers of a caller are then replaced too,
        and a process that cannot respond (in a long call of compiled code) is ended.  A program
        that calls a function of this package keeps the handlers that it has set.
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
    """Note signals until the end of the block; :func:`check` and :func:`allowed` raise them."""
    with _mode("hold"):
        _disarm()
        yield


@contextmanager
def allowed() -> Iterator[None]:
    """Let signals raise at once within :func:`held`, where nothing is lost by it.

    Raises
    ------
    Interrupted
    """
    with _mode("raise"):
        check()
        yield


def check() -> None:
    """Raise what was noted.

    Raises
    ------
    Interrupted
        If a signal came that has not been raised yet.
    """
    if not _state.handled:
        _state.handled = True
        raise Interrupted


@contextmanager
def keeping() -> Iterator[None]:
    """Note signals from the end of a simulation until that of the block, which writes its result.

    Before and during the simulation, signals end it as they would without the block.
    """
    state, before, mode = _state, _state.keeping, _state.mode
    state.keeping = True
    try:
        yield
    finally:
        state.keeping, state.mode = before, mode


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for the first signal within the block, which is to end the block soon.

    If the block goes on, for :data:`RESPONSE_S` or until another signal, the signal is raised.

    Parameters
    ----------
    stop : callable
        Is called by the handler of the signal, between two bytecodes: must not wait for anything.
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
    """Say this where the process is ended within the block, as it does not respond to a signal.

    Parameters
    ----------
    text : str
        What of its work is kept, and how to continue.
    """
    state, before = _state, _state.words
    state.words = text
    try:
        yield
    finally:
        state.words = before


def taken() -> None:
    """Say that a signal that was raised has had its effect, and is not to be repeated."""
    _disarm()


def own_process() -> None:
    """Say that this process is a worker of ours, which may be ended."""
    global _worker
    _worker = True


def is_ours() -> bool:
    """Whether this process is a command or a worker of ours, and not a program of the user's."""
    return _state.command or _worker


def end_process(code: int, line: str) -> None:
    """End this process at once with a message, if it is ours; else do nothing.

    For code that catches whatever is raised to stop it.
    """
    if is_ours():
        with suppress(Exception):
            sys.stdout.flush()
        _say(line)
        os._exit(code)


def by_signal(error: KeyboardInterrupt) -> bool | None:
    """Whether a signal brought an error; None if that is not known, as signals are not watched."""
    if isinstance(error, Interrupted) or _state.received:
        return True
    return False if _state.command else None


def exit_code(code: int) -> int:
    """Return the exit code of a command that would have ended with `code`: 128 + the signal."""
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
    """Raise a request, note it, or have the simulation stopped."""
    if _state.mode == "stop" and _state.stop is not None:
        stop, _state.stop = _state.stop, None
        _arm(RESPONSE_S)
        stop()
    elif _state.mode == "hold":
        _state.handled = False
        if _state.requests > 1:
            _say("writing what was computed; a third signal ends it at once")
    else:
        _arm(RESPONSE_S)
        raise Interrupted


def _repeat(_number: int, _frame: FrameType | None) -> None:
    """Raise a request again that had no effect; end a command that goes on all the same."""
    if _state.mode != "hold":
        _state.repeats += 1
        if _state.repeats > MOST_REPEATS and _state.command:
            words = _state.words or "the interrupt was caught, so what was computed is lost"
            end_process(exit_code(130), f"interrupted; {words}")
        _arm(RESPONSE_S)
        raise Interrupted


def _swallowed(told: Any) -> None:
    """Repeat what was raised where nothing can be raised, as in a finaliser; tell the rest."""
    if told.exc_type is not None and issubclass(told.exc_type, Interrupted):
        if not _arm(0.01):
            _state.handled = False
    else:
        sys.__unraisablehook__(told)


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
    """Switch off a timer that an interrupt left on: while Python shuts down it ends the process."""
    if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) is _repeat:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _say(line: str) -> None:
    with suppress(OSError):
        os.write(2, f"clustersim: {line}\n".encode())


def _leave_terminal() -> None:
    """Write to nowhere instead of a terminal that is gone."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _start_watch() -> Callable[[], None]:
    """End this process if it does not respond, as in a long call of compiled code.

    Python calls the handler of a signal when that call is over.  What a block holds, or a
    simulation that is being stopped, is waited for.

    Returns
    -------
    callable
        Ends the watch.
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
