"""Placements choose the nodes of a partition on which a job runs.

A placement owns the free chips of one partition. ``take`` allocates chips for a gang or
returns None if the gang does not fit; ``give`` frees them. The built-in placements do both
without visiting every node.

A placement decides which nodes stay free for other jobs. It does not change the speed of a job:
the run time depends on the pool, not on the position of the nodes in the network.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Bools, Ints
from clustersim.errors import ClusterSimError

__all__ = [
    "SPEED_NOTE",
    "ManyNodes",
    "NodeFree",
    "NodePlacement",
    "Nodes",
    "Placement",
    "Pooled",
]

SPEED_NOTE = (
    "placement decides which nodes stay free for other jobs; how fast a job runs does not depend "
    "on where in the network its nodes are (slow nodes and failures aside)"
)
"""Note on what a placement does not affect; shown wherever the user chooses a placement."""

Nodes: TypeAlias = Sequence[tuple[int, int]]
"""Chips of one job: (node, chips) pairs; empty if the placement does not track nodes."""
NodeFree: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Free chips by node."""


class ManyNodes(Sequence[tuple[int, int]]):
    """Chips of a large gang: a sequence of (node, chips) pairs, kept as two arrays.

    Parameters
    ----------
    nodes, chips : int64 arrays (n,)
        Indices of the nodes, without repetition, and the number of chips on each.

    Examples
    --------
    >>> list(ManyNodes(np.array([3, 4]), np.array([8, 2])))
    [(3, 8), (4, 2)]
    """

    __slots__ = ("_whole", "chips", "nodes")

    def __init__(self, nodes: Ints, chips: Ints) -> None:
        self.nodes = nodes
        self.chips = chips
        self._whole: tuple[int, Ints, Nodes] | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.nodes.tolist(), self.chips.tolist(), strict=True)

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> ManyNodes: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | ManyNodes:
        if isinstance(at, slice):
            return ManyNodes(self.nodes[at], self.chips[at])
        return int(self.nodes[at]), int(self.chips[at])

    def whole(self, chips_per_node: int) -> tuple[Ints, Nodes]:
        """Return the nodes on which the gang uses all chips, and the pairs of its other nodes."""
        if self._whole is None or self._whole[0] != chips_per_node:
            all_of_it = self.chips == chips_per_node
            nodes, others = self.nodes, ~all_of_it
            if not all_of_it.all():
                nodes = nodes[all_of_it]
            rest = list(ManyNodes(self.nodes[others], self.chips[others]))
            self._whole = chips_per_node, nodes, rest
        return self._whole[1:]


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


