"""The section ``network`` of a scenario."""

from __future__ import annotations

from pydantic import Field

from clustersim.availability.network_fault_spec import NetworkFaults
from clustersim.files import FileModel
from clustersim.network.load_balancing import LoadBalancing

__all__ = ["NetworkSpec"]


class NetworkSpec(FileModel):
    """How the network slows jobs down.

    Examples
    --------
    >>> from clustersim.simulation.networked.network_spec import NetworkSpec
    >>> NetworkSpec(contention=False).load_balancing
    'ideal'
    """

    contention: bool = Field(
        True,
        description="whether jobs slow down other jobs on the same links; otherwise each job has "
        "the links on its way for itself",
    )
    load_balancing: LoadBalancing = Field(
        "ideal",
        description="how flows are spread over parallel links: evenly (ideal), with the efficiency "
        "that is published for adaptive routing (adaptive), or by a hash of each flow, so that "
        "some links get more flows than others (ecmp)",
    )
    queue_pairs: int = Field(
        1,
        ge=1,
        le=1024,
        description="flows of each network port, for ecmp; the default is that of NCCL "
        "(NCCL_IB_QPS_PER_CONNECTION)",
    )
    communication_share: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of the run time in which a job communicates at its ideal placement, "
        "without computing; an assumption",
    )
    tolerance: float = Field(
        0.01,
        gt=0,
        le=0.2,
        description="a running job gets a new pace if its slowdown changes by more than this part",
    )
    faults: NetworkFaults | None = Field(
        None,
        description="faults of links, switches and network ports; by default nothing fails",
    )
