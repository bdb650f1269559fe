"""The optimizer's pass over weights, gradients and moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates
from clustersim.performance.shard import Shard

__all__ = ["HOST_CHIPS", "host_optimizer", "host_s_per_param", "host_seconds", "optimizer_seconds"]

UPDATE_S = 0.257e-9
"""Seconds in which the processors of a host update one parameter (ZeRO-Offload, arXiv 2101.06840,
table 4, 10 billion parameters)."""
TRANSFER_S = 4.0 / 25e9
"""Seconds in which a gradient and a weight, of 2 bytes each, cross a PCIe 4.0 link at 25 GB/s."""
HOST_CHIPS = 8.0
"""Chips that share a host, at most."""


def host_optimizer(options: Mapping[str, str]) -> int:
    """Return the percentage of the optimizer that memory options keep on the host.

    Examples
    --------
    >>> host_optimizer({"offload": "activations+optimizer:0.5"}), host_optimizer({})
    (50, 0)
    """
    for part in options.get("offload", "none").split("+"):
        name, _, share = part.partition(":")
        if name == "optimizer":
            return round(100.0 * min(float(share or 1.0), 1.0))
    return 0


def host_s_per_param(chips: Floats | float) -> Floats:
    """Return the seconds that an optimizer step on the host takes for each parameter of a chip.

    Parameters
    ----------
    chips : array
        Chips of the job; up to :data:`HOST_CHIPS` share a host.

    Examples
    --------
    >>> [round(1e9 * float(host_s_per_param(chips)), 3) for chips in (1.0, 512.0)]
    [0.417, 2.216]
    """
    return np.minimum(chips, HOST_CHIPS) * UPDATE_S + TRANSFER_S


def optimizer_seconds(
    shard: Shard, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the time of one optimizer step on a chip in seconds; memory bandwidth limits it.

    The traffic is `optimizer_bytes` per parameter that a rank updates. From ZeRO stage 1 on, a rank
    updates only its share of the parameters (Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    seconds = coefficients.optimizer_bytes * _owned(shard, plans) / rates.memory_Bps
    if not np.any(plans.host_optimizer > 0):
        return seconds
    return (1.0 - plans.host_optimizer / 100.0) * seconds


def host_seconds(shard: Shard, plans: Plans) -> Floats:
    """Return the time of the part of an optimizer step that is on the host; nothing hides it."""
    share = plans.host_optimizer / 100.0
    return share * _owned(shard, plans) * host_s_per_param(plans.chips)


def _owned(shard: Shard, plans: Plans) -> Floats:
    """Return the trained parameters that a rank updates."""
    whole = shard.dense_params + shard.expert_params
    share = shard.dense_params / shard.group + shard.expert_params / shard.expert_group
    return np.where(plans.zero >= 1, share, whole) * shard.trained
