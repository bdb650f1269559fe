"""Memory of one chip by class, and whether a plan fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.shard import Shard

__all__ = ["CLASSES", "activation_bytes_per_layer", "memory_by_class"]

Array = NDArray[np.float64]


CLASSES = ("weights", "gradients", "optimizer", "activations", "reserve")
"""Names of the classes of memory."""
WEIGHT_BYTES = 2.0
FROZEN_FP8_BYTES = 1.0
GRADIENT_BYTES = 2.0
OPTIMIZER_BYTES = 12.0
"""Memory per parameter in mixed precision: BF16 weights and gradients, FP32 master weights and two
moments (Rajbhandari et al. 2020, arXiv 1910.02054); frozen weights of an FP8 run are kept in FP8
(``fp8_params`` of the LoRA submissions to MLPerf Training)."""
RESERVE_SHARE = 0.02
RESERVE_BYTES = 1.5e9
"""Memory that no tensor gets: fragmentation as a share of the chip's, and context and buffers of
the communication library (1 to 2 GB as nvidia-smi shows them)."""


def activation_bytes_per_layer(
    shard: Shard, models: ModelArrays, chips: AcceleratorArrays, plans: Plans
) -> Array:
    """Bytes that one micro-batch keeps of one average layer for its backward pass.

    Counts of Korthikanti et al. 2022 (arXiv 2205.05198, equations 2 to 6) by tensor, so that
    grouped queries, gated MLPs and experts are covered. Without recompute: inputs of both norms, of
    the projections and of the MLP (4 hidden), queries, keys, values and attention output, MLP
    activations: ``32 tokens hidden`` for a GPT layer. Stacks without fused attention keep the masks
    of dropout (``34 tokens hidden``) and, unless they recompute selectively, the scores (5 bytes
    each). With fused attention selective recompute makes norm outputs and activation products
    anew. Full: the layer's input only. With FP8 the inputs of the matrix products are kept in one
    byte; frozen matrices (LoRA) need none of them but those of the adapted projections.
    """
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    active = models.top_k + models.shared_experts
    mlp = (1.0 - moe) * models.ffn_hidden + moe * active * models.expert_ffn_hidden
    attention = 2.0 * (models.attention_width + models.kv_width) / plans.tp
    routed = moe * models.top_k * models.hidden / split
    gate = models.mlp_matrices - 1.0
    norms = 4.0 * models.hidden / split
    common = attention + gate * mlp / plans.tp + routed
    inputs = 2.0 * models.hidden / split + (models.attention_width + mlp) / plans.tp
    none = 2.0 * (norms + common + mlp / plans.tp) - np.where(chips.fp8, inputs, 0.0)
    none = np.where(plans.lora > 0, 2.0 * (0.75 * norms + common), none)
    fused_some = 2.0 * (0.75 * norms + common)
    fused_some = fused_some - np.where(chips.fp8, models.attention_width / plans.tp, 0.0)
    full = 2.0 * models.hidden / split
    kept = np.where(plans.recompute >= 1, np.minimum(fused_some, none), none)
    if np.any(plans.flash <= 0):
        unfused = none + 2.0 * models.hidden / split  # masks of dropout
        scores = 5.0 * models.heads * models.seq_len / plans.tp
        scores = np.where(plans.recompute >= 1, 0.0, scores)
        kept = np.where(plans.flash > 0, kept, unfused + scores)
    return shard.tokens * np.where(plans.recompute >= 2, full, kept)


def memory_by_class(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
) -> dict[str, Array]:
    """Bytes on one chip: ``weights``, ``gradients``, ``optimizer``, ``activations``, ``reserve``.

    ZeRO splits the optimizer (stage 1), gradients (2) and weights (3) over the data-parallel ranks
    (Rajbhandari et al. 2020), experts over the ranks that hold the same ones; stage 3 holds two
    gathered layers. The first pipeline stage keeps up to `pp` micro-batches, more when
    interleaved by ``1 + (pp - 1) / (pp vpp)`` (Korthikanti et al. 2022, appendix C); with full
    recompute one layer is worked on; logits live in FP32 and BF16 on the last stage.
    """
    whole = shard.dense_params + shard.expert_params
    sharded = shard.dense_params / shard.group + shard.expert_params / shard.expert_group

    def split_from(stage: int) -> Array:
        return np.where(plans.zero >= stage, sharded, whole)

    weight_bytes = np.where((plans.lora > 0) & chips.fp8, FROZEN_FP8_BYTES, WEIGHT_BYTES)
    gathered = 2.0 * whole / shard.layers
    weights = split_from(3) + np.where(plans.zero >= 3, gathered, np.zeros(()))
    per_layer = activation_bytes_per_layer(shard, models, chips, plans)
    in_flight = np.minimum(shard.micro_batches, plans.pp)
    interleaved = 1.0 + (plans.vpp > 1) * (plans.pp - 1.0) / (plans.pp * plans.vpp)
    working = np.where(
        plans.recompute >= 2, 34.0 * shard.tokens * models.hidden / plans.tp, np.zeros(())
    )
    logits = 6.0 * shard.tokens * models.vocab / plans.tp
    first_stage = per_layer * shard.layers * in_flight * interleaved + working
    last_stage = per_layer * shard.layers + working + logits
    return {
        "weights": weight_bytes * weights,
        "gradients": GRADIENT_BYTES * split_from(2) * shard.trained,
        "optimizer": OPTIMIZER_BYTES * split_from(1) * shard.trained,
        "activations": np.maximum(first_stage, last_stage),
        "reserve": RESERVE_SHARE * chips.hbm_bytes + RESERVE_BYTES,
    }
