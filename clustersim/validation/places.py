"""The parts of a cluster that a scheduler fills apart from each other, and who may use them."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.topology import Cluster

__all__ = ["Place", "places_of"]


@dataclass(frozen=True)
class Place:
    """A virtual cluster in a pool, or what is left of the pool.

    Attributes
    ----------
    pool : int
        Index of the pool.
    virtual_cluster : str
        Its name; "" for the nodes without one.
    names : tuple of str
        Partitions of jobs that may run here; "" for jobs without one.
    n_chips : int
    key : str
        The first of `names` that no other place has; else made of the pool and its name.
    """

    pool: int
    virtual_cluster: str
    names: tuple[str, ...]
    n_chips: int
    key: str = ""


def places_of(cluster: Cluster) -> tuple[Place, ...]:
    """Return the places of a cluster.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> places_of(single_pool(8))
    (Place(pool=0, virtual_cluster='', names=('',), n_chips=8, key=''),)
    """
    found = []
    for at, pool in enumerate(cluster.pools):
        owned = pool.virtual_clusters
        found += [
            Place(at, name, (name,), nodes * pool.chips_per_node) for name, nodes in owned.items()
        ]
        if spare := pool.n_nodes - sum(owned.values()):
            found.append(Place(at, "", ("", *pool.queues), spare * pool.chips_per_node))
    return tuple(
        Place(one.pool, one.virtual_cluster, one.names, one.n_chips, _key(one, found, cluster))
        for one in found
    )


def _key(own: Place, places: list[Place], cluster: Cluster) -> str:
    others = {name for place in places if place is not own for name in place.names}
    free = [name for name in own.names if name not in others]
    return free[0] if free else f"{cluster.pools[own.pool].name} {own.virtual_cluster}".strip()
