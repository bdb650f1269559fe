"""When nodes are owned, and how their value is written off."""

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
    """Nodes that came together and left together.

    Attributes
    ----------
    begin_s, end_s : float
    nodes : int
    age_s : float
        Of the nodes when they came.
    """

    begin_s: float
    end_s: float
    nodes: int
    age_s: float = 0.0


def spans_there(
    outages: pd.DataFrame | None, pool: str, n_nodes: int, end_s: float, *, age_s: float = 0.0
) -> list[Span]:
    """Return when nodes of a pool were there: not those that are yet to come, or are retired.

    A node that is off for a while for want of power or space grows older meanwhile; what it loses
    in value then is in no account.

    Parameters
    ----------
    outages : pandas.DataFrame or None
        Of the result.
    pool : str
    n_nodes : int
        All that the pool ever has.
    end_s : float
        When the simulation ended.
    age_s : float
        Of the nodes that are there from the begin; those that come later are new.
    """
    if outages is None:
        absent = pd.DataFrame({"node": [], "begin_s": [], "end_s": []})
    else:
        absent = outages[outages["absent"].to_numpy() & (outages["pool"] == pool).to_numpy()]
    node = np.concatenate([np.arange(n_nodes), absent["node"].to_numpy()])
    begin = np.concatenate([np.zeros(n_nodes), absent["end_s"].to_numpy()])
    end = np.concatenate([np.full(n_nodes, end_s), absent["begin_s"].to_numpy()])
    # A node comes and leaves by turns, first there: its k-th coming goes with its k-th leaving.
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
    """Return how the value of a pool is written off, and what is left of it, a node of those there.

    What a node is still worth when it leaves is not written off.

    Parameters
    ----------
    spans : sequence of Span
    life_s : float
        Over which the value is written off evenly, seconds.
    residual_share : float
        What is left of it then.

    Returns
    -------
    written_off : LinearPieces
        Share of the price a second, mean of the nodes that are there.
    held : LinearPieces
        Share of the price that is not written off yet, mean of the nodes that are there.
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
