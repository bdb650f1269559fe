"""Attempts at jobs. An attempt lasts from a start of a job until the job ends or is stopped."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
from simpy.events import Event

from clustersim.array_types import Floats, Ints
from clustersim.engine.recovery import NO_CHECKPOINTS, Checkpoints, Progress
from clustersim.scheduling.holding import Holding
from clustersim.scheduling.queue import Partition

__all__ = ["Attempt", "AttemptLog", "Attempts", "SlowedBy", "StopCause"]

SlowedBy: TypeAlias = Literal["nodes", "network", "storage"]
"""What can slow a job down. The slowdowns of all causes are multiplied."""

_BITS: dict[SlowedBy, int] = {"nodes": 1, "network": 2, "storage": 4}
_UNKNOWN = math.nan
_NEVER = math.inf


class StopCause(IntEnum):
    """Why an attempt was stopped before its job was done."""

    NOT_STOPPED = 0
    NODE = 1
    SAVED = 2
    REQUEUED = 3
    SUSPENDED = 4
    CANCELLED = 5
    NETWORK = 6


class Attempt:
    """A running attempt at a job, and its progress.

    Attributes
    ----------
    job, number : int
        Index of the job, and row of the attempt in the log.
    partition : Partition
        The partition on which it runs.
    began_s : float
        Time of its start, seconds.
    work_s : float
        Work that was left at its start, in seconds at full speed.
    checkpoints : Checkpoints
        How the job saves its state.
    again : bool
        Whether the job was stopped before this attempt.
    slowdown : float
        Current time per step divided by the time per step at full speed, for all causes together.
        While a job restarts that loads its state from shared storage, only the storage counts.
    write_s : float
        Current time after a checkpoint until it can be used, seconds.
    holding : Holding or None
        What the job holds if it has another size than it asks for, or is on several partitions.
    whole_s : float
        Time that the whole job would take there at full speed, seconds.
    end : Event
        The SimPy event of its completion.

    Examples
    --------
    >>> partition = Partition(0, 0, "gpu", "", 0, placement=None)
    >>> attempt = Attempt(0, 0, partition, began_s=100.0, work_s=80.0)
    >>> attempt.end_s
    180.0
    >>> attempt.rerate(150.0, 2.0)
    >>> attempt.at_full_speed_s(170.0), attempt.end_s
    (60.0, 210.0)

    With slow nodes alone, it would be done at 210 s:

    >>> attempt.rerate(170.0, 2.0, "network")
    >>> attempt.end_s, attempt.slowdown
    (250.0, 4.0)
    >>> done = attempt.whole(250.0)
    >>> done.slow_s, done.network_s
    (30.0, 40.0)
    """

    __slots__ = (
        "_by_network",
        "_by_nodes",
        "_by_storage",
        "_causes",
        "_done_s",
        "_network_s",
        "_paces",
        "_restarts",
        "_save_pace",
        "_since_s",
        "_stands_since_s",
        "_storage_s",
        "_wall_s",
        "again",
        "began_s",
        "checkpoints",
        "end",
        "holding",
        "job",
        "number",
        "partition",
        "slowdown",
        "whole_s",
        "work_s",
        "write_s",
    )
    end: Event

    def __init__(
        self,
        job: int,
        number: int,
        partition: Partition,
        began_s: float,
        work_s: float,
        checkpoints: Checkpoints = NO_CHECKPOINTS,
        again: bool = False,
        whole_s: float | None = None,
        holding: Holding | None = None,
    ) -> None:
        self.job = job
        self.number = number
        self.partition = partition
        self.began_s = self._since_s = began_s
        self.work_s = self._wall_s = work_s
        self._restarts = False
        self.write_s = 0.0
        if checkpoints is not NO_CHECKPOINTS:
            self._wall_s = checkpoints.wall_s(work_s, again=again)
            self._restarts = again and checkpoints.load_s > 0
            self.write_s = checkpoints.write_s
        self.checkpoints = checkpoints
        self.again = again
        self.whole_s = work_s if whole_s is None else whole_s
        self.holding = holding
        self._done_s = 0.0
        self._paces: tuple[tuple[float, float, float], ...] = ()
        self._stands_since_s = _NEVER
        self.slowdown = self._by_nodes = self._by_network = self._by_storage = 1.0
        self._network_s = self._storage_s = 0.0
        self._causes = 0

    @property
    def end_s(self) -> float:
        """Time (seconds) at which the attempt completes its job if its pace does not change."""
        return self._since_s + (self._wall_s - self._done_s) * self.slowdown

    @property
    def is_plain(self) -> bool:
        """Whether it is the first one, of the usual size, at one pace and without checkpoints."""
        return (
            self.checkpoints is NO_CHECKPOINTS
            and not self.again
            and self.slowdown == 1.0
            and self._since_s == self.began_s
            and self.holding is None
        )

    @property
    def stands_still(self) -> bool:
        """Whether the job saves its state to leave."""
        return self._stands_since_s < _NEVER

    def at_full_speed_s(self, now: float) -> float:
        """Return the seconds that the progress up to `now` would have taken at full speed."""
        return self._done_s + (now - self._since_s) / self.slowdown

    @property
    def restarts(self) -> bool:
        """Whether the job restarts, and will load its state from shared storage or loads it."""
        return self._restarts

    def slowed_by(self, cause: SlowedBy) -> float:
        """Return the current slowdown by one cause."""
        if cause == "nodes":
            return self._by_nodes
        return self._by_network if cause == "network" else self._by_storage

    def rerate(self, now: float, slowdown: float, cause: SlowedBy = "nodes") -> None:
        """Change the slowdown by one cause from `now` on.

        That by the storage may be infinite while the job restarts.
        """
        self._settle(now)
        self._causes |= _BITS[cause]
        if cause == "nodes":
            self._by_nodes = slowdown
        elif cause == "network":
            self._by_network = slowdown
        else:
            self._by_storage = slowdown
        self._set_pace()

    def loaded(self, now: float) -> None:
        """Begin the work, because the job has loaded its state."""
        self._settle(now)
        # Exactly, without the rounding and the tolerance of the paces until now.
        self._done_s = self.checkpoints.restart_s
        self._storage_s = max(0.0, now - self.began_s - self.checkpoints.restart_s)
        self._restarts, self._by_storage = False, 1.0
        self._causes |= _BITS["storage"]
        self._set_pace()

    def _set_pace(self) -> None:
        if self._restarts:
            self.slowdown = self._by_storage
        else:
            self.slowdown = self._by_nodes * self._by_network * self._by_storage

    def _settle(self, now: float) -> None:
        """Note the progress up to `now`, when the pace changes."""
        if self.checkpoints.write_s > 0:
            self._paces += ((self._since_s, self._done_s, self.slowdown),)
        self._done_s = self.at_full_speed_s(now)
        self._network_s, self._storage_s = self._lost_until(now)
        self._since_s = now

    def _lost_until(self, time: float) -> tuple[float, float]:
        """Return the time that ideal network and storage would have saved until `time`.

        What the storage cost comes first: without it, the network would have cost more.
        """
        passed_s = time - self._since_s
        storage_s = self._storage_s + passed_s * (1.0 - 1.0 / self._by_storage)
        if self._restarts:
            return self._network_s, storage_s
        moved_s = passed_s / self._by_storage
        return self._network_s + moved_s * (1.0 - 1.0 / self._by_network), storage_s

    def _lost_s(self, lost_s: float, time: float) -> tuple[float, float, float]:
        """Divide the time lost until `time` into that to slow nodes, network and storage."""
        network_s, storage_s = self._lost_until(time)
        by_storage = bool(self._causes & _BITS["storage"])
        rest_s = lost_s - storage_s if by_storage else lost_s
        if not self._causes & _BITS["nodes"]:
            only_storage = by_storage and not self._causes & _BITS["network"]
            return 0.0, 0.0 if only_storage else rest_s, storage_s
        return rest_s - network_s, network_s, storage_s

    def stand_still(self, now: float) -> None:
        """Make no more progress from `now` on, because the job saves its state."""
        self._stands_since_s = now
        self._save_pace: tuple[float, float, float] = now, 1.0, 0.0

    def slow_save(self, now: float, slowdown: float) -> None:
        """Change the slowdown by the storage of a job that saves its state to leave."""
        self._save_pace = now, slowdown, self._lost_in_save_s(now)

    def _lost_in_save_s(self, now: float) -> float:
        """Return the time of the present save that other jobs on the storage took."""
        since_s, slowdown, lost_s = self._save_pace
        return lost_s + (now - since_s) * (1.0 - 1.0 / slowdown)

    def progress(self, now: float, *, saved: bool) -> Progress:
        """Return how the time of the attempt was used if the attempt is stopped at `now`."""
        moved_until_s = min(now, self._stands_since_s)
        elapsed_s = self.at_full_speed_s(moved_until_s)
        in_time_s = elapsed_s
        if self.checkpoints.write_s > 0:  # of checkpoints made until then, all have been written
            in_time_s = self._reached_s(min(now - self.write_s, moved_until_s))
        progress = self.checkpoints.progress(
            elapsed_s, self.work_s, again=self.again, saved=saved, in_time_s=in_time_s
        )
        slow_s, network_s, storage_s = self._lost_s(
            moved_until_s - self.began_s - elapsed_s, moved_until_s
        )
        checkpoint_s = progress.checkpoint_s + now - moved_until_s
        if self.stands_still:
            in_save_s = self._lost_in_save_s(now)
            checkpoint_s, storage_s = checkpoint_s - in_save_s, storage_s + in_save_s
        return progress._replace(
            checkpoint_s=checkpoint_s, slow_s=slow_s, network_s=network_s, storage_s=storage_s
        )

    def _reached_s(self, time: float) -> float:
        """Return :meth:`at_full_speed_s` of a time that may be before the pace last changed."""
        if time >= self._since_s:
            return self.at_full_speed_s(time)
        for since_s, done_s, slowdown in reversed(self._paces):
            if time >= since_s:
                return done_s + (time - since_s) / slowdown
        return 0.0

    def whole(self, now: float) -> Progress:
        """Return how the time of the attempt was used if the job is completed at `now`."""
        progress = self.checkpoints.whole(self.work_s, again=self.again)
        at_one_pace = self._since_s == self.began_s and self.slowdown == 1.0
        if at_one_pace:
            return progress
        slow_s, network_s, storage_s = self._lost_s(now - self.began_s - self._wall_s, now)
        return progress._replace(slow_s=slow_s, network_s=network_s, storage_s=storage_s)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts in order of their start, one column per attribute.

    Attributes
    ----------
    job, partition : int64 arrays (attempts,)
    start_s, end_s : float64 arrays (attempts,)
        The end is NaN for an attempt that was still running when the simulation ended.
    kept_s, lost_s, checkpoint_s, restart_s, slow_s, network_s, storage_s : float64 arrays
        How the time of each attempt was used so far, see
        :class:`~clustersim.engine.recovery.Progress`; shape (attempts,).
    done : float64 array (attempts,)
        Share of the job's work that the attempt did and kept so far.
    cause : int64 array (attempts,)
        Why the attempt was stopped, see :class:`StopCause`.
    n_accelerators : int64 array (attempts,)
        Number of accelerators that it held.
    parts : mapping of int to tuple of (int, int)
        Partition and number of accelerators of each part of an attempt on several partitions; the
        first part is on the attempt's partition.
    """

    job: Ints
    partition: Ints
    start_s: Floats
    end_s: Floats
    kept_s: Floats
    lost_s: Floats
    checkpoint_s: Floats
    restart_s: Floats
    slow_s: Floats
    network_s: Floats
    storage_s: Floats
    done: Floats
    cause: Ints
    n_accelerators: Ints
    parts: Mapping[int, tuple[tuple[int, int], ...]]

    def has_sizes(self, asked: Ints) -> bool:
        """Return whether an attempt had another size than its job asks for, or several parts."""
        return bool(self.parts) or bool((self.n_accelerators != asked[self.job]).any())


