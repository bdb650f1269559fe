"""Unfinished work of a fleet seen as a few servers, which controls the noise of simulated waits.

Jobs wait because work arrives in lumps. The simplest model of this is one server that does the work
of the whole fleet. Its *unfinished work* rises by the work of each job at its submission and falls
by one second each second. If the jobs of a fleet use separate parts of it, called *islands*, there
is one server for each island. The model ignores gangs, placement and policies, so it does not
predict waits. However, most of the randomness of a simulated wait is already in the unfinished work
of the same jobs, and the stationary distribution of this work is known without simulation. The
unfinished work is therefore an ideal control variate (Law, "Simulation Modeling and Analysis",
section 11.4; "external control variates").

Gangs leave some chips idle, so a fleet is overloaded before the work that arrives equals what all
its chips could do. Waits follow the unfinished work of slightly slower servers more closely. There
is one control for each speed in :data:`SPEEDS`, and the replications decide which one is used.

Work is measured in seconds of an island: one second of work is what its server does in a second.

:mod:`clustersim.analysis.stationary_work` computes the stationary distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.analysis.stationary_work import StationaryWork
from clustersim.array_types import Floats, Ints

__all__ = [
    "SPEEDS",
    "SQUARE",
    "UnfinishedWork",
    "stationary_name",
    "unfinished_work",
    "work_name",
]

SPEEDS = (1.0, 0.96, 0.92)
"""Speeds of the servers, as shares of what all chips of an island can do together."""
SQUARE = "square_work_s2"
"""Name of the sample of the squares of the jobs' work."""


@dataclass(frozen=True, slots=True)
class UnfinishedWork:
    """The unfinished work of a run, and its stationary distributions.

    Attributes
    ----------
    before_s : dict of float to float64 array (jobs,)
        By speed (see :data:`SPEEDS`), the unfinished work of a job's island (seconds) just before
        the job is submitted.
    stationary : dict of float to StationaryWork
        By the same speeds.
    work_s : float64 array (jobs,)
        Work of each job, in seconds of its island.
    mean_square_s2 : float
        Expectation of its square.
    """

    before_s: dict[float, Floats]
    stationary: dict[float, StationaryWork]
    work_s: Floats
    mean_square_s2: float


def work_name(speed: float) -> str:
    """Return the name of the sample of the unfinished work at a speed.

    Examples
    --------
    >>> work_name(1.0), work_name(0.96)
    ('unfinished_work_s', 'unfinished_work_s.96')
    """
    return "unfinished_work_s" if speed == 1.0 else f"unfinished_work_s.{100 * speed:.0f}"


def stationary_name(speed: float) -> str:
    """Return the name of the sample of the stationary unfinished work at a speed.

    Examples
    --------
    >>> stationary_name(0.96)
    'stationary_unfinished_work_s.96'
    """
    return f"stationary_{work_name(speed)}"


def unfinished_work(submit_s: Floats, work_s: Floats, island: Ints | None = None) -> Floats:
    """Return the unfinished work just before each job is submitted; all islands start empty.

    Parameters
    ----------
    submit_s : float64 array (jobs,)
        Times of submission, in order.
    work_s : float64 array (jobs,)
        Work of each job, in seconds of its island.
    island : int64 array (jobs,), optional
        The island of each job, or -1 for a job that can never run, which finds no work. By default,
        all jobs belong to one island.

    Returns
    -------
    float64 array (jobs,)
        In seconds (Lindley's recursion, written as a cumulative sum less its running minimum).

    Examples
    --------
    >>> unfinished_work(np.array([0.0, 1.0, 5.0]), np.array([3.0, 1.0, 1.0])).tolist()
    [0.0, 2.0, 0.0]
    """
    before_s = np.zeros(len(submit_s))
    if island is None:
        island = np.zeros(len(submit_s), dtype=np.int64)
    for each in range(int(island.max(initial=-1)) + 1):
        own = np.flatnonzero(island == each)
        steps = np.zeros(len(own))
        steps[1:] = work_s[own[:-1]] - np.diff(submit_s[own])
        net = np.cumsum(steps)
        before_s[own] = net - np.minimum.accumulate(np.minimum(net, 0.0))
    return before_s
