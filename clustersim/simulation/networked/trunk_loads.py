"""The load of trunks over time, for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.network.contention import SharedTrunks
from clustersim.network.gang_links import GangLinks
from clustersim.network.trunks import LEVELS

__all__ = ["MOST_SAMPLES", "TrunkLoads"]

MOST_SAMPLES = 500
"""Largest number of instants in the table."""
_AT_LEAST, _AT_MOST = 50, 200
"""Number of trunks in the table, if there are so many."""


class TrunkLoads:
    """Records the expected load of trunks when it changes, at most `MOST_SAMPLES` times.

    If there are more changes, every change is left out that follows another recorded one too soon.
    """

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._loads: list[Floats] = []
        self._least_gap_s = 0.0

    def changed(self, time_s: float, trunks: SharedTrunks) -> None:
        """Record the load from a time on (an observer of the network driver)."""
        times_s = self._times_s
        if times_s and time_s == times_s[-1]:
            self._loads[-1] = trunks.utilisation()
            return
        if times_s and time_s - times_s[-1] < self._least_gap_s:
            return
        times_s.append(time_s)
        self._loads.append(trunks.utilisation())
        if len(times_s) >= 2 * MOST_SAMPLES:
            self._thin()

    def _thin(self) -> None:
        """Keep at most `MOST_SAMPLES` records, at least a regular gap apart."""
        times_s = self._times_s
        self._least_gap_s = (times_s[-1] - times_s[0]) / (MOST_SAMPLES - 1)
        kept = [0]
        for k, time_s in enumerate(times_s):
            if time_s - times_s[kept[-1]] >= self._least_gap_s:
                kept.append(k)
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
        if len(self._times_s) > MOST_SAMPLES:
            self._thin()
        graph = links.graph
        load = np.array(self._loads).reshape(len(self._times_s), len(links.trunk))
        most = load.max(axis=0, initial=0.0)
        order = np.lexsort((np.arange(most.size), -load.mean(axis=0) if len(load) else most, -most))
        full = int((most >= 1.0 - 1e-6).sum())
        shown = np.sort(order[: max(_AT_LEAST, min(full, _AT_MOST))])
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
