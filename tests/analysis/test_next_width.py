"""The interval of another period like a log: by hand, and how often it holds the next period."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.statistics import mean_interval
from clustersim.analysis.steady import next_width
from clustersim.studies.conclusions import paired_columns
from clustersim.studies.points import point_interval


def log(blocks: float, classes: float = 1.0) -> dict[str, list[float]]:
    return {"backlog_growth": [math.nan], "log_blocks": [blocks], "log_classes": [classes]}


def test_by_hand() -> None:
    # Three replications of a log of three weeks: 2 degrees of freedom of the weeks and 2 of the
    # two drawn periods, together 1, for which Student's t is 12.7062; 4.30265 for the mean.
    variance = (1 + 2 * 3 * 3 / 2) * 3 / 2
    expected = math.sqrt(variance) * 12.7062047 / 4.3026527
    assert next_width(log(3), 3) == pytest.approx(expected)
    # Of two blocks in each of seven classes, a drawn period shows half of the variance.
    assert next_width(log(14, 7), 3) > next_width(log(14), 3)


def test_a_model_has_the_interval_of_the_mean() -> None:
    assert next_width({"backlog_growth": [0.0, 0.01]}, 8) == 1.0
    assert next_width(pd.DataFrame({"utilisation": [0.5, 0.6]}), 2) == 1.0
    assert next_width(log(8), 1) == 1.0


def test_a_log_that_is_not_drawn_again_has_that_of_one_more_replication() -> None:
    assert next_width(log(0, 0), 8) == 3.0


def test_blocks_that_cannot_replace_each_other_say_nothing() -> None:
    assert next_width(log(2, 2), 8) == math.inf
    found = Estimate(50.0, 50.0, 50.0).wider(math.inf)
    assert (found.low, found.high) == (-math.inf, math.inf)
    found = Estimate(1.0, 0.0, 2.0, influence=(0.0, 1.0), freedom=1).wider(math.inf)
    assert (found.influence, found.freedom) == ((), 0)  # not 0 times infinity


def test_runs_of_an_earlier_version_beside_others() -> None:
    mixed = {**log(4), "log_blocks": [math.nan, 4.0], "log_classes": [math.nan, 1.0]}
    assert next_width(mixed, 8) == next_width(log(4), 8)


def test_ends_that_are_too_far_say_nothing() -> None:
    assert Estimate(1.0, 0.5, 2.0).wider(9.0).high == pytest.approx(512.0)
    assert Estimate(1.0, 0.5, 2.0).wider(10.0).high == math.inf
    assert Estimate(1.0, 1 / 50, 50.0).wider(200.0).high == math.inf
    assert Estimate(math.inf, math.inf, math.inf).wider(3.0) == Estimate(*[math.inf] * 3)


def test_many_blocks_need_no_correction() -> None:
    unknown = {"backlog_growth": [math.nan]}
    assert next_width(unknown, 8) == pytest.approx(math.sqrt(17 * 8 / 7))
    assert next_width(log(1e9), 8) == pytest.approx(next_width(unknown, 8), rel=1e-6)


def runs_of_log(weeks: int, values: Any, name: str) -> pd.DataFrame:
    facts = {"offered_load": math.nan, "backlog_growth": math.nan, "log_classes": 1.0}
    return pd.DataFrame({name: values, "run": "x", "log_blocks": float(weeks), **facts})


def test_the_interval_of_the_mean_of_a_log() -> None:
    runs = runs_of_log(4, [0.4, 0.5, 0.6, 0.5], "utilisation")
    mean, low, high = mean_interval(runs["utilisation"])
    assert point_interval("utilisation", runs, for_next=False) == pytest.approx((mean, low, high))
    wide = point_interval("utilisation", runs)
    assert wide[1] < low
    assert wide[2] > high


def test_a_difference_is_as_uncertain_from_either_side() -> None:
    one = runs_of_log(4, [0.4, 0.5, 0.6, 0.5], "utilisation")
    other = runs_of_log(52, [0.7, 0.75, 0.72, 0.78], "utilisation")
    found, back = (
        paired_columns(*pair, "utilisation", steady=False) for pair in ((one, other), (other, one))
    )
    assert found["difference"] == pytest.approx(-back["difference"])
    assert found["difference_low"] == pytest.approx(-back["difference_high"])
    mean = paired_columns(one, other, "utilisation", steady=False, for_next=False)
    ratio = (found["difference_high"] - found["difference"]) / (
        mean["difference_high"] - mean["difference"]
    )
    assert ratio == pytest.approx(next_width(log(4), 4))


@pytest.mark.parametrize(("weeks", "replications"), [(4, 3), (4, 8), (26, 8)])
def test_how_often_a_positive_metric_is_within(weeks: int, replications: int) -> None:
    """As a study prints it, for skewed weeks; 300 trials have a standard error of 1.3 points."""
    generator = np.random.default_rng([weeks, replications])
    trials, inside = 300, 0
    for _ in range(trials):
        site, following = generator.gamma(4.0, 900.0, (2, weeks))
        drawn = site[generator.integers(0, weeks, (replications - 1, weeks))].mean(axis=1)
        runs = runs_of_log(weeks, [site.mean(), *drawn], "makespan_s")
        _, low, high = point_interval("makespan_s", runs, steady=False)
        inside += low <= following.mean() <= high
    assert 0.92 <= inside / trials <= 0.985


@pytest.mark.parametrize("replications", [4, 50])
@pytest.mark.parametrize("weeks", [4, 26])
def test_how_often_the_next_period_is_within(weeks: int, replications: int) -> None:
    """The mean of 1,000 trials has a standard error of 0.7 percentage points at 95 %."""
    generator = np.random.default_rng([weeks, replications])
    trials = 1000
    site, following = (generator.normal(100.0, 15.0, (trials, weeks)) for _ in range(2))
    week = generator.integers(0, weeks, (trials, (replications - 1) * weeks))
    drawn = np.take_along_axis(site, week, axis=1).reshape(trials, -1, weeks).mean(axis=2)
    width, inside = next_width(log(weeks), replications), 0
    for values, then in zip(
        np.column_stack([site.mean(axis=1), drawn]), following.mean(axis=1), strict=True
    ):
        mean, _, high = mean_interval(values)
        inside += abs(then - mean) <= width * (high - mean)
    assert 0.93 <= inside / trials <= 0.975
