"""Placements by name."""

from __future__ import annotations

from clustersim.scheduling.placements.base import Placement, Pooled
from clustersim.scheduling.placements.buddy_cells import BuddyCells
from clustersim.scheduling.placements.consolidate import Consolidate
from clustersim.scheduling.placements.fragmentation_aware import FragmentationAware
from clustersim.scheduling.placements.random_nodes import RandomNodes
from clustersim.scheduling.placements.spread import Spread
from clustersim.scheduling.placements.topology_aware import TopologyAware

__all__ = ["PLACEMENTS"]

PLACEMENTS: dict[str, type[Placement]] = {
    "pooled": Pooled,
    "consolidate": Consolidate,
    "spread": Spread,
    "topology_aware": TopologyAware,
    "fragmentation_aware": FragmentationAware,
    "buddy_cells": BuddyCells,
    "random": RandomNodes,
}
