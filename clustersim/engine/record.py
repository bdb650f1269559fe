"""The record of a run, from which the result tables are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.engine.allocation_log import Allocated
from clustersim.engine.attempts import Attempts

__all__ = ["RunRecord"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of all jobs of a run, one column per attribute.

    Attributes
    ----------
    start_s, finish_s : float64 arrays (jobs,)
        Times of the first start and of the finish, seconds; NaN for a job that did not start or
        did not finish.
    partition : int32 array (jobs,)
        Partition on which each job ended or still ran at the end of the run; -1 for other jobs.
    attempts : Attempts
        The attempts of all jobs.
    allocated : Allocated
        The nodes on which each attempt ran, as indices in its partition; empty for partitions that
        do not track nodes.
    nothing_could_start : bool
        Whether the run ended because no job ran and no future event could start a job.
    end_s : float
        Time at which the simulation ended, seconds.
    passes : int
        Number of scheduling passes.
    interrupted : bool
        Whether the run was interrupted before its end.
    """

    start_s: Floats
    finish_s: Floats
    partition: npt.NDArray[np.int32]
    attempts: Attempts
    allocated: Allocated
    nothing_could_start: bool
    end_s: float
    passes: int
    interrupted: bool
