"""Fabrics between nodes that a topology or a command can name, with their published facts."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import numpy as np

from clustersim.array_types import Ints
from clustersim.errors import InputError, unknown_name
from clustersim.network.constants import FABRICS

__all__ = [
    "DEFAULT_FABRIC",
    "FABRIC_NAMES",
    "Fabric",
    "constants_of",
    "fabric_of",
    "fabrics",
    "step_factor",
]

FABRIC_NAMES = ("infiniband", "roce", "efa", "tcpx")
"""Names of the fabrics in ``data/fabrics.csv``."""

DEFAULT_FABRIC = "infiniband"


@dataclass(frozen=True, slots=True)
class Fabric:
    """A fabric between nodes.

    Attributes
    ----------
    name, title : str
    constants : str
        Whose fitted constants apply, a name in :data:`clustersim.network.constants.FABRICS`. They
        are the same for InfiniBand and RoCE, as no publication measured both on the same chips.
    nic_Bps : float
        Usual bandwidth of one chip in one direction (bytes/s). The catalogue and topologies state
        the bandwidth of a chip; this number is only compared with it.
    step_s : float or None
        Published one-way latency of a small message across leaf switches; None if unknown.
    source : str
    """

    name: str
    title: str
    constants: str
    nic_Bps: float
    step_s: float | None
    source: str


@functools.cache
def fabrics() -> Mapping[str, Fabric]:
    """Read the fabrics.

    Examples
    --------
    >>> fabrics()["tcpx"].title
    'Google GPUDirect-TCPX'
    """
    text = resources.files("clustersim.network").joinpath("data", "fabrics.csv").read_text("utf-8")
    return MappingProxyType(
        {
            row["name"]: Fabric(
                row["name"],
                row["title"],
                row["constants"],
                1e9 * float(row["nic_GBps"]),
                1e-6 * float(row["step_us"]) if row["step_us"] else None,
                row["source"],
            )
            for row in csv.DictReader(text.splitlines())
        }
    )


def fabric_of(name: str) -> Fabric:
    """Return a fabric by name.

    Raises
    ------
    InputError
        If there is no such fabric; the message suggests the nearest name.

    Examples
    --------
    >>> fabric_of("efa").constants
    'efa'
    """
    found = fabrics()
    if name not in found:
        raise InputError("fabric", unknown_name("fabric", name, found))
    return found[name]


def constants_of(fabric: Ints) -> Ints:
    """Return indices in :data:`clustersim.network.constants.FABRICS`.

    Parameters
    ----------
    fabric : array of int
        Indices in :data:`FABRIC_NAMES`.

    Examples
    --------
    >>> constants_of(np.array([0, 1, 2])).tolist()
    [0, 0, 1]
    """
    found: Ints = _places()[fabric]
    return found


@functools.cache
def _places() -> Ints:
    """Return the index of the constants of each fabric, in the order of :data:`FABRIC_NAMES`."""
    return np.array([FABRICS.index(fabrics()[name].constants) for name in FABRIC_NAMES])


def step_factor(fabric: Fabric, start_ups: Mapping[str, float]) -> float:
    """Return the latency of a step over a fabric relative to InfiniBand.

    The published latencies count if both are known; otherwise the fitted start-up times.

    Parameters
    ----------
    fabric : Fabric
    start_ups : mapping of str to float
        Fitted start-up times by the names in :data:`clustersim.network.constants.FABRICS`.
    """
    usual = fabrics()[DEFAULT_FABRIC]
    if fabric.step_s is not None and usual.step_s is not None:
        return fabric.step_s / usual.step_s
    return start_ups[fabric.constants] / start_ups[usual.constants]
