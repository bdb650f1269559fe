"""Memory-bound work of a layer: norms, residuals, rotary positions, activation functions, casts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = ["elementwise_seconds", "mixture_elementwise_seconds"]

Array = NDArray[np.float64]

NORM_PASSES = 14.0
ATTENTION_PASSES = 3.0
MLP_PASSES = 2.5
"""Reads and writes (2 bytes each) of hidden, attention and MLP activations by the kernels of one
forward layer: two norms, two residual sums with dropout; rotary positions and bias; activation
function and product. The fitted `elementwise_traffic` scales them together."""


def elementwise_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> Array:
    """Seconds of the memory-bound kernels of one average layer, forward (backward takes twice).

    Bytes over bandwidth: `NORM_PASSES` over the hidden activations (split by tensor-parallel ranks
    only with sequence parallelism: Korthikanti et al. 2022), `ATTENTION_PASSES` over queries, keys
    and values, `MLP_PASSES` over each MLP matrix's activations (of the chosen and shared experts in
    a mixture, whose copies of a token are also permuted: two passes before and after the exchange,
    two over what the ranks that split a distributed expert have gathered); with FP8 the inputs of
    the products are cast. `layer_s` is the time of the kernels' launches.
    """
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    hidden = models.hidden / split
    attention = models.attention_width + 2.0 * models.kv_width
    active = models.ffn_hidden
    passes = NORM_PASSES * hidden + ATTENTION_PASSES * attention / plans.tp
    if np.any(models.n_experts > 0):
        moe = models.moe_layers / models.layers
        experts = (models.top_k + models.shared_experts) * models.expert_ffn_hidden
        active = (1.0 - moe) * models.ffn_hidden + moe * experts
        sorts = np.where(plans.ep > 1, 2.0 + 2.0 * plans.expert_tp, 4.0)
        passes = passes + sorts * coefficients.permutation_traffic * moe * models.top_k * hidden
    mlp = models.mlp_matrices * active / plans.tp
    elements = 2.0 * coefficients.elementwise_traffic * (passes + MLP_PASSES * mlp)
    if np.any(chips.fp8):
        inputs = 2.0 * models.hidden + (models.attention_width / plans.tp) + mlp
        elements = elements + np.where(chips.fp8, 2.0 * coefficients.cast_traffic * inputs, 0.0)
    return tokens * elements / rates.memory_Bps + coefficients.layer_s


def mixture_elementwise_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> Array:
    """Those of :func:`elementwise_seconds` that belong to the mixture of experts of a layer."""
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    experts = (models.top_k + models.shared_experts) * models.expert_ffn_hidden
    mlp = models.mlp_matrices * moe * experts / plans.tp
    sorts = np.where(plans.ep > 1, 2.0 + 2.0 * plans.expert_tp, 4.0)
    passes = sorts * coefficients.permutation_traffic * moe * models.top_k * models.hidden / split
    elements = 2.0 * coefficients.elementwise_traffic * (passes + MLP_PASSES * mlp)
    elements = elements + np.where(chips.fp8, 2.0 * coefficients.cast_traffic * mlp, 0.0)
    return tokens * elements / rates.memory_Bps
