"""What a site's own commands print: its nodes and partitions, and its queue now."""

from clustersim.sites.read_queue import read_queue
from clustersim.sites.read_site import read_site

__all__ = ["read_queue", "read_site"]
