"""Options of Slurm's backfill scheduler, with its documented defaults.

Source: ``slurm.conf`` (``SchedulerParameters``) and the page "Scheduling Configuration Guide".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from clustersim.errors import InputError, unknown_name

__all__ = ["BackfillOptions"]

_UNITS_S = {"bf_window": 60.0, "bf_yield_interval": 1e-6, "bf_yield_sleep": 1e-6}
"""Seconds in the unit of a parameter that is not given in seconds."""


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """How far and for how many jobs backfilling looks ahead. Times are in seconds.

    A limit of 0 is no limit.

    Attributes
    ----------
    bf_window_s : float
        How far into the future jobs are planned.
    bf_resolution_s : float
        Resolution of the plan; times are rounded up to it.
    bf_interval_s : float
        Time between two backfilling passes.
    bf_max_job_test : int
        Number of waiting jobs that a pass considers.
    bf_max_job_user, bf_max_job_part, bf_max_job_user_part, bf_max_job_assoc : int
        Number of jobs that a pass considers per user, partition, user of a partition, association.
    bf_max_job_start : int
        Number of jobs that a pass starts.
    bf_max_job_array_resv : int
        Number of tasks of a job array that get a reservation.
    bf_max_time_s : float or None
        How long a pass may take; None: as long as the interval.
    bf_min_age_reserve_s : float
        Age from which a job gets a reservation.
    bf_min_prio_reserve : float
        Priority from which a job gets a reservation; others only start if they fit now.
    bf_job_part_count_reserve : int
        With a number n, only the n jobs of highest priority of a partition get reservations
        without regard to `bf_min_age_reserve_s` and `bf_min_prio_reserve`.
    bf_continue : bool
        Whether a pass goes on with the same list of jobs after it let others take the locks.
    bf_yield_interval_s, bf_yield_sleep_s : float
        How long a pass holds the locks, and then lets go of them.
    default_queue_depth : int
        Number of jobs that the scheduler considers when a job ends or arrives.
    partition_job_depth : int
        The same per partition.
    sched_interval_s : float
        Time between two passes of the scheduler over the whole queue.
    batch_sched_delay_s : float
        How long the start of a batch job may be delayed.

    Raises
    ------
    InputError
        If a value is outside of what Slurm allows.

    Examples
    --------
    >>> options = BackfillOptions()
    >>> options.bf_window_s / 3600, options.bf_max_job_test
    (24.0, 500)
    """

    bf_window_s: float = 1440 * 60.0
    bf_resolution_s: float = 60.0
    bf_interval_s: float = 30.0
    bf_max_job_test: int = 500
    bf_max_job_user: int = 0
    bf_max_job_part: int = 0
    bf_max_job_user_part: int = 0
    bf_max_job_assoc: int = 0
    bf_max_job_start: int = 0
    bf_max_job_array_resv: int = 20
    bf_max_time_s: float | None = None
    bf_min_age_reserve_s: float = 0.0
    bf_min_prio_reserve: float = 0.0
    bf_job_part_count_reserve: int = 0
    bf_continue: bool = False
    bf_yield_interval_s: float = 2.0
    bf_yield_sleep_s: float = 0.5
    default_queue_depth: int = 100
    partition_job_depth: int = 0
    sched_interval_s: float = 60.0
    batch_sched_delay_s: float = 3.0

    def __post_init__(self) -> None:
        problems = []
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                problems.append(f"{name}: must be from {least:g} to {most:g}, found {value:g}")
        if problems:
            raise InputError("backfill", problems)

    @classmethod
    def of_slurm(cls, parameters: Mapping[str, float | bool]) -> BackfillOptions:
        """Return the options of Slurm's parameters, in Slurm's names and units.

        Parameters
        ----------
        parameters : mapping of str to float or bool
            For example ``{"bf_window": 2880}``: minutes, as in ``slurm.conf``.

        Raises
        ------
        InputError
            If a name is unknown or a value is outside of what Slurm allows.

        Examples
        --------
        >>> BackfillOptions.of_slurm({"bf_window": 2880, "bf_continue": True}).bf_window_s
        172800.0
        """
        known = {each.name.removesuffix("_s"): each.name for each in fields(cls)}
        unknown = [name for name in parameters if name not in known]
        if unknown:
            raise InputError(
                "backfill", [unknown_name("parameter", name, known) for name in unknown]
            )
        values: dict[str, Any] = {
            known[name]: value * _UNITS_S[name] if name in _UNITS_S else value
            for name, value in parameters.items()
        }
        return replace(cls(), **values)

    def to_slurm(self) -> dict[str, float | bool]:
        """Return all options in Slurm's names and units.

        Examples
        --------
        >>> parameters = BackfillOptions().to_slurm()
        >>> parameters["bf_window"], parameters["bf_max_time"], parameters["bf_yield_sleep"]
        (1440.0, 30.0, 500000.0)
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["bf_max_time_s"] = self.pass_limit_s
        names = {name: name.removesuffix("_s") for name in values}
        return {
            names[name]: value / _UNITS_S[names[name]] if names[name] in _UNITS_S else value
            for name, value in values.items()
        }

    @property
    def pass_limit_s(self) -> float:
        """How long a pass may take, seconds."""
        return self.bf_interval_s if self.bf_max_time_s is None else self.bf_max_time_s

    def starves(self, longest_time_limit_s: float) -> bool:
        """Return whether jobs can wait without end because the window is shorter than they are.

        Examples
        --------
        >>> BackfillOptions().starves(7 * 86400.0)
        True
        """
        return self.bf_window_s < longest_time_limit_s

    def for_time_limit(self, longest_time_limit_s: float) -> BackfillOptions:
        """Return options whose window is at least as long as the longest time limit.

        The resolution is raised along with the window (to whole minutes), so that a pass does not
        become slower.

        Raises
        ------
        InputError
            If the time limit is longer than the longest window that Slurm allows.

        Examples
        --------
        >>> options = BackfillOptions().for_time_limit(7 * 86400.0)
        >>> options.bf_window_s / 86400, options.bf_resolution_s
        (7.0, 420.0)
        """
        if not self.starves(longest_time_limit_s):
            return self
        resolution_s = self.bf_resolution_s * longest_time_limit_s / self.bf_window_s
        in_minutes = math.ceil(resolution_s / 60 - 1e-9) * 60.0
        most = _LIMITS["bf_resolution_s"][1]
        return replace(
            self, bf_window_s=longest_time_limit_s, bf_resolution_s=min(in_minutes, most)
        )


_LIMITS = {
    "bf_window_s": (60.0, 43_200 * 60.0),
    "bf_resolution_s": (1.0, 3600.0),
    "bf_interval_s": (1.0, 10_800.0),
    "bf_max_job_test": (1, 1_000_000),
    "bf_max_job_user": (0, math.inf),
    "bf_max_job_part": (0, math.inf),
    "bf_max_job_user_part": (0, math.inf),
    "bf_max_job_assoc": (0, math.inf),
    "bf_max_job_start": (0, 10_000),
    "bf_max_job_array_resv": (0, 1000),
    "bf_min_age_reserve_s": (0.0, 2_592_000.0),
    "bf_min_prio_reserve": (0.0, 2.0**63),
    "bf_job_part_count_reserve": (0, 100_000),
    "bf_yield_interval_s": (1e-6, 10.0),
    "bf_yield_sleep_s": (1e-6, 10.0),
}
"""Least and largest values of options, as documented."""
