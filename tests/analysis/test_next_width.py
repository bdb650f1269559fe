"""The interval of another period like a log: by hand, and how often it holds the next period."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.statistics import mean_interval
from clustersim.analysis.steady import next_width


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


@pytest.mark.parametrize("facts", [log(0, 0), log(2, 2)])
def test_a_log_that_is_not_drawn_again_has_that_of_one_more_replication(facts) -> None:
    assert next_width(facts, 8) == 3.0


def test_many_blocks_need_no_correction() -> None:
    unknown = {"backlog_growth": [math.nan]}
    assert next_width(unknown, 8) == pytest.approx(math.sqrt(17 * 8 / 7))
    assert next_width(log(1e9), 8) == pytest.approx(next_width(unknown, 8), rel=1e-6)


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
