"""Policies, which choose the job that starts next, and placements, which choose its nodes."""

from clustersim.scheduling.bucket_placements import Consolidate, Spread
from clustersim.scheduling.placement import SPEED_NOTE, NodePlacement, Placement, Pooled
from clustersim.scheduling.plugins import PLACEMENTS, find_placement, find_policy
from clustersim.scheduling.policies import POLICIES, Policy
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = [
    "PLACEMENTS",
    "POLICIES",
    "SPEED_NOTE",
    "Consolidate",
    "JobColumns",
    "NodePlacement",
    "Partition",
    "Placement",
    "Policy",
    "Pooled",
    "Queue",
    "Spread",
    "find_placement",
    "find_policy",
]
