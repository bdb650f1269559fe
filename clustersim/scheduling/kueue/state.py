"""What a Kueue-like scheduler decides on: queues, cohorts, running and waiting jobs.

Kueue's own terms are used in this package. A *flavor* is a kind of resource, for example the
accelerators of one pool. A *cohort* is a set of queues, and of further cohorts, that lend each
other quota. A *pod set* is the part of a job whose tasks are alike. Kueue calls a job a
*workload* and a queue a *cluster queue*. The rules are those of Kueue (kubernetes-sigs/kueue,
commit ff69552).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.kueue.traits import Requirement, Toleration

__all__ = [
    "Amounts",
    "BorrowWithinCohort",
    "Cohort",
    "FlavorQuotas",
    "FlavorResource",
    "PodSet",
    "Queue",
    "Quota",
    "ResourceGroup",
    "RunningJob",
    "Switches",
    "VictimPolicy",
    "WaitingJob",
]

FlavorResource: TypeAlias = tuple[str, str]
"""A flavor and a resource, such as ``("h200", "accelerator")``. Quotas and usage are kept for each
of them."""

Amounts: TypeAlias = Mapping[FlavorResource, float]
"""An amount of each flavor and resource, in units of the resource."""

VictimPolicy: TypeAlias = Literal["never", "lower", "lower_or_newer_equal", "any"]
"""Which jobs may be preempted: none, those of lower priority, those also of equal priority that
were created later, or all."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of a queue or cohort for a flavor and resource.

    Attributes
    ----------
    nominal : float
        What the queue or cohort owns.
    borrow_limit : float or None
        At most this much may be used beyond it, taken from the cohort; None means no limit.
    lend_limit : float or None
        At most this much is lent to the cohort; None means no limit.

    Examples
    --------
    >>> Quota(nominal=64, lend_limit=16)
    Quota(nominal=64, borrow_limit=None, lend_limit=16)
    """

    nominal: float
    borrow_limit: float | None = None
    lend_limit: float | None = None


@dataclass(frozen=True, slots=True)
class FlavorQuotas:
    """The quotas of one flavor, by resource.

    Examples
    --------
    >>> FlavorQuotas("h200", {"accelerator": Quota(64)}).flavor
    'h200'
    """

    flavor: str
    quotas: Mapping[str, Quota]


ResourceGroup: TypeAlias = tuple[FlavorQuotas, ...]
"""Flavors in the order in which they are tried. All resources of a group that a pod set requests
get the same flavor; a resource is in one group only."""


@dataclass(frozen=True, slots=True)
class BorrowWithinCohort:
    """Whom a queue may preempt in its cohort even if it then borrows.

    Attributes
    ----------
    policy : {"never", "lower"}
        ``lower`` allows to preempt jobs of lower priority than the preemptor.
    max_priority : int or None
        Only jobs of at most this priority; None means no limit.

    Examples
    --------
    >>> BorrowWithinCohort("lower", max_priority=-3).policy
    'lower'
    """

    policy: Literal["never", "lower"] = "lower"
    max_priority: int | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with quota, Kueue's *cluster queue*.

    Attributes
    ----------
    name : str
    groups : tuple of ResourceGroup
    cohort : str or None
        Cohort that the queue belongs to; None if it neither borrows nor lends.
    weight : float
        Weight in fair sharing: a queue of weight 2 may borrow twice as much as one of weight 1.
    within_queue : VictimPolicy
        Which jobs of this queue its jobs may preempt.
    reclaim_within_cohort : VictimPolicy
        Which jobs of other queues, which borrow, its jobs may preempt.
    borrow_within_cohort : BorrowWithinCohort or None
        Whom jobs of this queue may preempt if the queue then borrows; None means nobody.
    when_can_borrow, when_can_preempt : {"stop", "next"}
        Whether a flavor that needs borrowing or preemption is taken, or the next one is tried.
    preempt_first : bool
        Prefer a flavor that needs preemption to one that needs borrowing.

    Examples
    --------
    >>> group = (FlavorQuotas("h200", {"accelerator": Quota(64)}),)
    >>> Queue("research", (group,), cohort="lab", reclaim_within_cohort="any").within_queue
    'never'
    """

    name: str
    groups: tuple[ResourceGroup, ...] = ()
    cohort: str | None = None
    weight: float = 1.0
    within_queue: VictimPolicy = "never"
    reclaim_within_cohort: VictimPolicy = "never"
    borrow_within_cohort: BorrowWithinCohort | None = None
    when_can_borrow: Literal["stop", "next"] = "stop"
    when_can_preempt: Literal["stop", "next"] = "next"
    preempt_first: bool = False

    @property
    def borrows_when_preempting(self) -> bool:
        """Whether jobs of this queue may preempt jobs of other queues and borrow."""
        allowed = self.borrow_within_cohort
        return allowed is not None and allowed.policy != "never"


