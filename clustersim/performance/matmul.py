"""Matrix products of a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients

__all__ = ["attention_projection_seconds", "matmul_seconds", "mlp_seconds", "product_rate"]

Array = NDArray[np.float64]


def product_rate(chips: AcceleratorArrays, coefficients: Coefficients) -> Array:
    """FLOP/s of very large matrix products: the peak times the family's efficiency."""
    efficiency = coefficients.by_family("matmul_efficiency", chips.family)
    return chips.peak_flops * efficiency * np.where(chips.fp8, coefficients.fp8_efficiency, 1.0)


def matmul_seconds(
    rows: Array,
    width: Array,
    depth: Array,
    params: Array,
    chips: AcceleratorArrays,
    coefficients: Coefficients,
) -> Array:
    """Multiply `rows` activations by matrices of `params` elements in all.

    Roofline (Williams, Waterman and Patterson 2009): the slower of ``2 rows params`` FLOPs and of
    the bytes of weights and activations. The FLOP rate falls for small sizes by
    ``x / (x + half)`` in rows, width and depth, the usual shape of measured products.

    Parameters
    ----------
    rows : array
        Activations (tokens) that the chip sees.
    width, depth : array
        Typical outer and inner size of the local matrices.
    params : array
        Elements of the local matrices.

    Returns
    -------
    array
        Seconds of one forward pass; a backward pass takes twice that.
    """
    slowdown = 1.0 + coefficients.half_tokens / np.maximum(rows, 1.0)
    for size in (width, depth):
        slowdown = slowdown * (1.0 + coefficients.half_width / np.maximum(size, 1.0))
    compute = 2.0 * rows * params / product_rate(chips, coefficients) * slowdown
    traffic = 2.0 * (params + rows * (width + depth))
    bandwidth = chips.hbm_Bps * coefficients.by_family("memory_efficiency", chips.family)
    return np.where(params > 0, np.maximum(compute, traffic / bandwidth), np.zeros(()))


def attention_projection_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> Array:
    """Query, key, value and output projections of one layer, forward."""
    width = models.attention_width / plans.tp
    params = models.attention_params / plans.tp
    return matmul_seconds(tokens, width, models.hidden, params, chips, coefficients)


def mlp_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> Array:
    """MLP of one dense layer, forward."""
    width = models.ffn_hidden / plans.tp
    params = models.mlp_matrices * models.hidden * width
    return matmul_seconds(tokens, width, models.hidden, params, chips, coefficients)
