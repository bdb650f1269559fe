"""A mechanism of a site that was tested, and the replay whose difference it should explain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from clustersim.array_types import Floats
from clustersim.validation.case import Case
from clustersim.validation.distance import distance_s
from clustersim.validation.held import room_for
from clustersim.validation.occupancy import Waiting, times_of_waits
from clustersim.validation.setting import Setting

__all__ = ["Mechanism", "Tested"]


@dataclass(frozen=True)
class Mechanism:
    """A mechanism that was tested, or the reason why it cannot be.

    Attributes
    ----------
    key, name : str
        Short key, and the name of the mechanism for the reader.
    takes : str
        What is taken from the log.
    trace : str
        What the numbers `recorded` and `simulated` are.
    recorded, simulated : float
        The trace of the mechanism in the log, and in the replay; NaN if there is none.
    base_s, distance_s : float
        Distance of the policy on the compared jobs, and with the mechanism granted.
    mean_wait_s : float
        Mean simulated wait with the mechanism granted.
    untested : str
        Why it was not tested; "" if it was.
    policy : str
        The policy to which it was granted.
    whole_s : float
        Distance of this policy on all compared jobs; `base_s`, unless fewer jobs are compared.
    taken : int
        How many numbers are taken from the log.
    start_s : float64 array (jobs,), optional
        Starts with the mechanism granted, if they are those of all jobs of the case.
    setting : Setting, optional
        What was replayed to get these starts.
    """

    key: str
    name: str
    takes: str = ""
    trace: str = ""
    recorded: float = math.nan
    simulated: float = math.nan
    base_s: float = math.nan
    distance_s: float = math.nan
    mean_wait_s: float = math.nan
    untested: str = ""
    policy: str = ""
    whole_s: float = math.nan
    taken: int = 0
    start_s: Floats | None = field(default=None, repr=False, compare=False)
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def scaled_s(self) -> float:
        """The distance with the mechanism granted, on all compared jobs if it is on some."""
        return (1.0 - self.explained) * (self.base_s if math.isnan(self.whole_s) else self.whole_s)

    @property
    def is_seen(self) -> bool:
        """Whether its trace is higher in the log than in the replay, or there is none."""
        return not self.recorded <= self.simulated

    @property
    def explained(self) -> float:
        """Share of the distance that is gone with the mechanism granted; negative if it grows."""
        return 1.0 - self.distance_s / self.base_s if self.base_s > 0 else math.nan


def _always(mechanism: Mechanism, n_replays: int) -> str:
    """Grant every mechanism."""
    return ""


@dataclass(frozen=True, eq=False)
class Tested:
    """A replay whose difference from the log is to be explained.

    Attributes
    ----------
    setting : Setting
        The case and the policy, with what was granted before.
    start_s : float64 array (jobs,)
        Starts of this replay.
    gate : callable
        Takes a mechanism with its trace and the number of replays that granting it takes; returns
        why it is not granted, or "".
    """

    setting: Setting
    start_s: Floats
    gate: Callable[[Mechanism, int], str] = _always

    @property
    def case(self) -> Case:
        """The case, on the cluster and with the time limits that are granted."""
        return self.setting.case

    def waiting(self, start_s: Floats) -> Waiting:
        """Return the state of the cluster while jobs waited, with given starts."""
        case = self.case
        job, time_s, weight_s = times_of_waits(case.submit_s, start_s, case.compared)
        return Waiting(job, time_s, weight_s, room_for(self.setting, start_s, job, time_s))

    @cached_property
    def both(self) -> tuple[Waiting, Waiting]:
        """The state while jobs waited, as recorded and as simulated."""
        return self.waiting(self.case.start_s), self.waiting(self.start_s)

    def measured(self, start_s: Floats, case: Case | None = None) -> tuple[float, float]:
        """Return the distance (s) of other starts from the recorded ones, and their mean wait."""
        own = self.case if case is None else case
        if own.given:
            mean = float((start_s - own.submit_s)[own.compared].mean())
            return abs(mean - own.given["mean"]), mean
        recorded = own.wait_s[own.compared]
        simulated = (start_s - own.submit_s)[own.compared]
        return distance_s(recorded, simulated, own.stratum[own.compared]), float(simulated.mean())

    @cached_property
    def base_s(self) -> float:
        """Distance of this replay."""
        return self.measured(self.start_s)[0]

    def granted(self, mechanism: Mechanism, *settings: Setting) -> Mechanism:
        """Return a mechanism with the distance of the starts under it.

        Of several settings, the one whose starts are nearest counts, the first of equally near
        ones.  If it is not granted (see `gate`), the reason is in `Mechanism.untested`.
        """
        if reason := self.gate(mechanism, len(settings)):
            return replace(mechanism, untested=reason)
        found = []
        for setting in settings:
            start_s, settled = setting.outcome()
            distance, mean = self.measured(start_s)
            found.append(
                replace(
                    mechanism,
                    base_s=self.base_s,
                    distance_s=distance,
                    mean_wait_s=mean,
                    start_s=start_s,
                    setting=settled,
                )
            )
        return min(found, key=lambda each: each.distance_s)
