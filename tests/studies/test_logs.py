"""Studies of logs: what happened, intervals of other periods, the end of the log, and theory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conducted import conduct, exact
from mmc import mean_wait_s

import clustersim as cs
from clustersim.analysis.next_period import next_interval
from clustersim.analysis.statistics import mean_interval
from clustersim.calendar import DAY_S, WEEK_S
from clustersim.report.findings import findings, warnings
from clustersim.report.study_answer import study_answer
from clustersim.studies.study_result import StudyResult, load_result

SERVERS, SERVICE_S = 4, 300.0
POOL = {"accelerator": "H200", "nodes": 1, "chips_per_node": SERVERS}
FLEET = {"name": "few", "pools": {"servers": POOL}}


def base(log: Path, **workload: Any) -> dict[str, Any]:
    return {
        "cluster": FLEET,
        "workload": {"trace": str(log), **workload},
        "scheduler": {"policy": "fcfs", "placement": "pooled"},
    }


def result_of(study: dict[str, Any], out: Path) -> StudyResult:
    conduct(study, out, workers=1)
    return load_result(out)


def write(tmp_path: Path, jobs: pd.DataFrame) -> Path:
    path = tmp_path / "log.csv"
    jobs.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def poisson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight weeks of Poisson arrivals of 40 users with exponential run times, load 0.4."""
    generator = np.random.default_rng(4)
    rate = 0.4 * SERVERS / SERVICE_S
    count = generator.poisson(rate * 8 * WEEK_S)
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(count),
            "submit_s": np.sort(generator.uniform(0, 8 * WEEK_S, count)),
            "n_accelerators": 1,
            "duration_s": generator.exponential(SERVICE_S, count),
            "user": generator.integers(0, 40, count).astype(str),
        }
    )
    return write(tmp_path_factory.mktemp("poisson"), jobs)


@pytest.mark.parametrize(
    ("scale", "load"),
    [
        ({"load": 2.0, "method": "superpose"}, 0.8),
        ({"load": 2.0, "method": "compress"}, 0.8),
        ({"load": 1.5, "method": "superpose"}, 0.6),
        ({"load": 0.75, "method": "superpose"}, 0.3),
    ],
)
def test_waits_of_a_scaled_log_agree_with_theory(
    poisson: Path, scale: dict[str, Any], load: float
) -> None:
    """Superposed, thinned and compressed Poisson processes are Poisson: M/M/4 (Erlang C)."""
    jobs = cs.run(base(poisson, scale=scale)).jobs
    work = float((jobs["n_accelerators"] * jobs["duration_s"]).sum())
    span = float(jobs["submit_s"].iloc[-1] - jobs["submit_s"].iloc[0])
    realised = work / SERVERS / span
    assert realised == pytest.approx(load, rel=0.03)
    expected = mean_wait_s(SERVERS, realised) * SERVICE_S / 60.0  # the module's jobs take 60 s
    assert jobs["wait_s"].mean() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("replication", [1, 2])
