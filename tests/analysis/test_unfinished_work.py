"""The unfinished work of one server, and its stationary distribution, against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from clustersim.analysis.stationary_work import (
    Offer,
    stationary_distribution,
    stationary_mean_s,
    stationary_work,
)
from clustersim.analysis.unfinished_work import unfinished_work
from clustersim.workload.arrival_gaps import Batch, Hyperexponential, Poisson
from tests.analysis.known_queues import Service, exponential, lognormal
from tests.examples import examples

Process = Poisson | Hyperexponential | Batch

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(60))


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


def test_islands_are_servers_of_their_own() -> None:
    submit, work = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([5.0, 2.0, 1.0, 9.0, 1.0])
    island = np.array([0, 1, 0, -1, 1])
    assert unfinished_work(submit, work, island).tolist() == [0.0, 0.0, 3.0, 0.0, 0.0]


def offered(service: Service) -> Offer:
    return Offer(1.0, service.values, service.share)


def above(offer: Offer, process: Process, load: float, values: list[float]) -> np.ndarray:
    found = stationary_distribution(offer, process.mixture(), load)
    assert found is not None
    return 1 - np.interp(values, found[0], found[1])


@pytest.mark.parametrize("load", [0.05, 0.7, 0.97])
def test_tails_of_mm1(load: float) -> None:
    """P(V > x) = load exp(-(1 - load) x), down to 10^-4."""
    tails = load * np.array([0.5, 1e-2, 1e-4])
    values = (np.log(load / tails) / (1 - load)).tolist()
    assert above(offered(exponential()), Poisson(), load, values) == pytest.approx(tails, rel=1e-3)


def test_tails_of_md1() -> None:
    """Erlang's series: P(V <= x) = (1 - load) sum of (load (k - x))^k / k! exp(load (x - k))."""
    load = 0.6
    for x in (0.5, 3.3, 7.7):
        series = math.fsum(
            (load * (k - x)) ** k / math.factorial(k) * math.exp(load * (x - k))
            for k in range(int(x) + 1)
        )
        truth = 1 - (1 - load) * series
        found = above(Offer(1.0, np.array([1.0]), np.array([1.0])), Poisson(), load, [x])
        assert found[0] == pytest.approx(truth, rel=2e-3)
    assert truth < 1e-3


@pytest.mark.parametrize(
    "process",
    [
        Hyperexponential(kind="hyperexponential", cv=1.42455, short_share=0.371069),
        Hyperexponential(kind="hyperexponential", cv=2.0),
        Hyperexponential(kind="hyperexponential", cv=20.0),
        Hyperexponential(kind="hyperexponential", cv=100.0),
        Batch(kind="batch", mean_batch=1.0),
        Batch(kind="batch", mean_batch=4.0),
        Batch(kind="batch", mean_batch=100.0),
        Batch(kind="batch", mean_batch=1e3),
        Batch(kind="batch", mean_batch=1e6),
    ],
    ids=lambda process: process.model_dump_json(),
)
def test_bursty_arrivals(process: Process) -> None:
    """GI/M/1: P(V > x) = root exp(-(1 - root) x), with the root of an equation (Kleinrock, 1975).

    The root is that of root = E[exp(-(1 - root) gap)].
    """
    load, service = 0.7, offered(exponential())

    def excess(rest: float) -> float:
        gaps = process.mixture()
        return rest - 1 + sum(part / (1 + rest * gap / load) for part, gap in gaps)

    rest = optimize.brentq(excess, 1e-9, 1 - 1e-9)
    tails = (1 - rest) * np.array([0.5, 1e-2, 1e-3])
    values = (-np.log(tails / (1 - rest)) / rest).tolist()
    assert above(service, process, load, values) == pytest.approx(tails, rel=2e-3)
    mean = stationary_mean_s(service, process.mixture(), load)
    assert mean == pytest.approx((1 - rest) / rest, rel=1e-5)


