"""Traffic of a job on the nodes of a cluster: bytes by level of trunks, and rail alignment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.network import LEVELS, TrunkGraph
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import rates_of
from clustersim.performance.shard import shard_of
from clustersim.performance.step_time import with_expert_tp, with_path_latency
from clustersim.performance.traffic.rank_groups import (
    LevelBytes,
    Ranks,
    groups_of_ranks,
    pairs_of_stages,
)
from clustersim.performance.traffic.streams import KINDS, Stream, streams_of

__all__ = ["PlacedTraffic", "chips_inside", "path_latency", "placed_traffic"]

LEAF = LEVELS.index("leaf")


@dataclass(frozen=True, slots=True, eq=False)
class PlacedTraffic:
    """Bytes that all chips of a job send in one optimizer step.

    Attributes
    ----------
    level_bytes : dict of str to array of float, shape (n_levels,)
        Bytes by kind (:data:`clustersim.performance.traffic.KINDS`) on the trunks of each level of
        :data:`clustersim.network.LEVELS`, upward. What crosses a leaf's uplinks has also left a
        node.
    rail_aligned : float
        Share of the bytes between scale-up domains whose sender and receiver have the same position
        in their nodes; nan if there are none.
    inside : int
        Chips of the job that share a scale-up domain (:func:`chips_inside`).

    Examples
    --------
    >>> import numpy as np
    >>> PlacedTraffic({"data": np.array([7e9, 1e9, 0.0, 0.0, 0.0])}, 1.0, 8).total.tolist()
    [7000000000.0, 1000000000.0, 0.0, 0.0, 0.0]
    """

    level_bytes: dict[str, Floats]
    rail_aligned: float
    inside: int

    @property
    def total(self) -> Floats:
        """Bytes of all kinds by level."""
        total: Floats = np.stack(list(self.level_bytes.values())).sum(axis=0)
        return total


def chips_inside(graph: TrunkGraph, nodes: ArrayLike, chips: ArrayLike, scaleup_size: int) -> int:
    """Return how many chips of a job share a scale-up domain.

    This is the smallest number that it has in one of its domains. A job on as few domains as
    possible is on whole domains, even if one of them is not full.

    Parameters
    ----------
    graph : TrunkGraph
    nodes, chips : array_like of int, shape (n_rows,)
        Nodes of the job, and its chips on each of them.
    scaleup_size : int
        Chips of a whole domain.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.network import trunk_graph
    >>> from clustersim.performance.traffic import chips_inside
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> graph = trunk_graph(cluster)
    >>> chips_inside(graph, [0, 1], [8, 4], 8), chips_inside(graph, [0, 1, 2], [4, 4, 4], 8)
    (8, 4)
    """
    domain = graph.domain_of_node(np.asarray(nodes, dtype=np.int64))
    _, place = np.unique(domain, return_inverse=True)
    held = np.bincount(place, np.asarray(chips, dtype=np.float64))
    fewest = np.ceil(held.sum() / scaleup_size)
    return int(scaleup_size if held.size <= fewest else min(held.min(), scaleup_size))


def path_latency(graph: TrunkGraph, nodes: ArrayLike) -> float:
    """Return what paths between nodes add to the latency of two nodes on one leaf, in seconds.

    It is the mean over each node and the next one of the job, as in a ring.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.network import trunk_graph
    >>> from clustersim.performance.traffic import path_latency
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> graph = trunk_graph(cluster)
    >>> path_latency(graph, [0, 1]), round(1e6 * path_latency(graph, [0, 255]), 2)
    (0.0, 2.0)
    """
    node = np.asarray(nodes, dtype=np.int64)
    following = np.roll(node, -1)
    far = graph.domain_of_node(node) != graph.domain_of_node(following)
    if not np.any(far):
        return 0.0
    seconds = np.zeros(np.count_nonzero(far))
    for up in graph.up_of_node[LEAF:]:
        leaving, entering = up[node[far]], up[following[far]]
        for trunk in (leaving, entering):
            crossed = (leaving != entering) & (trunk >= 0)
            seconds += np.where(crossed, graph.latency_s[trunk], 0.0)
    return float(seconds.mean())


def placed_traffic(
    graph: TrunkGraph,
    nodes: ArrayLike,
    chips_on_node: ArrayLike,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    *,
    global_batch: float,
    coefficients: Coefficients,
) -> PlacedTraffic:
    """Return the bytes of a job by level of the trunks of a cluster.

    Ranks fill the nodes in the order in which these are given: tensor-parallel ranks are
    neighbours, then context-parallel and data-parallel ranks, then pipeline stages; experts are
    spread over the neighbouring chips of a stage. To reorder the ranks, reorder the nodes. Every
    stage is taken to send as much as the fullest one.

    Parameters
    ----------
    graph : TrunkGraph
    nodes, chips_on_node : array_like of int, shape (n_nodes,)
        Nodes of the job, each once, and its chips on each of them.
    models, chips, plans, coefficients
        As for :func:`clustersim.performance.evaluate`, with one element. ``chips.scaleup_size`` is
        that of a whole domain.
    global_batch : float
        Sequences per step.

    Raises
    ------
    InputError
        If nodes do not exist or are given twice, if the chips are not those of the plan, or if
        groups of ranks do not divide the chips.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.network import LEVELS, trunk_graph
    >>> from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, default_draw
    >>> from clustersim.performance.traffic import placed_traffic
    >>> catalogue = cs.load_catalogue()
    >>> h20 = catalogue.accelerator("H20")
    >>> job = (
    ...     ModelArrays.of([catalogue.model("llama3-8b")]),
    ...     AcceleratorArrays.of([h20]),
    ...     Plans.of(tp=[2.0], dp=8, zero=1),
    ... )
    >>> graph = trunk_graph(cs.compile_cluster(cs.load_cluster("h20-pod", catalogue)))
    >>> coefficients = default_draw().for_chips([h20])
    >>> for nodes in ([0, 1], [0, 255]):
    ...     sent = placed_traffic(
    ...         graph, nodes, [8, 8], *job, global_batch=128, coefficients=coefficients
    ...     )
    ...     print([level for level, of in zip(LEVELS, sent.total) if of], sent.rail_aligned)
    ['scale-up', 'rail'] 1.0
    ['scale-up', 'rail', 'leaf'] 1.0
    """
    node, held = _checked(graph, nodes, chips_on_node, plans)
    inside = chips_inside(graph, node, held, int(chips.scaleup_size[0]))
    plans = with_expert_tp(models, plans)
    shard = shard_of(models, plans, np.asarray(global_batch, dtype=np.float64))
    placed = replace(chips, scaleup_size=np.array([float(inside)]))
    links = rates_of(placed, coefficients).links
    ranks = Ranks.of(graph, node, held)
    extended = with_path_latency(placed, coefficients)
    by_kind = {kind: LevelBytes(np.zeros(len(LEVELS)), 0.0, 0.0) for kind in KINDS}
    for stream in streams_of(shard, models, plans, links, extended):
        if np.max(stream.ranks) > 1 and np.max(stream.times) > 0:
            more = _level_bytes(ranks, stream, float(plans.vpp[0]))
            by_kind[stream.kind] = by_kind[stream.kind] + more
    far = sum(sent.far for sent in by_kind.values())
    aligned = sum(sent.aligned for sent in by_kind.values())
    return PlacedTraffic(
        {kind: sent.by_level for kind, sent in by_kind.items()},
        aligned / far if far > 0 else float("nan"),
        inside,
    )


def _checked(
    graph: TrunkGraph, nodes: ArrayLike, chips_on_node: ArrayLike, plans: Plans
) -> tuple[Ints, Ints]:
    """Return nodes and chips as arrays."""
    node, held = np.asarray(nodes), np.asarray(chips_on_node)
    problems = []
    if node.ndim != 1 or not node.size or node.dtype.kind not in "iu":
        problems.append("nodes: must be a list of whole numbers")
    elif np.unique(node).size < node.size:
        problems.append("nodes: must not contain a node twice")
    if held.shape != node.shape or held.dtype.kind not in "iu" or np.any(held < 1):
        problems.append("chips_on_node: must have a whole number of at least 1 for each node")
    elif held.sum() != plans.chips[0]:
        problems.append(
            f"chips_on_node: must add up to the {plans.chips[0]:,.0f} chips of the plan, found "
            f"{held.sum():,}"
        )
    if problems:
        raise InputError("traffic", problems)
    graph.check_nodes("traffic", node.astype(np.int64))
    return node.astype(np.int64), held.astype(np.int64)


def _level_bytes(ranks: Ranks, stream: Stream, vpp: float) -> LevelBytes:
    """Return the bytes of a stream by level."""
    count = ranks.node.size
    near, far = (float(np.max(sent)) for sent in (stream.scaleup_bytes, stream.nic_bytes))
    size, stride = float(np.max(stream.ranks)), float(np.max(stream.stride))
    if stream.pattern == "neighbours":
        # Every chunk but the last is followed by another: in the next stage, or in the first one.
        passes = 2.0 * vpp if size > 2 else 2.0 * vpp - 1.0
        chunk = (near + far) / passes
        sent = ranks.ring(pairs_of_stages(count, size, wrap=False), chunk * vpp)
        if vpp > 1:
            sent = sent + ranks.ring(pairs_of_stages(count, size, wrap=True), chunk * (vpp - 1))
        return sent
    groups = groups_of_ranks(count, size, stride)
    if stream.pattern == "ring":
        return ranks.ring(groups, near + far)
    inside = float(np.max(stream.transfer.inside))
    others = (inside - 1.0, size - inside)
    each = [
        sent * (size - 1.0) / reached if reached > 0 else near + far
        for sent, reached in zip((near, far), others, strict=True)
    ]
    return ranks.all_to_all(groups, *each)
