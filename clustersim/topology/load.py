"""Read topology files, fill in omitted values from the catalogue, and check the result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clustersim.errors import InputError, check_kind, nearest_hint, unknown_name
from clustersim.extended import read_extended
from clustersim.files import read_yaml, validate
from clustersim.shipped import find_file, shipped_files
from clustersim.topology.spec import MOST_CHIPS, ClusterSpec, PoolSpec
from clustersim.topology.whole_fleet import FLEET, whole_fleet

if TYPE_CHECKING:
    from clustersim.catalogue import Accelerator, Catalogue

__all__ = ["find_topology", "load_cluster", "resolve_cluster", "topology_names"]


def load_cluster(
    path_or_name: str | Path, catalogue: Catalogue, *, case: str | None = None
) -> ClusterSpec:
    """Read, check and complete a topology.

    Parameters
    ----------
    path_or_name : str or Path
        A file, or the name of a topology (``"h200-superpod"``) in the user's folder ``topologies``
        or, if it is not there, in the package.
    catalogue : Catalogue
        Supplies the number of chips per node, the network bandwidth and the scale-up link if the
        file omits them.
    case : str, optional
        Case of a fleet file, of which all chips that it will ever have are in the topology.

    Returns
    -------
    ClusterSpec
        The topology with every value filled in.

    Raises
    ------
    InputError
        If the file is invalid. The error lists all problems of the file.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.load_cluster("mixed-small", cs.load_catalogue())
    >>> {name: pool.nodes for name, pool in cluster.pools.items()}
    {'h200': 32, 'h20': 12, '910b': 8, 'seedchip': 8}
    """
    from clustersim.catalogue import Catalogue

    check_kind("catalogue", catalogue, Catalogue, "a catalogue", "use clustersim.load_catalogue()")
    path = find_topology(path_or_name)
    try:
        tree = read_yaml(path)
    except InputError as error:
        if not path.is_file() or path.suffix in (".yaml", ".yml"):
            raise
        hint = (
            "a topology of nodes that a scheduler printed is written by clustersim topology "
            f"--from {path.name} --out my-cluster.yaml"
        )
        first, *others = error.problems
        raise InputError(error.source, [f"{first} ({hint})", *others]) from None
    if "extends" in tree and (extended := read_extended(path)).get(FLEET) is not None:
        tree = extended
    if tree.get(FLEET) is not None:
        tree = whole_fleet(tree, catalogue, path, case)
    elif case is not None:
        raise InputError(path, f"has no fleet, so there is no case {case!r}")
    return resolve_cluster(tree, catalogue, source=path)


def resolve_cluster(
    data: Mapping[str, Any], catalogue: Catalogue, *, source: str | Path = "cluster"
) -> ClusterSpec:
    """Check and complete a topology given as a mapping, for example inline in a scenario.

    Parameters
    ----------
    data : mapping
        A topology in the format of :class:`ClusterSpec`.
    catalogue : Catalogue
    source : str or Path
        Name of the topology in error messages.

    Raises
    ------
    InputError
        If the topology is invalid. The error lists all problems.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.topology import resolve_cluster
    >>> pools = {"gpu": {"accelerator": "H200", "nodes": 4}}
    >>> cluster = resolve_cluster({"name": "four nodes", "pools": pools}, cs.load_catalogue())
    >>> cluster.pools["gpu"].chips_per_node
    8
    """
    problems: list[str] = []
    spec: ClusterSpec | None = None
    try:
        spec = validate(ClusterSpec, data, source)
    except InputError as error:
        problems += error.problems
    problems += _unknown_chips(data, catalogue)
    readable = _readable_pools(data) if spec is None else dict(spec.pools)
    pools = {
        name: _complete(pool, catalogue.accelerator(pool.accelerator))
        for name, pool in readable.items()
        if catalogue.has_accelerator(pool.accelerator) and pool.nodes > 0
    }
    if readable and not any(pool.nodes for pool in readable.values()):
        empty = ", ".join(f"pools.{name}.nodes" for name in readable)
        problems.append(f"{empty}: the cluster has 0 nodes; at least 1 is needed")
    for name, pool in pools.items():
        problems += [f"pools.{name}.{problem}" for problem in _check_pool(pool)]
    if spec is not None:
        problems += _check_cluster(spec, pools)
    if problems or spec is None:
        raise InputError(source, problems)
    without = [name for name, pool in readable.items() if not pool.nodes]
    empty_pools = list(dict.fromkeys([*spec.empty_pools, *without]))
    return spec.model_copy(update={"pools": pools, "empty_pools": empty_pools})


def topology_names() -> list[str]:
    """Return the names of the topologies in the user's folder and in the package.

    Examples
    --------
    >>> from clustersim.topology import topology_names
    >>> "mixed-small" in topology_names()
    True
    """
    own = (path.name for path in Path("topologies").glob("*.yaml"))
    return sorted({Path(name).stem for name in (*own, *shipped_files("topologies", ".yaml"))})


def find_topology(path_or_name: str | Path) -> Path:
    """Return the path of a topology given by path or name.

    See :func:`~clustersim.shipped.find_file`.

    Raises
    ------
    InputError
        If there is no such file. The message suggests the nearest name.

    Examples
    --------
    >>> from clustersim.topology import find_topology
    >>> find_topology("mixed-small").name
    'mixed-small.yaml'
    """
    path = find_file(path_or_name, within="topologies")
    if os.path.exists(path):
        return path
    name = Path(path_or_name).name.removesuffix(".yaml")
    raise InputError(path_or_name, f"no such topology file; {nearest_hint(name, topology_names())}")


def _raw_pools(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    pools = data.get("pools")
    if not isinstance(pools, Mapping):
        return {}
    return {
        name: pool
        for name, pool in pools.items()
        if isinstance(name, str) and isinstance(pool, Mapping)
    }


def _unknown_chips(data: Mapping[str, Any], catalogue: Catalogue) -> list[str]:
    return [
        f"pools.{name}.accelerator: "
        + unknown_name("accelerator", pool["accelerator"], catalogue.accelerators)
        for name, pool in _raw_pools(data).items()
        if isinstance(pool.get("accelerator"), str)
        and not catalogue.has_accelerator(pool["accelerator"])
    ]


def _readable_pools(data: Mapping[str, Any]) -> dict[str, PoolSpec]:
    """Return the pools with a valid format, so that their other problems are reported too."""
    pools = {}
    for name, pool in _raw_pools(data).items():
        try:
            pools[name] = PoolSpec.model_validate(pool)
        except ValidationError:
            continue
    return pools


def _complete(pool: PoolSpec, chip: Accelerator) -> PoolSpec:
    """Return the pool with omitted values set from the catalogue."""
    chips_per_node = pool.chips_per_node or chip.chips_per_node
    link = pool.scale_up
    shape = link.shape or chip.scaleup_shape
    size = link.size or _scale_up_size(chip, shape, chips_per_node, pool.nodes)
    return pool.model_copy(
        update={
            "accelerator": chip.name,
            "chips_per_node": chips_per_node,
            "nic": chip.nic_Bps if pool.nic is None else pool.nic,
            "transport": pool.transport or chip.transport,
            "scale_up": link.model_copy(
                update={
                    "bandwidth": chip.scaleup_Bps if link.bandwidth is None else link.bandwidth,
                    "shape": shape,
                    "size": size,
                }
            ),
        }
    )


def _scale_up_size(chip: Accelerator, shape: str, chips_per_node: int, nodes: int) -> int:
    """Return the number of chips in a scale-up domain.

    The domain is one node unless the catalogue states a larger size. Without scale-up links, the
    number is 1.
    """
    if shape == "none":
        return 1
    if chip.scaleup_size <= chip.chips_per_node:
        return chips_per_node
    return min(chip.scaleup_size, nodes * chips_per_node)


def _zero_rates(model: Any, prefix: str = "") -> Iterable[str]:
    """Yield a problem for each rate of a pool or fabric that is zero."""
    for name in ("nic", "link_rate", "local_rate", "global_rate"):
        if getattr(model, name, None) == 0:
            yield f"{prefix}{name}: must be more than 0, found 0; write, for example, 400 Gb/s"


def _check_pool(pool: PoolSpec) -> list[str]:
    """Return the problems of a completed pool, each as ``field: problem``."""
    problems = [*_zero_rates(pool), *_zero_rates(pool.fabric, "fabric.")]
    chips = pool.chips_per_node or 0
    if pool.nodes * chips > MOST_CHIPS:
        return [
            *problems,
            f"nodes: {pool.nodes:,} nodes with {chips:,} chips each are {pool.nodes * chips:,} "
            f"chips; allowed: up to {MOST_CHIPS:,}",
        ]
    size = pool.scale_up.size or 1
    if size % chips and chips % size:
        problems.append(
            f"scale_up.size: must divide the {chips} chips of a node or be a multiple of them, "
            f"found {size}"
        )
    if size > 1 and pool.scale_up.bandwidth == 0:
        problems.append(
            f"scale_up.bandwidth: must be more than 0 for a domain of {size} chips, found 0"
        )
    taken = sum(pool.virtual_cluster_nodes().values())
    if taken > pool.nodes:
        problems.append(
            f"virtual_clusters: together they own {taken:,} nodes, but the pool has {pool.nodes:,}"
        )
    if not problems:
        problems += [f"fabric.{problem}" for problem in pool.build_fabric().problems()]
    return problems


def _check_cluster(spec: ClusterSpec, pools: Mapping[str, PoolSpec]) -> list[str]:
    """Return the problems of the cluster as a whole."""
    problems = []
    chips = sum(pool.endpoints().chips for pool in pools.values())
    largest = max((pool.endpoints().chips for pool in pools.values()), default=0)
    if chips > MOST_CHIPS >= largest:
        problems.append(f"pools: {chips:,} chips in total; allowed: up to {MOST_CHIPS:,}")
    network = spec.datacenter_network
    if network is not None:
        problems += [
            f"datacenter_network.rates.{name}: " + unknown_name("pool", name, spec.pools)
            for name in network.rates
            if name not in spec.pools
        ]
        if min([network.rate, *network.rates.values()]) == 0:
            problems.append(
                "datacenter_network.rate: must be more than 0, found 0; omit datacenter_network to "
                "leave pools unconnected"
            )
    return problems
