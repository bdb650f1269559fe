"""The optimizer's pass over weights, gradients and moments."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates
from clustersim.performance.shard import Shard

__all__ = ["optimizer_seconds"]


def optimizer_seconds(
    shard: Shard, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the time of one optimizer step in seconds; memory bandwidth limits it.

    The traffic is `optimizer_bytes` per parameter that a rank updates. From ZeRO stage 1 on, a rank
    updates only its share of the parameters (Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    whole = shard.dense_params + shard.expert_params
    share = shard.dense_params / shard.group + shard.expert_params / shard.expert_group
    owned = np.where(plans.zero >= 1, share, whole) * shard.trained
    return coefficients.optimizer_bytes * owned / rates.memory_Bps
