"""Step time of given plans: the parts put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.attention import attention_flops, attention_seconds
from clustersim.performance.coefficients import DEFAULT, Coefficients
from clustersim.performance.elementwise import elementwise_seconds
from clustersim.performance.matmul import attention_projection_seconds, mlp_seconds
from clustersim.performance.memory import memory_by_class
from clustersim.performance.moe import expert_exchange_seconds, expert_seconds
from clustersim.performance.optimizer import optimizer_seconds
from clustersim.performance.parallel import (
    bubble_seconds,
    context_seconds,
    data_parallel_seconds,
    exposed_seconds,
    pipeline_seconds,
    tensor_seconds,
)
from clustersim.performance.shard import links_of, shard_of
from clustersim.performance.vocabulary import vocabulary_seconds

__all__ = [
    "PARTS",
    "StepTime",
    "evaluate",
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
    "fixed",
)
"""Names of the parts of a step; their seconds add up to the step time."""


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


def model_flops_per_token(models: ModelArrays) -> Array:
    """Training FLOPs per token: 6 per parameter that a token multiplies, and the attention.

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
    return 6.0 * params + 3.0 * models.layers * attention_flops(one, models)


def evaluate(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    *,
    global_batch: ArrayLike,
    coefficients: Coefficients = DEFAULT,
) -> StepTime:
    """Estimate the step time and memory of given plans, in one vectorised call.

    Parameters
    ----------
    models, chips, plans
        Structs of arrays that broadcast with each other, an element a plan.
    global_batch : array_like
        Sequences of one step.
    coefficients : Coefficients

    Returns
    -------
    StepTime

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> step = evaluate(
    ...     ModelArrays.of([catalogue.model("llama3-8b")]),
    ...     AcceleratorArrays.of([catalogue.accelerator("H100")]),
    ...     Plans.of(tp=[2.0], dp=4, zero=1),
    ...     global_batch=128,
    ... )
    >>> bool(step.fits[0]), bool(10 < step.step_time_s[0] < 25)
    (True, True)
    """
    batch = np.asarray(global_batch, dtype=np.float64)
    shard = shard_of(models, plans, batch)
    parts = _parts(models, chips, plans, batch, coefficients)
    memory = memory_by_class(shard, models, chips, plans, coefficients)
    step_time = _sum(parts)
    used = _sum(memory)
    tokens = np.broadcast_to(batch * models.seq_len, step_time.shape)
    flops = tokens * model_flops_per_token(models)
    return StepTime(
        step_time_s=step_time,
        parts=parts,
        memory=memory,
        memory_bytes=used,
        fits=used <= chips.hbm_bytes,
        tokens_per_step=tokens,
        tokens_per_s=tokens / step_time,
        mfu=flops / (step_time * plans.chips * chips.peak_flops),
    )


def step_seconds(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    coefficients: Coefficients,
) -> Array:
    """Step time alone, as :func:`evaluate` gives it."""
    return _sum(_parts(models, chips, plans, global_batch, coefficients))


def memory_of(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    coefficients: Coefficients,
) -> Array:
    """Bytes on the fullest chip alone, as :func:`evaluate` gives them."""
    shard = shard_of(models, plans, global_batch)
    return _sum(memory_by_class(shard, models, chips, plans, coefficients))


def _sum(columns: dict[str, Array]) -> Array:
    total: Array = np.add.reduce(np.broadcast_arrays(*columns.values()))
    return total


def _parts(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Array,
    coefficients: Coefficients,
) -> dict[str, Array]:
    """Seconds by part of one step: micro-batches times layers, and what comes once."""
    shard = shard_of(models, plans, global_batch)
    links = links_of(chips, coefficients)
    tokens, dense_layers = shard.tokens, shard.layers - shard.moe_layers
    args = (tokens, models, chips, plans, coefficients)
    products = shard.layers * attention_projection_seconds(*args)
    products = products + dense_layers * mlp_seconds(*args)
    products = products + shard.moe_layers * expert_seconds(*args)
    attention, attention_back = attention_seconds(*args)
    attention, attention_back = shard.layers * attention, shard.layers * attention_back
    streaming = shard.layers * elementwise_seconds(shard, models, chips, plans, coefficients)
    tensor = shard.layers * tensor_seconds(tokens, models, plans, links)
    exchange = shard.moe_layers * expert_exchange_seconds(tokens, models, plans, links)
    context = shard.layers * context_seconds(tokens, models, plans, links)
    vocabulary = vocabulary_seconds(*args)

    full = plans.recompute >= 2
    selective = np.where(plans.flash > 0, 0.5 * streaming, attention)
    nothing = np.zeros(())
    again = np.where(
        full,
        products + attention + streaming,
        np.where(plans.recompute >= 1, selective, nothing),
    )
    passes = np.where(full, 3.0, 2.0)  # forward, backward and, with full recompute, forward again
    tensor = passes * tensor * (1.0 - coefficients.tp_overlap)
    exchange = passes * exchange * (1.0 - coefficients.ep_overlap)
    compute = 3.0 * products + attention + attention_back + 3.0 * streaming + again
    context = exposed_seconds(3.0 * context, coefficients.cp_overlap, attention + attention_back)
    micro_batch = compute + tensor + exchange + context
    backward = 2.0 * products + attention_back + 2.0 * streaming + again

    m = shard.micro_batches
    return {
        "matmul": m * 3.0 * products,
        "attention": m * (attention + attention_back),
        "elementwise": m * 3.0 * streaming,
        "vocabulary": m * vocabulary,
        "recompute": m * again,
        "tensor_parallel": m * tensor,
        "context_parallel": m * context,
        "expert_parallel": m * exchange,
        "pipeline": pipeline_seconds(shard, models, plans, links, coefficients),
        "bubble": bubble_seconds(micro_batch, plans),
        "data_parallel": data_parallel_seconds(
            shard, plans, links, coefficients, micro_batch_s=micro_batch, backward_s=backward
        ),
        "optimizer": optimizer_seconds(shard, chips, plans, coefficients),
        "fixed": np.full(np.shape(m), coefficients.fixed_s),
    }
