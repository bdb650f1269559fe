"""Time of one layer and micro-batch by part, with what recompute repeats and overlap hides."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.network.corners import larger
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.attention import attention_seconds
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.elementwise import elementwise_seconds, mixture_elementwise_seconds
from clustersim.performance.matmul import attention_projection_seconds, mlp_seconds
from clustersim.performance.moe import expert_exchange_seconds, expert_seconds
from clustersim.performance.parallel import (
    CONTEXT_PASSES,
    Passes,
    context_transfer,
    exposed_seconds,
    passes_of,
    tensor_reductions,
    tensor_transfer,
)
from clustersim.performance.rates import Rates, rates_of
from clustersim.performance.shard import mixtures_recomputed

__all__ = ["LayerTime", "layer_of", "layer_seconds", "sum_of"]


GRAPH_LAUNCHES = 0.55
"""Overhead of launches in a CUDA graph relative to single ones: 0.5 of 0.9 microseconds a kernel
(NVIDIA developer blog 2019, Getting Started with CUDA Graphs)."""
SELECTIVE_SHARE = 0.3
"""Share of a layer's memory-bound work that selective recompute repeats with fused attention."""
UNHIDDEN = 0.2
"""Share of the overlap that remains if a run is known not to overlap communication."""


@dataclass(frozen=True, slots=True)
class LayerTime:
    """Seconds of one average layer and micro-batch.

    Attributes
    ----------
    parts : dict of str to array
        Seconds of both passes by part (names of :data:`clustersim.performance.PARTS`).
    total : array
        Sum of the parts.
    forward : array
        Seconds of the forward pass without communication.
    free_backward : array
        Seconds in which the backward pass, with recomputation, computes and hides no communication
        of the layer. They can hide the reduction of gradients.
    """

    parts: dict[str, Floats]
    total: Floats
    forward: Floats
    free_backward: Floats


