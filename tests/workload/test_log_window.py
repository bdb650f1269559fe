"""Logs that list the jobs which were alive in a window of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.scenario.resolved import resolve
from clustersim.scenario.scenario import define_scenario
from clustersim.workload import JobLog

DAY = 86400.0
BEGIN = datetime(2026, 9, 28)


def sacct(path: Path, early_hours: float) -> Path:
    """Three users submit a job 4 days before; then one of 1 h is submitted each half an hour.

    The early jobs end after `early_hours`.
    """
    rows = []
    for number in range(3 + 400):
        early = number < 3
        begin = BEGIN + timedelta(hours=-96 if early else 0, minutes=0 if early else 30 * number)
        end = begin + timedelta(hours=early_hours if early else 1)
        times = [f"{each:%Y-%m-%dT%H:%M:%S}" for each in (begin, begin, end)]
        rows.append("|".join([str(number), f"u{number % 9}", *times, "COMPLETED", "gres/gpu=8"]))
    path.write_text("\n".join(["JobID|User|Submit|Start|End|State|AllocTRES", *rows]) + "\n")
    return path


def test_the_window_begins_with_the_first_end_if_jobs_are_old(tmp_path: Path) -> None:
    log = cs.read_jobs(sacct(tmp_path / "window.txt", early_hours=96.5))
    assert log.begin_s == 4 * DAY + 1800
    assert len(log.jobs) - len(log.whole) == 3
    assert any(
        note.startswith("3 jobs were submitted up to 4.02 d before 2026-09-28 00:30")
        for note in log.notes
    )


def test_a_gap_in_submissions_is_no_proof(tmp_path: Path) -> None:
    log = cs.read_jobs(sacct(tmp_path / "gap.txt", early_hours=1))
    assert log.begin_s == 0.0
    assert len(log.whole) == len(log.jobs)
    assert not any("still waited or ran" in note for note in log.notes)


def early_log() -> JobLog:
    """One short job on day 0; from day 10 on, a job of 12 h each day for 4 days."""
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(5),
            "submit_s": [0.0, 10 * DAY, 11 * DAY, 12 * DAY, 13 * DAY],
            "n_accelerators": 1,
            "duration_s": [60.0, *[DAY / 2] * 4],
            "estimate_s": DAY,
        }
    )
    return JobLog(jobs, 5, "log", "table", begin_s=10 * DAY)


def test_use_and_jobs_are_counted_from_the_begin() -> None:
    found = cs.what_if(early_log(), accelerators=1, add_accelerators=1, replications=0)
    assert found.fleet["utilisation"].iloc[0] == pytest.approx(0.5)
    assert found.groups.loc[0, "jobs"] == 4
    assert found.groups.loc[0, "before_utilisation"] == pytest.approx(0.5)


def test_days_are_drawn_from_the_begin() -> None:
    tree = {
        "cluster": {"name": "c", "pools": {"p": {"accelerator": "H100", "nodes": 1}}},
        "workload": {"trace": "log", "resample": "day"},
        "replication": 3,
    }
    jobs = resolve(define_scenario(tree, {}, source="test"), log=early_log()).jobs
    assert jobs["submit_s"].iloc[0] == 0.0
    assert jobs["submit_s"].iloc[1:].between(10 * DAY, 13 * DAY).all()
    assert (jobs["duration_s"] == 60.0).sum() == 1


def test_a_last_row_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    whole = sacct(tmp_path / "whole.txt", early_hours=1)
    (tmp_path / "cut.txt").write_text(whole.read_text()[:-30])
    notes = cs.read_jobs(tmp_path / "cut.txt").notes
    assert any(note.startswith("the last row (402)") and "cut off" in note for note in notes)
    text = whole.read_text().replace("|gres/gpu=8\n", "|gres|gpu=8\n", 1)
    (tmp_path / "first.txt").write_text(text)
    notes = cs.read_jobs(tmp_path / "first.txt").notes
    assert any("perhaps from a separator" in note for note in notes)
