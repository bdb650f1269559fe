"""Time to make images and videos: denoising steps of a diffusion transformer, and decoding.

One pass of the transformer processes all N tokens of the image or video, and those of the text. Its
FLOPs are ``2 p N`` for the p parameters that process a token, and ``4 N^2 h`` in each layer for
attention over heads of width h in all; linear attention takes ``4 N h d`` with heads of width d.
The passes of all steps are shared by the chips (sequence parallelism); the text encoder, the
autoencoder and the start are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.inference.coefficients import ImageCoefficients
from clustersim.inference.served_model import ServedModel
from clustersim.inference.settings import ROOM, Columns
from clustersim.network.collectives import Links, all_to_all_seconds
from clustersim.performance import default_draw
from clustersim.performance.arrays import AcceleratorArrays
from clustersim.performance.rates import USUAL_BALANCE, rates_of

__all__ = ["ImageTask", "ImageTasks", "image_seconds"]

FULL_SIZE = 1024.0**2


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image or video on an instance of chips.

    Attributes
    ----------
    chip : Accelerator
    model : ServedModel
    n_chips : float
        Chips that work on one image or video.
    width, height : float
        Pixels.
    frames, steps : float
    compiled : float
        1 if kernels are fused by a compiler, 0 if they run one by one.
    narrow : float
        1 if products are in FP8.
    slower : float
        Known factor of time, such as a reduced power limit.
    """

    chip: Accelerator
    model: ServedModel
    n_chips: float
    width: float
    height: float
    frames: float
    steps: float
    compiled: float = 1.0
    narrow: float = 0.0
    slower: float = 1.0

    @property
    def tokens(self) -> float:
        """Tokens of one pass."""
        model = self.model
        area = self.width / model.stride * self.height / model.stride
        times = 1.0 if self.frames <= 1 else 1.0 + (self.frames - 1.0) / model.time_stride
        return area * times + model.text_tokens

    @property
    def flops(self) -> tuple[float, float]:
        """FLOPs of the products and of attention in one pass."""
        model, tokens = self.model, self.tokens
        if model.pass_flops:
            return model.pass_flops * self.width * self.height / FULL_SIZE, 0.0
        width = model.heads * model.head_dim
        reach = model.head_dim if model.linear else tokens
        return 2.0 * model.active_params * tokens, 4.0 * tokens * reach * width * model.layers


@dataclass(frozen=True, slots=True)
class ImageTasks(Columns):
    """Tasks as arrays; rates are those of training steps."""

    products: Floats
    scores: Floats
    moved: Floats
    layers: Floats
    message: Floats
    passes: Floats
    pixels: Floats
    n_chips: Floats
    compiled: Floats
    narrow: Floats
    slower: Floats
    product_flops: Floats
    attention_flops: Floats
    stream_Bps: Floats
    balance: Floats
    links: Links

    @classmethod
    def of(cls, tasks: Sequence[ImageTask]) -> ImageTasks:
        """Build the arrays of several tasks."""
        chips = [one.chip for one in tasks]
        rates = rates_of(
            AcceleratorArrays.of(chips), default_draw().for_chips(chips, stack="unknown")
        )
        flops = np.array([one.flops for one in tasks]).reshape(-1, 2)
        rows = [
            (
                one.tokens * one.model.hidden * 2.0 * one.model.layers,
                one.model.layers,
                one.tokens * one.model.hidden * 2.0,
                one.model.passes * one.steps,
                one.width * one.height * one.frames,
                one.n_chips,
                one.compiled,
                one.narrow,
                one.slower,
            )
            for one in tasks
        ]
        moved, layers, message, passes, pixels, n_chips, compiled, narrow, slower = (
            np.array(rows, dtype=np.float64).reshape(len(rows), -1).T
        )
        balance = [c.peak_flops["bf16"] / c.hbm_Bps / USUAL_BALANCE for c in chips]
        return cls(
            products=flops[:, 0],
            scores=flops[:, 1],
            moved=moved,
            layers=layers,
            message=message,
            passes=passes,
            pixels=pixels,
            n_chips=n_chips,
            compiled=compiled,
            narrow=narrow,
            slower=slower,
            product_flops=rates.bf16_flops,
            attention_flops=rates.attention_flops,
            stream_Bps=rates.memory_Bps,
            balance=np.array(balance) ** ROOM,
            links=rates.links,
        )


def image_seconds(tasks: ImageTasks, c: ImageCoefficients) -> Floats:
    """Return the seconds of one image or video on the chips of its instance."""
    shared = np.maximum(tasks.n_chips, 1.0)
    products = tasks.products / (tasks.product_flops * 2.0**tasks.narrow)
    products = products * (1.0 + (c.product * c.narrow**-tasks.narrow - 1.0) * tasks.balance)
    scores = tasks.scores / tasks.attention_flops * (1.0 + (c.attention - 1.0) * tasks.balance)
    eager = np.where(tasks.compiled > 0, 1.0, c.eager)
    moved = c.traffic * eager * tasks.moved / tasks.stream_Bps
    exchange = all_to_all_seconds(tasks.message / shared, shared, np.ones_like(shared), tasks.links)
    network = np.where(shared > 1, 4.0 * exchange * tasks.layers * c.exchange, 0.0)
    one = (products + scores + moved) / shared + network + c.layer_s * eager * tasks.layers
    alone = c.pixel_bytes * tasks.pixels / tasks.stream_Bps + c.start_s
    return tasks.slower * (c.slowdown * tasks.passes * one + alone)
