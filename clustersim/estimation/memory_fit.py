"""Probability that the rows of a table fit in memory."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.estimation.assumed_inputs import CHIP, SHAPE, SHAPE_SPREAD, SPREADS
from clustersim.estimation.configurations import Configurations
from clustersim.performance import StepTime
from clustersim.performance.memory_overhead import fit_probability

__all__ = ["memory_probability"]


def memory_probability(rows: Configurations, step: StepTime) -> Floats:
    """Return the probability that each row fits, as an array of shape (R,).

    The scatter of the peak is that of the row's stack. A setting that is not known adds its spread,
    weighted by the share of the peak that depends on it: the activations. The result is nan for a
    row that gives neither a chip nor its memory.

    Parameters
    ----------
    rows : Configurations
    step : StepTime
        The evaluated rows.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import predict, read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8, "dp": 8}
    >>> table = pd.DataFrame([{**job, "global_batch": 512, "micro_batch": size} for size in (1, 8)])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> step = predict(rows, cs.performance.default_calibration()).step
    >>> memory_probability(rows, step).round(2).tolist()
    [1.0, 0.0]
    """
    size = len(rows)
    share = np.broadcast_to(step.memory["activations"], size) / step.memory_bytes
    variance = np.broadcast_to(np.asarray(rows.memory.scatter) ** 2, size).copy()
    for row, place in enumerate(rows.index):
        names = rows.unknown[place] if rows.unknown else frozenset()
        variance[row] += share[row] ** 2 * sum(SPREADS[name] ** 2 for name in names - {CHIP, SHAPE})
        variance[row] += SHAPE_SPREAD**2 * (SHAPE in names)
        if CHIP in names:
            variance[row] = np.nan
    return fit_probability(step.memory_bytes, rows.chips.hbm_bytes, np.sqrt(variance))