class NodePlacement(Placement):
    """Base class of placements that track nodes; user-defined placements override ``choose``.

    The choice decides which nodes stay free for other jobs. It does not change the speed of a job.

    Attributes
    ----------
    node_free : array of int
        Free chips of each node.

    Examples
    --------
    A placement that fills nodes from the last to the first:

    >>> from clustersim import NodePlacement
    >>> class FromTheEnd(NodePlacement):
    ...     def choose(self, n, node_free):
    ...         nodes = []
    ...         for node in reversed(range(self.n_nodes)):
    ...             chips = min(n, int(node_free[node]))
    ...             if chips:
    ...                 nodes.append((node, chips))
    ...                 n -= chips
    ...         return nodes if n == 0 else None
    >>> FromTheEnd(n_nodes=3, chips_per_node=8).take(12)
    [(2, 8), (1, 4)]
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        typecode = "h" if chips_per_node < 2**15 else "l"
        self.node_free = array(typecode, [chips_per_node]) * n_nodes
        self._read_only = np.frombuffer(self.node_free, dtype=typecode)
        self._read_only.flags.writeable = False

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose the chips of a gang. The result must depend on the arguments alone.

        Parameters
        ----------
        n : int
            Size of the gang; at least that many chips are free.
        node_free : int array (nodes,)
            Free chips of each node; must not be changed.

        Returns
        -------
        sequence of (node, chips), or None
            None if the gang does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.choose(11, node_free)
        [(0, 8), (2, 3)]
        """
        raise NotImplementedError

    def take(self, n: int) -> Nodes | None:
        nodes = self.choose(n, self.free_by_node()) if n <= self.free else None
        if nodes is not None:
            self.take_these(nodes, n)
        return nodes

    def take_these(self, nodes: Nodes, n: int) -> None:
        self._check_choice(nodes, n)
        for node, chips in nodes:
            self.node_free[node] -= chips
        self.free -= n

    def has_free(self, nodes: Nodes, n: int) -> bool:
        node_free, asked = self.free_by_node(), dict[int, int]()
        for node, chips in nodes:
            if not 0 <= node < self.n_nodes or chips < 1:
                return False
            asked[node] = asked.get(node, 0) + chips
        return n <= self.free and all(chips <= node_free[node] for node, chips in asked.items())

    def give(self, nodes: Nodes, n: int) -> None:
        for node, chips in nodes:
            self.node_free[node] += chips
        self.free += n

    def _check_choice(self, nodes: Nodes, n: int) -> None:
        """Raise an error if the chosen accelerators are not exactly `n` free accelerators."""
        on_node: dict[int, int] = {}
        for node, chips in nodes:
            if not 0 <= node < self.n_nodes or chips < 1:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node} for a job of {n}; nodes are "
                    f"0 to {self.n_nodes - 1}, and each chosen node needs at least 1 accelerator"
                )
            on_node[node] = on_node.get(node, 0) + chips
        for node, chips in on_node.items():
            if chips > self.node_free[node]:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node}, where only {self.node_free[node]} "
                    "are free"
                )
        if sum(on_node.values()) != n:
            raise ClusterSimError(
                f"chose {sum(on_node.values())} accelerators for a job of {n}: {list(nodes)!r}"
            )

    def fits_each(self, sizes: Ints) -> Bools:
        return self.fits_each_of(sizes, self.free_by_node())

    def fits_each_of(self, sizes: Ints, node_free: NodeFree) -> Bools:
        """Return, for each of `sizes`, whether a gang of this size fits in `node_free`.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.fits_each_of(np.array([16, 19, 20]), node_free).tolist()
        [True, True, False]
        """
        distinct, index = np.unique(sizes, return_inverse=True)
        return np.array([self.fits_in(int(n), node_free) for n in distinct], dtype=bool)[index]

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        """Return whether a gang of `n` fits in `node_free`.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.fits_in(19, node_free), placement.fits_in(20, node_free)
        (True, False)
        """
        return n <= int(node_free.sum()) and self.choose(n, node_free) is not None

    def largest_gang_in(self, node_free: NodeFree) -> int:
        """Return an upper bound on the size of a gang that fits in `node_free`.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.largest_gang_in(node_free)
        19
        """
        return int(node_free.sum())

    def choose_in(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose the chips of a gang in `node_free`, or return None if it does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.choose_in(3, node_free), placement.choose_in(20, node_free)
        (((1, 3),), None)
        """
        return self.choose(n, node_free) if n <= int(node_free.sum()) else None

    def remove(self, n: int, node_free: NodeFree) -> None:
        """Subtract from `node_free` the chips that ``choose`` returns; the gang must fit.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
        >>> node_free = np.array([8, 3, 8])
        >>> placement.remove(11, node_free)
        >>> node_free.tolist()
        [0, 3, 5]
        """
        for node, chips in self.choose(n, node_free) or ():
            node_free[node] -= chips

    def free_by_node(self) -> NodeFree:
        """Return a read-only view of the free chips of each node.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> placement = Consolidate(n_nodes=2, chips_per_node=8)
        >>> taken = placement.take(6)
        >>> placement.free_by_node().tolist()
        [2, 8]
        """
        return self._read_only
