"""Values of the performance model's coefficients for given rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Floats

__all__ = ["Coefficients"]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Every coefficient, as one value or as an array with one element per row.

    :data:`clustersim.performance.PARAMETERS` states the meaning and unit of each coefficient;
    :class:`clustersim.performance.CoefficientDraw` computes their values for chips and a software
    stack. `corner` is not a coefficient. It is the width over which the model rounds corners
    (:mod:`clustersim.network.corners`); it is 0 (sharp corners) except during a fit. `dispatcher`
    is the stack's usual way to send tokens to experts
    (:func:`clustersim.performance.stacks.dispatcher_of`).

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import default_draw, labels_of
    >>> chip = cs.load_catalogue().accelerator("H200")
    >>> coefficients = default_draw().coefficients([labels_of(chip, "Megatron-LM")])
    >>> coefficients.matmul_efficiency.round(2).tolist()
    [0.71]
    """

    matmul_efficiency: Floats
    balance: Floats
    fp8_efficiency: Floats
    matmul_traffic: Floats
    attention_efficiency: Floats
    softmax_width: Floats
    attention_ramp: Floats
    memory_efficiency: Floats
    elementwise_traffic: Floats
    cast_traffic: Floats
    layer_s: Floats
    score_bytes: Floats
    logit_bytes: Floats
    scaleup_factor: Floats
    nic_factor: Floats
    latency_factor: Floats
    hop_latency_s: Floats
    tp_overlap: Floats
    dp_overlap: Floats
    zero3_overlap: Floats
    ep_overlap: Floats
    exchange_factor: Floats
    cp_overlap: Floats
    pp_overlap: Floats
    gradient_bytes: Floats
    weight_messages: Floats
    zero3_messages: Floats
    optimizer_bytes: Floats
    fixed_s: Floats
    straggling: Floats
    expert_imbalance: Floats
    grouped_slowdown: Floats
    grouped_fp8: Floats
    grouped_traffic: Floats
    expert_s: Floats
    mixture_s: Floats
    permutation_traffic: Floats
    modulation: Floats
    slowdown: Floats
    launch_s: Floats
    corner: Floats | float = 0.0
    dispatcher: Floats | float = 1.0

    def take(self, index: NDArray[Any]) -> Coefficients:
        """Return the rows `index` of the last axis; a value that all rows share is kept.

        Examples
        --------
        >>> import numpy as np
        >>> import clustersim as cs
        >>> chip, draw = cs.load_catalogue().accelerator("H200"), cs.performance.default_draw()
        >>> both = draw.for_chips([chip, chip])
        >>> both.take(np.array([0])).matmul_efficiency.shape
        (1,)
        """
        values = (getattr(self, column.name) for column in dataclasses.fields(self))
        return Coefficients(*(value[..., index] if np.ndim(value) else value for value in values))
