"""Matrix products of a layer, and the output layer with its loss."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = [
    "attention_projection_seconds",
    "matmul_seconds",
    "mlp_seconds",
    "vocabulary_seconds",
]


def matmul_seconds(
    rows: Floats,
    width: Floats,
    depth: Floats,
    rates: Rates,
    coefficients: Coefficients,
    *,
    grouped: bool = False,
) -> Floats:
    """Return the time to multiply `rows` activations by a ``depth x width`` matrix.

    The time is the FLOPs divided by the rate of large products, plus `matmul_traffic` times the
    minimum traffic (both operands and the result, 2 bytes per element) divided by the memory
    bandwidth. The second term is the time of memory traffic for tiles that a kernel does not hide.
    Small products are slow because their traffic has more weight (the roofline of Williams,
    Waterman and Patterson 2009, with a sum in place of the maximum).

    The grouped products of experts reach a lower rate (`grouped_slowdown`, and `grouped_fp8` in
    FP8), and have a traffic of their own (`grouped_traffic`), because their tiles are cut at the
    borders of experts and are small if the experts are narrow.

    Parameters
    ----------
    rows : array
        Activations (tokens) that the chip processes.
    width, depth : array
        Columns and rows of the local matrix.
    grouped : bool
        Whether the matrix is that of an expert.

    Returns
    -------
    array
        Seconds of one forward pass; a backward pass takes twice as long.
    """
    flops_s = 2.0 * rows * width * depth / rates.product_flops
    traffic = 2.0 * (rows * (width + depth) + width * depth)
    if grouped:
        slower = coefficients.grouped_slowdown * np.where(rates.fp8, coefficients.grouped_fp8, 1.0)
        return slower * flops_s + coefficients.grouped_traffic * traffic / rates.memory_Bps
    return flops_s + coefficients.matmul_traffic * traffic / rates.memory_Bps


def attention_projection_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the forward time of one layer's attention projections in seconds.

    These are the projections to queries, keys, values and the output. The output projection is
    ``attention_width x hidden``. The remaining attention parameters of the layer count as one
    product that computes queries, keys and values.
    """
    width = models.attention_width / plans.tp
    into = (models.attention_params / models.hidden) / plans.tp - width
    inward = matmul_seconds(tokens, into, models.hidden, rates, coefficients)
    return inward + matmul_seconds(tokens, models.hidden, width, rates, coefficients)


def mlp_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the forward time of a dense layer's MLP in seconds; gate and up are one product."""
    width = models.ffn_hidden / plans.tp
    up = (models.mlp_matrices - 1.0) * width
    inward = matmul_seconds(tokens, up, models.hidden, rates, coefficients)
    return inward + matmul_seconds(tokens, models.hidden, width, rates, coefficients)


def vocabulary_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the time of the output layer for one micro-batch in seconds, forward plus backward.

    There are three products of ``2 tokens hidden vocab`` FLOPs (PaLM, arXiv 2204.02311, appendix B)
    in BF16, or two if low-rank adapters are trained. The tensor-parallel ranks split the
    vocabulary. Softmax and loss move `logit_bytes` per logit. The embedding look-up, which reads
    one row per token, is left out.
    """
    width = models.vocab / plans.tp
    flops_s = 2.0 * tokens * width * models.hidden / rates.bf16_flops
    traffic = 2.0 * (tokens * (width + models.hidden) + width * models.hidden)
    product = flops_s + coefficients.matmul_traffic * traffic / rates.memory_Bps
    seconds = (3.0 - plans.lora) * product
    seconds = seconds + coefficients.logit_bytes * tokens * width / rates.memory_Bps
    return np.where(models.vocab > 0, seconds, 0.0)
