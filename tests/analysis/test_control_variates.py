"""Jackknife and control variates by hand, against theory and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.control_variates import (
    Control,
    controlled,
    jackknife,
    least_explained,
)
from clustersim.analysis.job_statistics import (
    best_of,
    job_mean,
    job_quantile,
    metric_over_jobs,
    share_above,
    with_and_without,
    work_deviations,
)
from clustersim.analysis.samples import LEVELS, Pooled, Sample, pack, unpack
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(60))
numbers = st.lists(st.floats(0.0, 1e6, allow_subnormal=False), min_size=1, max_size=30)


# Jackknife


def test_jackknife_of_a_mean_by_hand() -> None:
    # values 2, 4, 6: standard deviation 2; leverage 1/3 makes the error 2 / sqrt(3 - 1)
    found = jackknife(with_and_without(np.array([2.0, 4.0, 6.0]))).one()
    half = 4.302652729911275 * 2 / math.sqrt(2)
    assert (found.value, found.low, found.high) == pytest.approx((4.0, 4 - half, 4 + half))
    assert found.influence == pytest.approx((-1.0, 0.0, 1.0))
    assert found.freedom == 2


def test_a_logarithmic_interval_is_positive_and_of_factors() -> None:
    found = jackknife(with_and_without(np.array([8.0, 9.0, 10.0, 11.0, 12.0]))).positive().one()
    assert 0 < found.low < found.value < found.high
    assert found.value / found.low == pytest.approx(found.high / found.value)


def test_an_interval_over_orders_of_magnitude_is_not_stated() -> None:
    found = jackknife(with_and_without(np.array([1e-3, 1e3]))).positive().one()
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert jackknife(np.array([1.0, np.nan])).positive().one().high == math.inf


# Control variates


def means(each: np.ndarray) -> np.ndarray:
    """Means over all replications, then without each of them, along the first axis."""
    return np.concatenate([[each.mean(axis=0)], (each.sum(axis=0) - each) / (len(each) - 1)])


def plain_twin(values: np.ndarray, controls: np.ndarray, expected: np.ndarray) -> tuple:
    """Regression on all controls at once: value, HC3 error, and adjusted share explained."""
    count = len(values)
    design = np.column_stack([np.ones(count), controls - controls.mean(axis=0)])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ values
    at = np.concatenate([[1.0], expected - controls.mean(axis=0)])
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    rest = values - design @ coefficients
    error = math.sqrt((((design @ inverse @ at) * rest / (1 - leverage)) ** 2).sum())
    freedom = count - design.shape[1]
    return at @ coefficients, error, 1 - rest @ rest / freedom / values.var(ddof=1)


def test_regression_by_hand() -> None:
    # mean 6, slope 2, rest +1 -1 0 0 -1 +1 less what the slope takes
    control = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    values = 1.0 + 2.0 * control + np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
    x, y = control - 2.5, values - values.mean()
    slope = (x @ y) / (x @ x)
    found = controlled(with_and_without(values), Control(with_and_without(control), np.array(3.0)))
    assert float(found.value) == pytest.approx(values.mean() + slope * 0.5)
    _, error, explained = plain_twin(values, control[:, None], np.array([3.0]))
    assert found.freedom == 4
    assert float(found.high - found.value) == pytest.approx(2.7764451051977987 * error)
    assert float(found.explained) == pytest.approx(explained)
    assert float((found.influence**2).sum()) == pytest.approx(error**2)
    assert bool(found.usable)


@repeatable
@given(st.integers(6, 14), st.integers(1, 2), st.integers(0, 999))
def test_controls_against_a_regression_on_all_at_once(count: int, kinds: int, seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    controls = random.standard_normal((count, kinds)) + random.standard_normal((count, 1))
    values = controls.sum(axis=1) + 0.3 * random.standard_normal(count)
    expected = 0.2 * random.standard_normal(kinds)
    found = controlled(
        means(values),
        *(Control(means(x), np.array(e)) for x, e in zip(controls.T, expected, strict=True)),
    )
    value, error, explained = plain_twin(values, controls, expected)
    assert float(found.value) == pytest.approx(value)
    assert math.hypot(*found.influence) == pytest.approx(error)
    assert float(found.explained) == pytest.approx(max(explained, 0.0), abs=1e-9)


def test_a_control_that_explains_little_is_not_used() -> None:
    random = np.random.Generator(np.random.PCG64(3))
    values, noise = random.standard_normal((2, 12))
    found = controlled(with_and_without(values), Control(with_and_without(noise), np.array(0.0)))
    assert bool(found.usable)
    assert found.explained < least_explained(12, 1)
    assert best_of({"noise": found.one()}) is None


def with_work(means: np.ndarray, expected: float) -> list[dict[str, Sample]]:
    """Runs with one job each, before which there was some unfinished work."""
    stationary = Sample.of([0.0, 2 * expected])
    return [
        {
            "wait_s": Sample.of([1.0]),
            "unfinished_work_s": Sample.of([mean]),
            "stationary_unfinished_work_s": stationary,
        }
        for mean in means
    ]


def test_deviations_of_the_work_by_hand() -> None:
    # One job a run: its work is the run's mean, the expectation of which is 2.
    runs = with_work(np.array([1.0, 2.0, 6.0]), 2.0)
    (work,) = work_deviations(runs, "wait_s").values()
    assert work == pytest.approx([-1.0, 0.0, 4.0])
    # Two of the three jobs wait longer than 1 s, and as many find more work than 1 s, but the
    # stationary work exceeds this amount with a probability of a half only.
    waits = (0.0, 2.0, 3.0)
    runs = [run | {"wait_s": Sample.of([wait])} for run, wait in zip(runs, waits, strict=True)]
    (work,) = work_deviations(runs, "wait_s", 1.0).values()
    assert work == pytest.approx([-0.5, 0.5, 0.5])
    assert work_deviations([{"wait_s": runs[0]["wait_s"]}] * 3, "wait_s", 1.0) == {}


def test_few_replications_have_no_control() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    plain, usable = job_mean(values, with_work(values, 2.0), "wait_s")
    assert not usable
    assert plain.value == 2.5


def test_both_ends_of_a_controlled_mean_are_positive() -> None:
    values = np.array([0.1, 0.5, 28.0, 55.0, 3.0, 9.0])
    work = np.array([1.0, 2.0, 30.0, 60.0, 6.0, 12.0])
    plain, usable = job_mean(values, with_work(work, 4.0), "wait_s")
    best = best_of(usable)
    for found in (plain, best):
        assert found is not None
        assert 0 < found.low < found.value < found.high


def test_a_mean_over_jobs_weights_runs_by_their_jobs() -> None:
    runs = [{"wait_s": Sample.of([1.0])}, {"wait_s": Sample.of([4.0, 4.0, 4.0])}]
    found = metric_over_jobs("mean_wait_s", np.array([1.0, 4.0]), runs)
    assert found is not None
    assert found[0].value == pytest.approx(13 / 4)


def test_coverage_of_a_controlled_mean() -> None:
    """Normal values with correlation 0.95 to a control, in 2,000 studies of 6 replications."""
    random = np.random.Generator(np.random.PCG64(11))
    control, rest = random.standard_normal((2, 6, 2000))
    values = 5.0 + 0.95 * control + math.sqrt(1 - 0.95**2) * rest

    found = controlled(means(values), Control(means(control), np.zeros(2000)))
    covered = (found.low <= 5) & (found.high >= 5)
    assert 0.93 <= covered[found.usable].mean() <= 0.985
    plain = jackknife(means(values))
    assert 0.93 <= ((plain.low <= 5) & (plain.high >= 5)).mean() <= 0.985
    width, plain_width = found.high - found.low, plain.high - plain.low
    assert np.median(width[found.usable]) < 0.6 * np.median(plain_width)


# Samples


@repeatable
@given(numbers)
def test_a_small_sample_is_exact(values: list[float]) -> None:
    sample = Sample.of(values)
    for limit in [*values, -1.0, 3e6]:
        assert sample.at_most(limit) == pytest.approx(np.mean(np.array(values) <= limit))


def test_a_large_sample_keeps_its_quantiles() -> None:
    values = np.random.Generator(np.random.PCG64(1)).exponential(1.0, 50_000)
    sample = Sample.of(values)
    assert len(sample.values) == len(LEVELS)
    for q in (0.1, 0.5, 0.9, 0.95, 0.99, 0.999):
        assert sample.quantile(q) == pytest.approx(np.quantile(values, q), rel=0.01)
        limit = float(np.quantile(values, q))
        assert 1 - sample.at_most(limit) == pytest.approx(1 - q, rel=0.02, abs=2e-3)


@repeatable
@given(st.lists(numbers, min_size=2, max_size=6), st.floats(0.0, 1e6))
def test_pooled_shares_are_those_of_all_jobs(runs: list[list[float]], limit: float) -> None:
    pooled = Pooled([Sample.of(run) for run in runs])
    found = pooled.above(np.array([limit]))[:, 0]
    every = np.concatenate([np.array(run) for run in runs])
    assert found[0] == pytest.approx(np.mean(every > limit))
    for left_out in range(len(runs)):
        rest = np.concatenate([np.array(r) for k, r in enumerate(runs) if k != left_out])
        assert found[1 + left_out] == pytest.approx(np.mean(rest > limit))


@repeatable
@given(st.lists(numbers, min_size=1, max_size=4))
def test_samples_survive_packing(runs: list[list[float]]) -> None:
    samples = {f"run {k}": Sample.of(run) for k, run in enumerate(runs)}
    found = unpack(pack(samples))
    assert list(found) == list(samples)
    for name, sample in samples.items():
        assert found[name].count == sample.count
        assert found[name].values == pytest.approx(sample.values, rel=1e-6)
    assert unpack(b"") == {}


# Statistics over jobs


def runs_of(waits: np.ndarray) -> list[dict[str, Sample]]:
    return [{"wait_s": Sample.of(each)} for each in waits]


def test_a_quantile_over_all_jobs_is_not_the_mean_of_quantiles() -> None:
    waits = np.zeros((10, 200))
    waits[0] = 1000.0 + np.arange(200)
    plain, best = job_quantile(runs_of(waits), "wait_s", 0.95)
    assert best is None
    assert plain.value == pytest.approx(np.quantile(waits, 0.95), rel=0.01)
    assert plain.value > 5 * np.quantile(waits, 0.95, axis=1).mean()


def test_a_quantile_within_equal_values_is_that_value() -> None:
    random = np.random.Generator(np.random.PCG64(4))
    for jobs in (100, 2000):  # kept whole, and as quantiles
        zeros = np.arange(jobs) < 0.6 * jobs
        waits = np.where(zeros, 0.0, 100.0 + random.random((3, jobs)))
        pooled = Pooled([each["wait_s"] for each in runs_of(waits)])
        assert (pooled.quantiles(0.5) == 0).all()
        assert (pooled.quantiles(0.9) > 100).all()


def test_stored_samples_have_the_same_control_as_fresh_ones() -> None:
    random = np.random.Generator(np.random.PCG64(9))
    stationary = Sample.of(random.exponential(50.0, 2000))
    runs = []
    for _ in range(6):
        work = random.exponential(50.0, 500) * (0.8 + 0.4 * random.random())
        samples = {"wait_s": Sample.of(2 * work), "unfinished_work_s": Sample.of(work)}
        runs.append(samples | {"stationary_unfinished_work_s": stationary})
    mixed = [unpack(pack(run)) if k % 2 else run for k, run in enumerate(runs)]
    found, again = (best_of(share_above(each, "wait_s", 100.0)[1]) for each in (runs, mixed))
    assert found is not None
    assert again is not None
    assert again.value == pytest.approx(found.value, rel=1e-4)


def test_a_quantile_never_leaves_the_range_of_the_jobs() -> None:
    random = np.random.Generator(np.random.PCG64(5))
    waits = random.exponential(60.0, (6, 400)) * (random.random((6, 1)) * 3)
    plain, _ = job_quantile(runs_of(waits), "wait_s", 0.95)
    assert plain.low >= 0
    assert plain.high == math.inf or plain.high <= waits.max()


def test_metrics_of_other_kinds_are_not_over_jobs() -> None:
    assert metric_over_jobs("utilisation", np.array([0.5, 0.6]), [{}, {}]) is None
    values = np.array([5.0, 6.0])
    assert metric_over_jobs("p95_wait_s", values, [{}, {}]) is None
    assert metric_over_jobs("p95_wait_s@2", values, [{}, {}]) is None
    nan = np.array([np.nan, 6.0])
    assert metric_over_jobs("mean_wait_s", nan, [{}, {}]) is None


def test_another_stationary_distribution_is_no_control() -> None:
    random = np.random.Generator(np.random.PCG64(7))
    runs = []
    for k in range(8):
        work = random.exponential(50.0, 500) * (0.5 + random.random())
        runs.append(
            {
                "wait_s": Sample.of(2 * work),
                "unfinished_work_s": Sample.of(work),
                "stationary_unfinished_work_s": Sample.of([1.0 + (k == 3), 2.0]),
            }
        )
    assert not share_above(runs, "wait_s", 100.0)[1]
    for run in runs:
        run["stationary_unfinished_work_s"] = Sample.of(random.exponential(50.0, 2000))
    assert not share_above(runs, "wait_s", 100.0)[1]
    for run in runs:
        run["stationary_unfinished_work_s"] = runs[0]["stationary_unfinished_work_s"]
    plain, usable = share_above(runs, "wait_s", 100.0)
    best = best_of(usable)
    assert best is not None
    assert best.explained > 0.95
    assert best.high - best.low < 0.5 * (plain.high - plain.low)
