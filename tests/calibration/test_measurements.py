"""Tables of measured runs: the project's and a user's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import load_measurements
from clustersim.calibration.own_data import own_table
from clustersim.errors import InputError
from clustersim.performance.step_time import least_seconds

RUN = {
    "accelerator": "H100", "n_accelerators": "8", "model": "llama3-8b", "global_batch": "64",
    "tp": "2",
}  # fmt: skip


def table(path, *changes):
    pd.DataFrame([RUN | change for change in changes]).to_csv(path, index=False)
    return path


def test_a_user_s_table_alone_or_added(tmp_path):
    mine = table(tmp_path / "mine.csv", {"step_time_s": "5.5"}, {"step_time_s": "6.5", "tp": "1"})
    alone = load_measurements([mine], own=False)
    assert alone.step_time_s.tolist() == [5.5, 6.5]
    assert alone.rows.plans.tp.tolist() == [2, 1]
    assert set(alone.families) == {"mine"}
    assert alone.complete.all()
    assert alone.scatter.tolist() == [0.03, 0.03]
    added = load_measurements([mine])
    assert len(added) == len(own_table()) + 2
    assert added.step_time_s[-2:].tolist() == [5.5, 6.5]


def test_step_time_from_the_throughput(tmp_path):
    """64 sequences of 8,192 tokens on 8 chips at 10,000 tokens/s a chip; a step time wins."""
    mine = table(
        tmp_path / "mine.csv",
        {"tokens_per_s_per_device": "10000"},
        {"tokens_per_s_per_device": "10000", "step_time_s": "7"},
    )
    found = load_measurements([mine], own=False)
    np.testing.assert_allclose(found.step_time_s, [64 * 8192 / 8 / 10000, 7])


def test_quality_sets_the_weight(tmp_path):
    good = {"step_time_s": "5"}
    mine = table(
        tmp_path / "mine.csv",
        *(good | {"quality": q, "config_complete": "1", "family": "f"} for q in ("A", "b", "C")),
        good | {"quality": "A", "config_complete": "0", "family": ""},
    )
    found = load_measurements([mine], own=False)
    assert found.scatter == pytest.approx([0.03, 0.05, 0.09, 0.06])
    assert found.complete.tolist() == [True, False, False, False]
    assert found.whole.tolist() == [True, True, True, False]
    assert found.families.tolist() == ["f", "f", "f", "mine"]


def test_rows_that_cannot_be_used_are_named(tmp_path):
    mine = table(
        tmp_path / "mine.csv",
        {"step_time_s": "5"},
        {"step_time_s": "-5"},
        {"step_time_s": "soon"},
        {"step_time_s": "5", "tp": "3"},
    )
    found = load_measurements([mine], own=False)
    assert len(found) == 1
    assert [line.removeprefix(str(mine)) for line in found.left_out] == [
        ", row 3: step_time_s: must be a number above 0, found '-5'",
        ", row 4: step_time_s: must be a number above 0, found 'soon'",
        ", row 5: tp, pp, cp: their product 3 does not divide 8 chips; "
        "tp: must divide the 32 heads, found 3",
    ]


def test_a_table_without_results(tmp_path):
    with pytest.raises(InputError, match="needs a column step_time_s or tokens_per_s_per_device"):
        load_measurements([table(tmp_path / "mine.csv", {})], own=False)


def test_a_table_without_a_usable_row(tmp_path):
    with pytest.raises(InputError, match="row 2: step_time_s: must be a number above 0, found"):
        load_measurements([table(tmp_path / "mine.csv", {"step_time_s": "0"})], own=False)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_measurements([tmp_path / "none.csv"])
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        load_measurements([empty])
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="is text in UTF-16"):
        load_measurements([binary])
    with pytest.raises(InputError, match="no table is given"):
        load_measurements([], own=False)


def test_a_header_with_a_column_twice(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("tp,step_time_s,tp\n1,2,3\n", encoding="utf-8")
    with pytest.raises(InputError, match="column 'tp': is present twice"):
        load_measurements([path], own=False)


def test_faster_than_the_roofline(tmp_path):
    """A step of 64 sequences of 8,192 tokens on 8 H100 takes three seconds at their peak."""
    mine = table(tmp_path / "mine.csv", {"step_time_s": "1.5"}, {"step_time_s": "5"})
    found = load_measurements([mine], own=False)
    floor = least_seconds(
        found.rows.models, found.rows.chips, found.rows.plans, found.rows.global_batch
    )[0]
    assert floor == pytest.approx(6 * 7.5e9 * 64 * 8192 / 8 / 989e12, rel=0.15)
    assert [line.removeprefix(str(mine)) for line in found.left_out] == [
        f", row 2: step_time_s: 1.5 s is below the roofline, {floor:.4g} s (more than 100 % MFU)"
    ]
    assert found.step_time_s.tolist() == [5]


def test_quality_that_is_none(tmp_path):
    good = {"step_time_s": "5"}
    mine = table(tmp_path / "mine.csv", good | {"quality": " a"}, good | {"quality": "D"})
    found = load_measurements([mine], own=False)
    assert found.scatter.tolist() == [0.03]
    assert found.left_out == [f"{mine}, row 3: quality: must be A, B or C, found 'D'"]


def test_misspelt_columns_are_reported(tmp_path):
    mine = table(tmp_path / "mine.csv", {"step_time_s": "5", "framwork": "NeMo", "colour": "red"})
    found = load_measurements([mine])
    message = [f"{mine}: unknown column 'framwork'; did you mean framework?"]
    assert found.notes == found.take(found.families == "mine").notes == message
    plain = table(tmp_path / "plain.csv", {"step_time_s": "5"})
    assert load_measurements([plain]).notes == []
