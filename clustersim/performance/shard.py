"""What one chip of a plan holds and sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.network.collectives import Links
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients

__all__ = ["Shard", "links_of", "shard_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shard:
    """Sizes on the fullest pipeline stage.

    Attributes
    ----------
    tokens : array
        Tokens of one micro-batch on one chip.
    micro_batches : array
        Micro-batches of one step on one data-parallel rank.
    layers, moe_layers : array
        Layers of the fullest stage, and how many of them (on average) are mixtures of experts.
    dense_params, expert_params : array
        Parameters on one chip of the fullest stage, before ZeRO: those that all data-parallel
        ranks share, and those of its experts.
    """

    tokens: Array
    micro_batches: Array
    layers: Array
    moe_layers: Array
    dense_params: Array
    expert_params: Array


def shard_of(models: ModelArrays, plans: Plans, global_batch: Array) -> Shard:
    """Split a model and its batch by a plan.

    A data-parallel rank takes ``ceil(global_batch / dp)`` sequences, the last micro-batch of it
    may be part full and costs a whole one; a stage takes ``vpp * ceil(layers / (pp * vpp))``
    layers. The input and output embeddings sit on the first and last stage.
    """
    sequences = np.ceil(global_batch / plans.dp)
    layers = plans.vpp * np.ceil(models.layers / (plans.pp * plans.vpp))
    moe_share = models.moe_layers / models.layers
    mlp = models.mlp_matrices * models.hidden * models.ffn_hidden
    expert = models.mlp_matrices * models.hidden * models.expert_ffn_hidden
    dense_layer = (
        models.attention_params
        + (1.0 - moe_share) * mlp
        + moe_share * models.shared_experts * expert
        + models.other_params / models.layers
    ) / plans.tp + moe_share * models.hidden * models.n_experts
    tables = np.where(plans.pp > 1, 1.0, 2.0 - models.tied)
    return Shard(
        tokens=plans.micro_batch * models.seq_len / plans.cp,
        micro_batches=np.ceil(sequences / plans.micro_batch),
        layers=layers,
        moe_layers=layers * moe_share,
        dense_params=layers * dense_layer + tables * models.vocab * models.hidden / plans.tp,
        expert_params=layers * moe_share * models.n_experts * expert / (plans.tp * plans.ep),
    )


def links_of(chips: AcceleratorArrays, coefficients: Coefficients) -> Links:
    """Return the links of some chips with their efficiencies applied."""
    efficiency = np.where(chips.mesh, coefficients.mesh_efficiency, coefficients.scaleup_efficiency)
    return Links(
        scaleup_Bps=chips.scaleup_Bps * efficiency,
        nic_Bps=chips.nic_Bps * coefficients.nic_efficiency,
        scaleup_size=chips.scaleup_size,
        mesh=chips.mesh,
        mesh_peers=chips.mesh_peers,
        scaleup_latency_s=coefficients.scaleup_latency_s,
        nic_latency_s=coefficients.nic_latency_s,
    )
