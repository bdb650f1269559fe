"""The interval of another period like a log: by hand, and how often it holds the next period."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.next_period import LogBlocks, next_interval, widest
from clustersim.analysis.root_search.crossing import half_width
from clustersim.analysis.statistics import mean_interval
from clustersim.studies.conclusions import paired_columns
from clustersim.studies.objective import measured_for_next
from clustersim.studies.points import point_interval
from clustersim.studies.search_spec import Objective
from tests.analysis.drawn_weeks import drawn_weeks


def log(blocks: float, classes: float = 1.0) -> dict[str, list[float]]:
    return {"backlog_growth": [math.nan], "log_blocks": [blocks], "log_classes": [classes]}


def next_of(values: Any, blocks: float, classes: float = 1.0) -> tuple[float, float]:
    return widest(values, [LogBlocks(blocks, classes)])


def test_by_hand() -> None:
    # Mean square distance from the log (1 + 9) / 2; of three weeks, of which 2/9 of the draws are
    # the log in another order; 2 degrees of freedom of the weeks and 2 of the two drawn periods,
    # together 1, for which Student's t is 12.7062.
    half = 12.7062047 * math.sqrt(2 * 5.0 * 3 / 2 * 7 / 9)
    assert next_of([10.0, 11.0, 13.0], 3) == pytest.approx((10 - half, 10 + half))
    # Of two blocks in each of seven classes, a drawn period shows half of the variance.
    wide, narrow = (next_of([10.0, 11.0, 13.0], 14, classes) for classes in (7.0, 1.0))
    assert wide[1] > narrow[1]


def test_a_model_has_no_blocks() -> None:
    assert LogBlocks.of({"backlog_growth": [0.0, 0.01]}) is None
    assert LogBlocks.of(pd.DataFrame({"utilisation": [0.5, 0.6]})) is None


def test_a_log_that_is_not_drawn_again_has_the_interval_of_one_more_replication() -> None:
    runs = runs_of_log(0, [2.0, 2.1, 2.05], "makespan_s").assign(log_classes=0.0)
    mean, low, _ = point_interval("makespan_s", runs, for_next=False)
    assert point_interval("makespan_s", runs)[1] == pytest.approx(mean * (low / mean) ** 2)


def test_blocks_that_cannot_replace_each_other_say_nothing() -> None:
    assert next_of([50.0, 50.0, 50.0], 2, 2) == (-math.inf, math.inf)
    found = Estimate(50.0, 50.0, 50.0).wider(math.inf)
    assert (found.low, found.high) == (-math.inf, math.inf)
    found = Estimate(1.0, 0.0, 2.0, influence=(0.0, 1.0), freedom=1).wider(math.inf)
    assert (found.influence, found.freedom) == ((), 0)  # not 0 times infinity


def test_runs_of_an_earlier_version_beside_others() -> None:
    mixed = {**log(4), "log_blocks": [math.nan, 4.0], "log_classes": [math.nan, 1.0]}
    assert LogBlocks.of(mixed) == LogBlocks(4.0, 1.0)


def test_ends_that_are_too_far_say_nothing() -> None:
    assert Estimate(1.0, 0.5, 2.0).wider(9.0).high == pytest.approx(512.0)
    assert Estimate(1.0, 0.5, 2.0).wider(10.0).high == math.inf
    assert Estimate(1.0, 1 / 50, 50.0).wider(200.0).high == math.inf
    assert Estimate(math.inf, math.inf, math.inf).wider(3.0) == Estimate(*[math.inf] * 3)


def test_many_blocks_need_no_correction() -> None:
    unknown = LogBlocks.of({"backlog_growth": [math.nan]})
    assert unknown is not None
    values = [5.0, 4.0, 7.0, 5.5]
    half = 3.1824463 * math.sqrt(2 * (1 + 4 + 0.25) / 3)
    assert widest(values, [unknown]) == pytest.approx((5 - half, 5 + half))
    assert next_of(values, 1e9) == pytest.approx((5 - half, 5 + half), rel=1e-6)


def test_a_study_and_a_what_if_have_the_same_interval() -> None:
    for name, values, waits in (
        ("mean_wait_s", [600.0, 900.0, 1500.0], True),
        ("mean_wait_s", [600.0, 1000.0, 1100.0, 1050.0, 990.0], True),
        ("makespan_s", [2.0, 2.1, 2.05], False),
    ):
        low, high = next_interval(values, blocks=8, waits=waits, most=math.inf)
        assert point_interval(name, runs_of_log(8, values, name))[1:] == (low, high)
    before = runs_of_log(8, [600.0, 900.0, 1500.0], "mean_wait_s")
    after = before.assign(mean_wait_s=[500.0, 600.0, 800.0])
    found = paired_columns(after, before, "mean_wait_s", steady=False)
    change = next_interval([-100.0, -300.0, -700.0], blocks=8)
    assert (found["difference_low"], found["difference_high"]) == pytest.approx(change)


def test_a_replication_without_a_value_does_not_narrow_an_interval() -> None:
    known = runs_of_log(8, [2.0, 2.1, 2.05], "makespan_s")
    more = runs_of_log(8, [2.0, 2.1, 2.05, math.nan, math.nan], "makespan_s")
    assert point_interval("makespan_s", more) == point_interval("makespan_s", known)
    both = [
        paired_columns(own, own.assign(makespan_s=[4.0, 4.1, 4.5, 4.0, 4.0][: len(own)]),
                       "makespan_s", steady=False)
        for own in (known, more)
    ]  # fmt: skip
    names = ["difference_low", "difference_high", "relative_low", "relative_high"]
    assert [both[0][name] for name in names] == [both[1][name] for name in names]


def test_a_log_without_replication_0_has_no_interval() -> None:
    runs = runs_of_log(8, [2.1, 2.0, 2.05], "makespan_s").assign(replication=[2, 0, 1])
    low, high = next_interval([2.0, 2.05, 2.1], blocks=8)
    assert point_interval("makespan_s", runs)[1:] == (low, high)
    missing = runs.assign(replication=[2, 3, 1])
    assert point_interval("makespan_s", missing)[1:] == (0.0, math.inf)


def measured(values: list[float], blocks: float) -> Estimate:
    facts = {"offered_load": [math.nan] * len(values), **log(blocks)}
    objective = Objective(metric="makespan_s", at_most="1 h")
    return measured_for_next(objective, {"makespan_s": values, **facts}, [{}] * len(values))[0]


def test_a_capacity_search_measures_with_the_error_of_another_period() -> None:
    found = measured([2.0, 2.1, 2.05], 8)
    low, high = next_interval([2.0, 2.1, 2.05], blocks=8)
    assert (found.low, found.high) == pytest.approx((low + 0.05, high + 0.05))  # around the mean
    assert len(found.influence) == 2
    assert half_width(np.array(found.influence), found.freedom) == pytest.approx((high - low) / 2)
    more = measured([2.0, 2.1, 2.05, math.nan, math.nan], 8)
    assert more == found


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
    found, back, few = (
        paired_columns(*pair, "utilisation", steady=False)
        for pair in ((one, other), (other, one), (one, other.assign(log_blocks=4.0)))
    )
    assert found["difference"] == pytest.approx(-back["difference"])
    assert found["difference_low"] == pytest.approx(-back["difference_high"])
    for name in ("difference", "relative"):  # the fewer weeks decide
        assert found[f"{name}_low"] == few[f"{name}_low"]
        assert found[f"{name}_high"] == few[f"{name}_high"]


@pytest.mark.parametrize(
    ("weeks", "replications"), [(4, 2), (8, 2), (26, 2), (4, 3), (4, 8), (26, 8)]
)
def test_how_often_a_positive_metric_is_within(weeks: int, replications: int) -> None:
    """As a study prints it, for skewed weeks; 300 trials have a standard error of 1.3 points."""
    generator = np.random.default_rng([weeks, replications])
    trials, inside = 300, 0
    for _ in range(trials):
        site, following = generator.gamma(4.0, 900.0, (2, weeks))
        drawn = site[drawn_weeks(generator, replications - 1, weeks)].mean(axis=1)
        runs = runs_of_log(weeks, [site.mean(), *drawn], "makespan_s")
        _, low, high = point_interval("makespan_s", runs, steady=False)
        inside += low <= following.mean() <= high
    assert 0.92 <= inside / trials <= 0.985


@pytest.mark.parametrize("replications", [2, 4, 50])
@pytest.mark.parametrize("weeks", [4, 8, 26])
def test_how_often_the_next_period_is_within(weeks: int, replications: int) -> None:
    """The mean of 1,000 trials has a standard error of 0.7 percentage points at 95 %."""
    generator = np.random.default_rng([weeks, replications])
    trials, drawn = 1000, replications - 1
    site, following = (generator.normal(100.0, 15.0, (trials, weeks)) for _ in range(2))
    week = drawn_weeks(generator, trials * drawn, weeks).reshape(trials, -1)
    again = np.take_along_axis(site, week, axis=1).reshape(trials, drawn, weeks).mean(axis=2)
    values = np.column_stack([site.mean(axis=1), again])
    ends = np.array([next_interval(row, blocks=weeks) for row in values])
    then = following.mean(axis=1)
    inside = (ends[:, 0] <= then) & (then <= ends[:, 1])
    print(f"{weeks} weeks, {replications} replications: {inside.mean():.1%}")
    # With one drawn period, 97.5 % of the next periods are within that of 4 weeks.
    assert 0.93 <= inside.mean() <= (0.98 if replications == 2 else 0.975)
