"""The load of shared storage over time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.engine.engine import Simulation
from clustersim.engine.recovery import Recovery
from clustersim.engine.storage_driver import StorageDriver
from clustersim.network import SharedStorage

__all__ = ["MOST_INTERVALS", "StorageLoads", "drive_storage"]

MOST_INTERVALS = 500
"""Largest number of intervals in the table, for each system."""
_COLUMNS = ("write_Bps", "read_Bps", "utilisation")


def drive_storage(
    simulation: Simulation, recovery: Recovery | None
) -> tuple[StorageDriver, StorageLoads] | None:
    """Let the jobs of a simulation that has not started yet share storage.

    None if they share none.
    """
    if recovery is None or recovery.storage is None:
        return None
    loads = StorageLoads(len(recovery.storage.systems))
    return StorageDriver(simulation, recovery.storage, loads), loads


class StorageLoads:
    """Means over equal intervals of what is written, read and used of each system.

    The means are exact: whenever there are twice as many intervals as the table may have, each two
    of them become one.

    Parameters
    ----------
    n_systems : int
    """

    def __init__(self, n_systems: int) -> None:
        self._systems = [_Load() for _ in range(n_systems)]

    def changed(self, time_s: float, system: int, storage: SharedStorage) -> None:
        """Note new rates from a time on (as an observer of the storage driver)."""
        self._systems[system].change(time_s, storage.usage())

    def table(self, end_s: float, names: list[str]) -> pd.DataFrame:
        """Return the load of each system until the end of the run.

        Parameters
        ----------
        end_s : float
            End of the run, seconds.
        names : list of str
            Names of the systems.

        Returns
        -------
        pandas.DataFrame
            ``storage`` (name of the system), ``time_s`` and ``end_s`` (start and end of an
            interval, seconds), and the means ``write_Bps``, ``read_Bps`` (bytes/s) and
            ``utilisation`` (see :meth:`~clustersim.network.SharedStorage.usage`).
        """
        parts = []
        for code, load in enumerate(self._systems):
            edges, means = load.means(end_s)
            labels = pd.Categorical.from_codes([code] * (len(edges) - 1), pd.Index(names))
            columns = dict(zip(_COLUMNS, means, strict=True))
            parts.append(
                pd.DataFrame(
                    {"storage": labels, "time_s": edges[:-1], "end_s": edges[1:], **columns}
                )
            )
        return pd.concat(parts, ignore_index=True)


class _Load:
    """The load of one system; `_sums` has its integrals over the intervals."""

    def __init__(self) -> None:
        self._width_s = 1.0
        self._sums = np.zeros((len(_COLUMNS), 2 * MOST_INTERVALS))
        self._since_s = 0.0
        self._now = np.zeros(len(_COLUMNS))

    def change(self, time_s: float, usage: tuple[float, float, float]) -> None:
        """Add what was used until a time, from which on other rates apply."""
        self._add(time_s)
        self._now = np.array(usage)

    def means(self, end_s: float) -> tuple[Floats, Floats]:
        """Return the edges of the intervals until `end_s`, and the mean in each."""
        self._add(end_s)
        while end_s > self._width_s * MOST_INTERVALS:
            self._merge()
        count = max(1, int(np.ceil(end_s / self._width_s)))
        edges = np.minimum(self._width_s * np.arange(count + 1), end_s)
        spans = np.diff(edges)
        found = np.divide(
            self._sums[:, :count], spans, out=np.zeros((len(_COLUMNS), count)), where=spans > 0
        )
        return edges, found

    def _add(self, until_s: float) -> None:
        begin_s, self._since_s = self._since_s, max(until_s, self._since_s)
        while until_s > self._width_s * self._sums.shape[1]:
            self._merge()
        if until_s <= begin_s:
            return
        first = int(begin_s / self._width_s)
        last = min(int(until_s / self._width_s), self._sums.shape[1] - 1)
        if first == last:
            self._sums[:, first] += (until_s - begin_s) * self._now
            return
        edges = self._width_s * np.arange(first, last + 2)
        spans = np.minimum(edges[1:], until_s) - np.maximum(edges[:-1], begin_s)
        self._sums[:, first : last + 1] += self._now[:, None] * np.maximum(spans, 0.0)

    def _merge(self) -> None:
        """Make one interval of each two."""
        half = self._sums.shape[1] // 2
        self._sums[:, :half] = self._sums[:, ::2] + self._sums[:, 1::2]
        self._sums[:, half:] = 0.0
        self._width_s *= 2.0
