"""Memory-bound work of a layer: norms, residuals, rotary positions, activations, casts."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = ["elementwise_seconds", "mixture_elementwise_seconds"]


NORM_PASSES = 14.0
ATTENTION_PASSES = 3.0
MLP_PASSES = 2.5
PLAIN_MLP_PASSES = 1.0
"""Number of reads and writes (2 bytes each) of hidden, attention and MLP activations in the forward
pass of one layer. Hidden activations pass through two norms and two residual sums with dropout,
attention activations through rotary positions, and the activations of each matrix of a gated MLP
through the activation function and the product with the gate. An MLP without a gate (GPT) only
applies the activation function, and the queries and keys of its model are taken to have no rotary
positions. The fitted `elementwise_traffic` scales all of them."""


def elementwise_seconds(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> Floats:
    """Return the forward time of a layer's memory-bound kernels in seconds.

    The backward pass takes twice as long. The time is the traffic divided by the memory bandwidth.
    The traffic consists of `NORM_PASSES` passes over the hidden activations (split by
    tensor-parallel ranks only with sequence parallelism: Korthikanti et al. 2022),
    `ATTENTION_PASSES` passes over queries, keys and values of models with a gated MLP, and
    `MLP_PASSES` passes over the activations of each matrix of a gated MLP (`PLAIN_MLP_PASSES`
    without a gate). In a mixture of experts, only the matrices of the selected and
    shared experts count. A diffusion transformer (a model without a causal mask) also scales,
    shifts and gates the hidden activations of each block, which multiplies the traffic by
    `modulation`: a norm and a residual sum take seven passes, and their modulation four (Peebles
    and Xie 2023, arXiv 2212.09748, adaLN-Zero). A mixture also permutes the copies of each token,
    in two passes before and two passes after the exchange, and in two passes over the copies that
    are gathered by the ranks of a split, distributed expert. With FP8, the inputs of the matrix
    products are also cast. `layer_s` is the time to launch the kernels.
    """
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    hidden = models.hidden / split
    attention = models.attention_width + 2.0 * models.kv_width
    active = models.ffn_hidden
    gated = models.mlp_matrices > 2
    passes = NORM_PASSES * hidden + np.where(gated, ATTENTION_PASSES, 0.0) * attention / plans.tp
    if np.any(models.n_experts > 0):
        moe = models.moe_layers / models.layers
        experts = (models.top_k + models.shared_experts) * models.expert_ffn_hidden
        active = (1.0 - moe) * models.ffn_hidden + moe * experts
        sorts = np.where(plans.ep > 1, 2.0 + 2.0 * plans.expert_tp, 4.0)
        passes = passes + sorts * coefficients.permutation_traffic * moe * models.top_k * hidden
    mlp = models.mlp_matrices * active / plans.tp
    elements = 2.0 * coefficients.elementwise_traffic * (passes + _mlp_passes(models) * mlp)
    unmasked = models.span >= models.seq_len
    if np.any(unmasked):
        elements = elements * np.where(unmasked, coefficients.modulation, 1.0)
    if np.any(chips.fp8):
        inputs = 2.0 * models.hidden + (models.attention_width / plans.tp) + mlp
        elements = elements + np.where(chips.fp8, 2.0 * coefficients.cast_traffic * inputs, 0.0)
    return tokens * elements / rates.memory_Bps + coefficients.layer_s


def mixture_elementwise_seconds(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> Floats:
    """Return the part of :func:`elementwise_seconds` that belongs to the mixture of experts."""
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    experts = (models.top_k + models.shared_experts) * models.expert_ffn_hidden
    mlp = models.mlp_matrices * moe * experts / plans.tp
    sorts = np.where(plans.ep > 1, 2.0 + 2.0 * plans.expert_tp, 4.0)
    passes = sorts * coefficients.permutation_traffic * moe * models.top_k * models.hidden / split
    elements = 2.0 * coefficients.elementwise_traffic * (passes + _mlp_passes(models) * mlp)
    elements = elements + np.where(chips.fp8, 2.0 * coefficients.cast_traffic * mlp, 0.0)
    return tokens * elements / rates.memory_Bps


def _mlp_passes(models: ModelArrays) -> Floats:
    """Return the passes over the activations of a matrix of the MLP."""
    return np.where(models.mlp_matrices > 2, MLP_PASSES, PLAIN_MLP_PASSES)
