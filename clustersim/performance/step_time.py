"""Step time of given plans: the parts put together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.network.corners import larger
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.attention import attention_flops, attention_seconds
from clustersim.performance.blocks import in_blocks
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.elementwise import elementwise_seconds, mixture_elementwise_seconds
from clustersim.performance.matmul import attention_projection_seconds, mlp_seconds
from clustersim.performance.memory import CLASSES, memory_by_class
from clustersim.performance.memory_rules import MemoryRules, plain_rules
from clustersim.performance.moe import expert_exchange_seconds, expert_seconds
from clustersim.performance.optimizer import optimizer_seconds
from clustersim.performance.parallel import (
    bubble_seconds,
    context_seconds,
    data_parallel_seconds,
    exposed_seconds,
    mixtures_reduce,
    pipeline_seconds,
    tensor_seconds,
)
from clustersim.performance.rates import Rates, rates_of
from clustersim.performance.shard import Shard, shard_of
from clustersim.performance.vocabulary import vocabulary_seconds

__all__ = [
    "PARTS",
    "StepTime",
    "evaluate",
    "layer_seconds",
    "memory_of",
    "model_flops_per_token",
    "step_seconds",
]

Array = NDArray[np.float64]

PARTS = (
    "matmul",
    "attention",
    "elementwise",
    "vocabulary",
    "recompute",
    "tensor_parallel",
    "context_parallel",
    "expert_parallel",
    "pipeline",
    "bubble",
    "data_parallel",
    "optimizer",
    "stragglers",
    "fixed",
)
"""Names of the parts of a step; their seconds add up to the step time."""

STRAGGLE_FROM = 8.0
"""Chips of one server, which wait for each other in every layer anyway."""
SELECTIVE_SHARE = 0.3
"""Share of a layer's memory-bound work that selective recompute repeats with fused attention."""
SEQUENCE_PARALLEL_EXTRA = 0.25
"""The backward pass gathers the inputs once more (Korthikanti et al. 2022, section 4.2.2)."""
UNHIDDEN = 0.2
"""How much of the overlap remains where a run is known not to overlap."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Estimates of one optimizer step, an element a plan.

    Attributes
    ----------
    step_time_s : array
        Seconds of one step, whether or not the plan fits.
    parts : dict of str to array
        Seconds by part; they add up to `step_time_s`.
    memory : dict of str to array
        Bytes on the fullest chip by class; they add up to `memory_bytes`.
    memory_bytes : array
    fits : array of bool
        Whether `memory_bytes` is at most the chip's memory.
    tokens_per_step, tokens_per_s : array
    mfu : array
        Model FLOPs utilisation: FLOPs of the model without recompute, causal attention counted
        half, over the peak of all chips.
    """

    step_time_s: Array
    parts: dict[str, Array]
    memory: dict[str, Array]
    memory_bytes: Array
    fits: NDArray[np.bool_]
    tokens_per_step: Array
    tokens_per_s: Array
    mfu: Array


def model_flops_per_token(models: ModelArrays, lora: Array | float = 0.0) -> Array:
    """Training FLOPs per token: 6 per parameter that a token multiplies, and the attention.

    Low-rank adapters (`lora` = 1) need no gradients of the weights: 4 per parameter.

    Kaplan et al. 2020 (arXiv 2001.08361) and PaLM (arXiv 2204.02311, appendix B), the causal half
    of attention not counted; a look-up in the input embedding is no product.
    """
    expert = models.mlp_matrices * models.hidden * models.expert_ffn_hidden
    active = (models.top_k + models.shared_experts) * expert + models.hidden * models.n_experts
    params = (
        models.layers * models.attention_params
        + (models.layers - models.moe_layers)
        * models.mlp_matrices
        * models.hidden
        * models.ffn_hidden
        + models.moe_layers * active
        + models.vocab * models.hidden
    )
    one = np.ones(np.shape(models.layers))
    return (6.0 - 2.0 * lora) * params + 3.0 * models.layers * attention_flops(one, models)


