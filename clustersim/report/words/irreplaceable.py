"""Why replications of a log show no other period."""

from __future__ import annotations

import pandas as pd

from clustersim.analysis.next_period import LOG_FACTS
from clustersim.units import counted

__all__ = ["irreplaceable_blocks", "longer_log"]


def irreplaceable_blocks(runs: pd.DataFrame) -> str:
    """Return why replications of a log show nothing of other periods; empty if they do.

    Parameters
    ----------
    runs : pandas.DataFrame
        Those of a log have the columns :data:`~clustersim.analysis.next_period.LOG_FACTS`.

    Examples
    --------
    >>> irreplaceable_blocks(pd.DataFrame({"log_blocks": [2.0], "log_classes": [2.0]}))
    'of the 2 days of the log, no two can replace each other'
    >>> irreplaceable_blocks(pd.DataFrame({"log_blocks": [20.0], "log_classes": [7.0]}))
    ''
    """
    blocks, classes = (runs[name] if name in runs else pd.Series(dtype=float) for name in LOG_FACTS)
    alone = (blocks > 0) & (blocks - classes < 1)
    if not alone.any():
        return ""
    # Weeks can always replace each other.
    days = int(blocks[alone].iloc[0])
    return f"of the {counted(days, 'day')} of the log, no two can replace each other"


def longer_log(runs: pd.DataFrame) -> str:
    """Return what to do next if more replications show nothing of other periods; empty if they do.

    Examples
    --------
    >>> longer_log(pd.DataFrame({"log_blocks": [20.0], "log_classes": [7.0]}))
    ''
    """
    why = irreplaceable_blocks(runs)
    return f"Take a longer log: {why}, so that replications show no other period." if why else ""
