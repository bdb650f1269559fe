"""Communication of tensor, context, pipeline and data parallelism, and the pipeline's bubble."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    members_inside,
    point_to_point_seconds,
    reduce_scatter_seconds,
)
from clustersim.network.corners import smaller
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.shard import Shard

__all__ = [
    "bubble_seconds",
    "context_seconds",
    "data_parallel_seconds",
    "exposed_seconds",
    "mixtures_reduce",
    "pipeline_seconds",
    "tensor_seconds",
]


WEIGHT_BYTES = 2.0
"""Bytes per gathered weight (BF16)."""


def exposed_seconds(
    communication: Floats, overlap: Floats, window: Floats, corner: Floats | float = 0.0
) -> Floats:
    """Return the communication time in seconds that computation does not hide.

    The hidden time is at most the share `overlap` of the communication, and at most the duration
    `window` of the computation. The transition between the two limits is rounded
    (:func:`clustersim.network.corners.smaller`).
    """
    if not np.any(corner):
        return np.maximum((1.0 - overlap) * communication, communication - window)
    return communication - smaller(overlap * communication, window, corner)


def tensor_seconds(tokens: Floats, models: ModelArrays, plans: Plans, links: Links) -> Floats:
    """Return the forward time of one layer's tensor-parallel communication in seconds.

    There are two all-reduces of ``tokens hidden`` elements of 2 bytes (Shoeybi et al. 2019, arXiv
    1909.08053); with sequence parallelism, each of them becomes a reduce-scatter and an all-gather
    with the same total volume. The MLP of a mixture of experts needs an all-reduce only if its
    experts are split by `tp` like any other matrix (`ep` of 1), or if it has shared experts. The
    exchange of tokens with distributed experts is timed by
    :func:`clustersim.performance.moe.expert_exchange_seconds`.
    """
    one = np.ones(())
    once = all_reduce_seconds(2.0 * tokens * models.hidden, plans.tp, one, links)
    if not np.any(models.moe_layers > 0):
        return 2.0 * once
    moe = models.moe_layers / models.layers
    return (2.0 - np.where(mixtures_reduce(models, plans), 0.0, moe)) * once


def mixtures_reduce(models: ModelArrays, plans: Plans) -> Bools:
    """Whether the MLP of a mixture of experts needs an all-reduce over the `tp` ranks."""
    split: Bools = (models.shared_experts > 0) | ((plans.ep == 1) & (plans.expert_tp == plans.tp))
    return split


def context_seconds(tokens: Floats, models: ModelArrays, plans: Plans, links: Links) -> Floats:
    """Return the forward time of exchanging one layer's keys and values in seconds.

    Every context-parallel rank needs all keys and values: ``(cp - 1)`` shards of ``2 tokens
    kv_width`` elements pass through each rank (ring attention, arXiv 2310.01889).
    """
    size = 4.0 * tokens * plans.cp * models.kv_width / plans.tp
    return all_gather_seconds(size, plans.cp, plans.tp, links)


def pipeline_seconds(
    shard: Shard, models: ModelArrays, plans: Plans, links: Links, coefficients: Coefficients
) -> Floats:
    """Return the exposed time in seconds of transfers between pipeline stages in one step.

    Each micro-batch enters or leaves a rank ``2 vpp`` times (forward and backward of every chunk),
    and the pipeline fills and drains through ``2 (pp - 1)`` transfers. A transfer has ``tokens
    hidden / tp`` elements (scatter-gather: Narayanan et al. 2021, arXiv 2104.04473).
    """
    size = 2.0 * shard.tokens * models.hidden / plans.tp
    stride = plans.tp * plans.cp * plans.dp
    once = point_to_point_seconds(size, stride, links)
    crossings = 2.0 * (plans.vpp * shard.micro_batches + plans.pp - 1.0)
    total = crossings * once * (1.0 - coefficients.pp_overlap)
    return np.where(plans.pp > 1, total, 0.0)


def bubble_seconds(micro_batch_s: Floats, plans: Plans) -> Floats:
    """Return the idle time of 1F1B in seconds.

    It is the time of ``(pp - 1) / vpp`` micro-batches (Narayanan et al. 2021).
    """
    return (plans.pp - 1.0) / plans.vpp * micro_batch_s


def data_parallel_seconds(
    shard: Shard,
    plans: Plans,
    links: Links,
    coefficients: Coefficients,
    *,
    micro_batch_s: Floats,
    backward_s: Floats,
) -> Floats:
    """Return the exposed time in seconds of gradient and weight communication in one step.

    Stages 0 to 2 reduce-scatter the gradients and all-gather the weights (or an all-reduce of the
    same volume) once per step, after the last backward pass. Stage 3 gathers the weights twice and
    scatters the gradients once in every micro-batch (Rajbhandari et al. 2020, arXiv 1910.02054).
    Gradients of experts are reduced among the ranks that hold the same experts.

    In hybrid sharding, all of this happens within a group, and each rank's share of the gradients
    is summed over the groups once per step (Zhao et al. 2023, arXiv 2304.11277). With stage 3, this
    sum follows the last micro-batch.

    Weights are gathered in several messages per layer. The start-up of each message takes one hop
    of a ring per scale-up domain. With hundreds of domains, this takes longer than the transfer:
    InternEvo on 50 Gb/s per chip falls from 4,062 to 2,271 tokens/s per chip when ZeRO-1 spans
    1,024 chips, and to 3,625 in groups of 8.

    `backward_s` is the time of the last backward pass that hides no other communication, and
    `micro_batch_s` that of a micro-batch in the slowest stage.
    """
    stride = plans.tp
    dense, experts = shard.dense_params * shard.trained, shard.expert_params * shard.trained
    hop = coefficients.hop_latency_s

    def start_up(ranks: Floats, messages: Floats) -> Floats:
        domains = np.ceil(ranks / members_inside(ranks, stride, links))
        return shard.layers * messages * (domains - 1.0) * hop

    gradients = coefficients.gradient_bytes * dense
    across: Floats = np.zeros(())
    if np.any(shard.group < shard.ranks):
        replicas = shard.ranks / shard.group
        across = all_reduce_seconds(gradients / shard.group, replicas, stride * shard.group, links)
    late = reduce_scatter_seconds(gradients, shard.group, stride, links) + across
    late = late + all_gather_seconds(WEIGHT_BYTES * dense, shard.group, stride, links)
    late = late + start_up(shard.group, coefficients.weight_messages)
    each: Floats = np.zeros(())
    fully = plans.zero >= 3
    if np.any(fully):
        whole = WEIGHT_BYTES * shard.dense_params
        gather = all_gather_seconds(whole, shard.group, stride, links)
        gather = gather + start_up(shard.group, coefficients.zero3_messages)
        each = (2.0 + shard.trained) * gather
    some = shard.expert_params > 0
    if np.any(some):
        group, summed = shard.expert_group, coefficients.gradient_bytes * experts
        expert_stride = plans.ep * plans.expert_tp
        scatter = reduce_scatter_seconds(summed, group, expert_stride, links)
        gather = all_gather_seconds(WEIGHT_BYTES * experts, group, expert_stride, links)
        late = late + np.where(some, scatter + gather, 0.0)
        if np.any(group < shard.expert_copies):
            replicas = shard.expert_copies / group
            more = all_reduce_seconds(summed / group, replicas, expert_stride * group, links)
            late, across = late + np.where(some, more, 0.0), across + np.where(some, more, 0.0)
        whole = WEIGHT_BYTES * shard.expert_params
        gather = all_gather_seconds(whole, group, expert_stride, links)
        each = each + np.where(some, (2.0 + shard.trained) * gather, 0.0)
    overlap, corner = coefficients.dp_overlap * plans.overlap, coefficients.corner
    once = exposed_seconds(late, overlap, backward_s, corner)
    if not np.any(fully):
        return once
    overlap3 = coefficients.zero3_overlap * plans.overlap
    always = (shard.micro_batches - 1.0) * exposed_seconds(each, overlap3, micro_batch_s, corner)
    always = always + exposed_seconds(each + across, overlap3, micro_batch_s, corner)
    return np.where(fully, always, once)
