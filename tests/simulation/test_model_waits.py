"""Waits of a workload model against those of its log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.cli.trace_fit import _warn
from clustersim.seeds import Streams
from clustersim.simulation.model_waits import (
    CORRECTION_SEEDS,
    UNSEEN,
    CheckedFit,
    _load_text,
    _weeks,
    checked_fit,
    compare_waits,
    enough_accelerators,
)
from clustersim.workload import WorkloadSpec, generate_jobs, load_workload, read_jobs, save_workload
from clustersim.workload.calibrate_sessions import SEEDS
from clustersim.workload.fit_sessions import fit_sessions
from clustersim.workload.sessions import Sessions

DAY = 86400.0
SESSIONS = {
    "arrivals": {"mean_interarrival": "10 min", "process": {"kind": "sessions"}},
    "classes": [
        {
            "name": "only",
            "weight": 1,
            "sizes": {1: 1, 8: 1},
            "duration": {"kind": "lognormal", "median": "30 min", "sigma": 1.0},
            "users": {f"user-{k}": 1 for k in range(40)},
            "sessions": {"jobs": {1: 1, 6: 1}, "alike": 0.8},
        }
    ],
}


def regular(n: int = 120) -> pd.DataFrame:
    """Jobs of a whole machine at equal distances: none of them ever waits."""
    return pd.DataFrame(
        {
            "job_id": range(n),
            "submit_s": np.arange(n) * 3600.0,
            "n_accelerators": 8,
            "duration_s": 1800.0,
        }
    )


def test_a_model_compared_with_its_own_jobs_has_ratio_1() -> None:
    model = WorkloadSpec.model_validate(SESSIONS)
    log = generate_jobs(model, Streams(0), n_jobs=600)
    log["submit_s"] -= log["submit_s"].iloc[0]
    rows = compare_waits(model, log, seeds=1, first_seed=0, loads=[0.8], policies=["easy", "fcfs"])
    assert rows["policy"].tolist() == ["easy", "fcfs"]
    np.testing.assert_allclose(rows[["mean_ratio", "p95_ratio"]], 1, rtol=0.1)
    assert (rows["log_mean_s"] > 0).all()


def test_load_and_accelerators_by_hand() -> None:
    """Two jobs of 4 x 15 s in 10 s are 12 accelerators; at a load of 0.75, there are 16."""
    jobs = pd.DataFrame({"submit_s": [0.0, 10.0], "n_accelerators": 4, "duration_s": 15.0})
    assert enough_accelerators(jobs) == 16
    assert enough_accelerators(jobs.assign(n_accelerators=[1, 40])) == 82


def test_a_long_log_is_replayed_in_whole_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustersim.simulation.model_waits.MOST_REPLAYED", 400)
    jobs = regular(2000)
    jobs.loc[jobs.index < 1000, "duration_s"] = 60.0  # the first weeks are not like the mean
    part = _weeks(jobs)
    assert len(part) == 2 * 168
    assert _weeks(regular(300)) is not part
    assert len(_weeks(regular(300))) == 300


def test_the_file_says_how_long_its_jobs_wait() -> None:
    log = generate_jobs(WorkloadSpec.model_validate(SESSIONS), Streams(3), n_jobs=600)
    fit = checked_fit(log, name="again", sources={"log": "made"})
    assert fit.low < fit.ratio < fit.high, "four replications that differ"
    assert fit.model.sources["waits"] == fit.report()
    assert fit.model.sources["log"] == "made"
    assert "the whole log, 4 seeds that the fit has not seen" in fit.report()


def test_the_check_has_draws_that_the_fit_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replications of calibration, correction and check are disjoint."""
    seen: dict[str, set[int]] = {"calibration": set(), "waits": set()}

    def noted(where: str) -> Callable[..., pd.DataFrame]:
        def drawn(model: WorkloadSpec, streams: Streams, **limits: Any) -> pd.DataFrame:
            seen[where].add(streams.replication)
            return generate_jobs(model, streams, **limits)

        return drawn

    calibration = "clustersim.workload.calibrate_sessions.generate_jobs"
    monkeypatch.setattr(calibration, noted("calibration"))
    monkeypatch.setattr("clustersim.simulation.model_waits.generate_jobs", noted("waits"))
    monkeypatch.setattr("clustersim.simulation.model_waits.FACTOR", 1.0)  # always corrected
    log = generate_jobs(WorkloadSpec.model_validate(SESSIONS), Streams(3), n_jobs=300)
    fit = checked_fit(log, name="again")
    assert seen["calibration"] == set(range(SEEDS))
    assert seen["waits"] == {*CORRECTION_SEEDS, *range(UNSEEN, UNSEEN + 4)}
    assert not seen["calibration"] & seen["waits"]
    assert max(CORRECTION_SEEDS) < UNSEEN
    alone = compare_waits(
        fit.model,
        log,
        accelerators=enough_accelerators(log),
        loads=[0.75],
        policies=["easy"],
        seeds=4,
    )
    np.testing.assert_allclose(alone["model_mean_s"], fit.seeds_s)


