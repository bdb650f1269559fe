"""The order in which waiting jobs are evaluated.

Source: Slurm's page "Multifactor Priority Plugin" (Introduction).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Ints

__all__ = ["EVALUATION_ORDER", "evaluation_order"]

EVALUATION_ORDER = (
    "jobs that can preempt",
    "jobs with an advanced reservation",
    "partition priority tier",
    "job priority",
    "job submit time",
    "job id",
)
"""The criteria, the most important first."""


def evaluation_order(
    priority: npt.ArrayLike,
    submit_s: npt.ArrayLike,
    *,
    can_preempt: npt.ArrayLike = False,
    reserved: npt.ArrayLike = False,
    tier: npt.ArrayLike = 1,
    job_id: npt.ArrayLike | None = None,
) -> Ints:
    """Return the indices of waiting jobs in the order in which the scheduler looks at them.

    Parameters
    ----------
    priority, submit_s : array of float, shape (n,)
        Priority and submission time (seconds) of each job.
    can_preempt, reserved : bool or array of bool, shape (n,)
        Whether the job can preempt others, and whether it belongs to a reservation.
    tier : int or array of int, shape (n,)
        ``PriorityTier`` of its partition.
    job_id : array of int, shape (n,), optional
        By default the order of the arrays.

    Examples
    --------
    >>> evaluation_order([5, 9, 9], [0.0, 20.0, 10.0]).tolist()
    [2, 1, 0]
    >>> evaluation_order([5, 9, 9], [0.0, 20.0, 10.0], tier=[2, 1, 1]).tolist()
    [0, 2, 1]
    """
    n = len(np.asarray(priority))
    ids = np.arange(n) if job_id is None else np.asarray(job_id)
    given = [np.asarray(key, dtype=np.float64) for key in (can_preempt, reserved, tier)]
    keys = [-key for key in (*given, np.asarray(priority, dtype=np.float64)) if key.ndim]
    return np.lexsort([ids, np.asarray(submit_s), *reversed(keys)])
