"""More tokens take longer in proportion, and more chips no longer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from tests.examples import examples

CHIPS = ("H200", "H20", "910B", "910C", "SeedChip", "P800")
MODELS = ("doubao-class", "jimeng-class", "llama3-70b", "qwen3-30b-a3b")
NEVER_LATER = 1.0001
"""Twice as many chips can do what half of them do, so only rounding makes them later."""


@settings(max_examples=examples(60))
@given(
    model=st.sampled_from(MODELS),
    chip=st.sampled_from(CHIPS),
    count=st.sampled_from([64, 512, 4096]),
    tokens=st.floats(1e10, 1e14),
    factor=st.floats(1.01, 1e3),
)
def test_more_tokens_take_longer_in_proportion(
    model: str, chip: str, count: int, tokens: float, factor: float
) -> None:
    few, many = (
        cs.time_to_train(model, chip, count, tokens=amount).table.iloc[0]
        for amount in (tokens, factor * tokens)
    )
    for name in ("days", "days_lo", "days_hi", "energy_mwh", "interruptions", "chip_hours"):
        assert many[name] == pytest.approx(factor * few[name], rel=1e-9)
    assert (many["plan"], many["ettr"]) == (few["plan"], few["ettr"])


@settings(max_examples=examples(40))
@given(
    model=st.sampled_from(MODELS),
    chip=st.sampled_from(CHIPS),
    nodes=st.integers(4, 300),
)
def test_twice_as_many_chips_are_never_later(model: str, chip: str, nodes: int) -> None:
    """Without failures and as long as each chip has work: more data-parallel ranks."""
    counts = [8 * nodes, 16 * nodes]
    found = cs.time_to_train(
        model, chip, counts, failures="none", global_batch=counts[-1], tokens=1e12
    ).table
    few, many = found["days"]
    if found["fits"].iloc[0]:
        assert found["fits"].iloc[1]
        assert many <= NEVER_LATER * few


@settings(max_examples=examples(40))
@given(rate=st.floats(0.1, 10.0), count=st.sampled_from([256, 2048, 16384]))
def test_more_failures_take_longer(rate: float, count: int) -> None:
    usual, more = (
        cs.time_to_train("doubao-class", "H20", count, failure_rate=each).table.iloc[0]
        for each in (rate, 1.5 * rate)
    )
    assert more["days"] > usual["days"]
    assert more["ettr"] < usual["ettr"]
    assert more["checkpoint_interval_s"] < usual["checkpoint_interval_s"]
    assert more["step_time_s"] == usual["step_time_s"]
