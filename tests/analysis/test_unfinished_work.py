"""The unfinished work of one server, and its stationary distribution, against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.unfinished_work import stationary_distribution, unfinished_work
from clustersim.workload.arrivals import Batch, Hyperexponential, Poisson
from tests.analysis.known_queues import UPPER, WEIGHT, exponential, lognormal

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


@repeatable
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=40))
def test_against_a_loop(jobs: list[tuple[float, float]]) -> None:
    submit = np.cumsum([gap for gap, _ in jobs])
    work = np.array([each for _, each in jobs])
    left, expected = 0.0, []
    for k in range(len(jobs)):
        if k:
            left = max(0.0, left + work[k - 1] - (submit[k] - submit[k - 1]))
        expected.append(left)
    assert unfinished_work(submit, work) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("load", [0.3, 0.7, 0.95])
def test_mm1(load: float) -> None:
    service = exponential()
    value, at_most = stationary_distribution(service.values, service.share, Poisson().cdf, load)
    for x in (0.5, 2.0, 10.0):
        above = 1 - np.interp(x, value, at_most)
        assert above == pytest.approx(load * math.exp(-(1 - load) * x), rel=2e-3, abs=1e-6)


def test_pollaczek_khinchine() -> None:
    """The mean of M/G/1 depends on the second moment alone."""
    for square in (1.0, 20.0):
        service = lognormal(square)
        value, at_most = stationary_distribution(service.values, service.share, Poisson().cdf, 0.8)
        second = float(service.share @ service.values**2)
        mean = float(value @ np.diff(at_most, prepend=0.0))
        assert mean == pytest.approx(0.8 * second / (2 * 0.2), rel=0.01)


def test_hyperexponential_arrivals() -> None:
    """H2/M/1: the wait is exponential with the root of a fixed-point equation (Kleinrock, 1975)."""
    process, load = Hyperexponential(kind="hyperexponential", cv=2.0), 0.8
    p, short, long = process.phases()

    def transform(s: float) -> float:
        return p / (1 + s * short / load) + (1 - p) / (1 + s * long / load)

    root = 0.5
    for _ in range(1000):
        root = transform(1 - root)
    service = exponential()
    value, at_most = stationary_distribution(service.values, service.share, process.cdf, load)
    for x in (1.0, 5.0, 20.0):
        above = 1 - np.interp(x, value, at_most)
        assert above == pytest.approx(root * math.exp(-(1 - root) * x), rel=5e-3)


def test_batches_against_simulation() -> None:
    process = Batch(kind="batch", mean_batch=4.0)
    random = np.random.Generator(np.random.PCG64(2))
    gaps = process.gaps(random.random((2_000_000, 2))) / 0.6
    work = random.exponential(1.0, 2_000_000)
    simulated = unfinished_work(np.cumsum(gaps), work)
    values = -np.log1p(-UPPER)
    value, at_most = stationary_distribution(values, WEIGHT, process.cdf, 0.6)
    for x in (1.0, 5.0, 20.0):
        above = 1 - np.interp(x, value, at_most)
        assert above == pytest.approx((simulated > x).mean(), rel=0.03)