@dataclass(slots=True)
class AttemptLog:
    """Records attempts as they begin and end.

    Most attempts are plain (:attr:`Attempt.is_plain`). For these, only the start and the end are
    recorded; :meth:`columns` computes the other values for all of them at once.
    """

    _job: array[int] = field(default_factory=lambda: array("q"))
    _partition: array[int] = field(default_factory=lambda: array("i"))
    _end_s: array[float] = field(default_factory=lambda: array("d"))
    _start_s: array[float] = field(default_factory=lambda: array("d"))
    _noted: dict[int, tuple[float, ...]] = field(default_factory=dict)
    _cause: dict[int, StopCause] = field(default_factory=dict)
    _parts: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    @property
    def n_attempts(self) -> int:
        """Number of attempts so far."""
        return len(self._start_s)

    def begin(self, job: int, partition: int, now: float, holding: Holding | None = None) -> int:
        """Record that a job starts, and return the number of its attempt."""
        number = len(self._start_s)
        if holding is not None:
            parts = tuple((part.partition.index, part.n) for part in holding.parts)
            self._parts[number] = parts
        self._job.append(job)
        self._partition.append(partition)
        self._end_s.append(_UNKNOWN)
        self._start_s.append(now)
        return number

    def end(self, attempt: int, now: float) -> None:
        """Record the end of an attempt.

        If :meth:`note` is not called for the attempt, it was plain and completed its job.
        """
        self._end_s[attempt] = now

    def note(
        self,
        attempt: int,
        progress: Progress,
        done: float,
        *,
        cause: StopCause = StopCause.NOT_STOPPED,
    ) -> None:
        """Record how the time of an attempt was used and which share of the job's work it did."""
        self._noted[attempt] = (*progress, done)
        if cause is not StopCause.NOT_STOPPED:
            self._cause[attempt] = cause

    def columns(self, work_s: Sequence[Sequence[float]], n_accelerators: Sequence[int]) -> Attempts:
        """Return the records as arrays; an attempt whose record is incomplete is left out.

        Parameters
        ----------
        work_s : sequence of sequence of float
            Work by partition and job, seconds.
        n_accelerators : sequence of int (jobs,)
            The number that each job asks for.
        """
        n = len(self._start_s)
        job = np.frombuffer(self._job, dtype=np.int64)[:n]
        partition = np.frombuffer(self._partition, dtype=np.int32)[:n].astype(np.int64)
        start_s, end_s = (np.frombuffer(each)[:n] for each in (self._start_s, self._end_s))
        kept_s, done = np.full(n, np.nan), np.ones(n)
        for index, of_jobs in enumerate(work_s):
            here = partition == index
            kept_s[here] = np.asarray(of_jobs)[job[here]]
        rest = np.zeros((len(Progress._fields) - 1, n))
        unknown = np.isnan(end_s)
        kept_s[unknown], rest[:, unknown], done[unknown] = np.nan, np.nan, 0.0
        if self._noted:
            rows = np.fromiter(self._noted, dtype=np.int64, count=len(self._noted))
            noted = np.array(list(self._noted.values())).T
            kept_s[rows], rest[:, rows], done[rows] = noted[0], noted[1:-1], noted[-1]
        lost_s, checkpoint_s, restart_s, slow_s, network_s, storage_s = rest
        split = kept_s, lost_s, checkpoint_s, restart_s, slow_s, network_s, storage_s
        cause = np.zeros(n, dtype=np.int64)
        cause[list(self._cause)] = list(self._cause.values())
        size = np.asarray(n_accelerators, dtype=np.int64)[job]
        size[list(self._parts)] = [sum(n for _, n in parts) for parts in self._parts.values()]
        several = {row: parts for row, parts in self._parts.items() if len(parts) > 1}
        return Attempts(job, partition, start_s, end_s, *split, done, cause, size, several)
