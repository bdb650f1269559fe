"""Traffic of gangs on trunks: bytes by trunk, one entry for each gang and trunk, no single flows.

The bytes follow from counts of chips. If a gang has C of its N chips in a group of nodes, each of
them sends to N - C chips outside of it; no pair of chips is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, unknown_name
from clustersim.network.trunks import LEVELS, RAIL, SCALE_UP, TrunkGraph

__all__ = ["PATTERNS", "GangTraffic", "gang_traffic"]


@dataclass(frozen=True, slots=True, eq=False)
class GangTraffic:
    """Bytes of each gang on each trunk that it uses, in the order of gangs and trunks.

    Attributes
    ----------
    gang, trunk : array of int, shape (n_entries,)
    sent_bytes : array of float, shape (n_entries,)
        Above 0.
    n_gangs : int

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.network import GangTraffic
    >>> GangTraffic(np.array([0, 1]), np.array([4, 4]), np.array([1e9, 2e9]), 2).n_gangs
    2
    """

    gang: Ints
    trunk: Ints
    sent_bytes: Floats
    n_gangs: int

    def by_level(self, graph: TrunkGraph) -> Floats:
        """Return the bytes that each gang sends upward at each level.

        Returns
        -------
        array of float, shape (n_gangs, n_levels)
            Columns are those of :data:`~clustersim.network.LEVELS`.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.network import gang_traffic, trunk_graph
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> graph = trunk_graph(cluster)
        >>> gang_traffic(graph, [0, 1], [8, 8], 1e9).by_level(graph).tolist()
        [[14000000000.0, 2000000000.0, 0.0, 0.0, 0.0]]
        """
        up = graph.upward[self.trunk]
        cells = self.gang[up] * len(LEVELS) + graph.level[self.trunk[up]]
        sums = np.bincount(cells, self.sent_bytes[up], self.n_gangs * len(LEVELS))
        return sums.astype(np.float64).reshape(self.n_gangs, len(LEVELS))


def gang_traffic(
    graph: TrunkGraph,
    nodes: ArrayLike,
    chips: ArrayLike,
    sent: ArrayLike,
    *,
    pattern: str = "ring",
    gang: ArrayLike | None = None,
) -> GangTraffic:
    """Return how many bytes of gangs cross which trunks.

    Parameters
    ----------
    graph : TrunkGraph
    nodes : array_like of int, shape (n_rows,)
        Nodes of each gang, numbered over all pools as in `graph`, in the order of the ranks.
    chips : array_like of int, shape (n_rows,)
        Number of chips that the gang has on each node.
    sent : array_like of float, shape () or (n_gangs,)
        Bytes that each chip of the gang sends. For a ring all-reduce of S bytes on n chips, these
        are ``2 (n - 1) / n * S``.
    pattern : {"ring", "all_to_all"}
        In a ring, each chip sends to the next one, chip by chip and node by node, and the last to
        the first. (If each chip of a node has a ring of its own, in which it is the one that sends
        to the next node, the sums are the same.) In ``all_to_all``, each chip sends the same
        number of bytes to each other chip.
    gang : array_like of int, shape (n_rows,), optional
        Number of the gang of each row, from 0 and in ascending order; by default there is one.

    Returns
    -------
    GangTraffic

    Raises
    ------
    InputError
        If an argument has a wrong length or value, or if a gang has nodes in pools that are not
        connected. The error names the argument and the index.

    Examples
    --------
    A ring over two nodes in different units. Each node sends 1 GB to the other, over the trunk of
    its unit (in the list, trunks upward and downward):

    >>> import clustersim as cs
    >>> from clustersim.network import LEVELS, gang_traffic, trunk_graph
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> graph = trunk_graph(cluster)
    >>> traffic = gang_traffic(graph, [0, 255], [8, 8], 1e9)
    >>> dict(zip(LEVELS, (traffic.by_level(graph)[0] / 1e9).tolist()))
    {'scale-up': 14.0, 'rail': 2.0, 'leaf': 2.0, 'spine': 0.0, 'datacenter': 0.0}
    """
    if pattern not in PATTERNS:
        raise InputError("gang_traffic", unknown_name("pattern", pattern, PATTERNS))
    rows = _rows(graph, nodes, chips, gang)
    per_chip = np.asarray(sent, dtype=np.float64)
    if per_chip.shape not in ((), (rows.n_gangs,)) or not np.all(
        (per_chip >= 0) & np.isfinite(per_chip)
    ):
        raise InputError(
            "gang_traffic",
            f"sent: must be a finite number of at least 0, or one for each of the {rows.n_gangs} "
            "gangs",
        )
    parts = PATTERNS[pattern](graph, rows)
    keys = np.concatenate([owner * graph.n_trunks + trunk for owner, trunk, _ in parts])
    cells, inverse = np.unique(keys, return_inverse=True)
    owner, trunk = np.divmod(cells, graph.n_trunks)
    shares = np.bincount(inverse, np.concatenate([share for *_, share in parts]), cells.size)
    sent_bytes = shares * np.broadcast_to(per_chip, (rows.n_gangs,))[owner]
    used = sent_bytes > 0
    return GangTraffic(owner[used], trunk[used], sent_bytes[used], rows.n_gangs)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Checked rows: node, chips and gang of each, and the number of chips of its gang."""

    node: Ints
    chips: Floats
    gang: Ints
    size: Floats
    n_gangs: int


