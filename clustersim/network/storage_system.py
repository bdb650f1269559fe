"""A storage system and its clients: how fast one job writes or reads a checkpoint alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats

__all__ = ["StorageSystem", "Transfers"]


@dataclass(frozen=True, slots=True, eq=False)
class Transfers:
    """Checkpoints, or other data, that jobs write or read.

    Attributes
    ----------
    size_bytes : float64 array (transfers,)
        Above 0.
    clients : float64 array (transfers,)
        Nodes that write or read at the same time.
    files : float64 array (transfers,)
        Files that are created or opened.
    reads : bool array (transfers,)
        Whether data are read.
    """

    size_bytes: Floats
    clients: Floats
    files: Floats
    reads: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        size_bytes: npt.ArrayLike,
        clients: npt.ArrayLike,
        files: npt.ArrayLike = 0.0,
        *,
        reads: npt.ArrayLike = False,
    ) -> Transfers:
        """Return transfers from numbers or arrays, which are broadcast to one shape."""
        size, n, count, direction = np.broadcast_arrays(
            np.atleast_1d(np.asarray(size_bytes, dtype=np.float64)),
            np.asarray(clients, dtype=np.float64),
            np.asarray(files, dtype=np.float64),
            np.asarray(reads, dtype=np.bool_),
        )
        return cls(size, n, count, direction)


@dataclass(frozen=True, slots=True)
class StorageSystem:
    """A storage system that jobs share.

    Reads and writes use the same disks and servers: a byte that is read takes 1 / `read_Bps` of
    their time, a byte that is written 1 / `write_Bps`. Jobs have equal shares of this time, as far
    as their clients can use them. The creation or opening of files overlaps
    with the transfer of data, so that the slower of both counts.

    Attributes
    ----------
    write_Bps, read_Bps : float
        Bandwidth of the system, bytes/s.
    client_Bps : float
        Bandwidth of one client (the network interface of a node), bytes/s.
    metadata_per_s : float
        Files that the system creates or opens per second.
    efficiency : tuple of (float, float)
        Numbers of clients that write or read at the same time, ascending, and the share of the
        bandwidth that is left with so many. Between them, the share is linear in the logarithm of
        the number; outside, it is that of the nearest.

    Examples
    --------
    A checkpoint of 1 TB that 16 nodes write through interfaces of 5 GB/s:

    >>> from clustersim.network import StorageSystem, Transfers
    >>> storage = StorageSystem(write_Bps=100e9, read_Bps=200e9, client_Bps=5e9)
    >>> storage.alone_s(Transfers.of(1e12, clients=16)).tolist()
    [12.5]

    With 2,000 files a second, 128,000 files take longer:

    >>> storage = StorageSystem(write_Bps=100e9, read_Bps=200e9, metadata_per_s=2000.0)
    >>> storage.alone_s(Transfers.of(1e12, clients=16, files=128_000)).tolist()
    [64.0]
    """

    write_Bps: float
    read_Bps: float
    client_Bps: float = math.inf
    metadata_per_s: float = math.inf
    efficiency: tuple[tuple[float, float], ...] = ()

    def efficiency_at(self, clients: Floats) -> Floats:
        """Return the share of the bandwidth that is left with some numbers of clients.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.network import StorageSystem
        >>> storage = StorageSystem(1e12, 1e12, efficiency=((10.0, 1.0), (1000.0, 0.2)))
        >>> storage.efficiency_at(np.array([1.0, 100.0, 5000.0])).round(3).tolist()
        [1.0, 0.6, 0.2]
        """
        if not self.efficiency:
            return np.ones(len(clients))
        at, share = np.array(self.efficiency).T
        found: Floats = np.interp(np.log(np.maximum(clients, 1.0)), np.log(at), share)
        return found

    def data_s_per_B(self, transfers: Transfers) -> Floats:
        """Return the time of the whole system that each byte takes, seconds."""
        return np.where(transfers.reads, 1.0 / self.read_Bps, 1.0 / self.write_Bps)

    def metadata_s_per_B(self, transfers: Transfers) -> Floats:
        """Return the time that the metadata of each byte take, seconds."""
        found: Floats = transfers.files / (transfers.size_bytes * self.metadata_per_s)
        return found

    def alone_Bps(self, transfers: Transfers) -> Floats:
        """Return the rate of each transfer if nothing else uses the system, bytes/s."""
        own = transfers.clients * self.client_Bps
        data = self.efficiency_at(transfers.clients) / self.data_s_per_B(transfers)
        with np.errstate(divide="ignore"):
            metadata = 1.0 / self.metadata_s_per_B(transfers)
        rate: Floats = np.minimum(np.minimum(own, data), metadata)
        return rate

    def rate_Bps(self, size_bytes: float, clients: float, files: float, *, reads: bool) -> float:
        """Return :meth:`alone_Bps` of one transfer, faster."""
        data_Bps = self.read_Bps if reads else self.write_Bps
        if self.efficiency:
            data_Bps *= float(self.efficiency_at(np.array([float(clients)]))[0])
        metadata_Bps = size_bytes * self.metadata_per_s / files if files else math.inf
        return min(clients * self.client_Bps, data_Bps, metadata_Bps)

    def alone_s(self, transfers: Transfers) -> Floats:
        """Return the time of each transfer if nothing else uses the system, seconds."""
        seconds: Floats = transfers.size_bytes / self.alone_Bps(transfers)
        return seconds
