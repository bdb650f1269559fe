"""Why a row of a log is not a job: the reasons, in the order in which they are tried."""

from __future__ import annotations

from clustersim.workload.readers.observed import NEVER_STARTED, STILL_RUNNING

__all__ = ["REASONS"]

REASONS = {
    "noise": "no record of a job (banner, header again, comment, total, another event)",
    "step": "a step or task of a job",
    "duplicate": "the same record again",
    "merged": "a further run or pod of a job that is kept",
    "malformed": "cannot be read",
    "never_started": NEVER_STARTED,
    "still_running": STILL_RUNNING,
    "no_accelerator": "uses no accelerator",
    "size_not_recorded": "number of accelerators not recorded",
    "zero_run_time": "run time of 0 s",
    "submit_not_recorded": "submit time not recorded",
    "start_not_recorded": "start time not recorded",
    "run_not_recorded": "no run time recorded",
}
"""Short names, as in ``left_out.csv``, and what they mean; the first that holds is given."""
