"""The result of a validation: how far each policy is from the log, and what explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.units import (
    format_duration,
)
from clustersim.validation.case import Case
from clustersim.validation.distance import given_comparison, statistics_of, wait_comparison
from clustersim.validation.mechanism import Mechanism
from clustersim.validation.tables import groups_table, jobs_table, use_table
from clustersim.validation.together import Trial, trials_table

__all__ = [
    "GRANTED",
    "LEAST_EXPLAINED",
    "LEAST_RANK",
    "MOST_DISTANCE",
    "Validation",
]

GRANTED = "granted"
"""Prefix of the columns of waits with the best mechanism granted."""
LEAST_SHARE, LEAST_S = 0.01, 1.0
"""A distance of at most this share of the recorded mean wait, or of so many seconds, is none."""

LEAST_EXPLAINED = 0.1
"""A mechanism that takes the smallest distance down by less than this share explains nothing."""
LEAST_RANK, MOST_DISTANCE = 0.5, 1.0
"""No policy is near if every rank correlation is below the first, or the smallest distance is above
this share of the recorded mean wait (at 1, waits of 0 would be as near)."""
NEARLY, MOST_TESTED = 2.0, 3
"""Mechanisms are tested on policies up to this multiple of the smallest distance, at most three: a
policy may be nearest only because it makes up for a mechanism that it lacks."""


@dataclass(frozen=True, eq=False, repr=False)
class Validation(Brief):
    """How far simulated waits are from those of a log, and what explains the difference.

    Attributes
    ----------
    case : Case
        The jobs and the cluster.
    starts : mapping of str to float64 array (jobs,)
        Simulated start of each job of the case, by policy (seconds).
    tested : tuple of Mechanism
        Mechanisms granted to the nearest policies; what is then nearest to the log is first.
    notes : tuple of str
        What is assumed.
    together : tuple of Mechanism
        Mechanisms that are granted together, in this order; empty if no combination is a tenth
        nearer than every mechanism by itself.
    trials : tuple of Trial
        Which mechanisms were granted on top of others, and which were not tried.
    unfinished : str
        What is missing because the work has not ended; "" if nothing is.
    missing : tuple of str
        Policies that are still to be replayed.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
    >>> site = cs.replay(jobs, policy="easy", accelerators=256).jobs
    >>> found = cs.validate(jobs.assign(start_s=site["start_s"]), accelerators=256)
    >>> found.nearest, found.distance_s
    ('easy', 0.0)
    """

    case: Case
    starts: Mapping[str, Floats]
    tested: tuple[Mechanism, ...]
    notes: tuple[str, ...]
    together: tuple[Mechanism, ...] = ()
    trials: tuple[Trial, ...] = ()
    unfinished: str = ""
    missing: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Validation {self.case.source}", {
            "jobs": f"{int(self.case.compared.sum()):,}",
            "nearest": self.nearest,
            "distance": format_duration(self.distance_s),
        }

    @cached_property
    def recorded_s(self) -> Floats:
        """Recorded waits of the compared jobs."""
        return self.case.wait_s[self.case.compared]

    @cached_property
    def recorded(self) -> dict[str, float]:
        """Statistics of the recorded waits; those that are given, if the log has no starts."""
        if self.case.given:
            names = statistics_of(np.zeros(0))
            return names | {f"{key}_wait_s": value for key, value in self.case.given.items()}
        return statistics_of(self.recorded_s)

    def simulated_s(self, policy: str) -> Floats:
        """Return the simulated waits of the compared jobs under a policy.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
        >>> jobs["start_s"] = jobs["submit_s"] + 60.0
        >>> found = cs.validate(jobs, accelerators=4096, policies=["fcfs"], mechanisms=False)
        >>> float(found.simulated_s("fcfs").max()), found.distance_s
        (0.0, 60.0)
        """
        return (self.starts[policy] - self.case.submit_s)[self.case.compared]

    @cached_property
    def policies(self) -> pd.DataFrame:
        """One row for the log and one per policy, the nearest first; see `wait_comparison`."""
        rows = []
        for name in self.starts:
            own = self.simulated_s(name)
            if self.case.given:
                row = given_comparison(self.case.given, own)
            else:
                stratum = self.case.stratum[self.case.compared]
                row = wait_comparison(self.recorded_s, own, stratum)
            rows.append({"waits": name, **row})
        table = pd.DataFrame(rows).sort_values("distance_s", kind="stable")
        return pd.concat(
            [pd.DataFrame([{"waits": "recorded", **self.recorded}]), table], ignore_index=True
        )

    @property
    def nearest(self) -> str:
        """The policy at the smallest distance; of equally near ones, the first candidate."""
        return str(self.policies["waits"].iloc[1])

    @property
    def distance_s(self) -> float:
        """Distance of the nearest policy, seconds."""
        return float(self.policies["distance_s"].iloc[1])

    @property
    def rank_correlation(self) -> float:
        """The largest rank correlation of a policy; NaN without one."""
        if "spearman" not in self.policies:
            return math.nan
        return float(self.policies["spearman"].iloc[1:].max())

    @property
    def is_near(self) -> bool:
        """Whether a policy is near enough to the log to take it for that of the site."""
        if self.agrees:
            return True
        far = self.distance_s > MOST_DISTANCE * self.recorded["mean_wait_s"]
        return not (far or self.rank_correlation < LEAST_RANK)

    @property
    def near(self) -> list[str]:
        """The policies on which mechanisms are tested: the nearest, and others not far behind."""
        rows = self.policies.iloc[1 : 1 + MOST_TESTED]
        near = rows["distance_s"] <= NEARLY * self.distance_s
        return [str(name) for name in rows["waits"][near]]

    @property
    def agrees(self) -> bool:
        """Whether there is no difference to explain."""
        return self.distance_s <= self.enough_s

    @property
    def enough_s(self) -> float:
        """A distance that needs no explanation, seconds."""
        return max(LEAST_S, LEAST_SHARE * float(self.recorded["mean_wait_s"]))

    @property
    def explanation(self) -> Mechanism | None:
        """What is nearest to the log with a mechanism granted; None if it is hardly nearer.

        It is at least a tenth nearer than the nearest policy alone, and its trace, if it has one,
        is higher in the log than in the replay.
        """
        most_s = (1.0 - LEAST_EXPLAINED) * self.distance_s
        return next(
            (each for each in self.tested if each.is_seen and each.scaled_s <= most_s), None
        )

    @cached_property
    def mechanisms(self) -> pd.DataFrame:
        """One row per policy and mechanism, the nearest to the log first."""
        names = [
            "policy", "key", "name", "explained", "distance_s", "base_s", "mean_wait_s", "trace",
            "recorded", "simulated", "takes", "taken", "untested",
        ]  # fmt: skip
        rows = [{name: getattr(each, name) for name in names} for each in self.tested]
        return pd.DataFrame(rows, columns=names)

    @property
    def granted(self) -> tuple[Mechanism, ...]:
        """What is granted in the answer: `together`, else `explanation` if there is one."""
        if self.together:
            return self.together
        return () if self.explanation is None else (self.explanation,)

    @cached_property
    def combinations(self) -> pd.DataFrame:
        """One row per mechanism that was granted on top of others, or not; see `trials_table`."""
        return trials_table(self.trials, self.distance_s)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Waits by group of jobs; see `groups_table`.

        Columns ``granted_...`` are those with the mechanisms of `granted`.
        """
        starts = dict(self.starts)
        if self.granted and self.granted[-1].start_s is not None:
            starts[GRANTED] = self.granted[-1].start_s
        return groups_table(self.case, starts)

    @cached_property
    def use(self) -> pd.DataFrame:
        """Recorded use of the cluster by day; empty without recorded starts."""
        return use_table(self.case) if self.case.has_starts else pd.DataFrame()

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """The jobs with recorded and simulated starts."""
        return jobs_table(self.case, self.starts)
