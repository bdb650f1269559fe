"""The faults of the network in a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.availability.cut_off import nodes_cut_off
from clustersim.availability.network_fault_spec import NetworkFaults
from clustersim.availability.network_faults import FaultSequence
from clustersim.engine.node_events import LAST_S, NodeEvent
from clustersim.network import CableState, NetworkFault, TrunkGraph, trunk_graph
from clustersim.seeds import Streams
from clustersim.topology import Cluster, NetworkParts

__all__ = ["RunFaults", "faults_table"]


@dataclass(frozen=True, eq=False)
class RunFaults:
    """The faults of the network in a run, and what they mean for nodes and trunks.

    Attributes
    ----------
    cluster : Cluster
    graph : TrunkGraph
        Its trunk graph.
    parts : NetworkParts
        The parts of its network.
    sequence : FaultSequence
        The faults in order of their start.

    Examples
    --------
    A spine of a SuperPOD, which no node needs, and a network port:

    >>> import clustersim as cs
    >>> from clustersim.availability.network_fault_spec import NetworkFaults
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> spec = NetworkFaults(events=[{"of": ["h200/spine/0", "h200/node/0/nic/0"], "at": "1 d"}])
    >>> faults = RunFaults.of(spec, cluster, cs.Streams(0))
    >>> len(faults.may_narrow), list(faults.node_events())
    (5, [])
    """

    cluster: Cluster
    graph: TrunkGraph
    parts: NetworkParts
    sequence: FaultSequence

    @classmethod
    def of(
        cls, spec: NetworkFaults, cluster: Cluster, streams: Streams, *, until_s: float = LAST_S
    ) -> RunFaults:
        """Return the faults that a specification describes.

        Raises
        ------
        InputError
            As for :class:`~clustersim.availability.network_faults.FaultSequence`.
        """
        parts = NetworkParts(cluster)
        sequence = FaultSequence(spec, cluster, parts, streams, until_s=until_s)
        return cls(cluster, trunk_graph(cluster), parts, sequence)

    @cached_property
    def may_narrow(self) -> frozenset[int]:
        """The trunks, and the ports of nodes, that may lose capacity at some time."""
        return self.state().narrowed_by(self.sequence.may_fail())

    def state(self) -> CableState:
        """Return the state of the network without faults."""
        return CableState(self.parts, self.graph)

    def node_events(self, *, pauses: bool = False) -> Iterator[NodeEvent]:
        """Return the periods in which nodes are cut off, in order of their start.

        For `pauses`, see :func:`~clustersim.availability.cut_off.nodes_cut_off`.
        """
        return nodes_cut_off(self.sequence, self.parts, self.graph, pauses=pauses)

    @property
    def stops_jobs(self) -> bool:
        """Whether random faults of single parts cut off nodes."""
        whole = np.array([pool.n_chips for pool in self.cluster.pools])
        return any(rate.any() for rate in self.stops_per_s(whole))

    def stops_per_s(self, sizes: Ints) -> list[Floats]:
        """Return how often random faults of single parts cut off a node of a gang, by pool (1/s).

        Parameters
        ----------
        sizes : int64 array (gangs,)
            Number of accelerators of each gang, on as few nodes as possible.
        """
        rates: list[Floats] = []
        for index, pool in enumerate(self.cluster.pools):
            rate = np.zeros(len(sizes))
            nodes = np.ceil(sizes / pool.chips_per_node)
            for source, own in self.sequence.sources():
                if own != index or source.capacity > 0.0:
                    continue
                for first, count in self.parts.alike(index, source.of):
                    part, cables = self.parts.part(index, source.of, first)
                    fault = NetworkFault(0.0, np.inf, part, cables)
                    lost = list(nodes_cut_off([fault], self.parts, self.graph))
                    if lost:
                        each_node = count * len(lost) / pool.n_nodes
                        parts = np.ceil(nodes / len(lost)) * each_node
                        rate += parts / source.time_to_failure.mean()
            rates.append(rate)
        return rates


def faults_table(faults: Sequence[NetworkFault]) -> pd.DataFrame:
    """Return one row for each part of the network that was down or degraded.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``part`` (name), ``begin_s``, ``end_s`` (seconds; infinite if the fault was not
        over when the simulation ended), ``capacity`` (part of the rate that was left; 0 if it was
        down) and ``cause``.
    """
    return pd.DataFrame(
        {
            "pool": pd.Series([fault.part.partition("/")[0] for fault in faults], dtype="string"),
            "part": pd.Series([fault.part for fault in faults], dtype="string"),
            "begin_s": np.array([fault.begin_s for fault in faults], dtype=np.float64),
            "end_s": np.array([fault.end_s for fault in faults], dtype=np.float64),
            "capacity": np.array([fault.capacity for fault in faults], dtype=np.float64),
            "cause": pd.Series([fault.cause for fault in faults], dtype="string"),
        }
    )
