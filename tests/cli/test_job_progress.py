"""How far a simulation is: on a terminal, and in lines where stderr is none."""

from __future__ import annotations

import sys
import time

import pytest

from clustersim.cli import progress as cli_progress
from clustersim.cli.progress import job_progress


def test_a_bar_has_the_simulated_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with job_progress() as progress:
        assert progress is not None
        progress.at(2 * 86400.0)  # type: ignore[attr-defined]
        progress(3, 10)
        progress.at(3 * 86400.0)  # type: ignore[attr-defined]
    shown = capsys.readouterr().err
    assert "simulated time 2 d" in shown
    assert "3.00/10.0" in shown
    assert "simulated time 3 d" in shown


def test_lines_where_stderr_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_progress, "FIRST_S", 0.01)
    printed = ""
    with job_progress() as progress:
        assert progress is not None
        progress.at(2 * 86400.0)  # type: ignore[attr-defined]
        progress(3, 10)
        until_s = time.monotonic() + 20
        while "jobs" not in printed and time.monotonic() < until_s:
            time.sleep(0.01)
            printed += capsys.readouterr().err
    assert "3 of 10 jobs have ended; the simulated time is 2 d" in printed
