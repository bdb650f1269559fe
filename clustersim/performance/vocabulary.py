"""The output layer: logits and their loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.matmul import matmul_seconds

__all__ = ["vocabulary_seconds"]

Array = NDArray[np.float64]


def vocabulary_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> Array:
    """Seconds of the output layer for one micro-batch, forward and backward.

    Three products of ``2 tokens hidden vocab`` FLOPs (PaLM, arXiv 2204.02311, appendix B), the
    vocabulary split by tensor parallel ranks, and `logit_bytes` of traffic per logit for softmax
    and loss. The embedding look-up is memory traffic of one row a token and left out.
    """
    width = models.vocab / plans.tp
    forward = matmul_seconds(
        tokens, width, models.hidden, models.hidden * width, chips, coefficients
    )
    bandwidth = chips.hbm_Bps * coefficients.by_family("memory_efficiency", chips.family)
    return 3.0 * forward + coefficients.logit_bytes * tokens * width / bandwidth
