"""Ctrl-C: prompt, nothing left behind, and the folder goes on with --resume; and the progress."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conducted import (
    GRID,
    QUEUE,
    SEQUENTIAL,
    Conductor,
    conduct,
    exact,
    policy_file,
    rows_in,
    study_command,
    until,
)
from interrupted import (
    Nursery,
    random_signals,
    reported_done,
    rows_kept,
    run_command,
    slow_grid,
)

from clustersim.cli.main import main
from clustersim.studies.execution import Progress, make_runs
from clustersim.studies.study import define_study
from clustersim.studies.study_result import load_result
from clustersim.studies.time_left import UNKNOWN, TimeLeft
from tests.full_counts import first_of


@pytest.mark.slow
@pytest.mark.parametrize("workers", first_of([1, 2]))
def test_interrupt_between_runs(tmp_path: Path, workers: int) -> None:
    def interrupt(now: Progress) -> None:
        if now.done == 7:
            raise KeyboardInterrupt

    study = define_study(GRID)
    assert make_runs(study, tmp_path / "out", workers=workers, progress=interrupt) is False
    assert multiprocessing.active_children() == []
    assert len(load_result(tmp_path / "out").runs) == rows_in(tmp_path / "out") == 7
    message: list[Progress] = []
    runs = conduct(GRID, tmp_path / "out", workers=workers, resume=True, progress=message.append)
    assert message[-1].reused == 7
    assert exact(runs) == exact(conduct(GRID, tmp_path / "whole", workers=1))


LONG = {
    **GRID,
    "base": {**QUEUE, "workload": {**QUEUE["workload"], "jobs": 150_000}},  # type: ignore[dict-item]
    "parameters": {"workload.load": [0.5, 0.9]},
}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_within_long_runs(tmp_path: Path, workers: int) -> None:
    out = tmp_path / "out"
    conductor = Conductor(LONG, out, workers=workers)
    assert until(lambda: out.exists() and (workers == 1 or len(conductor.workers) == 2))
    time.sleep(1.5)
    os.killpg(conductor.process.pid, signal.SIGINT)  # as a terminal does
    printed, errors = conductor.process.communicate(timeout=10)
    assert conductor.process.returncode == 130, errors
    assert (printed, errors) == ("", "")
    assert conductor.is_left_alone(within_s=1)


@pytest.mark.slow
def test_interrupted_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    plot = {"kind": "curve", "x": "workload.load", "y": "utilisation"}
    fields = {**SEQUENTIAL, "metrics": ["utilisation"], "plots": [plot]}
    process = study_command(fields, out, "--workers", "2", "--format", "svg")
    assert until(lambda: rows_in(out) > 10)
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "interrupted; continue the study in" in printed
    assert "Traceback" not in errors
    kept = rows_in(out)
    assert 10 < kept < 61
    process = study_command(fields, out, "--workers", "2", "--format", "svg", "--resume")
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"{kept} of them reused" in printed
    whole = conduct(fields, tmp_path / "whole", workers=1)
    assert exact(load_result(out).runs) == exact(whole)


def check_progress(message: list[Progress], *, reused: int, failed: int = 0) -> None:
    last = message[-1]
    assert last.done == last.planned
    assert (last.reused, last.failed, last.left) == (reused, failed, TimeLeft(0.0, 0.0))
    assert last.per_s == (last.done - reused) / last.elapsed_s
    for before, now in pairwise(message):
        assert now.done >= before.done + 1, "reported after each run"
        assert now.failed >= before.failed
        assert now.reused >= before.reused
        assert now.elapsed_s > before.elapsed_s
        assert now.failed + now.reused <= now.done <= now.planned
        assert 0 <= now.left.low_s <= now.left.high_s


@pytest.mark.parametrize(
    ("fields", "workers"),
    [
        (GRID, 1),
        (SEQUENTIAL, 1),
        pytest.param(SEQUENTIAL, 2, marks=[pytest.mark.slow, pytest.mark.full]),
    ],
    ids=["grid-1", "sequential-1", "sequential-2"],
)
def test_progress(tmp_path: Path, fields: dict[str, Any], workers: int) -> None:
    message: list[Progress] = []
    runs = conduct(fields, tmp_path, workers=workers, progress=message.append)
    assert len(message) == len(runs) + 1
    assert (message[0].done, message[0].left) == (0, UNKNOWN)
    check_progress(message, reused=0)
    if fields is GRID:
        assert {now.planned for now in message} == {24}
    else:
        planned = [now.planned for now in message]
        assert planned == sorted(planned), "a stopping rule needs more, never less"
        assert message[0].planned + message[0].more == 6 * 12
    more: list[Progress] = []
    wider = {**fields, "parameters": {**fields["parameters"], "workload.load": [0.5, 0.7, 0.8]}}
    kept = (runs["workload.load"] < 0.8).sum()
    conduct(wider, tmp_path, workers=workers, resume=True, progress=more.append)
    check_progress(more, reused=kept)


def test_progress_counts_what_failed(tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", "raise ValueError('no')")
    fields = {**GRID, "parameters": {"scheduler.policy": ["fcfs", own, "easy"]}}
    for reused in (0, 8):
        message: list[Progress] = []
        conduct(fields, tmp_path / "out", workers=1, resume=True, progress=message.append)
        check_progress(message, reused=reused, failed=4)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(tmp_path_factory.mktemp("nursery"))
    yield found
    found.close()


def interrupt_at_random(
    nursery: Nursery, folder: Path, trials: range, *, fresh: int, parallel: int
) -> list[float]:
    """Interrupt studies at random moments, every so many started as a user does.

    Each must end in time and leave nothing running; what it reported is in its folder, and --resume
    gives the table of a study that was not interrupted.
    """
    path, fields = slow_grid(folder)
    whole = exact(conduct(fields, folder / "whole", workers=1))
    commands, longest, seconds = {}, {}, []
    for workers in (1, 2):
        command = ["study", str(path), "--format", "svg", "--workers", str(workers), "--out"]
        began = time.monotonic()
        commands[workers] = command
        ended = nursery.run([*command, str(folder / f"alone-{workers}")], [])
        assert ended.code == 0, ended.errors
        longest[workers] = time.monotonic() - began
    for trial in trials:
        draw = random.Random(trial)
        workers = 2 if trial % parallel == 0 else 1
        out = folder / f"out-{trial}"
        started = run_command if fresh and trial % fresh == 0 else nursery.run
        slower = 3.0 if started is run_command else 1.0
        after = random_signals(draw, slower * longest[workers])
        ended = started([*commands[workers], str(out)], after)
        message = f"trial {trial}: {after}: {ended}"
        number = after[0][1]
        assert ended.code in (0, 128 + number, -number), message
        assert "Traceback" not in ended.errors or ended.code == -number, message
        assert "leaked" not in ended.errors, message
        assert rows_kept(out) >= reported_done(ended), message
        if out.exists():
            runs = conduct(fields, out, check=False, workers=1, resume=True)
            assert exact(runs) == whole, message
        seconds.append(ended.seconds)
    return seconds


@pytest.mark.slow
@pytest.mark.full
def test_interrupts_at_random_moments(nursery: Nursery, tmp_path: Path) -> None:
    seconds = interrupt_at_random(nursery, tmp_path, range(8), fresh=0, parallel=3)
    assert max(seconds) < 10


@pytest.mark.slow
@pytest.mark.full
def test_200_interrupts_at_random_moments(nursery: Nursery, tmp_path: Path) -> None:
    seconds = interrupt_at_random(nursery, tmp_path, range(1000, 1200), fresh=5, parallel=2)
    assert max(seconds) < 10
    print(f"longest {max(seconds):.1f} s, median {sorted(seconds)[100]:.2f} s")


def test_a_study_of_which_every_run_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = policy_file(tmp_path / "own.py", "raise ValueError('no')")
    fields = {**GRID, "parameters": {"workload.load": [0.5], "scheduler.policy": [own]}}
    (tmp_path / "study.yaml").write_text(json.dumps(fields))
    out = str(tmp_path / "out")
    assert main(["study", str(tmp_path / "study.yaml"), "--workers", "1", "--out", out]) == 1
    assert "No run has finished." in capsys.readouterr().out
    assert main(["report", out]) == 0
