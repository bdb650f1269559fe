"""Fitting: known models are found again, and the named models are near their logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.workload import WorkloadSpec, generate_jobs, load_workload, read_jobs
from clustersim.workload.describe import window
from clustersim.workload.distributions import LogNormalDuration, WeibullDuration
from clustersim.workload.fit import fit_distance, fit_workload
from tests.workload.closed_form import mean_work

DAY = 86400.0


def known(**duration: object) -> WorkloadSpec:
    return WorkloadSpec.model_validate(
        {
            "arrivals": {
                "mean_interarrival": "5 min",
                "process": {"kind": "hyperexponential", "cv": 3.0},
                "daily": [0.2] * 8 + [2.0] * 10 + [0.5] * 6,
            },
            "classes": [
                {"name": "one", "weight": 1, "sizes": {8: 0.7, 6: 0.3}, "duration": duration}
            ],
        }
    )


def test_finds_a_lognormal_again() -> None:
    spec = known(kind="lognormal", median="1 h", sigma=1.3)
    fitted = fit_workload(generate_jobs(spec, Streams(2), n_jobs=20_000), name="again")
    assert len(fitted.classes) == 1
    duration = fitted.classes[0].duration
    assert isinstance(duration, LogNormalDuration)
    assert duration.median == pytest.approx(3600, rel=0.03)
    assert duration.sigma == pytest.approx(1.3, rel=0.02)
    assert fitted.classes[0].sizes[8] == pytest.approx(0.7, abs=0.01)
    assert mean_work(fitted) == pytest.approx(mean_work(spec), rel=0.05)


def test_finds_a_weibull_again() -> None:
    spec = known(kind="weibull", scale="2 h", shape=0.7)
    fitted = fit_workload(generate_jobs(spec, Streams(2), n_jobs=20_000), name="again")
    assert len(fitted.classes) == 1
    duration = fitted.classes[0].duration
    assert isinstance(duration, WeibullDuration)
    assert duration.scale == pytest.approx(7200, rel=0.04)
    assert duration.shape == pytest.approx(0.7, rel=0.03)


def test_finds_two_modes_and_the_arrivals_again() -> None:
    spec = known(kind="lognormal", median="20 s", sigma=0.4)
    jobs = generate_jobs(spec, Streams(2), n_jobs=20_000)
    long = np.random.default_rng(1).random(len(jobs)) < 0.3
    jobs["duration_s"] = jobs["duration_s"].where(~long, jobs["duration_s"] * 1000)
    fitted = fit_workload(jobs, name="again")
    short, tail = (c for c in fitted.classes)
    assert (short.name, tail.name) == ("5-8 short", "5-8 long")
    assert short.weight == pytest.approx(0.7, abs=0.02)
    assert short.duration.median == pytest.approx(20, rel=0.03)
    assert tail.duration.median == pytest.approx(20_000, rel=0.05)
    process = fitted.arrivals.process
    assert process.kind == "hyperexponential"
    assert process.cv == pytest.approx(3.0, rel=0.1)
    daily = np.array(fitted.arrivals.daily)
    assert daily[8:18].mean() / daily[:8].mean() == pytest.approx(10, rel=0.25)


def test_finds_batches_again() -> None:
    data = known(kind="constant", value="1 min").model_dump(mode="json", exclude_none=True)
    data["arrivals"] = {"mean_interarrival": "5 min", "process": {"kind": "batch", "mean_batch": 6}}
    jobs = generate_jobs(WorkloadSpec.model_validate(data), Streams(2), n_jobs=20_000)
    process = fit_workload(jobs, name="again").arrivals.process
    assert process.kind == "batch"
    assert process.mean_batch == pytest.approx(6, rel=0.05)


def test_keeps_estimates_and_virtual_clusters() -> None:
    jobs = generate_jobs(known(kind="lognormal", median="1 h", sigma=1.0), Streams(2), n_jobs=2000)
    jobs["estimate_s"] = jobs["duration_s"] * 3
    jobs["vc"] = np.where(np.arange(2000) % 4 == 0, "a", "b")
    fitted = fit_workload(jobs, name="again", virtual_clusters=True)
    (only,) = fitted.classes
    assert only.estimate is not None
    assert only.estimate.quantile(np.array([0.5]))[0] == pytest.approx(3.0)
    assert only.vcs == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 20}, "at least 50 jobs"),
        ({"submit_s": 0.0}, "not all submitted at the same time"),
        ({"duration_s": 0.0}, "run time above 0"),
        ({"duration_s": np.nan}, "run time above 0"),
    ],
)
def test_logs_that_cannot_be_fitted(change: dict[str, float], said: str) -> None:
    n = int(change.pop("n", 100))
    jobs = pd.DataFrame(
        {"job_id": range(n), "submit_s": range(n), "n_accelerators": 1, "duration_s": 5.0}
    ).assign(**change)
    with pytest.raises(InputError, match=said):
        fit_workload(jobs, name="x")


def test_constant_run_times() -> None:
    jobs = pd.DataFrame(
        {"job_id": range(100), "submit_s": range(100), "n_accelerators": 1, "duration_s": 5.0}
    )
    drawn = generate_jobs(fit_workload(jobs, name="x"), Streams(0), n_jobs=1000)
    np.testing.assert_allclose(drawn["duration_s"], 5.0, rtol=0.01)


LOGS = {
    "philly-2017": ("philly_2017.parquet", 28 * DAY, 103 * DAY, 0.0),
    "kth-sp2": ("swf_kth_sp2.parquet", 0.0, float("inf"), 14 * 3600.0),
}


def log_of(name: str, shared_data: Path) -> pd.DataFrame:
    file, start, end, _ = LOGS[name]
    return window(read_jobs(shared_data / "traces" / file).jobs, start, end)


@pytest.mark.parametrize("name", LOGS)
def test_named_models_are_near_their_logs(shared_data: Path, name: str) -> None:
    """Kolmogorov-Smirnov at most 0.04 over all jobs and 0.07 in every bin of 300 jobs or more;
    their quantiles from 10 % to 99 % within a factor of 1.8; work within 5 %.
    """
    jobs = log_of(name, shared_data)
    drawn = generate_jobs(load_workload(name), Streams(0), n_jobs=300_000)
    distance = fit_distance(drawn, jobs).set_index("bin")
    assert distance.loc["all", "ks"] < 0.04
    assert distance.loc["all", "work_ratio"] == pytest.approx(1, abs=0.06)
    large = distance[distance["jobs"] >= 300]
    assert len(large) >= 5
    assert (large["ks"] < 0.07).all()
    assert (large["worst_quantile_ratio"] < 1.8).all()
    np.testing.assert_allclose(large["share_model"], large["share_log"], atol=0.005)
    real_work = (jobs["n_accelerators"] * jobs["duration_s"]).mean()
    assert mean_work(load_workload(name)) == pytest.approx(real_work, rel=0.05)
    mean_gap = np.diff(jobs["submit_s"]).mean()
    assert load_workload(name).arrivals.mean_interarrival == pytest.approx(mean_gap, rel=0.001)


@pytest.mark.parametrize("name", LOGS)
def test_named_models_come_from_their_logs(shared_data: Path, name: str) -> None:
    """Fitting the log again gives the file (least squares to 1 %)."""
    fitted = fit_workload(log_of(name, shared_data), name=name, first_second=LOGS[name][3])
    stored = load_workload(name)
    assert [c.name for c in fitted.classes] == [c.name for c in stored.classes]
    np.testing.assert_allclose(
        [c.weight for c in fitted.classes], [c.weight for c in stored.classes], rtol=0.01
    )
    assert fitted.arrivals == stored.arrivals