def evaluate(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    *,
    global_batch: ArrayLike,
    coefficients: Coefficients,
    memory: MemoryRules | None = None,
) -> StepTime:
    """Estimate the step time and memory of given plans, in one vectorised call.

    Parameters
    ----------
    models, chips, plans
        Structs of arrays that broadcast with each other, an element a plan.
    global_batch : array_like
        Sequences of one step.
    coefficients : Coefficients
        As :meth:`clustersim.performance.CoefficientDraw.coefficients` resolves them for the
        chips; with an axis of draws before that of the plans, `step_time_s` and the parts have it
        too.
    memory : MemoryRules, optional
        What the software stack keeps on a chip (:func:`clustersim.performance.memory_rules`); by
        default the mixed precision of the ZeRO paper, 16 bytes a parameter.

    Returns
    -------
    StepTime

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_draw
    >>> catalogue = load_catalogue()
    >>> h100 = catalogue.accelerator("H100")
    >>> step = evaluate(
    ...     ModelArrays.of([catalogue.model("llama3-8b")]),
    ...     AcceleratorArrays.of([h100]),
    ...     Plans.of(tp=[2.0], dp=4, zero=1),
    ...     global_batch=128,
    ...     coefficients=default_draw().for_chips([h100]),
    ... )
    >>> bool(step.fits[0]), bool(0.3 < step.mfu[0] < 0.7)
    (True, True)
    """
    batch = np.asarray(global_batch, dtype=np.float64)
    rules = plain_rules() if memory is None else memory
    columns = in_blocks(_evaluate, models, chips, plans, batch, coefficients, rules)
    return StepTime(
        **{name: columns.pop(name) for name in _SINGLE},
        parts={name: columns[name] for name in PARTS},
        memory={name: columns[f"{name}_bytes"] for name in CLASSES},
    )


_SINGLE = ("step_time_s", "memory_bytes", "fits", "tokens_per_step", "tokens_per_s", "mfu")


def _evaluate(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    batch: Array,
    coefficients: Coefficients,
    rules: MemoryRules,
) -> dict[str, NDArray[Any]]:
    """Every column of :class:`StepTime` by name."""
    plans = _with_expert_tp(models, plans)
    shard = shard_of(models, plans, batch)
    parts = _parts(shard, models, chips, plans, batch, coefficients)
    memory = memory_by_class(shard, models, chips, plans, rules)
    step_time = _sum(parts)
    used = _sum(memory)
    tokens = np.broadcast_to(batch * models.seq_len, step_time.shape)
    flops = tokens * model_flops_per_token(models, plans.lora)
    return {
        "step_time_s": step_time,
        "memory_bytes": used,
        "fits": used <= chips.hbm_bytes,
        "tokens_per_step": tokens,
        "tokens_per_s": tokens / step_time,
        "mfu": flops / (step_time * plans.chips * chips.peak_flops),
        **parts,
        **{f"{name}_bytes": held for name, held in memory.items()},
    }


def step_seconds(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    coefficients: Coefficients,
) -> Array:
    """Step time alone, as :func:`evaluate` gives it."""

    def seconds(
        models: ModelArrays,
        chips: AcceleratorArrays,
        plans: Plans,
        batch: Array,
        coefficients: Coefficients,
    ) -> dict[str, Array]:
        plans = _with_expert_tp(models, plans)
        shard = shard_of(models, plans, batch)
        return {"s": _sum(_parts(shard, models, chips, plans, batch, coefficients))}

    return in_blocks(seconds, models, chips, plans, global_batch, coefficients)["s"]


def memory_of(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    memory: MemoryRules | None = None,
) -> Array:
    """Bytes on the fullest chip alone, as :func:`evaluate` gives them."""

    def used(
        models: ModelArrays,
        chips: AcceleratorArrays,
        plans: Plans,
        batch: Array,
        rules: MemoryRules,
    ) -> dict[str, Array]:
        plans = _with_expert_tp(models, plans)
        shard = shard_of(models, plans, batch)
        return {"bytes": _sum(memory_by_class(shard, models, chips, plans, rules))}

    rules = plain_rules() if memory is None else memory
    return in_blocks(used, models, chips, plans, global_batch, rules)["bytes"]


def _with_expert_tp(models: ModelArrays, plans: Plans) -> Plans:
    """Put the default expert tensor parallel size where a plan has none, once for all parts."""
    if not np.any(models.n_experts > 0) or np.all(plans.etp > 0):
        return plans
    return dataclasses.replace(plans, etp=plans.expert_tp)


def _sum(columns: dict[str, Array]) -> Array:
    total = np.zeros(())
    for column in columns.values():
        total = total + column
    return total


def least_seconds(
    models: ModelArrays, chips: AcceleratorArrays, plans: Plans, global_batch: Array
) -> Array:
    """Roofline of a step: its model FLOPs at the peak of all chips, products and attention apart.

    Attention and the output layer compute in BF16; low-rank adapters need no gradients of the
    weights, so a third of the products' FLOPs is not made.
    """
    tokens = global_batch * models.seq_len
    one = np.ones(())
    attention = 3.0 * models.layers * attention_flops(one, models)
    output = 6.0 * models.vocab * models.hidden
    products = model_flops_per_token(models) - attention - output
    needed = 1.0 - plans.lora / 3.0
    at_bf16 = (attention + output * needed) / chips.bf16_flops
    return tokens / plans.chips * (products * needed / chips.peak_flops + at_bf16)


