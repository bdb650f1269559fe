"""Measured constants of links: efficiencies, start-up times and the protocol switch.

:mod:`clustersim.network.fit` fits the constants to ``data/collectives.csv`` (see
``data/README.md``). The result is stored in ``data/links.csv``, so reading it needs no optimiser.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import Links

__all__ = [
    "FABRICS",
    "GENERATIONS",
    "Constant",
    "fitted_values",
    "generation_of",
    "link_constants",
    "links_of_constants",
]

GENERATIONS = ("switch", "nvlink3", "nvlink4", "nvlink5", "mesh")
"""Types of scale-up links; ``switch`` stands for all switched links without measurements."""

FABRICS = ("rdma", "efa", "tcpx")
"""Networks between nodes: InfiniBand or RoCE, AWS EFA, and Google's GPUDirect-TCPX."""

_FAMILIES = {
    "ampere": "nvlink3",
    "hopper": "nvlink4",
    "hopper-h20": "nvlink4",
    "blackwell": "nvlink5",
}


@dataclass(frozen=True, slots=True)
class Constant:
    """One fitted constant in SI units, and its standard error."""

    value: float
    standard_error: float


def generation_of(family: str, *, mesh: bool = False) -> int:
    """Return the index in :data:`GENERATIONS` of the scale-up links of a chip family.

    Examples
    --------
    >>> GENERATIONS[generation_of("hopper-h20")]
    'nvlink4'
    >>> GENERATIONS[generation_of("ascend", mesh=True)], GENERATIONS[generation_of("other")]
    ('mesh', 'switch')
    """
    return GENERATIONS.index("mesh" if mesh else _FAMILIES.get(family, "switch"))


@functools.cache
def link_constants() -> Mapping[tuple[str, str], Constant]:
    """Read the fitted constants.

    Returns
    -------
    mapping of (kind, name) to Constant
        Kinds are those of :data:`GENERATIONS` and :data:`FABRICS`. Names are ``efficiency``
        (fraction of the nominal bandwidth in one direction), ``reduce_efficiency`` (the same for an
        all-reduce in the switch), ``latency_s``, ``slope`` and ``step_s``, as in
        :class:`clustersim.network.collectives.Links`.
    """
    text = resources.files("clustersim.network").joinpath("data", "links.csv").read_text("utf-8")
    return MappingProxyType(
        {
            (row["kind"], row["name"]): Constant(float(row["value"]), float(row["standard_error"]))
            for row in csv.DictReader(text.splitlines())
        }
    )


@functools.cache
def fitted_values() -> Mapping[tuple[str, str], float]:
    """Return the fitted constants without their standard errors."""
    return MappingProxyType({key: constant.value for key, constant in link_constants().items()})


def _column(
    values: Mapping[tuple[str, str], float], kinds: tuple[str, ...], name: str, otherwise: float
) -> Floats:
    return np.array([values.get((kind, name), otherwise) for kind in kinds])


def links_of_constants(
    values: Mapping[tuple[str, str], float],
    *,
    scaleup_Bps: Floats,
    nic_Bps: Floats,
    scaleup_size: Floats,
    mesh: Bools,
    mesh_peers: Floats,
    generation: NDArray[Any],
    fabric: NDArray[Any],
) -> Links:
    """Compute the links from constants and nominal bandwidths.

    Parameters
    ----------
    values : mapping of (kind, name) to float
        Constants as in :func:`link_constants`, without standard errors.
    scaleup_Bps, nic_Bps : array
        Nominal bandwidth of one chip in one direction (bytes/s).
    scaleup_size, mesh, mesh_peers : array
        As in :class:`clustersim.network.collectives.Links`.
    generation, fabric : array of int
        Indices in :data:`GENERATIONS` and :data:`FABRICS`.

    Returns
    -------
    Links

    Examples
    --------
    An all-reduce of 1 GiB on eight H100 takes 4.1 ms (measured: 4.03 ms):

    >>> from clustersim.network.collectives import all_reduce_seconds
    >>> number = np.float64
    >>> links = links_of_constants(
    ...     fitted_values(),
    ...     scaleup_Bps=number(450e9),
    ...     nic_Bps=number(50e9),
    ...     scaleup_size=number(8),
    ...     mesh=np.bool_(False),
    ...     mesh_peers=number(7),
    ...     generation=np.int64(generation_of("hopper")),
    ...     fabric=np.int64(0),
    ... )
    >>> round(1e3 * all_reduce_seconds(number(2**30), number(8), number(1), links), 1)
    np.float64(4.1)
    """
    ring = _column(values, GENERATIONS, "efficiency", np.nan)
    reduced = _column(values, GENERATIONS, "reduce_efficiency", 0.0)
    with np.errstate(divide="ignore"):
        reduce_cost = ring / reduced
    return Links(
        scaleup_Bps=scaleup_Bps * ring[generation],
        nic_Bps=nic_Bps * _column(values, FABRICS, "efficiency", np.nan)[fabric],
        scaleup_size=scaleup_size,
        mesh=mesh,
        mesh_peers=mesh_peers,
        scaleup_latency_s=_column(values, GENERATIONS, "latency_s", np.nan)[generation],
        nic_latency_s=_column(values, FABRICS, "latency_s", np.nan)[fabric],
        reduce_cost=reduce_cost[generation],
        scaleup_slope=_column(values, GENERATIONS, "slope", np.nan)[generation],
        scaleup_step_s=_column(values, GENERATIONS, "step_s", np.nan)[generation],
        nic_slope=_column(values, FABRICS, "slope", np.nan)[fabric],
        nic_step_s=_column(values, FABRICS, "step_s", np.nan)[fabric],
    )
