"""Core attention of a layer: scores and weighted values."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = ["attention_flops", "attention_seconds"]


def attention_flops(tokens: Floats, models: ModelArrays) -> Floats:
    """Return the FLOPs of scores and weighted values of one layer, forward, over all heads.

    The number is ``4 tokens span width`` (Dao 2023, arXiv 2307.08691); a causal mask halves the
    span. With grouped queries, heads share keys and values, but the number of products is the same.
    """
    return 4.0 * tokens * models.span * models.attention_width


def attention_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> tuple[Floats, Floats]:
    """Return the seconds of core attention of one layer, forward and backward.

    Fused attention stores no scores; its backward pass has five matrix products instead of two
    (2.5 times the FLOPs: Dao 2023). The exponential of a score takes as long as the products of
    `softmax_width` elements of a head's width (Shah et al. 2024, arXiv 2407.08608: exponentials
    limit narrow heads). Without fusion, the entire square is computed and the scores pass through
    memory (Korthikanti et al. 2022, arXiv 2205.05198: softmax, mask and dropout are memory-bound).
    """
    head_width = models.attention_width / models.heads
    softmax = 1.0 + coefficients.softmax_width / head_width
    fused = attention_flops(tokens, models) / plans.tp / rates.attention_flops * softmax
    if np.all(plans.flash > 0):
        return fused, 2.5 * fused
    square = 4.0 * tokens * models.seq_len * models.attention_width / plans.tp
    scores = models.heads / plans.tp * tokens * models.seq_len
    plain = square / rates.bf16_flops + coefficients.score_bytes * scores / rates.memory_Bps
    forward = np.where(plans.flash > 0, fused, plain)
    return forward, np.where(plans.flash > 0, 2.5 * fused, 2.0 * plain)
