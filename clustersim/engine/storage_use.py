"""What the jobs of a run write to and read from storage that they share."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clustersim.network import StorageSystem, Transfers

__all__ = ["StorageUse", "TransferTimes"]


class TransferTimes(NamedTuple):
    """How long the transfers of a job take if nothing else uses the storage, seconds.

    Attributes
    ----------
    cost_s : float
        Time for which a checkpoint blocks the job.
    write_s : float
        Time after that until the checkpoint can be used.
    load_s : float
        Time to load the state of the job.
    first_s : float
        Time to read what the job reads at its first start.
    """

    cost_s: float
    write_s: float
    load_s: float
    first_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUse:
    """Storage systems, and what the jobs of a run write to them and read from them.

    Attributes
    ----------
    systems : sequence of StorageSystem
    names : sequence of str (systems,)
    system_of : sequence of int (pools,)
        The system of each pool.
    restores_at_once : sequence of int or None (systems,)
        Largest number of jobs that load at the same time, by system; None without a limit.
    chips_per_node : sequence of int (pools,)
        A node is a client of the storage.
    n_accelerators : sequence of int (jobs,)
        The number that each job asks for.
    size_bytes : sequence of float (jobs,)
        Size of the checkpoint of each job; 0 for a job that does not use the storage for it.
    first_bytes : sequence of float (jobs,)
        What each job reads when it first starts.
    plain_cost_s : float
        Time that a checkpoint takes which is not on the storage, seconds.
    files : float
        Files of a checkpoint for each accelerator.
    copy_Bps : float or None
        Rate at which each accelerator copies its part to its host, if jobs go on while this is
        written to the storage, bytes/s.
    service_bytes : mapping of str to float
        What each node reads that begins to serve, by service.
    tolerance : float
        A running job gets a new pace if the time of its saves changes by more than this part.

    Examples
    --------
    >>> from clustersim.engine.storage_use import StorageUse
    >>> from clustersim.network import StorageSystem
    >>> system = StorageSystem(write_Bps=100e9, read_Bps=200e9, client_Bps=5e9)
    >>> use = StorageUse(systems=[system], system_of=[0], restores_at_once=[None],
    ...                  chips_per_node=[8], n_accelerators=[64], size_bytes=[1e12])
    >>> use.times(0, pool=0, n=64)
    TransferTimes(cost_s=25.0, write_s=0.0, load_s=25.0, first_s=0.0)
    """

    systems: Sequence[StorageSystem]
    names: Sequence[str] = ("shared",)
    system_of: Sequence[int]
    restores_at_once: Sequence[int | None]
    chips_per_node: Sequence[int]
    n_accelerators: Sequence[int]
    size_bytes: Sequence[float]
    first_bytes: Sequence[float] = ()
    plain_cost_s: float = 0.0
    files: float = 0.0
    copy_Bps: float | None = None
    service_bytes: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 0.02
    _asked: list[tuple[Sequence[float], ...]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if not self.first_bytes:
            object.__setattr__(self, "first_bytes", [0.0] * len(self.size_bytes))
        n = np.array(self.n_accelerators, dtype=np.float64)
        size, first = np.array(self.size_bytes), np.array(self.first_bytes)
        for pool in range(len(self.system_of)):
            columns = self._times(pool, n, size, first)
            self._asked.append(tuple(array("d", column.tobytes()) for column in columns))

    @property
    def cost_s(self) -> list[Sequence[float]]:
        """Time for which a checkpoint blocks each job alone, by pool and job, seconds."""
        return [columns[0] for columns in self._asked]

    @property
    def write_s(self) -> list[Sequence[float]]:
        """Time after a checkpoint until it can be used, of each job alone, seconds."""
        return [columns[1] for columns in self._asked]

    @property
    def first_s(self) -> list[Sequence[float]]:
        """Time in which each job alone reads what it reads at its first start, seconds."""
        return [columns[3] for columns in self._asked]

    def of_jobs(self, rows: Sequence[int]) -> StorageUse:
        """Return the use by only the jobs at `rows`."""
        return replace(
            self,
            n_accelerators=[self.n_accelerators[row] for row in rows],
            size_bytes=[self.size_bytes[row] for row in rows],
            first_bytes=[self.first_bytes[row] for row in rows],
        )

    def clients(self, pool: int, n: int) -> int:
        """Return the number of clients of a job with `n` accelerators on as few nodes as possible.

        Placements that count accelerators alone do not know the nodes of a job.
        """
        return math.ceil(n / self.chips_per_node[pool])

    def times(self, job: int, pool: int, n: int) -> TransferTimes:
        """Return how long the transfers of a job take alone, on `n` accelerators of a pool."""
        if n == self.n_accelerators[job]:
            return TransferTimes(*(column[job] for column in self._asked[pool]))
        sizes = (np.array([float(each[job])]) for each in (self.size_bytes, self.first_bytes))
        columns = self._times(pool, np.array([float(n)]), *sizes)
        return TransferTimes(*(float(column[0]) for column in columns))

    def _times(
        self,
        pool: int,
        n: npt.NDArray[np.float64],
        size: npt.NDArray[np.float64],
        first: npt.NDArray[np.float64],
    ) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the fields of :class:`TransferTimes`, one array each."""
        clients = np.ceil(n / self.chips_per_node[pool])
        stored = size > 0
        written_s = self._alone_s(pool, size, clients, n * self.files, reads=False)
        load_s = self._alone_s(pool, size, clients, n * self.files, reads=True)
        first_s = self._alone_s(pool, first, clients, n * self.files, reads=True)
        if self.copy_Bps is None:
            cost_s, write_s = written_s, np.zeros(len(n))
        else:
            cost_s, write_s = size / (n * self.copy_Bps), written_s
        return np.where(stored, cost_s, self.plain_cost_s), write_s, load_s, first_s

    def _alone_s(
        self,
        pool: int,
        size: npt.NDArray[np.float64],
        clients: npt.NDArray[np.float64],
        files: npt.NDArray[np.float64],
        *,
        reads: bool,
    ) -> npt.NDArray[np.float64]:
        """Return the time that each transfer takes alone, seconds; 0 for one without bytes."""
        some = size > 0
        found = np.zeros(len(size))
        transfers = Transfers.of(size[some], clients[some], files[some], reads=reads)
        found[some] = self.systems[self.system_of[pool]].alone_s(transfers)
        return found
