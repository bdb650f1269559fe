"""What protects running jobs from preemption, and the notice that they get before it."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

__all__ = ["PreemptionOptions", "Protection"]

_HOUR_S = 3600.0


class PreemptionOptions:
    """The options that all policies which preempt jobs have in common.

    The engine enforces them, so a policy that derives from this class has nothing to do for them:
    :attr:`~clustersim.scheduling.view.View.running` has only the jobs that may be preempted.

    Attributes
    ----------
    grace : float or None
        Time between the notice to a job and its stop, seconds. The job goes on working, and saves
        its state, if asked to, such that it is done at the end of this time; if this takes longer,
        the job keeps the work of its last checkpoint only. By default a job that saves its state
        begins at once and leaves when it is saved; other jobs leave at once.
    min_run : float
        Time for which a job runs at least after each start before it is preempted, seconds.
    most_preemptions : int or None
        Largest number of times that one job is preempted; without a limit by default.
    most_preemptions_per_hour : int or None
        Largest number of preemptions, of all jobs together, in any hour; without a limit by
        default.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> srtf = find_policy("srtf", options={"grace": 60, "min_run": 600, "most_preemptions": 3})
    >>> srtf.grace, srtf.min_run, srtf.most_preemptions, srtf.most_preemptions_per_hour
    (60.0, 600.0, 3, None)
    """

    grace: float | None = None
    min_run: float = 0.0
    most_preemptions: int | None = None
    most_preemptions_per_hour: int | None = None

    @classmethod
    def limits_problem(cls) -> str:
        """Return what is wrong with the values of these options; empty if nothing is.

        Examples
        --------
        >>> from clustersim.scheduling import PreemptionOptions
        >>> class Mine(PreemptionOptions):
        ...     min_run = -1.0
        >>> Mine.limits_problem()
        'option min_run: must be a number of at least 0, found -1.0'
        """
        for name in ("grace", "min_run", "most_preemptions", "most_preemptions_per_hour"):
            value = getattr(cls, name)
            if value is not None and not 0 <= value < math.inf:
                return f"option {name}: must be a number of at least 0, found {value}"
        return ""


class Protection:
    """The running jobs that must not be preempted yet, and the notice that others get.

    Parameters
    ----------
    grace_s : float, optional
        Time between the notice to a job and its stop, seconds.
    min_run_s : float
        Time for which a job runs at least after a start, seconds.
    most, most_per_hour : int, optional
        Largest number of preemptions of a job, and of all jobs within an hour.
    never : set of int
        Jobs that are never preempted.

    Examples
    --------
    >>> protection = Protection(min_run_s=60.0, most=1)
    >>> protection.ends_s(7, start_s=100.0, now=120.0)
    160.0
    >>> protection.note(7, now=160.0)
    >>> protection.ends_s(7, start_s=200.0, now=300.0)
    inf
    """

    def __init__(
        self,
        grace_s: float | None = None,
        min_run_s: float = 0.0,
        most: int | None = None,
        most_per_hour: int | None = None,
        never: frozenset[int] = frozenset(),
    ) -> None:
        self.grace_s, self.min_run_s = grace_s, min_run_s
        self.most, self.most_per_hour = most, most_per_hour
        self.never = never
        self._times: dict[int, int] = {}
        self._recent: deque[float] = deque()

    @classmethod
    def of(cls, policy: type[Any], never: frozenset[int] = frozenset()) -> Protection | None:
        """Return what the options of a policy ask for, and jobs that it never preempts.

        It is None if nothing is protected and no job gets a notice.

        Examples
        --------
        >>> from clustersim.scheduling import find_policy
        >>> Protection.of(find_policy("srtf")) is None
        True
        >>> Protection.of(find_policy("srtf", options={"min_run": 60})).min_run_s
        60.0
        """
        if not issubclass(policy, PreemptionOptions):
            return cls(never=never) if never else None
        limits = policy.grace, policy.min_run or None, policy.most_preemptions
        per_hour = policy.most_preemptions_per_hour
        if limits == (None, None, None) and per_hour is None and not never:
            return None
        return cls(policy.grace, policy.min_run, policy.most_preemptions, per_hour, never)

    @property
    def protects(self) -> bool:
        """Whether any running job may not be preempted."""
        limits = self.most, self.most_per_hour
        return self.min_run_s > 0 or limits != (None, None) or bool(self.never)

    def ends_s(self, job: int, start_s: float, now: float) -> float:
        """Return the time until which a running job must not be preempted; infinite for ever.

        Parameters
        ----------
        job : int
        start_s, now : float
            Start of its present attempt, and the present time, seconds.
        """
        if job in self.never or (self.most is not None and self._times.get(job, 0) >= self.most):
            return math.inf
        return max(start_s + self.min_run_s, self.hour_ends_s(now))

    def hour_ends_s(self, now: float) -> float:
        """Return the time from which the limit of an hour allows a preemption; `now` or later."""
        if self.left_in_hour(now) > 0:
            return now
        if not self.most_per_hour:
            return math.inf
        return self._recent[-self.most_per_hour] + _HOUR_S

    def left_in_hour(self, now: float) -> float:
        """Return how many jobs may still be preempted in this hour; infinite without a limit.

        Examples
        --------
        >>> protection = Protection(most_per_hour=2)
        >>> protection.note(7, now=0.0)
        >>> protection.left_in_hour(60.0), protection.left_in_hour(3600.0)
        (1, 2)
        """
        if self.most_per_hour is None:
            return math.inf
        recent = self._recent
        while recent and recent[0] + _HOUR_S <= now:
            recent.popleft()
        return max(0, self.most_per_hour - len(recent))

    def note(self, job: int, now: float) -> None:
        """Note that a job is preempted."""
        self._times[job] = self._times.get(job, 0) + 1
        if self.most_per_hour is not None:
            self._recent.append(now)
