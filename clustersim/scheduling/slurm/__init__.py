"""Slurm's rules for priorities, fair share and preemption, as functions without a simulation.

They are written from Slurm's documentation and use its terms: *association* (an account or a user
of an account), *TRES* (a trackable resource), *QOS* (a quality of service), *partition*.  A
simulated cluster has accelerators where a Slurm cluster may have CPUs.
"""

from clustersim.scheduling.slurm.associations import Associations
from clustersim.scheduling.slurm.backfill import BackfillOptions
from clustersim.scheduling.slurm.billing import billing
from clustersim.scheduling.slurm.fair_share import (
    ClassicFairShare,
    classic_fair_share,
    fair_share_factor,
)
from clustersim.scheduling.slurm.fair_tree import FairTree, fair_tree
from clustersim.scheduling.slurm.multifactor import (
    Factors,
    Weights,
    age_factor,
    job_size_factor,
    normalised,
    priority,
    priority_terms,
)
from clustersim.scheduling.slurm.order import EVALUATION_ORDER, evaluation_order
from clustersim.scheduling.slurm.preemption import (
    Preemption,
    PreemptionRules,
    Qos,
    RunningJob,
    SlurmPartition,
    Victim,
    WaitingJob,
)
from clustersim.scheduling.slurm.usage import decay, last_reset_s, usage_after, usage_of_runs

__all__ = [
    "EVALUATION_ORDER",
    "Associations",
    "BackfillOptions",
    "ClassicFairShare",
    "Factors",
    "FairTree",
    "Preemption",
    "PreemptionRules",
    "Qos",
    "RunningJob",
    "SlurmPartition",
    "Victim",
    "WaitingJob",
    "Weights",
    "age_factor",
    "billing",
    "classic_fair_share",
    "decay",
    "evaluation_order",
    "fair_share_factor",
    "fair_tree",
    "job_size_factor",
    "last_reset_s",
    "normalised",
    "priority",
    "priority_terms",
    "usage_after",
    "usage_of_runs",
]
