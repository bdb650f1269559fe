"""Links and collectives: communication times, fitted to measurements."""

from clustersim.network.alpha_beta import Dimension, collective_time
from clustersim.network.chip_collectives import CollectiveTime, estimate_collective

__all__ = ["CollectiveTime", "Dimension", "collective_time", "estimate_collective"]
