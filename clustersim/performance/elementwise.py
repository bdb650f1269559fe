"""Memory-bound work of a layer: norms, residuals, rotary positions, activation functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.shard import Shard

__all__ = ["elementwise_seconds"]

Array = NDArray[np.float64]


def elementwise_seconds(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> Array:
    """Seconds of the memory-bound kernels of one average layer, forward (backward takes twice).

    Bytes over bandwidth: `norm_passes` over the hidden activations (split by tensor parallel ranks
    only with sequence parallelism: Korthikanti et al. 2022), `attention_passes` over queries, keys
    and values, `mlp_passes` over each MLP matrix's activations (of the chosen and shared experts in
    a mixture, whose tokens are also permuted twice).
    """
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    active = models.top_k + models.shared_experts
    mlp = (1.0 - moe) * models.ffn_hidden + moe * active * models.expert_ffn_hidden
    elements = (
        coefficients.norm_passes * models.hidden / split
        + coefficients.attention_passes
        * (models.attention_width + 2.0 * models.kv_width)
        / plans.tp
        + coefficients.mlp_passes * models.mlp_matrices * mlp / plans.tp
        + 4.0 * moe * models.top_k * models.hidden / split
    )
    bandwidth = chips.hbm_Bps * coefficients.by_family("memory_efficiency", chips.family)
    return 2.0 * shard.tokens * elements / bandwidth
