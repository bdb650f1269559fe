"""Communication of tensor, context, pipeline and data parallelism, and the pipeline's bubble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import (
    Links,
    Transfer,
    all_gather,
    all_reduce,
    members_inside,
    point_to_point,
    point_to_point_seconds,
)
from clustersim.network.corners import smaller
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.shard import Shard, fully_recomputed, mixtures_recomputed

__all__ = [
    "CONTEXT_PASSES",
    "DataTransfers",
    "Passes",
    "bubble_seconds",
    "context_transfer",
    "data_parallel_seconds",
    "data_transfers",
    "exposed_seconds",
    "mixtures_reduce",
    "passes_of",
    "pipeline_crossings",
    "pipeline_messages",
    "pipeline_seconds",
    "pipeline_transfer",
    "tensor_reductions",
    "tensor_transfer",
]


CONTEXT_PASSES = 3.0
"""Exchanges of keys and values in both passes, relative to the forward pass: the backward pass
also returns their gradients."""
SEQUENCE_PARALLEL_EXTRA = 0.25
"""Additional tensor-parallel communication with sequence parallelism, relative to a forward pass,
because the backward pass gathers the inputs again (Korthikanti et al. 2022, section 4.2.2)."""
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


def tensor_transfer(tokens: Floats, models: ModelArrays, plans: Plans, links: Links) -> Transfer:
    """Return one all-reduce of the tensor-parallel ranks: ``tokens hidden`` elements of 2 bytes.

    The communication follows Shoeybi et al. 2019 (arXiv 1909.08053); with sequence parallelism,
    each all-reduce becomes a reduce-scatter and an all-gather with the same total volume.
    """
    return all_reduce(2.0 * tokens * models.hidden, plans.tp, np.ones(()), links)


def tensor_reductions(models: ModelArrays, plans: Plans) -> Floats | float:
    """Return how many all-reduces the forward pass of an average layer needs; 2 without mixtures.

    The MLP of a mixture of experts needs an all-reduce only if its experts are split by `tp` like
    any other matrix (`ep` of 1), or if it has shared experts. The exchange of tokens with
    distributed experts is timed by :func:`clustersim.performance.moe.expert_exchange_seconds`.
    """
    if not np.any(models.moe_layers > 0):
        return 2.0
    moe = models.moe_layers / models.layers
    return 2.0 - np.where(mixtures_reduce(models, plans), 0.0, moe)


def mixtures_reduce(models: ModelArrays, plans: Plans) -> Bools:
    """Whether the MLP of a mixture of experts needs an all-reduce over the `tp` ranks."""
    split: Bools = (models.shared_experts > 0) | ((plans.ep == 1) & (plans.expert_tp == plans.tp))
    return split


@dataclass(frozen=True, slots=True)
class Passes:
    """How often a step repeats the communication of a layer's forward pass.

    Attributes
    ----------
    full : array
        Share of the layers that full recompute repeats.
    tensor, exchange : array
        Passes of the tensor-parallel communication, and of the exchange of tokens with experts.
    """

    full: Floats
    tensor: Floats
    exchange: Floats


def passes_of(models: ModelArrays, plans: Plans) -> Passes:
    """Return how often a step repeats the communication of a layer's forward pass.

    Examples
    --------
    >>> import clustersim as cs
    >>> models = ModelArrays.of([cs.load_catalogue().model("llama3-8b")])
    >>> passes_of(models, Plans.of(tp=[4, 4], recompute=[0, 2], sequence_parallel=0)).tensor
    array([2., 3.])
    """
    full = fully_recomputed(models, plans)
    passes = 2.0 + full
    tensor = 2.0 + full + SEQUENCE_PARALLEL_EXTRA * (plans.sequence_parallel > 0)
    if not np.any(plans.moe_recompute > 0):
        return Passes(full, tensor, passes)
    moe, mixed = models.moe_layers / models.layers, mixtures_recomputed(plans)
    reduced = np.where(mixtures_reduce(models, plans), 0.5 * mixed * moe, 0.0)
    return Passes(full, tensor + reduced, passes + mixed)


def context_transfer(tokens: Floats, models: ModelArrays, plans: Plans, links: Links) -> Transfer:
    """Return the exchange of one layer's keys and values in the forward pass.

    Every context-parallel rank needs all keys and values: ``(cp - 1)`` shards of ``2 tokens
    kv_width`` elements pass through each rank (ring attention, arXiv 2310.01889).
    """
    size = 4.0 * tokens * plans.cp * models.kv_width / plans.tp
    return all_gather(size, plans.cp, plans.tp, links)


def _stage_message(shard: Shard, models: ModelArrays, plans: Plans) -> tuple[Floats, Floats]:
    """Return the bytes of a transfer between pipeline stages, and its distance in chips.

    A transfer has ``tokens hidden / tp`` elements (scatter-gather: Narayanan et al. 2021, arXiv
    2104.04473).
    """
    return 2.0 * shard.tokens * models.hidden / plans.tp, plans.tp * plans.cp * plans.dp


def pipeline_transfer(shard: Shard, models: ModelArrays, plans: Plans, links: Links) -> Transfer:
    """Return one transfer between pipeline stages."""
    size, stride = _stage_message(shard, models, plans)
    return point_to_point(size, stride, links)


def pipeline_messages(shard: Shard, plans: Plans) -> Floats:
    """Return how many transfers the busiest rank sends in one step.

    Each micro-batch leaves a rank ``2 vpp`` times (forward and backward of every chunk), except
    that nothing follows the last chunk of the last stage, nor the backward pass of the first chunk
    of the first stage. With more than two stages, a rank is between these.
    """
    passes = np.where(plans.pp > 2, 2.0 * plans.vpp, 2.0 * plans.vpp - 1.0)
    return np.where(plans.pp > 1, passes * shard.micro_batches, 0.0)


def pipeline_crossings(shard: Shard, plans: Plans) -> Floats:
    """Return for how many transfers between stages a step waits if none is hidden.

    Each micro-batch enters or leaves a rank ``2 vpp`` times (forward and backward of every chunk),
    and the pipeline fills and drains through ``2 (pp - 1)`` transfers.
    """
    return 2.0 * (plans.vpp * shard.micro_batches + plans.pp - 1.0)


def pipeline_seconds(
    shard: Shard, models: ModelArrays, plans: Plans, links: Links, coefficients: Coefficients
) -> Floats:
    """Return the exposed time in seconds of transfers between pipeline stages in one step."""
    once = point_to_point_seconds(*_stage_message(shard, models, plans), links)
    total = pipeline_crossings(shard, plans) * once * (1.0 - coefficients.pp_overlap)
    return np.where(plans.pp > 1, total, 0.0)


def bubble_seconds(micro_batch_s: Floats, plans: Plans) -> Floats:
    """Return the idle time of 1F1B in seconds.

    It is the time of ``(pp - 1) / vpp`` micro-batches (Narayanan et al. 2021).
    """
    return (plans.pp - 1.0) / plans.vpp * micro_batch_s


@dataclass(frozen=True, slots=True)
class DataTransfers:
    """Transfers of gradients and weights between data-parallel ranks.

    Attributes
    ----------
    scatter, gather : Transfer
        Reduce-scatter of the gradients of dense parameters and all-gather of their weights, once
        per step.
    across : Transfer or None
        All-reduce of a rank's share of the gradients over the groups of hybrid sharding, once per
        step; None if no plan has several groups.
    weights : Transfer or None
        All-gather of the dense weights in a pass with ZeRO stage 3; None if no plan has it.
    weight_start_s, zero3_start_s : array
        Start-up times of the messages of `gather` and `weights`.
    expert_scatter, expert_gather, expert_across, expert_weights : Transfer or None
        The same for the parameters of experts; None if there are none.
    """

    scatter: Transfer
    gather: Transfer
    across: Transfer | None
    weights: Transfer | None
    weight_start_s: Floats
    zero3_start_s: Floats
    expert_scatter: Transfer | None
    expert_gather: Transfer | None
    expert_across: Transfer | None
    expert_weights: Transfer | None


def data_transfers(
    shard: Shard, plans: Plans, links: Links, coefficients: Coefficients
) -> DataTransfers:
    """Return the transfers between data-parallel ranks.

    Stages 0 to 2 reduce-scatter the gradients and all-gather the weights (or an all-reduce of the
    same volume) once per step. Stage 3 gathers the weights twice and scatters the gradients once in
    every micro-batch (Rajbhandari et al. 2020, arXiv 1910.02054). Gradients of experts are reduced
    among the ranks that hold the same experts.

    In hybrid sharding, all of this happens within a group, and each rank's share of the gradients
    is summed over the groups once per step (Zhao et al. 2023, arXiv 2304.11277).

    Weights are gathered in several messages per layer. The start-up of each message takes one hop
    of a ring per scale-up domain. With hundreds of domains, this takes longer than the transfer:
    InternEvo on 50 Gb/s per chip falls from 4,062 to 2,271 tokens/s per chip when ZeRO-1 spans
    1,024 chips, and to 3,625 in groups of 8.
    """
    stride, hop = plans.tp, coefficients.hop_latency_s
    dense, experts = shard.dense_params * shard.trained, shard.expert_params * shard.trained
    fully, some = np.any(plans.zero >= 3), np.any(shard.expert_params > 0)

    def start_up(messages: Floats) -> Floats:
        domains = np.ceil(shard.group / members_inside(shard.group, stride, links))
        return shard.layers * messages * (domains - 1.0) * hop

    def between(summed: Floats, copies: Floats, group: Floats, distance: Floats) -> Transfer | None:
        if not np.any(group < copies):
            return None
        return all_reduce(summed / group, copies / group, distance * group, links)

    gradients = coefficients.gradient_bytes * dense
    summed, group = coefficients.gradient_bytes * experts, shard.expert_group
    apart = plans.ep * plans.expert_tp if some else plans.ep
    return DataTransfers(
        scatter=all_gather(gradients, shard.group, stride, links),
        gather=all_gather(WEIGHT_BYTES * dense, shard.group, stride, links),
        across=between(gradients, shard.ranks, shard.group, stride),
        weights=all_gather(WEIGHT_BYTES * shard.dense_params, shard.group, stride, links)
        if fully
        else None,
        weight_start_s=start_up(coefficients.weight_messages),
        zero3_start_s=start_up(coefficients.zero3_messages) if fully else np.zeros(()),
        expert_scatter=all_gather(summed, group, apart, links) if some else None,
        expert_gather=all_gather(WEIGHT_BYTES * experts, group, apart, links) if some else None,
        expert_across=between(summed, shard.expert_copies, group, apart) if some else None,
        expert_weights=all_gather(WEIGHT_BYTES * shard.expert_params, group, apart, links)
        if some and fully
        else None,
    )


def data_parallel_seconds(
    shard: Shard,
    plans: Plans,
    links: Links,
    coefficients: Coefficients,
    *,
    micro_batch_s: Floats,
    backward_s: Floats,
) -> Floats:
    """Return the exposed time in seconds of :func:`data_transfers` in one step.

    Stages 0 to 2 of ZeRO communicate after the last backward pass. With stage 3, the sum over the
    groups of hybrid sharding follows the last micro-batch.

    `backward_s` is the time of the last backward pass that hides no other communication, and
    `micro_batch_s` that of a micro-batch in the slowest stage.
    """
    data = data_transfers(shard, plans, links, coefficients)
    across: Floats = np.zeros(()) if data.across is None else data.across.seconds(links)
    late = data.scatter.seconds(links) + across
    late = late + data.gather.seconds(links) + data.weight_start_s
    each: Floats = np.zeros(())
    if data.weights is not None:
        each = (2.0 + shard.trained) * (data.weights.seconds(links) + data.zero3_start_s)
    if data.expert_scatter is not None and data.expert_gather is not None:
        some = shard.expert_params > 0
        both = data.expert_scatter.seconds(links) + data.expert_gather.seconds(links)
        late = late + np.where(some, both, 0.0)
        if data.expert_across is not None:
            more = np.where(some, data.expert_across.seconds(links), 0.0)
            late, across = late + more, across + more
        if data.expert_weights is not None:
            gather = data.expert_weights.seconds(links)
            each = each + np.where(some, (2.0 + shard.trained) * gather, 0.0)
    overlap, corner = coefficients.dp_overlap * plans.overlap, coefficients.corner
    once = exposed_seconds(late, overlap, backward_s, corner)
    if data.weights is None:
        return once
    overlap3 = coefficients.zero3_overlap * plans.overlap
    always = (shard.micro_batches - 1.0) * exposed_seconds(each, overlap3, micro_batch_s, corner)
    always = always + exposed_seconds(each + across, overlap3, micro_batch_s, corner)
    return np.where(plans.zero >= 3, always, once)
