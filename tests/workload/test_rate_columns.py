"""Columns of measured rates that have no effect are named in a note."""

from __future__ import annotations

import pandas as pd
import pytest

import clustersim as cs
from clustersim.notes import forget_notes
from clustersim.workload import check_jobs


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"steps": 100, "steps_per_s.h200": 2.0}, ""),
        ({"steps_per_s.h200": 2.0}, "column 'steps_per_s.h200' has no effect without a column"),
        ({"steps": 100}, "column 'steps' has no effect without rates"),
        ({"steps": 100, "steps_per_sec.h200": 2.0}, "did you mean 'steps_per_s.h200'?"),
        ({"node.h200": 2.0}, ""),
    ],
)
def test_columns_of_rates_without_effect_are_named(
    columns: dict[str, float], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_notes()
    jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 8, "duration_s": 60})
    check_jobs(jobs.assign(**columns), "jobs.csv")
    shown = " ".join("".join(capsys.readouterr()).split())
    assert (said in shown) if said else not shown


def test_a_job_whose_rates_are_all_zero_never_runs() -> None:
    jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": 0, "n_accelerators": 8})
    jobs = jobs.assign(duration_s=50, steps=[100, 100, None])
    jobs["steps_per_s.pool"] = [0.0, 4.0, 4.0]
    result = cs.replay(jobs, policy="fcfs", accelerators=32)
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished", "finished"]
    assert "its measured rate there is 0 or missing" in result.jobs["reason"].iloc[0]
    assert result.jobs["finish_s"].tolist()[1:] == [25.0, 50.0]
