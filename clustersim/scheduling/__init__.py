"""Policies, which choose the job that starts next, and placements, which choose its nodes."""

from clustersim.scheduling.decisions import Migrate, Preempt, Resize, Start, Wake
from clustersim.scheduling.example_queue import example_queue
from clustersim.scheduling.job_view import JobView
from clustersim.scheduling.options import option_texts, options_of, with_options
from clustersim.scheduling.placements import (
    PLACEMENTS,
    SPEED_NOTE,
    BuddyCells,
    Consolidate,
    FragmentationAware,
    Level,
    NodePlacement,
    Placement,
    Pooled,
    RandomNodes,
    Spread,
    TopologyAware,
    levels_of,
)
from clustersim.scheduling.plugins import find_placement, find_policy
from clustersim.scheduling.policies import POLICIES, Policy
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.quota_use import QuotaTable, QuotaUse
from clustersim.scheduling.view import View

__all__ = [
    "PLACEMENTS",
    "POLICIES",
    "SPEED_NOTE",
    "BuddyCells",
    "Consolidate",
    "FragmentationAware",
    "JobColumns",
    "JobView",
    "Level",
    "Migrate",
    "NodePlacement",
    "Partition",
    "Placement",
    "Policy",
    "Pooled",
    "Preempt",
    "PreemptionOptions",
    "Queue",
    "QuotaTable",
    "QuotaUse",
    "RandomNodes",
    "Resize",
    "Spread",
    "Start",
    "TopologyAware",
    "View",
    "Wake",
    "example_queue",
    "find_placement",
    "find_policy",
    "levels_of",
    "option_texts",
    "options_of",
    "with_options",
]
