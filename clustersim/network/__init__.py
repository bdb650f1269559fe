"""Links, collectives, flows and trunks: how long communication takes."""

from clustersim.network.alpha_beta import Dimension, collective_time
from clustersim.network.cable_faults import CableState, NetworkFault
from clustersim.network.chip_collectives import CollectiveTime, estimate_collective
from clustersim.network.contention import NetworkResponse, SharedTrunks
from clustersim.network.flows import simulate_flows
from clustersim.network.gang_links import Communication, GangLinks
from clustersim.network.gang_traffic import GangTraffic, gang_traffic
from clustersim.network.load_balancing import ecmp_efficiency, usable_share
from clustersim.network.max_min import max_min_rates
from clustersim.network.shared_storage import SharedStorage
from clustersim.network.storage_system import StorageSystem, Transfers
from clustersim.network.trunks import LEVELS, TrunkGraph, trunk_graph

__all__ = [
    "LEVELS",
    "CableState",
    "CollectiveTime",
    "Communication",
    "Dimension",
    "GangLinks",
    "GangTraffic",
    "NetworkFault",
    "NetworkResponse",
    "SharedStorage",
    "SharedTrunks",
    "StorageSystem",
    "Transfers",
    "TrunkGraph",
    "collective_time",
    "ecmp_efficiency",
    "estimate_collective",
    "gang_traffic",
    "max_min_rates",
    "simulate_flows",
    "trunk_graph",
    "usable_share",
]
