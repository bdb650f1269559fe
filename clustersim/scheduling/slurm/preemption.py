"""Which running jobs are preempted so that a waiting job can start.

Source: Slurm's page "Preemption" and ``slurm.conf`` (``PreemptType``, ``PreemptMode``,
``PreemptExemptTime``, ``SchedulerParameters``).

1. Candidates: the running jobs that the waiting job may preempt (by tier of the partition, or by
   the list of its quality of service), whose mode is not off and whose exempt time is over.
2. Their order: lowest tier (or priority of the quality of service) first, then the smallest; with
   ``youngest_first`` the last started first.
3. They are added in this order until the waiting job fits. The last one added is then moved to the
   front and the pass is repeated (``preempt_reorder_count`` times), which may show that fewer do.

Resources are counted by name (pools, or resources of them). Which nodes they are on is the
placement's matter.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError, unknown_name

__all__ = [
    "PREEMPT_MODES",
    "PREEMPT_TYPES",
    "Preemption",
    "PreemptionRules",
    "Qos",
    "RunningJob",
    "SlurmPartition",
    "Victim",
    "WaitingJob",
]

PREEMPT_TYPES = ("none", "partition_prio", "qos")
PREEMPT_MODES = ("off", "cancel", "requeue", "suspend")


@dataclass(frozen=True, slots=True)
class SlurmPartition:
    """What a partition says about preemption.

    Attributes
    ----------
    tier : int
        ``PriorityTier``.
    mode : str or None
        How its jobs are preempted; None: as the cluster's rules say.
    grace_s : float
        Time between the notice and the end of a job that is cancelled or requeued, seconds.
    """

    tier: int = 1
    mode: str | None = None
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Qos:
    """What a quality of service says about preemption.

    Attributes
    ----------
    priority : float
        Victims of a low priority come first.
    preempts : frozenset of str
        Names of the qualities of service whose jobs it may preempt.
    mode : str or None
        How its jobs are preempted; None: as the cluster's rules say.
    exempt_s : float or None
        Run time before which its jobs are not preempted, seconds; None: as the rules say.
    grace_s : float
        As in :class:`SlurmPartition`.
    """

    priority: float = 0.0
    preempts: frozenset[str] = frozenset()
    mode: str | None = None
    exempt_s: float | None = None
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that wants to start: its identity, its needs by resource, and its rank.

    Examples
    --------
    >>> WaitingJob("b", {"h200": 8}, qos="high").needs
    {'h200': 8}
    """

    job: Hashable
    needs: Mapping[str, float]
    partition: str = ""
    qos: str = ""
    priority: float = 0.0


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that may have to make room; `holds` is what its preemption sets free.

    Examples
    --------
    >>> RunningJob("a", {"h200": 8}, qos="low", start_s=60.0).requeueable
    True
    """

    job: Hashable
    holds: Mapping[str, float]
    partition: str = ""
    qos: str = ""
    priority: float = 0.0
    start_s: float = 0.0
    requeueable: bool = True


@dataclass(frozen=True, slots=True)
class Victim:
    """A job to preempt: how (cancel, requeue or suspend), and after which notice in seconds.

    Examples
    --------
    >>> Victim("a", "requeue").grace_s
    0.0
    """

    job: Hashable
    mode: str
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PreemptionRules:
    """The preemption rules of a cluster.

    Attributes
    ----------
    type : {"none", "partition_prio", "qos"}
        ``PreemptType``.
    mode : {"off", "cancel", "requeue", "suspend"}
        ``PreemptMode`` of the cluster.
    partitions : mapping of str to SlurmPartition
        Partitions that are not named have the tier 1.
    qos : mapping of str to Qos
        Qualities of service that are not named may preempt nothing.
    exempt_s : float
        ``PreemptExemptTime``: run time before which no job is cancelled or requeued, seconds.
        Suspension is not delayed.
    within_qos : bool
        ``WITHIN``: a job may also preempt jobs of lower priority in its own quality of service.
    higher_priority_only : bool
        ``PRIORITY``: the waiting job must also have a higher priority than its victims.
    youngest_first : bool
        ``preempt_youngest_first``.
    reorder_count : int
        ``preempt_reorder_count``.

    Raises
    ------
    InputError
        If a type or mode is unknown, or a time is negative.

    Examples
    --------
    >>> PreemptionRules("qoss")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: preemption: type: unknown type 'qoss'; did you mean 'qos'?...
    """

    type: str = "none"
    mode: str = "off"
    partitions: Mapping[str, SlurmPartition] = field(default_factory=dict)
    qos: Mapping[str, Qos] = field(default_factory=dict)
    exempt_s: float = 0.0
    within_qos: bool = False
    higher_priority_only: bool = False
    youngest_first: bool = False
    reorder_count: int = 1

    def __post_init__(self) -> None:
        problems = []
        if self.type not in PREEMPT_TYPES:
            problems.append(f"type: {unknown_name('type', self.type, PREEMPT_TYPES)}")
        own = [(f"partitions.{k}", v.mode) for k, v in self.partitions.items()]
        own += [(f"qos.{name}", qos.mode) for name, qos in self.qos.items()]
        for where, mode in [("mode", self.mode), *((f"{k}.mode", v) for k, v in own)]:
            if mode is not None and mode not in PREEMPT_MODES:
                problems.append(f"{where}: {unknown_name('mode', mode, PREEMPT_MODES)}")
        if not self.exempt_s >= 0:
            problems.append(f"exempt_s: must be 0 or more, found {self.exempt_s:g}")
        if self.reorder_count < 0:
            problems.append(f"reorder_count: must be 0 or more, found {self.reorder_count}")
        if problems:
            raise InputError("preemption", problems)


class Preemption:
    """Finds the victims of waiting jobs among the jobs that run at one time.

    Parameters
    ----------
    rules : PreemptionRules
    running : sequence of RunningJob
        Ties between candidates keep this order.
    now_s : float
        The time, seconds.

    Examples
    --------
    >>> qos = {"high": Qos(10, preempts=frozenset({"low"})), "low": Qos()}
    >>> rules = PreemptionRules("qos", "requeue", qos=qos)
    >>> running = [RunningJob("a", {"h200": 8}, qos="low"), RunningJob("b", {"h200": 4}, qos="low")]
    >>> search = Preemption(rules, running, now_s=0.0)
    >>> search.victims(WaitingJob("c", {"h200": 8}, qos="high"), free={"h200": 0})
    [Victim(job='a', mode='requeue', grace_s=0.0)]
    """

    def __init__(self, rules: PreemptionRules, running: Sequence[RunningJob], now_s: float) -> None:
        self._rules = rules
        ranks = [_rank(rules, job) for job in running]
        starts = [-job.start_s if rules.youngest_first else 0.0 for job in running]
        sizes = [sum(job.holds.values()) for job in running]
        order = sorted(range(len(running)), key=lambda i: (starts[i], ranks[i], sizes[i]))
        victims = [_victim(rules, running[i], now_s) for i in order]
        self._victims = [victim for victim in victims if victim is not None]
        self._jobs = [running[i] for i, v in zip(order, victims, strict=True) if v is not None]
        self._ranks = np.array([_rank(rules, job) for job in self._jobs])
        self._qos = np.array([job.qos for job in self._jobs], dtype=object)
        self._priority = np.array([job.priority for job in self._jobs])
        names = dict.fromkeys(name for job in self._jobs for name in job.holds)
        self._held = {
            name: np.array([job.holds.get(name, 0.0) for job in self._jobs]) for name in names
        }
        self._known: dict[tuple[object, ...], Ints] = {}
        self._sums: dict[tuple[object, ...], tuple[Ints, Floats, Floats]] = {}

    def candidates(self, job: WaitingJob) -> list[Victim]:
        """Return the running jobs that a job may preempt, in the order in which they are tried.

        Examples
        --------
        >>> tiers = {"low": SlurmPartition(1), "hi": SlurmPartition(2, "off")}
        >>> rules = PreemptionRules("partition_prio", "suspend", partitions=tiers)
        >>> running = [RunningJob(1, {"gpu": 2}, "hi"), RunningJob(2, {"gpu": 1}, "low")]
        >>> Preemption(rules, running, 0.0).candidates(WaitingJob(3, {"gpu": 1}, "hi"))
        [Victim(job=2, mode='suspend', grace_s=0.0)]
        """
        return [self._victims[i] for i in self._candidates(job)]

    def victims(self, job: WaitingJob, free: Mapping[str, float]) -> list[Victim] | None:
        """Return the jobs to preempt for a waiting job.

        Parameters
        ----------
        job : WaitingJob
        free : mapping of str to float
            Free amount of each resource.

        Returns
        -------
        list of Victim or None
            In the order of the candidates. Empty if the job fits without any; None if it does not
            fit even without all candidates.
        """
        missing = {k: need - free.get(k, 0.0) for k, need in job.needs.items()}
        missing = {name: amount for name, amount in missing.items() if amount > 0}
        if not missing:
            return []
        if any(name not in self._held for name in missing):
            return None
        chosen, held, in_all = self._useful(job, tuple(missing))
        wanted = np.array(list(missing.values()))
        if not len(chosen) or (in_all[-1] < wanted).any():
            return None
        n = _how_many(in_all, wanted)
        chosen, held = chosen[:n], held[:n]
        for _ in range(self._rules.reorder_count):
            if n == 1:
                break
            chosen = np.concatenate([chosen[-1:], chosen[:-1]])
            held = np.concatenate([held[-1:], held[:-1]])
            n = _how_many(np.cumsum(held, axis=0), wanted)
            chosen, held = chosen[:n], held[:n]
        return [self._victims[i] for i in np.sort(chosen)]

    def _useful(self, job: WaitingJob, names: tuple[str, ...]) -> tuple[Ints, Floats, Floats]:
        """Return the candidates that hold some of the resources, what they hold, and its sums."""
        key = (*self._kind(job), names)
        if key not in self._sums:
            chosen = self._candidates(job)
            held = np.column_stack([self._held[name][chosen] for name in names])
            some = held.any(axis=1)
            self._sums[key] = chosen[some], held[some], np.cumsum(held[some], axis=0)
        return self._sums[key]

    def _kind(self, job: WaitingJob) -> tuple[object, ...]:
        """Return the properties of a job on which its candidates depend."""
        rules = self._rules
        by_priority = rules.higher_priority_only or rules.within_qos
        return (job.partition, job.qos, job.priority if by_priority else None)

    def _candidates(self, job: WaitingJob) -> Ints:
        key = self._kind(job)
        if key not in self._known:
            self._known[key] = np.flatnonzero(self._allowed(job))
        return self._known[key]

    def _allowed(self, job: WaitingJob) -> Bools:
        rules = self._rules
        lower_priority = self._priority < job.priority
        if rules.type == "partition_prio":
            allowed = self._ranks < _tier(rules, job.partition)
        elif rules.type == "qos":
            allowed = np.isin(self._qos, list(rules.qos.get(job.qos, Qos()).preempts))
            if rules.within_qos:
                allowed |= (self._qos == job.qos) & lower_priority
        else:
            allowed = np.zeros(len(self._jobs), dtype=np.bool_)
        return allowed & lower_priority if rules.higher_priority_only else allowed


def _how_many(sums: Floats, wanted: Floats) -> int:
    """Return how many rows it takes until the sums reach all that is wanted; the last ones do."""
    return int((sums >= wanted).all(axis=1).argmax()) + 1


def _tier(rules: PreemptionRules, partition: str) -> float:
    return rules.partitions.get(partition, SlurmPartition()).tier


def _rank(rules: PreemptionRules, job: RunningJob) -> float:
    if rules.type == "qos":
        return rules.qos.get(job.qos, Qos()).priority
    return _tier(rules, job.partition)


def _victim(rules: PreemptionRules, job: RunningJob, now_s: float) -> Victim | None:
    """Return how a job would be preempted, None if it may not be."""
    qos = rules.qos.get(job.qos, Qos())
    own: SlurmPartition | Qos = qos
    if rules.type == "partition_prio":
        own = rules.partitions.get(job.partition, SlurmPartition())
    mode = own.mode or rules.mode
    if mode == "off":
        return None
    if mode == "suspend":
        return Victim(job.job, mode)
    exempt_s = rules.exempt_s if qos.exempt_s is None else qos.exempt_s
    if now_s - job.start_s < exempt_s:
        return None
    if mode == "requeue" and not job.requeueable:
        mode = "cancel"
    return Victim(job.job, mode, own.grace_s)
