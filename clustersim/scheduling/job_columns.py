"""The properties of jobs that the scheduler uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from clustersim.scheduling.holding import SizeRange, Split

__all__ = ["JobColumns"]


@dataclass(frozen=True, slots=True)
class JobColumns:
    """Properties of all jobs of a run that the scheduler uses, one column per attribute.

    Attributes
    ----------
    n_accelerators : sequence of int
        Number of accelerators of each job.
    estimate_s : sequence of sequence of float
        Estimated run time by pool and job, seconds.
    choices : sequence of tuple of int
        The distinct sets of partitions on which jobs can run, each in order of preference.
    choice_of : sequence of int
        Index of each job's set in `choices`.
    columns : mapping of str to array (jobs,)
        The columns of the jobs table, with the user's own ones, for policies that use them.
    elastic : SizeRange, optional
        The sizes at which jobs can run; by default only the one that they ask for.
    split : {"equal", "proportional"}, optional
        How the work of a job is divided that runs on several partitions at once
        (:mod:`clustersim.scheduling.holding`); by default no job does.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns
    >>> estimates_s = [[60.0, 300.0]]
    >>> jobs = JobColumns([8, 16], estimate_s=estimates_s, choices=[(0,)], choice_of=[0, 0])
    >>> jobs.estimate_s[0][1]
    300.0
    """

    n_accelerators: Sequence[int]
    estimate_s: Sequence[Sequence[float]]
    choices: Sequence[tuple[int, ...]]
    choice_of: Sequence[int]
    columns: Mapping[str, npt.NDArray[np.generic]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    elastic: SizeRange | None = None
    split: Split | None = None
