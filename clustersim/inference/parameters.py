"""Coefficients of the serving model: meaning, prior, and the levels on which they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Floats

__all__ = ["IMAGE_PARAMETERS", "LEVELS", "PARAMETERS", "Parameter"]

LEVELS = ("engine", "chip", "source", "block")
"""Levels of effects: the serving engine, the architecture of the chip, the source of a measurement,
and the measurements of one source with one engine on one chip. The last two describe how sources
differ from each other; a prediction leaves them out and adds their spread to its interval."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One coefficient; it is positive, and its logarithm has a normal prior.

    Attributes
    ----------
    name, meaning : str
    centre : float
        Median of the prior.
    spread : float
        Standard deviation of the logarithm in the prior.
    source : str
        Where the prior comes from.
    effects : mapping of str to float
        Standard deviation of the effects on each level (:data:`LEVELS`) that has them.
    """

    name: str
    meaning: str
    centre: float
    spread: float
    source: str
    effects: Mapping[str, float] = field(default_factory=dict)

    def natural(self, offset: Floats | float) -> Floats:
        """Return values for offsets of the logarithm.

        Examples
        --------
        >>> Parameter("x", "", 2.0, 0.1, "").natural(0.0)
        np.float64(2.0)
        """
        return self.centre * np.exp(offset)


_TRAINING = "efficiency of training steps (clustersim.performance)"
_HOST = {"engine": 0.4}
_PACE = {"engine": 0.3, "chip": 0.2, "source": 0.4, "block": 0.2}

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("product", "rate of large products over that of training", 1.0, 0.15, _TRAINING),
    Parameter(
        "narrow",
        "rate of products in 8 bits, as a share of their peak, over that of BF16; squared in 4",
        0.8,
        0.2,
        "FP8 needs scaling beside the products",
    ),
    Parameter(
        "grouped",
        "time of the products of experts over that of dense ones",
        1.1,
        0.2,
        "H20: 0.85 of the peak with many rows, dense 0.93 (gemm.csv)",
        {"engine": 0.5, "source": 0.3},
    ),
    Parameter(
        "narrow_expert",
        "columns of an expert's matrices at which its products take twice as long",
        200.0,
        0.6,
        "tiles of 128 columns",
    ),
    Parameter(
        "few_rows",
        "tokens of an expert at which its products take twice as long",
        64.0,
        0.5,
        "tiles of 64 to 128 rows are padded",
    ),
    Parameter("weight_read", "bandwidth of reading weights over training's", 0.95, 0.15, _TRAINING),
    Parameter("cache_read", "bandwidth of reading the cache over training's", 0.8, 0.25, "pages"),
    Parameter("attention", "rate of attention in prefill over training's", 1.0, 0.2, _TRAINING),
    Parameter(
        "absorbed",
        "rate of attention in decoding with MLA over that of training",
        0.8,
        0.3,
        "FlashMLA: up to 660 TFLOP/s on H800",
    ),
    Parameter(
        "layer_s", "seconds of a layer that no work hides", 12e-6, 0.5, "six kernels of 2 us"
    ),
    Parameter("step_s", "seconds of the host in a step", 2e-3, 0.5, "scheduler, sampling", _HOST),
    Parameter(
        "sequence_s",
        "seconds of the host for one sequence in a step",
        15e-6,
        0.6,
        "sampling, detokenisation",
        {"engine": 0.6},
    ),
    Parameter(
        "request_s",
        "seconds of the host for one request, one after another",
        2e-3,
        0.7,
        "tokeniser, HTTP",
        {"engine": 0.6},
    ),
    Parameter("collective", "time of collectives over the network model's", 1.0, 0.4, "NCCL tests"),
    Parameter(
        "start_up",
        "start-up time of collectives over that of the network model",
        0.5,
        0.4,
        "engines sum small messages in one kernel of their own",
    ),
    Parameter("exchange", "time of expert exchanges over the network model's", 1.0, 0.4, "DeepEP"),
    Parameter(
        "hidden",
        "share of the exchanges that computation hides",
        0.5,
        0.4,
        "two micro-batches in turn (DeepSeek-V3, arXiv 2412.19437, section 3.4)",
    ),
    Parameter(
        "imbalance",
        "load of the busiest chip over the mean, with distributed experts",
        1.3,
        0.25,
        _TRAINING,
    ),
    Parameter("prefill", "time of prefill over the sum of its parts", 1.2, 0.3, "norms", _PACE),
    Parameter("decode", "time of decoding over the sum of its parts", 1.1, 0.3, "norms", _PACE),
    Parameter(
        "mixture_s",
        "seconds of a mixture layer that no work hides, in addition",
        15e-6,
        0.6,
        "router, permutation",
    ),
    Parameter(
        "overlap",
        "share of the shorter of prefill and decoding that mixed steps save",
        0.2,
        0.5,
        "mixed steps read the weights once",
    ),
    Parameter(
        "longest",
        "longest output of a burst of varied requests over the mean",
        4.0,
        0.4,
        "ShareGPT: mean 200 tokens, longest above 1,000",
    ),
    Parameter(
        "burst",
        "time of a short run whose requests arrive at once over that of a long run",
        1.4,
        0.3,
        "start, first use of kernels, client",
    ),
    Parameter(
        "tuned",
        "time of a deployment that its publisher tuned over that of a usual one",
        0.85,
        0.15,
        "InferenceMAX and the blogs of engines differ from default servers by 10 to 30 %",
    ),
    Parameter(
        "draft",
        "odds that a draft token is accepted",
        2.3,
        0.3,
        "SGLang: 2.18 of 3 tokens and 2.44 of 4",
    ),
)
"""Coefficients of language models."""

IMAGE_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("product", "time of products over training's", 1.1, 0.2, _TRAINING, {"chip": 0.15}),
    Parameter("narrow", "as for language models, in FP8", 0.7, 0.2, "as for language models"),
    Parameter(
        "attention",
        "time of attention over that of training",
        1.3,
        0.3,
        "kernels without the latest optimisations",
        {"chip": 0.25},
    ),
    Parameter(
        "traffic",
        "passes of a layer's activations through memory",
        30.0,
        0.5,
        "norms, modulation, positions, gates",
    ),
    Parameter(
        "eager",
        "time of kernels that are not fused over that of fused ones",
        2.5,
        0.4,
        "xDiT: FLUX.1 with and without torch.compile",
    ),
    Parameter("layer_s", "seconds of a layer that no work hides", 60e-6, 0.6, "a dozen kernels"),
    Parameter("exchange", "time of exchanges over the network model's", 1.0, 0.4, "NCCL tests"),
    Parameter(
        "pixel_bytes",
        "bytes that the autoencoder moves for one pixel",
        5e5,
        1.0,
        "Wan2.1: about 40 s for 81 frames of 720p on H100",
        {"block": 0.5},
    ),
    Parameter("start_s", "seconds of the text encoder and of the start", 0.3, 0.8, "usual"),
    Parameter(
        "slowdown",
        "time of a denoising step over the sum of its parts",
        1.0,
        0.2,
        "software",
        {"chip": 0.1, "source": 0.2, "block": 0.15},
    ),
)
"""Coefficients of diffusion transformers; a block is one source and one model."""
