"""Ranges of nodes as text: ``0-63:8,70:4`` is 8 accelerators on each of 64 nodes and 4 on node 70.

In this format, an attempt needs only one row of a table, no matter how many nodes it uses. The
table is expanded to one row per node on demand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clustersim.array_types import Ints
from clustersim.errors import ClusterSimError

__all__ = [
    "WORK_SHARE",
    "by_node",
    "in_ranges",
    "range_texts",
    "read_ranges",
]

WORK_SHARE = "work_share"
"""Column of allocations: the share of an attempt's work that is done on the row's nodes."""
_RANGE = r"^(?P<first>\d+)(?:-(?P<last>\d+))?:(?P<chips>\d+)$"


def range_texts(
    n_ranges: npt.NDArray[np.integer],
    first_node: npt.NDArray[np.integer],
    n_nodes: npt.NDArray[np.integer],
    chips: npt.NDArray[np.integer],
) -> pa.LargeStringArray:
    """Format ranges of nodes as text.

    Parameters
    ----------
    n_ranges : int array (rows,)
        Number of ranges of each row.
    first_node, n_nodes, chips : int arrays (ranges,)
        First node of each range, its number of nodes, and the accelerators on each node. The ranges
        of the first row are followed by the ranges of the second row, and so on.

    Returns
    -------
    pyarrow.LargeStringArray (rows,)
        The ranges of each row; empty text for a row without ranges.

    Examples
    --------
    >>> ranges = np.array([2, 0]), np.array([0, 70]), np.array([64, 1]), np.array([8, 4])
    >>> range_texts(*ranges).to_pylist()
    ['0-63:8,70:4', '']
    """
    first, last = _text(first_node), _text(first_node + n_nodes - 1)
    dash, colon, comma = (pa.scalar(mark, pa.large_string()) for mark in "-:,")
    nodes = pc.if_else(pa.array(n_nodes > 1), pc.binary_join_element_wise(first, last, dash), first)
    each = pc.binary_join_element_wise(nodes, _text(chips), colon)
    if len(n_ranges) == len(each) and bool((n_ranges == 1).all()):
        return each
    offsets = np.concatenate(([0], np.cumsum(n_ranges, dtype=np.int64)))
    return pc.binary_join(pa.LargeListArray.from_arrays(offsets, each), comma)


def _text(values: npt.NDArray[np.integer]) -> pa.LargeStringArray:
    return pc.cast(pa.array(values), pa.large_string())


def by_node(table: pd.DataFrame) -> pd.DataFrame:
    """Expand a table with ranges of nodes to one row per node.

    Parameters
    ----------
    table : pandas.DataFrame
        Has the columns ``nodes`` (ranges as text) and ``n_accelerators`` (total over these nodes).

    Returns
    -------
    pandas.DataFrame
        The same columns, except that ``node`` (int32; -1 if the text is empty) replaces ``nodes``,
        and ``n_accelerators`` and ``work_share`` (if there is one) refer to this node.

    Raises
    ------
    ClusterSimError
        If a value of ``nodes`` is not a list of ranges.

    Examples
    --------
    >>> table = pd.DataFrame({"nodes": ["4-5:8,9:1"], "n_accelerators": [17]})
    >>> by_node(table).to_numpy().tolist()
    [[4, 8], [5, 8], [9, 1]]
    """
    row, first, count, chips = read_ranges(table)
    total = int(count.sum())
    of_range = np.repeat(np.arange(len(count)), count)
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    expanded = table.take(row[of_range]).reset_index(drop=True)
    at = expanded.columns.tolist().index("nodes")
    expanded = expanded.drop(columns="nodes")
    expanded.insert(at, "node", (first[of_range] + within).astype(np.int32))
    if WORK_SHARE in expanded:
        expanded[WORK_SHARE] *= chips[of_range] / expanded["n_accelerators"]
    expanded["n_accelerators"] = chips[of_range]
    return expanded


def read_ranges(table: pd.DataFrame) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the row, first node, number of nodes and accelerators per node of each range.

    The first node is -1 for a row without nodes.

    Raises
    ------
    ClusterSimError
        If a value of ``nodes`` is not a list of ranges.

    Examples
    --------
    >>> table = pd.DataFrame({"nodes": ["4-5:8,9:1", ""], "n_accelerators": [17, 3]})
    >>> [values.tolist() for values in read_ranges(table)]
    [[0, 0, 1], [4, 9, -1], [2, 1, 1], [8, 1, 3]]
    """
    text = pa.array(table["nodes"].astype("str").to_numpy(dtype=object), pa.large_string())
    lists = pc.split_pattern(text, ",")
    n_ranges = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(table)), n_ranges)
    flat = pc.list_flatten(lists)
    empty = pc.equal(flat, "").to_numpy(zero_copy_only=False) & (n_ranges[row] == 1)
    parts = pc.extract_regex(flat.filter(pa.array(~empty)), _RANGE)
    first = np.full(len(row), -1, dtype=np.int64)
    count = np.ones(len(row), dtype=np.int64)
    chips = table["n_accelerators"].to_numpy(dtype=np.int64)[row]
    begin, end, chips[~empty] = (_numbers(parts.field(name)) for name in ("first", "last", "chips"))
    first[~empty], count[~empty] = begin, np.where(end < 0, 1, end - begin + 1)
    wrong = np.flatnonzero((chips < 0) | (count < 1))
    if len(wrong):
        text = flat[int(wrong[0])].as_py()
        raise ClusterSimError(f"nodes: {text!r} is not a range of nodes such as 0-63:8")
    return row, first, count, chips


