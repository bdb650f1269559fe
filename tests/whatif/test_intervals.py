"""Intervals of what-if: the formula by hand, and how often they hold the next period."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.next_period import next_interval
from clustersim.calendar import DAY_S
from tests.analysis.drawn_weeks import drawn_weeks


def test_the_interval_by_hand() -> None:
    assert next_interval([5.0, 5.0, 5.0], blocks=4) == (5.0, 5.0)
    # Mean square distance from the log (1 + 9) / 2; 3 blocks in 1 class, without the 6 of 27 draws
    # that are the log in another order; 1 / (1/2 + 1/2) degrees of freedom, for which Student's t
    # is 12.7062.
    half = 12.7062047 * np.sqrt(2 * 5.0 * 3 / 2 * 21 / 27)
    assert next_interval([10.0, 11.0, 13.0], blocks=3) == pytest.approx((10 - half, 10 + half))
    # Of two blocks in each class, a drawn period shows half of the variance.
    half = 4.3026527 * np.sqrt(2 * 1.0 * 8 / 4 * 15 / 16)
    found = next_interval([1.0, 2.0, 0.0, 2.0, 0.0], blocks=8, classes=4)
    assert found == pytest.approx((1 - half, 1 + half))
    low, high = next_interval([1.0, 8.0, 27.0, 1.0, 0.0, 1.0], blocks=9, waits=True)
    assert low == 0.0
    assert 27.0 < high < 1000.0


@pytest.mark.parametrize(
    ("values", "blocks", "classes"),
    [
        ([5.0], 4, 1),
        ([5.0, 6.0, np.nan], 4, 1),
        ([5.0, 5.0, 5.0], 1, 1),
        ([5.0, 5.0, 5.0], 2, 2),
        ([5.0, 5.0, 5.0], 0, 0),
    ],
)
def test_no_interval_is_known(values: list[float], blocks: int, classes: int) -> None:
    assert all(map(np.isnan, next_interval(values, blocks=blocks, classes=classes)))


@pytest.mark.parametrize("replications", [6, 50])
@pytest.mark.parametrize("weeks", [4, 8, 26])
@pytest.mark.parametrize("waits", [False, True])
def test_how_often_the_next_period_is_within(weeks: int, replications: int, waits: bool) -> None:
    """A log of independent weeks, drawn again, against the next period of the same site.

    The mean of 1,000 trials has a standard error of 0.7 percentage points at 95 %.
    """
    generator = np.random.default_rng([weeks, replications, int(waits)])
    trials = 1000

    def period() -> np.ndarray:
        if waits:  # skewed
            return generator.gamma(4.0, 900.0, (trials, weeks))
        return generator.normal(-100.0, 15.0, (trials, weeks))

    log, following = period(), period().mean(axis=1)
    week = drawn_weeks(generator, trials * replications, weeks).reshape(trials, -1)
    drawn = np.take_along_axis(log, week, axis=1).reshape(trials, replications, weeks).mean(axis=2)
    values = np.column_stack([log.mean(axis=1), drawn])
    ends = np.array([next_interval(row, blocks=weeks, waits=waits) for row in values])
    inside = (ends[:, 0] <= following) & (following <= ends[:, 1])
    assert 0.90 <= inside.mean() <= 0.975


def test_days_that_cannot_replace_each_other_have_no_interval() -> None:
    """The two complete days of a log are a working day and a day of the weekend."""
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(30),
            "submit_s": np.linspace(0.0, 2.2 * DAY_S, 30),
            "n_accelerators": 8,
            "duration_s": 3 * 3600.0,
        }
    )
    dated = {"start": "2026-01-02"}  # Friday
    found = cs.what_if(jobs, accelerators=8, add_accelerators=8, assume=dated, replications=3)
    assert found.drawn_from == (2, 2)
    assert found.groups.filter(regex="wait_s_(low|high)$").isna().all(axis=None)
    assert any("of the 2 days of the log, no two can replace" in note for note in found.notes)
