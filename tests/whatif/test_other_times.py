"""The answer names a mean that moves unlike the percentile, and the other way round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from clustersim.report.of_what_if.other_times import other_way_text

HOUR_S = 3600.0


def moved(metric: str, p95: tuple[float, float], mean: tuple[float, float]) -> Any:
    """Return an answer of which only the waits before and after are given."""
    systems = (SimpleNamespace(key="before"), SimpleNamespace(key="after"))
    waits = {"p95_wait_s": p95, "mean_wait_s": mean}
    return SimpleNamespace(
        metric=metric,
        question=SimpleNamespace(compared=systems),
        waits=lambda name: {"before": [waits[name][0]], "after": [waits[name][1]]},
    )


@pytest.mark.parametrize(
    ("metric", "p95", "mean", "text"),
    [
        ("p95_wait_s", (9, 5), (2, 3), " The mean wait, however, rises from 2 to 3 h."),
        (
            "mean_wait_s", (9, 5), (2, 3),
            " The 95th percentile of wait, however, falls from 9 to 5 h.",
        ),
        ("p95_wait_s", (5, 5), (2, 3), " The mean wait, however, rises from 2 to 3 h."),
        ("p95_wait_s", (9, 5), (3, 2), ""),
        ("p95_wait_s", (9, 5), (2, 2), ""),
        ("p95_wait_s", (9, 5), (float("nan"), 2), ""),
    ],
)  # fmt: skip
def test_a_time_that_moves_the_other_way_is_in_the_answer(
    metric: str, p95: tuple[float, float], mean: tuple[float, float], text: str
) -> None:
    in_seconds = [(before * HOUR_S, after * HOUR_S) for before, after in (p95, mean)]
    assert other_way_text(moved(metric, *in_seconds)) == text
