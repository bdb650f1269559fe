"""Core attention of a layer: scores and weighted values."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = ["attention_flops", "attention_seconds"]


BACKWARD_RAMP = 415.0 / 240.0
"""Attended tokens at which the backward pass of attention is half as fast, relative to those of the
forward pass: 415 and 240 make the rates of the H100 and the H200 constant within 4 % over 512 to
16,384 tokens (``calibration/data/microbenchmarks``, heads of 128 elements)."""


def attention_flops(tokens: Floats, models: ModelArrays) -> Floats:
    """Return the FLOPs of core attention in the forward pass of one layer, over all heads.

    Scores and weighted values together take ``4 tokens span width`` FLOPs (Dao 2023, arXiv
    2307.08691); a causal mask halves the span. With grouped queries, heads share keys and values,
    but the number of products is the same.
    """
    return 4.0 * tokens * models.span * models.attention_width


def attention_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> tuple[Floats, Floats]:
    """Return the times of core attention in one layer in seconds: forward pass and backward pass.

    Fused attention stores no scores; its backward pass has five matrix products instead of two (2.5
    times the FLOPs: Dao 2023). The exponential of a score takes as long as the products over
    `softmax_width` elements of a head, so exponentials limit narrow heads (Shah et al. 2024, arXiv
    2407.08608). Short rows of scores leave the kernel's pipeline empty and compute masked parts of
    blocks on the diagonal, so the forward pass takes ``1 + attention_ramp / span`` times as long:
    on an H20, FlashAttention 3 reaches 0.52 of the peak for 1,024 tokens, 0.83 for 4,096 and 0.94
    for 32,768 (InferSim, ``calibration/data/kernels.csv``). Without fusion, masked scores are also
    computed, and all scores pass through memory (Korthikanti et al. 2022, arXiv 2205.05198:
    softmax, mask and dropout are memory-bound).
    """
    head_width = models.attention_width / models.heads
    softmax = 1.0 + coefficients.softmax_width / head_width
    ramp = coefficients.attention_ramp / models.span
    whole = attention_flops(tokens, models) / plans.tp / rates.attention_flops * softmax
    fused, back = (1.0 + ramp) * whole, 2.5 * (1.0 + BACKWARD_RAMP * ramp) * whole
    if np.all(plans.flash > 0):
        return fused, back
    square = 4.0 * tokens * models.seq_len * models.attention_width / plans.tp
    scores = models.heads / plans.tp * tokens * models.seq_len
    plain = square / rates.bf16_flops + coefficients.score_bytes * scores / rates.memory_Bps
    forward = np.where(plans.flash > 0, fused, plain)
    return forward, np.where(plans.flash > 0, back, 2.0 * plain)
