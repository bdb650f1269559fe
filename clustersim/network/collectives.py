"""Collectives by the alpha-beta model: a start-up time and bytes over bandwidth.

Groups are laid over the cluster at a *stride*: rank i of a group of n is chip ``i * stride``, so
``members_inside`` of them share one scale-up domain. What crosses domains leaves by each chip's own
network interface; both levels work at the same time, so the slower one counts (hierarchical
collectives as NCCL pipelines them).

Sources: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
MPICH" (2005), for ring volumes ``(n - 1) / n``; in a full mesh every peer has its own link of
``1 / (k - 1)`` of the chip's bandwidth, and shards are exchanged directly. On eight 910B chips the
mesh form with an efficiency of 0.63 gives 18, 35 and 71 GB/s of all-reduce on 2, 4 and 8 chips;
measured are 18, 30 and 72 (gameofdimension/limulidae).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Links",
    "all_gather_seconds",
    "all_reduce_seconds",
    "all_to_all_seconds",
    "members_inside",
    "point_to_point_seconds",
    "reduce_scatter_seconds",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Links:
    """What a chip's links reach in practice; all arrays broadcast with the sizes.

    Attributes
    ----------
    scaleup_Bps, nic_Bps : array
        One chip, one direction, after efficiency (bytes/s).
    scaleup_size : array
        Chips of one scale-up domain.
    mesh : array of bool
        True where the domain is a full mesh of links, False behind a switch.
    mesh_peers : array
        Links among which a mesh chip divides its bandwidth.
    scaleup_latency_s, nic_latency_s : float
        Start-up time of one collective inside a domain, and of one doubling across domains.
    """

    scaleup_Bps: Array
    nic_Bps: Array
    scaleup_size: Array
    mesh: NDArray[np.bool_]
    mesh_peers: Array
    scaleup_latency_s: float = 0.0
    nic_latency_s: float = 0.0


def members_inside(ranks: Array, stride: Array, links: Links) -> Array:
    """Ranks of a group at `stride` that share one scale-up domain (1 or more)."""
    return np.clip(np.floor(links.scaleup_size / stride), 1.0, ranks)


def _latency(ranks: Array, inside: Array, links: Links) -> Array:
    domains = np.ceil(ranks / inside)
    return links.scaleup_latency_s * (inside > 1) + links.nic_latency_s * np.ceil(np.log2(domains))


def _inside_Bps(inside: Array, links: Links) -> Array:
    """Bandwidth that `inside` members get out of one chip's links."""
    share = np.where(links.mesh, np.minimum((inside - 1.0) / links.mesh_peers, 1.0), 1.0)
    return links.scaleup_Bps * np.maximum(share, 1e-9)


def all_gather_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Gather a tensor of `size_bytes` from equal shards of all `ranks` on every rank.

    Parameters
    ----------
    size_bytes : array
        Bytes of the whole tensor.
    ranks, stride : array
        Size of the group, and the distance of its ranks in chips.
    links : Links

    Returns
    -------
    array
        Seconds; 0 for one rank.
    """
    inside = members_inside(ranks, stride, links)
    domains = np.ceil(ranks / inside)
    local = (inside - 1.0) / inside * size_bytes / _inside_Bps(inside, links)
    remote = (domains - 1.0) / domains * size_bytes / inside / links.nic_Bps
    return np.where(
        ranks > 1, np.maximum(local, remote) + _latency(ranks, inside, links), np.zeros(())
    )


def reduce_scatter_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Sum a tensor of `size_bytes` over `ranks`, a shard on each: an all-gather backwards."""
    return all_gather_seconds(size_bytes, ranks, stride, links)


def all_reduce_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Sum a tensor of `size_bytes` over `ranks`, whole on each: reduce-scatter and all-gather."""
    return 2.0 * all_gather_seconds(size_bytes, ranks, stride, links)


def all_to_all_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Exchange: every rank sends an equal part of its `size_bytes` to every rank."""
    inside = members_inside(ranks, stride, links)
    local = (inside - 1.0) / ranks * size_bytes / _inside_Bps(inside, links)
    remote = (ranks - inside) / ranks * size_bytes / links.nic_Bps
    return np.where(
        ranks > 1, np.maximum(local, remote) + _latency(ranks, inside, links), np.zeros(())
    )


def point_to_point_seconds(size_bytes: Array, stride: Array, links: Links) -> Array:
    """Send `size_bytes` to the chip `stride` away: one mesh link, the switch, or the network."""
    within = stride < links.scaleup_size
    two = np.full(np.shape(stride), 2.0)
    inside_Bps = _inside_Bps(two, links)
    latency = np.where(within, links.scaleup_latency_s, links.nic_latency_s)
    return size_bytes / np.where(within, inside_Bps, links.nic_Bps) + latency
