"""Time of collectives: start-up, protocol switch, and transfer over the slower level of links.

Groups are placed on the cluster at a *stride*: rank i of a group of n is chip ``i * stride``.
``k`` of these chips (:func:`members_inside`) share each of ``D = n / k`` scale-up domains. The time
in seconds is

    max(near, far) + start-up + min(scaleup_slope near, scaleup_step_s)
                              + min(nic_slope far, nic_step_s log2 D)

*near* and *far* are the transfer times of the busiest chip over its links within the domain and
over its network interface (one per chip, on separate rails). Both levels work at the same time, so
the slower one determines the time. The start-up time is ``scaleup_latency_s`` if ``k > 1``, plus
``nic_latency_s log2 D`` (measured for 32 bytes on 1, 2 and 4 nodes of H100: 16, 25 and 35 us). The
last two terms model the protocol switch. A protocol for small messages takes longer per byte, a
protocol for large messages takes longer to start, and the library chooses the faster (NCCL: LL or
LL128, and Simple).

Bytes transferred for a tensor of S bytes, in units of S:

==================  ==================================  =======================================
collective          near                                far
==================  ==================================  =======================================
gather, scatter     ring: (n - 1) / n                   ring: (n - 1) / (n k)
all-reduce          ring: 2 (n - 1) / n; in the switch  2 domains, tree: 1 / k; more, ring:
                    (k + 1) / k, up to 2 domains        2 (n - 1) / (n k)
mesh of links       1 / k over each of `mesh_peers`     (n - k) / (n k)
==================  ==================================  =======================================

Sources: the ring volumes follow Thakur, Rabenseifner and Gropp, "Optimization of collective
communication operations in MPICH" (2005). With reduction in the switch (NVLink SHARP), the switch
sums the shard of each chip and returns the whole tensor: a chip sends S and receives S / k, then
sends S / k and receives S, which is (1 + 1 / k) S in each direction. With this reduction, 5 to 8
H200 transfer 304 to 311 GB/s per chip. A ring, which reaches 365 GB/s, would need 480 GB/s for the
same time (stas00/ml-engineering). Between two nodes, NCCL uses a tree (according to its maintainer
in NVIDIA/nccl-tests, issue 196). In a full mesh, shards are exchanged directly over the dedicated
link of each pair, and hierarchically between domains.

As efficiencies are at most 1, no time is shorter than the minimum transfer time over the nominal
links: a gather must bring ``(n - 1) / n`` S into each chip, and an all-reduce must bring S, half of
the volume of a ring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.algorithms import ALGORITHMS
from clustersim.network.corners import larger, smaller

__all__ = [
    "Links",
    "Transfer",
    "all_gather",
    "all_gather_seconds",
    "all_reduce",
    "all_reduce_seconds",
    "all_to_all",
    "all_to_all_seconds",
    "members_inside",
    "mesh_volume",
    "point_to_point",
    "point_to_point_seconds",
    "reduce_scatter_seconds",
    "token_exchange",
    "transfer_seconds",
]


@dataclass(frozen=True, slots=True)
class Links:
    """Achievable performance of the links of a chip; all arrays broadcast with message sizes.

    :func:`clustersim.network.constants.links_of_constants` builds it from the measured constants.

    Attributes
    ----------
    scaleup_Bps, nic_Bps : array
        Bandwidth of one chip in one direction, including efficiency (bytes/s).
    scaleup_size : array
        Number of chips in one scale-up domain.
    mesh : array of bool
        True if the domain is a full mesh of links, False if it has a switch.
    mesh_peers : array
        Number of links among which a chip in a mesh divides its bandwidth.
    scaleup_latency_s, nic_latency_s : array
        Start-up time of one collective within a domain, and for each doubling of the number of
        domains.
    reduce_cost : array
        Time per byte of a reduction in the switch divided by the time per byte of a ring; infinite
        if the switch does not reduce.
    scaleup_slope, nic_slope : array
        Time per byte of a small message divided by the time per byte of a large one, minus 1.
    scaleup_step_s, nic_step_s : array
        Additional start-up time of the protocol for large messages over the protocol for small
        messages, within a domain and for each doubling of the number of domains.
    mesh_reduce_cost : array
        Time per byte of an all-reduce in a mesh divided by that of its reduce-scatter and
        all-gather.
    corner : float
        Width of the corners at which the slower level or the protocol changes. It is 0 in the
        model; a fit rounds the corners (:func:`clustersim.network.corners.smaller`).
    """

    scaleup_Bps: Floats
    nic_Bps: Floats
    scaleup_size: Floats
    mesh: Bools
    mesh_peers: Floats
    scaleup_latency_s: Floats | float = 0.0
    nic_latency_s: Floats | float = 0.0
    reduce_cost: Floats | float = np.inf
    scaleup_slope: Floats | float = 0.0
    scaleup_step_s: Floats | float = 0.0
    nic_slope: Floats | float = 0.0
    nic_step_s: Floats | float = 0.0
    mesh_reduce_cost: Floats | float = 1.0
    corner: Floats | float = 0.0


def members_inside(ranks: Floats, stride: Floats, links: Links) -> Floats:
    """Return how many ranks of a group at `stride` share one scale-up domain (1 or more)."""
    return np.clip(np.floor(links.scaleup_size / stride), 1.0, ranks)


def transfer_seconds(
    size_bytes: Floats, near: Floats, far: Floats, inside: Floats, domains: Floats, links: Links
) -> Floats:
    """Return the time of the slower level, plus start-up times and the protocol switch.

    Parameters
    ----------
    size_bytes : array
    near, far : array
        Bytes that a rank sends within its domain and beyond it, divided by `size_bytes`.
    inside, domains : array
        Ranks of the group in one domain, and number of domains.
    links : Links
    """
    near_s = near * (size_bytes / links.scaleup_Bps)
    far_s = far * (size_bytes / links.nic_Bps)
    doublings = np.log2(domains)
    start = links.scaleup_latency_s * (inside > 1) + links.nic_latency_s * doublings
    corner = links.corner
    near_switch = smaller(links.scaleup_slope * near_s, links.scaleup_step_s, corner)
    far_switch = smaller(links.nic_slope * far_s, links.nic_step_s * doublings, corner)
    return larger(near_s, far_s, corner) + start + near_switch + far_switch


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that a collective moves over each level of links, from which its time follows.

    Attributes
    ----------
    size_bytes : array
        Size of the tensor.
    near, far : array
        Bytes that take the time of the collective within a domain and beyond it, divided by
        `size_bytes`. For a mesh and for a reduction in the switch, `near` is an equivalent: the
        bytes that would take as long over all links of a chip, or in a ring.
    volume : array
        Bytes that a chip sends in all, divided by `size_bytes`, if the switch does not reduce: the
        mean over the chips of the group.
    inside, domains : array
        Ranks that share a scale-up domain, and number of domains.
    mesh : array of bool, or None
        For an all-reduce, whether the domain is a mesh; a switch may reduce instead of a ring.

    Examples
    --------
    An all-reduce over 16 chips in 4 nodes. Of the 1.875 units that a ring sends per chip, a quarter
    leaves the node:

    >>> one = np.ones(1)
    >>> links = Links(450e9 * one, 50e9 * one, 4 * one, one < 0, 3 * one)
    >>> transfer = all_reduce(one, 16 * one, one, links)
    >>> transfer.nic_bytes.tolist(), transfer.scaleup_bytes.tolist()
    ([0.46875], [1.40625])
    """

    size_bytes: Floats
    near: Floats
    far: Floats
    volume: Floats
    inside: Floats
    domains: Floats
    mesh: Bools | None = None

    @property
    def nic_bytes(self) -> Floats:
        """Bytes that a chip sends over its network interface."""
        return self.size_bytes * self.far

    @property
    def scaleup_bytes(self) -> Floats:
        """Bytes that a chip sends within its scale-up domain."""
        near = np.maximum(self.volume - self.far, 0.0)
        if self.mesh is not None:
            switched = (self.near < self.volume) & (self.inside > 1) & ~self.mesh
            near = np.where(switched, _IN_SWITCH["all_reduce"].volume(self.inside), near)
        return self.size_bytes * near

    def nic_seconds(self, links: Links) -> Floats:
        """Return the time in which a network interface sends, without start-up times."""
        return self.far * (self.size_bytes / links.nic_Bps)

    def seconds(self, links: Links) -> Floats:
        """Return the time of the slower level, plus start-up times and the protocol switch."""
        return transfer_seconds(
            self.size_bytes, self.near, self.far, self.inside, self.domains, links
        )


