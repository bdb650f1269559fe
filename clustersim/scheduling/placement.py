"""Placements choose the nodes of a partition on which a job runs.

A placement owns the free chips of one partition. ``take`` allocates chips for a gang or
returns None if it does not fit; ``give`` frees them. The built-in placements do both
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

from clustersim.errors import ClusterSimError

__all__ = [
    "SPEED_NOTE",
    "BucketPlacement",
    "Consolidate",
    "ManyNodes",
    "NodePlacement",
    "Nodes",
    "Placement",
    "Pooled",
    "Spread",
]

SPEED_NOTE = (
    "placement decides which nodes stay free for other jobs; how fast a job runs does not depend "
    "on where in the network its nodes are (slow nodes and failures aside)"
)
"""The limits of what a placement affects; shown wherever the user chooses a placement."""
_MANY = 32
"""Number of nodes from which an array is faster than a loop."""

Nodes: TypeAlias = Sequence[tuple[int, int]]
"""Chips of one job: (node, chips) pairs; empty if the placement does not track nodes."""
NodeFree: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Free chips by node."""
IntArray: TypeAlias = npt.NDArray[np.int64]


class ManyNodes(Sequence[tuple[int, int]]):
    """Chips of a large gang: a sequence of (node, chips) pairs, kept as two arrays.

    Parameters
    ----------
    nodes, chips : int64 arrays (n,)
        Indices of the nodes, each once, and the chips on each.

    Examples
    --------
    >>> list(ManyNodes(np.array([3, 4]), np.array([8, 2])))
    [(3, 8), (4, 2)]
    """

    __slots__ = ("_whole", "chips", "nodes")

    def __init__(self, nodes: IntArray, chips: IntArray) -> None:
        self.nodes = nodes
        self.chips = chips
        self._whole: tuple[int, IntArray, Nodes] | None = None

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

    def whole(self, chips_per_node: int) -> tuple[IntArray, Nodes]:
        """Split into the nodes that the gang holds entirely, and the pairs of the other nodes."""
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
        Accelerators installed and accelerators free now.
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.n_nodes = n_nodes
        self.chips_per_node = chips_per_node
        self.capacity = self.free = n_nodes * chips_per_node

    def largest_gang(self) -> int:
        """Return an upper bound on the size of a gang that fits now, found without a search."""
        return self.free

    def take(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators now, or return None if they do not fit."""
        raise NotImplementedError

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate exactly these accelerators, which must be free."""
        raise NotImplementedError

    def give(self, nodes: Nodes, n: int) -> None:
        """Free the `n` accelerators that ``take`` returned as `nodes`."""
        raise NotImplementedError

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return for each of `sizes`, an int array (k,), whether ``take`` would succeed."""
        raise NotImplementedError


class Pooled(Placement):
    """Counts accelerators without tracking nodes: a job fits if enough are free."""

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        self.free -= n
        return ()

    def take_these(self, nodes: Nodes, n: int) -> None:
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        self.free += n

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free


class NodePlacement(Placement):
    """Tracks nodes; the base class of user-defined placements, which define ``choose``.

    The choice decides which nodes stay free for other jobs. It does not change the speed of a job.

    Attributes
    ----------
    node_free : array of int
        Free chips of each node.

    Examples
    --------
    A placement that fills nodes from the last to the first:

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

    def give(self, nodes: Nodes, n: int) -> None:
        for node, chips in nodes:
            self.node_free[node] += chips
        self.free += n

    def _check_choice(self, nodes: Nodes, n: int) -> None:
        """Raise an error for an invalid choice."""
        on_node: dict[int, int] = {}
        for node, chips in nodes:
            if not 0 <= node < self.n_nodes or chips < 1:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node} for a job of {n}; nodes are "
                    f"0 to {self.n_nodes - 1}, and each needs at least 1 accelerator"
                )
            on_node[node] = on_node.get(node, 0) + chips
        for node, chips in on_node.items():
            if chips > self.node_free[node]:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node}, where {self.node_free[node]} "
                    "are free"
                )
        if sum(on_node.values()) != n:
            raise ClusterSimError(
                f"chose {sum(on_node.values())} accelerators for a job of {n}: {list(nodes)!r}"
            )

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self.fits_each_of(sizes, self.free_by_node())

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        """Return for each of `sizes` whether it fits in `node_free`."""
        distinct, index = np.unique(sizes, return_inverse=True)
        return np.array([self.fits_in(int(n), node_free) for n in distinct], dtype=bool)[index]

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        """Return whether a gang of `n` fits in `node_free`."""
        return n <= int(node_free.sum()) and self.choose(n, node_free) is not None

    def largest_gang_in(self, node_free: NodeFree) -> int:
        """Return an upper bound on the size of a gang that fits in `node_free`."""
        return int(node_free.sum())

    def choose_in(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose the chips of a gang in `node_free`, or return None if it does not fit."""
        return self.choose(n, node_free) if n <= int(node_free.sum()) else None

    def remove(self, n: int, node_free: NodeFree) -> None:
        """Subtract the chips that ``choose`` chooses from `node_free`; the gang must fit."""
        for node, chips in self.choose(n, node_free) or ():
            node_free[node] -= chips

    def free_by_node(self) -> NodeFree:
        """Return a read-only view of the free chips of each node."""
        return self._read_only


class BucketPlacement(NodePlacement):
    """Keeps the set of nodes for each number of free chips, which avoids a search over nodes.

    A set has one byte per node, 1 for its members. Its lowest member is found by a search for
    that byte. The search begins at a hint; no member has a lower index.
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        self._with_free = [bytearray(n_nodes) for _ in range(chips_per_node)]
        self._with_free.append(bytearray(b"\x01") * n_nodes)
        self._hint = [0] * (chips_per_node + 1)
        self._count = [0] * chips_per_node + [n_nodes]
        self._free_view = np.frombuffer(self.node_free, dtype=self.node_free.typecode)
        self._wholly_free = np.frombuffer(self._with_free[chips_per_node], dtype=np.bool_)

    def take_these(self, nodes: Nodes, n: int) -> None:
        pairs = nodes
        if isinstance(nodes, ManyNodes):
            whole, pairs = nodes.whole(self.chips_per_node)
            self._set_taken(whole)
        node_free = self.node_free
        for node, chips in pairs:
            self._set_free(node, node_free[node] - chips)
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        pairs = nodes
        if isinstance(nodes, ManyNodes):
            whole, pairs = nodes.whole(self.chips_per_node)
            self._set_wholly_free(whole)
        node_free = self.node_free
        for node, chips in pairs:
            self._set_free(node, node_free[node] + chips)
        self.free += n

    def _set_taken(self, nodes: IntArray) -> None:
        """Allocate all chips of nodes that are entirely free."""
        self._free_view[nodes] = 0
        self._wholly_free[nodes] = False
        self._count[self.chips_per_node] -= len(nodes)
        self._count[0] += len(nodes)

    def _set_wholly_free(self, nodes: IntArray) -> None:
        """Free all chips of nodes that are entirely allocated."""
        if not len(nodes):
            return
        chips = self.chips_per_node
        self._free_view[nodes] = chips
        self._wholly_free[nodes] = True
        self._count[0] -= len(nodes)
        self._count[chips] += len(nodes)
        self._hint[chips] = min(self._hint[chips], int(np.minimum.reduce(nodes)))

    def _set_free(self, node: int, free: int) -> None:
        before = self.node_free[node]
        self._count[before] -= 1
        self._count[free] += 1
        self.node_free[node] = free
        self._with_free[before][node] = 0
        self._with_free[free][node] = 1
        if node < self._hint[free]:
            self._hint[free] = node

    def _lowest(self, free: int) -> int:
        """Lowest index of a node with exactly `free` free chips; there must be one."""
        self._hint[free] = node = self._with_free[free].find(1, self._hint[free])
        return node


class Consolidate(BucketPlacement):
    """Uses as few nodes as possible.

    A job of at most one node runs on the fullest node on which it fits; ties go to the
    lowest index. A multiple of a node runs on entirely free nodes, lowest index first.
    Other sizes use entirely free nodes, and the remainder runs on the node with the most
    free chips among the others.
    """

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        if n <= chips:
            too_full = node_free < n
            least = int((node_free + too_full * node_free.dtype.type(chips + 1)).min())
            return ((int((node_free == least).argmax()), n),) if least <= chips else None
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        if len(wholly_free) < whole:
            return None
        if rest == 0:
            return self._gang(wholly_free[:whole])
        if len(wholly_free) > whole:
            return self._gang(wholly_free[:whole], int(wholly_free[whole]), rest)
        partly_free = np.where(node_free == chips, 0, node_free)
        node = int(partly_free.argmax())
        return self._gang(wholly_free, node, rest) if partly_free[node] >= rest else None

    def _gang(self, whole: IntArray, node: int = 0, rest: int = 0) -> Nodes:
        """Chips of a gang on some whole nodes, with the remainder on one more."""
        nodes = np.append(whole, node) if rest else whole
        chips = np.full(len(nodes), self.chips_per_node)
        if rest:
            chips[-1] = rest
        gang = ManyNodes(nodes, chips)
        return gang if len(nodes) >= _MANY else list(gang)

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        chips, count = self.chips_per_node, self._count
        if n <= chips:
            for free in range(n, chips + 1):
                if count[free]:
                    node = self._lowest(free)
                    self._set_free(node, free - n)
                    self.free -= n
                    return ((node, n),)
            return None
        if n > self.largest_gang():
            return None
        self.free -= n
        whole, rest = divmod(n, chips)
        if whole >= _MANY:
            taken = self._lowest_whole(whole)
            self._set_taken(taken)
            return self._gang(taken, self._take_rest(rest), rest) if rest else self._gang(taken)
        nodes = [(self._take_whole(), chips) for _ in range(whole)]
        if rest:
            nodes.append((self._take_rest(rest), rest))
        return nodes

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.largest_gang()

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        return sizes <= self.largest_gang_in(node_free)

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        chips = self.chips_per_node
        wholly_free = node_free == chips
        room = int(np.count_nonzero(wholly_free)) * chips
        return n <= room or (n < room + chips and n <= room + _freest(node_free, ~wholly_free))

    def choose_in(self, n: int, node_free: NodeFree) -> Nodes | None:
        return self.choose(n, node_free)  # it checks itself whether the gang fits

    def largest_gang(self) -> int:
        """Return the size of the largest gang that fits.

        It takes all entirely free nodes and the node with the most free chips of the others.
        """
        chips, count = self.chips_per_node, self._count
        partly_free = chips - 1
        while partly_free and not count[partly_free]:
            partly_free -= 1
        return count[chips] * chips + partly_free

    def largest_gang_in(self, node_free: NodeFree) -> int:
        wholly_free = node_free == self.chips_per_node
        room = int(np.count_nonzero(wholly_free)) * self.chips_per_node
        return room + _freest(node_free, ~wholly_free)

    def remove(self, n: int, node_free: NodeFree) -> None:
        whole, rest = divmod(n, self.chips_per_node)
        if whole == 0 or rest:
            super().remove(n, node_free)
        else:
            node_free[(node_free == self.chips_per_node).nonzero()[0][:whole]] = 0

    def _take_whole(self) -> int:
        """Allocate all chips of the entirely free node with the lowest index."""
        node = self._lowest(self.chips_per_node)
        self._set_free(node, 0)
        return node

    def _take_rest(self, rest: int) -> int:
        """Allocate chips of a node with the most free chips."""
        free = max(level for level, nodes_there in enumerate(self._count) if nodes_there)
        node = self._lowest(free)
        self._set_free(node, free - rest)
        return node

    def _lowest_whole(self, n_nodes: int) -> IntArray:
        """Find the `n_nodes` entirely free nodes with the lowest indices; there must be enough."""
        start, window = self._lowest(self.chips_per_node), 4 * n_nodes
        found: list[IntArray] = []
        missing = n_nodes
        while missing > 0:
            part = self._wholly_free[start : start + window].nonzero()[0] + start
            found.append(part[:missing])
            missing -= len(part)
            start, window = start + window, 2 * window
        return found[0] if len(found) == 1 else np.concatenate(found)


def _freest(node_free: NodeFree, where: npt.NDArray[np.bool_]) -> int:
    """Return the largest number of free chips of a node among some; 0 if there are none."""
    return int((node_free * where).max())  # a product is vectorised; np.where is not


class Spread(BucketPlacement):
    """Uses as many nodes as possible: each chip comes from the node with the most free chips.

    Ties go to the lowest index. A job of n chips on an empty partition therefore takes one
    chip on each of the first n nodes.
    """

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        if n > int(node_free.sum()):
            return None
        level = int(node_free.max())
        while level > 0 and int(np.maximum(node_free - level + 1, 0).sum()) < n:
            level -= 1
        taken = np.maximum(node_free - level, 0)
        last = np.flatnonzero(node_free >= level)[: n - int(taken.sum())]
        taken[last] += 1
        return [(int(node), int(taken[node])) for node in np.flatnonzero(taken)]

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        taken: dict[int, int] = {}
        free = self.chips_per_node
        for _ in range(n):
            while not self._count[free]:
                free -= 1
            node = self._lowest(free)
            self._set_free(node, free - 1)
            taken[node] = taken.get(node, 0) + 1
        self.free -= n
        return sorted(taken.items())

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        return sizes <= int(node_free.sum())
