"""Slurm's multifactor priority with backfilling and preemption, as a policy."""

from clustersim.scheduling.policies.slurm.multifactor import Multifactor

__all__ = ["Multifactor"]
