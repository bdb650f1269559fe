"""What the site may have that the replay lacks: each mechanism granted, and its trace in the log.

A mechanism is granted by a replay in which one thing is as in the log and all else as before.  What
is taken from the log is said with each, because a mechanism that takes the start order of every job
explains more by itself than one that takes a single limit.  Beside it stands a number that does not
need the replay: how often the log shows what the mechanism would do, and how often the simulation
without it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from clustersim.array_types import Floats
from clustersim.validation.capacity import capacity, nodes, partitions
from clustersim.validation.case import Case
from clustersim.validation.hours import hours
from clustersim.validation.limits import dependencies, user_limits
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.order import estimates, initial_state, order
from clustersim.validation.setting import Setting

__all__ = ["KEYS", "TESTS", "mechanisms_of"]

TESTS: tuple[tuple[str, Callable[[Tested], Iterator[Mechanism]]], ...] = (
    ("start order", order),
    ("capacity", capacity),
    ("partitions", partitions),
    ("limits of users", user_limits),
    ("dependencies", dependencies),
    ("hours", hours),
    ("estimates", estimates),
    ("nodes", nodes),
    ("initial state", initial_state),
)

KEYS = {
    "start order": ("order",),
    "capacity": ("capacity",),
    "partitions": ("partitions", "pooled"),
    "limits of users": ("user_accelerators", "user_jobs"),
    "dependencies": ("dependencies",),
    "hours": ("hours",),
    "estimates": ("estimates",),
    "nodes": ("nodes",),
    "initial state": ("initial_state",),
}
"""Keys of the mechanisms of each test."""

WITHOUT_STARTS = ("partitions", "estimates", "nodes")
"""Tests that need no recorded starts."""


def mechanisms_of(
    case: Case, starts: Mapping[str, Floats], progress: Callable[[str], None] | None = None
) -> list[Mechanism]:
    """Test every mechanism on some policies; what is nearest to the log is first.

    The start order replaces the policy, so it is tested on the first one only.

    Parameters
    ----------
    case : Case
    starts : mapping of str to float64 array (jobs,)
        Simulated starts by policy, the nearest first.
    progress : callable, optional
        Called with the name of each test before it begins.
    """
    found: list[Mechanism] = []
    for at, (policy, start_s) in enumerate(starts.items()):
        tested = Tested(Setting(case, policy), start_s)
        for name, test in TESTS:
            if at > 0 and test is order:
                continue
            if progress is not None:
                progress(f"{policy}: {name}")
            if case.has_starts or name in WITHOUT_STARTS:
                own = list(test(tested))
            else:
                own = [Mechanism(name, name, untested="this needs recorded starts")]
            found += [replace(each, policy=policy) for each in own]
    return sorted(found, key=_rank)


def _rank(each: Mechanism) -> tuple[float, int]:
    """Return the distance and, for equal ones, how much is taken from the log."""
    return math.inf if math.isnan(each.scaled_s) else round(each.scaled_s, 3), each.taken
