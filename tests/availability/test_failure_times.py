"""Failures that are stratified over the replications have the law of independent ones in a run."""

from __future__ import annotations

from itertools import chain, islice

import numpy as np
import pytest
from scipy import stats

from clustersim.availability.failure_spec import FailureSource
from clustersim.availability.failure_times import CHUNK, order_statistics, poisson_times
from clustersim.availability.failures import failures
from clustersim.seeds import Streams
from tests.simulation.fleets import cluster, pool

SEEDS = 600
LEAST_CHANCE = 1e-4
"""Least p-value; some 40 of them are computed."""
DAY = 86400.0


def source(life: dict[str, object]) -> FailureSource:
    """A component that is repaired within an hour."""
    repair = {"kind": "constant", "value": "1 h"}
    fields = {"name": "gpu", "time_to_failure": life, "repair": repair}
    return FailureSource.model_validate(fields)


def times(seed: int, replication: int, count: int = CHUNK) -> np.ndarray:
    """The first failures of a process with one failure a second."""
    streams = Streams(seed, replication=replication)
    chunks = poisson_times(1.0, "failures", streams, streams("within"))
    return np.array(list(islice(chain.from_iterable(chunks), count)))


def test_one_run_is_a_poisson_process() -> None:
    """Counts and gaps of replication 5 in 600 studies, against their distributions."""
    drawn = np.array([times(seed, 5) for seed in range(SEEDS)])
    gaps = np.diff(drawn, prepend=0.0)
    assert (gaps >= 0).all()
    for place in (0, 1, 3, 4, 5, 8, 30, 31, 200, 511):
        assert stats.kstest(gaps[:, place], "expon").pvalue > LEAST_CHANCE, place
    for begin, end in ((0.0, 0.7), (0.0, 3.0), (1.0, 6.0), (20.0, 50.0), (300.0, 400.0)):
        counts = ((drawn >= begin) & (drawn < end)).sum(axis=1)
        spread = counts.var(ddof=1) / (end - begin)  # 1 for a Poisson distribution
        assert counts.mean() == pytest.approx(end - begin, abs=4 * np.sqrt((end - begin) / SEEDS))
        assert spread == pytest.approx(1.0, abs=4 * np.sqrt((2 + 1 / (end - begin)) / SEEDS))
    # Numbers in disjoint periods are independent.
    first, second = (((drawn >= t) & (drawn < t + 10)).sum(axis=1) for t in (0, 10))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(SEEDS)


def test_the_process_continues_beyond_its_first_blocks() -> None:
    drawn = times(1, 3, 40 * CHUNK)
    gaps = np.diff(drawn)
    assert (gaps >= 0).all()
    assert stats.kstest(gaps, "expon").pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(len(gaps))


@pytest.mark.parametrize("expected", [1, 10, 40, 1200])
def test_the_mean_count_over_replications_varies_less(expected: int) -> None:
    """16 replications in 40 studies; the variance of independent counts is known."""
    fleet = cluster(pool("gpu", 100, 8))
    life = [source({"kind": "exponential", "average": f"{100 / expected} d"})]
    means = []
    for seed in range(40 if expected < 100 else 12):
        counts = [
            sum(1 for _ in failures(fleet, life, Streams(seed, replication=k), until_s=DAY))
            for k in range(16)
        ]
        means.append(np.mean(counts))
    ratio = np.var(means, ddof=1) / (expected / 16)
    assert np.mean(means) == pytest.approx(expected, rel=0.05)
    assert ratio < 0.4


@pytest.mark.parametrize("count", [1, 3, 12, 700])
def test_lifetimes_are_order_statistics(count: int) -> None:
    """The k-th smallest of n uniform numbers has a beta distribution."""
    drawn = []
    for seed in range(SEEDS):
        streams = Streams(seed, replication=2)
        drawn.append(order_statistics(count, "lives", streams, streams("within")))
    lives = np.array(drawn)
    assert lives.shape == (SEEDS, count)
    assert (np.diff(lives, axis=1, prepend=0.0) >= 0).all()
    assert lives.max() < 1
    for place in {0, count // 3, count // 2, count - 1}:
        exact = stats.beta(place + 1, count - place)
        assert stats.kstest(lives[:, place], exact.cdf).pvalue > LEAST_CHANCE, place
    below = (lives < 0.3).sum(axis=1)
    assert below.var() == pytest.approx(0.21 * count, rel=0.35)


def test_first_failures_of_components_that_age_vary_less() -> None:
    """24 expected first failures among 100 components, in 16 replications of 30 studies."""
    fleet = cluster(pool("gpu", 100, 8))
    life = [source({"kind": "weibull", "scale": "1000 d", "shape": 2.0})]
    until_s = stats.weibull_min(2.0, scale=1000).ppf(0.24) * DAY
    means, places = [], set()
    for seed in range(30):
        counts = []
        for k in range(16):
            drawn = failures(fleet, life, Streams(seed, replication=k), until_s=until_s)
            failed = {event.node for event in drawn}
            counts.append(len(failed))
            places |= failed
        means.append(np.mean(counts))
    assert np.mean(means) == pytest.approx(24, rel=0.05)
    assert np.var(means, ddof=1) / (0.76 * 24 / 16) < 0.4
    assert len(places) == 100  # any component may be the first to fail
