"""The base class of placements that track nodes."""

from __future__ import annotations

from array import array

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.errors import ClusterSimError
from clustersim.scheduling.placements.base import Placement
from clustersim.scheduling.placements.nodes import NodeFree, Nodes

__all__ = ["NodePlacement"]


class NodePlacement(Placement):
    """Base class of placements that track nodes; user-defined placements override ``choose``.

    The choice decides which nodes stay free for other jobs. It changes the speed of a job only in
    runs with a ``network`` section.

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
        >>> Consolidate(3, 8).choose(11, np.array([8, 3, 8]))
        [(0, 8), (2, 3)]
        """
        raise NotImplementedError

    def ranks_follow_choice(self) -> bool:
        """Return whether ranks of a gang follow the order of the nodes that ``choose`` returns.

        By default, they follow the location of the nodes. This matters in runs with a ``network``
        section.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate
        >>> Consolidate(n_nodes=2, chips_per_node=8).ranks_follow_choice()
        False
        """
        return False

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
        >>> Consolidate(3, 8).fits_each_of(np.array([16, 19, 20]), np.array([8, 3, 8])).tolist()
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
        >>> [Consolidate(3, 8).fits_in(n, np.array([8, 3, 8])) for n in (19, 20)]
        [True, False]
        """
        return n <= int(node_free.sum()) and self.choose(n, node_free) is not None

    def largest_gang_in(self, node_free: NodeFree) -> int:
        """Return an upper bound on the size of a gang that fits in `node_free`.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate
        >>> Consolidate(3, 8).largest_gang_in(np.array([8, 3, 8]))
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
