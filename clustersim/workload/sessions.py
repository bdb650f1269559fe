"""Sessions of users in a workload model: bursts of similar jobs, and weeks of high and low load.

Users submit jobs in sessions and repeat the same job within a session (D. Feitelson, "Locality of
sampling and diversity in parallel system workloads", ICS 2007; "Workload modeling for computer
systems performance evaluation", 2015, chapter 8).  Over weeks, the load follows projects, which no
daily or weekly cycle describes.  When a machine is full, users wait for results before they submit
more (E. Shmueli and D. Feitelson, "Using site-level modeling to evaluate the performance of
parallel system schedulers", MASCOTS 2006; N. Zakay and D. Feitelson, "Preserving user behavior
characteristics in trace-based simulation of parallel job scheduling", MASCOTS 2014).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from clustersim.array_types import Floats
from clustersim.files import FileModel
from clustersim.units import Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = ["SHORTEST_LEVEL_S", "ClassSessions", "Sessions"]

SHORTEST_LEVEL_S = 3600
"""Shortest length of a period of constant level."""
MOST_JOBS = 1_000_000
"""Largest number of jobs in a session."""


class Sessions(FileModel):
    """Sessions arrive independently of each other, at a rate that varies over weeks.

    Each job class has its own sessions.  Their rate is that of the daily and weekly cycle times the
    level of the period.  The periods follow each other as in the list, which is repeated; time 0 is
    at a random point of the list, which is different in each replication.

    Examples
    --------
    >>> from clustersim.workload.sessions import Sessions
    >>> sessions = Sessions(kind="sessions", level_length="7 d", levels={"all": (0.5, 1.5)})
    >>> sessions.relative_levels("all").tolist()
    [0.5, 1.5]
    """

    kind: Literal["sessions"]
    level_length: Duration = Field(
        604800.0, ge=SHORTEST_LEVEL_S, description="length of a period of constant level"
    )
    levels: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="name -> relative rate of sessions in each period, in order of time and then "
        "from the first again; time 0 is at a random point. A class refers to one of the names",
    )
    headroom: float | None = Field(
        None,
        gt=1,
        le=1000,
        description="users hold jobs back while these would not find room on a machine whose "
        "capacity is the mean demand of the model times headroom; by default they never do",
    )

    @field_validator("levels")
    @classmethod
    def _levels_are_rates(
        cls, levels: dict[str, tuple[float, ...]]
    ) -> dict[str, tuple[float, ...]]:
        for name, rates in levels.items():
            if not rates or min(rates) < 0 or not 0 < max(rates) < math.inf:
                raise ValueError(f"{name}: relative rates must be 0 or more, and not all 0")
        if len({len(rates) for rates in levels.values()}) > 1:
            found = ", ".join(f"{name} has {len(rates)}" for name, rates in levels.items())
            raise ValueError(f"all levels need the same number of periods; {found}")
        return levels

    def relative_levels(self, name: str) -> Floats:
        """Return the level of each period, with mean 1."""
        rates = np.array(self.levels[name], dtype=np.float64)
        return np.asarray(rates / rates.mean(), dtype=np.float64)


class ClassSessions(FileModel):
    """The sessions of a job class.

    All jobs of a session have the same size, user and virtual cluster.  Their durations (or tokens)
    are alike: the normal scores of two jobs of a session have the correlation `alike`, while each
    job has the distribution of the class.  The expected work is therefore that of a class without
    sessions.

    Examples
    --------
    >>> from clustersim.workload.sessions import ClassSessions
    >>> ClassSessions(jobs={1: 0.75, 5: 0.25}).mean_jobs()
    2.0
    """

    jobs: dict[int, float] = Field(
        {1: 1.0}, description="number of jobs in a session -> relative number of sessions"
    )
    gap: DurationDistribution | None = Field(
        None, description="time between two jobs of a session; by default 0"
    )
    alike: float = Field(
        0.0,
        ge=0,
        le=1,
        description="likeness of the durations within a session: 0 independent, 1 equal",
    )
    level: str | None = Field(
        None, description="name in arrivals.process.levels; by default a constant rate"
    )

    @model_validator(mode="after")
    def _jobs_are_weights(self) -> ClassSessions:
        if not self.jobs:
            raise ValueError("jobs: must have at least one number of jobs, such as {1: 1}")
        for count, weight in self.jobs.items():
            if not 1 <= count <= MOST_JOBS:
                raise ValueError(f"jobs: {count} is not a number of jobs (1 to {MOST_JOBS:,})")
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"jobs: {count}: the weight must be 0 or more, found {weight!r}")
        if not sum(self.jobs.values()) > 0:
            raise ValueError("jobs: at least one weight must be more than 0")
        return self

    def mean_jobs(self) -> float:
        """Return the mean number of jobs in a session."""
        return float(np.average(list(self.jobs), weights=list(self.jobs.values())))
