"""Links and collectives: communication times, fitted to measurements."""

from clustersim.network.contention import NetworkResponse, SharedTrunks

__all__ = ["NetworkResponse", "SharedTrunks"]