@pytest.mark.parametrize(
    ("log_s", "seeds_s", "near", "all_near", "ratio"),
    [
        (100.0, [90.0, 110.0], True, True, 1.0),
        (100.0, [50.0, 150.0], True, False, 1.0),
        (100.0, [60.0, 120.0], True, False, 0.9),
        (100.0, [100.0, 240.0], False, False, 1.7),
        (0.0, [0.0, 5.0], True, True, np.nan),
        (0.0, [0.0, 60.0], False, False, np.nan),
    ],
)
def test_near_is_the_mean_and_each_seed(
    log_s: float, seeds_s: list[float], near: bool, all_near: bool, ratio: float
) -> None:
    model = WorkloadSpec.model_validate(SESSIONS)
    fit = CheckedFit(model, log_s, np.array(seeds_s), "made up")
    assert (fit.is_near, fit.all_near) == (near, all_near)
    np.testing.assert_allclose(fit.ratio, ratio)


def test_a_range_outside_is_reported_although_the_mean_is_inside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = WorkloadSpec.model_validate(SESSIONS)
    _warn(CheckedFit(model, 100.0, np.array([50.0, 150.0]), "made up"))
    said = capsys.readouterr().err
    assert "0.5 to 1.5 times that of the log" in said
    assert "not all inside 0.6667 to 1.5" in said
    _warn(CheckedFit(model, 100.0, np.array([80.0, 140.0]), "made up"))
    assert capsys.readouterr().err == ""


def test_the_text_says_that_arrivals_are_compressed() -> None:
    """The log has a load of 0.5 on 8 accelerators: 8 of them for half of each hour."""
    assert _load_text(0.5) == "arrivals compressed from an offered load of 0.500 to 0.75"
    assert _load_text(1.2) == "arrivals stretched from an offered load of 1.200 to 0.75"
    assert _load_text(0.7501) == "offered load 0.75"
    text = checked_fit(regular(), name="again", accelerators=8).text
    assert "compressed from an offered load of 0.504 to 0.75" in text  # 120 jobs in 119 hours


def test_a_log_without_waits_is_compared_in_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Independent arrivals cannot avoid each other as those of this log do."""
    regular().to_csv(tmp_path / "jobs.csv", index=False)
    command = ["trace", str(tmp_path / "jobs.csv"), "--accelerators", "8", "--json", "--fit"]
    assert main([*command, str(tmp_path / "model.yaml")]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)["fit_waits"]
    assert found["mean_ratio"] is found["lowest"] is found["highest"] is None
    assert found["log_mean_s"] == 0
    assert found["model_mean_s"] > 60
    assert "no job of the log waits, and the mean wait of the model is" in shown.err
    waits = load_workload(tmp_path / "model.yaml").sources["waits"]
    assert waits.startswith("no job of the log waits; mean wait of the model: ")
    assert "inf" not in waits + shown.err + json.dumps(found)


def test_a_log_of_minutes_can_be_fitted(tmp_path: Path) -> None:
    jobs = regular(80).assign(submit_s=np.arange(80) * 10.0, duration_s=15.0)
    save_workload(checked_fit(jobs, name="short").model, tmp_path / "m.yaml")
    process = load_workload(tmp_path / "m.yaml").arrivals.process
    assert isinstance(process, Sessions)
    assert process.level_length == 3600


def test_a_sparse_log_is_compared_with_few_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200,000 jobs at 20 a year would take hours of 10,000 years."""
    asked: list[int] = []

    def drawn(model: WorkloadSpec, streams: Streams, **limits: Any) -> pd.DataFrame:
        asked.append(limits["n_jobs"])
        return generate_jobs(model, streams, **limits)

    monkeypatch.setattr("clustersim.workload.generate_jobs", drawn)
    jobs = regular(60).assign(submit_s=np.arange(60) * 18 * DAY)
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    assert main(["trace", str(tmp_path / "jobs.csv"), "--fit", str(tmp_path / "m.yaml")]) == 0
    assert asked == [1200]


