"""Scores and weighted values (core attention) of a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients

__all__ = ["attention_flops", "attention_seconds"]

Array = NDArray[np.float64]


def attention_flops(tokens: Array, models: ModelArrays) -> Array:
    """FLOPs of scores and weighted values of one forward layer over all heads.

    ``4 tokens seq_len width``, half of it for a causal mask (Dao 2023, arXiv 2307.08691). Grouped
    queries share keys and values; the products stay those of all query heads.
    """
    return 4.0 * tokens * models.seq_len * models.attention_width * (1.0 - 0.5 * models.causal)


def attention_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> tuple[Array, Array]:
    """Seconds of core attention of one layer, forward and backward.

    Fused attention keeps no scores; its backward pass makes five products instead of two (2.5
    times the FLOPs: Dao 2023). Without it the whole square is computed and the scores pass through
    memory (Korthikanti et al. 2022: softmax, mask and dropout are memory-bound).
    """
    efficiency = coefficients.by_family("attention_efficiency", chips.family)
    # attention stays in BF16 when the products are FP8
    rate = np.where(chips.fp8, 0.5, 1.0) * chips.peak_flops * efficiency
    fused = attention_flops(tokens, models) / plans.tp / rate
    square = attention_flops(tokens, models) * (1.0 + models.causal) / plans.tp / rate
    scores = models.heads / plans.tp * tokens * models.seq_len
    bandwidth = chips.hbm_Bps * coefficients.by_family("memory_efficiency", chips.family)
    plain = square + coefficients.score_bytes * scores / bandwidth
    forward = np.where(plans.flash > 0, fused, plain)
    return forward, np.where(plans.flash > 0, 2.5 * fused, 2.0 * plain)
