"""Sia: pools and sizes of the largest sum of normalised goodputs."""

from __future__ import annotations

import math

from clustersim.array_types import Ints
from clustersim.scheduling.policies.elastic_rounds.size_rounds import ElasticRounds
from clustersim.scheduling.programs.elastic import Configurations, sia

__all__ = ["Sia"]


class Sia(ElasticRounds):
    """Goodput-optimised pools and sizes, by Sia's integer program.

    Jayaram Subramanya et al., "Sia: Heterogeneity-aware, goodput-optimized ML-cluster scheduling",
    SOSP 2023; its defaults.

    Attributes
    ----------
    fairness : float
        Power of the normalised goodputs whose sum is optimised; the smaller, the more the slow
        jobs count.
    no_allocation, change : float
        What a job without accelerators, and a job whose configuration changes, add to the sum.
    gap : float
        Relative difference to the bound at which the search may stop.
    """

    fairness: float = -0.5
    no_allocation: float = 1.1
    change: float = 0.01
    gap: float = 1e-4

    @classmethod
    def check_options(cls) -> str:
        if cls.fairness == 0 or not math.isfinite(cls.fairness):
            return f"option fairness: must be a number below or above 0, found {cls.fairness}"
        if not 0 <= cls.gap < 1:
            return f"option gap: must be at least 0 and below 1, found {cls.gap}"
        return super().check_options()

    def choose(self, configurations: Configurations) -> Ints:
        return sia(
            configurations,
            fairness=self.fairness,
            no_allocation=self.no_allocation,
            change=self.change,
            gap=self.gap,
        ).option
