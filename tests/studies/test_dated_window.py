"""Dates as the ends of a study's window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conducted import conduct

from clustersim.errors import InputError
from clustersim.studies.study import define_study


def fields(tmp_path: Path, **window: Any) -> dict[str, Any]:
    """A job of a minute every hour for ten days from 1 January on."""
    log = tmp_path / "log.csv"
    rows = [f"{k},{3600 * k},8,60" for k in range(240)]
    log.write_text("\n".join(["job_id,submit_s,n_accelerators,duration_s", *rows]))
    return {
        "name": "dated",
        "base": {
            "start": "2026-01-01",
            "cluster": {"name": "one", "pools": {"a": {"accelerator": "H20", "nodes": 2}}},
            "workload": {"trace": str(log), "resample": "none"},
        },
        "parameters": {"scheduler.policy": ["fcfs"]},
        "metrics": ["mean_wait_s"],
        "replications": 1,
        "window": window,
    }


@pytest.mark.parametrize(
    ("window", "jobs"),
    [
        ({}, 240),
        ({"warm_up": "2026-01-03"}, 240 - 48),
        ({"warm_up": "2026-01-03T12:00", "cool_down": "2026-01-09T00:00"}, 8 * 24 + 1 - 60),
        ({"warm_up": "1 d"}, 240 - 24),
    ],
)
def test_jobs_between_two_dates(tmp_path: Path, window: dict[str, Any], jobs: int) -> None:
    runs = conduct(fields(tmp_path, **window), tmp_path / "out", workers=1)
    assert runs["jobs"].tolist() == [jobs]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"warm_up": "2025-01-01"}, "window.warm_up: '2025-01-01' is before the start"),
        ({"warm_up": "2026-02-01"}, "exclude all of the 240 jobs"),
        ({"warm_up": "first of May"}, "a date"),
    ],
)
def test_errors(tmp_path: Path, window: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        define_study(fields(tmp_path, **window))
    assert words in str(error.value)
