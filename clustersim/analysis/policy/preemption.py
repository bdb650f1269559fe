"""Preemptions, and the work that was lost by cause, from the attempts of a run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.attempts import StopCause
from clustersim.simulation.result import Result
from clustersim.simulation.tables import STOPS

__all__ = [
    "CAUSES",
    "by_policy",
    "lost_accelerator_s",
    "lost_share",
    "lost_to_s",
    "stops_table",
    "sum_of_attempts",
]

NODE, NETWORK = STOPS[StopCause.NODE], STOPS[StopCause.NETWORK]
CANCELLED = STOPS[StopCause.CANCELLED]
PREEMPTED = tuple(
    STOPS[cause] for cause in (StopCause.SAVED, StopCause.REQUEUED, StopCause.SUSPENDED)
)
CAUSES = {
    "node": (NODE,),
    "requeued": PREEMPTED,
    "cancelled": (CANCELLED,),
    "network": (NETWORK,),
}
"""Values of the column ``stopped`` for each cause of lost work."""


def by_policy(result: Result) -> Ints:
    """Return how often the policy stopped each job (jobs,)."""
    table = result.attempts
    if table is None or "stopped" not in table:  # written by an earlier version
        return np.zeros(len(result.jobs), dtype=np.int64)
    stopped = _is_any(table, (*PREEMPTED, CANCELLED))
    return np.bincount(_row(result)[stopped], minlength=len(result.jobs)).astype(np.int64)


def lost_accelerator_s(result: Result) -> Floats:
    """Return the accelerator-seconds of work that each job lost, for any reason (jobs,)."""
    table = result.attempts
    if table is None:
        return np.zeros(len(result.jobs))
    return sum_of_attempts(result, table["n_accelerators"] * table["lost_s"])


def lost_to_s(result: Result, cause: str) -> Floats:
    """Return the time that each job lost to a cause, seconds (jobs,).

    Parameters
    ----------
    result : Result
    cause : str
        A column of the table of attempts, such as ``network_s``.
    """
    table = result.attempts
    if table is None or cause not in table:
        return np.zeros(len(result.jobs))
    return sum_of_attempts(result, table[cause])


def lost_share(attempts: pd.DataFrame | None, cause: str) -> float:
    """Return the work lost to a cause as a share of the accelerator-seconds of all attempts.

    Parameters
    ----------
    attempts : pandas.DataFrame or None
        Attempts of a result; None if no job was stopped.
    cause : str
        One of :data:`CAUSES`.

    Examples
    --------
    A job of 8 accelerators loses 10 s of its first attempt and runs for 100 s in all:

    >>> table = pd.DataFrame({"n_accelerators": 8, "start_s": [0.0, 30.0], "end_s": [30.0, 100.0],
    ...                       "lost_s": [10.0, 0.0], "stopped": ["preempted (requeued)", ""]})
    >>> lost_share(table, "requeued"), lost_share(table, "node")
    (0.1, 0.0)
    """
    if attempts is None:
        return 0.0
    n = attempts["n_accelerators"].to_numpy(dtype=np.float64)
    held = float((n * (attempts["end_s"] - attempts["start_s"]).to_numpy()).sum())
    lost = n * attempts["lost_s"].to_numpy(dtype=np.float64)
    if "stopped" not in attempts:  # written by an earlier version: only nodes stopped jobs
        own = np.full(len(attempts), cause == "node")
    else:
        own = _is_any(attempts, CAUSES[cause])
    return float(lost[own].sum()) / held if held > 0 else float("nan")


def stops_table(result: Result) -> pd.DataFrame | None:
    """Return what stopped jobs and what that cost, by cause.

    Returns
    -------
    pandas.DataFrame or None
        ``cause`` (a value of the column ``stopped`` of the attempts), ``stops`` (attempts),
        ``jobs``, ``lost_accelerator_s`` (work that must be repeated or was given up) and ``lost``
        (its share of the accelerator-seconds of all attempts).  None if no job was stopped.
    """
    table = result.attempts
    if table is None or "stopped" not in table:
        return None
    n = table["n_accelerators"].to_numpy(dtype=np.float64)
    held = float((n * (table["end_s"] - table["start_s"]).to_numpy()).sum())
    rows = []
    for cause in filter(None, STOPS.values()):
        own = table[_is_any(table, (cause,))]
        if own.empty:
            continue
        lost = float((own["n_accelerators"] * own["lost_s"]).sum())
        rows.append(
            {
                "cause": cause,
                "stops": len(own),
                "jobs": own["job_id"].nunique(),
                "lost_accelerator_s": lost,
                "lost": lost / held,
            }
        )
    return pd.DataFrame(rows) if rows else None


def _is_any(table: pd.DataFrame, causes: tuple[str, ...]) -> Bools:
    found: Bools = table["stopped"].isin(causes).to_numpy(dtype=bool)
    return found


def sum_of_attempts(result: Result, values: pd.Series) -> Floats:
    """Return the sum of a column of the attempts by job (jobs,)."""
    weights = values.to_numpy(dtype=np.float64)
    total = np.bincount(_row(result), weights, minlength=len(result.jobs))
    return total.astype(np.float64)


def _row(result: Result) -> npt.NDArray[np.intp]:
    assert result.attempts is not None, "there are attempts"
    row: npt.NDArray[np.intp] = pd.Index(result.jobs["job_id"]).get_indexer(
        pd.Index(result.attempts["job_id"])
    )
    return row