def _parts(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    coefficients: Coefficients,
) -> dict[str, Array]:
    """Seconds by part of one step: micro-batches times layers, and what comes once."""
    rates = rates_of(chips, coefficients)
    links = rates.links
    layer = _layer(shard.tokens, models, chips, plans, rates, coefficients)
    m, layers = shard.micro_batches, shard.layers
    micro_batch = layers * layer.total
    output = m * vocabulary_seconds(shard.tokens, models, plans, rates, coefficients)
    bubble = bubble_seconds(micro_batch, plans)
    pipeline = pipeline_seconds(shard, models, plans, links, coefficients)
    stretch = coefficients.straggling * np.log2(np.maximum(plans.chips / STRAGGLE_FROM, 1.0))
    parts = {name: m * layers * seconds for name, seconds in layer.parts.items()} | {
        "vocabulary": output,
        "pipeline": pipeline,
        "bubble": bubble,
        "data_parallel": data_parallel_seconds(
            shard,
            plans,
            links,
            coefficients,
            micro_batch_s=micro_batch,
            backward_s=layers * layer.backward,
        ),
        "optimizer": optimizer_seconds(shard, plans, rates, coefficients),
        "stragglers": stretch * (m * micro_batch + output + bubble + pipeline),
        "fixed": coefficients.fixed_s,
    }
    total = _sum(parts)
    floor = least_seconds(models, chips, plans, global_batch)
    factor = larger(coefficients.slowdown, floor / total, coefficients.corner)
    return {name: factor * parts[name] for name in PARTS}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One average layer and micro-batch: seconds by part, in all, and of either pass.

    `forward` leaves communication out.
    """

    parts: dict[str, Array]
    total: Array
    forward: Array
    backward: Array


def layer_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> tuple[Array, Array]:
    """Seconds of one layer on `tokens` of one chip: forward alone, and forward and backward.

    As in :func:`evaluate`; the second has what the plan computes again.
    """
    layer = _layer(tokens, models, chips, plans, rates_of(chips, coefficients), coefficients)
    return layer.forward, layer.total


def _layer(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rates: Rates,
    coefficients: Coefficients,
) -> _Layer:
    args = (tokens, models, plans, rates, coefficients)
    products = mlp_seconds(*args)
    exchange: Array = np.zeros(())
    of_experts: Array = np.zeros(())
    moe = models.moe_layers / models.layers
    if np.any(models.n_experts > 0):
        of_experts = moe * expert_seconds(*args)
        products = (1.0 - moe) * products + of_experts
        exchange = moe * expert_exchange_seconds(tokens, models, plans, rates.links)
    products = products + attention_projection_seconds(*args)
    attention, attention_back = attention_seconds(*args)
    streaming = elementwise_seconds(tokens, models, chips, plans, rates, coefficients)

    full = plans.recompute >= 2
    selective = np.where(plans.flash > 0, SELECTIVE_SHARE * streaming, attention)
    again = np.where(
        full,
        products + attention + streaming,
        np.where(plans.recompute >= 1, selective, 0.0),
    )
    passes = 2.0 + full
    reduced: Array = np.zeros(())
    if np.any(plans.moe_recompute > 0):
        mixed = np.where(full, 0.0, plans.moe_recompute)
        more = mixture_elementwise_seconds(tokens, models, chips, plans, rates, coefficients)
        again = again + mixed * (of_experts + more)
        passes = passes + mixed
        reduced = np.where(mixtures_reduce(models, plans), 0.5 * mixed * moe, 0.0)
    backward_products = (2.0 - plans.lora) * products  # no weight gradients under adapters
    tensor = tensor_seconds(tokens, models, plans, rates.links)
    tensor_passes = 2.0 + full + SEQUENCE_PARALLEL_EXTRA * (plans.sequence_parallel > 0) + reduced
    hidden = coefficients.tp_overlap * np.where(plans.overlap > 0, 1.0, UNHIDDEN)
    context: Array = np.zeros(())
    if np.any(plans.cp > 1):
        context = exposed_seconds(
            3.0 * context_seconds(tokens, models, plans, rates.links),
            coefficients.cp_overlap,
            attention + attention_back,
            coefficients.corner,
        )
    parts = {
        "matmul": products + backward_products,
        "attention": attention + attention_back,
        "elementwise": 3.0 * streaming,
        "recompute": again,
        "tensor_parallel": tensor_passes * tensor * (1.0 - hidden),
        "context_parallel": context,
        "expert_parallel": passes * exchange * (1.0 - coefficients.ep_overlap),
    }
    return _Layer(
        parts=parts,
        total=_sum(parts),
        forward=products + attention + streaming,
        backward=backward_products + attention_back + 2.0 * streaming + again,
    )
