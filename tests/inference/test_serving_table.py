"""Predictions for whole tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.inference import predict_serving
from clustersim.inference.fit import own_table
from clustersim.inference.outcomes import MEASURES, PHASES
from clustersim.inference.rows import COLUMNS
from clustersim.inference.table import ADDED


def test_every_row_is_kept_and_predicted_or_has_a_reason() -> None:
    table = own_table()
    found = predict_serving(table)
    assert list(found.table.columns) == [*table.columns, *ADDED]
    assert found.table["id"].tolist() == table["id"].tolist()
    value = pd.to_numeric(found.table["predicted_value"])
    assert ((found.table["reason"] == "") == value.notna()).all()
    assert found.predicted == value.notna().sum() == len(table) - 1
    low, high = (pd.to_numeric(found.table[f"predicted_{end}"]) for end in ("lo", "hi"))
    some = value.notna()
    assert ((low > 0) & (low < value) & (value < high))[some].all()


def test_measured_values_are_not_used() -> None:
    table = own_table().iloc[::7]
    changed = table.assign(value="1", ttft_ms="1", quality="")
    keys = ["predicted_value", "predicted_lo", "predicted_hi"]
    before, after = (predict_serving(one).table[keys] for one in (table, changed))
    pd.testing.assert_frame_equal(before, after)


def test_more_blank_cells_widen_the_interval() -> None:
    row = own_table().iloc[[75]]
    widths = []
    for blank in ([], ["input_len"], ["input_len", "weight_precision", "tp"]):
        one = predict_serving(row.assign(**dict.fromkeys(blank, ""))).table.iloc[0]
        widths.append(float(one["predicted_hi"]) / float(one["predicted_lo"]))
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.DataFrame({"chip": [], "measure": []}), "has no rows"),
        (pd.DataFrame({"chip": ["H200"]}), "measure: the column is missing"),
        (
            pd.DataFrame({"chip": ["H200"], "measure": [""], "reason": [""]}),
            "reason: the input already has a column of this name",
        ),
        (
            pd.DataFrame([["H200", "", ""]], columns=["chip", "measure", "chip"]),
            "chip: the column occurs twice",
        ),
    ],
)
def test_tables_that_cannot_be_used(table: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        predict_serving(table)


CELLS = st.one_of(
    st.sampled_from(
        ["", "8", "0", "-1", "1e30", "nan", "fp8", "many", "64", "128000", "y (MTP 3)"]
    ),
    st.sampled_from([*MEASURES, *PHASES, "H200", "910C", "deepseek-v3", "wan-14b", "1280x720"]),
)


@settings(max_examples=150, deadline=None)
@given(
    row=st.dictionaries(st.sampled_from(sorted(COLUMNS)), CELLS, min_size=3),
    chip=st.sampled_from(["H200", "910C", "SeedChip", "TPU-v4", "nothing"]),
    measure=st.sampled_from([*MEASURES, "nothing"]),
    model=st.sampled_from(["deepseek-v3", "qwen3-0.6b", "wan-14b", "flux-1", "sdxl", "Any-9B"]),
)
def test_odd_cells_never_fail(row: dict[str, str], chip: str, measure: str, model: str) -> None:
    table = pd.DataFrame([{**row, "chip": chip, "measure": measure, "model": model}])
    found = predict_serving(table).table.iloc[0]
    if found["reason"]:
        assert found["predicted_value"] == ""
        return
    numbers = [float(found[name]) for name in ("predicted_lo", "predicted_value", "predicted_hi")]
    assert np.isfinite(numbers).all()
    assert 0 < numbers[0] < numbers[1] < numbers[2]
