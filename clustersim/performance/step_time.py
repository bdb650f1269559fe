"""Step time and memory of given plans, assembled from the parts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Bools, Floats
from clustersim.network.corners import larger
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.attention import attention_flops
from clustersim.performance.blocks import in_blocks
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.layer import layer_of, sum_of
from clustersim.performance.matmul import vocabulary_seconds
from clustersim.performance.memory import CLASSES, memory_by_class
from clustersim.performance.memory_rules import MemoryRules, plain_rules
from clustersim.performance.optimizer import host_seconds, optimizer_seconds
from clustersim.performance.parallel import (
    bubble_seconds,
    data_parallel_seconds,
    pipeline_seconds,
)
from clustersim.performance.rates import rates_of
from clustersim.performance.shard import Shard, shard_of

__all__ = [
    "PARTS",
    "StepTime",
    "evaluate",
    "memory_of",
    "model_flops_per_token",
    "step_seconds",
]


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
"""Names of the parts of a step, whose times add up to the step time."""

STRAGGLE_FROM = 8.0
"""Number of chips in one server; the step time grows with each doubling of the chips beyond this
number."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Estimates of one optimizer step, one element per plan.

    Attributes
    ----------
    step_time_s : array
        Seconds per step, whether or not the plan fits.
    parts : dict of str to array
        Seconds by part; they add up to `step_time_s`.
    memory : dict of str to array
        Bytes on the fullest chip by class; they add up to `memory_bytes`.
    memory_bytes : array
    fits : array of bool
        Whether `memory_bytes` is at most the chip's memory.
    tokens_per_step, tokens_per_s : array
    mfu : array
        Model FLOPs utilisation: FLOP/s of the model divided by the peak of all chips. Recomputed
        work does not count, and attention under a causal mask counts as half of full attention.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import PARTS, search_plans
    >>> catalogue = cs.load_catalogue()
    >>> step = search_plans(catalogue.model("llama3-8b"), catalogue.accelerator("H200"), 8).step
    >>> set(step.parts) == set(PARTS)
    True
    """

    step_time_s: Floats
    parts: dict[str, Floats]
    memory: dict[str, Floats]
    memory_bytes: Floats
    fits: Bools
    tokens_per_step: Floats
    tokens_per_s: Floats
    mfu: Floats


def model_flops_per_token(models: ModelArrays, lora: Floats | float = 0.0) -> Floats:
    """Return training FLOPs per token: 6 per parameter that multiplies a token, plus attention.

    Low-rank adapters (`lora` = 1) need no gradients of the weights, so the count is 4 per
    parameter. The count follows Kaplan et al. 2020 (arXiv 2001.08361) and PaLM (arXiv 2204.02311,
    appendix B), without the masked half of causal attention. A look-up in the input embedding is
    not a product.
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
        Structs of arrays that broadcast with each other, one element per plan.
    global_batch : array_like
        Sequences per step.
    coefficients : Coefficients
        As returned by :meth:`clustersim.performance.CoefficientDraw.coefficients` for the chips. If
        they have an axis of draws before that of the plans, `step_time_s` and the parts have it
        too.
    memory : MemoryRules, optional
        Rules of the software stack (:func:`clustersim.performance.memory_rules`); by default those
        of the ZeRO paper, 16 bytes per parameter in mixed precision.

    Returns
    -------
    StepTime

    Examples
    --------
    >>> from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, evaluate
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
    batch: Floats,
    coefficients: Coefficients,
    rules: MemoryRules,
) -> dict[str, NDArray[Any]]:
    """Return every column of :class:`StepTime` by name."""
    plans = with_expert_tp(models, plans)
    shard = shard_of(models, plans, batch)
    parts, _ = timed_parts(shard, models, chips, plans, batch, coefficients)
    memory = memory_by_class(shard, models, chips, plans, rules)
    step_time = sum_of(parts)
    used = sum_of(memory)
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
    global_batch: Floats,
    coefficients: Coefficients,
) -> Floats:
    """Return only the step time of :func:`evaluate`."""

    def seconds(
        models: ModelArrays,
        chips: AcceleratorArrays,
        plans: Plans,
        batch: Floats,
        coefficients: Coefficients,
    ) -> dict[str, Floats]:
        plans = with_expert_tp(models, plans)
        shard = shard_of(models, plans, batch)
        return {"s": sum_of(timed_parts(shard, models, chips, plans, batch, coefficients)[0])}

    return in_blocks(seconds, models, chips, plans, global_batch, coefficients)["s"]


