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
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.engine.node_events import LAST_S
from clustersim.errors import InputError, check_kind
from clustersim.files import validate
from clustersim.network.contention import NetworkResponse
from clustersim.network.gang_links import Communication, Gang, GangLinks
from clustersim.network.response import INVERSE_SHARES
from clustersim.network.trunks import trunk_graph
from clustersim.scheduling import NodePlacement, Partition
from clustersim.seeds import Streams
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.simulation.networked.run_faults import RunFaults
from clustersim.simulation.runtimes import Runtimes, models_of_jobs
from clustersim.simulation.speeds import PlacedJob, Speeds
from clustersim.topology import Cluster
from clustersim.units import format_percent

__all__ = ["NetworkModel", "at_port_rate", "check_network_placement", "network_model"]


def network_model(
    given: NetworkSpec | Mapping[str, Any] | None,
    cluster: Cluster,
    *,
    streams: Streams | None = None,
    horizon_s: float | None = None,
) -> NetworkModel | None:
    """Return the network of a run; None if it is not simulated.

    Parameters
    ----------
    given : NetworkSpec, mapping or None
    cluster : Cluster
    streams : Streams, optional
        Random numbers of its faults; without them, nothing fails.
    horizon_s : float, optional
        End of the run, seconds.

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
    if given.faults is None or streams is None:
        return NetworkModel(cluster, given)
    until_s = LAST_S if horizon_s is None else horizon_s
    faults = RunFaults.of(given.faults, cluster, streams, until_s=until_s)
    return NetworkModel(cluster, given, faults=faults)


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
    speeds : Speeds, optional
        Speeds of models, for the jobs that have one.
    models : object array (jobs,), optional
        The model of each job, or the one that stands for it; an empty text without one.
    faults : RunFaults, optional
        Faults of its parts.

    Examples
    --------
    A job of 16 chips communicates for a fifth of its run time. With 4 chips on each of 4 nodes
    instead of 8 on each of 2, its rings have half of the rate:

    >>> import clustersim as cs
    >>> from clustersim.simulation.networked.network_model import NetworkModel
    >>> from clustersim.simulation.networked.network_spec import NetworkSpec
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> model = NetworkModel(cluster, NetworkSpec())
    >>> [model.communication_of(0, 0, 16, n, 16 // n).response.at(1.0)[0] for n in (8, 4)]
    [1.0, 1.2]
    """

    cluster: Cluster
    spec: NetworkSpec
    speeds: Speeds | None = None
    models: npt.NDArray[np.object_] | None = None
    faults: RunFaults | None = None

    def of_jobs(self, jobs: pd.DataFrame, speeds: Speeds | None) -> NetworkModel:
        """Return the network of a run with these jobs."""
        if speeds is None:
            return self
        return replace(self, speeds=speeds, models=models_of_jobs(jobs, speeds))

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
            may_narrow=() if self.faults is None else self.faults.may_narrow,
        )

    @cached_property
    def _known(self) -> dict[tuple[str, int, int, int], Communication]:
        return {}

    def communication_of(
        self, row: int, pool: int, n: int, inside: int, domains: int
    ) -> Communication:
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
        domains : int
            Number of these domains.
        """
        name = "" if self.models is None else self.models[row]
        if not name:
            return self._communication("", pool, n, inside)
        whole = self._domain_chips(pool)
        fewest = domains <= -(-n // whole)  # whole domains, even if one of them is not full
        return self._communication(name, pool, n, whole if fewest else inside)

    def _communication(self, name: str, pool: int, n: int, inside: int) -> Communication:
        key = (name, pool, n, inside)
        if key not in self._known:
            self._known[key] = (
                self._of_model(PlacedJob(name, n, pool, inside))
                if name
                else Communication(self._of_share(pool, n, inside))
            )
        return self._known[key]

    def _of_model(self, job: PlacedJob) -> Communication:
        """Return how a job with a model communicates, from its plan."""
        assert self.speeds is not None, "they come with the models"
        [placed] = self.speeds.responses([job], communication_share=self.spec.communication_share)
        part = placed.nic_Bps / self.cluster.pools[job.pool].port_Bps
        ring, all_to_all, neighbours = (part * placed.pattern_weights).tolist()
        return Communication(placed.response, ring, all_to_all, neighbours, placed.stages)

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
        sizes = jobs["n_accelerators"].tolist()
        names = [""] * len(jobs) if self.models is None else self.models.tolist()
        kinds = list(dict.fromkeys(zip(names, sizes, strict=True)))
        of_kind = {kind: column for column, kind in enumerate(kinds)}
        found = np.ones((len(self.cluster.pools), len(kinds)))
        for pool in range(len(self.cluster.pools)):
            found[pool] = self._alone(pool, kinds)
        return found[:, [of_kind[kind] for kind in zip(names, sizes, strict=True)]]

    def _alone(self, pool: int, kinds: Sequence[tuple[str, int]]) -> list[float]:
        """Return the slowdown of each kind of jobs alone on the first nodes of a pool."""
        own, links = self.cluster.pools[pool], self.links
        gangs: dict[tuple[str, int], tuple[Gang, int]] = {}
        for name, n in kinds:
            if own.chips_per_node < n <= own.n_chips:
                gang = _packed(int(links.graph.first_node[pool]), n, own.chips_per_node)
                if inside := links.inside(gang):
                    gangs[name, n] = gang, inside
        if self.speeds is not None:  # all searches for plans in one call
            whole = self._domain_chips(pool)
            placed = [PlacedJob(name, n, pool, whole) for name, n in gangs if name]
            self.speeds.responses(placed, communication_share=self.spec.communication_share)
        slowdowns = []
        for name, n in kinds:
            slowdown = 1.0
            if (name, n) in gangs:
                gang, inside = gangs[name, n]
                held = self._domain_chips(pool) if name else inside
                communication = self._communication(name, pool, n, held)
                share = links.alone(*links.demand(gang, inside, communication))
                slowdown = max(1.0, communication.response.at(share)[0])
            slowdowns.append(slowdown)
        return slowdowns

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
        if self.models is not None and all(self.models):
            return [
                "network: how jobs communicate follows from the plans of their models; recorded "
                "run times are taken to refer to the ideal placement: as few nodes as possible, "
                f"and free links{neighbours}"
            ]
        who = "each job" if self.models is None or not any(self.models) else "a job without a model"
        return [
            f"network: {who} is assumed to communicate for {share} of its run time at its ideal "
            "placement (network.communication_share), and run times in the input to refer to this "
            f"placement: as few nodes as possible, and free links{neighbours}"
        ]


def _packed(first: int, n: int, chips: int) -> Gang:
    whole, rest = divmod(n, chips)
    return [(first + node, chips) for node in range(whole)] + (
        [(first + whole, rest)] if rest else []
    )
