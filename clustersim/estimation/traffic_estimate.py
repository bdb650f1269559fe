"""Traffic of one training job, with the bytes by level of links if its nodes are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Catalogue, Model, load_catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.estimation.arguments import check_arguments
from clustersim.estimation.assumptions import name_notes
from clustersim.estimation.estimate import TOKENS_PER_PARAMETER
from clustersim.estimation.job import Job, job_of, model_and_chip
from clustersim.estimation.plan_choice import back_end_of_plan, chosen_plans, plan_of_job
from clustersim.network import TrunkGraph, trunk_graph
from clustersim.performance import Calibration, default_calibration
from clustersim.performance.traffic import (
    PlacedTraffic,
    Traffic,
    chips_inside,
    path_latency,
    placed_traffic,
    traffic_of,
)
from clustersim.topology import Cluster, Pool

__all__ = ["PLACEMENTS", "TrafficEstimate", "estimate_traffic"]

PLACEMENTS = ("packed", "spread")
"""``packed`` fills the first nodes of the pool, ``spread`` uses as many nodes as there are chips,
at even distances."""


@dataclass(frozen=True, slots=True, eq=False)
class TrafficEstimate:
    """What the chips of a job send in one optimizer step.

    Attributes
    ----------
    model, accelerator : Model and Accelerator
    count, global_batch : int
    nic_Bps : float
        Network bandwidth per chip in bytes/s, before oversubscription.
    plan : mapping of str to int
    traffic : Traffic
        Of a chip, at the ideal placement: one element.
    placed : Traffic or None
        Of a chip on the given nodes; None without nodes.
    levels : PlacedTraffic or None
        Of all chips on the given nodes, by level.
    nodes, chips_on_node : tuple of int
        Nodes over all pools of the topology; empty without nodes.
    path_latency_s : float
        What paths between the nodes add to the latency of nodes on one leaf.
    notes : tuple of str

    Examples
    --------
    >>> from clustersim.estimation.traffic_estimate import estimate_traffic
    >>> found = estimate_traffic("llama3-8b", "H200", 64)
    >>> found.plan["dp"], found.levels is None
    (64, True)
    """

    model: Model
    accelerator: Accelerator
    count: int
    global_batch: int
    nic_Bps: float
    plan: Mapping[str, int]
    traffic: Traffic
    placed: Traffic | None
    levels: PlacedTraffic | None
    nodes: tuple[int, ...]
    chips_on_node: tuple[int, ...]
    path_latency_s: float
    notes: tuple[str, ...]

    @property
    def slowdown(self) -> float:
        """Step time on the given nodes divided by that at the ideal placement, at least 1."""
        if self.placed is None:
            return 1.0
        return max(1.0, float(self.placed.step_time_s[0] / self.traffic.step_time_s[0]))


def estimate_traffic(
    model: str | Model,
    accelerator: str | Accelerator,
    count: int,
    *,
    plan: str | Mapping[str, object] | None = None,
    global_batch: int | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    cluster: Cluster | None = None,
    nodes: Sequence[int] | None = None,
    placement: str = "packed",
    calibration: Calibration | None = None,
    catalogue: Catalogue | None = None,
) -> TrafficEstimate:
    """Return the bytes that the chips of a job send in one step, by kind and level of links.

    Parameters
    ----------
    model, accelerator, count, plan, global_batch, precision, stack, calibration, catalogue
        As for :func:`clustersim.estimate`.
    cluster : Cluster, optional
        A compiled topology with a pool of the accelerator. Its links replace those of the chip, and
        the bytes are also returned by level of its trunks.
    nodes : sequence of int, optional
        Nodes of the job, numbered over all pools, in the order of the ranks. The chips are divided
        among them as evenly as possible. By default, `placement` chooses the nodes.
    placement : {"packed", "spread"}
        How nodes are chosen (:data:`PLACEMENTS`).

    Returns
    -------
    TrafficEstimate

    Raises
    ------
    InputError
        If a name is unknown, a value is out of range, a rule refuses the plan, no plan fits, or the
        job does not fit on the nodes.

    Examples
    --------
    A job of 64 chips on 8 nodes of one unit sends nothing over the uplinks of the unit:

    >>> import clustersim as cs
    >>> from clustersim.estimation.traffic_estimate import estimate_traffic
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> found = estimate_traffic("llama3-8b", "H200", 64, cluster=cluster)
    >>> found.nodes, found.levels.total[2:].tolist()
    ((0, 1, 2, 3, 4, 5, 6, 7), [0.0, 0.0, 0.0])
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    calibration = default_calibration() if calibration is None else calibration
    shape, chip = model_and_chip(model, accelerator, catalogue)
    notes = name_notes(accelerator, catalogue) if isinstance(accelerator, str) else []
    batch = shape.global_batch if global_batch is None else global_batch
    if cluster is None and nodes is not None:
        raise InputError("traffic", "nodes: need a topology")
    site = None if cluster is None else _site(cluster, chip, catalogue, nodes)
    chip = chip if site is None else _chip_in(site.pool, chip)
    tokens = TOKENS_PER_PARAMETER * shape.params
    check_arguments(count, batch, shape.seq_len, 0, 0, precision, chip.nic_Bps, tokens)
    used = None if stack is None else back_end_of_plan(stack, plan, notes)
    job = job_of(
        *(shape, chip, count, batch, chip.nic_Bps, calibration, notes),
        precision=precision,
        stack=used,
    )
    choice = chosen_plans(job, plan_of_job(job, plan, notes))
    if not choice.plans:
        raise InputError("traffic", f"no plan fits: {choice.reason}")
    chosen = choice.plans[0]
    notes += choice.notes[0]
    if not job.step(chosen).fits[0]:
        notes.append("The plan does not fit in the memory of the chips.")
    traffic = _traffic(job, chosen, None, 0.0)
    found = TrafficEstimate(
        *(shape, chip, count, batch, chip.nic_Bps, chosen, traffic, None, None, (), (), 0.0),
        notes=tuple(notes),
    )
    return found if site is None else _on_nodes(found, job, site, nodes, placement)


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """A pool with the trunks of its cluster, and the number of its first node."""

    pool: Pool
    graph: TrunkGraph
    first: int


