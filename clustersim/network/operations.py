"""Factors of operations that reach another share of the links than rings and trees do.

:mod:`clustersim.network.operation_fit` fits them to both files of measured collectives, with the
constants of the links held fixed; ``data/operations.csv`` stores them. Step times do not use them:
the coefficients of the performance model (``exchange_factor``, ``scaleup_factor``) were fitted to
published steps without them, and contain the same effects.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from dataclasses import dataclass
from importlib import resources

from clustersim.network.collectives import Links

__all__ = ["PLAIN", "OperationFactors", "fitted_factors", "links_of_operation"]


@dataclass(frozen=True, slots=True)
class OperationFactors:
    """Factors of operations; 1 for those that reach what a ring reaches.

    Attributes
    ----------
    mesh_all_reduce : float
        Bandwidth of an all-reduce in a full mesh of links divided by that of gathers and scatters.
    all_to_all : float
        Network bandwidth of a plain all-to-all (send and receive of NCCL) divided by that of a
        ring.
    token_exchange : float
        The same for an exchange that sends a token once to each domain (DeepEP).
    """

    mesh_all_reduce: float = 1.0
    all_to_all: float = 1.0
    token_exchange: float = 1.0


PLAIN = OperationFactors()
"""No factors."""


@functools.cache
def fitted_factors() -> OperationFactors:
    """Read the fitted factors.

    Examples
    --------
    >>> fitted_factors().all_to_all < fitted_factors().token_exchange
    True
    """
    file = resources.files("clustersim.network").joinpath("data", "operations.csv")
    rows = csv.DictReader(file.read_text("utf-8").splitlines())
    return OperationFactors(**{row["name"]: float(row["value"]) for row in rows})


def links_of_operation(links: Links, operation: str, factors: OperationFactors) -> Links:
    """Return the links as an operation uses them.

    Parameters
    ----------
    links : Links
    operation : str
        ``all_to_all`` and ``token_exchange`` have their own network bandwidth; all others share
        the rest.
    factors : OperationFactors

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(())
    >>> links = Links(one, one, one, one < 0, one)
    >>> float(links_of_operation(links, "all_to_all", OperationFactors(all_to_all=0.7)).nic_Bps)
    0.7
    """
    shares = {"all_to_all": factors.all_to_all, "token_exchange": factors.token_exchange}
    return dataclasses.replace(
        links,
        nic_Bps=links.nic_Bps * shares.get(operation, 1.0),
        mesh_reduce_cost=1.0 / factors.mesh_all_reduce,
    )
