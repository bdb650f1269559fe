"""Every fitted coefficient of the performance model, with its prior and the levels that modify it.

A coefficient is the sum of a base value and effects. The effects belong to the chip's architecture,
the chip, the software product (NeMo, LLM Foundry, MindSpeed ...), the exact release, and the
combination of architecture, product and precision. There is no effect of the source of a
measurement, because a user's job has none. All terms are on an unbounded scale (logarithm, or logit
of a fraction). The base has a normal prior around
`mean`, and each effect has a normal prior around 0. The effects of a chip or release with few rows
are therefore shrunk towards those of related chips or releases. A chip or release without rows gets
the mean and the spread of related ones (partial pooling: Gelman and Hill 2007, chapter 12).

The prior means are orders of magnitude, from first principles or from the sources that the
functions of the performance model cite; the fit updates them. That of the traffic of matrix
products is what the microbenchmarks of the H200 and the H100 show. The prior of a product is narrow
where untuned runs of one publisher would otherwise describe all runs of the product; so is that of
grouped products, which kernels measure, but not that of a release, whose routing may be unbalanced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from clustersim.array_types import Floats

__all__ = ["LEVELS", "PARAMETERS", "Parameter"]


LEVELS = ("base", "architecture", "chip", "product", "release", "combination")
"""Levels of the effects, in the order in which they are added."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One fitted coefficient and its prior.

    Attributes
    ----------
    name : str
        A field of :class:`clustersim.performance.Coefficients`.
    scale : {"log", "logit"}
        Positive coefficients are on a logarithmic scale, fractions on a logit scale.
    mean : float
        Prior mean of the base, in natural units.
    spread : mapping of str to float
        Prior standard deviation by level of :data:`LEVELS`, on the unbounded scale.
    meaning : str
        Description with its unit.

    Examples
    --------
    >>> from clustersim.performance import PARAMETERS
    >>> PARAMETERS[0].name, PARAMETERS[0].scale
    ('matmul_efficiency', 'logit')
    """

    name: str
    scale: str
    mean: float
    meaning: str
    spread: Mapping[str, float] = field(default_factory=dict)

    def natural(self, unbounded: Floats) -> Floats:
        """Convert unbounded values to natural units.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.performance import PARAMETERS
        >>> PARAMETERS[0].name, PARAMETERS[0].natural(np.array([0.0])).tolist()
        ('matmul_efficiency', [0.5])
        """
        if self.scale == "log":
            return np.exp(unbounded)
        return 1.0 / (1.0 + np.exp(-unbounded))

    @property
    def centre(self) -> float:
        """Prior mean on the unbounded scale."""
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
        "balance", "log", 0.4, "loss of efficiency with the FLOPs per byte of a chip's memory",
        base=0.5,
    ),
    _parameter(
        "fp8_efficiency", "log", 0.88, "FP8 efficiency of matrix products relative to BF16",
        base=0.15, architecture=0.1, product=0.1, release=0.05,
    ),
    _parameter(
        "matmul_traffic", "log", 0.5, "memory traffic of a matrix product relative to its minimum",
        base=0.2, architecture=0.1, product=0.1,
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
        "attention_ramp", "log", 400.0, "attended tokens at which attention is half as fast",
        base=0.5, product=0.3,
    ),
    _parameter(
        "memory_efficiency", "logit", 0.8, "share of the memory bandwidth that streaming reaches",
        base=0.2, architecture=0.2, chip=0.1,
    ),
    _parameter(
        "elementwise_traffic", "log", 1.0, "memory-bound traffic relative to the counted bytes",
        base=0.5, product=0.4, release=0.1,
    ),
    _parameter(
        "cast_traffic", "log", 3.0, "passes (2 bytes each) over an element cast to FP8",
        base=0.5, product=0.3, release=0.1,
    ),
    _parameter(
        "layer_s", "log", 30e-6, "overhead of a layer's forward pass in seconds",
        base=1.0, architecture=0.5, product=0.15, release=0.3,
    ),
    _parameter(
        "score_bytes", "log", 9.0, "bytes per attention score, forward, if attention is not fused",
        base=0.4, product=0.4,
    ),
    _parameter(
        "logit_bytes", "log", 16.0, "bytes moved per logit, forward and backward",
        base=0.4, product=0.4,
    ),
    _parameter(
        "scaleup_factor", "log", 1.0, "scale-up bandwidth in training relative to isolated use",
        base=0.15, architecture=0.15, product=0.1,
    ),
    _parameter(
        "nic_factor", "log", 0.9, "network bandwidth in training relative to isolated use",
        base=0.2, product=0.3, release=0.1,
    ),
    _parameter(
        "latency_factor", "log", 1.0, "collective start-up in training relative to isolated use",
        base=0.4, product=0.3,
    ),
    _parameter(
        "hop_latency_s", "log", 5e-6, "seconds per hop of a ring between scale-up domains",
        base=1.0, product=0.5,
    ),
    _parameter(
        "tp_overlap", "logit", 0.3, "share of tensor-parallel communication that can be hidden",
        base=0.7, product=0.7, release=0.3,
    ),
    _parameter(
        "dp_overlap", "logit", 0.6, "share of gradient communication that can be hidden",
        base=0.7, product=0.7, release=0.3,
    ),
    _parameter(
        "zero3_overlap", "logit", 0.7, "share of ZeRO-3 communication that can be hidden",
        base=0.7, product=0.7,
    ),
    _parameter(
        "ep_overlap", "logit", 0.2, "share of the expert exchange that is hidden",
        base=0.7, product=0.5, release=0.3,
    ),
    _parameter(
        "exchange_factor", "log", 0.8, "network bandwidth of a plain all-to-all relative to others",
        base=0.3, release=0.8,
    ),
    _parameter(
        "cp_overlap", "logit", 0.6, "share of context-parallel communication that can be hidden",
        base=0.7, product=0.5,
    ),
    _parameter(
        "pp_overlap", "logit", 0.6, "share of the transfers between stages that is hidden",
        base=0.7, product=0.5,
    ),
    _parameter(
        "gradient_bytes", "log", 2.5, "bytes per gradient in the gradient reduction",
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
        "optimizer_bytes", "log", 30.0, "bytes moved per parameter in an optimizer step",
        base=0.2, product=0.2,
    ),
    _parameter(
        "fixed_s", "log", 0.02, "fixed overhead per step in seconds",
        base=1.0, product=1.0, release=0.5,
    ),
    _parameter(
        "straggling", "log", 0.004, "relative growth of step time per doubling beyond 8 chips",
        base=0.5, product=0.3, release=0.3,
    ),
    _parameter(
        "expert_imbalance", "log", 1.1, "load of the busiest expert-parallel rank over the mean",
        base=0.1,
    ),
    _parameter(
        "grouped_slowdown", "log", 1.15, "time of grouped products relative to single products",
        base=0.1, architecture=0.1, product=0.1, release=0.4,
    ),
    _parameter(
        "grouped_fp8", "log", 1.3, "time of grouped FP8 products relative to that of single ones",
        base=0.2, product=0.15,
    ),
    _parameter(
        "grouped_traffic", "log", 2.0, "memory traffic of grouped products relative to its minimum",
        base=0.7, product=0.3,
    ),
    _parameter(
        "expert_s", "log", 5e-6, "overhead of a local expert's forward pass in seconds",
        base=0.7, product=0.3,
    ),
    _parameter(
        "mixture_s", "log", 1.5e-3, "least seconds of a mixture layer's forward pass",
        base=0.3, product=0.5, release=0.5,
    ),
    _parameter(
        "permutation_traffic", "log", 1.5, "factor on the memory traffic of permuting tokens",
        base=0.5, product=0.3,
    ),
    _parameter(
        "modulation", "log", 1.6, "memory-bound traffic of a diffusion layer relative to others",
        base=0.3,
    ),
    _parameter(
        "slowdown", "log", 1.0, "factor on the whole step",
        product=0.1, release=0.15, combination=0.06,
    ),
    _parameter(
        "launch_s", "log", 6e-6, "minimum seconds per launch (microbenchmarks only)",
        base=0.7, architecture=0.5, chip=0.5, product=0.5,
    ),
)  # fmt: skip
"""All coefficients of the performance model."""
