"""Decisions of KAI-Scheduler for whole accelerators.

Pure functions from a `Cluster` (nodes, queues, jobs with their tasks) to decisions: fair shares of
a tree of queues, and the actions of a round (allocate, consolidation, reclaim, preempt).
"""

from clustersim.scheduling.kai.allocation import allocate
from clustersim.scheduling.kai.consolidation import consolidate
from clustersim.scheduling.kai.fair_share import Claim, divide, divide_over_quota, fair_shares
from clustersim.scheduling.kai.minimum_run_time import (
    minimum_preempt_s,
    minimum_reclaim_s,
    protects,
)
from clustersim.scheduling.kai.model import (
    NON_PREEMPTIBLE,
    UNLIMITED,
    Cluster,
    Job,
    Limits,
    MinimumRunTime,
    Queue,
    Task,
    TaskState,
)
from clustersim.scheduling.kai.preemption import preempt
from clustersim.scheduling.kai.reclaimer import reclaim
from clustersim.scheduling.kai.rounds import (
    ACTIONS,
    Change,
    act,
    evict_stale_gangs,
    next_round,
    run_round,
    try_round,
)
from clustersim.scheduling.kai.session import Session

__all__ = [
    "ACTIONS",
    "NON_PREEMPTIBLE",
    "UNLIMITED",
    "Change",
    "Claim",
    "Cluster",
    "Job",
    "Limits",
    "MinimumRunTime",
    "Queue",
    "Session",
    "Task",
    "TaskState",
    "act",
    "allocate",
    "consolidate",
    "divide",
    "divide_over_quota",
    "evict_stale_gangs",
    "fair_shares",
    "minimum_preempt_s",
    "minimum_reclaim_s",
    "next_round",
    "preempt",
    "protects",
    "reclaim",
    "run_round",
    "try_round",
]