@dataclass(frozen=True, slots=True)
class Cohort:
    """Queues and cohorts that lend each other quota, with quota of its own if `groups` has any.

    A cohort without a parent is a root. A cohort that is only named by a queue or as a parent is
    a root without quota of its own.

    Examples
    --------
    >>> Cohort("lab", parent="company").weight
    1.0
    """

    name: str
    parent: str | None = None
    weight: float = 1.0
    groups: tuple[ResourceGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that holds quota.

    Attributes
    ----------
    id : str
    queue : str
    usage : Amounts
        What the whole job holds.
    priority : int
    start_t : float or None
        Time at which it got its quota, seconds. None if unknown, which counts as latest.
    created_t : float
        Time of submission, seconds.
    evicted : bool
        Whether its preemption has been decided already; it still holds its quota.
    tie_key : str
        Of jobs that are otherwise equal, the one with the smaller key is preempted first. The
        default is `id`.

    Examples
    --------
    >>> RunningJob("j1", "research", {("h200", "accelerator"): 8}).priority
    0
    """

    id: str
    queue: str
    usage: Amounts
    priority: int = 0
    start_t: float | None = 0.0
    created_t: float = 0.0
    evicted: bool = False
    tie_key: str = ""


@dataclass(frozen=True, slots=True)
class PodSet:
    """The tasks of a job that are alike.

    Attributes
    ----------
    name : str
    count : int
        Number of pods.
    per_pod : mapping of str to float
        Request of each pod by resource.
    min_count : int or None
        The job may start with as few pods as this (partial admission); None if it may not shrink.
    tolerations : tuple of Toleration
    node_selector : mapping of str to str
        Labels that the flavor must have.
    affinity : tuple of tuple of Requirement
        Alternatives; the flavor must meet all requirements of at least one. Empty means any flavor.
    flavors : tuple of str or None
        The only flavors that are tried, in this order instead of that of the queue; None means
        those of the queue. A group without any of them is not used.

    Examples
    --------
    >>> PodSet("workers", 16, {"accelerator": 8}, min_count=8).count
    16
    """

    name: str
    count: int
    per_pod: Mapping[str, float]
    min_count: int | None = None
    tolerations: tuple[Toleration, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    affinity: tuple[tuple[Requirement, ...], ...] = ()
    flavors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits in a queue.

    Examples
    --------
    >>> WaitingJob("j2", "research", (PodSet("main", 1, {"accelerator": 8}),), priority=2).created_t
    0.0
    """

    id: str
    queue: str
    podsets: tuple[PodSet, ...]
    priority: int = 0
    created_t: float = 0.0


@dataclass(frozen=True, slots=True)
class Switches:
    """Options of the whole scheduler.

    Attributes
    ----------
    fair_sharing : bool
        Preempt and order by dominant resource share.
    strategies : tuple of {"final_share", "initial_share"}
        Conditions under which fair sharing preempts a job: the share of the preemptor is at most
        the victim's share without the job, or below the victim's share with it.
    partial_admission : bool
        Let jobs with a minimum number of pods start with fewer pods.
    recompute_on_overlap : bool
        Search other victims for a job whose victims have already been taken in the same cycle.

    Examples
    --------
    >>> Switches(fair_sharing=True).strategies
    ('final_share', 'initial_share')
    """

    fair_sharing: bool = False
    strategies: tuple[Literal["final_share", "initial_share"], ...] = (
        "final_share",
        "initial_share",
    )
    partial_admission: bool = True
    recompute_on_overlap: bool = True

    def __post_init__(self) -> None:
        """Check the strategies."""
        allowed = ("final_share", "initial_share")
        if not self.strategies:
            raise InputError("strategies", f"is empty; allowed are {', '.join(allowed)}")
        for strategy in self.strategies:
            if strategy not in allowed:
                raise InputError("strategies", unknown_name("strategy", strategy, allowed))
