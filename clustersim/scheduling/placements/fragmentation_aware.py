"""The placement that leaves the free accelerators least fragmented (FGD)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.scheduling.placements.consolidate import Consolidate
from clustersim.scheduling.placements.network import Level
from clustersim.scheduling.placements.nodes import NodeFree, Nodes

__all__ = ["FragmentationAware"]


class FragmentationAware(Consolidate):
    """Chooses the node whose free accelerators get least fragmented (fragmentation gradient).

    Weng et al., "Beware of fragmentation: Scheduling GPU-sharing workloads with fragmentation
    gradient descent", USENIX ATC 2023, for whole accelerators. The fragmentation of a node is the
    expected number of its free accelerators that a job cannot use, for a job drawn from the
    workload: all of them if the job needs more than are free there, none otherwise. A job goes to
    the node where this number grows least or falls most; ties go to the fullest node, then to the
    lowest index. A gang larger than a node gets entirely free nodes, which leaves no fragments, and
    its remainder is placed like a small job.

    Attributes
    ----------
    sizes : mapping of int to float
        Weight of each job size in the workload, for example ``1:50,8:30,64:20``. By default all
        jobs of the run count alike; if they are not known, the powers of two up to a node do.

    Examples
    --------
    If jobs need 1 or 4 accelerators, a node with 5 free ones takes a job of 1 without a loss:

    >>> import numpy as np
    >>> from clustersim.scheduling import FragmentationAware
    >>> placement = FragmentationAware(n_nodes=2, chips_per_node=8)
    >>> placement.prepare([], np.array([1, 4]))
    >>> placement.take_these([(0, 4), (1, 3)], 7)
    >>> list(placement.take(1))
    [(1, 1)]
    """

    sizes: Mapping[int, float] = {}

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is.

        Examples
        --------
        >>> from clustersim.scheduling import FragmentationAware
        >>> FragmentationAware.check_options()
        ''
        """
        for size, weight in cls.sizes.items():
            if size < 1 or not 0 < weight < math.inf:
                return (
                    "option sizes: must be numbers of accelerators, at least 1, with weights above "
                    f"0, found {size}:{weight:g}"
                )
        return ""

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        powers = 2 ** np.arange(chips_per_node.bit_length())
        self._fragments = self._fragments_by_free(powers, np.ones(len(powers)))
        if self.sizes:
            self._use(list(self.sizes), list(self.sizes.values()))
        self._orders: dict[int, tuple[int, ...]] = {}

    def prepare(self, network: Sequence[Level], sizes: Ints) -> None:
        if not self.sizes and len(sizes):
            self._use(*np.unique(sizes, return_counts=True))

    def _use(self, sizes: Sequence[int] | Ints, weights: Sequence[float] | Floats | Ints) -> None:
        self._fragments = self._fragments_by_free(np.asarray(sizes), np.asarray(weights))
        self._orders = {}

    def _fragments_by_free(self, sizes: Ints, weights: Floats | Ints) -> Floats:
        """Return the fragmentation of a node by its free accelerators, times the sum of weights."""
        chips = self.chips_per_node
        on_node = np.bincount(np.minimum(sizes, chips), weights, minlength=chips + 1)
        levels = np.arange(chips + 1)
        fragments: Floats = levels * (on_node.sum() - np.cumsum(on_node))
        return fragments

    def _order(self, n: int) -> tuple[int, ...]:
        """Return numbers of free accelerators, such that nodes with an earlier one are better."""
        order = self._orders.get(n)
        if order is None:
            before = np.arange(n, self.chips_per_node + 1)
            fall = self._fragments[before] - self._fragments[before - n]
            order = self._orders[n] = tuple(before[np.argsort(-fall, kind="stable")].tolist())
        return order

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        if len(wholly_free) < whole:
            return None
        if rest == 0:
            return self._gang(wholly_free[:whole])
        others = np.array(node_free)
        others[wholly_free[:whole]] = 0
        there = np.bincount(others, minlength=chips + 1)
        for free in self._order(rest):
            if there[free]:
                node = int((others == free).argmax())
                return self._gang(wholly_free[:whole], node, rest) if whole else ((node, rest),)
        return None

    def take(self, n: int) -> Nodes | None:
        if n > self.largest_gang():
            return None
        whole, rest = divmod(n, self.chips_per_node)
        if rest == 0:
            return super().take(n)
        taken = list(super().take(n - rest) or ()) if whole else []
        free = next(free for free in self._order(rest) if self._count[free])
        node = self._lowest(free)
        self._set_free(node, free - rest)
        self.free -= rest
        return (
            self._gang(np.array([each for each, _ in taken]), node, rest)
            if whole
            else ((node, rest),)
        )
