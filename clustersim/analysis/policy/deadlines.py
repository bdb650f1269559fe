"""Attainment of deadlines: the service-level objectives that jobs bring with them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.analysis.policy.names import name_codes
from clustersim.array_types import Floats
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.workload.log_scale import changes_load

__all__ = ["deadline_s", "met_deadline", "slo_table"]


def deadline_s(result: Result) -> Floats:
    """Return the time by which each job should end, seconds; NaN for a job without a deadline.

    It is ``deadline_s``, in the same time as ``submit_s``, or ``slo_s`` seconds after the
    submission; with both, the earlier one.  If the run moved the jobs of a log in time
    (``workload.scale``, or another replication), ``deadline_s`` does not apply.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 5, 5], "n_accelerators": 8,
    ...                     "duration_s": 60})
    >>> log = log.assign(slo_s=[100, 100, None], deadline_s=[70, 500, None])
    >>> deadline_s(cs.replay(log, policy="fcfs", accelerators=8)).tolist()
    [70.0, 105.0, nan]
    """
    jobs = result.jobs
    due_s = np.full(len(jobs), np.nan)
    if "slo_s" in jobs:
        due_s = jobs["submit_s"].to_numpy(dtype=np.float64) + _numbers(jobs["slo_s"])
    if "deadline_s" in jobs and not _is_moved(result):
        due_s = np.fmin(due_s, _numbers(jobs["deadline_s"]))
    return due_s


def met_deadline(result: Result) -> Floats:
    """Return 1 for each job that ended by its deadline, and 0 for one that did not.

    Returns
    -------
    float64 array (jobs,)
        NaN for a job without a deadline, and for one that had not ended when the run stopped
        before its deadline.  A job that can never run misses its deadline.
    """
    due_s = deadline_s(result)
    finish_s = result.jobs["finish_s"].to_numpy(dtype=np.float64)
    never = (result.jobs["outcome"] == NEVER_RUNNABLE).to_numpy(dtype=bool)
    ended = np.isfinite(finish_s)
    known = np.isfinite(due_s) & (ended | never | (due_s <= result.provenance["simulated_s"]))
    with np.errstate(invalid="ignore"):
        return np.where(known, np.where(ended & (finish_s <= due_s), 1.0, 0.0), np.nan)


def slo_table(result: Result) -> pd.DataFrame | None:
    """Return the share of jobs that met their deadline, for all jobs and by class.

    Returns
    -------
    pandas.DataFrame or None
        ``job_class`` (``all`` for all jobs), ``jobs`` (with a deadline whose outcome is known),
        ``met``, ``attainment`` (their ratio) and ``mean_late_s`` (mean time by which finished jobs
        that missed it were late, seconds).  None if no job has a deadline.
    """
    if not {"deadline_s", "slo_s"} & set(result.jobs.columns):
        return None
    met = met_deadline(result)
    known = np.isfinite(met)
    if not known.any():
        return None
    late_s = result.jobs["finish_s"].to_numpy(dtype=np.float64) - deadline_s(result)
    codes, names = name_codes(result.jobs.get("job_class"), len(met))
    order = sorted(range(len(names)), key=names.__getitem__)
    parts = [("all", known), *((names[k], known & (codes == k)) for k in order)]
    rows = []
    for name, own in parts:
        if not own.any():
            continue
        late = late_s[own & (late_s > 0)]
        rows.append(
            {
                "job_class": name,
                "jobs": int(own.sum()),
                "met": int(met[own].sum()),
                "attainment": float(met[own].mean()),
                "mean_late_s": float(late.mean()) if len(late) else math.nan,
            }
        )
    return pd.DataFrame(rows)


def _is_moved(result: Result) -> bool:
    """Whether the run moved the jobs of a log in time; see `recorded_wait_s`."""
    scenario = result.provenance.get("scenario")
    scenario = scenario if isinstance(scenario, Mapping) else {}
    workload = scenario.get("workload", {})
    drawn = workload.get("resample", "none") != "none" and scenario.get("replication", 0)
    return bool(drawn) or changes_load(workload.get("scale"))


def _numbers(column: pd.Series) -> Floats:
    if not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
