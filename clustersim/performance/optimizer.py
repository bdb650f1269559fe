"""The optimizer's pass over weights, gradients and moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates
from clustersim.performance.shard import Shard

__all__ = ["HOST_S", "host_optimizer", "optimizer_seconds"]


HOST_S = 8.0 * 0.257e-9 + 4.0 / 25e9
"""Seconds per parameter of an optimizer step on the host: its processors update a thousand million
parameters in 0.257 s (ZeRO-Offload, arXiv 2101.06840, table 4, 10 thousand million parameters) and
serve 8 chips; a gradient and a weight of 2 bytes each cross a PCIe 4.0 link at 25 GB/s."""


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


def optimizer_seconds(
    shard: Shard, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the time of one optimizer step in seconds; memory bandwidth limits it.

    The traffic is `optimizer_bytes` per parameter that a rank updates. From ZeRO stage 1 on, a rank
    updates only its share of the parameters (Rajbhandari et al. 2020, arXiv 1910.02054). An
    optimizer on the host takes :data:`HOST_S` per parameter, and nothing hides it.
    """
    whole = shard.dense_params + shard.expert_params
    share = shard.dense_params / shard.group + shard.expert_params / shard.expert_group
    owned = np.where(plans.zero >= 1, share, whole) * shard.trained
    seconds = coefficients.optimizer_bytes * owned / rates.memory_Bps
    if not np.any(plans.host_optimizer > 0):
        return seconds
    share = plans.host_optimizer / 100.0
    return (1.0 - share) * seconds + share * owned * HOST_S
