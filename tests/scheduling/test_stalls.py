"""The limit of user code leaves no timer behind, wherever an interrupt meets it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from clustersim.scheduling import stalls

INTERRUPTED = """
import signal, sys, threading, time
from clustersim.scheduling import stalls

class Slow:
    # Uses the processor while Python shuts down, when no handler is left.
    def __del__(self, clock=time.process_time):
        until = clock() + 3 * stalls_look
        while clock() < until:
            pass

stalls_look = stalls._LOOK_EVERY_S = 0.05
owner, name = {owner}, "{name}"
original = getattr(owner, name)
calls = 0

def interrupt(*arguments):
    global calls
    calls += 1
    if calls == {call}:
        if {before}:
            raise KeyboardInterrupt
        original(*arguments)
        raise KeyboardInterrupt
    return original(*arguments)

default = signal.getsignal(signal.SIGVTALRM)
setattr(owner, name, interrupt)
try:
    with stalls.stopped_when_stalled(lambda: time.monotonic(), limit_s=60.0):
        pass
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGVTALRM) == default)
setattr(owner, name, original)
sys.modules["slow"] = Slow()
"""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        ("signal", "signal", 1),
        ("signal", "setitimer", 1),
        ("threading.Event", "set", 2),
        ("threading.Thread", "join", 1),
        ("signal", "setitimer", 2),
    ],
)
def test_an_interrupt_leaves_no_timer(owner: str, name: str, call: int, before: bool) -> None:
    code = INTERRUPTED.format(owner=owner, name=name, call=call, before=before)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended
    assert ended.stdout == "interrupted True\n", ended


def test_the_error_is_not_raised_again_while_it_propagates() -> None:
    """A second signal, of the thread beside the timer's, lets a `finally` block end."""
    finished = []

    def stalled() -> None:
        try:
            while True:
                pass
        finally:
            signal.raise_signal(signal.SIGVTALRM)
            finished.append(True)

    with pytest.raises(stalls.StalledError), stalls.stopped_when_stalled(lambda: 0, limit_s=0.1):
        stalled()
    assert finished
