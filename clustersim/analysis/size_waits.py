"""Waits by job size, and simulated waits next to those that a log recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.workload.describe import size_bins
from clustersim.workload.log_scale import changes_load

__all__ = [
    "ALL_SIZES",
    "ENOUGH_JOBS",
    "recorded_wait_s",
    "recorded_waits",
    "sizes_with_jobs",
    "waits_by_size",
]

ALL_SIZES = "all"
"""Name of the row for jobs of all sizes."""
ENOUGH_JOBS = 20
"""With fewer jobs of a size, a high percentile of their waits lies between the two longest."""
_QUANTILES = (("median", 0.5), ("p90", 0.9), ("p95", 0.95))


def waits_by_size(jobs: pd.DataFrame, end_s: float) -> pd.DataFrame:
    """Return the waits of jobs until their first start, by number of accelerators.

    The wait of a job that had not started when the run stopped is counted until then, as in the
    metrics of a study. Jobs that can never run and jobs submitted after the end are left out.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result.
    end_s : float
        End of the simulation, seconds.

    Returns
    -------
    pandas.DataFrame
        A row for all jobs, then one for each range of sizes with jobs: ``size`` (``all``, ``1``,
        ``2``, ``3-4``, ``5-8``, ...), ``jobs``, ``waiting`` (jobs that had not started), ``waited``
        (share of jobs that waited), ``mean_wait_s``, ``median_wait_s``, ``p90_wait_s``,
        ``p95_wait_s`` and ``most_wait_s`` (seconds).

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 0.0], "start_s": [0.0, 10.0],
    ...                      "n_accelerators": [8, 4], "outcome": "finished"})
    >>> waits_by_size(jobs, 20.0)[["size", "jobs", "mean_wait_s"]].to_numpy().tolist()
    [['all', 2, 5.0], ['3-4', 1, 10.0], ['5-8', 1, 0.0]]
    """
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    start_s = jobs["start_s"].to_numpy(dtype=np.float64)
    there = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool) & (submit_s <= end_s)
    wait_s = (np.where(np.isnan(start_s), end_s, start_s) - submit_s)[there]
    waiting = np.isnan(start_s[there])
    rows = []
    for name, chosen in sizes_with_jobs(jobs["n_accelerators"].to_numpy()[there]):
        waits = wait_s[chosen]
        row: dict[str, Any] = {"size": name, "jobs": len(waits)}
        row |= {"waiting": int(waiting[chosen].sum()), "waited": float(np.mean(waits > 0))}
        rows.append({**row, "mean_wait_s": float(waits.mean()), **_quantiles("", waits)})
    return pd.DataFrame(rows)


def recorded_wait_s(
    jobs: pd.DataFrame, provenance: Mapping[str, Any], *, negative: bool = False
) -> Floats | None:
    """Return the waits that the log of a run recorded, in seconds; None if it recorded none.

    They come from the log's start times (``recorded_start_s``) or else from its column ``wait_s``
    (``recorded_wait_s``). A recorded wait that is negative or missing is NaN. If the run changed
    the load of the log (``workload.scale``) or drew its weeks again (a replication other than 0),
    its recorded waits do not apply, and there are none.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result.
    provenance : mapping
        Provenance of the result.
    negative : bool
        Whether to keep negative waits.
    """
    scenario = provenance.get("scenario")
    scenario = scenario if isinstance(scenario, Mapping) else {}
    workload = scenario.get("workload", {})
    drawn = workload.get("resample", "none") != "none" and scenario.get("replication", 0)
    if drawn or changes_load(workload.get("scale")):
        return None
    if "recorded_start_s" in jobs:
        waits = _numbers(jobs["recorded_start_s"]) - jobs["submit_s"].to_numpy(dtype=np.float64)
    elif "recorded_wait_s" in jobs:
        waits = _numbers(jobs["recorded_wait_s"])
    else:
        return None
    if not negative:
        waits = np.where(waits >= 0, waits, np.nan)
    return waits if np.isfinite(waits).any() else None


def recorded_waits(jobs: pd.DataFrame, provenance: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return simulated waits next to the recorded ones, by number of accelerators.

    Only jobs that started in the run and have a recorded wait are compared.

    Returns
    -------
    pandas.DataFrame or None
        A row for all jobs, then one for each range of sizes: ``size``, ``jobs`` (jobs compared),
        and median, 90th and 95th percentile and largest value of both waits in seconds
        (``recorded_median_wait_s``, ``simulated_median_wait_s``, ...). None if the log recorded no
        waits, or no job that it recorded started.

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 0.0], "start_s": [0.0, 10.0],
    ...                      "recorded_start_s": [5.0, 25.0], "n_accelerators": [8, 8]})
    >>> table = recorded_waits(jobs, {})
    >>> table.loc[0, ["recorded_median_wait_s", "simulated_median_wait_s"]].tolist()
    [15.0, 5.0]
    """
    recorded = recorded_wait_s(jobs, provenance)
    if recorded is None:
        return None
    simulated = (jobs["start_s"] - jobs["submit_s"]).to_numpy(dtype=np.float64)
    both = np.isfinite(recorded) & np.isfinite(simulated)
    rows = []
    for name, chosen in sizes_with_jobs(jobs["n_accelerators"].to_numpy()[both]):
        old = _quantiles("recorded_", recorded[both][chosen])
        new = _quantiles("simulated_", simulated[both][chosen])
        pairs = {key: value for pair in zip(old.items(), new.items(), strict=True)
                 for key, value in pair}  # fmt: skip
        rows.append({"size": name, "jobs": int(chosen.sum()), **pairs})
    return pd.DataFrame(rows) if rows else None


def sizes_with_jobs(n: Any) -> list[tuple[str, Bools]]:
    """Return the name of each range of sizes with jobs, and which jobs are in it; first all."""
    if not len(n):
        return []
    index, labels = size_bins(n)
    parts = [(labels[k], index == k) for k in np.unique(index)]
    return [(ALL_SIZES, np.ones(len(n), dtype=bool)), *parts]


def _quantiles(head: str, waits: Floats) -> dict[str, float]:
    values = np.quantile(waits, [q for _, q in _QUANTILES])
    found = {
        f"{head}{name}_wait_s": float(value)
        for (name, _), value in zip(_QUANTILES, values, strict=True)
    }
    return {**found, f"{head}most_wait_s": float(waits.max())}


def _numbers(column: pd.Series) -> Floats:
    """Return a column as floats; values that are no numbers are NaN."""
    numbers = column
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column.astype(object), errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
