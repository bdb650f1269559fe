"""The placement that chooses nodes at random."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from clustersim.scheduling.placements.nodes import NodeFree, Nodes
from clustersim.scheduling.placements.whole_nodes import WholeNodes

__all__ = ["RandomNodes"]


class RandomNodes(WholeNodes):
    """Chooses nodes at random, as a scheduler that does not know the network.

    A job that needs at most one node runs on any node on which it fits. A gang runs on any entirely
    free nodes, with its remainder on any other node on which it fits. All such nodes are equally
    likely. The choice depends on the seed, the size of the job and the free chips of all nodes
    alone, so that policies can find out in advance where a job would run.

    Attributes
    ----------
    seed : int
        Seed of the choices. In a scenario, the default follows from the seed and the replication of
        the run.
    shuffle_ranks : bool
        Whether neighbouring ranks of a gang are on any of its nodes, too. By default, ranks follow
        the location of the nodes.

    Examples
    --------
    >>> from clustersim.scheduling import RandomNodes
    >>> placement = RandomNodes(n_nodes=64, chips_per_node=8)
    >>> gang = placement.take(32)
    >>> len(gang), gang == RandomNodes(n_nodes=64, chips_per_node=8).take(32)
    (4, True)
    """

    seed: int = 0
    shuffle_ranks: bool = False

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is.

        Examples
        --------
        >>> from clustersim.scheduling import RandomNodes
        >>> RandomNodes.check_options()
        ''
        """
        return "" if cls.seed >= 0 else f"option seed: must be 0 or more, found {cls.seed}"

    def ranks_follow_choice(self) -> bool:
        return self.shuffle_ranks

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        if len(wholly_free) < whole:
            return None
        state = crc32(np.ascontiguousarray(node_free, dtype=np.int64).data)
        rng = np.random.default_rng([self.seed, n, state])
        nodes = rng.choice(wholly_free, whole, replace=False, shuffle=self.shuffle_ranks)
        if not self.shuffle_ranks:
            nodes.sort()
        if rest == 0:
            return self._gang(nodes)
        others = node_free >= rest
        others[nodes] = False
        fitting = others.nonzero()[0]
        if not len(fitting):
            return None
        node = int(rng.choice(fitting))
        return self._gang(nodes, node, rest) if whole else ((node, rest),)
