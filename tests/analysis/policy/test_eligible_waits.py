"""Waits since jobs were eligible, and metrics of a group of jobs of one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.on_request.compared_runs import compared_runs
from clustersim.analysis.on_request.whole_run import metrics_of_run
from clustersim.cli.main import main
from clustersim.errors import InputError

NAMES = ("mean_eligible_wait_s", "p95_eligible_wait_s")


def run(**columns: Any) -> cs.Result:
    jobs = pd.DataFrame({"job_id": list("ABC"), "submit_s": [0.0, 10.0, 20.0]})
    jobs = jobs.assign(n_accelerators=8, duration_s=[3600.0, 100.0, 50.0], **columns)
    return cs.replay(jobs, policy="fcfs", accelerators=8)


def test_dependency_ends_before_the_job_is_eligible() -> None:
    """A runs until 3600 s, then B until 3700 s, and C, eligible since 3600 s, waits for B."""
    result = run(after_ok=["", "", "A"])
    assert result.jobs["start_s"].tolist() == [0.0, 3600.0, 3700.0]
    assert result.jobs["eligible_s"].tolist() == [0.0, 10.0, 3600.0]
    assert metrics_of_run(result, NAMES) == {
        NAMES[0]: (3590.0 + 100.0) / 3,
        NAMES[1]: np.quantile([0.0, 100.0, 3590.0], 0.95),
    }


def test_earliest_time_counts_and_the_later_of_both() -> None:
    result = run(not_before_s=[0.0, 4000.0, 500.0])
    assert result.jobs["eligible_s"].tolist() == [0.0, 4000.0, 500.0]
    assert metrics_of_run(result, NAMES[:1]) == {NAMES[0]: 3100.0 / 3}
    both = run(not_before_s=[0.0, 4000.0, 500.0], after_any=["", "A", "A"])
    assert both.jobs["eligible_s"].tolist() == [0.0, 4000.0, 3600.0]


def test_without_such_columns_it_is_the_wait() -> None:
    result = run()
    assert "eligible_s" not in result.jobs
    found = metrics_of_run(result, [*NAMES, "mean_wait_s", "p95_wait_s"])
    assert [found[name] for name in NAMES] == [found["mean_wait_s"], found["p95_wait_s"]]


def test_limit_of_an_array_does_not_change_when_a_job_is_eligible() -> None:
    assert "eligible_s" not in run(array=["x"] * 3, array_limit=1).jobs


def test_job_that_always_waits_for_others_is_never_eligible() -> None:
    """C cancels A, so B can never run; it has no eligible time and waited 0 s since."""
    jobs = pd.DataFrame({"job_id": list("ABC"), "submit_s": [0.0, 10.0, 20.0]})
    jobs = jobs.assign(
        n_accelerators=8, duration_s=[3600.0, 100.0, 50.0], priority=[1, 1, 9],
        after_ok=["", "A", ""],
    )  # fmt: skip
    options = {"preempt_by": "cancel"}
    result = cs.replay(jobs, policy="priority", accelerators=8, options=options)
    assert result.jobs["start_s"].isna().tolist() == [False, True, False]
    assert result.jobs["eligible_s"].fillna(-1.0).tolist() == [0.0, -1.0, 20.0]
    assert metrics_of_run(result, NAMES[:1]) == {NAMES[0]: 0.0}
    anyway = cs.replay(
        jobs.rename(columns={"after_ok": "after_any"}),
        policy="priority", accelerators=8, options=options,
    )  # fmt: skip
    assert anyway.jobs["eligible_s"].tolist() == [0.0, 20.0, 20.0]


def test_column_of_the_input_is_kept() -> None:
    result = run(eligible_s=[1.0, 2.0, 3.0])
    assert result.jobs["recorded_eligible_s"].tolist() == [1.0, 2.0, 3.0]
    assert "eligible_s" not in result.jobs


def test_wait_since_eligible_of_a_group() -> None:
    result = run(after_ok=["", "", "A"], job_class=["x", "y", "y"])
    found = metrics_of_run(result, ["mean_eligible_wait_s.y", "mean_eligible_wait_s.x"])
    assert [*found.values()] == [(3590.0 + 100.0) / 2, 0.0]


def test_group_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(vc=["lab", "lab", "dev"], slo_s=[3600.0, 100.0, 3800.0])
    names = ["slo_attainment", "slo_attainment.lab", "slo_attainment.dev", "p95_wait_s.dev"]
    found = metrics_of_run(result, names)
    assert [*found.values()] == pytest.approx([2 / 3, 1 / 2, 1.0, 3680.0])
    result.save(tmp_path / "run")
    assert main(["metrics", "slo_attainment.lab", "--of", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"slo_attainment.lab": 0.5}


def test_difference_of_a_group_is_that_of_its_jobs() -> None:
    """Shortest first, C starts at 3600 s instead of 3700 s, and B 50 s later."""
    log = run(job_class=["x", "y", "z"]).jobs[
        ["job_id", "submit_s", "n_accelerators", "duration_s", "job_class"]
    ]
    runs = {name: cs.replay(log, policy=name, accelerators=8) for name in ("fcfs", "sjf")}
    found = compared_runs(runs, ["mean_wait_s.y", "mean_wait_s.z", "mean_wait_s"])
    assert found.values.loc["mean_wait_s.z"].tolist() == [3680.0, 3580.0]
    assert found.differences["difference"].tolist() == pytest.approx([50.0, -100.0, -50.0 / 3])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("slo_attainment.labb", "did you mean 'lab'?"),
        ("utilisation.h200", "unknown pool 'h200'"),
        ("makespan_s.lab", "unknown metric"),
    ],
)
def test_unknown_group_or_pool(name: str, problem: str) -> None:
    result = run(vc=["lab", "lab", "dev"], slo_s=100.0)
    with pytest.raises(InputError, match="metric") as caught:
        metrics_of_run(result, [name])
    assert problem in str(caught.value)
