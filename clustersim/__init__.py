"""clustersim: a discrete-event simulator of heterogeneous AI datacenters."""

from clustersim.version import __version__

__all__ = ["__version__"]
