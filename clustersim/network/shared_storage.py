"""Rates of transfers that share a storage system, some of which go on only part of the time.

Transfers that go on now have equal shares of the time of the system, as far as their clients can
use them (max-min fairness). Jobs that save their state regularly are too many to follow each save:
a transfer meets the save of such a job with the probability that the job saves, its *duty*, which
itself depends on the rates (a mean-field fixed point, as for
:mod:`~clustersim.network.contention`).

Symbols, for transfer k:

* ``x_k``, its share of the time of disks and servers, and ``c_k``, its share if it were alone.
* ``m_k``, the time of the metadata servers that it takes for each second of the disks.
* ``p_k``, the duty: 1 for a transfer that goes on now.
* ``C``, what there is: 1, or the share of the bandwidth that is left with so many clients.

The share of transfer k is the largest one, up to ``c_k``, with

    x_k + sum over j != k of p_j min(x_k, c_j) <= C,

and the same for metadata, with factors ``m_k`` and ``m_j``, and 1 for C.

Without regular saves, this is max-min fairness. With nothing else than regular saves of equal jobs
without clients' limits, a save takes ``1 + (n - 1) p`` times as long as alone, which is the
approximation by Schweitzer and Bard of a closed queueing network with processor sharing (Lazowska
et al., "Quantitative System Performance", 1984, chapter 6). A transfer that goes on now leaves
nothing unused, so it has at least what the regular saves leave on average.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.network.storage_system import StorageSystem

__all__ = ["SharedStorage"]

_MOST_ROUNDS = 200
_ROOM = 1.0 + 1e-12
"""Relative excess of demand over what there is that rounding explains."""
_SECONDS, _RATE, _CLIENTS, _READ, _WRITTEN, _METADATA, _ALONE = range(7)
_PERIOD, _KIND, _LEAST, _DUTY, _SHARE = range(7, 12)
"""Rows of the table of transfers, which has a column for each. Seconds, rate (bytes/s) and least
duty are those of the transfer alone; read and written are what it reads and writes with the whole
system (bytes/s); metadata are ``m_k``, alone is ``c_k``, the share ``x_k``."""
_NOW, _BLOCKING, _BACKGROUND = range(3)
"""Kinds of transfers: those that go on now, and regular saves that block a job or do not."""


class SharedStorage:
    """The transfers that share one storage system, and the rate of each.

    Parameters
    ----------
    system : StorageSystem
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
    >>> storage.settle(), round(storage.rate_Bps(0) / 1e9, 3)
    ([0, 1], 50.0)
    >>> storage.end(1)
    >>> storage.settle(), round(storage.rate_Bps(0) / 1e9, 3)
    ([0], 100.0)

    Another job saves 1 TB after every 90 s of work. A save would take 10 s alone, and takes 20 s
    now. So this job writes for 20 of 110 s, and the first one has 11 / 13 of the system:

    >>> storage.save_regularly(2, size_bytes=1e12, clients=4, period_s=90.0)
    >>> storage.settle(), round(storage.stretch(2), 9), round(storage.rate_Bps(0) / 1e9, 3)
    ([0, 2], 2.0, 90.909)
    """

    def __init__(self, system: StorageSystem, *, tolerance: float = 0.01) -> None:
        self.system = system
        self.tolerance = tolerance
        self._slot_of: dict[int, int] = {}
        self._keys: list[int] = []
        self._table = np.zeros((12, 16))
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
        self._add(key, self._column(size_bytes, clients, files, reads, _NOW, 0.0))
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
        self._add(key, self._column(size_bytes, clients, files, False, kind, period_s))

    def end(self, key: int) -> None:
        """Remove a transfer, or a job that saves regularly."""
        slot, last = self._slot_of.pop(key), len(self._keys) - 1
        if self._table[_KIND, slot] == _NOW:
            self._is_due = True
        if key in self._new:
            self._new.remove(key)
        else:
            self._drift += self._load(slot)
        moved = self._keys.pop()
        if slot != last:
            self._keys[slot], self._slot_of[moved] = moved, slot
            self._table[:, slot] = self._table[:, last]

    def rate_Bps(self, key: int) -> float:
        """Return the rate of a transfer while it goes on, bytes/s."""
        return _rate_Bps(self._table[:, self._slot_of[key]])

    def stretch(self, key: int) -> float:
        """Return the time that a transfer takes at its rate, divided by its time alone."""
        column = self._table[:, self._slot_of[key]]
        return float(column[_ALONE] / column[_SHARE])

    def next_rate_Bps(
        self, *, size_bytes: float, clients: float, files: float = 0.0, reads: bool
    ) -> float:
        """Return the rate that a transfer would have if it began now, bytes/s.

        It is that at the last computation of rates.
        """
        column = self._column(size_bytes, clients, files, reads, _NOW, 0.0)
        if self._keys:
            expected = self._expected or _Expected(self.system, self._own)
            column[_SHARE] = expected.shares(column[:, None], among=False)[0]
        return _rate_Bps(column)

    def usage(self) -> tuple[float, float, float]:
        """Return what is expected to be written and read (bytes/s), and the utilisation.

        The utilisation is the part that is used of what the system gives to so many clients: of
        its bandwidth, or of its metadata rate if a larger part of this is used. It is at most 1
        except for rounding, and 1 where transfers slow each other down.
        """
        if not self._keys:
            return 0.0, 0.0, 0.0
        own = self._own
        used = own[_DUTY] * own[_SHARE]
        data = float(used.sum())
        if self.system.efficiency:
            clients = np.array([_sum(own[_DUTY], own[_CLIENTS])])
            data /= float(self.system.efficiency_at(clients)[0])
        written, read = _sum(used, own[_WRITTEN]), _sum(used, own[_READ])
        return written, read, max(data, _sum(used, own[_METADATA]))

    def settle(self) -> list[int]:
        """Compute the rates after the last changes.

        Returns
        -------
        list of int
            The transfers and jobs whose rates may have changed, in ascending order.
        """
        new = sorted(self._new)
        self._new.clear()
        expected, slots = self._expected, [self._slot_of[key] for key in new]
        if expected is not None and not self._is_due:
            if slots:
                self._join(slots, expected)
                self._drift += sum(self._load(slot) for slot in slots)
            if self._drift <= self.tolerance:
                return new
        self._is_due, self._drift = False, 0.0
        if self._fits():
            self._expected, own = None, self._own
            own[_SHARE], own[_DUTY] = own[_ALONE], own[_LEAST]
            if expected is None:  # as before
                return new
        else:
            self._solve()
        return sorted(self._keys)

    # --- Internals ----------------------------------------------------------------------

    @property
    def _own(self) -> Floats:
        """The columns of all transfers."""
        return self._table[:, : len(self._keys)]

    def _add(self, key: int, column: Floats) -> None:
        slot = len(self._keys)
        if slot == self._table.shape[1]:
            self._table = np.concatenate([self._table, np.zeros_like(self._table)], axis=1)
        self._slot_of[key] = slot
        self._keys.append(key)
        self._new.append(key)
        self._table[:, slot] = column

    def _column(
        self,
        size_bytes: float,
        clients: float,
        files: float,
        reads: bool,
        kind: int,
        period_s: float,
    ) -> Floats:
        """Return the column of a transfer in the table."""
        system = self.system
        s_per_B = 1.0 / (system.read_Bps if reads else system.write_Bps)
        rate_Bps = system.rate_Bps(size_bytes, clients, files, reads=reads)
        found = np.zeros(len(self._table))
        found[_CLIENTS], found[_KIND], found[_PERIOD] = clients, kind, period_s
        found[_READ if reads else _WRITTEN] = 1.0 / s_per_B
        found[_RATE], found[_SECONDS] = rate_Bps, size_bytes / rate_Bps
        found[_METADATA] = files / (size_bytes * system.metadata_per_s) / s_per_B
        found[_ALONE] = found[_SHARE] = rate_Bps * s_per_B
        found[_LEAST] = found[_DUTY] = _duties(found)
        return found

    def _load(self, slot: int) -> float:
        """Return the part of the system that a job which saves regularly needs on average."""
        column = self._table[:, slot]
        return float(column[_DUTY] * column[_SHARE] * max(1.0, column[_METADATA]))

    def _join(self, slots: list[int], expected: _Expected) -> None:
        """Set the shares of new jobs that save regularly, beside those of all others."""
        own = self._table[:, slots]
        own[_SHARE] = expected.shares(own, among=False)
        own[_DUTY] = _duties(own)
        self._table[:, slots] = own

    def _fits(self) -> bool:
        """Return whether all can go on as if they were alone, because there is enough for all."""
        own = self._own
        rest = 1.0 - own[_LEAST]
        clients = _sum(own[_LEAST], own[_CLIENTS]) + (rest * own[_CLIENTS]).max(initial=0.0)
        there_is = float(self.system.efficiency_at(np.array([clients]))[0]) * _ROOM
        if _sum(own[_LEAST], own[_ALONE]) + (rest * own[_ALONE]).max(initial=0.0) > there_is:
            return False
        metadata = own[_ALONE] * own[_METADATA]
        return bool(_sum(own[_LEAST], metadata) + (rest * metadata).max(initial=0.0) <= _ROOM)

    def _solve(self) -> None:
        """Compute all shares."""
        own = self._own
        for _ in range(_MOST_ROUNDS):
            self._expected = _Expected(self.system, own)
            share = self._expected.shares(own, among=True)
            step = np.abs(share / own[_SHARE] - 1.0).max(initial=0.0)
            own[_SHARE] = share
            own[_DUTY] = _duties(own)
            if step <= 1e-3 * self.tolerance:
                break


def _sum(one: Floats, other: Floats) -> float:
    """Return the scalar product, whose last bit does not depend on the machine as that of BLAS."""
    return float((one * other).sum())


def _rate_Bps(column: Floats) -> float:
    return float(column[_SHARE] / column[_ALONE] * column[_RATE])


def _duties(own: Floats) -> Floats:
    """Return the part of the time in which each transfer goes on, with its share."""
    transfer_s = own[_SECONDS] * (own[_ALONE] / own[_SHARE])
    cycle_s = np.where(
        own[_KIND] == _BACKGROUND, np.maximum(own[_PERIOD], transfer_s), own[_PERIOD] + transfer_s
    )
    duty: Floats = np.where(own[_KIND] == _NOW, 1.0, transfer_s / cycle_s)
    return duty


class _Expected:
    """What transfers expect of each other, and the shares that follow."""

    def __init__(self, system: StorageSystem, everything: Floats) -> None:
        self._system = system
        table = everything.copy()
        now = table[_KIND] == _NOW
        saves = (table[_DUTY] * table[_SHARE])[~now]
        self._saves = float(saves.sum())
        self._all = _Resources(table, 1.0)
        self._now: _Resources | None = None
        if now.all():
            self._now = self._all
        elif now.any():
            metadata = _sum(saves, table[_METADATA, ~now])
            self._now = _Resources(table[:, now], 1.0 - metadata)

    def shares(self, own: Floats, *, among: bool) -> Floats:
        """Return the shares of some transfers, which are `among` those expected or are new."""
        rest = 1.0 - own[_DUTY] if among else np.ones(own.shape[1])
        clients = self._all.clients + rest * own[_CLIENTS]
        share = self._all.allowed(own, rest, self._system.efficiency_at(clients))
        now = own[_KIND] == _NOW
        if self._all is not self._now and now.any():  # what regular saves leave on average
            there_is = self._system.efficiency_at(clients[now]) - self._saves
            others = self._now or _Resources(own[:, :0], 1.0)
            left = others.allowed(own[:, now], rest[now], there_is)
            share[now] = np.maximum(share[now], left)
        return share


class _Resources:
    """Expected use of the disks and of the metadata servers by some transfers.

    `metadata` is what there is of the time of the metadata servers.
    """

    def __init__(self, table: Floats, metadata: float) -> None:
        self.clients = float((table[_DUTY] * table[_CLIENTS]).sum())
        self._there_is = metadata
        self._metadata: _Use | None = None
        caps = table[_ALONE]
        if table[_METADATA].any():
            self._metadata = _Use(table[_DUTY] * table[_METADATA], caps)
            caps = self._opened(table, 1.0 - table[_DUTY])
        self._data = _Use(table[_DUTY], caps)

    def allowed(self, own: Floats, rest: Floats, data: Floats) -> Floats:
        """Return the shares of transfers if `rest` of each is not among what is expected.

        `data` is what there is of the disks.
        """
        return self._data.allowed(rest, self._opened(own, rest), data)

    def _opened(self, own: Floats, rest: Floats) -> Floats:
        """Return the shares that the metadata servers allow."""
        caps: Floats = own[_ALONE]
        if self._metadata is None:
            return caps
        there_is = np.full(len(caps), self._there_is)
        found = self._metadata.allowed(rest * own[_METADATA], caps, there_is)
        caps = np.where(own[_METADATA] > 0, found, caps)
        return caps


class _Use:
    """Expected use of a resource as a function of the share that nobody exceeds.

    It is piecewise linear: transfer k adds ``mean_k`` times its share, up to its cap.
    """

    def __init__(self, mean: Floats, caps: Floats) -> None:
        order = np.argsort(caps, kind="stable")
        self._at, rising = caps[order], mean[order]
        rest = np.maximum(rising.sum() - np.cumsum(rising), 0.0)
        self._rising = np.concatenate([[rising.sum()], rest])
        self._capped = np.concatenate([[0.0], np.cumsum(rising * self._at)])
        self._used = self._capped[1:] + self._rising[1:] * self._at

    def allowed(self, more: Floats, caps: Floats, there_is: Floats) -> Floats:
        """Return shares, at most `caps`, that add `more` times themselves to what is expected."""
        corners = np.searchsorted(self._at, caps, side="right")
        used = self._capped[corners] + (self._rising[corners] + more) * caps
        free = used <= there_is * _ROOM
        if free.all():
            return caps
        # The use grows ever more slowly, so Newton's method climbs from corner to corner.
        share, corners = np.zeros(len(caps)), np.zeros(len(caps), dtype=np.int64)
        for _ in range(len(self._at) + 1):
            rising = self._rising[corners] + more
            with np.errstate(divide="ignore", invalid="ignore"):
                higher = np.where(rising > 0.0, (there_is - self._capped[corners]) / rising, np.inf)
            higher = np.minimum(np.maximum(higher, 0.0), caps)
            if (higher <= share).all():
                break
            share = np.maximum(share, higher)
            corners = np.searchsorted(self._at, share, side="right")
        found: Floats = np.where(free, caps, share)
        return found
