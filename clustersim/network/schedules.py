"""How an algorithm uses the two levels of a cluster: the scale-up domain and the network.

Every way of carrying out an operation over both levels is one entry of :data:`SCHEDULES`. It gives
the bytes that a chip sends within its domain and beyond it, and the steps on each level, from the
costs on one level (:mod:`clustersim.network.algorithms`). The time is the larger of two:

* the time of the fitted model (:func:`clustersim.network.collectives.transfer_seconds`) for these
  bytes, with the start-up times and the protocol switch that were measured;
* the time of NCCL's own tuning model: for the fastest protocol, a base latency, a latency for each
  step, and the bytes at the share of the bandwidth that the protocol reaches. The latencies and
  shares are published in NVIDIA/nccl, src/graph/tuning.cc (v2.28.7), and stored in
  ``data/steps.csv``: protocol LL reaches 0.5, LL128 0.92, and Simple all of the bandwidth.

The first describes the algorithms that libraries choose; the second makes a ring over hundreds of
nodes pay for its steps. The published latencies are those of InfiniBand. Other fabrics are slower
by the ratio of their latencies (:func:`clustersim.network.fabrics.step_factor`). The same latencies
are assumed for libraries other than NCCL.

=============  ====================================================================================
schedule       what happens
=============  ====================================================================================
ring           one ring through all chips, which enters and leaves every domain once for each chip
tree           a chain within each domain, and a double binary tree between the domains
hierarchical   reduce-scatter in the domain, the operation between domains on separate rails, and
               all-gather in the domain; an all-to-all first collects what goes to the same rail
in_switch      the switch of a domain sums (NVLink SHARP), and a double binary tree between domains
in_network     also the switches between domains sum (SHARP of InfiniBand)
direct         every pair of chips exchanges directly: over all links of a mesh at once, and over
               the port of each chip, once for each receiver, with chips of other domains
deepep         an all-to-all that sends a token once to each domain (DeepEP, arXiv 2412.19437)
=============  ====================================================================================
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.network.algorithms import ALGORITHMS, check_operation
from clustersim.network.collectives import Links, members_inside, mesh_volume, transfer_seconds

__all__ = ["SCHEDULES", "Group", "Schedule", "Use", "schedule_of", "scheduled_seconds"]

LL_SHARE, LL128_SHARE, SIMPLE_SHARE = 0.5, 0.92, 1.0
"""Shares of the bandwidth that NCCL's protocols reach."""


@dataclass(frozen=True, slots=True)
class Group:
    """Ranks of a collective on a cluster.

    Attributes
    ----------
    ranks, inside, domains : array
        Ranks of the group, ranks in one scale-up domain, and number of domains.
    copies : array
        Domains or ranks to which each token of an all-to-all goes.
    links : Links
    """

    ranks: Floats
    inside: Floats
    domains: Floats
    copies: Floats
    links: Links


@dataclass(frozen=True, slots=True)
class Use:
    """What a schedule asks of both levels.

    Attributes
    ----------
    near, far : array
        Bytes that a chip sends within its domain and beyond it, divided by the message.
    near_steps, far_steps : array
    """

    near: Floats
    far: Floats
    near_steps: Floats
    far_steps: Floats


@dataclass(frozen=True, slots=True)
class Schedule:
    """A way to carry out operations over both levels.

    Attributes
    ----------
    name : str
    uses : mapping of str to function
        For each operation, the :class:`Use` of a :class:`Group`.
    latencies : str
        The published latencies that apply: ``ring``, ``tree`` or ``in_switch``.
    exchange : str
        The exchange whose share of the network bandwidth applies to an all-to-all
        (:func:`clustersim.network.operations.links_of_operation`).
    sums_in_switch : bool
        Whether the switch of the domain must be able to sum.
    fabrics : tuple of str
        Fabrics between nodes with which it is possible; empty for all.
    """

    name: str
    uses: Mapping[str, Callable[[Group], Use]]
    latencies: str
    exchange: str = "all_to_all"
    sums_in_switch: bool = False
    fabrics: tuple[str, ...] = ()


def _cost(algorithm: str, operation: str, ranks: Floats) -> tuple[Floats, Floats]:
    """Return the steps and the volume of an algorithm among `ranks`."""
    cost = ALGORITHMS[algorithm].costs[operation]
    return cost.steps(ranks), cost.volume(ranks)


def _one_link(group: Group, volume: Floats, operation: str) -> Floats:
    """Return the volume in units of all links of a chip, for an algorithm that uses one of them."""
    cost = group.links.mesh_reduce_cost if operation == "all_reduce" else 1.0
    return np.where(group.links.mesh, cost * volume * group.links.mesh_peers, volume)


