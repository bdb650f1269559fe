"""Numbers as people read them: separators, no exponents."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.columns.plan_columns import amount_text
from clustersim.procurement.summary_text import metric_text
from clustersim.topology.fabric import ratio_note
from clustersim.units import (
    format_bytes,
    format_duration,
    format_memory,
    format_money,
    format_number,
    format_rate,
)

EXPONENT = re.compile(r"\de[+-]?\d")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1000.0, 3, "1,000"),
        (999.6, 3, "1,000"),
        (1234.5, 3, "1,230"),
        (1e8, 6, "100,000,000"),
        (123456.7, 4, "123,500"),
        (0.00012345, 3, "0.000123"),
        (12.0, 3, "12"),
        (-54321.0, 3, "-54,300"),
        (1e15, 3, "1e+15"),
        (1e-7, 3, "1e-07"),
        (float("inf"), 3, "inf"),
        (float("nan"), 3, "nan"),
    ],
)
def test_by_hand(value: float, digits: int, text: str) -> None:
    assert format_number(value, digits) == text


@settings(derandomize=True, deadline=None)
@given(st.floats(1e-4, 9e14), st.integers(2, 8), st.sampled_from([1, -1]))
def test_no_number_has_an_exponent_and_each_is_read_back(value, digits, sign):
    text = format_number(sign * value, digits)
    assert not EXPONENT.search(text)
    assert float(text.replace(",", "")) == pytest.approx(
        sign * value, rel=0.51 * 10 ** (1 - digits)
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (format_duration(1e4 * 86400.0), "10,000 d"),
        (format_duration(999.9 * 86400.0), "1,000 d"),
        (format_bytes(3e20), "300,000 PB"),
        (format_rate(2e19, "FLOP/s"), "20,000 PFLOP/s"),
        (format_memory(20_000 * 2**30), "20,000 GiB"),
        (format_money(5e13), "50,000 billion CNY"),
        (metric_text("jobs_per_day", 123456.0), "123,500"),
        (amount_text("power", 5e10), None),
        (
            *ratio_note({"leaf": 1000.0, "spine": 1e5}, {"leaf": 1000.0, "spine": 9e4}, 9e7, "w"),
            None,
        ),
    ],
)
def test_quantities(message: str, expected: str | None) -> None:
    assert not EXPONENT.search(message)
    assert expected is None or message == expected


def test_oversubscription() -> None:
    (message,) = ratio_note({"leaf": 1000.0}, {}, 1.0, "")
    assert message.startswith("oversubscription.leaf of 1,000:1 has no effect")
