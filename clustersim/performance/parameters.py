"""Every fitted coefficient of the performance core, with its prior and who has one of its own.

A coefficient is a base value plus effects of what a row belongs to: the chip's architecture, the
chip, the software product (NeMo, LLM Foundry, MindSpeed ...), the exact release, the three of
architecture, product and precision together, and the source of a measurement. All live on an
unbounded scale (logarithm, or logit of a fraction), where the base has a normal prior about `mean`
and each effect a normal prior about 0: who has few rows leans on its relatives, who has none
is its relatives' mean with their spread (partial pooling: Gelman and Hill 2007, chapter 12).

The prior means are orders of magnitude from first principles or from the sources that the parts'
docstrings name; the fit moves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "PARAMETERS", "Parameter"]

Array = NDArray[np.float64]

LEVELS = ("base", "architecture", "chip", "product", "release", "combination", "source")
"""Where effects come from, in the order in which they are added."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One coefficient.

    Attributes
    ----------
    name : str
        A field of :class:`clustersim.performance.Coefficients`.
    scale : {"log", "logit"}
        Positive numbers live on a logarithmic scale, fractions on a logit scale.
    mean : float
        Prior mean of the base, in natural units.
    spread : mapping of str to float
        Prior standard deviation by level of :data:`LEVELS`, on the unbounded scale.
    meaning : str
        What it is, with its unit.
    """

    name: str
    scale: str
    mean: float
    meaning: str
    spread: Mapping[str, float] = field(default_factory=dict)

    def natural(self, unbounded: Array) -> Array:
        """Turn unbounded values into natural units."""
        if self.scale == "log":
            return np.exp(unbounded)
        return 1.0 / (1.0 + np.exp(-unbounded))

    @property
    def centre(self) -> float:
        """The prior mean on the unbounded scale."""
        if self.scale == "log":
            return float(np.log(self.mean))
        return float(np.log(self.mean / (1.0 - self.mean)))


def _parameter(name: str, scale: str, mean: float, meaning: str, **spread: float) -> Parameter:
    return Parameter(name, scale, mean, meaning, MappingProxyType(spread))


PARAMETERS = (
    _parameter(
        "matmul_efficiency", "logit", 0.72, "share of the peak that large matrix products reach",
        base=0.3, architecture=0.3, chip=0.04, product=0.15, release=0.1, combination=0.15,
    ),
    _parameter(
        "fp8_efficiency", "log", 0.88, "FP8 products to the FP8 peak, over BF16 products to theirs",
        base=0.15, architecture=0.1, product=0.1, release=0.05,
    ),
    _parameter(
        "matmul_traffic", "log", 1.5, "memory traffic of a matrix product over its least traffic",
        base=0.5, architecture=0.2, product=0.3,
    ),
    _parameter(
        "attention_efficiency", "logit", 0.5, "share of the BF16 peak that fused attention reaches",
        base=0.3, architecture=0.3, product=0.4, release=0.15, combination=0.2,
    ),
    _parameter(
        "softmax_width", "log", 30.0, "head width at which softmax takes as long as the products",
        base=0.5,
    ),
    _parameter(
        "memory_efficiency", "logit", 0.8, "share of the memory bandwidth that streaming reaches",
        base=0.2, architecture=0.2, chip=0.1,
    ),
    _parameter(
        "elementwise_traffic", "log", 1.0, "memory-bound traffic of a layer over the count of it",
        base=0.5, product=0.4, release=0.1,
    ),
    _parameter(
        "cast_traffic", "log", 3.0, "passes (2 bytes) over an element that is cast to FP8",
        base=0.5, product=0.3, release=0.1,
    ),
    _parameter(
        "layer_s", "log", 30e-6, "seconds of a layer's forward pass that no work explains",
        base=1.0, architecture=0.5, product=0.7, release=0.3,
    ),
    _parameter(
        "score_bytes", "log", 9.0, "traffic per attention score, forward, without fused attention",
        base=0.4, product=0.4,
    ),
    _parameter(
        "logit_bytes", "log", 16.0, "traffic per logit, forward and backward",
        base=0.4, product=0.4,
    ),
    _parameter(
        "scaleup_factor", "log", 1.0, "bandwidth of the scale-up link in training over that alone",
        base=0.15, architecture=0.15, product=0.1,
    ),
    _parameter(
        "nic_factor", "log", 0.9, "bandwidth of the network in training over that alone",
        base=0.2, product=0.3, source=0.3,
    ),
    _parameter(
        "latency_factor", "log", 1.0, "start-up of collectives in training over that alone",
        base=0.4, product=0.3,
    ),
    _parameter(
        "hop_latency_s", "log", 5e-6, "seconds of one hop of a ring between scale-up domains",
        base=1.0, product=0.5,
    ),
    _parameter(
        "tp_overlap", "logit", 0.3, "share of tensor-parallel communication that can hide",
        base=0.7, product=0.7, release=0.3,
    ),
    _parameter(
        "dp_overlap", "logit", 0.6, "share of the gradients' communication that can hide",
        base=0.7, product=0.7, release=0.3,
    ),
    _parameter(
        "zero3_overlap", "logit", 0.7, "share of ZeRO-3's communication that can hide",
        base=0.7, product=0.7,
    ),
    _parameter(
        "ep_overlap", "logit", 0.2, "share of the experts' exchange that can hide",
        base=0.7, product=0.5, release=0.3,
    ),
    _parameter(
        "cp_overlap", "logit", 0.6, "share of context-parallel communication that can hide",
        base=0.7, product=0.5,
    ),
    _parameter(
        "pp_overlap", "logit", 0.6, "share of the transfers between stages that hides",
        base=0.7, product=0.5,
    ),
    _parameter(
        "gradient_bytes", "log", 2.5, "bytes per gradient in its reduction",
        base=0.3, product=0.3,
    ),
    _parameter(
        "weight_messages", "log", 2.0, "messages per layer that gather the weights after a step",
        base=1.0, product=1.0,
    ),
    _parameter(
        "zero3_messages", "log", 3.0, "messages per layer and pass that gather ZeRO-3's weights",
        base=1.0, product=1.0,
    ),
    _parameter(
        "optimizer_bytes", "log", 30.0, "traffic per parameter of the optimizer's step",
        base=0.2, product=0.2,
    ),
    _parameter(
        "fixed_s", "log", 0.02, "seconds of a step that nothing else explains",
        base=1.0, product=1.0, release=0.5,
    ),
    _parameter(
        "straggling", "log", 0.004, "growth of the step per doubling of the chips beyond eight",
        base=0.7, product=0.7, release=0.3,
    ),
    _parameter(
        "expert_imbalance", "log", 1.1, "rows of the fullest expert-parallel rank over the mean",
        base=0.1,
    ),
    _parameter(
        "grouped_slowdown", "log", 1.2, "time of the experts' products over that of one product",
        base=0.4, architecture=0.2, product=0.3, release=0.3,
    ),
    _parameter(
        "expert_s", "log", 5e-6, "seconds of a local expert's forward pass that no work explains",
        base=1.0, product=0.5, release=0.7,
    ),
    _parameter(
        "permutation_traffic", "log", 1.5, "factor on four passes over tokens to sort them",
        base=0.5, product=0.3,
    ),
    _parameter(
        "slowdown", "log", 1.0, "factor on the whole step",
        product=0.06, release=0.05, combination=0.05, source=0.04,
    ),
    _parameter(
        "launch_s", "log", 6e-6, "seconds that one launch takes at least, in microbenchmarks alone",
        base=0.7, architecture=0.5, chip=0.5, product=0.5,
    ),
)  # fmt: skip
"""All coefficients."""
