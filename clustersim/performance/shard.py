"""The share of a model and of its batch that a plan assigns to one chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import ModelArrays, Plans

__all__ = [
    "Shard",
    "fully_recomputed",
    "mixtures_recomputed",
    "ranks_with_same_experts",
    "shard_of",
]


ADAPTED_SHARE = 0.003
"""Trained parameters of low-rank adapters divided by the parameters of the model (Llama-2-70B with
rank 16 on the attention projections: 45 million of 70,000 million; MLPerf Training v4.0)."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Sizes on the fullest pipeline stage.

    Attributes
    ----------
    tokens : array
        Tokens per micro-batch on one chip.
    micro_batches : array
        Micro-batches per step on one data-parallel rank.
    layers, moe_layers : array
        Layers of the fullest stage, and how many of them (on average) are mixtures of experts.
    dense_params, expert_params : array
        Parameters on one chip of the fullest stage, before ZeRO: parameters that all data-parallel
        ranks share, and parameters of the chip's experts.
    ranks, group : array
        Number of ranks with the same dense parameters, and number of ranks over which ZeRO splits
        these parameters.
    expert_copies, expert_group : array
        Number of ranks with the same experts, and number of ranks over which ZeRO splits the
        parameters of these experts.
    trained : array
        Share of the parameters that are trained.
    """

    tokens: Floats
    micro_batches: Floats
    layers: Floats
    moe_layers: Floats
    dense_params: Floats
    expert_params: Floats
    ranks: Floats
    group: Floats
    expert_copies: Floats
    expert_group: Floats
    trained: Floats


def ranks_with_same_experts(plans: Plans, ranks: Floats) -> Floats:
    """Return the number of chips with the same experts, among `ranks` ranks of `tp` chips each.

    The number is ``ranks tp / (ep etp)``, since experts are spread over tensor-, context- and
    data-parallel ranks alike. With `ep` of 1 and experts split by `tp`, it equals the number of
    chips with the same dense weights.

    Examples
    --------
    >>> plans = Plans.of(tp=[2.0, 2.0, 2.0], dp=16, ep=[32, 1, 8], etp=[1, 2, 2])
    >>> ranks_with_same_experts(plans, plans.dp * plans.cp).tolist()
    [1.0, 16.0, 2.0]
    """
    return np.maximum(ranks * (plans.tp / (plans.ep * plans.expert_tp)), 1.0)


def fully_recomputed(models: ModelArrays, plans: Plans) -> Floats:
    """Return the share of the layers of a stage that full recompute repeats; 0 without it.

    Examples
    --------
    >>> import clustersim as cs
    >>> models = ModelArrays.of([cs.load_catalogue().model("llama3-8b")])
    >>> plans = Plans.of(pp=2, recompute=[0, 2, 2], recompute_layers=[0, 0, 4])
    >>> fully_recomputed(models, plans).tolist()
    [0.0, 1.0, 0.25]
    """
    full: Floats = np.where(plans.recompute >= 2, 1.0, 0.0)
    if not np.any(plans.recompute_layers > 0):
        return full
    layers = plans.vpp * np.ceil(models.layers / (plans.pp * plans.vpp))
    share = np.minimum(plans.recompute_layers / layers, 1.0)
    share = np.where(plans.recompute_layers > 0, share, 1.0)
    return np.where(plans.recompute >= 2, share, 0.0)


def mixtures_recomputed(plans: Plans) -> Floats:
    """Return 1 for plans that recompute the mixtures of their layers and nothing else, else 0."""
    return np.where(plans.recompute >= 2, 0.0, plans.moe_recompute)


def shard_of(models: ModelArrays, plans: Plans, global_batch: Floats) -> Shard:
    """Split a model and its batch by a plan.

    A data-parallel rank processes ``ceil(global_batch / dp)`` sequences. Its last micro-batch may
    be incomplete but takes as long as a complete one. A stage has ``vpp * ceil(layers / (pp *
    vpp))`` layers. The input and output embeddings are on the first and last stage. A chip holds
    one of ``ep etp`` shares of the experts of a layer (:mod:`clustersim.performance.plan_rules`).
    """
    sequences = np.ceil(global_batch / plans.dp)
    layers = plans.vpp * np.ceil(models.layers / (plans.pp * plans.vpp))
    mlp = models.mlp_matrices * models.hidden * models.ffn_hidden
    whole = models.attention_params + models.other_params / models.layers
    ranks = plans.dp * plans.cp
    group = np.where(plans.zero_group > 0, np.minimum(plans.zero_group, ranks), ranks)
    moe_layers, expert_params, copies, expert_group = np.zeros(()), np.zeros(()), ranks, group
    if np.any(models.n_experts > 0):
        moe_share = models.moe_layers / models.layers
        expert = models.mlp_matrices * models.hidden * models.expert_ffn_hidden
        whole = whole + (1.0 - moe_share) * mlp + moe_share * models.shared_experts * expert
        dense_layer = whole / plans.tp + moe_share * models.hidden * models.n_experts
        experts_of_rank = models.n_experts / (plans.ep * plans.expert_tp)
        moe_layers = layers * moe_share
        expert_params = moe_layers * experts_of_rank * expert
        copies = ranks_with_same_experts(plans, ranks)
        expert_group = ranks_with_same_experts(plans, group)
    else:
        dense_layer = (whole + mlp) / plans.tp
    tables = np.where(plans.pp > 1, 1.0, 2.0 - models.tied)
    return Shard(
        tokens=plans.micro_batch * models.seq_len / plans.cp,
        micro_batches=np.ceil(sequences / plans.micro_batch),
        layers=layers,
        moe_layers=moe_layers,
        dense_params=layers * dense_layer + tables * models.vocab * models.hidden / plans.tp,
        expert_params=expert_params,
        ranks=ranks,
        group=group,
        expert_copies=copies,
        expert_group=expert_group,
        trained=np.where(plans.lora > 0, ADAPTED_SHARE, 1.0),
    )
