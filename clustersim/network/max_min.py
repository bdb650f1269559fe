"""Weighted max-min fair rates of flows on shared links, by progressive filling.

All flows raise their *level* (rate divided by weight) together. When a link is full, the flows on
it keep their rates, and the others go on. The result is the only allocation in which every flow
crosses a *bottleneck*: a full link on which no flow has a higher level (Bertsekas and Gallager,
"Data Networks", 2nd edition, section 6.5.2).

Links need not be filled one after the other. A link is a bottleneck as soon as none of its flows
reaches a lower level on another link, and all such links are filled in one round. The number of
rounds is thus the length of the longest chain of bottlenecks, not their number. For 2,000 random
flows on a fat tree, it is about five.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats
from clustersim.network.flow_arguments import FlowArguments, Routes

__all__ = ["fill", "max_min_rates"]


def max_min_rates(
    capacity: ArrayLike, paths: Sequence[Sequence[int]], weight: ArrayLike | None = None
) -> Floats:
    """Return the max-min fair rates of flows that all have data to send.

    Parameters
    ----------
    capacity : array_like of float, shape (n_links,)
        Capacity of each directed link (bytes/s), finite and above 0.
    paths : sequence of sequences of int, length n_flows
        Numbers of the links that each flow crosses. A link that occurs twice in a path is used
        twice.
    weight : array_like of float, shape (n_flows,), optional
        Weight of each flow, above 0. Flows with the same bottleneck have rates in proportion to
        their weights. By default all are 1.

    Returns
    -------
    array of float, shape (n_flows,)
        Rate of each flow (bytes/s); infinite for a flow with an empty path.

    Raises
    ------
    InputError
        If an argument has a wrong length or value. The error names the argument and the index.

    Notes
    -----
    Progressive filling as in Bertsekas and Gallager, "Data Networks", section 6.5.2.

    Examples
    --------
    Two links of 10 and 20 GB/s in a row. The first flow crosses both, the others one each:

    >>> from clustersim.network import max_min_rates
    >>> max_min_rates([10e9, 20e9], [[0, 1], [0], [1]]).tolist()
    [5000000000.0, 5000000000.0, 15000000000.0]
    """
    given = FlowArguments("max_min_rates")
    links_Bps = given.positive("capacity", capacity)
    given.check()
    routes = given.routes(paths, links_Bps.size)
    given.check()
    weights = given.weights(weight, routes.n_flows)
    given.check()
    rates = np.full(routes.n_flows, np.inf)
    sending = np.flatnonzero(routes.lengths)
    rates[sending] = fill(routes.of(sending), links_Bps, weights[sending])
    return rates


def fill(routes: Routes, capacity: Floats, weight: Floats) -> Floats:
    """Return max-min fair rates; arguments are as in :func:`max_min_rates`, checked before.

    Parameters
    ----------
    routes : Routes
        No path may be empty.
    capacity : array of float, shape (n_links,)
    weight : array of float, shape (n_flows,)

    Returns
    -------
    array of float, shape (n_flows,)
    """
    n_links = capacity.size
    links, lengths = routes.links, routes.lengths
    rates, flows = np.empty(lengths.size), np.arange(lengths.size)
    # The level of a link never falls below that of a flow that left it. Rounding errors of what
    # is left of its capacity could otherwise make it fall, even to 0.
    left, reached = capacity.copy(), np.zeros(n_links)
    while flows.size:
        sharing = np.bincount(links, minlength=n_links)
        total = np.bincount(links, np.repeat(weight, lengths), n_links)
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.maximum(left / total, reached)
        first = np.cumsum(lengths) - lengths
        of_entry = level[links]
        lowest = np.minimum.reduceat(of_entry, first)
        tight = links[of_entry == np.repeat(lowest, lengths)]
        bottleneck = np.bincount(tight, minlength=n_links) == sharing
        fixed = np.logical_or.reduceat(bottleneck[links], first)
        rates[flows[fixed]] = lowest[fixed] * weight[fixed]
        leaving = np.repeat(fixed, lengths)
        left -= np.bincount(links[leaving], np.repeat(rates[flows[fixed]], lengths[fixed]), n_links)
        np.maximum.at(reached, links[leaving], np.repeat(lowest[fixed], lengths[fixed]))
        links = links[~leaving]
        lengths, weight, flows = lengths[~fixed], weight[~fixed], flows[~fixed]
    return rates