Part = tuple[Ints, Ints, Floats]
"""Gang, trunk, and the bytes on the trunk in units of what a chip sends."""


def _rows(graph: TrunkGraph, nodes: ArrayLike, chips: ArrayLike, gang: ArrayLike | None) -> _Rows:
    """Check and convert the rows."""
    node = _whole("nodes", nodes, None)
    count = _whole("chips", chips, node.size)
    owner = np.zeros_like(node) if gang is None else _whole("gang", gang, node.size)
    graph.check_nodes("gang_traffic", node)
    few = np.flatnonzero(count < 1)
    if few.size:
        problem = f"chips[{few[0]}]: must be at least 1, found {count[few[0]]}"
        raise InputError("gang_traffic", problem)
    steps = np.diff(owner, prepend=0)
    wrong = np.flatnonzero((steps < 0) | (steps > 1))
    if wrong.size:
        problem = f"gang[{wrong[0]}]: must be the number before it or the next one, from 0"
        raise InputError("gang_traffic", f"{problem}; found {owner[wrong[0]]}")
    graph.check_connected("gang_traffic", node, owner)
    n_gangs = int(owner[-1]) + 1 if owner.size else 0
    size = np.bincount(owner, count, n_gangs)[owner]
    return _Rows(node, count.astype(np.float64), owner, size.astype(np.float64), n_gangs)


def _whole(name: str, values: ArrayLike, count: int | None) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError("gang_traffic", f"{name}: must be a list of whole numbers")
    if count is not None and array.size != count:
        problem = f"{name}: must have one value for each of the {count} rows, found {array.size}"
        raise InputError("gang_traffic", problem)
    return array.astype(np.int64)


def _ring(graph: TrunkGraph, rows: _Rows) -> list[Part]:
    """Each row has a hop for each of its chips; the last leads to the next row of the gang."""
    first = np.searchsorted(rows.gang, rows.gang)
    last = np.append(rows.gang[1:] != rows.gang[:-1], True)[: rows.gang.size]
    successor = np.where(last, first, np.arange(rows.gang.size) + 1)
    to = rows.node[successor]
    inside = graph.domain_of_node(rows.node) == graph.domain_of_node(to)
    several = rows.size > 1
    # Hops of a row that stay on its node or in its domain.
    near = np.where(several, rows.chips - ~inside, 0.0)
    parts = _near_parts(graph, rows, near)
    for up in graph.up_of_node[RAIL:]:
        leaving, entering = up[rows.node], up[to]
        across = several & ~inside & (leaving != entering)
        for trunk, used in ((leaving, leaving >= 0), (entering + 1, entering >= 0)):
            used = across & used
            parts.append((rows.gang[used], trunk[used], np.ones(np.count_nonzero(used))))
    return parts


def _all_to_all(graph: TrunkGraph, rows: _Rows) -> list[Part]:
    """Each chip sends ``1 / (N - 1)`` to each of the N - 1 others.

    Of the pairs of chips, those in one scale-up domain do not enter the network. The pairs that
    leave a group of nodes are counted by the domains d of its chips: x chips in both the group (C
    chips) and the domain (D chips) send to N - C - D + x chips.
    """
    domain_chips, domain = _chips_in(rows, graph.domain_of_node(rows.node))
    share = 1 / np.maximum(rows.size - 1, 1)
    parts = _near_parts(graph, rows, rows.chips * (domain_chips - 1) * share)
    for up in graph.up_of_node[RAIL:]:
        trunk = up[rows.node]
        group_chips, group = _chips_in(rows, trunk)
        _, both = np.unique(np.stack([group, domain]), axis=1, return_inverse=True)
        shared = np.bincount(both.ravel(), rows.chips)[both.ravel()]
        others = rows.size - group_chips - domain_chips + shared
        used = trunk >= 0
        sent = (rows.chips * others * share)[used]
        parts += [(rows.gang[used], trunk[used] + way, sent) for way in (0, 1)]
    return parts


def _chips_in(rows: _Rows, place: Ints) -> tuple[Floats, Ints]:
    """Return how many chips each row's gang has in the row's place, and a number for the two."""
    width = int(place.max(initial=0)) + 2
    _, pair = np.unique(rows.gang * width + place + 1, return_inverse=True)
    return np.bincount(pair, rows.chips)[pair].astype(np.float64), pair


def _near_parts(graph: TrunkGraph, rows: _Rows, near: Floats) -> list[Part]:
    """Return traffic that stays in a domain; without scale-up links, it goes up to the leaf."""
    domain = graph.up_of_node[SCALE_UP, rows.node]
    linked, port = domain >= 0, graph.up_of_node[RAIL, rows.node]
    return [
        (rows.gang[linked], domain[linked], near[linked]),
        *((rows.gang[~linked], port[~linked] + way, near[~linked]) for way in (0, 1)),
    ]


PATTERNS: dict[str, Callable[[TrunkGraph, _Rows], list[Part]]] = {
    "ring": _ring,
    "all_to_all": _all_to_all,
}
"""Patterns of traffic by name."""
