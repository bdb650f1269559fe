"""Values of the serving model's coefficients, one element per row."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.array_types import Floats

__all__ = ["Coefficients"]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Every coefficient of :data:`clustersim.inference.parameters.PARAMETERS`."""

    product: Floats
    narrow: Floats
    grouped: Floats
    narrow_expert: Floats
    weight_read: Floats
    cache_read: Floats
    attention: Floats
    absorbed: Floats
    layer_s: Floats
    step_s: Floats
    sequence_s: Floats
    request_s: Floats
    collective: Floats
    exchange: Floats
    hidden: Floats
    imbalance: Floats
    prefill: Floats
    decode: Floats
    mixture_s: Floats
    overlap: Floats
    longest: Floats
    burst: Floats
    draft: Floats