def _ring(operation: str) -> Callable[[Group], Use]:
    def use(group: Group) -> Use:
        steps, volume = _cost("ring", operation, group.ranks)
        crossings, _ = _cost("ring", operation, group.domains)
        near = _one_link(group, volume, operation)
        return Use(near, volume / group.inside, steps - crossings, crossings)

    return use


def _tree(operation: str) -> Callable[[Group], Use]:
    def use(group: Group) -> Use:
        steps, volume = _cost("ring", operation, group.inside)
        crossings, between = _cost("double_binary_tree", operation, group.domains)
        near = np.maximum(volume, _cost("ring", operation, group.ranks)[1])
        return Use(_one_link(group, near, operation), between / group.inside, steps, crossings)

    return use


def _hierarchical(operation: str) -> Callable[[Group], Use]:
    def use(group: Group) -> Use:
        crossings, between = _cost("ring", operation, group.domains)
        steps, _ = _cost("ring", operation, group.inside)
        near = _switched_or_direct(group, operation)
        return Use(near, between / group.inside, steps, crossings)

    return use


def _switched_or_direct(group: Group, operation: str) -> Floats:
    """Return the bytes of exchanging shards in a domain, over all links of a mesh."""
    times = 2.0 if operation == "all_reduce" else 1.0
    ring = times * _cost("ring", "all_gather", group.inside)[1]
    cost = group.links.mesh_reduce_cost if operation == "all_reduce" else 1.0
    return np.where(group.links.mesh, times * cost * mesh_volume(group.inside, group.links), ring)


def _in_switch(between: str) -> Callable[[Group], Use]:
    def use(group: Group) -> Use:
        near = _cost("in_switch", "all_reduce", group.inside)[1] * group.links.reduce_cost
        crossings, far = _cost(between, "all_reduce", group.domains)
        # The published latency of NVLink SHARP is that of the whole all-reduce.
        return Use(near, far / group.inside, np.ones_like(near), crossings)

    return use


def _direct(operation: str) -> Callable[[Group], Use]:
    """Every chip sends its shard, or parts to be summed, to each other chip itself.

    What goes to other domains passes the port of the chip once for each receiver there, in rounds
    of pairs, as in an all-to-all.
    """
    times = 2.0 if operation == "all_reduce" else 1.0

    def use(group: Group) -> Use:
        steps, _ = _cost("direct", operation, group.inside)
        pairs = _pairwise(group)
        cost = group.links.mesh_reduce_cost if operation == "all_reduce" else 1.0
        near = times * np.where(group.links.mesh, cost * pairs.near, pairs.near)
        return Use(near, times * pairs.far, steps, times * pairs.far_steps)

    return use


def _pairwise(group: Group) -> Use:
    """All-to-all in rounds of pairs: one round for every other rank (Thakur et al. 2005)."""
    links = group.links
    peers = np.where(links.mesh, np.maximum(group.inside - 1.0, links.mesh_peers), group.inside - 1)
    near = peers / group.ranks
    far = (group.ranks - group.inside) / group.ranks
    return Use(near, far, group.inside - 1.0, group.ranks - group.inside)


def _by_rail(group: Group) -> Use:
    """All-to-all within the domain first, so that a chip sends to its own rail only."""
    far = _cost("pairwise", "all_to_all", group.domains)[1]
    near = _switched_or_direct(group, "all_to_all")
    return Use(near, far, group.inside - 1.0, group.domains - 1.0)


def _once_per_domain(group: Group) -> Use:
    """Send a token once to each domain that needs it, where it is copied.

    The message counts all copies. :func:`clustersim.network.collectives.token_exchange`
    derives the expected numbers.
    """
    domains, copies = group.domains, group.copies
    far = (domains - 1.0) * (1.0 - (1.0 - 1.0 / domains) ** copies) / copies
    near = _switched_or_direct(group, "all_to_all")
    return Use(near, far, np.ones_like(domains), np.ones_like(domains))


_SUMS = ("all_reduce", "reduce_scatter", "all_gather")

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        schedule.name: schedule
        for schedule in (
            Schedule("ring", {name: _ring(name) for name in (*_SUMS, "broadcast")}, "ring"),
            Schedule("tree", {name: _tree(name) for name in ("all_reduce", "broadcast")}, "tree"),
            Schedule(
                "hierarchical",
                {**{name: _hierarchical(name) for name in _SUMS}, "all_to_all": _by_rail},
                "ring",
            ),
            Schedule(
                "in_switch",
                {"all_reduce": _in_switch("double_binary_tree")},
                "in_switch",
                sums_in_switch=True,
            ),
            Schedule(
                "in_network",
                {"all_reduce": _in_switch("aggregation_tree")},
                "in_switch",
                sums_in_switch=True,
                fabrics=("infiniband",),
            ),
            Schedule(
                "direct",
                {**{name: _direct(name) for name in _SUMS}, "all_to_all": _pairwise},
                "ring",
            ),
            Schedule("deepep", {"all_to_all": _once_per_domain}, "ring", "token_exchange"),
        )
    }
)
"""Schedules by name."""


