"""Collectives: start-up times, the protocol switch, and bytes over the slower level of links.

Groups are laid over the cluster at a *stride*: rank i of a group of n is chip ``i * stride``, so
``k`` of them (:func:`members_inside`) share each of ``D = n / k`` scale-up domains. Seconds are

    max(near, far) + start-up + min(scaleup_slope near, scaleup_step_s)
                              + min(nic_slope far, nic_step_s log2 D)

*near* and *far* are the bytes of the busiest chip over its links in the domain and over its own
network interface (rails: one a chip); both levels work at the same time, so the slower counts.
The start-up is ``scaleup_latency_s`` where ``k > 1`` plus ``nic_latency_s log2 D`` (32 bytes on 1,
2 and 4 nodes of H100: 16, 25 and 35 us). The last two terms are the protocol switch: a protocol
for small messages takes longer a byte, one for large messages longer to start, and the library
takes the faster (NCCL: LL or LL128, and Simple).

Bytes of a tensor of S bytes, in units of S:

==================  ==================================  =======================================
collective          near                                far
==================  ==================================  =======================================
gather, scatter     ring: (n - 1) / n                   ring: (n - 1) / (n k)
all-reduce          ring: 2 (n - 1) / n; in the switch  2 domains, tree: 1 / k; more, ring:
                    (k + 1) / k, up to 2 domains        2 (n - 1) / (n k)
mesh of links       1 / k over each of `mesh_peers`     (n - k) / (n k)
==================  ==================================  =======================================

Sources: ring volumes are those of Thakur, Rabenseifner and Gropp, "Optimization of collective
communication operations in MPICH" (2005). A switch that reduces (NVLink SHARP) takes each chip's
shard sums and gives back the whole: S out and S / k in, then S / k out and S in, (1 + 1 / k) S each
way; with it 5 to 8 H200 keep 304 to 311 GB/s a chip, while the ring's 365 GB/s would need 480
(stas00/ml-engineering). Between two nodes NCCL takes a tree (its maintainer in NVIDIA/nccl-tests
issue 196). In a full mesh shards are exchanged directly over the link that each pair has for
itself, and between domains hierarchically.

No time beats S over the nominal links where efficiencies are at most 1: a gather must bring
``(n - 1) / n`` S into each chip, and an all-reduce S; the latter is half of what a ring moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.network.corners import larger, smaller

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

    :func:`clustersim.network.constants.links_of_constants` makes them with the measured constants.

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
    scaleup_latency_s, nic_latency_s : array
        Start-up time of one collective inside a domain, and of one doubling across domains.
    reduce_cost : array
        Time of a byte that the switch reduces over that of a byte in a ring; infinite where it
        does not reduce.
    scaleup_slope, nic_slope : array
        Time of a byte of a small message over that of a large one, less 1.
    scaleup_step_s, nic_step_s : array
        Start-up time of the protocol for large messages more than of the one for small messages,
        inside a domain, and for one doubling across domains.
    corner : float
        How wide the corners are where the slower level or the protocol changes: 0 in the
        model, rounded in a fit (:func:`clustersim.network.corners.smaller`).
    """

    scaleup_Bps: Array
    nic_Bps: Array
    scaleup_size: Array
    mesh: NDArray[np.bool_]
    mesh_peers: Array
    scaleup_latency_s: Array | float = 0.0
    nic_latency_s: Array | float = 0.0
    reduce_cost: Array | float = np.inf
    scaleup_slope: Array | float = 0.0
    scaleup_step_s: Array | float = 0.0
    nic_slope: Array | float = 0.0
    nic_step_s: Array | float = 0.0
    corner: Array | float = 0.0


def members_inside(ranks: Array, stride: Array, links: Links) -> Array:
    """Ranks of a group at `stride` that share one scale-up domain (1 or more)."""
    return np.clip(np.floor(links.scaleup_size / stride), 1.0, ranks)


def _seconds(
    size_bytes: Array, near: Array, far: Array, inside: Array, domains: Array, links: Links
) -> Array:
    """Add the start-up times and the protocol switch to the slower level.

    `near` and `far` are what a rank sends within its domain and beyond, over `size_bytes`.
    """
    near_s = near * (size_bytes / links.scaleup_Bps)
    far_s = far * (size_bytes / links.nic_Bps)
    doublings = np.log2(domains)
    start = links.scaleup_latency_s * (inside > 1) + links.nic_latency_s * doublings
    corner = links.corner
    near_switch = smaller(links.scaleup_slope * near_s, links.scaleup_step_s, corner)
    far_switch = smaller(links.nic_slope * far_s, links.nic_step_s * doublings, corner)
    return larger(near_s, far_s, corner) + start + near_switch + far_switch


def _mesh_volume(inside: Array, links: Links) -> Array:
    """Bytes over the bandwidth of all links, of a gather of one byte among `inside` chips."""
    return np.maximum(inside - 1.0, links.mesh_peers) / inside


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
    domains = ranks / inside
    ring = (ranks - 1.0) / ranks
    near, far = ring, ring
    if np.any(links.mesh):
        near = np.where(links.mesh, _mesh_volume(inside, links), ring)
        far = np.where(links.mesh, (domains - 1.0) / domains, ring)
    near, far = near * (inside > 1), far * (domains > 1) / inside
    return _seconds(size_bytes, near, far, inside, domains, links)


def reduce_scatter_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Sum a tensor of `size_bytes` over `ranks`, a shard on each: an all-gather backwards."""
    return all_gather_seconds(size_bytes, ranks, stride, links)


def all_reduce_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Sum a tensor of `size_bytes` over `ranks`, whole on each; see :func:`all_gather_seconds`."""
    inside = members_inside(ranks, stride, links)
    domains = ranks / inside
    ring = 2.0 * (ranks - 1.0) / ranks
    many = domains > 2
    reduced = np.where(many, np.inf, links.reduce_cost) * (1.0 + 1.0 / inside)
    near, far = np.minimum(ring, reduced), np.where(many, ring, 1.0)
    if np.any(links.mesh):
        near = np.where(links.mesh, 2.0 * _mesh_volume(inside, links), near)
        far = np.where(links.mesh, 2.0 * (domains - 1.0) / domains, far)
    near, far = near * (inside > 1), far * (domains > 1) / inside
    return _seconds(size_bytes, near, far, inside, domains, links)


def all_to_all_seconds(size_bytes: Array, ranks: Array, stride: Array, links: Links) -> Array:
    """Exchange: every rank sends an equal part of its `size_bytes` to every rank."""
    inside = members_inside(ranks, stride, links)
    peers = np.where(links.mesh, np.maximum(inside - 1.0, links.mesh_peers), inside - 1.0)
    near = peers * (inside > 1) / ranks
    far = (ranks - inside) / ranks
    return _seconds(size_bytes, near, far, inside, ranks / inside, links)


def point_to_point_seconds(size_bytes: Array, stride: Array, links: Links) -> Array:
    """Send `size_bytes` to the chip `stride` away: one mesh link, the switch, or the network."""
    within = stride < links.scaleup_size
    inside_Bps = links.scaleup_Bps / np.where(links.mesh, links.mesh_peers, 1.0)
    wire = size_bytes / np.where(within, inside_Bps, links.nic_Bps)
    latency = np.where(within, links.scaleup_latency_s, links.nic_latency_s)
    slope = np.where(within, links.scaleup_slope, links.nic_slope)
    step = np.where(within, links.scaleup_step_s, links.nic_step_s)
    return wire + latency + smaller(slope * wire, step, links.corner)