def test_pollaczek_khinchine() -> None:
    """The mean of M/G/1 depends on the second moment alone."""
    for square in (1.0, 20.0):
        offer = offered(lognormal(square))
        expected = 0.8 * offer.moment(2) / (2 * 0.2)
        found = stationary_work([offer], Poisson().mixture(), 0.8)
        assert found is not None
        assert found.sample.mean == pytest.approx(expected, rel=1e-6)
        distribution = stationary_distribution(offer, Poisson().mixture(), 0.8)
        assert distribution is not None
        value, at_most, _ = distribution
        mean = float((value * np.diff(at_most, prepend=0.0)).sum())
        assert mean == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("load", [1e-6, 1e-4])
def test_a_fleet_that_is_nearly_idle(load: float) -> None:
    for process in (Poisson(), Hyperexponential(kind="hyperexponential", cv=20.0)):
        found = stationary_work([offered(exponential())], process.mixture(), load)
        assert found is not None
        assert found.sample.quantile(0.999) == 0.0
        assert 0 <= found.sample.mean < 1e3 * load


def test_what_is_not_accurate_is_refused() -> None:
    heavy = offered(lognormal(math.expm1(9.0)))  # sigma 3
    assert stationary_work([heavy], Poisson().mixture(), 0.5) is None
    service = offered(exponential())
    assert stationary_distribution(service, Poisson().mixture(), 1.0) is None
    assert stationary_distribution(service, [(1.0, 0.9)], 0.5) is None
    assert stationary_distribution(service, [(0.9, 1.0)], 0.5) is None
    assert stationary_work([service, heavy], Poisson().mixture(), 0.5) is None


def test_islands_of_one_stream() -> None:
    """Poisson jobs of two islands: two M/M/1 queues, weighted by their jobs."""
    service, rate = exponential(), 2.0
    offers, loads = [], (0.9, 0.6)
    for part, load in zip((0.75, 0.25), loads, strict=True):
        work_s = service.values * load / (rate * part)
        share = np.append(part * service.share, 1 - part)
        offers.append(Offer(part, np.append(work_s, 0.0), share))
    found = stationary_work(offers, Poisson().mixture(), rate)
    assert found is not None

    def tail(x: float) -> float:
        tails = []
        for offer, load in zip(offers, loads, strict=True):
            mean = load / (rate * offer.part)
            tails.append(offer.part * load * math.exp(-(1 - load) / mean * x))
        return math.fsum(tails)

    means = [o.part * r**2 / (1 - r) / (rate * o.part) for o, r in zip(offers, loads, strict=True)]
    assert found.sample.mean == pytest.approx(sum(means), rel=1e-5)
    for x in (0.1, 3.0, 20.0):
        assert 1 - found.sample.at_most(x) == pytest.approx(tail(x), rel=5e-3)
    own = 2.0 / ((1 - 0.9) ** 2 * rate * 0.75)
    assert found.relaxation_s == pytest.approx(own, rel=1e-3)


def test_more_than_half_of_the_jobs_find_no_work() -> None:
    found = stationary_work([offered(exponential())], Poisson().mixture(), 0.4)
    assert found is not None
    assert found.sample.quantile(0.59) == 0.0
    assert found.sample.quantile(0.62) > 0.0


def test_bursty_islands_against_simulation() -> None:
    """Constant and exponential work in two islands, and jobs in batches."""
    process = Batch(kind="batch", mean_batch=4.0)
    random = np.random.Generator(np.random.PCG64(2))
    submit = np.cumsum(process.gaps(random.random((1_000_000, 2))))
    island = (random.random(1_000_000) < 0.3).astype(np.int64)
    work = np.where(island == 0, 1.0, 2.0 * random.exponential(1.0, 1_000_000))
    simulated = unfinished_work(submit, work, island)
    service = exponential()
    offers = [
        Offer(0.7, np.array([1.0, 0.0]), np.array([0.7, 0.3])),
        Offer(0.3, np.append(2 * service.values, 0.0), np.append(0.3 * service.share, 0.7)),
    ]
    found = stationary_work(offers, process.mixture(), 1.0)
    assert found is not None
    assert found.sample.mean == pytest.approx(simulated.mean(), rel=0.02)
    for x in (1.5, 5.5, 15.5):
        assert 1 - found.sample.at_most(x) == pytest.approx((simulated > x).mean(), rel=0.03)
