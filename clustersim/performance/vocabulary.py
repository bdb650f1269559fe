"""The output layer: logits and their loss."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.rates import Rates

__all__ = ["vocabulary_seconds"]


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
