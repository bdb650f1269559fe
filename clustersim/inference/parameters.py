"""Coefficients of the serving model: meaning, prior, and the levels on which they may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Floats

__all__ = ["PARAMETERS", "Parameter"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One coefficient; it is positive, and its logarithm has a normal prior.

    Attributes
    ----------
    name, meaning : str
    centre, spread : float
        Median of the prior, and standard deviation of its logarithm.
    source : str
        Where the prior comes from.
    """

    name: str
    meaning: str
    centre: float
    spread: float
    source: str

    def natural(self, offset: Floats | float) -> Floats:
        """Return values for offsets of the logarithm."""
        return self.centre * np.exp(offset)


TRAINING = "fitted efficiency of training steps"

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("product", "rate of large products, over that of training", 1.0, 0.15, TRAINING),
    Parameter("narrow", "rate of products in 8 and 4 bits over their peak, relative to BF16", 0.8, 0.2, "scaling of activations beside the products"),
    Parameter("grouped", "time of the products of experts over that of dense ones", 1.3, 0.25, "H800 0.62 and H20 0.85 of the peak (gemm.csv)"),
    Parameter("narrow_expert", "columns of an expert's matrices at which its products take twice as long", 200.0, 0.6, "tiles of 128 columns"),
    Parameter("weight_read", "bandwidth of reading weights, over that of training's streams", 0.95, 0.15, TRAINING),
    Parameter("cache_read", "bandwidth of reading the cache, over that of training's streams", 0.8, 0.25, "paged reads"),
    Parameter("attention", "rate of attention in prefill, over that of training", 1.0, 0.2, TRAINING),
    Parameter("absorbed", "rate of attention in decoding with MLA, over that of training", 0.8, 0.3, "FlashMLA: 660 TFLOP/s on H800"),
    Parameter("layer_s", "seconds of a layer that no work hides", 12e-6, 0.5, "about six kernels of 2 us in a graph"),
    Parameter("step_s", "seconds of the host in a step", 3e-3, 0.6, "scheduler, sampling"),
    Parameter("sequence_s", "seconds of the host for a sequence in a step", 15e-6, 0.6, "scheduling, sampling, detokenisation"),
    Parameter("request_s", "seconds of the host for a request, one after another", 2e-3, 0.7, "tokenizer, HTTP"),
    Parameter("collective", "time of collectives over that of the network model", 1.0, 0.4, "measured collectives"),
    Parameter("exchange", "time of expert exchanges over that of the network model", 1.0, 0.4, "measured exchanges"),
    Parameter("hidden", "share of computation behind which expert exchanges are hidden", 0.5, 0.4, "two micro-batches in turn (DeepSeek-V3, section 3.4)"),
    Parameter("imbalance", "load of the busiest chip over the mean with distributed experts", 1.3, 0.25, TRAINING),
    Parameter("prefill", "time of prefill steps over the sum of the parts", 1.2, 0.3, "elementwise work"),
    Parameter("decode", "time of decoding steps over the sum of the parts", 1.1, 0.3, "elementwise work, sampling"),
    Parameter("mixture_s", "seconds of a mixture layer that no work hides, in addition", 15e-6, 0.6, "router, permutation"),
    Parameter("overlap", "share of the shorter of prefill and decoding that mixed steps save", 0.2, 0.5, "chunked prefill shares the reading of weights"),
    Parameter("longest", "longest output of a burst of requests of various lengths, over the mean", 4.0, 0.4, "ShareGPT: mean 200, longest above 1,000"),
    Parameter("burst", "time of a short run whose requests arrive at once, over that of a long run", 1.4, 0.3, "start-up, first use of kernels, client"),
    Parameter("draft", "acceptance odds of a draft token", 2.3, 0.3, "SGLang: 2.18 of 3 and 2.44 of 4 tokens"),
)  # fmt: skip