def _numbers(texts: pa.LargeStringArray) -> Ints:
    """Convert texts to integers; -1 for empty or null texts."""
    filled = pc.if_else(pc.greater(pc.binary_length(pc.fill_null(texts, "")), 0), texts, "-1")
    numbers: Ints = pc.cast(filled, pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def in_ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Convert a table with one row per node to ranges of nodes; the inverse of :func:`by_node`.

    Parameters
    ----------
    table : pandas.DataFrame
        Has the columns ``node`` and ``n_accelerators``. Consecutive rows that agree in all other
        columns become one row.
    """
    of_node = ("node", "n_accelerators", WORK_SHARE)
    others = [name for name in table.columns if name not in of_node]
    n_rows = len(table)
    if n_rows == 0:
        return table.rename(columns={"node": "nodes"}).astype({"nodes": "string"})
    code = [pd.factorize(table[name], use_na_sentinel=False)[0] for name in others]
    changes = np.logical_or.reduce([np.diff(each) != 0 for each in code])
    node = table["node"].to_numpy(dtype=np.int64)
    chips = table["n_accelerators"].to_numpy(dtype=np.int64)
    new_row = np.r_[True, changes | (node[1:] < 0)]
    new_range = new_row | np.r_[True, (np.diff(node) != 1) | (np.diff(chips) != 0)]
    row, begin = np.flatnonzero(new_row), np.flatnonzero(new_range)
    length = np.diff(begin, append=n_rows)
    known = node[begin] >= 0
    n_ranges = np.bincount(np.cumsum(new_row)[begin] - 1, known, minlength=len(row))
    texts = range_texts(
        n_ranges.astype(np.int64), node[begin][known], length[known], chips[begin][known]
    )
    compact = table.take(row).reset_index(drop=True)
    at = compact.columns.tolist().index("node")
    compact = compact.drop(columns="node")
    compact.insert(at, "nodes", pd.Series(pd.arrays.ArrowStringArray(texts)).astype("string"))
    compact["n_accelerators"] = np.add.reduceat(chips, row)
    if WORK_SHARE in table:
        compact[WORK_SHARE] = np.add.reduceat(table[WORK_SHARE].to_numpy(dtype=np.float64), row)
    return compact