def test_a_resampled_log_agrees_with_theory(poisson: Path, replication: int) -> None:
    result = cs.run({**base(poisson, scale={"load": 2.0}), "replication": replication})
    assert "drawn again in 7 blocks of a week" in str(result.provenance["log"])
    jobs = result.jobs
    work = float((jobs["n_accelerators"] * jobs["duration_s"]).sum())
    realised = work / SERVERS / (jobs["submit_s"].iloc[-1] - jobs["submit_s"].iloc[0])
    expected = mean_wait_s(SERVERS, realised) * SERVICE_S / 60.0
    assert jobs["wait_s"].mean() == pytest.approx(expected, rel=0.2)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three weeks in which more and more work piles up: 20 % more than the fleet can do."""
    generator = np.random.default_rng(5)
    count = 500
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(count),
            "submit_s": np.sort(generator.uniform(0, 21 * DAY_S, count)),
            "n_accelerators": 4,
            "duration_s": generator.exponential(1.2 * 21 * DAY_S / count, count),
            "user": generator.integers(0, 9, count).astype(str),
        }
    )
    return write(tmp_path_factory.mktemp("busy"), jobs)


def fields(log: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "log",
        "base": base(log, scale={"load": 1.0}),
        "parameters": {"workload.scale.load": [0.5, 1.0]},
        "metrics": ["mean_wait_s", "p95_wait_s", "utilisation"],
        "replications": 4,
        **changes,
    }


def test_a_log_has_finite_waits_and_its_backlog_is_said(busy: Path, tmp_path: Path) -> None:
    result = result_of(fields(busy), tmp_path / "out")
    points = result.points.set_index("workload.scale.load")
    assert not result.steady
    assert not points["overload"].any()
    assert np.isfinite(points[["mean_wait_s", "p95_wait_s"]]).all(axis=None)
    assert points.loc[1.0, "mean_wait_s"] > 6 * 3600.0
    words = " ".join(warnings(result))
    assert "Backlog at the end of the log" in words
    assert "overload" not in words.lower()
    # All jobs are measured: no warm-up and no cool-down unless the study sets them.
    assert result.study.spec.window.measured == {"warm_up": 0.0, "cool_down": 0.0}
    assert (result.runs["jobs"] == result.runs["jobs_submitted"]).all()


def test_replication_0_is_the_log_as_it_happened(busy: Path, tmp_path: Path) -> None:
    runs = conduct(fields(busy), tmp_path / "out", workers=1)
    first = runs[(runs["replication"] == 0) & (runs["workload.scale.load"] == 1.0)].iloc[0]
    assert first["mean_wait_s"] == pytest.approx(cs.run(base(busy)).jobs["wait_s"].mean())


def test_the_interval_is_that_of_another_period(busy: Path, tmp_path: Path) -> None:
    result = result_of(fields(busy, metrics=["utilisation"]), tmp_path / "out")
    row = result.points.iloc[0]
    runs = result.runs[result.runs["point"] == 0]
    # The log ends within its third week and is drawn by days, a Monday in place of a Monday.
    assert set(runs["log_blocks"]) == {20}
    assert set(runs["log_classes"]) == {7}
    mean, mean_low, _ = mean_interval(runs["utilisation"])
    assert row["utilisation"] == pytest.approx(mean)
    low, high = next_interval(runs["utilisation"], blocks=20, classes=7, most=1.0)
    assert (row["utilisation_low"], row["utilisation_high"]) == (low, high)
    assert low < mean_low
    assert runs["utilisation"].max() < high <= 1.0


def test_the_stopping_rule_is_about_the_mean(busy: Path, tmp_path: Path) -> None:
    """More replications narrow the mean over drawn periods, not the next period."""
    rule = {"metric": "utilisation", "relative_width": 0.1, "at_least": 3, "at_most": 40}
    loads = {"workload.scale.load": [0.5]}
    study = fields(busy, parameters=loads, metrics=["utilisation"], replications=rule)
    result = result_of(study, tmp_path / "out")
    row, values = result.points.iloc[0], result.runs["utilisation"]
    assert 3 <= len(values) < 40
    mean, low, high = mean_interval(values)
    assert (high - low) / 2 <= 0.1 * mean < (row["utilisation_high"] - row["utilisation_low"]) / 2
    early = [text for text in warnings(result) if "stopped after fewer than 10 at 1 point" in text]
    assert len(early) == (len(values) < 10)


def test_no_run_depends_on_the_number_of_workers(busy: Path, tmp_path: Path) -> None:
    one = exact(conduct(fields(busy), tmp_path / "one", workers=1))
    assert exact(conduct(fields(busy), tmp_path / "two", workers=2)) == one


def test_compared_systems_run_the_same_drawn_jobs(busy: Path, tmp_path: Path) -> None:
    study = fields(
        busy,
        parameters={"scheduler.policy": ["fcfs", "easy"]},
        compare={"of": "scheduler.policy", "baseline": "fcfs"},
    )
    result = result_of(study, tmp_path / "out")
    pairs = result.runs.pivot(index="replication", columns="scheduler.policy", values="jobs")
    assert (pairs["fcfs"] == pairs["easy"]).all()
    assert pairs["fcfs"].nunique() > 1
    assert result.differences is not None
    own = result.differences.set_index("metric").loc["utilisation"]
    assert own["difference_low"] <= own["difference"] <= own["difference_high"]


def test_a_capacity_search_in_the_load_of_a_log(busy: Path, tmp_path: Path) -> None:
    study = fields(
        busy,
        parameters={},
        objective={"metric": "mean_wait_s", "at_most": "4 h"},
        capacity={"of": "workload.scale.load", "between": [0.2, 1.2], "tolerance": 0.05},
    )
    result = result_of(study, tmp_path / "out")
    assert result.capacities is not None
    row = result.capacities.iloc[0]
    assert 0.3 < row["capacity"] < 1.0
    assert row["capacity_low"] < row["capacity"] < row["capacity_high"]
    met = result.runs.groupby("workload.scale.load")["mean_wait_s"].agg(
        lambda waits: (waits <= 4 * 3600.0).sum()
    )
    (said,) = (text for text in warnings(result) if text.startswith("Periods that meet"))
    for load, number in met.items():
        assert f"{number} of 4 at {load:.3g}" in said
    assert any("load" in sentence for sentence in findings(result))
    assert load_result(tmp_path / "out").capacities is not None


@pytest.mark.parametrize("compared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_days_that_cannot_replace_each_other_end_without_an_interval(
    tmp_path: Path, compared: bool
) -> None:
    """A Friday and a Saturday: a capacity search ends, and says what a longer log would do."""
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(40),
            "submit_s": np.linspace(0.0, 2.2 * DAY_S, 40),
            "n_accelerators": 4,
            "duration_s": 3 * 3600.0,
        }
    )
    study = fields(
        write(tmp_path, jobs),
        parameters={},
        replications=3,
        objective={"metric": "mean_wait_s", "at_most": "4 h"},
        capacity={"of": "workload.scale.load", "between": [0.2, 1.2], "tolerance": 0.1},
    )
    study["base"] |= {"start": "2026-01-02"}
    study["base"]["workload"]["scale"] = {"load": 1.0, "method": "compress"}
    if compared:
        study["parameters"] = {"scheduler.policy": ["fcfs", "easy"]}
        study["compare"] = {"of": "scheduler.policy", "baseline": "fcfs"}
    result = result_of(study, tmp_path / "out")
    assert result.capacities is not None
    row = result.capacities.iloc[0]
    assert 0.2 < row["capacity"] < 1.2
    assert (row["capacity_low"], row["capacity_high"]) == (-math.inf, math.inf)
    why = "of the 2 days of the log, no two can replace each other"
    assert f"(no 95 % interval: {why}; " in " ".join(findings(result))
    steps = study_answer(result).next_steps
    assert steps[0] == f"Take a longer log: {why}, so that replications show no other period."
    assert not any(step.startswith("Add replications") for step in steps)


def test_a_log_of_a_day_says_that_replications_are_the_same(tmp_path: Path) -> None:
    jobs = pd.DataFrame(
        {"job_id": [1, 2], "submit_s": [0, 60], "n_accelerators": 4, "duration_s": 600}
    )
    study = fields(write(tmp_path, jobs), parameters={"scheduler.policy": ["fcfs", "easy"]})
    result = result_of(study, tmp_path / "out")
    assert "All replications have the same jobs" in " ".join(warnings(result))


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({"resample": "week"}, "workload.resample: week needs a log of two weeks or more"),
        ({"scale": {"load": 2, "by": "team"}}, "workload.scale.by: unknown column of the log"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, workload: dict[str, Any], words: str) -> None:
    jobs = pd.DataFrame(
        {"job_id": [1, 2], "submit_s": [0, 60], "n_accelerators": 4, "duration_s": 600}
    )
    with pytest.raises(cs.InputError) as error:
        cs.run(base(write(tmp_path, jobs), **workload))
    assert words in str(error.value)


def test_resample_applies_to_a_log() -> None:
    model = {"generate": "philly-2017", "jobs": 10, "resample": "week"}
    with pytest.raises(cs.InputError, match="resample applies to trace, not to generate"):
        cs.define_scenario({"cluster": FLEET, "workload": model})
