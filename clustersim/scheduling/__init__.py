"""Policies, which choose the job that starts next, and placements, which choose its nodes."""

from clustersim.scheduling.bucket_placements import Consolidate, Spread
from clustersim.scheduling.decisions import Migrate, Preempt, Start, Wake
from clustersim.scheduling.options import option_texts, options_of, with_options
from clustersim.scheduling.placement import SPEED_NOTE, NodePlacement, Placement, Pooled
from clustersim.scheduling.plugins import PLACEMENTS, find_placement, find_policy
from clustersim.scheduling.policies import POLICIES, Policy
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.view import JobView, View

__all__ = [
    "PLACEMENTS",
    "POLICIES",
    "SPEED_NOTE",
    "Consolidate",
    "JobColumns",
    "JobView",
    "Migrate",
    "NodePlacement",
    "Partition",
    "Placement",
    "Policy",
    "Pooled",
    "Preempt",
    "PreemptionOptions",
    "Queue",
    "Spread",
    "Start",
    "View",
    "Wake",
    "find_placement",
    "find_policy",
    "option_texts",
    "options_of",
    "with_options",
]
