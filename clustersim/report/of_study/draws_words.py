"""What the draws of the calibration change, in sentences for the answer cards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clustersim.studies.study_result import StudyResult
from clustersim.units import counted

__all__ = ["over_draws"]


def over_draws(
    result: StudyResult,
    rows: Sequence[tuple[str, Mapping[Any, Any]]],
    column: str,
    texts: Callable[[float, float], Sequence[str]],
) -> Iterator[str]:
    """Yield the ranges of a number over the draws of the calibration; nothing without draws.

    Parameters
    ----------
    result : StudyResult
    rows : sequence of (str, mapping)
        Rows with the ends ``_draw_low`` and ``_draw_high`` of the number, each with its name; ""
        for a single row.
    column : str
    texts : callable
        Converts both ends to texts.
    """
    draws = result.study.spec.draws
    if not draws:
        return
    found = []
    for name, row in rows:
        ends = [float(row.get(f"{column}_draw_{end}", math.nan)) for end in ("low", "high")]
        if all(map(math.isfinite, ends)):
            low, high = texts(*ends)
            text = low if low == high else f"{low} to {high}"
            found.append(f"{text}{f' ({name})' if name else ''}")
    if not found:
        yield (
            f"Calibration: the study has {counted(draws, 'draw')} of its coefficients, but no "
            "range over them is known for this number; its interval contains chance alone."
        )
        return
    yield (
        f"Calibration: over {counted(draws, 'draw')} of its coefficients, {'; '.join(found)} (5th "
        "to 95th percentile). The 95 % interval contains chance alone."
    )
