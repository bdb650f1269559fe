"""Columns of measured rates that have no effect are named in a note."""

from __future__ import annotations

import pandas as pd
import pytest

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
