"""What a site's own commands print: its nodes and partitions, and its queue now."""

from clustersim.sites.read_site import read_site
from clustersim.sites.site import Site, SiteNode, SitePartition

__all__ = ["Site", "SiteNode", "SitePartition", "read_site"]
