"""What a job is billed for the resources it holds.

Source: Slurm's page "Multifactor Priority Plugin" (TRES billing) and ``slurm.conf``
(``TRESBillingWeights``, ``MAX_TRES``, ``MAX_TRES_GRES``). TRES are trackable resources; those of a
node are CPUs, memory and generic resources (accelerators), those of the cluster licences and the
like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name

__all__ = ["BILLING_MODES", "billing"]

BILLING_MODES = ("sum", "max", "max_gres")
"""Without a flag, with ``MAX_TRES``, and with ``MAX_TRES_GRES``."""


def billing(
    requested: Mapping[str, npt.ArrayLike],
    weights: Mapping[str, float],
    *,
    mode: str = "sum",
    generic: Iterable[str] = (),
    of_cluster: Iterable[str] = (),
) -> Floats:
    """Return the billing of jobs, per second of their run time.

    Parameters
    ----------
    requested : mapping of str to float or array of float, shape (n,)
        Amount of each resource that each job holds.
    weights : mapping of str to float
        ``TRESBillingWeights``; resources without a weight are free.
    mode : {"sum", "max", "max_gres"}
        Whether a node's resources count all, or only the one with the largest weighted amount;
        ``max_gres`` adds all generic resources to the largest of the others.
    generic : iterable of str
        Names of generic resources, for ``max_gres``.
    of_cluster : iterable of str
        Names of resources of the cluster, which are added in every mode.

    Raises
    ------
    InputError
        If the mode is unknown.

    Examples
    --------
    >>> jobs = {"cpu": [1, 16], "memory": [60, 1]}
    >>> billing(jobs, {"cpu": 1.0, "memory": 0.25}).tolist()
    [16.0, 16.25]
    >>> billing(jobs, {"cpu": 1.0, "memory": 0.25}, mode="max").tolist()
    [15.0, 16.0]
    """
    if mode not in BILLING_MODES:
        raise InputError("mode", unknown_name("mode", mode, BILLING_MODES))
    amounts = {
        name: weights[name] * np.asarray(amount, dtype=np.float64)
        for name, amount in requested.items()
        if name in weights
    }
    shape = np.broadcast_shapes(*(np.shape(amount) for amount in requested.values()))
    added = set(of_cluster) if mode != "sum" else set(amounts)
    if mode == "max_gres":
        added |= set(generic)
    total = sum((amounts[name] for name in amounts if name in added), start=np.zeros(shape))
    largest = [amounts[name] for name in amounts if name not in added]
    return total + np.max(largest, axis=0) if largest else total
