"""How placement and contention slow jobs down, and what policies know of it.

The *ideal placement* of a job uses as few nodes as possible, filled one after the other, and all
its NICs send at the rate of their port. Run times and recorded durations refer to it; every other
placement is at least as slow. The *typical placement* is the same nodes at the start of an empty
pool, whose links may be oversubscribed. Policies, estimates and the offered load expect the speed
of the typical placement, because nobody knows the actual one in advance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError, check_kind
from clustersim.files import validate
from clustersim.network.contention import NetworkResponse
from clustersim.network.gang_links import Communication, Gang, GangLinks
from clustersim.network.job_rows import INVERSE_SHARES
from clustersim.network.trunks import trunk_graph
from clustersim.scheduling import NodePlacement, Partition
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster
from clustersim.units import format_percent

__all__ = ["NetworkModel", "at_port_rate", "check_network_placement", "network_model"]


def network_model(
    given: NetworkSpec | Mapping[str, Any] | None, cluster: Cluster
) -> NetworkModel | None:
    """Return the network of a run; None if it is not simulated.

    Raises
    ------
    InputError
        If a setting is not allowed, or the cluster has no topology.
    """
    if given is None:
        return None
    if not isinstance(given, NetworkSpec):
        check_kind("network", given, Mapping, "settings of the network by name")
        given = validate(NetworkSpec, dict(given), "network")
    flat = [pool.name for pool in cluster.pools if not np.isfinite(pool.port_Bps)]
    if flat:
        raise InputError("network", f"pool {flat[0]} has no topology; use a cluster with one")
    return NetworkModel(cluster, given)


def at_port_rate(cluster: Cluster) -> Cluster:
    """Return the cluster with the network of each chip at the rate of its port.

    Without a section ``network``, oversubscription lowers the rate of all jobs alike.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.simulation.networked.network_model import at_port_rate
    >>> cluster = cs.compile_cluster(cs.load_cluster("seedchip-pod", cs.load_catalogue()))
    >>> pool, ideal = cluster.pools[0], at_port_rate(cluster).pools[0]
    >>> pool.nic_Bps / ideal.nic_Bps, ideal.nic_Bps == pool.port_Bps
    (0.5, True)
    """
    pools = tuple(
        replace(pool, nic_Bps=pool.port_Bps) if np.isfinite(pool.port_Bps) else pool
        for pool in cluster.pools
    )
    return replace(cluster, pools=pools)


def check_network_placement(
    network: NetworkModel, partitions: Sequence[Partition], *, spans: bool
) -> None:
    """Raise an error if jobs would have no place in the network.

    Parameters
    ----------
    network : NetworkModel
    partitions : sequence of Partition
    spans : bool
        Whether jobs can run on several pools at once.
    """
    if spans and network.cluster.datacenter_latency_s is None and len(network.cluster.pools) > 1:
        raise InputError(
            "network",
            "jobs over several pools (scheduler.span_pools) need a datacenter_network in the "
            "topology",
        )
    if not all(isinstance(part.placement, NodePlacement) for part in partitions):
        raise InputError(
            "network",
            "needs a placement that tracks nodes, because the speed of a job depends on its nodes; "
            "use consolidate, and a cluster with a topology",
        )


@dataclass(frozen=True)
class NetworkModel:
    """The network of a cluster, and how jobs use it.

    Attributes
    ----------
    cluster : Cluster
    spec : NetworkSpec

    Examples
    --------
    A job of 16 chips communicates for a fifth of its run time. With 4 chips on each of 4 nodes
    instead of 8 on each of 2, its rings have half of the rate:

    >>> import clustersim as cs
    >>> from clustersim.simulation.networked.network_model import NetworkModel
    >>> from clustersim.simulation.networked.network_spec import NetworkSpec
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> model = NetworkModel(cluster, NetworkSpec())
    >>> [model.communication_of(0, 0, 16, n).response.at(1.0)[0] for n in (8, 4)]
    [1.0, 1.2]
    """

    cluster: Cluster
    spec: NetworkSpec

    @cached_property
    def links(self) -> GangLinks:
        """The trunks that may limit gangs."""
        pools = self.cluster.pools
        return GangLinks(
            trunk_graph(self.cluster),
            [pool.port_Bps for pool in pools],
            [pool.chips_per_node for pool in pools],
            load_balancing=self.spec.load_balancing,
            queue_pairs=self.spec.queue_pairs,
        )

    @cached_property
    def _recorded(self) -> dict[tuple[int, int, int], Communication]:
        return {}

    def communication_of(self, row: int, pool: int, n: int, inside: int) -> Communication:
        """Return how a job communicates.

        Parameters
        ----------
        row : int
            Row of the job in the table of jobs.
        pool : int
            Index of its pool.
        n : int
            Number of its chips.
        inside : int
            Smallest number of its chips in one of its scale-up domains.
        """
        key = (pool, n, inside)
        if key not in self._recorded:
            self._recorded[key] = Communication(self._of_share(pool, n, inside))
        return self._recorded[key]

    def _of_share(self, pool: int, n: int, inside: int) -> NetworkResponse:
        """Return the response of a job that is known by the share of its communication alone.

        Each of its chips sends to the next one in rings. With fewer NICs in a node than at the
        ideal placement, a ring has so much less of the rate. A job whose ideal placement is a
        single scale-up domain sends at the rate of the scale-up links there.
        """
        own, share = self.cluster.pools[pool], self.spec.communication_share
        domain = self._domain_chips(pool)
        if n > domain:
            longer = (n % domain or domain) / inside
        elif own.scaleup_shape == "none" or own.scaleup_Bps is None:
            longer = n / inside
        else:
            longer = own.scaleup_Bps / (inside * own.port_Bps)
        communication = share * np.maximum(longer * INVERSE_SHARES, 1.0)
        slowdown = 1.0 + (communication - share)
        return NetworkResponse(slowdown, communication / slowdown)

    def _domain_chips(self, pool: int) -> int:
        """Return the number of chips in a scale-up domain of a pool; at least one node."""
        own = self.cluster.pools[pool]
        if own.scaleup_shape == "none":
            return own.chips_per_node
        return max(own.scaleup_size, own.chips_per_node)

    def typical_slowdown(self, jobs: pd.DataFrame) -> Floats:
        """Return the slowdown of each job alone on the first nodes of each pool (pools, jobs).

        It is 1 for a job that is larger than the pool.
        """
        sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
        distinct, first, index = np.unique(sizes, return_index=True, return_inverse=True)
        found = np.ones((len(self.cluster.pools), len(distinct)))
        for pool in range(len(self.cluster.pools)):
            for column, (size, row) in enumerate(
                zip(distinct.tolist(), first.tolist(), strict=True)
            ):
                found[pool, column] = self._alone(pool, size, row)
        return found[:, index]

    def _alone(self, pool: int, n: int, row: int) -> float:
        own, links = self.cluster.pools[pool], self.links
        if not own.chips_per_node < n <= own.n_chips:
            return 1.0
        gang = _packed(int(links.graph.first_node[pool]), n, own.chips_per_node)
        inside = links.inside(gang)
        if not inside:
            return 1.0
        communication = self.communication_of(row, pool, n, inside)
        share = links.alone(*links.demand(gang, inside, communication))
        return max(1.0, communication.response.at(share)[0])

    def expected(self, runtimes: Runtimes, jobs: pd.DataFrame, *, exact: bool) -> Runtimes:
        """Return the run times that policies expect, at the typical placement.

        Parameters
        ----------
        runtimes : Runtimes
            At the ideal placement.
        jobs : pandas.DataFrame
        exact : bool
            Whether estimates are the real run times. Otherwise those of the column ``estimate_s``
            are the users' own, and stay as they are.
        """
        typical = self.typical_slowdown(jobs)
        slower = typical
        if not exact and "estimate_s" in jobs:
            given = jobs["estimate_s"].notna().to_numpy(dtype=bool)
            slower = np.where(given, 1.0, typical)
        return replace(
            runtimes, run_s=runtimes.run_s * typical, estimate_s=runtimes.estimate_s * slower
        )

    def notes(self) -> list[str]:
        """Return notes on what is assumed."""
        share = format_percent(self.spec.communication_share)
        neighbours = "" if self.spec.contention else "; other jobs do not slow it down"
        return [
            f"network: each job is assumed to communicate for {share} of its run time at its ideal "
            "placement (network.communication_share), and run times in the input to refer to this "
            f"placement: as few nodes as possible, and free links{neighbours}"
        ]


def _packed(first: int, n: int, chips: int) -> Gang:
    whole, rest = divmod(n, chips)
    return [(first + node, chips) for node in range(whole)] + (
        [(first + whole, rest)] if rest else []
    )
