"""Search for the value at which a noisy measurement equals an objective."""

from clustersim.analysis.root_search.crossing import Root, begins_overload
from clustersim.analysis.root_search.search import RootSearch

__all__ = ["Root", "RootSearch", "begins_overload"]
