"""Replications that stop by chance: how often their intervals hold the truth, and what is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.statistics import mean_interval
from clustersim.report.of_study.early_stops import COVERAGE, early_stop_sentences
from clustersim.studies.known_outcomes import more_replications
from clustersim.studies.spec import Replications


@pytest.mark.slow
@pytest.mark.parametrize("least", COVERAGE)
def test_how_often_the_interval_of_a_rule_holds_the_truth(least: int) -> None:
    """4,000 trials have a standard error of 0.4 to 0.5 percentage points."""
    rule = Replications(at_least=least, at_most=200, relative_width=0.1)
    generator, trials, inside = np.random.default_rng([0, least]), 4000, 0
    for _ in range(trials):
        values, more, count = generator.normal(1.0, 0.2, 200), least, 0
        while more > count:
            count = more
            mean, low, high = mean_interval(values[:count])
            more = more_replications(rule, count, 0.5 * (high - low), 0.1 * abs(mean))
        inside += low <= 1.0 <= high
    assert round(inside / trials, 2) == COVERAGE[least]


def said(made: list[int], rule: Any, *, of: str = "") -> list[str]:
    capacity = SimpleNamespace(of=of) if of else None
    study = SimpleNamespace(spec=SimpleNamespace(replications=rule, capacity=capacity))
    points = pd.DataFrame({"replications": made, "nodes": range(len(made))})
    result: Any = SimpleNamespace(study=study, points=points, parameters=["nodes"])
    return list(early_stop_sentences(result))


def test_few_replications_are_said_to_be_optimistic() -> None:
    (text,) = said([2, 4, 40, 0], Replications(at_least=2, at_most=40, relative_width=0.1))
    assert "stopped after fewer than 10 at 2 points (replications.at_least: 2)" in text
    assert "88 % with 2, 92 % with 5 and 94 % with 10 of the 95 % intervals" in text


def test_values_of_a_coarse_search_do_not_count() -> None:
    rule = Replications(at_least=2, at_most=40, relative_width=0.1)
    assert not said([2, 2, 12, 12], rule, of="nodes")
    (text,) = said([2, 4, 4, 4], rule, of="nodes")
    assert "stopped after fewer than 10 at 1 capacity search (" in text


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        ([3], 3),
        ([10, 40], Replications(at_most=40, relative_width=0.1)),
        ([4, 4], Replications(at_most=4, relative_width=0.1)),
        ([4, 4], Replications(at_least=2, at_most=4, relative_width=0.1)),
        ([12, 40], Replications(at_least=3, at_most=40, relative_width=0.1)),
    ],
)
def test_nothing_is_said_of_others(made: list[int], rule: Any) -> None:
    assert not said(made, rule)
