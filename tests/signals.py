"""Signals in the processes that tests start."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def default_signals() -> None:
    """Let signals end a process; for the argument `preexec_fn` of the process.

    A shell that runs the tests in the background, or under ``nohup``, makes them ignore some.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
