"""The search for victims of one waiting job, classical or with fair sharing."""

from __future__ import annotations

from clustersim.scheduling.kueue.classical import classical_victims
from clustersim.scheduling.kueue.fair_preemption import fair_victims
from clustersim.scheduling.kueue.flavors import Assignment, Mode
from clustersim.scheduling.kueue.prospects import cannot_preempt
from clustersim.scheduling.kueue.quota_tree import refund
from clustersim.scheduling.kueue.state import FlavorResource, Switches, WaitingJob
from clustersim.scheduling.kueue.victims import Preemptor, Snapshot, Victim

__all__ = ["VictimSearch", "find_victims"]


def find_victims(snapshot: Snapshot, preemptor: Preemptor, switches: Switches) -> list[Victim]:
    """Return the jobs to preempt for a waiting job; none if preemption does not help.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 4}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> preemptor = snapshot.preemptor("a", {gpus: 1}, [gpus])
    >>> [victim.job.id for victim in find_victims(snapshot, preemptor, Switches())]
    ['low']
    """
    if switches.fair_sharing:
        return fair_victims(snapshot, preemptor, switches.strategies)
    return classical_victims(snapshot, preemptor)


class VictimSearch:
    """Searches for victims in a snapshot that does not change; results are kept.

    Parameters
    ----------
    snapshot : Snapshot
    switches : Switches

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, PodSet, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 4}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> job = WaitingJob("new", "a", (PodSet("main", 1, {"gpu": 2}),))
    >>> VictimSearch(snapshot, Switches()).outcome(job, gpus, 2)
    (<Mode.PREEMPT: 2>, 0)
    """

    def __init__(self, snapshot: Snapshot, switches: Switches) -> None:
        self._snapshot, self._switches = snapshot, switches
        self._found: dict[tuple[object, ...], list[Victim]] = {}

    def _victims(
        self, job: WaitingJob, request: dict[FlavorResource, float], needing: set[FlavorResource]
    ) -> list[Victim]:
        tree = self._snapshot.tree
        if not self._switches.fair_sharing and cannot_preempt(
            self._snapshot, tree.node_of(job.queue), job.priority, tree.charges(request)
        ):
            return []
        key = (job.id, tuple(sorted(request.items())), tuple(sorted(needing)))
        if key not in self._found:
            preemptor = self._snapshot.preemptor(
                job.queue,
                request,
                sorted(needing),
                priority=job.priority,
                created_t=job.created_t,
            )
            self._found[key] = find_victims(self._snapshot, preemptor, self._switches)
        return self._found[key]

    def victims(self, job: WaitingJob, assignment: Assignment) -> list[Victim]:
        """Return the jobs to preempt for a job with chosen flavors."""
        return self._victims(job, dict(assignment.usage), set(assignment.needing))

    def outcome(self, job: WaitingJob, key: FlavorResource, amount: float) -> tuple[Mode, int]:
        """Return what preemption would achieve for one flavor and resource.

        Returns
        -------
        mode : Mode
            ``NO_CANDIDATES``, ``PREEMPT`` if a victim is in the job's queue, or ``RECLAIM``.
        level : int
            Borrow level of the job after preemption.
        """
        tree = self._snapshot.tree
        node, ledger = tree.node_of(job.queue), tree.ledger(key)
        victims = self._victims(job, {key: amount}, {key})
        if not victims:
            return Mode.NO_CANDIDATES, ledger.level(node, amount)[0]
        own = any(victim.job.queue == job.queue for victim in victims)
        with tree.trial():
            for victim in victims:
                candidate = self._snapshot.running(victim.job.id)
                refund(candidate.node, candidate.usage)
            return Mode.PREEMPT if own else Mode.RECLAIM, ledger.level(node, amount)[0]