def test_a_fitted_file_is_the_workload_of_a_scenario(tmp_path: Path) -> None:
    """As docs/workload-models.md shows it."""
    log = generate_jobs(WorkloadSpec.model_validate(SESSIONS), Streams(3), n_jobs=300)
    save_workload(fit_sessions(log, name="again").model(), tmp_path / "model.yaml")
    (tmp_path / "scenario.yaml").write_text(_example())
    result = cs.run(tmp_path / "scenario.yaml")
    assert len(result.jobs) == 500


def _example() -> str:
    """Return the scenario in docs/workload-models.md."""
    text = (Path(__file__).parents[2] / "docs" / "workload-models.md").read_text(encoding="utf-8")
    (found,) = [
        block.split("```")[0] for block in text.split("```yaml\n")[1:] if "workload:" in block
    ]
    return found


def test_json_has_the_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = generate_jobs(WorkloadSpec.model_validate(SESSIONS), Streams(3), n_jobs=300)
    log.to_csv(tmp_path / "jobs.csv", index=False)
    assert (
        main(["trace", str(tmp_path / "jobs.csv"), "--fit", str(tmp_path / "m.yaml"), "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["fit_waits"]
    assert found["mean_ratio"] == pytest.approx(found["model_mean_s"] / found["log_mean_s"])
    assert 0 < found["lowest"] < found["mean_ratio"] < found["highest"]


def test_a_scenario_runs_a_model_with_sessions() -> None:
    """At a load of 0.6 of the fleet, over weeks, the work that arrives is near 0.6."""
    scenario = {
        "cluster": "topologies/mixed-small.yaml",
        "workload": {"generate": SESSIONS, "jobs": 400, "load": 0.6},
        "scheduler": {"policy": "easy"},
        "seed": 1,
    }
    result = cs.run(scenario)
    assert len(result.jobs) == 400
    assert result.jobs["finish_s"].notna().all()


@pytest.mark.slow
def test_waits_of_a_public_log(shared_data: Path) -> None:
    """NASA iPSC on 128 nodes with EASY at a load of 0.75: within a factor of 2; the same work."""
    jobs = read_jobs(shared_data / "traces" / "swf_nasa_ipsc.parquet").jobs
    fit = checked_fit(jobs, name="nasa", accelerators=128)
    assert 0.5 < fit.ratio < 2
    work = (jobs["n_accelerators"] * jobs["duration_s"]).to_numpy()
    drawn = generate_jobs(fit.model, Streams(5), n_jobs=150_000)
    of_model = (drawn["n_accelerators"] * drawn["duration_s"]).to_numpy()
    assert of_model.mean() == pytest.approx(work.mean(), rel=0.05)
    large, largest = drawn["n_accelerators"] > 32, jobs["n_accelerators"] > 32
    expected = work[largest].sum() / len(jobs)
    assert of_model[large].sum() / len(drawn) == pytest.approx(expected, rel=0.08)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "accelerators", "loads"),
    [("swf_kth_sp2", 100, [0.6, 0.75, 0.9]), ("swf_nasa_ipsc", 128, [0.75, 0.9])],
)
def test_waits_of_public_logs_at_several_loads(
    shared_data: Path, name: str, accelerators: int, loads: list[float]
) -> None:
    """With EASY, the mean wait of three seeds is within a factor of 2 of that of the log.

    NASA iPSC at a load of 0.6 is left out: its waits are 2.5 times those of the log, as
    docs/workload-models.md says.
    """
    jobs = read_jobs(shared_data / "traces" / f"{name}.parquet").jobs
    model = checked_fit(jobs, name=name, accelerators=accelerators).model
    rows = compare_waits(
        model, jobs, accelerators=accelerators, loads=loads, policies=["easy"], seeds=3
    )
    ratios = rows.groupby("load")["mean_ratio"].mean()
    assert ratios.between(0.5, 2).all(), ratios.to_dict()
