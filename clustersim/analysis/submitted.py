"""Jobs submitted before a run stopped, with their waits and run times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE, UNFINISHED
from clustersim.simulation.waits import total_wait_s

__all__ = ["Submitted"]


@dataclass(frozen=True, slots=True)
class Submitted:
    """Columns of the jobs that were submitted before the run stopped at `end_s`.

    Attributes
    ----------
    submit_s, start_s, finish_s, n_accelerators : float64 arrays (jobs,)
        Times are NaN if the job did not start or finish.
    eligible_s : float64 array (jobs,)
        When each job no longer waited for other jobs or its earliest time; NaN if it always did.
    held_s : float64 array (jobs,)
        Time for which each job held its accelerators, in all its attempts; NaN if it never started.
    queued_s : float64 array (jobs,)
        Time in the queue over all attempts; NaN if the job never started.
    waits : bool array (jobs,)
        Whether the job was in the queue when the run stopped, for the first or a later attempt.
    runnable : bool array (jobs,)
        Whether the job can ever run.
    end_s : float
    """

    submit_s: Floats
    start_s: Floats
    finish_s: Floats
    n_accelerators: Floats
    eligible_s: Floats
    held_s: Floats
    queued_s: Floats
    waits: Bools
    runnable: Bools
    end_s: float

    @classmethod
    def of(cls, result: Result) -> Submitted:
        """Extract the columns from a result."""
        end_s = float(result.provenance["simulated_s"])
        table = result.jobs[result.jobs["submit_s"] <= end_s]
        columns: dict[str, Floats] = {
            name: table[name].to_numpy(dtype=np.float64)
            for name in ("submit_s", "start_s", "finish_s", "n_accelerators")
        }
        if result.attempts is None:
            held_s = np.fmin(columns["finish_s"], end_s) - columns["start_s"]
        else:
            of_attempt = result.attempts["end_s"] - result.attempts["start_s"]
            of_job = of_attempt.groupby(result.attempts["job_id"]).sum()
            held_s = pd.Index(table["job_id"]).map(of_job).to_numpy(dtype=np.float64)
        runnable = (table["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
        return cls(
            **columns,
            eligible_s=table.get("eligible_s", table["submit_s"]).to_numpy(dtype=np.float64),
            held_s=held_s,
            queued_s=_queued_s(result, table, end_s),
            waits=runnable & (table["outcome"] == UNFINISHED).to_numpy() & table["pool"].isna(),
            runnable=runnable,
            end_s=end_s,
        )

    @property
    def wait_s(self) -> Floats:
        """Wait of each job, or its wait so far if it had not started; NaN if it can never run."""
        wait = np.where(np.isnan(self.start_s), self.end_s, self.start_s) - self.submit_s
        return np.where(self.runnable, wait, np.nan)

    @property
    def eligible_wait_s(self) -> Floats:
        """Wait of each job since it was eligible, 0 if it was not; NaN if it can never run."""
        until_s = np.where(np.isnan(self.start_s), self.end_s, self.start_s)
        wait_s = np.fmax(until_s - self.eligible_s, 0.0)
        return np.where(self.runnable, wait_s, np.nan)

    @property
    def total_wait_s(self) -> Floats:
        """Wait of each job over all its attempts until the run stopped; NaN if it can never run."""
        return np.where(np.isnan(self.queued_s), self.wait_s, self.queued_s)

    @property
    def work(self) -> Floats:
        """Accelerator-seconds that each job used; NaN if it never started."""
        return self.n_accelerators * self.held_s


def _queued_s(result: Result, jobs: pd.DataFrame, end_s: float) -> Floats:
    """Return the time (seconds) that each job spent in the queue over all its attempts.

    It is computed for results of earlier versions, which lack the column.
    """
    if "total_wait_s" in jobs:
        return jobs["total_wait_s"].to_numpy(dtype=np.float64)
    submit_s, start_s, finish_s = (
        jobs[name].to_numpy(dtype=np.float64) for name in ("submit_s", "start_s", "finish_s")
    )
    if result.attempts is None:
        first_s: Floats = start_s - submit_s
        return first_s
    table = result.attempts
    row = pd.Index(jobs["job_id"]).get_indexer(table["job_id"])
    begin_s, until_s = (table[name].to_numpy()[row >= 0] for name in ("start_s", "end_s"))
    return total_wait_s(submit_s, finish_s, row[row >= 0], begin_s, until_s, end_s)
