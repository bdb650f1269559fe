"""What a site's own commands print: its nodes and partitions, and its queue now."""

from clustersim.sites.queue import QueuedJob, QueueState
from clustersim.sites.read_queue import read_queue
from clustersim.sites.read_site import read_site
from clustersim.sites.site import Site, SiteNode, SitePartition

__all__ = [
    "QueueState",
    "QueuedJob",
    "Site",
    "SiteNode",
    "SitePartition",
    "read_queue",
    "read_site",
]
