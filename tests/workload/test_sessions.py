"""Workload models with sessions: by hand, and against what their parameters say."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.workload import (
    WorkloadSpec,
    check_jobs,
    generate_jobs,
    load_workload,
    save_workload,
)
from clustersim.workload.backlog import held_back, waiting_s
from tests.examples import examples
from tests.workload.closed_form import mean_work

DAY = 86400.0
MODEL: dict[str, Any] = {
    "arrivals": {
        "mean_interarrival": "2 min",
        "daily": [0.5] * 8 + [2.0] * 10 + [0.75] * 6,
        "process": {
            "kind": "sessions",
            "level_length": "7 d",
            "levels": {"project": [0.2, 0.6, 2.2]},
        },
    },
    "classes": [
        {
            "name": "large",
            "weight": 1,
            "sizes": {64: 3, 128: 1},
            "duration": {"kind": "lognormal", "median": "1 h", "sigma": 1.0},
            "users": {"ann": 1, "bob": 2},
            "sessions": {
                "jobs": {1: 0.5, 3: 0.25, 9: 0.25},
                "gap": {"kind": "exponential", "average": "5 min"},
                "alike": 0.8,
                "level": "project",
            },
        },
        {
            "name": "small",
            "weight": 3,
            "sizes": {1: 1},
            "duration": {"kind": "exponential", "average": "10 min"},
        },
    ],
}


def model(**process: object) -> WorkloadSpec:
    data = copy.deepcopy(MODEL)
    data["arrivals"]["process"] |= process
    return WorkloadSpec.model_validate(data)


def test_expected_work_and_shares_are_those_of_the_classes() -> None:
    """Over many periods; the sessions of 9 similar jobs make the work of the large class vary."""
    spec = model()
    horizon = 3 * 7 * DAY * 20
    jobs = generate_jobs(spec, Streams(1), horizon_s=horizon)
    check_jobs(jobs, "model")
    assert len(jobs) / horizon == pytest.approx(1 / 120, rel=0.02)
    assert (jobs["job_class"] == "large").mean() == pytest.approx(0.25, rel=0.03)
    work = (jobs["n_accelerators"] * jobs["duration_s"]).sum() / horizon
    assert work == pytest.approx(mean_work(spec) / 120, rel=0.04)
    large = jobs[jobs["job_class"] == "large"]
    assert (large["n_accelerators"] == 128).mean() == pytest.approx(0.25, abs=0.01)
    assert (large["user"] == "bob").mean() == pytest.approx(2 / 3, abs=0.01)
    reference = stats.lognorm(1.0, scale=3600).cdf
    assert stats.ks_1samp(large["duration_s"], reference).statistic < 0.015


def test_jobs_of_a_session_are_alike() -> None:
    """Sessions of two jobs that are submitted at once follow each other."""
    data = copy.deepcopy(MODEL)
    data["arrivals"] = {"mean_interarrival": "1 h", "process": {"kind": "sessions"}}
    data["classes"] = data["classes"][:1]
    data["classes"][0]["sessions"] = {"jobs": {2: 1}, "alike": 0.6}
    jobs = generate_jobs(WorkloadSpec.model_validate(data), Streams(2), n_jobs=20_000)
    first, second = jobs.iloc[0::2], jobs.iloc[1::2]
    assert (first["submit_s"].to_numpy() == second["submit_s"].to_numpy()).all()
    assert (first["n_accelerators"].to_numpy() == second["n_accelerators"].to_numpy()).all()
    assert (first["user"].to_numpy() == second["user"].to_numpy()).all()
    found = np.corrcoef(np.log(first["duration_s"]), np.log(second["duration_s"]))[0, 1]
    assert found == pytest.approx(0.6, abs=0.02)


def test_gaps_and_numbers_of_jobs_are_those_of_the_class() -> None:
    data = copy.deepcopy(MODEL)
    data["arrivals"] = {"mean_interarrival": "1 d", "process": {"kind": "sessions"}}
    data["classes"] = data["classes"][:1]
    data["classes"][0]["sessions"]["gap"]["average"] = "1 s"
    del data["classes"][0]["sessions"]["level"]
    jobs = generate_jobs(WorkloadSpec.model_validate(data), Streams(3), n_jobs=20_000)
    gaps = np.diff(jobs["submit_s"])
    within = gaps[gaps < 30]
    assert within.mean() == pytest.approx(1, rel=0.03)
    counts = np.diff(np.flatnonzero(np.append(True, gaps >= 30)))
    assert (counts == 9).mean() == pytest.approx(0.25, abs=0.03)
    assert (counts == 1).mean() == pytest.approx(0.5, abs=0.03)


def test_levels_last_for_their_periods_and_follow_the_list() -> None:
    jobs = generate_jobs(model(), Streams(4), horizon_s=3 * 7 * DAY * 25)
    large = jobs[jobs["job_class"] == "large"]["submit_s"].to_numpy()
    hours = np.bincount((large // 3600).astype(int) % (3 * 168), minlength=3 * 168)
    day = hours.reshape(21, 24).sum(axis=1)  # the cycle begins somewhere in these 21 days
    rotated = [np.roll(day, -k).reshape(3, 7).sum(axis=1) / day.sum() for k in range(21)]
    nearest = min(np.abs(each - np.array([0.2, 0.6, 2.2]) / 3).max() for each in rotated)
    assert nearest < 0.05
    small = jobs[jobs["job_class"] == "small"]["submit_s"].to_numpy()
    weeks = np.bincount((small // (7 * DAY)).astype(int) % 3) / len(small)
    np.testing.assert_allclose(weeks, 1 / 3, atol=0.01)


def test_replications_begin_at_different_levels() -> None:
    counts = [
        int(
            (generate_jobs(model(), Streams(1, replication=k), horizon_s=DAY)["user"].notna()).sum()
        )
        for k in range(12)
    ]
    assert max(counts) > 3 * min(counts)


def test_a_longer_run_begins_with_the_jobs_of_a_shorter_one() -> None:
    spec = model(headroom=1.5)
    long = generate_jobs(spec, Streams(5), n_jobs=4000)
    short = generate_jobs(spec, Streams(5), n_jobs=700)
    np.testing.assert_allclose(short["submit_s"], long["submit_s"][:700], rtol=1e-9)
    assert short["duration_s"].tolist() == long["duration_s"][:700].tolist()
    until = float(long["submit_s"].iloc[700])
    by_time = generate_jobs(spec, Streams(5), horizon_s=until)
    assert len(by_time) == 700
    assert short["job_id"].tolist() == list(range(1, 701))


def test_a_higher_load_has_the_same_jobs_in_each_class() -> None:
    slow = generate_jobs(model(), Streams(6), n_jobs=3000)
    fast = generate_jobs(model(), Streams(6), n_jobs=3000, rate_scale=1.5)
    assert fast["submit_s"].iloc[-1] < slow["submit_s"].iloc[-1]
    for name, exact in (("small", True), ("large", False)):
        one, other = (jobs["duration_s"][jobs["job_class"] == name] for jobs in (slow, fast))
        if exact:  # without sessions, none begins before time 0 and ends after it
            count = min(len(one), len(other))
            assert one[:count].tolist() == other[:count].tolist()
        assert len(np.intersect1d(one, other)) > 0.8 * min(len(one), len(other))


def test_a_class_without_sessions_is_a_poisson_process() -> None:
    data = copy.deepcopy(MODEL)
    data["arrivals"] = {"mean_interarrival": "2 min", "process": {"kind": "sessions"}}
    data["classes"] = data["classes"][1:]
    jobs = generate_jobs(WorkloadSpec.model_validate(data), Streams(7), n_jobs=20_000)
    gaps = np.diff(jobs["submit_s"])
    assert stats.ks_1samp(gaps, stats.expon(scale=120).cdf).statistic < 0.012


def test_daily_cycle_follows_the_local_clock() -> None:
    jobs = generate_jobs(model(), Streams(8), horizon_s=140 * DAY)
    hour = (jobs["submit_s"] // 3600 % 24).astype(int)
    night, work = (hour < 8).mean() / 8, ((hour >= 8) & (hour < 18)).mean() / 10
    assert work / night == pytest.approx(4, rel=0.1)


whole = st.integers(0, 40)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.tuples(whole, st.integers(1, 5), st.integers(1, 30)), min_size=1, max_size=20),
    st.integers(1, 6),
)
def test_waiting_work_equals_the_recursion(
    given_jobs: list[tuple[int, int, int]], capacity: int
) -> None:
    """On whole cells: what waits after a cell is what waited, plus demand, less capacity."""
    rows = sorted(given_jobs)
    submit, sizes, runs = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    waiting = {int(submit[0]): 0.0}
    for cell in range(int(submit[0]), 41):
        demand = float(sizes[(submit <= cell) & (cell < submit + runs)].sum())
        waiting[cell + 1] = max(0.0, waiting[cell] + demand - capacity)
    found = waiting_s(submit, sizes, runs, capacity, cell_s=1.0)
    np.testing.assert_allclose(found, [waiting[int(s)] / capacity for s in submit], atol=1e-9)
    later = held_back(submit, sizes, runs, capacity)
    assert (later >= submit).all()
    assert (np.diff(later) >= 0).all()


def test_users_hold_jobs_back_while_there_is_no_room() -> None:
    free = generate_jobs(model(), Streams(9), horizon_s=30 * DAY)
    held = generate_jobs(model(headroom=1.2), Streams(9), horizon_s=30 * DAY)
    capacity = 1.2 * mean_work(model()) / 120

    def worst(jobs: Any) -> float:
        columns = ("submit_s", "n_accelerators", "duration_s")
        return float(waiting_s(*(jobs[c].to_numpy(dtype=float) for c in columns), capacity).max())

    assert worst(held) < worst(free) / 2


def test_feedback_moves_work_out_of_a_short_run() -> None:
    """With a headroom of 1.2, a week has less work than without, as docs/workload-models.md says.

    Jobs held back past the end are lost, and the backlog of more than a week ago is not drawn.
    """
    data: dict[str, Any] = {
        "arrivals": {"mean_interarrival": "1 h", "process": {"kind": "sessions"}},
        "classes": [
            {
                "name": "only",
                "weight": 1,
                "sizes": {8: 1},
                "duration": {"kind": "exponential", "average": "10 h"},
                "sessions": {"jobs": {20: 1}, "alike": 0.8},
            }
        ],
    }
    free = WorkloadSpec.model_validate(data)
    data["arrivals"]["process"]["headroom"] = 1.2
    held = WorkloadSpec.model_validate(data)

    def work(spec: WorkloadSpec, seed: int) -> float:
        jobs = generate_jobs(spec, Streams(0, replication=seed), horizon_s=7 * DAY)
        return float((jobs["n_accelerators"] * jobs["duration_s"]).sum())

    expected = mean_work(free) * 168
    found = np.array([[work(spec, k) for spec in (free, held)] for k in range(100)]) / expected
    assert found[:, 0].mean() == pytest.approx(1, abs=0.15)
    assert (found[:, 1] - found[:, 0]).mean() == pytest.approx(-0.07, abs=0.01)


def test_a_long_time_without_jobs_leaves_no_waiting_work() -> None:
    """Few jobs in many cells are computed at their own cells: the same burst waits as before."""
    burst = np.array([0.0, 0.0, 1000.0, 7300.0])
    sizes, runs = np.array([1.0, 2.0, 1.0, 1.0]), np.full(4, 3600.0)
    one = waiting_s(burst, sizes, runs, 1.0)
    three_years = 1000 * DAY
    two = waiting_s(np.append(burst, burst + three_years), np.tile(sizes, 2), np.tile(runs, 2), 1.0)
    assert one[3] > 3600
    np.testing.assert_allclose(two, np.tile(one, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("classes", 0, "sessions", "level"), "projekt", "did you mean 'project'"),
        (("classes", 0, "sessions", "jobs"), {0: 1}, "0 is not a number of jobs"),
        (("classes", 0, "sessions", "jobs"), {}, "at least one number of jobs"),
        (("classes", 0, "sessions", "jobs"), {2: -1}, "the weight must be 0 or more"),
        (("classes", 0, "sessions", "jobs"), {2: 0}, "at least one weight"),
        (("classes", 0, "sessions", "alike"), 1.5, "alike"),
        (("arrivals", "process"), {"kind": "poisson"}, "needs arrivals.process: {kind: sessions}"),
        (("arrivals", "process", "levels", "project"), [0, 0], "not all 0"),
        (("arrivals", "process", "levels", "other"), [1], "same number of periods"),
        (("arrivals", "process", "headroom"), 1.0, "headroom"),
        (("arrivals", "process", "level_length"), "1 min", "level_length"),
    ],
)
def test_models_that_are_none(path: tuple[Any, ...], value: object, said: str) -> None:
    data = copy.deepcopy(MODEL)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError) as raised:
        validate(WorkloadSpec, data, "model.yaml")
    assert said in str(raised.value)


def test_headroom_needs_durations() -> None:
    data = copy.deepcopy(MODEL)
    data["arrivals"]["process"]["headroom"] = 1.5
    del data["classes"][1]["duration"]
    data["classes"][1] |= {"model": "llama3-8b", "tokens": {"kind": "constant", "value": 1e9}}
    with pytest.raises(InputError, match=r"classes\.small has none"):
        validate(WorkloadSpec, data, "model.yaml")


def test_a_file_has_all_of_it(tmp_path: Path) -> None:
    save_workload(model(headroom=1.7), tmp_path / "model.yaml")
    assert load_workload(tmp_path / "model.yaml") == model(headroom=1.7)


@pytest.mark.slow
def test_a_million_jobs_take_seconds() -> None:
    began = time.perf_counter()
    jobs = generate_jobs(model(headroom=1.5), Streams(1), n_jobs=1_000_000)
    assert len(jobs) == 1_000_000
    assert time.perf_counter() - began < 30
