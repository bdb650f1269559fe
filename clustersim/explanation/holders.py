"""The running jobs that hold the accelerators of some partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import partition_of_rows

__all__ = ["Holders"]

_MOST = 3


class Holders:
    """The attempts that run on some partitions in a time.

    Parameters
    ----------
    state : RunState
    choice : sequence of int
        The partitions.
    begin_s, end_s : float
        The time, seconds.
    """

    def __init__(
        self, state: RunState, choice: Sequence[int], begin_s: float, end_s: float
    ) -> None:
        ranges = state.ranges
        start = ranges["start_s"].to_numpy(dtype=np.float64)
        end = ranges["end_s"].to_numpy(dtype=np.float64)
        here = np.isin(partition_of_rows(state), list(choice)) & (start <= end_s) & (end > begin_s)
        self._start_s, self._end_s = start[here], end[here]
        self._n = ranges["n_accelerators"].to_numpy(dtype=np.int64)[here]
        self._job = ranges["job_id"].to_numpy()[here]
        self._row = pd.Index(state.jobs["job_id"]).get_indexer(self._job)

    def started(self, begin_s: float, end_s: float) -> list[Any]:
        """Return the jobs that started in a time, its two ends included."""
        chosen = (self._start_s >= begin_s) & (self._start_s <= end_s)
        return list(dict.fromkeys(self._job[chosen].tolist()))

    def overtaking(self, row: int, begin_s: Floats, end_s: Floats) -> list[Any]:
        """Return the jobs that were submitted after a job and started while it waited.

        Parameters
        ----------
        row : int
            The job.
        begin_s, end_s : float64 arrays (waits,)
            Its waits, in order of time, seconds.
        """
        later = np.flatnonzero(self._row > row)
        at = np.searchsorted(begin_s, self._start_s[later], side="right") - 1
        inside = (at >= 0) & (self._start_s[later] < np.r_[end_s, -np.inf][at])
        found = later[inside]
        order = np.argsort(self._start_s[found], kind="stable")
        return list(dict.fromkeys(self._job[found[order]].tolist()))

    def most(self, begin_s: float, end_s: float) -> list[dict[str, Any]]:
        """Return the jobs that held most, with their mean number of accelerators in a time.

        Parameters
        ----------
        begin_s, end_s : float
            Seconds.

        Returns
        -------
        list of dict
            ``job`` and ``accelerators``; the last one, of all other jobs, has ``jobs`` instead of
            ``job``.
        """
        overlap_s = np.minimum(self._end_s, end_s) - np.maximum(self._start_s, begin_s)
        rows = np.flatnonzero(overlap_s > 0)
        mean = self._n[rows] * overlap_s[rows] / (end_s - begin_s)
        order = np.argsort(-mean, kind="stable")
        found: list[dict[str, Any]] = [
            {"job": self._job[rows[at]], "accelerators": float(mean[at])} for at in order[:_MOST]
        ]
        rest = order[_MOST:]
        if len(rest):
            found.append(
                {"jobs": len({*self._job[rows[rest]]}), "accelerators": float(mean[rest].sum())}
            )
        return found
