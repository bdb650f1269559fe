"""What the site may have that the replay lacks: each mechanism granted, and its trace in the log.

A mechanism is granted by a replay in which one thing is as in the log and all else as before.  What
is taken from the log is said with each, because a mechanism that takes the start order of every job
explains more by itself than one that takes a single limit.  Beside it stands a number that does not
need the replay: how often the log shows what the mechanism would do, and how often the simulation
without it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from clustersim.array_types import Floats
from clustersim.validation.capacity import capacity, nodes, partitions
from clustersim.validation.case import Case
from clustersim.validation.hours import hours
from clustersim.validation.limits import dependencies, user_limits
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.order import estimates, initial_state, order

__all__ = ["TESTS", "mechanisms_of"]

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


def mechanisms_of(
    case: Case, policy: str, start_s: Floats, progress: Callable[[str], None] | None = None
) -> list[Mechanism]:
    """Test every mechanism on the nearest replay; the one that explains most is first.

    Parameters
    ----------
    case : Case
        With recorded starts.
    policy : str
    start_s : float64 array (jobs,)
        Simulated starts under it.
    progress : callable, optional
        Called with the name of each mechanism before it is tested.
    """
    tested = Tested(case, policy, start_s)
    found: list[Mechanism] = []
    for name, test in TESTS:
        if progress is not None:
            progress(name)
        found += test(tested)
    keys = [math.inf if math.isnan(each.explained) else -each.explained for each in found]
    return [found[at] for at in np.argsort(keys, kind="stable")]
