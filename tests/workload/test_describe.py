"""Statistics of logs: by hand, and against those published with the reference logs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.cli import trace
from clustersim.errors import InputError
from clustersim.workload import describe_jobs, load_workload, read_jobs
from clustersim.workload.describe import size_bins, window

DAY = 86400


def table(submit: list[float], n: list[int], run: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"job_id": range(len(n)), "submit_s": submit, "n_accelerators": n, "duration_s": run}
    )


def test_by_hand() -> None:
    got = describe_jobs(table([0, 10, 10, 40], [1, 2, 8, 5], [100, 50, 25, np.nan]))
    assert got.jobs == 4
    assert got.span_s == 40
    assert got.rate_per_s == pytest.approx(3 / 40)
    gaps = np.array([10, 0, 30])
    assert got.interarrival_cv == pytest.approx(gaps.std() / gaps.mean())
    assert got.size_mix["bin"].tolist() == ["1", "2", "3-4", "5-8"]
    assert got.size_mix["jobs_share"].tolist() == [0.25, 0.25, 0, 0.5]
    assert got.size_mix["work_share"].tolist() == [0.25, 0.25, 0, 0.5]
    assert got.work_accelerator_s == 400
    assert got.mean_duration_s == pytest.approx(175 / 3)
    assert got.duration_quantiles_s[0.5] == 50
    assert got.jobs_without_duration == 1
    assert got.offered_load(20) == pytest.approx(400 / 40 / 20)


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=50))
def test_size_bins_hold_their_sizes(sizes: list[int]) -> None:
    index, labels = size_bins(sizes)
    for size, k in zip(sizes, index, strict=True):
        low, _, high = labels[k].partition("-")
        assert int(low) <= size <= int(high or low)


def test_cycle_counts_only_time_covered() -> None:
    """One job an hour from noon on for 36 hours: the same rate in all hours."""
    submit = [float(t) for t in range(12 * 3600, 48 * 3600 + 1, 3600)]
    got = describe_jobs(table(submit, [1] * len(submit), [1.0] * len(submit)))
    np.testing.assert_allclose(got.by_hour[1:12] * 3600, 1.0)
    np.testing.assert_allclose(got.by_hour[13:] * 3600, 1.0)
    assert np.isnan(got.by_weekday[2:6]).all()


def test_first_second_shifts_the_cycle() -> None:
    submit = [k * 7.0 * DAY for k in range(5)]
    jobs = table(submit, [1] * 5, [1.0] * 5)
    assert np.nanargmax(describe_jobs(jobs).by_weekday) == 0
    shifted = describe_jobs(jobs, first_second=2 * DAY + 5 * 3600)
    assert np.nanargmax(shifted.by_weekday) == 2
    assert np.nanargmax(shifted.by_hour) == 5


def test_one_job() -> None:
    got = describe_jobs(table([5], [4], [10]))
    assert got.jobs == 1
    assert np.isnan(got.rate_per_s)


LOGS = {
    "philly_2017": (2816, {}),
    "swf_kth_sp2": (100, {}),
    "swf_cea_curie": (93312, {"jobs": 295_540, "max_size": 79_808}),
}


@pytest.mark.parametrize("name", LOGS)
def test_reference_logs(shared_data: Path, name: str) -> None:
    """The statistics that come with the logs; those of Curie count run times of 0 as jobs."""
    capacity, ours = LOGS[name]
    published = {**json.loads((shared_data / "traces" / "stats.json").read_text())[name], **ours}
    log = read_jobs(shared_data / "traces" / f"{name}.parquet")
    got = describe_jobs(log.jobs)
    assert got.jobs == published["jobs"]
    assert got.max_size == published["max_size"]
    assert got.work_accelerator_s / 3600 == pytest.approx(published["accel_hours"], abs=1)
    assert got.span_s / DAY == pytest.approx(published["span_days"], abs=0.01)
    assert got.offered_load(capacity) == pytest.approx(published["offered_load"], abs=0.001)
    work = dict(zip(got.size_mix["bin"], got.size_mix["work_share"] * 100, strict=True))
    for label, share in published["size_mix_work_pct"].items():
        if label.startswith(">"):
            above = got.size_mix["largest"] > int(label[1:])
            found = float(got.size_mix["work_share"][above].sum() * 100)
        else:
            found = work[label]
        assert found == pytest.approx(share, abs=0.011)
    if name == "swf_cea_curie":
        return
    jobs = dict(zip(got.size_mix["bin"], got.size_mix["jobs_share"] * 100, strict=True))
    for label, share in published["size_mix_pct"].items():
        assert jobs[label] == pytest.approx(share, abs=0.011)
    for label, p in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert got.duration_quantiles_s[p] == pytest.approx(published["duration_s"][label], abs=0.1)
    assert got.mean_duration_s == pytest.approx(published["duration_s"]["mean"], abs=0.1)
    assert got.interarrival_cv == pytest.approx(published["interarrival"]["cv"], abs=0.01)
    assert got.rate_per_s * 3600 == pytest.approx(published["arrival_per_hour"], abs=0.01)


def test_window_of_philly(shared_data: Path) -> None:
    """Four weeks from 2 October: second 0 is Monday, 4 September 2017."""
    published = json.loads((shared_data / "traces" / "stats.json").read_text())
    four_weeks = published["philly_2017[2017-10-02..10-29]"]
    jobs = read_jobs(shared_data / "traces" / "philly_2017.parquet").jobs
    got = describe_jobs(window(jobs, 28 * DAY, 56 * DAY))
    assert got.jobs == four_weeks["jobs"]
    assert got.offered_load(2816) == pytest.approx(four_weeks["offered_load"], abs=0.001)


def run_command(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="clustersim")
    trace.add_parser(parser.add_subparsers())
    args = parser.parse_args(["trace", *words])
    return int(args.run(args))


@pytest.fixture
def jobs_csv(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 600
    jobs = table(
        np.cumsum(rng.exponential(1800, n)).tolist(),
        rng.choice([1, 2, 8, 64], n).tolist(),
        rng.lognormal(6, 1, n).tolist(),
    )
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    return tmp_path / "jobs.csv"


def test_command(jobs_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = jobs_csv.with_name("out.png")
    assert run_command(str(jobs_csv), "--accelerators", "32", "--plot", str(picture)) == 0
    said = capsys.readouterr().out
    assert "600 rows, 600 jobs" in said
    assert "offered load on 32 accelerators" in said
    assert "jobs are larger than the largest pool (32)" in said
    assert "day of the week" in said
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_command_fits(jobs_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = jobs_csv.with_name("mine.yaml")
    assert run_command(str(jobs_csv), "--fit", str(model), "--since", "1 d", "--start", "14 h") == 0
    said = capsys.readouterr().out
    assert "submitted between --since and --until" in said
    assert "Fitted model against the log" in said
    assert load_workload(model).name == "mine"
    assert model.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="exists already"):
        run_command(str(jobs_csv), "--fit", str(model))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--accelerators", "0"], "--accelerators: must be a whole number of 1 or more, found '0'"),
        (
            ["--accelerators", "many"],
            "--accelerators: must be a whole number of 1 or more, found 'many'",
        ),
        (["--since", "28"], "--since: '28' has no unit"),
        (["--since", "9000 d"], "no job was submitted between --since and --until"),
        (["--plot", "out.gif"], "cannot save a figure as 'gif'"),
        (["--log-format", "cvs"], "unknown format 'cvs'; did you mean 'csv'"),
    ],
)
def test_command_faults(jobs_csv: Path, words: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        run_command(str(jobs_csv), *words)
    assert said in str(caught.value)
