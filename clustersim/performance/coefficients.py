"""The coefficients of the performance model, resolved for some rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coefficients"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Every coefficient, as one value or as an array with one element per row.

    :data:`clustersim.performance.PARAMETERS` gives the meaning and unit of each coefficient;
    :class:`clustersim.performance.CoefficientDraw` resolves them for chips and a software stack.
    `corner` is not a coefficient: it is the width of the model's rounded corners
    (:mod:`clustersim.network.corners`), which are sharp except during a fit.
    """

    matmul_efficiency: Array
    fp8_efficiency: Array
    matmul_traffic: Array
    attention_efficiency: Array
    softmax_width: Array
    memory_efficiency: Array
    elementwise_traffic: Array
    cast_traffic: Array
    layer_s: Array
    score_bytes: Array
    logit_bytes: Array
    scaleup_factor: Array
    nic_factor: Array
    latency_factor: Array
    hop_latency_s: Array
    tp_overlap: Array
    dp_overlap: Array
    zero3_overlap: Array
    ep_overlap: Array
    cp_overlap: Array
    pp_overlap: Array
    gradient_bytes: Array
    weight_messages: Array
    zero3_messages: Array
    optimizer_bytes: Array
    fixed_s: Array
    straggling: Array
    expert_imbalance: Array
    grouped_slowdown: Array
    expert_s: Array
    permutation_traffic: Array
    slowdown: Array
    launch_s: Array
    corner: Array | float = 0.0

    def take(self, index: NDArray[Any]) -> Coefficients:
        """Return the rows `index` of the last axis; a value that all rows share is kept."""
        values = (getattr(self, column.name) for column in dataclasses.fields(self))
        return Coefficients(*(value[..., index] if np.ndim(value) else value for value in values))
