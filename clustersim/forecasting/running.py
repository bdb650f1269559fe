"""Where the running jobs of a state run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from clustersim.array_types import Ints
from clustersim.catalogue import Catalogue
from clustersim.forecasting.named_nodes import NamedJob, Place, Places, named_places
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster

__all__ = ["partitions_of_flavor", "place_running", "places_of_running"]

_NODES = 1000
"""Most nodes of the branch-and-bound search, so that it ends soon and always at the same place."""


def places_of_running(
    running: pd.DataFrame,
    allowed: Sequence[tuple[int, ...]],
    partitions: Sequence[Partition],
    cluster: Cluster,
    catalogue: Catalogue | None,
) -> tuple[list[Places], int]:
    """Return where each running job runs, and how many are placed anew; partitions are changed.

    Jobs are on the nodes that the queue names, if it names any. The others are placed by
    :func:`place_running`.

    Parameters
    ----------
    running : pandas.DataFrame
        ``n_accelerators``, ``nodes``, ``on_each``, ``flavor`` and ``pool`` of the running jobs.
    allowed : sequence of tuple of int
        The partitions that each job may use.
    partitions : sequence of Partition
        All partitions, without running jobs.
    cluster : Cluster
    catalogue : Catalogue, optional
    """
    allowed = [
        partitions_of_flavor(flavor, may, partitions, cluster, catalogue)
        for flavor, may in zip(running["flavor"], allowed, strict=True)
    ]
    sizes = running["n_accelerators"].to_numpy(dtype=np.int64)
    columns = zip(running["nodes"], running["on_each"], sizes.tolist(), allowed, strict=True)
    named = named_places([NamedJob.of(*each) for each in columns], partitions, cluster)
    rest = [row for row, each in enumerate(named) if each is None]
    pool = running["pool"].tolist()
    others = iter(
        place_running(
            sizes[rest], [allowed[row] for row in rest], partitions, [pool[row] for row in rest]
        )
    )
    return [next(others) if each is None else each for each in named], len(rest)


def partitions_of_flavor(
    flavor: str,
    may: tuple[int, ...],
    partitions: Sequence[Partition],
    cluster: Cluster,
    catalogue: Catalogue | None,
) -> tuple[int, ...]:
    """Return the partitions on which a job runs that Kueue has admitted with a flavor.

    They are those of its own partitions that are in a pool of the flavor, if there are any. Where
    no pool names the flavor, it is the name of a pool or tells the chip.

    Parameters
    ----------
    flavor : str
        Empty if not known.
    may : tuple of int
        The partitions that the job may use; empty if the cluster has none for its queue. Then they
        are all of the flavor.
    partitions : sequence of Partition
    cluster : Cluster
    catalogue : Catalogue, optional

    Examples
    --------
    >>> from clustersim.engine.partitions import build_partitions
    >>> from clustersim.scheduling import Pooled
    >>> from clustersim.topology import single_pool
    >>> cluster = single_pool(8)
    >>> parts = build_partitions(cluster, Pooled)
    >>> partitions_of_flavor("spot", (0,), parts, cluster, None)
    (0,)
    """
    from clustersim.sites.chips import guess_chip

    if not flavor:
        return may
    pools = cluster.pools
    named = {at for at, pool in enumerate(pools) if flavor in (*pool.flavors, pool.name)}
    own = named
    if not named and catalogue is not None:
        guess = guess_chip(flavor, [], catalogue)
        chip = guess.name if guess.basis == "type" else None
        own = {at for at, pool in enumerate(pools) if pool.accelerator == chip}
    there = tuple(each.index for each in partitions if each.pool in own)
    if not may:
        return there if named else ()
    return tuple(at for at in may if at in there) or may


def place_running(
    sizes: Ints,
    allowed: Sequence[tuple[int, ...]],
    partitions: Sequence[Partition],
    recorded: Sequence[str],
) -> list[Places]:
    """Place running jobs whose nodes are not known, and return where each is.

    Jobs whose partition is recorded come first, then those with the fewest partitions. Each takes
    the first of its partitions that has room, in the order of how many running jobs may use them.
    If a job finds no room in this way, an integer program finds the partitions that hold the most
    accelerators.

    Parameters
    ----------
    sizes : int64 array (jobs,)
    allowed : sequence of tuple of int
        The partitions that each job may use.
    partitions : sequence of Partition
        All partitions, without running jobs; the jobs take their accelerators.
    recorded : sequence of str
        Name of the partition on which each job runs; empty if it is not recorded.

    Examples
    --------
    >>> from clustersim.engine.partitions import build_partitions
    >>> from clustersim.scheduling import find_placement
    >>> from clustersim.topology import single_pool
    >>> parts = build_partitions(single_pool(8), find_placement("pooled"))
    >>> places = place_running(np.array([4, 8, 4]), [(0,)] * 3, parts, [""] * 3)
    >>> [len(each) for each in places]
    [1, 0, 1]
    """
    names = {each.name: each.index for each in partitions}
    own = [
        (names[name],) if names.get(name, -1) in may else may
        for name, may in zip(recorded, allowed, strict=True)
    ]
    users = np.zeros(len(partitions), dtype=np.int64)
    for may in own:
        users[list(may)] += 1
    sought = [tuple(sorted(may, key=lambda index: int(users[index]))) for may in own]
    order = sorted(range(len(sizes)), key=lambda row: len(own[row]))
    room = [each.placement.free for each in partitions]
    counted_on = np.full(len(sizes), -1, dtype=np.int64)
    for row in order:
        for index in sought[row]:
            if room[index] >= sizes[row]:
                room[index] -= int(sizes[row])
                counted_on[row] = index
                break
    if (counted_on < 0).any():
        counted_on = _most(sizes, sought, partitions, counted_on)
    places: list[Places] = [()] * len(sizes)
    for row in sorted(range(len(sizes)), key=lambda row: counted_on[row] < 0):
        n = int(sizes[row])
        for index in dict.fromkeys((int(counted_on[row]), *sought[row])):
            nodes = partitions[index].placement.take(n) if index >= 0 else None
            if nodes is not None:
                places[row] = (Place(index, nodes, n),)
                break
    return places


def _most(
    sizes: Ints,
    allowed: Sequence[tuple[int, ...]],
    partitions: Sequence[Partition],
    otherwise: Ints,
) -> Ints:
    """Return the partitions of jobs that hold the most accelerators in all.

    Variables are the numbers of jobs of one size and with the same partitions on each partition.
    `otherwise` is returned if nothing better is found.
    """
    kinds: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for row, may in enumerate(allowed):
        kinds.setdefault((int(sizes[row]), may), []).append(row)
    places = [(kind, index) for kind, (_, may) in enumerate(kinds) for index in may]
    if not places:
        return otherwise
    size_of = np.array([size for size, _ in kinds], dtype=np.float64)
    count_of = np.array([len(rows) for rows in kinds.values()], dtype=np.float64)
    kind, index = np.array(places, dtype=np.int64).T
    columns, free = np.arange(len(places)), [each.placement.free for each in partitions]
    used = coo_array((size_of[kind], (index, columns)), shape=(len(partitions), len(places)))
    jobs = coo_array((np.ones(len(places)), (kind, columns)), shape=(len(kinds), len(places)))
    found = milp(
        -size_of[kind],
        integrality=np.ones(len(places), dtype=np.int64),
        bounds=Bounds(0.0, count_of[kind]),
        constraints=[
            LinearConstraint(used.tocsc(), ub=np.array(free, dtype=np.float64)),
            LinearConstraint(jobs.tocsc(), ub=count_of),
        ],
        options={"node_limit": _NODES},
    )
    if found.x is None or -found.fun <= sizes[otherwise >= 0].sum():
        return otherwise
    runs_on = np.full(len(sizes), -1, dtype=np.int64)
    left = {at: iter(rows) for at, rows in enumerate(kinds.values())}
    for (at, partition), number in zip(places, np.rint(found.x).astype(np.int64), strict=True):
        for _ in range(int(number)):
            runs_on[next(left[at])] = partition
    return runs_on
