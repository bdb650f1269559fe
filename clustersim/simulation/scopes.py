"""Scopes of the rows of a summary, identified by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from clustersim.topology import ALL

__all__ = ["WHOLE", "Scope", "by_scope", "with_column", "without_repeats"]

Scope: TypeAlias = tuple[str, str]
"""Kind (``all``, ``pool`` or ``vc``) and name of a scope."""
WHOLE: Scope = ("all", ALL)
"""The scope of all pools together."""


def by_scope(of_pools: pd.Series[float]) -> dict[Scope, float]:
    """Convert values by pool to values by scope, and add their sum for all pools together.

    Examples
    --------
    >>> by_scope(pd.Series({"h200": 2.0, "h20": 1.0}))
    {('all', 'all'): 3.0, ('pool', 'h200'): 2.0, ('pool', 'h20'): 1.0}
    """
    found = {("pool", str(name)): float(value) for name, value in of_pools.items()}
    return {WHOLE: float(of_pools.sum()), **found}


def with_column(summary: pd.DataFrame, name: str, values: Mapping[Scope, float]) -> pd.DataFrame:
    """Return a summary with an added column; NaN in rows whose scope is not in `values`."""
    keys = zip(summary["kind"], summary["scope"], strict=True)
    return summary.assign(**{name: [values.get(key, np.nan) for key in keys]})


def without_repeats(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a summary to show: a single pool only repeats the row of all pools.

    Jobs that never ran belong to no pool, so the row of all pools is kept.

    Examples
    --------
    >>> summary = pd.DataFrame({"scope": ["all", "h200"], "kind": ["all", "pool"], "jobs": [3, 2]})
    >>> without_repeats(summary)["scope"].tolist()
    ['all']
    """
    pools = summary["kind"] == "pool"
    return summary[~pools] if int(pools.sum()) == 1 else summary
