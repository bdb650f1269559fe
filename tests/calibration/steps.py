"""Step times of the rows of a table in a draw."""

from __future__ import annotations

import numpy as np

from clustersim.performance import evaluate


def seconds(draw, rows):
    """Step time of each row, shape (R,) or (draws, R)."""
    step = evaluate(
        rows.models,
        rows.chips,
        rows.plans,
        global_batch=rows.global_batch,
        coefficients=draw.coefficients(rows.labels),
    )
    return step.step_time_s


def sizes(predicted, measured):
    """Absolute relative errors."""
    return np.abs(predicted / measured - 1)
