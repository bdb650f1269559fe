"""Flows that share links over time: an exact fluid simulation, flow by flow.

The rates change only when a flow enters or ends. Between two such events, every flow drains at its
max-min fair rate. Flows that share no link, not even through other flows, do not influence each
other: each connected component of flows and links is simulated on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.network.flow_arguments import FlowArguments, Routes
from clustersim.network.max_min import fill

__all__ = ["simulate_flows"]

TIE = 1e-14
"""Flows that end within this fraction of the elapsed time end together: rounding errors separate
ends that are simultaneous."""


def simulate_flows(
    capacity: ArrayLike,
    paths: Sequence[Sequence[int]],
    start: ArrayLike,
    size: ArrayLike,
    latency: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> Floats:
    """Return the times at which flows end if the links are shared max-min fairly.

    A flow enters at its start plus the sum of the latencies of its path; before that, it takes no
    bandwidth. Then it receives its max-min fair rate until all its bytes have drained. All rates
    are computed anew whenever a flow enters or ends. No flow has a rate limit of its own, and the
    two directions of a cable are two links.

    Parameters
    ----------
    capacity : array_like of float, shape (n_links,)
        Capacity of each directed link (bytes/s), finite and above 0.
    paths : sequence of sequences of int, length n_flows
        Numbers of the links that each flow crosses. A link that occurs twice in a path is used
        twice. A flow with an empty path stays where it is and ends at its start.
    start : array_like of float, shape (n_flows,)
        Time at which each flow starts (seconds), in any order; may be negative.
    size : array_like of float, shape (n_flows,)
        Size of each flow (bytes), at least 0. A flow of 0 bytes ends when it enters.
    latency : array_like of float, shape (n_links,), optional
        Latency of each directed link (seconds), at least 0; by default 0.
    weight : array_like of float, shape (n_flows,), optional
        Weight of each flow, above 0: flows with the same bottleneck have rates in proportion to
        their weights. By default all are 1. The reciprocal of the latency of the path imitates
        the bias of TCP against long round-trip times.

    Returns
    -------
    array of float, shape (n_flows,)
        Time at which each flow ends (seconds), in the order of the flows.

    Raises
    ------
    InputError
        If an argument has a wrong length or value. The error names the argument and the index.

    See Also
    --------
    max_min_rates : the rates at one instant.

    Notes
    -----
    The model is the fluid model of SimGrid (Casanova et al., "Versatile, scalable, and accurate
    simulation of distributed applications and platforms", 2014) without its TCP corrections. The
    result is exact except for rounding errors of float64.

    Examples
    --------
    Two links of 10 and 20 GB/s in a row. The first flow crosses both, the others one each. The
    third flow is finished first; the other two share the first link at 5 GB/s each:

    >>> from clustersim.network import simulate_flows
    >>> paths = [[0, 1], [0], [1]]
    >>> ends = simulate_flows([10e9, 20e9], paths, start=[0, 0, 0], size=[10e9, 10e9, 20e9])
    >>> [round(end, 6) for end in ends.tolist()]
    [2.0, 2.0, 1.333333]
    """
    given = FlowArguments("simulate_flows")
    links_Bps = given.positive("capacity", capacity)
    given.check()
    routes = given.routes(paths, links_Bps.size)
    given.check()
    starts = given.finite("start", start, routes.n_flows)
    sizes = given.not_negative("size", size, routes.n_flows)
    delays = np.zeros(links_Bps.size)
    if latency is not None:
        delays = given.not_negative("latency", latency, links_Bps.size, "link")
    weights = given.weights(weight, routes.n_flows)
    given.check()
    enters = starts + routes.sums(delays)
    ends = enters.copy()
    sending = np.flatnonzero((routes.lengths > 0) & (sizes > 0))
    origin = enters[sending].min(initial=np.inf)
    for flows, part, links in _components(sending, routes.of(sending), links_Bps.size):
        elapsed = _drain(
            part, links_Bps[links], weights[flows], enters[flows] - origin, sizes[flows]
        )
        ends[flows] = np.maximum(origin + elapsed, enters[flows])
    endless = np.flatnonzero(np.isinf(ends))
    if endless.size:
        problem = f"size[{endless[0]}]: the flow takes longer than the largest float64, 1.8e308 s"
        raise InputError("simulate_flows", problem)
    return ends


def _components(flows: Ints, routes: Routes, n_links: int) -> Iterator[tuple[Ints, Routes, Ints]]:
    """Yield sets of flows that share no link, with their routes and the links of these routes.

    The routes count the links of their own set from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = routes.links[np.cumsum(routes.lengths) - routes.lengths]
    pairs = np.repeat(first, routes.lengths), routes.links
    joined = coo_array((np.ones(routes.links.size), pairs), shape=(n_links, n_links))
    _, part_of_link = connected_components(joined, directed=False)
    part_of_flow = part_of_link[first]
    order = np.argsort(part_of_flow, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(part_of_flow[order])) + 1):
        if members.size:
            part = routes.of(members)
            links, numbers = np.unique(part.links, return_inverse=True)
            yield flows[members], Routes(numbers, part.lengths), links


def _drain(
    routes: Routes, capacity: Floats, weight: Floats, enters: Floats, size: Floats
) -> Floats:
    """Return when each flow of a component ends; every flow has links and bytes.

    What is left of a flow is computed only when its rate changes, so that rounding errors do not
    add up over the events of other flows.
    """
    n_flows = routes.n_flows
    order = np.argsort(enters, kind="stable")
    entering = enters[order]
    active = np.zeros(n_flows, dtype=bool)
    ends = np.full(n_flows, np.inf)
    left, rate, since = size.copy(), np.zeros(n_flows), np.zeros(n_flows)
    entered = 0
    while entered < n_flows or active.any():
        now = ends[active].min(initial=np.inf)
        if entered < n_flows:
            now = min(now, entering[entered])
        active &= ends > now + TIE * now
        before, entered = entered, int(np.searchsorted(entering, now, side="right"))
        active[order[before:entered]] = True
        flows = np.flatnonzero(active)
        fair = fill(routes.of(flows), capacity, weight[flows])
        different = fair != rate[flows]
        flows, fair = flows[different], fair[different]
        left[flows] = np.maximum(left[flows] - rate[flows] * (now - since[flows]), 0.0)
        since[flows], rate[flows] = now, fair
        with np.errstate(over="ignore"):
            ends[flows] = now + left[flows] / fair
    return ends
