"""What a run leaves behind, for the result tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.engine.allocation_log import Allocated
from clustersim.engine.attempts import Attempts

__all__ = ["RunRecord"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What happened to every job, a column an attribute.

    Attributes
    ----------
    start_s, finish_s : float64 arrays (jobs,)
        NaN where it did not come to it.
    partition : int32 array (jobs,)
        Partition it started on last, -1 where it did not start.
    attempts : Attempts
        What was run of which job, where and when.
    allocated : Allocated
        On which nodes of its partition each attempt ran; none for partitions that do not tell
        nodes apart.
    nothing_could_start : bool
        Whether it ended because no job ran and nothing that was still to come could start one.
    end_s : float
        When the simulation ended.
    passes : int
        Scheduling passes made.
    interrupted : bool
        Whether it was stopped from outside before its end.
    """

    start_s: npt.NDArray[np.float64]
    finish_s: npt.NDArray[np.float64]
    partition: npt.NDArray[np.int32]
    attempts: Attempts
    allocated: Allocated
    nothing_could_start: bool
    end_s: float
    passes: int
    interrupted: bool
