"""Rates of transfers that share a storage system, some of which go on only part of the time.

Transfers that go on now share the system max-min fairly. Jobs that save their state regularly are
too many to follow each save: a transfer meets the save of such a job with the probability that the
job saves, its *duty*, which itself depends on the rates (a mean-field fixed point, as for
:mod:`~clustersim.network.contention`).

Symbols, for transfer k:

* ``x_k``, its rate (bytes/s), and ``c_k``, its rate if it were alone.
* ``a_k``, the time of the system that a byte takes: of its disks and servers, or of its metadata.
* ``p_k``, the duty: 1 for a transfer that goes on now.
* ``C``, what the system gives: 1 of its time, or the share that is left with so many clients.

The rate of transfer k is the largest one, up to ``c_k``, with

    a_k x_k + sum over j != k of p_j a_j min(x_k, c_j) <= C.

Without regular saves, this is max-min fairness. With nothing else than regular saves of equal jobs
without clients' limits, a save takes ``1 + (n - 1) p`` times as long as alone, which is the
approximation by Schweitzer and Bard of a closed queueing network with processor sharing (Lazowska
et al., "Quantitative System Performance", 1984, chapter 6). A transfer that goes on now leaves
nothing unused, so it has at least what the regular saves leave on average.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.network.storage_system import StorageSystem, Transfers

__all__ = ["SharedStorage"]

_MOST_ROUNDS = 200
_ROOM = 1.0 + 1e-12
"""Relative excess of demand over what there is that rounding explains."""
_SIZE, _CLIENTS, _READS, _DATA, _METADATA, _ALONE, _PERIOD, _KIND, _DUTY, _RATE = range(10)
"""Rows of the table of transfers, which has a column for each."""
_NOW, _BLOCKING, _BACKGROUND = range(3)
"""Kinds of transfers: those that go on now, and regular saves that block a job or do not."""


class SharedStorage:
    """The transfers that share one storage system, and the rate of each.

    Parameters
    ----------
    system : StorageSystem
    spread : bool
        Whether jobs that save regularly agree on their turns, so that their saves meet only if
        there is more to write than the system can.
    tolerance : float
        After a change of the regular saves alone, rates are computed again when these have changed
        by more than this part of what the system can do.

    Examples
    --------
    Two jobs read at the same time, then one of them alone:

    >>> from clustersim.network import SharedStorage, StorageSystem
    >>> storage = SharedStorage(StorageSystem(write_Bps=100e9, read_Bps=100e9))
    >>> for job in (0, 1):
    ...     storage.begin(job, size_bytes=1e12, clients=4, reads=True)
    >>> storage.settle(), storage.rate_Bps(0) / 1e9
    ([0, 1], 50.0)
    >>> storage.end(1)
    >>> storage.settle(), storage.rate_Bps(0) / 1e9
    ([0], 100.0)

    Another job saves 1 TB after every 90 s of work. A save would take 10 s alone, and takes 20 s
    now. So this job writes for 20 of 110 s, and the first one has 11 / 13 of the system:

    >>> storage.save_regularly(2, size_bytes=1e12, clients=4, period_s=90.0)
    >>> storage.settle(), storage.stretch(2), round(storage.rate_Bps(0) / 1e9, 3)
    ([0, 2], 2.0, 90.909)
    """

    def __init__(
        self, system: StorageSystem, *, spread: bool = False, tolerance: float = 0.01
    ) -> None:
        self.system = system
        self.spread = spread
        self.tolerance = tolerance
        self._slot_of: dict[int, int] = {}
        self._keys: list[int] = []
        self._table = np.zeros((10, 16))
        self._is_due = True
        self._drift = 0.0
        self._new: list[int] = []
        self._expected: _Expected | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def begin(
        self, key: int, *, size_bytes: float, clients: float, files: float = 0.0, reads: bool
    ) -> None:
        """Add a transfer that goes on from now."""
        self._add(key, Transfers.of(size_bytes, clients, files, reads=reads), _NOW, 0.0)
        self._is_due = True

    def save_regularly(
        self,
        key: int,
        *,
        size_bytes: float,
        clients: float,
        files: float = 0.0,
        period_s: float,
        background: bool = False,
    ) -> None:
        """Add a job that saves its state regularly.

        Parameters
        ----------
        key : int
        size_bytes, clients, files : float
        period_s : float
            Time between two saves, seconds; with `background`, between their beginnings.
        background : bool
            Whether the job goes on while its state is written, until the next save is due.
        """
        kind = _BACKGROUND if background else _BLOCKING
        self._add(key, Transfers.of(size_bytes, clients, files), kind, period_s)
        self._new.append(key)

    def end(self, key: int) -> None:
        """Remove a transfer, or a job that saves regularly."""
        slot, last = self._slot_of.pop(key), len(self._keys) - 1
        if self._table[_KIND, slot] == _NOW:
            self._is_due = True
        elif key in self._new:
            self._new.remove(key)
        else:
            self._drift += self._load(slot)
        moved = self._keys.pop()
        if slot != last:
            self._keys[slot], self._slot_of[moved] = moved, slot
            self._table[:, slot] = self._table[:, last]

    def rate_Bps(self, key: int) -> float:
        """Return the rate of a transfer while it goes on, bytes/s."""
        return float(self._table[_RATE, self._slot_of[key]])

    def alone_Bps(self, key: int) -> float:
        """Return the rate of a transfer if nothing else used the system, bytes/s."""
        return float(self._table[_ALONE, self._slot_of[key]])

    def stretch(self, key: int) -> float:
        """Return the time that a transfer takes at its rate, divided by its time alone."""
        return self.alone_Bps(key) / self.rate_Bps(key)

    def next_rate_Bps(
        self, *, size_bytes: float, clients: float, files: float = 0.0, reads: bool
    ) -> float:
        """Return the rate that a transfer would have if it began now, bytes/s.

        It is that at the last computation of rates.
        """
        column = self._column(Transfers.of(size_bytes, clients, files, reads=reads), _NOW, 0.0)
        if self._expected is None:
            return float(column[_RATE, 0])
        return float(self._expected.rates(column, among=False)[0])

    def usage(self) -> tuple[float, float, float]:
        """Return what is expected to be written and read (bytes/s), and the utilisation.

        The utilisation is the part that is used of what the system gives to so many clients: of
        its bandwidth, or of its metadata rate if a larger part of this is used. It is at most 1
        except for rounding, and 1 where transfers slow each other down.
        """
        if not self._keys:
            return 0.0, 0.0, 0.0
        own = self._table[:, : len(self._keys)]
        mean = own[_DUTY] * own[_RATE]
        clients = np.array([float((own[_DUTY] * own[_CLIENTS]).sum())])
        data = float((mean * own[_DATA]).sum() / self.system.efficiency_at(clients)[0])
        read = float((mean * own[_READS]).sum())
        written = float((mean * (1.0 - own[_READS])).sum())
        return written, read, max(data, float((mean * own[_METADATA]).sum()))

    def settle(self) -> list[int]:
        """Compute the rates after the last changes.

        Returns
        -------
        list of int
            The transfers and jobs whose rates may have changed, in ascending order.
        """
        new = sorted(self._new)
        self._new.clear()
        slots = np.array([self._slot_of[key] for key in new], dtype=np.int64)
        if self._expected is not None and not self._is_due:
            self._join(slots)
            self._drift += sum(self._load(slot) for slot in slots.tolist())
            if self._drift <= self.tolerance:
                return new
        self._solve()
        return sorted(self._keys)

    # --- Internals ----------------------------------------------------------------------

    def _add(self, key: int, transfers: Transfers, kind: int, period_s: float) -> None:
        slot = len(self._keys)
        if slot == self._table.shape[1]:
            self._table = np.concatenate([self._table, np.zeros_like(self._table)], axis=1)
        self._slot_of[key] = slot
        self._keys.append(key)
        self._table[:, slot : slot + 1] = self._column(transfers, kind, period_s)

    def _column(self, transfers: Transfers, kind: int, period_s: float) -> Floats:
        """Return the column of a transfer in the table."""
        system, found = self.system, np.zeros((len(self._table), 1))
        found[_SIZE], found[_CLIENTS] = transfers.size_bytes, transfers.clients
        found[_READS], found[_KIND], found[_PERIOD] = transfers.reads, kind, period_s
        found[_DATA] = system.data_s_per_B(transfers)
        found[_METADATA] = system.metadata_s_per_B(transfers)
        found[_ALONE] = found[_RATE] = system.alone_Bps(transfers)
        found[_DUTY] = _duties(found)
        return found

    def _load(self, slot: int) -> float:
        """Return the part of the system that a job which saves regularly needs on average."""
        column = self._table[:, slot]
        a = max(column[_DATA], column[_METADATA])
        return float(column[_DUTY] * column[_RATE] * a)

    def _join(self, slots: Ints) -> None:
        """Set the rates of new jobs that save regularly, at the rates of all others."""
        if len(slots):
            assert self._expected is not None, "rates have been computed"
            own = self._table[:, slots]
            own[_RATE] = self._expected.rates(own, among=False)
            own[_DUTY] = _duties(own)
            self._table[:, slots] = own

    def _solve(self) -> None:
        """Compute all rates."""
        self._is_due, self._drift = False, 0.0
        own = self._table[:, : len(self._keys)]
        for _ in range(_MOST_ROUNDS):
            self._expected = _Expected(self.system, own, spread=self.spread)
            rate = self._expected.rates(own, among=True)
            step = np.abs(rate / own[_RATE] - 1.0).max(initial=0.0)
            own[_RATE] = rate
            own[_DUTY] = _duties(own)
            if step <= 1e-3 * self.tolerance:
                break


def _duties(own: Floats) -> Floats:
    """Return the part of the time in which each transfer goes on, at its rate."""
    transfer_s = own[_SIZE] / own[_RATE]
    cycle_s = np.where(
        own[_KIND] == _BACKGROUND, np.maximum(own[_PERIOD], transfer_s), own[_PERIOD] + transfer_s
    )
    duty: Floats = np.where(own[_KIND] == _NOW, 1.0, transfer_s / cycle_s)
    return duty


class _Expected:
    """What transfers expect of each other, and the rates that follow."""

    def __init__(self, system: StorageSystem, everything: Floats, *, spread: bool) -> None:
        self._system = system
        table = everything.copy()
        now = table[_KIND] == _NOW
        savers = table[:, ~now]
        flow = savers[_DUTY] * savers[_RATE]
        self._flow = float((flow * savers[_DATA]).sum())
        self._now = _Resources(table[:, now], 1.0 - float((flow * savers[_METADATA]).sum()))
        self._all = self._now if now.all() else _Resources(table, 1.0)
        self._turns = spread
        self._least_stretch = _even_stretch(system, savers) if spread and len(flow) else 1.0

    def rates(self, own: Floats, *, among: bool) -> Floats:
        """Return the rates of some transfers, which are `among` those expected or are new."""
        rest = 1.0 - own[_DUTY] if among else np.ones(own.shape[1])
        clients = self._all.clients + rest * own[_CLIENTS]
        rate = self._all.allowed(own, rest, self._system.efficiency_at(clients))
        if self._all is self._now:
            return rate
        now = own[_KIND] == _NOW
        if now.any():  # what regular saves leave on average
            data = self._system.efficiency_at(clients[now]) - self._flow
            left = self._now.allowed(own[:, now], rest[now], data)
            rate[now] = np.maximum(rate[now], left)
        if self._turns and not now.all():
            clients = self._now.clients + own[_CLIENTS, ~now]
            data = self._system.efficiency_at(clients)
            alone = self._now.allowed(own[:, ~now], np.ones(len(clients)), data)
            rate[~now] = np.minimum(alone, own[_ALONE, ~now] / self._least_stretch)
        return rate


class _Resources:
    """Expected use of the disks and of the metadata servers by some transfers.

    `metadata` is what there is of the time of the metadata servers.
    """

    def __init__(self, table: Floats, metadata: float) -> None:
        self.clients = float((table[_DUTY] * table[_CLIENTS]).sum())
        self._metadata = _Use(table, _METADATA, table[_ALONE])
        caps = self._metadata.allowed(table, table[_ALONE], 1.0 - table[_DUTY], metadata)
        self._there_is = metadata
        self._data = _Use(table, _DATA, caps)

    def allowed(self, own: Floats, rest: Floats, data: Floats) -> Floats:
        """Return the rates of transfers if `rest` of each is not among what is expected.

        `data` is what there is of the disks.
        """
        caps = self._metadata.allowed(own, own[_ALONE], rest, self._there_is)
        return self._data.allowed(own, caps, rest, data)


class _Use:
    """Expected use of a resource as a function of the rate that nobody exceeds.

    It is piecewise linear; its corners are the largest rates of the transfers, `caps`.
    """

    def __init__(self, table: Floats, row: int, caps: Floats) -> None:
        self._row = row
        order = np.argsort(caps, kind="stable")
        self._at = caps[order]
        rising = (table[_DUTY] * table[row])[order]
        rest = np.maximum(rising.sum() - np.cumsum(rising), 0.0)
        self._rising = np.concatenate([[rising.sum()], rest])
        self._capped = np.concatenate([[0.0], np.cumsum(rising * self._at)])
        self._used = self._capped[1:] + self._rising[1:] * self._at

    def allowed(self, own: Floats, caps: Floats, rest: Floats, there_is: Floats | float) -> Floats:
        """Return the rates of transfers, at most `caps`, if `rest` of each is not yet expected."""
        if not own[self._row].any():
            return caps
        more = rest * own[self._row]
        last = np.searchsorted(self._at, caps, side="right")
        used = self._capped[last] + (self._rising[last] + more) * caps
        free = (used <= there_is * _ROOM) | (own[self._row] == 0.0)
        first = np.zeros(len(caps), dtype=np.int64)  # number of corners within what there is
        while (going := first < last).any():
            middle = (first + last + 1) // 2
            corner = np.maximum(middle - 1, 0)
            within = self._used[corner] + more * self._at[corner] <= there_is
            first = np.where(going & within, middle, first)
            last = np.where(going & ~within, middle - 1, last)
        rising = self._rising[first] + more
        with np.errstate(divide="ignore", invalid="ignore"):
            solved = np.where(rising > 0.0, (there_is - self._capped[first]) / rising, np.inf)
        return np.where(free, caps, np.minimum(caps, np.maximum(solved, 0.0)))


def _even_stretch(system: StorageSystem, savers: Floats) -> float:
    """Return by how much regular saves must be longer than alone for all to have their turns.

    The system can do them all if the parts of its time that they need add up to at most 1.
    """
    alone_s = savers[_SIZE] / savers[_ALONE]
    own = system.efficiency_at(savers[_CLIENTS])

    def needed(stretch: float) -> float:
        saving_s = stretch * alone_s
        cycle_s = np.where(
            savers[_KIND] == _BACKGROUND,
            np.maximum(savers[_PERIOD], saving_s),
            savers[_PERIOD] + saving_s,
        )
        work = savers[_SIZE] / cycle_s
        return float(max((work * savers[_DATA] / own).sum(), (work * savers[_METADATA]).sum()))

    if needed(1.0) <= 1.0:
        return 1.0
    low, high = 1.0, 2.0
    while needed(high) > 1.0:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if needed(middle) > 1.0 else (low, middle)
    return high
