"""The base class of placements, and the placement that only counts accelerators.

A placement owns the free accelerators of one partition. ``take`` allocates some for a gang or
returns None if the gang does not fit; ``give`` frees them.

A placement decides which nodes stay free for other jobs. In runs with a ``network`` section it also
decides how fast a job runs; in others, the run time depends on the pool, not on the position of the
nodes in the network.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.network import Level
from clustersim.scheduling.placements.nodes import Nodes

__all__ = ["SPEED_NOTE", "Placement", "Pooled"]

SPEED_NOTE = (
    "placement decides which nodes stay free for other jobs; without a `network` section, how fast "
    "a job runs does not depend on where in the network its nodes are (slow nodes and failures "
    "aside)"
)
"""Note on what a placement does not affect; shown wherever the user chooses a placement."""


class Placement:
    """Base class of placements.

    Parameters
    ----------
    n_nodes, chips_per_node : int
        Size of the partition.

    Attributes
    ----------
    capacity, free : int
        Number of accelerators installed, and number free now.

    Examples
    --------
    >>> from clustersim.scheduling import Placement
    >>> class FirstFit(Placement):
    ...     def take(self, n):
    ...         if n > self.free:
    ...             return None
    ...         self.free -= n
    ...         return ()
    ...     def give(self, nodes, n):
    ...         self.free += n
    >>> placement = FirstFit(n_nodes=2, chips_per_node=8)
    >>> placement.take(12)
    ()
    >>> placement.take(12) is None, placement.free
    (True, 4)
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.n_nodes = n_nodes
        self.chips_per_node = chips_per_node
        self.capacity = self.free = n_nodes * chips_per_node

    def prepare(self, network: Sequence[Level], sizes: Ints) -> None:
        """Learn about the partition and its jobs before the first of them starts.

        Parameters
        ----------
        network : sequence of Level
            Groups of nodes under a common switch, the smallest groups first; without levels that
            have a single group, or a group for each node.
        sizes : int array (jobs,)
            Sizes of the jobs of the run; empty if they are not known.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> placement.prepare([], np.array([8, 4]))  # `consolidate` does not use it
        """

    def largest_gang(self) -> int:
        """Return an upper bound on the size of a gang that fits now, without searching nodes.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> taken = placement.take(6)
        >>> placement.free, placement.largest_gang()
        (10, 10)
        """
        return self.free

    def take(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators now, or return None if they do not fit.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> placement.take(12)
        [(0, 8), (1, 4)]
        >>> placement.take(6) is None
        True
        """
        raise NotImplementedError

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate the `n` accelerators in `nodes`, which must be free.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> placement.take_these([(1, 5)], 5)
        >>> placement.free
        11
        """
        raise NotImplementedError

    def has_free(self, nodes: Nodes, n: int) -> bool:
        """Return whether the `n` accelerators in `nodes` are free.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> taken = placement.take(6)
        >>> placement.has_free([(0, 4)], 4), placement.has_free([(1, 4)], 4)
        (False, True)
        """
        return n <= self.free

    def give(self, nodes: Nodes, n: int) -> None:
        """Free the `n` accelerators that ``take`` returned as `nodes`.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> nodes = placement.take(12)
        >>> placement.give(nodes, 12)
        >>> placement.free
        16
        """
        raise NotImplementedError

    def fits_each(self, sizes: Ints) -> Bools:
        """Return, for each value of the int array `sizes`, whether ``take`` would succeed.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> taken = placement.take(6)
        >>> placement.fits_each(np.array([8, 10, 12])).tolist()
        [True, True, False]
        """
        raise NotImplementedError


class Pooled(Placement):
    """Counts accelerators without tracking nodes: a job fits if enough are free.

    Examples
    --------
    >>> from clustersim.scheduling import Pooled
    >>> placement = Pooled(n_nodes=3, chips_per_node=8)
    >>> placement.take(20)
    ()
    >>> placement.free
    4
    """

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        self.free -= n
        return ()

    def take_these(self, nodes: Nodes, n: int) -> None:
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        self.free += n

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= self.free
