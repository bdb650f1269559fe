"""Numbers that are stratified over replications and draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import clustersim as cs
from clustersim.analysis.statistics import mean_interval
from clustersim.availability.supply import Supply, arrivals_s
from clustersim.performance import default_calibration
from clustersim.performance.specification import draw_accelerator
from clustersim.seeds import Streams, nested_uniforms

CATALOGUE = cs.load_catalogue()
CLUSTER = cs.compile_cluster(cs.load_cluster("mixed-small", CATALOGUE))


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize("count", [4, 8, 64])
def test_first_points_are_latin_hypercubes(count: int) -> None:
    points = nested_uniforms(generator(1), count, 5)
    cells = np.sort(np.floor(points * count), axis=1)
    assert (cells == np.arange(count)).all()


def test_more_points_do_not_change_the_first() -> None:
    many = nested_uniforms(generator(2), 100, 3)
    for count in (1, 3, 4, 5, 8, 33):
        assert (nested_uniforms(generator(2), count, 3) == many[:, :count]).all()


@pytest.mark.parametrize("place", [0, 3, 4, 6])
def test_each_point_is_uniform(place: int) -> None:
    values = nested_uniforms(generator(3), 7, 4000)[:, place]
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_dimensions_are_combined_at_random() -> None:
    one, two = nested_uniforms(generator(4), 64, 2)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.3


def test_slips_of_a_study_cover_their_distribution() -> None:
    slip = {"kind": "exponential", "average": "10 d"}
    deliveries = [{"pool": "h200", "nodes": 1, "at": "0 d", "slip": slip} for _ in range(2)]
    supply = Supply.model_validate({"deliveries": deliveries})
    late = np.array(
        [
            arrivals_s(supply, CLUSTER, CATALOGUE, Streams(9, replication=k))[0][-2:]
            for k in range(8)
        ]
    )
    shares = -np.expm1(-late / (10 * 86400))
    assert (np.sort(np.floor(8 * shares), axis=0) == np.arange(8)[:, None]).all()
    assert (shares[:, 0] != shares[:, 1]).all()


def test_draws_of_a_study_cover_the_posterior() -> None:
    """Effects are sums of stratified normal numbers; those that no row informs are stratified."""
    calibration = default_calibration()
    free = np.flatnonzero((calibration.basis**2).sum(axis=1) < 1e-12)
    draws = [calibration.draw(seed=k) for k in range(8)]
    effects = np.array([[*draw.effects.values()] for draw in draws])
    normal = (effects / calibration.spreads - calibration.centre) / calibration.overdispersion
    for column in free:
        assert np.sort(np.floor(8 * stats.norm.cdf(normal[:, column]))).tolist() == [*range(8)]
    unmeasured = [draw._effect(("peak", "chip", "unheard of"), 2.0) for draw in draws]
    shares = stats.norm.cdf(np.array(unmeasured) / 2.0)
    assert np.sort(np.floor(8 * shares)).tolist() == [*range(8)]
    # the first effects vary as independent draws do
    assert normal.std(axis=0).mean() == pytest.approx(
        (calibration.standard_errors() / calibration.spreads).mean(), rel=0.1
    )


def test_specifications_of_a_hypothetical_chip_cover_their_range() -> None:
    chip = CATALOGUE.accelerator("SeedChip")
    low, high = chip.ranges["hbm_Bps"]
    drawn = np.array([draw_accelerator(chip, number).hbm_Bps for number in range(8)])
    shares = (drawn - low) / (high - low)
    assert np.sort(np.floor(8 * shares)).tolist() == [*range(8)]
    far = draw_accelerator(chip, 5000).hbm_Bps
    assert low <= far <= high


@pytest.mark.parametrize("count", [3, 5, 8, 12])
def test_intervals_of_stratified_replications_are_conservative(count: int) -> None:
    """A sum of two slips, their product and noise, in 1,000 studies."""
    random = generator(count)
    held, widths, spread = [], [], []
    exact = 2.0 + 0.25 * 1.0
    for _ in range(1000):
        late = -np.log1p(-nested_uniforms(random, count, 2))
        values = late.sum(axis=0) + 0.25 * late[0] * late[1] + 0.3 * random.standard_normal(count)
        mean, low, high = mean_interval(values)
        held.append(low <= exact <= high)
        widths.append(high - low)
        spread.append(mean - exact)
    assert abs(np.mean(spread)) < 3.5 * np.std(spread) / math.sqrt(1000)
    assert np.mean(held) > 0.94
    independent = math.sqrt((2 * 1.25**2 + 3 * 0.25**2 + 0.3**2) / count)
    assert np.std(spread) < 0.8 * independent
