"""Memory of one chip by class, and whether a plan fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.shard import Shard

__all__ = ["activation_bytes_per_layer", "memory_by_class"]

Array = NDArray[np.float64]


def activation_bytes_per_layer(
    shard: Shard, models: ModelArrays, chips: AcceleratorArrays, plans: Plans
) -> Array:
    """Bytes that one micro-batch keeps of one average layer for its backward pass.

    Counts of Korthikanti et al. 2022 (arXiv 2205.05198, equations 2 to 6) by tensor, so that
    grouped queries, gated MLPs and experts are covered; ``34 tokens hidden`` for a GPT layer, with
    masks. Without recompute: inputs of both norms, of the projections and of the MLP (4 hidden),
    queries, keys, values and attention output, MLP activations; scores too (5 bytes each) without
    fused attention. Selective: no scores, and norm outputs and activation products made anew. Full:
    the layer's input only. With FP8 the inputs of the matrix products are kept in one byte.
    """
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    active = models.top_k + models.shared_experts
    mlp = (1.0 - moe) * models.ffn_hidden + moe * active * models.expert_ffn_hidden
    attention = 2.0 * (models.attention_width + models.kv_width) / plans.tp
    routed = moe * models.top_k * models.hidden / split
    gate = models.mlp_matrices - 1.0
    kept_all = 5.0 * models.hidden / split + attention + (gate + 1.0) * mlp / plans.tp + routed
    kept_some = 3.0 * models.hidden / split + attention + gate * mlp / plans.tp + routed
    scores = np.where(plans.flash > 0, np.zeros(()), 5.0 * models.heads * models.seq_len / plans.tp)
    inputs = 2.0 * models.hidden / split + (models.attention_width + mlp) / plans.tp
    saved = np.where(chips.fp8, inputs, np.zeros(()))
    none = 2.0 * kept_all - saved + scores
    some = 2.0 * kept_some - np.minimum(saved, models.attention_width / plans.tp)
    full = 2.0 * models.hidden / split
    kept = np.where(plans.recompute >= 2, full, np.where(plans.recompute >= 1, some, none))
    return shard.tokens * kept


def memory_by_class(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> dict[str, Array]:
    """Bytes on one chip: ``weights``, ``gradients``, ``optimizer``, ``activations``, ``reserve``.

    ZeRO splits the optimizer (stage 1), gradients (2) and weights (3) over the data-parallel ranks
    (Rajbhandari et al. 2020), experts over the ranks that hold the same ones; stage 3 holds two
    gathered layers. The first pipeline stage keeps up to `pp` micro-batches, more when
    interleaved by ``1 + (pp - 1) / (pp vpp)`` (Korthikanti et al. 2022, appendix C); with full
    recompute one layer is worked on; logits live in FP32 and BF16 on the last stage.
    """
    ranks = plans.dp * plans.cp
    copies = np.maximum(ranks / plans.ep, 1.0)

    def split_from(stage: int) -> Array:
        sharded = shard.dense_params / ranks + shard.expert_params / copies
        return np.where(plans.zero >= stage, sharded, shard.dense_params + shard.expert_params)

    gathered = 2.0 * (shard.dense_params + shard.expert_params) / shard.layers
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
        "weights": coefficients.weight_bytes * weights,
        "gradients": coefficients.gradient_bytes * split_from(2),
        "optimizer": coefficients.optimizer_state_bytes * split_from(1),
        "activations": np.maximum(first_stage, last_stage),
        "reserve": coefficients.reserve_fraction * chips.hbm_bytes + coefficients.reserve_bytes,
    }
