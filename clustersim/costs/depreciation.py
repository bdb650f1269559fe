"""Ownership of nodes over time, and straight-line depreciation of their value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.costs.integrals import LinearPieces

__all__ = ["Span", "capital_rates", "spans_there"]


class Span(NamedTuple):
    """Nodes that arrived together and left together.

    Attributes
    ----------
    begin_s, end_s : float
        Arrival and departure, seconds.
    nodes : int
        Number of nodes.
    age_s : float
        Age of the nodes at their arrival, seconds.
    """

    begin_s: float
    end_s: float
    nodes: int
    age_s: float = 0.0


def spans_there(
    outages: pd.DataFrame | None, pool: str, n_nodes: int, end_s: float, *, age_s: float = 0.0
) -> list[Span]:
    """Return the spans in which nodes of a pool are present, that is, delivered and not retired.

    A node that is switched off for lack of power or space continues to age. Its depreciation during
    that time is not counted.

    Parameters
    ----------
    outages : pandas.DataFrame or None
        The table ``outages`` of the result.
    pool : str
    n_nodes : int
        Number of all nodes of the pool, including nodes that are delivered later.
    end_s : float
        End of the simulation, seconds.
    age_s : float
        Age of the nodes present at the start, seconds; nodes that arrive later are new.
    """
    if outages is None:
        absent = pd.DataFrame({"node": [], "begin_s": [], "end_s": []})
    else:
        absent = outages[outages["absent"].to_numpy() & (outages["pool"] == pool).to_numpy()]
    node = np.concatenate([np.arange(n_nodes), absent["node"].to_numpy()])
    begin = np.concatenate([np.zeros(n_nodes), absent["end_s"].to_numpy()])
    end = np.concatenate([np.full(n_nodes, end_s), absent["begin_s"].to_numpy()])
    # Arrivals and departures of a node alternate: its k-th arrival belongs to its k-th departure.
    order = np.lexsort((begin, node))
    node, begin, end = node[order], begin[order], end[np.lexsort((end, node))]
    end = np.minimum(end, end_s)
    there = end > begin
    node, begin, end = node[there], begin[there], end[there]
    _, first, of_node = np.unique(node, return_index=True, return_inverse=True)
    came = begin[first][of_node]
    age = np.where(came == 0, age_s, 0.0) + begin - came
    found, counts = np.unique(np.stack([begin, end, age], axis=1), axis=0, return_counts=True)
    return [
        Span(float(came_s), float(left_s), int(count), float(old_s))
        for (came_s, left_s, old_s), count in zip(found, counts, strict=True)
    ]


def capital_rates(
    spans: Sequence[Span], *, life_s: float, residual_share: float
) -> tuple[LinearPieces, LinearPieces]:
    """Return the rate at which the value of a pool is written off, and the remaining value.

    Both are means over the nodes that are present. The remaining value of a node that leaves is
    not written off.

    Parameters
    ----------
    spans : sequence of Span
    life_s : float
        Lifetime over which the value is written off evenly, seconds.
    residual_share : float
        Residual value at the end of the lifetime, as a share of the price.

    Returns
    -------
    written_off : LinearPieces
        Share of the price that is written off per second.
    held : LinearPieces
        Share of the price that is not written off yet.
    """
    begin, end, nodes, age = np.array(spans, dtype=np.float64).reshape(-1, 4).T
    old = np.clip(begin + np.maximum(life_s - age, 0.0), begin, end)
    time_s, at = np.unique(np.concatenate([[0.0], begin, old, end]), return_inverse=True)
    came, aged, left = np.split(at[1:], 3)

    def count(value: Floats, since: npt.NDArray[np.intp], until: npt.NDArray[np.intp]) -> Floats:
        change = np.zeros(len(time_s))
        np.add.at(change, since, value)
        np.add.at(change, until, -value)
        return change.cumsum()

    rate = (1.0 - residual_share) / life_s
    there, young = count(nodes, came, left), count(nodes, came, aged)
    # A young node is worth 1 - rate * (age + t - begin) at the time t.
    worth = count(nodes * (1.0 - rate * (age - begin)), came, aged)
    worth += count(nodes * residual_share, aged, left) - rate * young * time_s
    share = np.divide(1.0, there, out=np.zeros(len(there)), where=there > 0)
    written_off = LinearPieces(time_s, rate * young * share, np.zeros(len(time_s)))
    return written_off, LinearPieces(time_s, worth * share, -rate * young * share)