def schedule_of(name: str, operation: str) -> Schedule:
    """Return a schedule that has the operation.

    Raises
    ------
    InputError
        If there is no such operation or schedule, or the schedule does not have the operation.

    Examples
    --------
    >>> schedule_of("deepep", "all_to_all").exchange
    'token_exchange'
    """
    check_operation(operation)
    able = [each.name for each in SCHEDULES.values() if operation in each.uses]
    if name not in SCHEDULES:
        raise InputError("algorithm", unknown_name("algorithm", name, able))
    if name not in able:
        raise InputError("algorithm", f"{name} has no {operation}; allowed: {', '.join(able)}")
    return SCHEDULES[name]


def scheduled_seconds(
    schedule: Schedule,
    operation: str,
    size_bytes: Floats,
    ranks: Floats,
    links: Links,
    *,
    copies: Floats | float = 1.0,
    step_factor: float = 1.0,
) -> Floats:
    """Return the time of an operation carried out by a schedule.

    Parameters
    ----------
    schedule : Schedule
    operation : str
    size_bytes : array
        As for :data:`clustersim.network.algorithms.OPERATIONS`.
    ranks : array
        Size of the group, which fills its scale-up domains.
    links : Links
    copies : array
        Ranks to which each token of an all-to-all goes; only for ``deepep``.
    step_factor : float
        Latency of a step on the network relative to InfiniBand.

    Returns
    -------
    array
        Seconds; 0 for one rank, and infinite if the switch of the domain does not sum.

    Examples
    --------
    On a mesh of 8 chips, a ring uses one of 7 links:

    >>> number = np.float64
    >>> mesh = Links(number(196e9), number(25e9), number(8), np.bool_(True), number(7))
    >>> for name in ("ring", "direct"):
    ...     schedule = schedule_of(name, "all_gather")
    ...     seconds = scheduled_seconds(schedule, "all_gather", number(1e9), number(8), mesh)
    ...     print(round(1e3 * float(seconds), 1))
    31.3
    4.5
    """
    one = np.ones_like(ranks)
    inside = members_inside(ranks, one, links)
    group = Group(ranks, inside, ranks / inside, copies * one, links)
    use = schedule.uses[operation](group)
    near = np.where(inside > 1, use.near, 0.0)
    far = np.where(group.domains > 1, use.far, 0.0)
    fitted = transfer_seconds(size_bytes, near, far, inside, group.domains, links)
    wire = np.maximum(near * size_bytes / links.scaleup_Bps, far * size_bytes / links.nic_Bps)
    tuned = np.full_like(wire, np.inf)
    for protocol, share in _PROTOCOLS.items():
        base, step, hop = _latencies()[schedule.latencies, protocol]
        if np.isfinite(base):
            start = base + use.near_steps * step + use.far_steps * (step_factor * hop)
            tuned = np.minimum(tuned, start + wire / share)
    return np.where(ranks > 1, np.maximum(fitted, tuned), 0.0)


_PROTOCOLS = {
    "low_latency": LL_SHARE,
    "low_latency_128": LL128_SHARE,
    "simple": SIMPLE_SHARE,
}


@functools.cache
def _latencies() -> Mapping[tuple[str, str], tuple[float, float, float]]:
    """Return the published latencies (base, scale-up step, network step) of a protocol in seconds.

    They are infinite if the algorithm lacks the protocol.
    """
    text = resources.files("clustersim.network").joinpath("data", "steps.csv").read_text("utf-8")
    rows = {(row["algorithm"], row["level"]): row for row in csv.DictReader(text.splitlines())}

    def seconds(algorithm: str, level: str, protocol: str) -> float:
        printed = rows[algorithm, level][f"{protocol}_us"]
        return 1e-6 * float(printed) if printed else np.inf

    return MappingProxyType(
        {
            (algorithm, protocol): (
                seconds(algorithm, "base", protocol),
                seconds(algorithm, "scaleup", protocol),
                seconds(algorithm, "network", protocol),
            )
            for algorithm, _ in rows
            for protocol in _PROTOCOLS
        }
    )
