"""Times of collectives on a chip of the catalogue, by the library's choice or a named schedule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.errors import InputError, check_kind, shown, unknown_name
from clustersim.network.algorithms import bus_factor, check_operation
from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    point_to_point_seconds,
    reduce_scatter_seconds,
)
from clustersim.network.constants import (
    FABRICS,
    fitted_values,
    generation_of,
    links_of_constants,
)
from clustersim.network.fabrics import Fabric, fabric_of, step_factor
from clustersim.network.operations import OperationFactors, fitted_factors, links_of_operation
from clustersim.network.schedules import SCHEDULES, schedule_of, scheduled_seconds

__all__ = ["AUTO", "CollectiveTime", "algorithms_for", "chip_links", "estimate_collective"]

AUTO = "auto"
"""Algorithm that stands for the choice of the communication library (NCCL, HCCL)."""

NVSWITCH_Bps = 200e9
NVSWITCH_CHIPS = 4
"""NVLink SHARP needs an NVSwitch: at least this bandwidth per chip (H800) and this many chips.
Bridges of two chips and PCIe cards of the same family have none."""


@dataclass(frozen=True, slots=True)
class CollectiveTime:
    """The time of a collective.

    Attributes
    ----------
    operation, algorithm, accelerator, fabric : str
    seconds : array
    algbw_Bps, busbw_Bps : array
        Algorithm and bus bandwidth as nccl-tests defines them (bytes/s); nan for one chip.
    scaleup_size : int
        Chips in one scale-up domain.
    scaleup_Bps, nic_Bps : float
        Nominal bandwidth of one chip in one direction.
    """

    operation: str
    algorithm: str
    accelerator: str
    fabric: str
    seconds: Floats
    algbw_Bps: Floats
    busbw_Bps: Floats
    scaleup_size: int
    scaleup_Bps: float
    nic_Bps: float


def chip_links(
    accelerator: Accelerator, fabric: Fabric, nic_Bps: float, *, in_switch: bool = True
) -> Links:
    """Return the links of a chip of the catalogue with their fitted constants.

    Parameters
    ----------
    accelerator : Accelerator
    fabric : Fabric
    nic_Bps : float
        Network bandwidth of one chip in one direction (bytes/s).
    in_switch : bool
        Whether a switch that can sum does so (False: ``NCCL_NVLS_ENABLE=0``).
    """
    mesh = accelerator.scaleup_shape == "mesh"
    size = 1 if accelerator.scaleup_shape == "none" else accelerator.scaleup_size
    links = links_of_constants(
        fitted_values(),
        scaleup_Bps=np.array(accelerator.scaleup_Bps),
        nic_Bps=np.array(nic_Bps),
        scaleup_size=np.array(float(size)),
        mesh=np.array(mesh),
        mesh_peers=np.array(max(size - 1.0, 1.0)),
        generation=np.array(generation_of(accelerator.family, mesh=mesh)),
        fabric=np.array(FABRICS.index(fabric.constants)),
    )
    switched = accelerator.scaleup_Bps >= NVSWITCH_Bps and size >= NVSWITCH_CHIPS
    if in_switch and switched:
        return links
    return dataclasses.replace(links, reduce_cost=np.inf)


def algorithms_for(operation: str, links: Links, fabric: str) -> list[str]:
    """Return the algorithms that are possible for an operation on the given links and fabric.

    Examples
    --------
    >>> import clustersim as cs
    >>> chip = cs.load_catalogue().accelerator("H200")
    >>> links = chip_links(chip, fabric_of("infiniband"), chip.nic_Bps)
    >>> algorithms_for("all_to_all", links, "infiniband")
    ['auto', 'hierarchical', 'direct', 'deepep']
    """
    check_operation(operation)
    sums = bool(np.all(np.isfinite(links.reduce_cost)))
    return [
        AUTO,
        *(
            name
            for name, schedule in SCHEDULES.items()
            if operation in schedule.uses
            and (sums or not schedule.sums_in_switch)
            and (not schedule.fabrics or fabric in schedule.fabrics)
        ),
    ]


def estimate_collective(
    operation: str,
    size_bytes: ArrayLike,
    accelerator: Accelerator,
    count: ArrayLike,
    *,
    algorithm: str = AUTO,
    fabric: str | None = None,
    nic_Bps: float | None = None,
    in_switch: bool = True,
    copies: float = 8.0,
    factors: OperationFactors | None = None,
) -> CollectiveTime:
    """Return the time of a collective among neighbouring chips of one type.

    Parameters
    ----------
    operation : str
        A name in :data:`clustersim.network.algorithms.OPERATIONS`.
    size_bytes : float or array
        Size of the whole tensor; for an all-to-all, the bytes that one chip sends to all.
    accelerator : Accelerator
        A chip of the catalogue.
    count : int or array of int
        Chips in the group. They fill their scale-up domains: more chips than one domain holds must
        be a multiple of it. A point-to-point transfer goes to the last chip.
    algorithm : str
        ``auto`` (what the library chooses) or a name in
        :data:`clustersim.network.schedules.SCHEDULES`.
    fabric : str, optional
        A name in :data:`clustersim.network.fabrics.FABRIC_NAMES` (default: that of the chip).
    nic_Bps : float, optional
        Network bandwidth of one chip in one direction (default: the catalogue's).
    in_switch : bool
        Whether a switch that can sum does so.
    copies : float
        Experts to which each token goes; only for ``deepep``.
    factors : OperationFactors, optional
        Factors of operations (default: the fitted ones).

    Returns
    -------
    CollectiveTime
        The arrays of the arguments are broadcast.

    Raises
    ------
    InputError
        If a name is unknown, a value is out of range, or the algorithm is not possible.

    Examples
    --------
    >>> import clustersim as cs
    >>> chip = cs.load_catalogue().accelerator("H200")
    >>> found = estimate_collective("all_reduce", 2**30 * 8.0, chip, [4, 8])
    >>> [round(float(rate) / 1e9) for rate in found.busbw_Bps]
    [361, 463]
    """
    check_kind("accelerator", accelerator, Accelerator, "a chip of the catalogue")
    check_operation(operation)
    used = fabric_of(accelerator.transport if fabric is None else fabric)
    network = accelerator.nic_Bps if nic_Bps is None else nic_Bps
    links = chip_links(accelerator, used, network, in_switch=in_switch)
    size, ranks = _checked(operation, size_bytes, count, network, links)
    factors = fitted_factors() if factors is None else factors
    _check_algorithm(algorithm, operation, algorithms_for(operation, links, used.name))
    if not 1.0 <= copies < np.inf:
        raise InputError("copies", f"must be 1 or more, found {shown(copies)}")
    if algorithm == AUTO:
        seconds = _chosen_by_library(operation, size, ranks, links, factors)
    else:
        schedule = schedule_of(algorithm, operation)
        exchange = schedule.exchange if operation == "all_to_all" else operation
        start_ups = {name: fitted_values()[name, "latency_s"] for name in FABRICS}
        seconds = scheduled_seconds(
            schedule,
            operation,
            size,
            ranks,
            links_of_operation(links, exchange, factors),
            copies=copies,
            step_factor=step_factor(used, start_ups),
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        algbw = np.where(seconds > 0, size / seconds, np.nan)
    return CollectiveTime(
        operation=operation,
        algorithm=algorithm,
        accelerator=accelerator.name,
        fabric=used.name,
        seconds=seconds,
        algbw_Bps=algbw,
        busbw_Bps=algbw * bus_factor(operation, ranks),
        scaleup_size=int(links.scaleup_size),
        scaleup_Bps=accelerator.scaleup_Bps,
        nic_Bps=float(network),
    )


def _check_algorithm(algorithm: str, operation: str, possible: list[str]) -> None:
    """Raise an error if the algorithm is unknown or not possible here."""
    if algorithm not in (AUTO, *SCHEDULES):
        raise InputError("algorithm", unknown_name("algorithm", algorithm, possible))
    if algorithm != AUTO:
        schedule_of(algorithm, operation)
    if algorithm not in possible:
        schedule = SCHEDULES[algorithm]
        need = " and ".join(
            [
                *(
                    ["a scale-up switch that sums (NVLink SHARP)"]
                    if schedule.sums_in_switch
                    else []
                ),
                *([f"the fabric {' or '.join(schedule.fabrics)}"] if schedule.fabrics else []),
            ]
        )
        raise InputError("algorithm", f"{algorithm} needs {need}; allowed: {', '.join(possible)}")


def _checked(
    operation: str, size_bytes: ArrayLike, count: ArrayLike, nic_Bps: float, links: Links
) -> tuple[Floats, Floats]:
    """Check sizes and counts; return them as arrays of equal shape."""
    size, ranks = np.broadcast_arrays(
        np.asarray(size_bytes, dtype=np.float64), np.asarray(count, dtype=np.float64)
    )
    problems = []
    if not np.all((size > 0) & np.isfinite(size)):
        problems.append(f"size_bytes: must be more than 0, found {shown(size_bytes)}")
    if not 0 < nic_Bps < np.inf:
        problems.append(f"nic_Bps: must be more than 0, found {nic_Bps!r}")
    domain = float(links.scaleup_size)
    if not np.all((ranks >= 1) & (ranks == np.floor(ranks)) & np.isfinite(ranks)):
        problems.append(f"count: must be whole and at least 1, found {shown(count)}")
    elif operation != "point_to_point" and np.any((ranks > domain) & (ranks % domain != 0)):
        problems.append(
            f"count: must be at most {domain:g} (one scale-up domain) or a multiple of it, "
            f"found {shown(count)}"
        )
    if problems:
        raise InputError("collective", problems)
    return size, ranks


_Seconds = Callable[[Floats, Floats, Links], Floats]


def _neighbours(seconds: Callable[[Floats, Floats, Floats, Links], Floats]) -> _Seconds:
    def of_neighbours(size: Floats, ranks: Floats, links: Links) -> Floats:
        return seconds(size, ranks, np.ones_like(ranks), links)

    return of_neighbours


def _broadcast(size: Floats, ranks: Floats, links: Links) -> Floats:
    return scheduled_seconds(SCHEDULES["ring"], "broadcast", size, ranks, links)


def _to_last(size: Floats, ranks: Floats, links: Links) -> Floats:
    seconds = point_to_point_seconds(size, np.maximum(ranks - 1.0, 1.0), links)
    return np.where(ranks > 1, seconds, 0.0)


_CHOSEN: Mapping[str, _Seconds] = MappingProxyType(
    {
        "all_reduce": _neighbours(all_reduce_seconds),
        "reduce_scatter": _neighbours(reduce_scatter_seconds),
        "all_gather": _neighbours(all_gather_seconds),
        "all_to_all": _neighbours(all_to_all_seconds),
        "broadcast": _broadcast,
        "point_to_point": _to_last,
    }
)
"""What the library chooses: the functions that step times use."""


def _chosen_by_library(
    operation: str, size: Floats, ranks: Floats, links: Links, factors: OperationFactors
) -> Floats:
    return _CHOSEN[operation](size, ranks, links_of_operation(links, operation, factors))
