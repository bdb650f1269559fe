"""What the site may have that the replay lacks: each mechanism granted, and its trace in the log.

A mechanism is granted by a replay in which one thing is as in the log and all else as before.  What
is taken from the log is said with each, because a mechanism that takes the start order of every job
explains more by itself than one that takes a single limit.  Beside it stands a number that does not
need the replay: how often the log shows what the mechanism would do, and how often the simulation
without it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from clustersim.array_types import Floats
from clustersim.validation.capacity import capacity, nodes, partitions
from clustersim.validation.case import Case
from clustersim.validation.hours import hours
from clustersim.validation.limits import dependencies, user_limits
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.order import estimates, initial_state, order
from clustersim.validation.setting import Setting

__all__ = ["KEYS", "TESTS", "mechanisms_of", "tests_of"]

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


def tests_of(policies: Iterable[str]) -> list[tuple[str, str]]:
    """Return the policy and the name of each test, in order.

    The start order replaces the policy, so it is tested on the first one only.

    Examples
    --------
    >>> [policy for policy, name in tests_of(["sjf", "easy"]) if name == "start order"]
    ['sjf']
    """
    return [
        (policy, name)
        for at, policy in enumerate(policies)
        for name, test in TESTS
        if at == 0 or test is not order
    ]


def mechanisms_of(
    case: Case,
    starts: Mapping[str, Floats],
    progress: Callable[[str], None] | None = None,
    done: Callable[[int, list[Mechanism]], None] | None = None,
) -> list[Mechanism]:
    """Test every mechanism on some policies; what is nearest to the log is first.

    Parameters
    ----------
    case : Case
    starts : mapping of str to float64 array (jobs,)
        Simulated starts by policy, the nearest first.
    progress : callable, optional
        Called with the name of each test before it begins.
    done : callable, optional
        Called after each test with the number of tests made and the mechanisms so far.
    """
    found: list[Mechanism] = []
    tested: Tested | None = None
    for number, (policy, name) in enumerate(tests_of(starts), 1):
        if tested is None or tested.setting.policy != policy:
            tested = Tested(Setting(case, policy), starts[policy])
        if progress is not None:
            progress(f"{policy}: {name}")
        if case.has_starts or name in WITHOUT_STARTS:
            own = list(dict(TESTS)[name](tested))
        else:
            own = [Mechanism(name, name, untested="this needs recorded starts")]
        found += [replace(each, policy=policy) for each in own]
        if done is not None:
            done(number, sorted(found, key=_rank))
    return sorted(found, key=_rank)


def _rank(each: Mechanism) -> tuple[float, int]:
    """Return the distance and, for equal ones, how much is taken from the log."""
    return math.inf if math.isnan(each.scaled_s) else round(each.scaled_s, 3), each.taken
