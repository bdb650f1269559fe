"""The load of trunks over time, for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.network.contention import SharedTrunks
from clustersim.network.gang_links import GangLinks
from clustersim.network.trunks import LEVELS

__all__ = ["AT_LEAST", "MOST_SAMPLES", "TrunkLoads"]

MOST_SAMPLES = 500
"""Largest number of instants in the table."""
AT_LEAST, _AT_MOST = 50, 200
"""Number of trunks in the table, if there are so many."""


class TrunkLoads:
    """Records the expected load of trunks when it changes, at most `MOST_SAMPLES` times.

    If there are more changes, time is divided into equal intervals, and only the last change in
    each is recorded (and the very first one). So a record is the load at the end of an interval,
    with the time since when it has been so.

    Parameters
    ----------
    n_trunks : int, optional
        Number of trunks that are recorded, the first ones; by default all.
    """

    def __init__(self, n_trunks: int | None = None) -> None:
        self._n_trunks = n_trunks
        self._times_s: list[float] = []
        self._loads: list[Floats] = []
        self._interval_s = 0.0
        self._last: tuple[float, SharedTrunks] | None = None  # a change that is not yet recorded

    def about_to_change(self, time_s: float, trunks: SharedTrunks) -> None:
        """Record the load that ends, unless this change replaces it (as an observer)."""
        if self._last is not None and self._later(self._last[0], time_s):
            self._record()
            if len(self._times_s) >= 2 * MOST_SAMPLES:
                self._thin()

    def changed(self, time_s: float, trunks: SharedTrunks) -> None:
        """Note that there is a new load from a time on (as an observer of the network driver)."""
        self._last = time_s, trunks

    def _later(self, before_s: float, time_s: float) -> bool:
        """Return whether a time is in a later interval than another one."""
        if not self._interval_s or not self._times_s:
            return time_s > before_s
        first_s = self._times_s[0]
        before, now = (each - first_s for each in (before_s, time_s))
        return now // self._interval_s > before // self._interval_s

    def _record(self) -> None:
        if self._last is not None:
            time_s, trunks = self._last
            self._times_s.append(time_s)
            self._loads.append(trunks.utilisation()[: self._n_trunks])
            self._last = None

    def _thin(self) -> None:
        """Keep the first record and the last one of each interval."""
        times_s = self._times_s
        self._interval_s = (times_s[-1] - times_s[0]) / (MOST_SAMPLES - 2)
        last = len(times_s) - 1
        kept = [
            k
            for k, time_s in enumerate(times_s)
            if k in (0, last) or self._later(time_s, times_s[k + 1])
        ]
        self._times_s = [times_s[k] for k in kept]
        self._loads = [self._loads[k] for k in kept]

    def table(self, links: GangLinks, pools: list[str]) -> pd.DataFrame:
        """Return the recorded load of the trunks that were full, and of the most loaded ones.

        Returns
        -------
        pandas.DataFrame
            ``time_s``, ``pool``, ``level`` (``leaf``, ``spine`` or ``datacenter``), ``group``
            (number of the leaf or pod in the pool), ``utilisation`` (expected load divided by
            capacity, from this time on).
        """
        self._record()
        if len(self._times_s) > MOST_SAMPLES:
            self._thin()
        graph = links.graph
        load = np.array(self._loads).reshape(len(self._times_s), links.n_shared)
        most = load.max(axis=0, initial=0.0)
        order = np.lexsort((np.arange(most.size), -load.mean(axis=0) if len(load) else most, -most))
        full = int((most >= 1.0 - 1e-6).sum())
        shown = np.sort(order[: max(AT_LEAST, min(full, _AT_MOST))])
        trunk = links.trunk[shown]
        n_times = len(load)
        return pd.DataFrame(
            {
                "time_s": np.repeat(np.array(self._times_s), len(shown)),
                "pool": _labelled(np.tile(graph.pool[trunk], n_times), pools),
                "level": _labelled(np.tile(graph.level[trunk], n_times), LEVELS),
                "group": np.tile(graph.group[trunk], n_times),
                "utilisation": load[:, shown].ravel(),
            }
        )


def _labelled(codes: Ints, labels: Sequence[str]) -> pd.Series[str]:
    return pd.Series(pd.Categorical.from_codes(codes.tolist(), pd.Index(labels)))
