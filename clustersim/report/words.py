"""Numbers and points of a study in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clustersim.plots.axis import Axis, axis_of
from clustersim.studies.study_result import StudyResult

__all__ = ["number_in_words", "place_in_words"]


def place_in_words(result: StudyResult, row: Mapping[Any, Any], axes: Mapping[str, Axis]) -> str:
    """Say where a row of a table is in the space of the study's parameters."""
    parts = []
    for path in result.parameters:
        if path not in row:
            continue
        value, axis = row[path], axes.get(path, axis_of(path))
        if isinstance(value, str) and axis.dimension == "":
            parts.append(value)
        else:
            shown = number_in_words(value, axis) if isinstance(value, float) else str(value)
            parts.append(f"{axis.label} {shown}")
    return ", ".join(parts)


def number_in_words(value: float, axis: Axis) -> str:
    """Say a value of a parameter; infinite for what a search did not find in its range."""
    if math.isinf(value):
        return "above the range" if value > 0 else "below the range"
    return f"{value:.3f}" if axis.dimension == "ratio" else axis.text(value)
