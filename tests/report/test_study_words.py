"""How cards, findings and tables of studies name systems, points, numbers and what is missing."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import study_axes, system_name
from clustersim.report.amounts import percent, signed, signed_amounts
from clustersim.report.findings import findings, warnings
from clustersim.report.of_study.places import places_in_words, shared_in_words
from clustersim.report.of_study.tables import result_parts, study_table
from clustersim.report.page import Table
from clustersim.report.spans import Span, method_sentence, span
from clustersim.report.study_answer import study_answer
from clustersim.studies.meaning import load_notes
from tests.report.test_study_answer import (
    BASE,
    CAPACITY,
    COMPARE,
    OBJECTIVE,
    capacities_of,
    differences_of,
    points_of,
    result_of,
)

RATE = "failures.rate"
NODES = "cluster.pools.h20.nodes"
LOADS, POLICIES = (0.3, 0.5, 0.7, 0.9), ("fcfs", "easy", "sjf")
PLACES = [{"scheduler.policy": p, "workload.load": x} for p in POLICIES for x in LOADS]
SPACE = SimpleNamespace(parameters=["scheduler.policy", "workload.load"])


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (lambda p, x: x == 0.9, "fcfs, offered load 0.900; easy, offered load 0.900; sjf, offered "
         "load 0.900"),
        (lambda p, x: True, "all 12 points"),
        (lambda p, x: x > 0.4, "offered load 0.500 to 0.900"),
        (lambda p, x: p != "sjf" and x in (0.3, 0.9), "fcfs and easy, offered load 0.300 and "
         "0.900"),
        (lambda p, x: p == "sjf" or x == 0.3, "fcfs and easy, offered load 0.300; sjf"),
    ],
)  # fmt: skip
def test_points_are_described_by_what_they_share(chosen, words):
    rows = [row for row in PLACES if chosen(*row.values())]
    assert places_in_words(SPACE, rows, PLACES, {}) == words


def test_points_without_a_pattern_have_a_range_and_a_count():
    names = ["a", "b", "c"]
    space = SimpleNamespace(parameters=names)
    every = [dict(zip(names, place, strict=True)) for place in np.ndindex(6, 6, 2)]
    rows = [row for row in every if (3 * row["a"] + row["b"]) % 7 < 2 and row["a"] > 0]
    text = places_in_words(space, rows, every, {})
    assert text == f"{len(rows)} of 72 points, all with a 1 to 5"
    assert shared_in_words(space, rows, every, {}) == "a 1 to 5"


def test_numbers_have_one_format():
    assert [signed(x) for x in (1.6e-17, -0.0, 0.0004, -0.034, 0.5)] == [
        "0 %", "0 %", "+0.040 %", "−3.4 %", "+50 %"
    ]  # fmt: skip
    assert percent(math.inf).startswith("inf")
    assert signed_amounts([2433.0, -130.5], axis_of(NODES)) == ["+2,433", "−130"]
    assert signed_amounts([0.0, 0.0], Axis("x")) == ["0", "0"]


def tables_of(result):
    return [part for part in result_parts(result) if isinstance(part, Table)]


def searched(values, rows, gains, **fields):
    """A result of a capacity search that compares the values of a numeric parameter."""
    names = [RATE, "capacity", "capacity_low", "capacity_high", "note"]
    table = pd.DataFrame(rows, columns=names).assign(jobs_per_day=100.0, runs=9)
    gain = ["system", "baseline", "gain", "gain_low", "gain_high"]
    known = pd.DataFrame(gains, columns=gain).assign(note="", pairs=4, same_jobs=True)
    study = {
        **CAPACITY,
        "base": {**BASE, "failures": {"sources": "meta-llama3"}},
        "parameters": {RATE: values},
        "compare": {"of": RATE, "baseline": values[0]},
        **fields,
    }
    points = pd.DataFrame({"point": [0, 1], RATE: values, "replications": 4, "overload": False})
    return result_of(study, points=points, capacities=table, gains=known)


def test_a_numeric_baseline_of_a_capacity_search():
    """10 in the file is 10.0 in the tables if another value has a fraction."""
    rows = [(10.0, 0.8, 0.7, 0.9, ""), (37.5, 0.6, 0.5, 0.7, "short runs")]
    gains = [(37.5, 10, -0.2, -0.25, -0.15)]
    result = searched([10, 37.5], rows, gains)
    answer = study_answer(result)
    assert answer.sentence == (
        "At the objective (mean wait ≤ 2 min), offered load of failure rate multiplier 10: 0.800. "
        "Difference from it: failure rate multiplier 37.5 −0.200 (95 % interval −0.250 to "
        "−0.150; −25 %)."
    )
    assert "Note on failure rate multiplier 37.5: short runs." in answer.hinges_on
    (finding,) = [text for text in findings(result) if text.startswith("On the same jobs")]
    assert finding == (
        "On the same jobs, failure rate multiplier 37.5 carries 0.200 less offered load than "
        "failure rate multiplier 10 (95 % interval −0.250 to −0.150; 4 replications)."
    )
    (table,) = [part for part in tables_of(result) if part.title.startswith("Gain")]
    assert table.frame["system"].tolist() == ["failure rate multiplier 37.5"]


def test_gains_over_draws_and_bounds():
    rows = [(10.0, 0.8, 0.7, 0.9, ""), (37.5, 0.6, 0.5, 0.7, "")]
    result = searched([10, 37.5], rows, [(37.5, 10, -0.2, -math.inf, 0.1)])
    assert not [text for text in findings(result) if text.startswith("On the same")]
    ends = {"capacity_draw_low": [0.75, 0.5], "capacity_draw_high": [0.85, 0.65]}
    result = searched([10, 37.5], rows, [(37.5, 10, -0.2, -0.3, 0.1)], draws=4)
    result.__dict__["capacities"] = result.capacities.assign(**ends)
    (hinge,) = [text for text in study_answer(result).hinges_on if text.startswith("Calibration")]
    assert "0.750 to 0.850 (failure rate multiplier 10)" in hinge
    assert hinge.endswith("no range over draws is computed for a difference.")
    result.gains["note"] = "overload begins at a capacity"
    (finding,) = [text for text in findings(result) if text.startswith("On the same jobs")]
    assert "(no clear difference) (between −0.300 and +0.100; 4 replications)" in finding


def test_a_capacity_beyond_the_range_is_the_best():
    table = capacities_of(
        [("fcfs", 0.8, 0.7, 0.9, ""), ("easy", *[math.inf] * 3, "kept at every value up to 1")]
    )
    answer = study_answer(result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table))
    assert "up to offered load 0.800 at worst and more than 1.000 at best" in answer.sentence
    assert "; best: easy; what matters most: policy" in answer.sentence
    assert (answer.label, answer.value) == (
        "offered load at the objective, easy", "more than 1.000"
    )  # fmt: skip
    assert answer.interval == "no 95 % interval: the objective is met at every value tried"


def test_a_capacity_without_runs_says_so():
    table = capacities_of(
        [("fcfs", 0.8, 0.7, 0.9, ""), ("easy", *[math.nan] * 3, "every run failed")]
    )
    result = result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table)
    assert findings(result)[1] == (
        "easy: mean wait ≤ 2 min: no capacity, because every run failed."
    )


@pytest.mark.parametrize(
    ("over", "words", "better"),
    [
        ((1,), "; fcfs is overloaded at offered load 0.700, and easy is not", True),
        ((3,), "; easy is overloaded at offered load 0.700, and fcfs is not", False),
        ((1, 3), "; not compared at offered load 0.700, where all are overloaded", True),
    ],
)
def test_an_overloaded_point_does_not_vanish_from_a_comparison(over, words, better):
    rows = [(0.5, -0.4, -0.5, -0.3), (0.7, math.nan, math.nan, math.nan)]
    table = differences_of(rows).assign(difference=[-40.0, math.nan], relative_note="")
    points = points_of([100.0, 400.0, 60.0, 125.0], overload=over)
    answer = study_answer(result_of(COMPARE, points=points, differences=table))
    assert words in answer.sentence
    assert answer.sentence.startswith("Best at offered load 0.500: easy, with 40 % less") == better


def test_a_metric_that_cannot_be_compared_is_named():
    waits = differences_of([(0.5, math.nan, math.nan, math.nan)]).assign(difference=90.0)
    used = differences_of([(0.5, 0.1, 0.05, 0.2)]).assign(metric="utilisation", difference=0.1)
    table = pd.concat([waits, used], ignore_index=True).assign(relative_note="")
    fields = {**COMPARE, "metrics": ["mean_wait_s", "utilisation"]}
    points = points_of([0.0, 0.0, 90.0, 90.0]).assign(utilisation=0.5)
    answer = study_answer(result_of(fields, points=points, differences=table))
    assert answer.sentence.startswith(
        "Mean wait has no percentage, because that of the baseline is 0 (easy: +90 s). Best: easy"
    )


def test_a_difference_that_is_clear_at_one_point_alone():
    rows = [(0.5, -0.7, -math.inf, math.inf), (0.7, -0.88, -0.95, -0.75)]
    table = differences_of(rows).assign(difference=-1.0, relative_note="")
    points = points_of([100.0, 400.0, 60.0, 125.0], half=500.0)
    result = result_of(COMPARE, points=points, differences=table)
    answer = study_answer(result)
    assert "; clear only at offered load 0.700" in answer.sentence
    assert answer.next_steps[0].startswith("Add replications")
    # The paired difference decides whether the policy matters, not the two intervals apart.
    assert not [text for text in answer.hinges_on if text.startswith("Policy") and "chance" in text]
    assert findings(result) == [
        "easy against fcfs: mean wait 88 % less at offered load 0.700 (95 % interval −95 % to "
        "−75 %); no clear difference at offered load 0.500 (−70 %). Each point has 4 pairs of runs."
    ]


def test_differences_over_draws_are_in_the_answer():
    table = differences_of([(0.5, -0.4, -0.5, -0.3)]).assign(
        relative_draw_low=-0.6, relative_draw_high=-0.1
    )
    fields = {**COMPARE, "draws": 4}
    points = points_of([100.0, 400.0, 60.0, 125.0])
    answer = study_answer(result_of(fields, points=points, differences=table))
    (hinge,) = [text for text in answer.hinges_on if text.startswith("Calibration")]
    assert "over 4 draws of its coefficients, −60 % to −10 %" in hinge


def test_the_next_step_can_help():
    """Overloaded points miss the objective, so the load need not be increased."""
    answer = study_answer(
        result_of(OBJECTIVE, points=points_of([10.0, 20.0, 30.0, 40.0], overload=(1, 3)))
    )
    assert not [step for step in answer.next_steps if step.startswith("Increase")]
    points = points_of([math.nan] * 4)
    answer = study_answer(result_of({"metrics": ["mean_wait_s"]}, points=points))
    assert answer.next_steps[0].startswith("Read the definition of the metric")
    table = capacities_of([("fcfs", 0.99, 0.9, 1.0, ""), ("easy", 0.5, 0.4, 0.6, "")])
    answer = study_answer(result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table))
    assert not [step for step in answer.next_steps if step.startswith("Widen")]


def test_sobol_indices_of_the_first_known_metric_by_policy():
    names = ["scheduler.policy", "metric", "parameter", "first", "total"]
    rows = [
        (policy, metric, parameter, share - 0.1, share if metric == "utilisation" else math.nan)
        for policy, shares in (("fcfs", (0.7, 0.3)), ("easy", (0.6, 0.5)))
        for metric in ("mean_wait_s", "utilisation")
        for parameter, share in zip(("workload.load", NODES), shares, strict=True)
    ]
    table = pd.DataFrame(rows, columns=names)
    for name in ("first", "total"):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.1, table[name] + 0.1
    result = result_of({}, points=points_of([1.0] * 4), indices=table)
    answer = study_answer(result)
    assert answer.sentence == (
        "What matters most for utilisation: fcfs: offered load (70 %), nodes of pool h20 (30 %); "
        "easy: offered load (60 %), nodes of pool h20 (50 %), each with its interactions."
    )
    assert answer.value == "60 to 70 %"
    assert any(text.startswith("Without an answer: mean wait.") for text in answer.hinges_on)
    assert findings(result)[:2] == [
        "fcfs: the variance of mean wait could not be attributed.",
        "easy: the variance of mean wait could not be attributed.",
    ]
    (shown,) = [part for part in tables_of(result) if part.title.startswith("Sobol")]
    assert shown.frame["parameter"].iloc[0] == "offered load"
    assert shown.formats["total"](0.705) == "70 %"


def test_numbers_of_a_card_have_one_unit():
    points = points_of([4092.0, 4105.0, 4200.0, 4300.0], half=100.0)
    answer = study_answer(result_of({"metrics": ["mean_wait_s"]}, points=points))
    texts = [answer.value, answer.interval, *answer.hinges_on]
    assert all(" min" in text and " h" not in text.split("chance")[0] for text in texts[:3])


def test_warnings_group_the_points():
    over = pd.DataFrame(PLACES).assign(point=range(12), replications=4, rising=False)
    over["overload"] = over["workload.load"] > 0.6
    over["mean_wait_s"] = np.where(over["overload"], math.inf, 60.0)
    fields = {"parameters": {"scheduler.policy": list(POLICIES), "workload.load": list(LOADS)}}
    result = result_of({**fields, "metrics": ["mean_wait_s"]}, points=over)
    for name in ("warm_up_reached", "unfinished", "censored"):
        result.runs[name] = 0.5
    sentences = warnings(result)
    assert (
        "Overload (the queue grows, waits have no steady value): offered load 0.700 and 0.900."
        in (sentences)
    )
    answer = study_answer(result)
    assert answer.sentence.startswith(
        "6 of 12 points are equally good (60 s), with offered load 0.300 and 0.500"
    )


def test_one_run_without_variation_or_interval():
    assert span(0.0, 0.0, 0.0, (0.0, math.inf), count=1).sentence(lambda *_: ("", "")) == (
        "no 95 % interval: the only run shows no variation"
    )
    assert Span("both", 0.0, 0.0, 4).inner(lambda *_: ("0", "0 %")) == "0 to 0 %"
    points = points_of([100.0] * 4).assign(
        replications=1, mean_wait_s_low=0.0, mean_wait_s_high=math.inf
    )
    result = result_of({"metrics": ["mean_wait_s"], "replications": 1}, points=points)
    shown = study_table(result, "Points", points, "", "points.csv")
    assert shown.frame["mean_wait_s_low"].isna().all()


def test_the_stopping_rule_of_capacities():
    rule = {"at_most": 4, "relative_width": 0.05}
    table = capacities_of([("fcfs", 0.8, 0.78, 0.82, ""), ("easy", 0.8, 0.6, 1.0, "")])
    fields = {**CAPACITY, "replications": rule}
    result = result_of(fields, points=points_of([1.0] * 4), capacities=table)
    assert "1 of 2 capacities did not reach this" in method_sentence(result)


def test_yes_and_no_and_counts_have_labels():
    fields = {"compare": {"of": "scheduler.wait_for_best", "baseline": False}}
    parameters = {"scheduler.wait_for_best": [False, True]}
    result = result_of({**fields, "parameters": parameters})
    axes = study_axes(result)
    assert system_name(result, True, axes) == "wait for the best pool yes"
    fields = {"compare": {"of": NODES, "baseline": 2}, "parameters": {NODES: [2, 4]}}
    assert system_name(result_of(fields), 4, {}) == "4 nodes of pool h20"


def test_equal_arrival_rates_have_no_note():
    spec = result_of({"parameters": {"scheduler.choose": ["fastest", "listed"]}}).study.spec
    assert load_notes(spec, BASE, (163.2, 163.3))
    assert not load_notes(spec, BASE, (163.2, 163.2 * (1 + 1e-14)))
