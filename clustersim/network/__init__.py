"""Links and collectives: communication times, fitted to measurements."""

from clustersim.network.flows import simulate_flows
from clustersim.network.max_min import max_min_rates

__all__ = ["max_min_rates", "simulate_flows"]
