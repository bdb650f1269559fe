"""A mechanism of a site that was tested, and the replay whose difference it should explain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.validation.case import Case
from clustersim.validation.distance import distance_s
from clustersim.validation.occupancy import Waiting, waiting_of

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


@dataclass(frozen=True, eq=False)
class Tested:
    """A case with a replay, whose difference from the log is to be explained.

    Attributes
    ----------
    case : Case
    policy : str
    start_s : float64 array (jobs,)
        Starts of this replay.
    """

    case: Case
    policy: str
    start_s: Floats

    @cached_property
    def capacity(self) -> Ints:
        """Accelerators of each share of the cluster."""
        return np.array(list(self.case.capacity.values()), dtype=np.int64)

    def waiting(self, start_s: Floats) -> Waiting:
        """Return the state of the cluster while jobs waited, with given starts."""
        case = self.case
        return waiting_of(
            case.submit_s, start_s, case.run_s, case.size, case.share, self.capacity, case.compared
        )

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
        """Distance of the nearest replay."""
        return self.measured(self.start_s)[0]

    def granted(self, mechanism: Mechanism, start_s: Floats) -> Mechanism:
        """Return a mechanism with the distance of the starts under it."""
        distance, mean = self.measured(start_s)
        return replace(
            mechanism,
            base_s=self.base_s,
            distance_s=distance,
            mean_wait_s=mean,
            start_s=start_s,
        )
