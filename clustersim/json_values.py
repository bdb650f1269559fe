"""Conversion of results to values that JSON can represent."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

__all__ = ["plain", "plain_rows", "rounded_rows"]


def plain(value: Any) -> Any:
    """Return a value as dictionaries, lists, texts, numbers, booleans and None.

    JSON has no NaN and no infinity.  NaN becomes None, because the value is unknown; infinity
    becomes the text ``"inf"`` or ``"-inf"``, as in the CSV tables.

    Parameters
    ----------
    value : object
        A number, text, path, mapping, sequence, set, dataclass, array or table.  A table becomes a
        list of its rows.  Any other object is converted to text.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"wait_s": np.float64("nan"), "capacity": float("inf"), "jobs": np.int64(3)})
    {'wait_s': None, 'capacity': 'inf', 'jobs': 3}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isfinite(number):
            return number
        return None if math.isnan(number) else f"{number:g}"
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((plain(item) for item in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return _of_library(value)


def plain_rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a pandas table as plain data, see :func:`plain`.

    Examples
    --------
    >>> import pandas as pd
    >>> plain_rows(pd.DataFrame({"pool": ["a", None], "wait_s": [1.5, float("nan")]}))
    [{'pool': 'a', 'wait_s': 1.5}, {'pool': None, 'wait_s': None}]
    """
    rows = table.astype(object).to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def rounded_rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a pandas table as plain data, with at most ten decimals.

    Examples
    --------
    >>> import pandas as pd
    >>> rounded_rows(pd.DataFrame({"pool": ["a", None], "share": [1 / 3, float("nan")]}))
    [{'pool': 'a', 'share': 0.3333333333}, {'pool': None, 'share': None}]
    """
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def _of_library(value: Any) -> Any:
    """Convert an object of NumPy or pandas; anything else is converted to text."""
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return plain_rows(value)
    if isinstance(value, np.ndarray | np.generic | pd.Series):
        return plain(value.tolist())
    if value is pd.NA or value is pd.NaT:
        return None
    return str(value)