def layer_seconds(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> tuple[Floats, Floats]:
    """Return the times in seconds of one layer for `tokens` on a chip: forward, and both passes.

    The times are computed as in :func:`clustersim.performance.evaluate`. The second time covers the
    forward and backward pass, including recomputation and communication.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_draw
    >>> catalogue = load_catalogue()
    >>> h100 = catalogue.accelerator("H100")
    >>> forward, both = layer_seconds(
    ...     np.array([4096.0]),
    ...     ModelArrays.of([catalogue.model("llama3-8b")]),
    ...     AcceleratorArrays.of([h100]),
    ...     Plans.of(tp=[1.0]),
    ...     default_draw().for_chips([h100]),
    ... )
    >>> bool(2.0 * forward[0] < both[0] < 4.0 * forward[0])
    True
    """
    layer = layer_of(tokens, models, chips, plans, rates_of(chips, coefficients), coefficients)
    return layer.forward, layer.total


def layer_of(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> LayerTime:
    """Return the time of one average layer for `tokens` on a chip.

    Parameters
    ----------
    tokens : array
        Tokens of a micro-batch that the chip processes.
    models, chips, plans
        Structs of arrays that broadcast with each other, one element per plan. `etp` must be set.
    rates : Rates
        Rates of the chips (:func:`clustersim.performance.rates.rates_of`).
    coefficients : Coefficients

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_draw
    >>> catalogue = load_catalogue()
    >>> h100 = catalogue.accelerator("H100")
    >>> chips, coefficients = AcceleratorArrays.of([h100]), default_draw().for_chips([h100])
    >>> model = ModelArrays.of([catalogue.model("llama3-8b")])
    >>> plan, rates = Plans.of(tp=[2.0], etp=1), rates_of(chips, coefficients)
    >>> layer = layer_of(np.array([4096.0]), model, chips, plan, rates, coefficients)
    >>> bool(layer.parts["tensor_parallel"][0] > 0), layer.parts["context_parallel"].tolist()
    (True, 0.0)
    """
    coefficients = _with_graphs(plans, coefficients)
    work = _work(tokens, models, chips, plans, rates, coefficients)
    repeated = _recomputed(tokens, models, chips, plans, rates, coefficients, work)
    passes = repeated.passes
    once = tensor_transfer(tokens, models, plans, rates.links).seconds(rates.links)
    tensor = tensor_reductions(models, plans) * once
    switched = np.where(plans.overlap > 0, 1.0, UNHIDDEN)
    hidden = coefficients.tp_overlap * switched
    waits = _mixture_waits(models, work, coefficients)
    context = _context(tokens, models, plans, rates, coefficients, work, waits)
    exchange = _exchange(
        tokens, models, plans, rates, coefficients, work, waits, context, passes.exchange, switched
    )
    parts = {
        "matmul": work.products + work.backward_products,
        "attention": work.attention + work.attention_back,
        "elementwise": 3.0 * work.streaming + waits.forward + waits.backward,
        "recompute": repeated.seconds,
        "tensor_parallel": passes.tensor * tensor * (1.0 - hidden),
        "context_parallel": context.exposed,
        "expert_parallel": exchange.exposed,
    }
    backward = work.backward + waits.backward + repeated.seconds
    return LayerTime(
        parts=parts,
        total=sum_of(parts),
        forward=work.forward,
        free_backward=backward - context.occupied_backward - exchange.occupied_backward,
    )


def sum_of(columns: dict[str, Floats]) -> Floats:
    """Return the sum of arrays that broadcast with each other.

    Examples
    --------
    >>> sum_of({"a": np.ones(2), "b": np.array([2.0])}).tolist()
    [3.0, 3.0]
    """
    total = np.zeros(())
    for column in columns.values():
        total = total + column
    return total


def _with_graphs(plans: Plans, coefficients: Coefficients) -> Coefficients:
    """Shorten the launches of plans with CUDA graphs."""
    if not np.any(plans.cuda_graphs > 0):
        return coefficients
    host = np.where(plans.cuda_graphs > 0, GRAPH_LAUNCHES, 1.0)
    return dataclasses.replace(
        coefficients,
        layer_s=host * coefficients.layer_s,
        mixture_s=host * coefficients.mixture_s,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """Seconds that a chip computes for one layer, without recompute and communication.

    `products` are the matrix products of the forward pass, `experts` the part of them in mixtures,
    averaged over all layers. `streaming` is the memory-bound work of the forward pass.
    """

    products: Floats
    backward_products: Floats
    experts: Floats
    attention: Floats
    attention_back: Floats
    streaming: Floats

    @property
    def forward(self) -> Floats:
        """Seconds of the forward pass."""
        return self.products + self.attention + self.streaming

    @property
    def backward(self) -> Floats:
        """Seconds of the backward pass."""
        return self.backward_products + self.attention_back + 2.0 * self.streaming


def _work(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> _Work:
    args = (tokens, models, plans, rates, coefficients)
    products = mlp_seconds(*args)
    of_experts: Floats = np.zeros(())
    if np.any(models.n_experts > 0):
        moe = models.moe_layers / models.layers
        of_experts = moe * expert_seconds(*args)
        products = (1.0 - moe) * products + of_experts
    products = products + attention_projection_seconds(*args)
    attention, attention_back = attention_seconds(*args)
    return _Work(
        products=products,
        backward_products=(2.0 - plans.lora) * products,  # adapters need no weight gradients
        experts=of_experts,
        attention=attention,
        attention_back=attention_back,
        streaming=elementwise_seconds(tokens, models, chips, plans, rates, coefficients),
    )


@dataclass(frozen=True, slots=True)
class _Recomputed:
    """What the backward pass repeats: seconds of computation, and passes of communication."""

    seconds: Floats
    passes: Passes


def _recomputed(
    tokens: Floats,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
    work: _Work,
) -> _Recomputed:
    passes = passes_of(models, plans)
    selective = np.where(plans.flash > 0, SELECTIVE_SHARE * work.streaming, work.attention)
    again = np.where(
        plans.recompute >= 2,
        passes.full * (work.products + work.attention + work.streaming),
        np.where(plans.recompute >= 1, selective, 0.0),
    )
    if np.any(plans.moe_recompute > 0):
        more = mixture_elementwise_seconds(tokens, models, chips, plans, rates, coefficients)
        again = again + mixtures_recomputed(plans) * (work.experts + more)
    return _Recomputed(again, passes)


@dataclass(frozen=True, slots=True)
class _Waits:
    """Seconds of each pass in which a chip waits for the host."""

    forward: Floats
    backward: Floats


def _mixture_waits(models: ModelArrays, work: _Work, coefficients: Coefficients) -> _Waits:
    """Return the seconds that a chip waits for the kernels of a mixture.

    The host launches them one after the other.
    """
    if not np.any(models.n_experts > 0):
        return _Waits(np.zeros(()), np.zeros(()))
    moe = models.moe_layers / models.layers

    def wait(launching: Floats, busy: Floats) -> Floats:
        return moe * (larger(launching, busy, coefficients.corner) - busy)

    host = coefficients.mixture_s
    return _Waits(wait(host, work.forward), wait(2.0 * host, work.backward))


@dataclass(frozen=True, slots=True)
class _Communication:
    """Seconds of communication that a layer does not hide, and of the time that hides the rest.

    Time that hides one communication hides no other. `occupied` is the hiding time of products,
    attention and waits in both passes, `occupied_backward` its part in the backward pass.
    """

    exposed: Floats
    occupied: Floats
    occupied_backward: Floats


_NONE = _Communication(np.zeros(()), np.zeros(()), np.zeros(()))


def _context(
    tokens: Floats,
    models: ModelArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
    work: _Work,
    waits: _Waits,
) -> _Communication:
    """Return the context-parallel communication, which attention and waits can hide."""
    if not np.any(plans.cp > 1):
        return _NONE
    once = context_transfer(tokens, models, plans, rates.links).seconds(rates.links)
    seconds = CONTEXT_PASSES * once
    backward = work.attention_back + waits.backward
    window = work.attention + waits.forward + backward
    exposed = exposed_seconds(seconds, coefficients.cp_overlap, window, coefficients.corner)
    hidden = seconds - exposed
    return _Communication(exposed, hidden, hidden * (backward / window))


def _exchange(
    tokens: Floats,
    models: ModelArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
    work: _Work,
    waits: _Waits,
    context: _Communication,
    passes: Floats,
    switched: Floats,
) -> _Communication:
    """Return the exchange of tokens with experts.

    Products, attention and waits that hide no context-parallel communication can hide it.
    """
    if not (np.any(plans.ep * plans.expert_tp > 1) and np.any(models.n_experts > 0)):
        return _NONE
    moe = models.moe_layers / models.layers
    exchange = moe * expert_exchange_seconds(tokens, models, plans, rates.links, coefficients)
    seconds = passes * exchange
    forward = work.products + work.attention + waits.forward
    backward = work.backward_products + work.attention_back + waits.backward
    window = forward + backward - context.occupied
    overlap = coefficients.ep_overlap * switched
    exposed = exposed_seconds(seconds, overlap, window, coefficients.corner)
    hidden = seconds - exposed
    share = (backward - context.occupied_backward) / window
    return _Communication(exposed, hidden, hidden * share)
