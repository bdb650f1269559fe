"""Units, estimates and order of the tables and pictures on the page of a study."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from clustersim.report.cells import table_columns
from clustersim.report.of_study.controls import controls_table, which_estimate
from clustersim.report.of_study.estimates import two_estimates_of_figure, wider_relative
from clustersim.report.of_study.tables import point_table, result_parts
from clustersim.report.study_answer import study_answer
from clustersim.report.study_figures import NamedFigure
from clustersim.report.study_page import _main_first, _short
from clustersim.studies.overload import overload_by_period
from tests.report.test_study_answer import COMPARE, differences_of, points_of, result_of


def texts(frame, **formats):
    columns = table_columns(frame, labels={}, formats=formats, intervals=True)
    return [[cell.text for cell in column.cells] for column in columns]


def test_a_column_has_one_unit():
    waits = pd.DataFrame({"wait_s": [432.0, 141480.0], "wait_s_low": [0.0, 7200.0],
                          "wait_s_high": [7200.0, 144000.0]})  # fmt: skip
    assert texts(waits) == [["0.12 h (0 to 2)", "39.3 h (2 to 40)"]]
    # Numbers that differ too much have a unit each.
    assert texts(pd.DataFrame({"wait_s": [0.5, 864000.0]})) == [["500 ms", "10 d"]]


def controlled(points, plain):
    """Points with an estimate without control variates."""
    ends = {f"mean_wait_s_plain{end}": [value + apart for value in plain]
            for end, apart in (("", 0.0), ("_low", -20.0), ("_high", 20.0))}  # fmt: skip
    return points.assign(**ends, mean_wait_s_explained=0.75)


def test_estimates_without_control_variates_have_a_table_of_their_own():
    points = controlled(points_of([100.0, 400.0, 60.0, 125.0]), [110.0, 410.0, 70.0, 135.0])
    table = differences_of([(0.5, -0.4, -0.5, -0.3), (0.7, -0.6, -0.7, -0.5)])
    table = table.assign(baseline_mean=100.0, difference=-40.0, difference_low=-50.0,
                         difference_high=-30.0, relative_note="")  # fmt: skip
    result = result_of(COMPARE, points=points.assign(failed=0, rising=False), differences=table)
    shown = point_table(result)
    assert not [name for name in shown.frame if "plain" in name or "explained" in name]
    assert not {"point", "failed", "rising"} & {*shown.frame}
    assert "No run failed; no point is overloaded" in shown.caption
    beside = controls_table(result)
    assert beside.frame.iloc[0].to_dict() == {
        "number": "mean wait",
        "scheduler.policy": "fcfs",
        "workload.load": 0.5,
        "with": "1.67 min (1.5 to 1.83)",
        "without": "1.83 min (1.5 to 2.17)",
        "explained": 0.75,
    }
    assert result_parts(result)[-1].title == "Estimates with and without control variates"
    # The differences are without them: the caption says so, and the card uses the same estimates.
    assert which_estimate(result, table, "mean_wait_s").startswith("Differences and the mean of")
    hinges = study_answer(result).hinges_on
    assert "Policy: mean wait (without control variates) is 102 s with easy and 260 s with fcfs, " \
        "averaged over the other parameters." in hinges  # fmt: skip
    # The numbers of both estimates are on the card and below the figures of points.
    assert "Two estimates: mean wait at easy, offered load 0.500 is 70 s without control " \
        "variates (this card and the differences) and 60 s with them (curves and the table of " \
        "points)." in hinges  # fmt: skip
    words = two_estimates_of_figure(result, "mean_wait_s")
    assert words.startswith("These are estimates with control variates: mean wait at easy,")
    assert "is 60 s here, and 70 s without them" in words
    mixed = table.assign(difference_plain=-41.0, relative_plain=math.nan)
    sentence = which_estimate(result, mixed, "mean_wait_s")
    assert "The difference of easy uses control variates; the relative difference" in sentence
    # -50 to -30 s of -40 s is as wide as -50 to -30 % of -40 %: only more needs an explanation.
    widths = [
        [*wider_relative([{**row, "difference_low": low}], "easy", "mean_wait_s", {})]
        for row in mixed.to_dict("records")[:1]
        for low in (-50.0, -42.0)
    ]
    assert widths[0] == []
    assert "relative difference of easy (−50 % to −30 %) is without control" in widths[1][0]
    assert "(−42 to −30 s) is with them" in widths[1][0]


def test_the_card_says_in_how_many_runs_waits_are_cut_off():
    points = points_of([100.0, 400.0, 60.0, 125.0])
    table = differences_of([(0.5, -0.4, -0.5, -0.3), (0.7, -0.6, -0.7, -0.5)])
    result = result_of(COMPARE, points=points, differences=table)
    result.runs["censored"] = [0.06, 0.2, *[0.05] * 6]
    (waits,) = (line for line in study_answer(result).hinges_on if line.startswith("Waits: "))
    assert waits.startswith("Waits: in 2 of 8 runs, more than 5 % of the measured jobs were still")


def test_pairs_that_differ_by_point_are_a_range():
    table = differences_of([(0.5, -0.4, -0.5, -0.3), (0.7, -0.6, -0.7, -0.5)])
    result = result_of(
        COMPARE,
        points=points_of([100.0, 400.0, 60.0, 125.0]),
        differences=table.assign(pairs=[11, 12]),
    )
    assert any("11 to 12 pairs of runs" in text for text in study_answer(result).hinges_on)


def test_the_picture_of_the_metric_of_the_answer_comes_first():
    figures = [
        NamedFigure(name, name, SimpleNamespace(), kind, metrics=metrics)
        for name, kind, metrics in (
            ("check", "warm-up", ()),
            ("waits", "differences", ("mean_wait_s",)),
            ("curve", "curve", ("utilisation@4",)),
            ("periods", "periods", ("utilisation",)),
        )
    ]
    ordered = _main_first(figures, "differences", "utilisation@4")
    assert [figure.name for figure in ordered][:2] == ["curve", "periods"]
    ordered = _main_first(figures, "differences", "mean_wait_s")
    assert ordered[0].name == "waits"
    assert ordered[-1].name == "check"


def test_hashes_are_shortened_while_they_differ():
    keys = pd.Series(["a" * 12 + "b" * 12, "a" * 12 + "c" * 12])
    assert _short(keys).tolist() == ["a" * 12 + "b", "a" * 12 + "c"]


@pytest.mark.parametrize(
    ("waiting", "utilisation", "expected"),
    [(0.04, 0.99, ""), (0.06, 0.99, "Q1"), (0.2, 0.9, ""), (0.3, 0.9, "Q1")],
)
def test_overload_of_a_period(waiting, utilisation, expected):
    runs = pd.DataFrame({"point": 0, "status": "finished", "draw": -1,
                         "censored@1": [waiting - 0.01, waiting + 0.01],
                         "utilisation@1": utilisation})  # fmt: skip
    assert overload_by_period(runs, ["Q1"]).tolist() == [expected]
