"""The quantities that the rules about plans use."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans

__all__ = ["Terms", "kv_heads_fit", "kv_heads_of", "terms_of"]

Array = NDArray[np.float64]
"""A plain float where the terms describe one plan."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All quantities that the rules use, one element per plan.

    `domain` is the size of a scale-up domain. `etp` is the given or the default one, 1 without
    experts.
    """

    layers: Array
    heads: Array
    kv_heads: Array
    seq_len: Array
    causal: Array
    n_experts: Array
    top_k: Array
    expert_ffn: Array
    domain: Array
    tp: Array
    pp: Array
    dp: Array
    cp: Array
    ep: Array
    etp: Array
    vpp: Array
    micro_batch: Array
    zero: Array
    zero_group: Array
    sequence_parallel: Array
    recompute: Array
    moe_recompute: Array
    batch: Array

    @property
    def stage(self) -> Array:
        """Chips per pipeline stage."""
        return self.tp * self.dp * self.cp

    @property
    def ranks(self) -> Array:
        """Data-parallel ranks, including context-parallel ones."""
        return self.dp * self.cp

    @property
    def share(self) -> Array:
        """Sequences per data-parallel rank; the entire batch where `dp` is unknown (0)."""
        return np.ceil(self.batch / np.maximum(self.dp, 1.0))

    @property
    def micro_batches(self) -> Array:
        """Micro-batches per data-parallel rank."""
        return np.ceil(self.share / self.micro_batch)

    @property
    def stage_layers(self) -> Array:
        """Layers of the fullest stage."""
        return np.ceil(self.layers / self.pp)

    def row(self, place: int) -> Terms:
        """Return the terms of one plan as plain floats."""
        return Terms(*(float(getattr(self, column.name)[place]) for column in fields(self)))  # type: ignore[arg-type]


def kv_heads_of(models: ModelArrays) -> Array:
    """Return the numbers of key and value heads of some models."""
    heads: Array = np.round(models.kv_width * models.heads / models.attention_width)
    return heads


def kv_heads_fit(kv_heads: Array, tp: Array) -> NDArray[np.bool_]:
    """Whether `tp` divides the key and value heads, or is a multiple of them (they are copied)."""
    fit: NDArray[np.bool_] = (np.mod(kv_heads, tp) == 0) | (np.mod(tp, kv_heads) == 0)
    return fit


def terms_of(
    models: ModelArrays, chips: AcceleratorArrays, plans: Plans, global_batch: Array
) -> Terms:
    """Return the terms of some plans, one element per plan."""
    columns = (
        models.layers,
        models.heads,
        kv_heads_of(models),
        models.seq_len,
        (models.span < models.seq_len).astype(np.float64),
        models.n_experts,
        models.top_k,
        models.expert_ffn_hidden,
        chips.scaleup_size,
        *(plans.tp, plans.pp, plans.dp, plans.cp, plans.ep),
        np.where(models.n_experts > 0, plans.expert_tp, np.maximum(plans.etp, 1.0)),
        *(plans.vpp, plans.micro_batch, plans.zero, plans.zero_group, plans.sequence_parallel),
        *(plans.recompute, plans.moe_recompute),
        np.asarray(global_batch, dtype=np.float64),
    )
    return Terms(*(np.atleast_1d(column) for column in np.broadcast_arrays(*columns)))
