"""The levels of a network: groups of nodes under a common switch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Ints

__all__ = ["Level", "levels_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A level of the network.

    Attributes
    ----------
    name : str
        Kind of group: ``leaf``, ``unit``, ``pod`` ...
    group_of_node : int array (nodes,)
        Index of the group of each node, ascending from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import Level
    >>> Level("leaf", np.array([0, 0, 1, 1])).n_groups
    2
    """

    name: str
    group_of_node: Ints

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group_of_node[-1]) + 1


def levels_of(groups: Iterable[tuple[str, Ints]]) -> list[Level]:
    """Return the levels of a network, the smallest groups first.

    Levels with a single group or a group for each node say nothing and are left out, as are those
    that divide the nodes like another one, or cut a group of a lower level.

    Parameters
    ----------
    groups : iterable of (str, int array (nodes,))
        Name of each level, and the group of each node, in ascending order.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import levels_of
    >>> leaf, pod = np.array([3, 3, 4, 4, 5, 5]), np.array([0, 0, 0, 0, 1, 1])
    >>> [(level.name, level.n_groups) for level in levels_of([("pod", pod), ("leaf", leaf)])]
    [('leaf', 3), ('pod', 2)]
    """
    names: dict[tuple[int, ...], str] = {}
    n_nodes = 0
    for name, group in groups:
        n_nodes = len(group)
        cuts = np.flatnonzero(np.diff(group)) + 1
        if 0 < len(cuts) < n_nodes - 1:
            names.setdefault(tuple(cuts.tolist()), name)
    levels: list[Level] = []
    inner: set[int] | None = None
    for starts in sorted(names, key=len, reverse=True):
        if inner is None or inner.issuperset(starts):
            begins = np.zeros(n_nodes, dtype=np.int64)
            begins[list(starts)] = 1
            levels.append(Level(names[starts], np.cumsum(begins)))
            inner = set(starts)
    return levels
