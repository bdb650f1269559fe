"""Fits with sessions: a known model is found again, and the work of a log is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.workload import WorkloadSpec, generate_jobs
from clustersim.workload.calibrate_sessions import SessionFit
from clustersim.workload.fit_sessions import _counts, fit_sessions
from clustersim.workload.sessions import ClassSessions
from tests.examples import examples
from tests.workload.closed_form import mean_work

DAY = 86400.0


def known(n_jobs: int = 3000, **process: object) -> pd.DataFrame:
    """Jobs of one size whose users are all different, so that each session has its own user."""
    spec = WorkloadSpec.model_validate(
        {
            "arrivals": {
                "mean_interarrival": "20 min",
                "process": {"kind": "sessions", **process},
            },
            "classes": [
                {
                    "name": "only",
                    "weight": 1,
                    "sizes": {8: 1},
                    "duration": {"kind": "lognormal", "median": "2 h", "sigma": 0.3},
                    "users": {f"user-{k}": 1 for k in range(500)},
                    "sessions": {
                        "jobs": {1: 1, 4: 1},
                        "gap": {"kind": "exponential", "average": "2 min"},
                        "alike": 0.7,
                        **({"level": "all"} if process else {}),
                    },
                }
            ],
        }
    )
    return generate_jobs(spec, Streams(2), n_jobs=n_jobs)


@pytest.fixture(scope="module")
def again() -> SessionFit:
    return fit_sessions(known(), name="again")


def test_finds_sessions_again(again: SessionFit) -> None:
    fitted = again.model()
    (only,) = fitted.classes
    assert only.sessions is not None
    assert only.sizes == {8: 1.0}
    assert only.sessions.mean_jobs() == pytest.approx(2.5, rel=0.05)
    assert only.sessions.jobs[4] / only.sessions.jobs[1] == pytest.approx(1, rel=0.2)
    assert only.sessions.alike == pytest.approx(0.7, abs=0.05)
    assert only.sessions.gap is not None
    assert only.sessions.gap.mean() == pytest.approx(120, rel=0.1)
    assert only.duration.quantile(np.array([0.5]))[0] == pytest.approx(7200, rel=0.05)


def test_finds_weeks_of_high_and_low_load_again() -> None:
    """The levels are in the order of the log, from one of its weeks on."""
    jobs = known(4000, levels={"all": (0.3, 0.3, 1.7, 1.7)})
    fit = fit_sessions(jobs, name="again")
    level = fit.levels["heavy"]
    submit = jobs["submit_s"].to_numpy()
    count = round((submit[-1] - submit[0]) / (7 * DAY))
    assert len(level) == count
    week = np.minimum(
        ((submit - submit[0]) / (submit[-1] - submit[0]) * count).astype(int), count - 1
    )
    jobs_of_week = np.bincount(week, minlength=count) / len(jobs) * count
    np.testing.assert_allclose(level, jobs_of_week, atol=0.35)
    assert np.corrcoef(level, jobs_of_week)[0, 1] > 0.95


def test_a_constant_rate_has_next_to_no_levels(again: SessionFit) -> None:
    """What the sampling of sessions explains is removed from the variance of the weeks."""
    assert np.std(again.levels["heavy"]) < 0.12


def test_keeps_the_work_of_each_class_and_of_all() -> None:
    rng = np.random.default_rng(1)
    n = 2000
    sizes = rng.choice([1, 2, 3, 4, 64, 100], n)
    jobs = pd.DataFrame(
        {
            "job_id": range(n),
            "submit_s": np.sort(rng.random(n)) * 30 * DAY,
            "n_accelerators": sizes,
            "duration_s": rng.lognormal(7, 2, n) * np.sqrt(sizes),
            "user": rng.choice(["ann", "bob", "cy"], n),
        }
    )
    model = fit_sessions(jobs, name="again").model()
    work = jobs["n_accelerators"] * jobs["duration_s"]
    assert mean_work(model) == pytest.approx(work.mean(), rel=1e-3)
    of_large = work[jobs["n_accelerators"] > 32].sum() / n
    classes = [c for c in model.classes if max(c.sizes) > 32]
    total = sum(c.weight for c in model.classes)
    fitted = [
        c.weight
        / total
        * np.average(list(c.sizes), weights=list(c.sizes.values()))
        * c.duration.mean()
        for c in classes
    ]
    assert sum(fitted) == pytest.approx(of_large, rel=1e-3)
    assert set(model.classes[0].users or ()) == {"ann", "bob", "cy"}


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=80))
def test_the_table_of_numbers_of_jobs_keeps_their_mean(counts: list[int]) -> None:
    table = ClassSessions(jobs=_counts(np.array(counts)))
    assert table.mean_jobs() == pytest.approx(np.mean(counts), rel=1e-6)
    assert len(table.jobs) <= 2 * 16


def test_a_model_is_chosen_nearer_to_a_correction(again: SessionFit) -> None:
    """Waits that were twice those of the log make the fit choose less waiting work."""
    assert again.ratio(2.0).mean() < again.ratio(1.0).mean()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"submit_s": 0.0}, "not all submitted at the same time"), ({"duration_s": 0.0}, "above 0")],
)
def test_logs_that_cannot_be_fitted(change: dict[str, float], said: str) -> None:
    jobs = pd.DataFrame(
        {"job_id": range(100), "submit_s": range(100), "n_accelerators": 1, "duration_s": 5.0}
    ).assign(**change)
    with pytest.raises(InputError, match=said):
        fit_sessions(jobs, name="x")


def test_a_short_log_without_users_has_no_levels() -> None:
    jobs = pd.DataFrame(
        {
            "job_id": range(100),
            "submit_s": np.arange(100) * 600.0,
            "n_accelerators": 1,
            "duration_s": 5.0,
        }
    )
    model = fit_sessions(jobs, name="x").model()
    assert model.arrivals.process.levels == {}
    drawn = generate_jobs(model, Streams(0), n_jobs=1000)
    np.testing.assert_allclose(drawn["duration_s"], 5.0, rtol=0.01)
