"""Columns of measured rates that have no effect are named in a note."""

from __future__ import annotations

import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import InputError
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


def _without_durations(rates: list[object]) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": range(1, len(rates) + 1), "submit_s": 0, "n_accelerators": 8})
    return jobs.assign(steps=100, **{"steps_per_s.pool": rates})


@pytest.mark.parametrize("policy", ["fcfs", "easy", "sjf", "srtf"])
def test_a_job_with_rates_of_zero_needs_no_duration(policy: str) -> None:
    result = cs.replay(_without_durations([0.0, 4.0]), policy=policy, accelerators=32)
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]
    assert result.jobs["finish_s"].tolist()[1] == 25.0
    at_sizes = _without_durations([None, 4.0]).assign(**{"steps_per_s.pool@4": [0.0, None]})
    result = cs.replay(at_sizes, policy=policy, accelerators=32)
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), "fast"])
def test_a_wrong_rate_is_named_and_no_duration_asked_for(wrong: object) -> None:
    with pytest.raises(InputError) as error:
        cs.replay(_without_durations([2.0, wrong]), policy="fcfs", accelerators=32)
    assert str(error.value) == (
        f"jobs: steps_per_s.pool: 1 row has no number of at least 0 (row 2: {wrong!r}); a rate in "
        "steps per second is needed, 0 where the job cannot run"
    )


def test_a_job_without_rate_and_duration_is_told_that_either_is_needed() -> None:
    with pytest.raises(InputError, match=r"row 1\); every job needs a value, or steps and a rate"):
        cs.replay(_without_durations([None, 4.0]), policy="fcfs", accelerators=32)
