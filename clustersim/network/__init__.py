"""Links, collectives, flows and trunks: how long communication takes."""

from clustersim.network.contention import NetworkResponse, SharedTrunks
from clustersim.network.flows import simulate_flows
from clustersim.network.gang_traffic import GangTraffic, gang_traffic
from clustersim.network.max_min import max_min_rates
from clustersim.network.trunks import LEVELS, TrunkGraph, trunk_graph

__all__ = [
    "LEVELS",
    "GangTraffic",
    "NetworkResponse",
    "SharedTrunks",
    "TrunkGraph",
    "gang_traffic",
    "max_min_rates",
    "simulate_flows",
    "trunk_graph",
]
