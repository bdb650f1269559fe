"""Texts and sort keys of table cells."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from clustersim.report.cells import table_columns
from clustersim.units import format_money, format_percent


def columns_of(frame, **options):
    chosen = {"labels": {}, "formats": {}, "intervals": True, **options}
    return table_columns(pd.DataFrame(frame), **chosen)


def texts(frame, **options):
    return [[cell.text for cell in column.cells] for column in columns_of(frame, **options)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.55, 1.0], ["0.50", "0.55", "1.00"]),
        ([0.7321, 0.9, 0.0], ["0.732", "0.900", "0.000"]),
        ([4120.0, 3540.0], ["4,120", "3,540"]),
        ([2048, 16], ["2,048", "16"]),
        ([12_345_678, 0], ["12,345,678", "0"]),
        ([0.0123, 45.678, 0.0], ["0.0123", "45.7", "0"]),
        ([2e12, 3.2e12], ["2e+12", "3.2e+12"]),
        ([-1.25, 1.0, -0.0], ["−1.25", "1.00", "0.00"]),
        ([np.inf, -np.inf, np.nan, 3.0], ["∞", "−∞", "–", "3"]),
        ([True, False], ["yes", "no"]),
        (["fcfs", None], ["fcfs", "–"]),
        (pd.array([3, None], dtype="Int64"), ["3", "–"]),
        ([0.0, 0.0], ["0", "0"]),
    ],
)
def test_default_texts(values, expected):
    assert texts({"load": values}) == [expected]


@pytest.mark.parametrize(
    ("name", "value", "text", "label"),
    [
        ("mean_wait_s", 738.0, "12.3 min", "mean wait"),
        ("mean_wait_s_half", 30.0, "30 s", "mean wait half"),
        ("fleet_power_w", 7.4e6, "7.4 MW", "fleet power"),
        ("hbm_bytes", 141e9, "141 GB", "hbm"),
        ("bandwidth_Bps", 4.8e12, "4.8 TB/s", "bandwidth"),
        ("fleet_cost_cny", 160e9, "160 billion CNY", "fleet cost"),
        ("jobs", 1000.0, "1,000", "jobs"),
        ("workload.mean_gap_s", 90.0, "90 s", "workload.mean_gap_s"),
    ],
)
def test_units_follow_from_names(name, value, text, label):
    (column,) = columns_of({name: [value]})
    assert (column.cells[0].text, column.cells[0].value, column.label) == (text, value, label)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((738.0, 660.0, 840.0), "12.3 min (11 to 14)"),
        ((130.0, 110.0, 150.0), "2.17 min (1.83 to 2.5)"),
        ((738.0, -math.inf, math.inf), "12.3 min"),
        ((738.0, math.nan, math.nan), "12.3 min"),
        ((738.0, 660.0, math.inf), "12.3 min (11 min to ∞)"),
        ((math.inf, math.inf, math.inf), "∞"),
        ((math.nan, math.nan, math.nan), "–"),
        ((-130.0, -150.0, 10.0), "−2.17 min (−2.5 to 0.167)"),
    ],
)
def test_joined_interval(row, text):
    names = ("wait_s", "wait_s_low", "wait_s_high")
    (column,) = columns_of({name: [value] for name, value in zip(names, row, strict=True)})
    assert column.cells[0].text == text
    assert column.cells[0].value == pytest.approx(row[0], nan_ok=True)
    assert column.numeric


def test_range_without_middle_is_a_column():
    frame = {
        "wait_s": [60.0],
        "wait_s_low": [50.0],
        "wait_s_high": [70.0],
        "wait_s_draw_low": [40.0],
        "wait_s_draw_high": [90.0],
        "replications": [8],
    }
    columns = columns_of(frame)
    assert [column.label for column in columns] == ["wait", "wait draw", "replications"]
    assert [column.cells[0].text for column in columns] == ["60 s (50 to 70)", "40 to 90 s", "8"]
    assert columns[1].cells[0].value == 40.0
    ends = {"load_low": [0.5, np.nan, 0.7, np.inf], "load_high": [0.6, 0.7, 0.7, np.inf]}
    assert texts(ends) == [["0.5 to 0.6", "–", "0.7", "∞"]]


def test_round_mean_keeps_the_digits_of_its_interval():
    frame = {"load": [0.9], "load_low": [0.873], "load_high": [0.9214]}
    assert texts(frame) == [["0.900 (0.873 to 0.921)"]]


def test_intervals_apart_on_request():
    frame = {"a": [1.0], "a_low": [0.5], "a_high": [1.5]}
    assert [column.label for column in columns_of(frame, intervals=False)] == [
        "a",
        "a low",
        "a high",
    ]
    assert [column.label for column in columns_of({"a": [1.0], "a_low": [0.5]})] == ["a", "a low"]


def test_own_labels_and_formats():
    frame = {"u": [0.5, np.inf], "u_low": [0.4, 0.0], "u_high": [0.6, 1.0]}
    (column,) = columns_of(frame, labels={"u": "use", "other": "x"}, formats={"u": format_percent})
    assert column.label == "use"
    assert [cell.text for cell in column.cells] == ["50.0 % (40.0 to 60.0)", "∞"]


def test_only_numbers_are_set_flush_right():
    frame = {"a": [1, 2], "b": [0.5, np.nan], "c": ["x", "y"], "d": [True, False], "e": [1, "x"]}
    assert [column.numeric for column in columns_of(frame)] == [True, True, False, False, False]


def test_amounts_of_money():
    assert format_money(2.5e6, "USD") == "2.5 million USD"
    assert format_money(999.0) == "999 CNY"
