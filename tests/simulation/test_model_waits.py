"""Waits of a workload model against those of its log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.seeds import Streams
from clustersim.simulation.model_waits import (
    _weeks,
    checked_fit,
    compare_waits,
    enough_accelerators,
)
from clustersim.workload import WorkloadSpec, generate_jobs, load_workload, read_jobs

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
    rows = compare_waits(model, log, seeds=1, loads=[0.8], policies=["easy", "fcfs"])
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
    assert fit.low <= fit.ratio <= fit.high
    assert fit.model.sources["waits"] == fit.report()
    assert fit.model.sources["log"] == "made"
    assert "offered load 0.75, the whole log, 2 seeds" in fit.report()


def test_a_model_that_waits_longer_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Independent arrivals cannot avoid each other as those of this log do."""
    regular().to_csv(tmp_path / "jobs.csv", index=False)
    command = ["trace", str(tmp_path / "jobs.csv"), "--accelerators", "8", "--fit"]
    assert main([*command, str(tmp_path / "model.yaml")]) == 0
    shown = capsys.readouterr()
    assert "mean wait of the model / of the log" in shown.out
    assert "Note: the jobs of the model do not wait as long as those of the log" in shown.err
    model = load_workload(tmp_path / "model.yaml")
    assert model.sources["waits"].startswith("mean wait of the model / of the log")


def test_json_has_the_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = generate_jobs(WorkloadSpec.model_validate(SESSIONS), Streams(3), n_jobs=300)
    log.to_csv(tmp_path / "jobs.csv", index=False)
    assert (
        main(["trace", str(tmp_path / "jobs.csv"), "--fit", str(tmp_path / "m.yaml"), "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["fit_waits"]
    assert found["lowest"] <= found["mean_ratio"] <= found["highest"]


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

    NASA iPSC at a load of 0.6 is left out: its waits are 2.6 times those of the log, as
    docs/workload-models.md says.
    """
    jobs = read_jobs(shared_data / "traces" / f"{name}.parquet").jobs
    model = checked_fit(jobs, name=name, accelerators=accelerators).model
    rows = compare_waits(
        model, jobs, accelerators=accelerators, loads=loads, policies=["easy"], seeds=3
    )
    ratios = rows.groupby("load")["mean_ratio"].mean()
    assert ratios.between(0.5, 2).all(), ratios.to_dict()
