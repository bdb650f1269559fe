"""Placements, which choose the nodes of a partition on which a job runs."""

from clustersim.scheduling.placements.base import SPEED_NOTE, Placement, Pooled
from clustersim.scheduling.placements.buddy_cells import BuddyCells
from clustersim.scheduling.placements.by_node import NodePlacement
from clustersim.scheduling.placements.consolidate import Consolidate
from clustersim.scheduling.placements.fragmentation_aware import FragmentationAware
from clustersim.scheduling.placements.names import PLACEMENTS
from clustersim.scheduling.placements.network import Level, levels_of
from clustersim.scheduling.placements.nodes import ManyNodes, NodeFree, Nodes
from clustersim.scheduling.placements.random_nodes import RandomNodes
from clustersim.scheduling.placements.spread import Spread
from clustersim.scheduling.placements.topology_aware import TopologyAware
from clustersim.scheduling.placements.whole_nodes import WholeNodes

__all__ = [
    "PLACEMENTS",
    "SPEED_NOTE",
    "BuddyCells",
    "Consolidate",
    "FragmentationAware",
    "Level",
    "ManyNodes",
    "NodeFree",
    "NodePlacement",
    "Nodes",
    "Placement",
    "Pooled",
    "RandomNodes",
    "Spread",
    "TopologyAware",
    "WholeNodes",
    "levels_of",
]
