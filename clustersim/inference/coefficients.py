"""Values of the serving model's coefficients, one element per row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Floats

__all__ = ["Coefficients", "ImageCoefficients"]


class _Rows:
    __slots__ = ()

    def take(self, index: NDArray[Any]) -> Self:
        """Return the rows `index`; a value that all rows share is kept."""
        values = [getattr(self, one.name) for one in dataclasses.fields(self)]  # type: ignore[arg-type]
        return type(self)(*(value[index] if np.ndim(value) else value for value in values))


@dataclass(frozen=True, slots=True)
class Coefficients(_Rows):
    """Every coefficient of :data:`clustersim.inference.parameters.PARAMETERS`."""

    product: Floats
    narrow: Floats
    grouped: Floats
    narrow_expert: Floats
    few_rows: Floats
    weight_read: Floats
    cache_read: Floats
    attention: Floats
    absorbed: Floats
    layer_s: Floats
    step_s: Floats
    sequence_s: Floats
    request_s: Floats
    collective: Floats
    start_up: Floats
    exchange: Floats
    hidden: Floats
    imbalance: Floats
    prefill: Floats
    decode: Floats
    mixture_s: Floats
    overlap: Floats
    longest: Floats
    burst: Floats
    tuned: Floats
    draft: Floats


@dataclass(frozen=True, slots=True)
class ImageCoefficients(_Rows):
    """Every coefficient of :data:`clustersim.inference.parameters.IMAGE_PARAMETERS`."""

    product: Floats
    narrow: Floats
    attention: Floats
    traffic: Floats
    eager: Floats
    layer_s: Floats
    exchange: Floats
    pixel_bytes: Floats
    start_s: Floats
    slowdown: Floats
