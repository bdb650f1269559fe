"""Communication of tensor, context, pipeline and data parallelism, and the pipeline's bubble."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    point_to_point_seconds,
    reduce_scatter_seconds,
)
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.shard import Shard

__all__ = [
    "bubble_seconds",
    "context_seconds",
    "data_parallel_seconds",
    "exposed_seconds",
    "pipeline_seconds",
    "tensor_seconds",
]

Array = NDArray[np.float64]


def exposed_seconds(communication: Array, overlap: float, window: Array) -> Array:
    """Communication that computation does not hide.

    At most the share `overlap` of it hides, and no more than lasts the `window` of computation.
    """
    return np.maximum((1.0 - overlap) * communication, communication - window)


def tensor_seconds(tokens: Array, models: ModelArrays, plans: Plans, links: Links) -> Array:
    """Tensor-parallel communication of one layer, forward (backward is the same).

    Two all-reduces of ``tokens hidden`` elements of 2 bytes (Shoeybi et al. 2019, arXiv
    1909.08053); as reduce-scatter and all-gather with sequence parallelism, the same volume.
    """
    one = np.ones(np.shape(plans.tp))
    return 2.0 * all_reduce_seconds(2.0 * tokens * models.hidden, plans.tp, one, links)


def context_seconds(tokens: Array, models: ModelArrays, plans: Plans, links: Links) -> Array:
    """Exchange of keys and values of one layer, forward, among context-parallel ranks.

    All ranks see all keys and values: ``(cp - 1)`` shards of ``2 tokens kv_width`` elements pass
    (ring attention, arXiv 2310.01889).
    """
    size = 4.0 * tokens * plans.cp * models.kv_width / plans.tp
    return all_gather_seconds(size, plans.cp, plans.tp, links)


def pipeline_seconds(
    shard: Shard, models: ModelArrays, plans: Plans, links: Links, coefficients: Coefficients
) -> Array:
    """Exposed transfers between pipeline stages of one step.

    Each micro-batch crosses ``2 vpp`` times a rank (forward and backward of every chunk), in
    ``tokens hidden / tp`` elements (scatter-gather: Narayanan et al. 2021, arXiv 2104.04473).
    """
    size = 2.0 * shard.tokens * models.hidden / plans.tp
    stride = plans.tp * plans.cp * plans.dp
    once = point_to_point_seconds(size, stride, links)
    crossings = 2.0 * plans.vpp * (shard.micro_batches + plans.pp - 1.0)
    total = crossings * once * (1.0 - coefficients.pp_overlap)
    return np.where(plans.pp > 1, total, np.zeros(()))


def bubble_seconds(micro_batch_s: Array, plans: Plans) -> Array:
    """Idle time of 1F1B: ``(pp - 1) / vpp`` micro-batches (Narayanan et al. 2021)."""
    return (plans.pp - 1.0) / plans.vpp * micro_batch_s


def data_parallel_seconds(
    shard: Shard,
    plans: Plans,
    links: Links,
    coefficients: Coefficients,
    *,
    micro_batch_s: Array,
    backward_s: Array,
) -> Array:
    """Exposed gradient and weight traffic of one step.

    Stages 0 to 2 reduce-scatter the gradients and all-gather the weights (or all-reduce, the same
    volume) once a step, behind the last backward pass. Stage 3 gathers the weights twice and
    scatters the gradients once in every micro-batch (Rajbhandari et al. 2020, arXiv 1910.02054).
    Experts reduce among the ``dp / ep`` ranks that hold the same ones.
    """
    ranks, stride = plans.dp * plans.cp, plans.tp
    copies = np.maximum(ranks / plans.ep, 1.0)
    expert_stride = plans.tp * plans.ep
    weights = coefficients.weight_bytes
    gradients = coefficients.gradient_comm_bytes

    def traffic(params: Array, ranks: Array, stride: Array, gathers: float) -> Array:
        gather = all_gather_seconds(weights * params, ranks, stride, links)
        scatter = reduce_scatter_seconds(gradients * params, ranks, stride, links)
        return gathers * gather + scatter

    once = traffic(shard.dense_params, ranks, stride, 1.0)
    once = once + traffic(shard.expert_params, copies, expert_stride, 1.0)
    each = traffic(shard.dense_params, ranks, stride, 2.0)
    each = each + traffic(shard.expert_params, copies, expert_stride, 2.0)
    late = exposed_seconds(once, coefficients.dp_overlap, backward_s)
    always = shard.micro_batches * exposed_seconds(each, coefficients.zero3_overlap, micro_batch_s)
    return np.where(plans.zero >= 3, always, late)
