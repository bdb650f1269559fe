"""Gangs on nodes that have lost a part of the rate of their network ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from clustersim.network.contention import NetworkResponse
from clustersim.network.gang_links import Communication, Gang
from clustersim.network.job_rows import INVERSE_SHARES

__all__ = ["limited", "port_share"]


def port_share(
    gang: Gang,
    inside: int,
    communication: Communication,
    node_part: Mapping[int, float],
    domain_of: Mapping[int, int],
) -> float:
    """Return the share of the network's rate that the ports of a gang's nodes allow.

    The chips of a gang have the ports of their node in proportion to their number, so a node with
    half of its ports has half of their rate. In rings and between stages, `inside` ports of each
    scale-up domain send; in exchanges, those of all chips do. All wait for the slowest domain.

    Parameters
    ----------
    gang : sequence of (int, int)
    inside : int
        Smallest number of chips of the gang in one of its scale-up domains.
    communication : Communication
    node_part : mapping of int to float
        Part of the rate that each node with faults has left.
    domain_of : mapping of int to int
        Scale-up domain of each node; a node that is missing is a domain.

    Returns
    -------
    float
        At most 1.

    Examples
    --------
    Two nodes of 8 chips, of which one has 7 of its 8 ports; half of the chips of the first node
    need no more than 4:

    >>> from clustersim.network import Communication, NetworkResponse
    >>> rings = Communication(NetworkResponse.of_share(0.2))
    >>> port_share([(0, 8), (1, 8)], 8, rings, {0: 0.875}, {})
    0.875
    >>> port_share([(0, 8), (1, 4)], 4, rings, {0: 0.875}, {})
    1.0
    """
    chips: Counter[int] = Counter()
    ports: dict[int, float] = {}
    for node, held in gang:
        domain = domain_of.get(node, node)
        chips[domain] += held
        ports[domain] = ports.get(domain, 0.0) + held * node_part.get(node, 1.0)
    share = 1.0
    for domain, held in chips.items():
        sending = (communication.ring + communication.neighbours) * inside
        sending += communication.all_to_all * held
        if ports[domain] < sending:
            share = min(share, ports[domain] / sending)
    return share


def limited(response: NetworkResponse, share: float) -> NetworkResponse:
    """Return the response of a job whose ports have only a part of their rate.

    Its shares refer to the rate that its ports have left.

    Examples
    --------
    >>> from clustersim.network import NetworkResponse
    >>> slowdown, _ = limited(NetworkResponse.of_share(0.5), 0.5).at(1.0)
    >>> slowdown
    1.5
    """
    points = [response.at(share / inverse) for inverse in INVERSE_SHARES.tolist()]
    slowdown, duty = np.array(points).T
    return NetworkResponse(np.ascontiguousarray(slowdown), np.ascontiguousarray(duty))
