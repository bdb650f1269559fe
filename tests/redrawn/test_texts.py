"""Numbers of texts, and which of them tables have."""

from __future__ import annotations

import pytest

from tests.redrawn.texts import missing_numbers, numbers_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,627 jobs a day, 95 % interval 139 to 170", ["1,627", "95", "139", "170"]),
        ("figures in ![a 77](figures/a-88.png) and `x=99`", []),
        ("four runs of 3 cases in 2026, version 1.2.3", []),
        ("555,520 910B and Llama-3-405B", ["555,520"]),
        ("8.4 EFLOP/s ± 0.5 %", ["8.4", "0.5"]),
    ],
)
def test_numbers_of_texts(text, expected):
    assert [each.text for each in numbers_of(text)] == expected


def test_values_in_other_units_count():
    values = [8.43e18, 0.0052, 5400.0, 163.0]
    assert missing_numbers("8.4 EFLOP/s ± 0.5 %, 1.5 h, 163 jobs", values) == []


def test_a_changed_digit_is_found():
    assert [each.text for each in missing_numbers("8.5 EFLOP/s", [8.43e18])] == ["8.5"]
