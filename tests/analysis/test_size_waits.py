"""Waits by job size, and recorded waits, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.size_waits import recorded_wait_s, recorded_waits, waits_by_size

NAN = float("nan")


def test_waits_by_size():
    jobs = pd.DataFrame(
        {
            "submit_s": [0.0, 0.0, 10.0, 10.0, 20.0, 500.0],
            "start_s": [0.0, 30.0, 20.0, NAN, NAN, NAN],
            "n_accelerators": [1, 1, 8, 8, 64, 1],
            "outcome": [
                *["finished"] * 3,
                "unfinished",
                "never runnable",
                "unfinished",  # submitted after the end
            ],
        }
    )
    table = waits_by_size(jobs, 110.0).set_index("size")
    assert list(table.index) == ["all", "1", "5-8"]
    assert table["jobs"].tolist() == [4, 2, 2]
    assert table["waiting"].tolist() == [1, 0, 1]
    assert table["waited"].tolist() == [0.75, 0.5, 1.0]
    # The job that still waits has waited 100 s.
    assert table["mean_wait_s"].tolist() == [35.0, 15.0, 55.0]
    assert table["median_wait_s"].tolist() == [20.0, 15.0, 55.0]
    assert table["p90_wait_s"].tolist() == pytest.approx([79.0, 27.0, 91.0])
    assert table["most_wait_s"].tolist() == [100.0, 30.0, 100.0]


def log(**columns):
    base = {
        "submit_s": [0.0, 10.0, 20.0, 30.0],
        "n_accelerators": [1, 1, 2, 2],
        "start_s": [5.0, 10.0, 60.0, NAN],
    }
    return pd.DataFrame({**base, **columns})


def test_recorded_waits_are_compared_with_the_simulated_ones():
    # Recorded waits: 100, 0, negative (wrong in the log), 40; the last job did not start.
    jobs = log(recorded_start_s=pd.array([100, 10, 15, 70], dtype="Int64"))
    assert recorded_wait_s(jobs, {}).tolist()[:2] == [100.0, 0.0]
    assert np.isnan(recorded_wait_s(jobs, {})[2])
    table = recorded_waits(jobs, {"replay": {}}).set_index("size")
    assert list(table.index) == ["all", "1"]
    assert table["jobs"].tolist() == [2, 2]
    assert table["recorded_median_wait_s"].tolist() == [50.0, 50.0]
    assert table["simulated_median_wait_s"].tolist() == [2.5, 2.5]
    assert table["recorded_p90_wait_s"].tolist() == pytest.approx([90.0, 90.0])
    assert table["recorded_p95_wait_s"].tolist() == pytest.approx([95.0, 95.0])
    assert table["simulated_p95_wait_s"].tolist() == pytest.approx([4.75, 4.75])


def test_a_column_of_waits_is_read_as_well():
    table = recorded_waits(log(recorded_wait_s=["7", "x", 3, 1]), {}).set_index("size")
    assert table.loc["all", "jobs"] == 2
    assert table.loc["1", "recorded_median_wait_s"] == 7.0
    assert table.loc["2", "recorded_median_wait_s"] == 3.0


@pytest.mark.parametrize(
    ("columns", "scenario"),
    [
        ({}, {}),
        ({"wait_s": [NAN] * 4}, {}),
        ({"recorded_start_s": [0.0, 1.0, 2.0, 3.0]}, {"workload": {"scale": 2.0}}),
    ],
)
def test_no_recorded_waits(columns, scenario):
    """Without a column, without a value, and at another arrival rate than that of the log."""
    jobs = log(**columns)
    if "recorded_start_s" not in columns:
        assert recorded_wait_s(jobs, {"scenario": scenario}) is None
    assert recorded_waits(jobs, {"scenario": scenario}) is None
