"""What a report says of differences whose intervals reach below nothing, or have few pairs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from clustersim.report.of_study.difference_sentences import difference_sentences


def said(metric: str, relative: float, low: float, high: float, pairs: int) -> str:
    row: dict[str, Any] = {
        "metric": metric,
        "system": "easy",
        "baseline": "fcfs",
        "pairs": pairs,
        "difference": relative,
        "relative": relative,
        "relative_low": low,
        "relative_high": high,
        "relative_note": "",
    }
    spec = SimpleNamespace(compare=None)
    result: Any = SimpleNamespace(
        differences=pd.DataFrame([row]),
        parameters=(),
        study=SimpleNamespace(spec=spec),
        runs=pd.DataFrame(),
    )
    return next(difference_sentences(result, {}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("mean_wait_s", -0.37, -2.69, 1.95, 2),
            "(-37 %; 95 % interval not determined by 2 pairs of runs)",
        ),
        (("mean_wait_s", -0.37, -2.69, -0.05, 9), "(95 % interval up to -5.0 %; 9 pairs)"),
        (
            ("mean_wait_s", -0.37, -0.5, -0.24, 9),
            "37 % less (95 % interval -50 % to -24 %; 9 pairs)",
        ),
        (("of_a_user", -0.37, -2.69, 1.95, 9), "interval -269 % to +195 %; 9 pairs)"),
    ],
)
def test_no_wait_is_more_than_all_of_it_shorter(
    arguments: tuple[str, float, float, float, int], words: str
) -> None:
    message = said(*arguments)
    assert words in message.replace("−", "-")
    assert "-269" not in message or arguments[0] == "of_a_user"
