"""Quotas, preemption and fair sharing as in Kueue: pure decisions on a snapshot of a cluster.

`run_cycle` decides on the first waiting job of each queue. Its parts can be used on their own:
`QuotaTree` (quotas of cohorts with borrowing and lending limits), `find_victims` (preemption),
`Shares` (dominant resource shares), `assign_flavors` and `search_counts` (partial admission).

A policy makes a `Snapshot` of its queues and running jobs and calls `run_cycle` with the waiting
jobs. It starts the jobs in ``admitted`` with the flavors of their `Assignment` (a flavor is a
pool), stops those in ``preempted``, and does the same in the snapshot with `Snapshot.start` and
`Snapshot.stop`. It repeats this without the jobs that were not admitted (or, in strict order,
without their queues) until no job is left. A job that preempts others is admitted by a cycle after
they have stopped.
"""

from clustersim.scheduling.kueue.cycle import CycleOutcome, Head, Status, heads, run_cycle
from clustersim.scheduling.kueue.fair_share import Share, Shares, VictimQueues
from clustersim.scheduling.kueue.flavors import (
    Assignment,
    Mode,
    Oracle,
    PodSetAssignment,
    assign_flavors,
)
from clustersim.scheduling.kueue.partial import search_counts
from clustersim.scheduling.kueue.preemption import VictimSearch, find_victims
from clustersim.scheduling.kueue.quota_tree import QuotaTree
from clustersim.scheduling.kueue.state import (
    Amounts,
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    PodSet,
    Queue,
    Quota,
    ResourceGroup,
    RunningJob,
    Switches,
    VictimPolicy,
    WaitingJob,
)
from clustersim.scheduling.kueue.traits import FlavorTraits, Requirement, Taint, Toleration
from clustersim.scheduling.kueue.victims import (
    Preemptor,
    Reason,
    Snapshot,
    Victim,
    victim_order,
)

__all__ = [
    "Amounts",
    "Assignment",
    "BorrowWithinCohort",
    "Cohort",
    "CycleOutcome",
    "FlavorQuotas",
    "FlavorResource",
    "FlavorTraits",
    "Head",
    "Mode",
    "Oracle",
    "PodSet",
    "PodSetAssignment",
    "Preemptor",
    "Queue",
    "Quota",
    "QuotaTree",
    "Reason",
    "Requirement",
    "ResourceGroup",
    "RunningJob",
    "Share",
    "Shares",
    "Snapshot",
    "Status",
    "Switches",
    "Taint",
    "Toleration",
    "Victim",
    "VictimPolicy",
    "VictimQueues",
    "VictimSearch",
    "WaitingJob",
    "assign_flavors",
    "find_victims",
    "heads",
    "run_cycle",
    "search_counts",
    "victim_order",
]