_RING = ALGORITHMS["ring"].costs
_IN_SWITCH = ALGORITHMS["in_switch"].costs
_TREE_OF_TWO = float(ALGORITHMS["double_binary_tree"].costs["all_reduce"].volume(np.array(2.0)))


def mesh_volume(inside: Floats, links: Links) -> Floats:
    """Return the effective volume of gathering one byte among `inside` chips of a mesh.

    It is the number of bytes that take the same time at the combined bandwidth of all links of a
    chip.
    """
    return np.maximum(inside - 1.0, links.mesh_peers) / inside


def all_gather(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Transfer:
    """Return the transfer in which every rank gathers equal shards of a tensor from all ranks.

    To sum a tensor over all ranks and leave one shard on each takes the same transfer.

    Parameters
    ----------
    size_bytes : array
        Size of the whole tensor in bytes.
    ranks, stride : array
        Size of the group, and the distance between its ranks in chips.
    links : Links
    """
    inside = members_inside(ranks, stride, links)
    domains = ranks / inside
    ring = _RING["all_gather"].volume(ranks)
    near, far = ring, ring
    if np.any(links.mesh):
        near = np.where(links.mesh, mesh_volume(inside, links), ring)
        far = np.where(links.mesh, _RING["all_gather"].volume(domains), ring)
    near, far = near * (inside > 1), far * (domains > 1) / inside
    return Transfer(size_bytes, near, far, ring, inside, domains)


def all_gather_seconds(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Floats:
    """Return the time of :func:`all_gather` in seconds; 0 for one rank."""
    return all_gather(size_bytes, ranks, stride, links).seconds(links)


def reduce_scatter_seconds(
    size_bytes: Floats, ranks: Floats, stride: Floats, links: Links
) -> Floats:
    """Return the time to sum a tensor over all ranks and leave one shard on each.

    It equals the time of :func:`all_gather_seconds`.
    """
    return all_gather_seconds(size_bytes, ranks, stride, links)


def all_reduce(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Transfer:
    """Return the transfer that sums a tensor over all ranks and leaves the result on each.

    Parameters are as in :func:`all_gather`.
    """
    inside = members_inside(ranks, stride, links)
    domains = ranks / inside
    ring = _RING["all_reduce"].volume(ranks)
    many = domains > 2
    reduced = np.where(many, np.inf, links.reduce_cost) * _IN_SWITCH["all_reduce"].volume(inside)
    near, far = np.minimum(ring, reduced), np.where(many, ring, _TREE_OF_TWO)
    if np.any(links.mesh):
        reduction = links.mesh_reduce_cost * mesh_volume(inside, links)
        near = np.where(links.mesh, 2.0 * reduction, near)
        far = np.where(links.mesh, _RING["all_reduce"].volume(domains), far)
    near, far = near * (inside > 1), far * (domains > 1) / inside
    return Transfer(size_bytes, near, far, ring, inside, domains, links.mesh)


def all_reduce_seconds(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Floats:
    """Return the time of :func:`all_reduce` in seconds; 0 for one rank."""
    return all_reduce(size_bytes, ranks, stride, links).seconds(links)


def all_to_all(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Transfer:
    """Return the transfer in which each rank sends an equal part of its bytes to every rank."""
    inside = members_inside(ranks, stride, links)
    peers = np.where(links.mesh, np.maximum(inside - 1.0, links.mesh_peers), inside - 1.0)
    near = peers * (inside > 1) / ranks
    far = (ranks - inside) / ranks
    return Transfer(size_bytes, near, far, (ranks - 1.0) / ranks, inside, ranks / inside)


def all_to_all_seconds(size_bytes: Floats, ranks: Floats, stride: Floats, links: Links) -> Floats:
    """Return the time of :func:`all_to_all` in seconds."""
    return all_to_all(size_bytes, ranks, stride, links).seconds(links)


def token_exchange(
    size_bytes: Floats, copies: Floats, ranks: Floats, stride: Floats, links: Links
) -> Transfer:
    """Return the transfer that sends tokens to their experts, once to each scale-up domain.

    Each token goes to `copies` random ranks. A token with several experts in another domain crosses
    the network once and is copied within that domain (DeepEP, arXiv 2412.19437, section 3.2.2; its
    HybridEP variant does the same). Among D domains, the expected number of other domains is ``(D -
    1) (1 - (1 - 1 / D)^copies)``, while :func:`all_to_all` sends ``copies (D - 1) / D``
    copies.

    Parameters
    ----------
    size_bytes : array
        Bytes of one copy of a rank's tokens.
    copies : array
        Experts per token.
    ranks, stride : array
        As in :func:`all_gather`.
    links : Links

    Returns
    -------
    Transfer
        That of one way.

    Examples
    --------
    >>> from clustersim.network.constants import fitted_values, links_of_constants
    >>> one = np.ones(1)
    >>> links = links_of_constants(
    ...     fitted_values(),
    ...     scaleup_Bps=450e9 * one,
    ...     nic_Bps=50e9 * one,
    ...     scaleup_size=8 * one,
    ...     mesh=one < 0,
    ...     mesh_peers=one,
    ...     generation=np.zeros(1, dtype=np.int64),
    ...     fabric=np.zeros((), dtype=np.int64),
    ... )
    >>> once = token_exchange(1e8 * one, 8 * one, 32 * one, one, links)
    >>> bool(once.nic_bytes[0] < all_to_all(8e8 * one, 32 * one, one, links).nic_bytes[0])
    True
    """
    inside = members_inside(ranks, stride, links)
    domains = ranks / inside
    near = copies * (inside - 1.0) / inside
    far = (domains - 1.0) * (1.0 - (1.0 - 1.0 / domains) ** copies)
    volume = near + far
    if np.any(links.mesh):
        near = np.where(links.mesh, copies * mesh_volume(inside, links) * (inside > 1), near)
    return Transfer(size_bytes, near, far, volume, inside, domains)


def point_to_point(size_bytes: Floats, stride: Floats, links: Links) -> Transfer:
    """Return the bytes of one message to the chip at distance `stride`.

    :func:`point_to_point_seconds` is the time of the message.
    """
    within = np.where(stride < links.scaleup_size, 1.0, 0.0)
    one = np.ones(())
    return Transfer(size_bytes, within, 1.0 - within, one, 1.0 + within, 2.0 - within)


def point_to_point_seconds(size_bytes: Floats, stride: Floats, links: Links) -> Floats:
    """Return the time to send `size_bytes` to the chip at distance `stride`.

    The transfer uses one mesh link, the switch, or the network.
    """
    within = stride < links.scaleup_size
    inside_Bps = links.scaleup_Bps / np.where(links.mesh, links.mesh_peers, 1.0)
    wire = size_bytes / np.where(within, inside_Bps, links.nic_Bps)
    latency = np.where(within, links.scaleup_latency_s, links.nic_latency_s)
    slope = np.where(within, links.scaleup_slope, links.nic_slope)
    step = np.where(within, links.scaleup_step_s, links.nic_step_s)
    return wire + latency + smaller(slope * wire, step, links.corner)
