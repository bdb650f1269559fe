"""Metrics of several finished runs side by side, and their paired differences."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.on_request.compared_runs import compared_runs, paired_interval
from clustersim.array_types import Floats
from clustersim.cli.main import main


def log(count: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    jobs = pd.DataFrame({"job_id": range(count), "submit_s": np.arange(count) * 110.0})
    return jobs.assign(
        n_accelerators=rng.choice([1, 2, 4, 8], count), duration_s=rng.exponential(110.0, count)
    )


def replayed(jobs: pd.DataFrame, policy: str) -> cs.Result:
    return cs.replay(jobs, policy=policy, accelerators=8)


def test_values_and_differences_by_hand() -> None:
    jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20], "duration_s": 100})
    jobs = jobs.assign(n_accelerators=[4, 8, 4])
    runs = {name: replayed(jobs, name) for name in ("fcfs", "first_fit")}
    # fcfs: waits 0, 90, 180. first_fit: job 3 starts at 20 and ends at 120, so job 2 starts at 120.
    found = compared_runs(runs, ["mean_wait_s", "makespan_s"])
    own = found.values.loc["mean_wait_s"].to_dict()
    assert own == pytest.approx({"fcfs": 90.0, "first_fit": 110 / 3})
    wait, makespan = found.differences["difference"]
    assert wait == pytest.approx(110 / 3 - 90)
    assert makespan == 220.0 - 300.0
    assert found.differences[["low", "high"]].isna().to_numpy().all()  # three jobs have none


def test_jobs_without_a_deadline_are_left_out_of_its_difference() -> None:
    jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20], "duration_s": 100})
    jobs = jobs.assign(n_accelerators=[4, 8, 4], slo_s=[None, 200.0, 150.0])
    runs = {name: replayed(jobs, name) for name in ("fcfs", "first_fit")}
    # fcfs ends job 2 at 200 and job 3 at 300; first_fit ends them at 220 and 120.
    found = compared_runs(runs, ["slo_attainment"])
    assert found.values.loc["slo_attainment"].tolist() == [0.5, 0.5]
    assert found.differences["difference"].tolist() == [0.0]
    one = jobs.assign(slo_s=[None, None, 150.0])
    runs = {name: replayed(one, name) for name in ("fcfs", "first_fit")}
    assert compared_runs(runs, ["slo_attainment"]).differences["difference"].tolist() == [1.0]


def test_the_interval_holds_the_difference_and_names_the_pair() -> None:
    jobs = log(1500)
    runs = {name: replayed(jobs, name) for name in ("fcfs", "easy", "sjf")}
    found = compared_runs(runs, ["mean_wait_s", "p95_wait_s", "utilisation"])
    assert len(found.differences) == 6
    for metric, run, difference, low, high, jobs in found.differences.itertuples(index=False):
        assert jobs == 1500
        values = found.values.loc[metric]
        assert difference == pytest.approx(values[run] - values["fcfs"])
        assert (low <= difference <= high) == (metric != "utilisation")
    again = compared_runs(runs, ["mean_wait_s", "p95_wait_s", "utilisation"])
    pd.testing.assert_frame_equal(found.differences, again.differences)


def plain_twin(before: Floats, after: Floats, q: float | None) -> float:
    """Half width by drawing the very jobs of each block again, one draw after the other."""
    count = min(20, len(before) // 50)
    blocks = [np.flatnonzero(np.arange(len(before)) * count // len(before) == k)
              for k in range(count)]  # fmt: skip
    draws = cs.Streams(0)("blocks of the jobs of two runs").integers(count, size=(400, count))
    differences = []
    for draw in draws:
        jobs = np.concatenate([blocks[k] for k in draw])
        if q is None:
            differences.append(after[jobs].mean() - before[jobs].mean())
        else:
            one, two = (np.quantile(own[jobs], q, method="inverted_cdf") for own in (before, after))
            differences.append(two - one)
    t_of_19 = 2.093024
    return float(t_of_19 * np.std(differences) * math.sqrt(count / (count - 1)))


@pytest.mark.parametrize("q", [None, 0.5, 0.95])
def test_a_plain_twin_has_the_same_interval(q: float | None) -> None:
    rng = np.random.default_rng(4)
    before = rng.exponential(100.0, 1013)
    after = before * rng.uniform(0.5, 1.2, 1013)
    low, high = paired_interval(before, after, q)
    assert (high - low) / 2 == pytest.approx(plain_twin(before, after, q), rel=1e-5)


def test_how_often_the_interval_holds_the_truth() -> None:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(200):
        common = rng.exponential(1.0, 1000)
        low, high = paired_interval(common, common + rng.normal(-0.2, 1.0, 1000))
        hits += bool(low <= -0.2 <= high)
    assert 180 <= hits <= 199


def test_blocks_that_drift_have_no_interval() -> None:
    waits = np.linspace(0.0, 1000.0, 2000)
    assert all(map(math.isnan, paired_interval(waits, waits * 1.5)))


def test_other_jobs_have_no_difference() -> None:
    runs = {"one": replayed(log(50), "fcfs"), "two": replayed(log(50, seed=2), "fcfs")}
    found = compared_runs(runs, ["mean_wait_s"])
    assert found.other_jobs == ("two",)
    assert found.differences.empty
    with pytest.raises(cs.InputError, match="needs two runs, found 1"):
        compared_runs({"one": runs["one"]})


def test_jobs_that_one_run_did_not_finish_are_left_out_of_the_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0.0, 0.0], "n_accelerators": 8})
    jobs = jobs.assign(duration_s=[100.0, 50.0])
    full = replayed(jobs, "fcfs")
    jobs.to_csv("jobs.csv", index=False)
    cut = cs.run(
        {
            "cluster": {"name": "c", "pools": {"p": {"accelerator": "H200", "nodes": 1}}},
            "workload": {"trace": "jobs.csv"},
            "scheduler": {"policy": "sjf"},
            "horizon": "60 s",
        }
    )
    # Job 2 ends at 150 s in the full run and at 50 s in the other one, which has not ended job 1.
    found = compared_runs({"full": full, "cut": cut}, ["mean_jct_s"])
    assert found.differences["difference"].tolist() == [50.0 - 150.0]
    assert found.differences["jobs"].tolist() == [1]
    full.save("full")
    cut.save("cut")
    capsys.readouterr()
    assert main(["metrics", "mean_jct_s", "--of", "full", "cut"]) == 0
    said = "Difference from full, on the 1 of 2 jobs that both runs measured; 1 are left out"
    assert said in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = log(600)
    for name in ("fcfs", "easy"):
        replayed(jobs, name).save(tmp_path / name)
    replayed(log(30), "fcfs").save(tmp_path / "short")
    folders = [str(tmp_path / name) for name in ("fcfs", "easy", "short")]
    capsys.readouterr()
    assert main(["metrics", *folders]) == 0
    text = capsys.readouterr().out
    assert "Difference from fcfs, on the same 600 jobs (95 % interval)" in text
    assert "Note: short has other jobs than fcfs: no paired difference" in text
    assert " points" in text
    assert main(["metrics", "mean_wait_s", "--of", *folders[:2], "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["metrics"]) == {"fcfs", "easy"}
    [row] = data["differences"]
    values = [data["metrics"][name]["mean_wait_s"] for name in ("fcfs", "easy")]
    assert row["difference"] == pytest.approx(values[1] - values[0], rel=1e-6)
    assert main(["metrics", folders[0], folders[0]]) == 2
    assert "is named twice" in capsys.readouterr().err
    assert main(["metrics", str(tmp_path / "no")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
