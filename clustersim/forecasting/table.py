"""The table of a forecast: when each waiting job starts, and what it waits for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.forecasting.constraints import constraints
from clustersim.forecasting.inputs import Given
from clustersim.forecasting.replicate import Replications
from clustersim.forecasting.result import LEVELS
from clustersim.forecasting.snapshot import Snapshot

__all__ = ["forecast_table"]


def forecast_table(snapshot: Snapshot, found: Replications, given: Given) -> pd.DataFrame:
    """Return the table ``jobs`` of a :class:`~clustersim.forecasting.Forecast`."""
    waiting = snapshot.waiting
    low, median, high = (_quantile(found.start_s, level) for level in LEVELS)
    alone = _quantile(found.alone_s, LEVELS[0])
    after = np.isin(np.arange(len(waiting)), [*found.after_unknown])
    low = np.where(after & (waiting["held"] == "").to_numpy(), alone, low)
    dates = {
        name: given.calendar.iso_texts(given.now_s + values)
        for name, values in (("low", low), ("median", median), ("high", high))
    }
    table = pd.DataFrame(
        {
            "job_id": waiting["job_id"],
            "row_id": waiting["row_id"],
            "partition": waiting["vc"],
            "user": waiting["user"],
            "n_accelerators": waiting["n_accelerators"].astype(np.int64),
            "time_limit_s": waiting["limit_s"],
            "low_s": low,
            "median_s": median,
            "high_s": high,
            **dates,
            "alone_s": _quantile(found.alone_s, 0.5),
        }
    )
    table = pd.concat([table, constraints(snapshot, found)], axis=1)
    expected = given.now_s + waiting["expected_s"].to_numpy(dtype=np.float64)
    return table.assign(
        reason=waiting["reason"], scheduler_expects=given.calendar.iso_texts(expected)
    )


def _quantile(values: Floats, level: float) -> Floats:
    """Return a quantile over the replications; NaN where it is infinite.

    A further replication is beyond the k-th smallest of n with a probability of k / (n + 1). The
    bounds of intervals are the nearest ones outside, so that few replications are not too certain.
    """
    n = len(values)
    if not values.size:
        return np.full(values.shape[1], np.nan)
    place = level * (n + 1) - 1.0
    nearest = np.ceil(place - 1e-9) if level > 0.5 else np.floor(place + 1e-9)
    found = np.sort(values, axis=0)[int(np.clip(nearest, 0, n - 1))]
    return np.where(np.isfinite(found), found, np.nan)