def _site(
    cluster: Cluster, chip: Accelerator, catalogue: Catalogue, nodes: Sequence[int] | None
) -> _Site:
    """Return the pool of the nodes, or the first one with the chip."""
    graph = trunk_graph(cluster)
    alike = [
        index
        for index, pool in enumerate(cluster.pools)
        if pool.accelerator and catalogue.accelerator(pool.accelerator).name == chip.name
    ]
    if not alike:
        names = list(dict.fromkeys(pool.accelerator for pool in cluster.pools))
        raise InputError("traffic", unknown_name("accelerator in the topology", chip.name, names))
    if nodes is None:
        return _Site(cluster.pools[alike[0]], graph, int(graph.first_node[alike[0]]))
    numbers = np.asarray(nodes, dtype=np.int64)
    graph.check_nodes("traffic", numbers)
    pools = np.unique(graph.pool_of_node(numbers)).tolist()
    if len(pools) != 1 or pools[0] not in alike:
        ranges = ", ".join(
            f"{graph.first_node[index]} to {graph.first_node[index + 1] - 1}" for index in alike
        )
        raise InputError("traffic", f"nodes: must be in one pool with {chip.name} (nodes {ranges})")
    return _Site(cluster.pools[pools[0]], graph, int(graph.first_node[pools[0]]))


def _chip_in(pool: Pool, chip: Accelerator) -> Accelerator:
    """Return the chip with the links that the topology defines for it."""
    return replace(
        chip,
        nic_Bps=pool.port_Bps,
        scaleup_Bps=chip.scaleup_Bps if pool.scaleup_Bps is None else pool.scaleup_Bps,
        scaleup_shape=pool.scaleup_shape or chip.scaleup_shape,
        scaleup_size=pool.scaleup_size,
    )


def _traffic(job: Job, plan: Mapping[str, int], inside: int | None, latency_s: float) -> Traffic:
    """Evaluate the traffic of a plan, with whole domains or a number of chips in each."""
    rows = job.rows([dict(plan)])
    size: Floats = rows.chips.scaleup_size if inside is None else np.array([float(inside)])
    chips = replace(rows.chips, scaleup_size=size, path_latency_s=np.array([latency_s]))
    coefficients = job.calibration.mean_draw().coefficients(rows.labels)
    return traffic_of(
        *(rows.models, chips, rows.plans),
        global_batch=rows.global_batch,
        coefficients=coefficients,
    )


def _on_nodes(
    found: TrafficEstimate,
    job: Job,
    site: _Site,
    nodes: Sequence[int] | None,
    placement: str,
) -> TrafficEstimate:
    """Add what depends on the nodes."""
    chosen = _chosen_nodes(site, job.count, placement) if nodes is None else list(nodes)
    chips = _divided(job.count, len(chosen), site.pool)
    rows = job.rows([dict(found.plan)])
    whole = int(rows.chips.scaleup_size[0])
    inside = chips_inside(site.graph, chosen, chips, whole)
    latency_s = path_latency(site.graph, chosen)
    levels = placed_traffic(
        *(site.graph, chosen, chips, rows.models, rows.chips, rows.plans),
        global_batch=float(job.batch),
        coefficients=job.calibration.mean_draw().coefficients(rows.labels),
    )
    return replace(
        found,
        placed=_traffic(job, found.plan, inside, latency_s),
        levels=levels,
        nodes=tuple(chosen),
        chips_on_node=tuple(chips),
        path_latency_s=latency_s,
    )


def _chosen_nodes(site: _Site, count: int, placement: str) -> list[int]:
    pool = site.pool
    if placement not in PLACEMENTS:
        raise InputError("traffic", unknown_name("placement", placement, PLACEMENTS))
    if count > pool.n_chips:
        raise InputError(
            "traffic",
            f"count: must be at most {pool.n_chips:,}, the chips of pool {pool.name}; found "
            f"{count:,}",
        )
    if placement == "packed":
        n = -(-count // pool.chips_per_node)
        return list(range(site.first, site.first + n))
    n = min(count, pool.n_nodes)
    return [site.first + place * pool.n_nodes // n for place in range(n)]


def _divided(count: int, n_nodes: int, pool: Pool) -> list[int]:
    """Return the chips on each node: whole nodes and a rest, or as even as possible.

    A job that needs all of its nodes fills them one after the other.
    """
    size = pool.chips_per_node
    if not n_nodes <= count <= n_nodes * size:
        raise InputError(
            "traffic",
            f"nodes: {n_nodes:,} nodes of {size} chips hold a job of {n_nodes:,} to "
            f"{n_nodes * size:,} chips, found {count:,}",
        )
    if -(-count // size) == n_nodes:
        return [size] * (n_nodes - 1) + [count - size * (n_nodes - 1)]
    each, more = divmod(count, n_nodes)
    return [each + 1] * more + [each] * (n_nodes - more)
