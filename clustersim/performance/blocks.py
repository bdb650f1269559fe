"""Evaluation in blocks of rows that fit in a processor's cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ELEMENTS", "in_blocks"]

ELEMENTS = 8192
"""Number of elements of an array in one block (64 KiB). The dozens of arrays that one part uses
then stay in the cache of a core, and the overhead of calling numpy is a tenth of the time of the
arithmetic."""


def in_blocks(
    work: Callable[..., dict[str, NDArray[Any]]], *inputs: Any
) -> dict[str, NDArray[Any]]:
    """Call `work` on consecutive blocks of the last axis and join the results.

    Parameters
    ----------
    work : callable
        Function of the inputs that returns arrays by name. Rows must be independent of each other.
    *inputs
        Arrays, or dataclasses of arrays, that broadcast with each other.

    Returns
    -------
    dict of str to array
        The joined arrays by name. If there are several blocks, an array that has the same value for
        all rows is expanded to all rows.

    Examples
    --------
    >>> whole = in_blocks(lambda a, b: {"sum": a + b}, np.arange(20_000), np.ones(1))
    >>> whole["sum"].shape, float(whole["sum"][-1])
    ((20000,), 20000.0)
    """
    shape = np.broadcast_shapes(*(array.shape for given in inputs for array in _arrays(given)))
    rows = shape[-1] if shape else 1
    step = max(1, ELEMENTS * rows // max(1, int(np.prod(shape))))
    if rows <= step:
        return work(*inputs)
    whole: dict[str, NDArray[Any]] = {}
    for start in range(0, rows, step):
        where = slice(start, start + step)
        for name, column in work(*(_part(given, where, rows) for given in inputs)).items():
            if name not in whole:
                whole[name] = np.empty((*column.shape[:-1], rows), dtype=column.dtype)
            whole[name][..., where] = column
    return whole


def _arrays(given: Any) -> list[NDArray[Any]]:
    if isinstance(given, np.ndarray | np.generic):
        return [np.asarray(given)]
    return [np.asarray(getattr(given, name)) for name in given.__dataclass_fields__]


def _part(given: Any, where: slice, rows: int) -> Any:
    """Return the selected rows of one input; a value that all rows share is kept as it is."""
    arrays = [
        array[..., where] if array.ndim and array.shape[-1] == rows else array
        for array in _arrays(given)
    ]
    return arrays[0] if isinstance(given, np.ndarray | np.generic) else type(given)(*arrays)
