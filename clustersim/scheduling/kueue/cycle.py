"""One scheduling cycle: the first job of each queue is admitted, preempts others, or waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.kueue.fair_share import ShareKey, Shares
from clustersim.scheduling.kueue.flavors import Assignment, Mode, assign_flavors
from clustersim.scheduling.kueue.partial import search_counts
from clustersim.scheduling.kueue.preemption import VictimSearch, find_victims
from clustersim.scheduling.kueue.quota_tree import Charge, charge, fits, refund
from clustersim.scheduling.kueue.state import Switches, WaitingJob
from clustersim.scheduling.kueue.victims import Candidate, Reason, Snapshot, Victim

__all__ = ["CycleOutcome", "Head", "Status", "heads", "run_cycle"]

Status: TypeAlias = Literal["admitted", "preempting", "nofit", "no_victims", "overlap", "taken"]
"""What became of the first job of a queue.

``admitted``: it starts; ``preempting``: it waits for the end of jobs that are preempted, for it or
for other jobs of this cycle; ``nofit``: no flavor has enough quota; ``no_victims``: nobody can be
preempted for it; ``overlap``: other jobs of this cycle took its victims; ``taken``: other jobs of
this cycle took its quota."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a cycle decided on the first job of a queue.

    Attributes
    ----------
    job : WaitingJob
    status : Status
    assignment : Assignment
    victims : tuple of Victim
        Jobs that are preempted for it.

    Examples
    --------
    >>> nothing = Assignment(Mode.NOFIT, 0, (), {}, frozenset())
    >>> Head(WaitingJob("j", "a", ()), "nofit", nothing).victims
    ()
    """

    job: WaitingJob
    status: Status
    assignment: Assignment
    victims: tuple[Victim, ...] = ()


@dataclass(frozen=True, slots=True)
class CycleOutcome:
    """Decisions of a cycle.

    Attributes
    ----------
    heads : tuple of Head
        In the order in which they were decided.

    Examples
    --------
    >>> CycleOutcome(heads=()).preempted
    {}
    """

    heads: tuple[Head, ...]

    @property
    def admitted(self) -> dict[str, Assignment]:
        """Flavors of the jobs that start."""
        return {h.job.id: h.assignment for h in self.heads if h.status == "admitted"}

    @property
    def preempted(self) -> dict[str, Reason]:
        """Jobs that are preempted, without those for which this had been decided before."""
        victims = (v for head in self.heads for v in head.victims)
        return {victim.job.id: victim.reason for victim in victims if not victim.job.evicted}


@dataclass(slots=True, eq=False)
class _Entry:
    job: WaitingJob
    node: int
    assignment: Assignment
    victims: list[Victim] = field(default_factory=list)


def heads(waiting: Iterable[WaitingJob]) -> list[WaitingJob]:
    """Return the first job of each queue: of highest priority, then created first.

    Examples
    --------
    >>> jobs = [WaitingJob("1", "a", ()), WaitingJob("2", "a", (), priority=1)]
    >>> [job.id for job in heads(jobs)]
    ['2']
    """
    first: dict[str, WaitingJob] = {}
    for job in waiting:
        best = first.get(job.queue)
        if best is None or (
            job.priority > best.priority
            or (job.priority == best.priority and job.created_t < best.created_t)
        ):
            first[job.queue] = job
    return list(first.values())


def run_cycle(
    snapshot: Snapshot, waiting: Iterable[WaitingJob], switches: Switches | None = None
) -> CycleOutcome:
    """Decide on the first job of each queue.

    Parameters
    ----------
    snapshot : Snapshot
        Left as it was. The caller starts and stops jobs in it (`Snapshot.start`, `Snapshot.stop`)
        and may then run another cycle. A job that preempts others is admitted in a later cycle,
        when they have stopped.
    waiting : iterable of WaitingJob
        Without jobs that must not be considered, such as those that were already found not to fit.
    switches : Switches, optional

    Raises
    ------
    InputError
        If a job waits in an unknown queue.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, PodSet, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(8)}),), ("h200", "gpu")
    >>> queues = [Queue("a", (group,), "lab", reclaim_within_cohort="any"), Queue("b", (), "lab")]
    >>> snapshot = Snapshot(queues, running=[RunningJob("guest", "b", {gpus: 6})])
    >>> jobs = [WaitingJob("large", "a", (PodSet("main", 1, {"gpu": 4}),))]
    >>> run_cycle(snapshot, jobs).preempted
    {'guest': 'reclaim'}
    >>> _ = snapshot.stop("guest")
    >>> run_cycle(snapshot, jobs).admitted["large"].podsets[0].flavors
    {'gpu': 'h200'}
    """
    switches = switches or Switches()
    first = heads(waiting)
    for job in first:
        if job.queue not in snapshot.queues:
            problem = unknown_name("queue", job.queue, snapshot.queues)
            raise InputError("waiting", f"job {job.id!r}: {problem}")
    search = VictimSearch(snapshot, switches)
    entries = [_nominate(snapshot, job, search, switches) for job in first]
    with snapshot.tree.trial():
        return CycleOutcome(tuple(_Cycle(snapshot, switches).decide(entries)))


def _nominate(
    snapshot: Snapshot, job: WaitingJob, search: VictimSearch, switches: Switches
) -> _Entry:
    """Return the flavors and victims of a job, with fewer pods if it cannot start otherwise."""
    node = snapshot.tree.node_of(job.queue)

    def entry(counts: tuple[int, ...] | None) -> _Entry:
        assignment = assign_flavors(
            snapshot,
            job,
            lambda key, amount: search.outcome(job, key, amount),
            counts=counts,
            fair_sharing=switches.fair_sharing,
        )
        may_preempt = Mode.NOFIT < assignment.mode < Mode.FIT
        victims = search.victims(job, assignment) if may_preempt else []
        return _Entry(job, node, assignment, victims)

    def succeeds(tried: _Entry) -> bool:
        return tried.assignment.mode is Mode.FIT or bool(tried.victims)

    whole = entry(None)
    if succeeds(whole) or not switches.partial_admission:
        return whole

    def attempt(counts: tuple[int, ...]) -> _Entry | None:
        tried = entry(counts)
        return tried if succeeds(tried) else None

    return search_counts(job.podsets, attempt) or whole


class _Cycle:
    """The decisions of a cycle; usage of earlier ones is charged to the tree."""

    def __init__(self, snapshot: Snapshot, switches: Switches) -> None:
        self._snapshot, self._tree, self._switches = snapshot, snapshot.tree, switches
        self._shares = Shares(snapshot.tree)
        self._taken: dict[str, Candidate] = {}
        self._scores: dict[_Entry, dict[int, _Score]] = {}

    def decide(self, entries: list[_Entry]) -> Iterable[Head]:
        hopeless = [entry for entry in entries if entry.assignment.mode is Mode.NOFIT]
        left = [entry for entry in entries if entry.assignment.mode is not Mode.NOFIT]
        left.sort(key=_rank)
        while left:
            entry = self._fairest(left) if self._switches.fair_sharing else left[0]
            left.remove(entry)
            status = self._process(entry)
            victims = tuple(entry.victims) if status == "preempting" else ()
            yield Head(entry.job, status, entry.assignment, victims)
        for entry in hopeless:
            yield Head(entry.job, "nofit", entry.assignment)

    def _process(self, entry: _Entry) -> Status:
        usage = self._tree.charges(entry.assignment.usage)
        needs_victims = entry.assignment.mode is not Mode.FIT
        if any(victim.job.id in self._taken for victim in entry.victims):
            if not (self._switches.recompute_on_overlap and self._search_again(entry)):
                return "overlap"
        elif needs_victims and not entry.victims:
            if self._snapshot.queues[entry.job.queue].reclaim_within_cohort != "any":
                self._reserve(entry)
            return "no_victims"
        own = [self._snapshot.running(victim.job.id) for victim in entry.victims]
        with self._tree.trial():
            self._remove({**self._taken, **{c.job.id: c for c in own}})
            fitting = fits(entry.node, usage)
        if not fitting:
            return "taken"
        self._taken.update({candidate.job.id: candidate for candidate in own})
        self._charge(entry.node, usage)
        return "preempting" if needs_victims else "admitted"

    def _remove(self, candidates: Mapping[str, Candidate]) -> None:
        for candidate in candidates.values():
            refund(candidate.node, candidate.usage)

    def _search_again(self, entry: _Entry) -> bool:
        """Replace the victims of a job by others that are not taken; return whether it goes on."""
        assignment = entry.assignment
        preemptor = self._snapshot.preemptor(
            entry.job.queue,
            assignment.usage,
            sorted(assignment.needing),
            priority=entry.job.priority,
            created_t=entry.job.created_t,
            without=frozenset(self._taken),
        )
        with self._tree.trial():
            self._remove(self._taken)
            if fits(entry.node, preemptor.request):
                entry.victims = []
                return True
            entry.victims = find_victims(self._snapshot, preemptor, self._switches)
        return bool(entry.victims)

    def _reserve(self, entry: _Entry) -> None:
        """Charge what a job without victims would use, within its queue's limits."""
        for ledger, amount in self._tree.charges(entry.assignment.usage):
            quota, used = ledger.quotas[entry.node], ledger.usage[entry.node]
            if entry.assignment.level == 0:
                amount = min(amount, quota.nominal - used)
            elif quota.borrow_limit is not None:
                amount = min(amount, quota.nominal + quota.borrow_limit - used)
            self._charge(entry.node, ((ledger, max(0, amount)),))

    def _charge(self, node: int, usage: tuple[Charge, ...]) -> None:
        """Charge usage; forget the scores of entries with which it shares a node below the root."""
        charge(node, usage)
        branch = self._tree.paths[node][:2]
        for entry in list(self._scores):
            if self._tree.paths[entry.node][:2] == branch:
                del self._scores[entry]

    def _fairest(self, left: list[_Entry]) -> _Entry:
        """Return the winner of a tournament inside the tree of the first entry."""
        tree = self._tree
        root = tree.paths[left[0].node][0]
        members = [entry for entry in left if tree.paths[entry.node][0] == root]
        if len(members) == 1:
            return members[0]
        scores = {entry: self._scores_of(entry) for entry in members}
        by_node = {entry.node: entry for entry in members}

        def winner(node: int) -> _Entry | None:
            if node in by_node:
                return by_node[node]
            best: _Entry | None = None
            best_score: _Score | None = None
            for child in (*tree.child_cohorts[node], *tree.child_queues[node]):
                entry = winner(child)
                if entry is None:
                    continue
                score = scores[entry][child]
                if best_score is None or score < best_score:
                    best, best_score = entry, score
            return best

        return winner(root) or left[0]

    def _scores_of(self, entry: _Entry) -> dict[int, _Score]:
        """Return the order of an entry at each node below the root, with its usage added."""
        if entry not in self._scores:
            usage = self._tree.charges(entry.assignment.usage)
            job, scores = entry.job, {}
            with self._tree.trial():
                charge(entry.node, usage)
                for node in self._tree.paths[entry.node][1:]:
                    borrows = any(ledger.usage[node] > ledger.subtree[node] for ledger, _ in usage)
                    scores[node] = borrows, self._shares.key(node), -job.priority, job.created_t
            self._scores[entry] = scores
        return self._scores[entry]


_Score = tuple[bool, ShareKey, int, float]


def _rank(entry: _Entry) -> tuple[int, int, float]:
    return entry.assignment.level, -entry.job.priority, entry.job.created_t