def memory_of(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Floats,
    memory: MemoryRules | None = None,
) -> Floats:
    """Return only the `memory_bytes` of :func:`evaluate`."""

    def used(
        models: ModelArrays,
        chips: AcceleratorArrays,
        plans: Plans,
        batch: Floats,
        rules: MemoryRules,
    ) -> dict[str, Floats]:
        plans = with_expert_tp(models, plans)
        shard = shard_of(models, plans, batch)
        return {"bytes": sum_of(memory_by_class(shard, models, chips, plans, rules))}

    rules = plain_rules() if memory is None else memory
    return in_blocks(used, models, chips, plans, global_batch, rules)["bytes"]


def with_expert_tp(models: ModelArrays, plans: Plans) -> Plans:
    """Fill in the default expert tensor parallel size of plans that do not set it."""
    if not np.any(models.n_experts > 0) or np.all(plans.etp > 0):
        return plans
    return dataclasses.replace(plans, etp=plans.expert_tp)


def least_seconds(
    models: ModelArrays, chips: AcceleratorArrays, plans: Plans, global_batch: Floats
) -> Floats:
    """Return the minimum seconds of a step (roofline): its model FLOPs at the peak of all chips.

    The times of matrix products and attention are added. Attention and the output layer are
    computed in BF16. Low-rank adapters need no gradients of the weights, which saves a third of the
    products' FLOPs.
    """
    tokens = global_batch * models.seq_len
    one = np.ones(())
    attention = 3.0 * models.layers * attention_flops(one, models)
    output = 6.0 * models.vocab * models.hidden
    products = model_flops_per_token(models) - attention - output
    needed = 1.0 - plans.lora / 3.0
    at_bf16 = (attention + output * needed) / chips.bf16_flops
    return tokens / plans.chips * (products * needed / chips.peak_flops + at_bf16)


def timed_parts(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Floats,
    coefficients: Coefficients,
) -> tuple[dict[str, Floats], Floats]:
    """Return the seconds of a step by part, summed over layers and micro-batches.

    The second value is the factor that the parts contain: the slowdown of the software stack, or
    what raises the step to its roofline.
    """
    coefficients = with_path_latency(chips, coefficients)
    rates = rates_of(chips, coefficients)
    links = rates.links
    layer = layer_of(shard.tokens, models, chips, plans, rates, coefficients)
    m, layers = shard.micro_batches, shard.layers
    micro_batch = layers * layer.total
    output = m * vocabulary_seconds(shard.tokens, models, plans, rates, coefficients)
    if np.any(plans.pp > 1):
        stage = m * micro_batch
        even = (plans.pp == 1) | (models.layers % (plans.pp * plans.vpp) == 0)
        shared = (m * models.layers * layer.total + output) / plans.pp
        output = np.where(even, output, larger(shared, stage, coefficients.corner) - stage)
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
            micro_batch_s=micro_batch + output / m,
            backward_s=layers * layer.free_backward,
        ),
        "optimizer": optimizer_seconds(shard, plans, rates, coefficients),
        "stragglers": stretch * (m * micro_batch + output + bubble + pipeline),
        "fixed": coefficients.fixed_s,
    }
    total = sum_of(parts)
    floor = least_seconds(models, chips, plans, global_batch)
    factor = larger(coefficients.slowdown, floor / total, coefficients.corner)
    timed = {name: factor * parts[name] for name in PARTS}
    if np.any(plans.host_optimizer > 0):  # the speed of a host does not depend on the stack
        timed["optimizer"] = timed["optimizer"] + host_seconds(shard, plans)
    return timed, factor


def with_path_latency(chips: AcceleratorArrays, coefficients: Coefficients) -> Coefficients:
    """Add the latency of the path between nodes to that of a hop of a ring."""
    if not np.any(chips.path_latency_s):
        return coefficients
    hop = coefficients.hop_latency_s + chips.path_latency_s
    return dataclasses.replace(coefficients, hop_latency_s=hop)
