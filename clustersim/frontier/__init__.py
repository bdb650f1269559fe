"""What a fleet trains while it serves: chips assigned by what they do best."""

from clustersim.frontier.assignment import Assignment, FleetRates, best_assignment
from clustersim.frontier.frontier import Frontier, frontier, proportional

__all__ = [
    "Assignment",
    "FleetRates",
    "Frontier",
    "best_assignment",
    "frontier",
    "proportional",
]
