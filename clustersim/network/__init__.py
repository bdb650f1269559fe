"""Links, collectives, flows and trunks: how long communication takes."""

from clustersim.network.contention import NetworkResponse, SharedTrunks
from clustersim.network.flows import simulate_flows
from clustersim.network.gang_links import Communication, GangLinks
from clustersim.network.gang_traffic import GangTraffic, gang_traffic
from clustersim.network.load_balancing import ecmp_efficiency, usable_share
from clustersim.network.max_min import max_min_rates
from clustersim.network.trunks import LEVELS, TrunkGraph, trunk_graph

__all__ = [
    "LEVELS",
    "Communication",
    "GangLinks",
    "GangTraffic",
    "NetworkResponse",
    "SharedTrunks",
    "TrunkGraph",
    "ecmp_efficiency",
    "gang_traffic",
    "max_min_rates",
    "simulate_flows",
    "trunk_graph",
    "usable_share",
]
