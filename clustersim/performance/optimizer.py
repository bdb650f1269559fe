"""The optimizer's pass over weights, gradients and moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates
from clustersim.performance.shard import Shard

__all__ = ["optimizer_seconds"]

Array = NDArray[np.float64]


def optimizer_seconds(
    shard: Shard, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Array:
    """Seconds of one optimizer step: memory-bound, `optimizer_bytes` per parameter that it owns.

    From ZeRO stage 1 on a rank updates its share only (Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    whole = shard.dense_params + shard.expert_params
    share = shard.dense_params / shard.group + shard.expert_params / shard.expert_group
    owned = np.where(plans.zero >= 1, share, whole) * shard.trained
    return coefficients.optimizer_bytes * owned / rates.memory_Bps
