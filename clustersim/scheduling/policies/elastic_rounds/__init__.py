"""Policies that choose a pool and a size for every job, again in every round (Sia, Pollux)."""

from __future__ import annotations

from clustersim.scheduling.policies.elastic_rounds.pollux import Pollux
from clustersim.scheduling.policies.elastic_rounds.sia import Sia
from clustersim.scheduling.policies.elastic_rounds.size_rounds import ElasticRounds

__all__ = ["ElasticRounds", "Pollux", "Sia"]
