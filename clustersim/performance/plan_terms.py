"""Quantities that the rules about plans use."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans

__all__ = ["Terms", "kv_heads_fit", "kv_heads_of", "terms_of"]


@dataclass(frozen=True, slots=True)
class Terms:
    """All quantities that the rules use, one element per plan.

    `domain` is the size of a scale-up domain. `etp` is the given value or the default; it is 1 for
    a model without experts.
    """

    layers: Floats
    heads: Floats
    kv_heads: Floats
    seq_len: Floats
    causal: Floats
    n_experts: Floats
    top_k: Floats
    expert_ffn: Floats
    domain: Floats
    tp: Floats
    pp: Floats
    dp: Floats
    cp: Floats
    ep: Floats
    etp: Floats
    vpp: Floats
    micro_batch: Floats
    zero: Floats
    zero_group: Floats
    sequence_parallel: Floats
    recompute: Floats
    moe_recompute: Floats
    recompute_layers: Floats
    dispatcher: Floats
    batch: Floats

    @property
    def stage(self) -> Floats:
        """Chips per pipeline stage."""
        return self.tp * self.dp * self.cp

    @property
    def ranks(self) -> Floats:
        """Data-parallel ranks, including context-parallel ones."""
        return self.dp * self.cp

    @property
    def share(self) -> Floats:
        """Sequences per data-parallel rank; the entire batch if `dp` is unknown (0)."""
        return np.ceil(self.batch / np.maximum(self.dp, 1.0))

    @property
    def micro_batches(self) -> Floats:
        """Micro-batches per data-parallel rank."""
        return np.ceil(self.share / self.micro_batch)

    @property
    def stage_layers(self) -> Floats:
        """Layers of the fullest stage."""
        return np.ceil(self.layers / self.pp)

    def row(self, place: int) -> Terms:
        """Return the terms of one plan as plain floats."""
        return Terms(*(float(getattr(self, column.name)[place]) for column in fields(self)))  # type: ignore[arg-type]


def kv_heads_of(models: ModelArrays) -> Floats:
    """Return the number of key and value heads of each model."""
    heads: Floats = np.round(models.kv_width * models.heads / models.attention_width)
    return heads


def kv_heads_fit(kv_heads: Floats, tp: Floats) -> Bools:
    """Whether `tp` divides the key and value heads or is a multiple of them (heads are copied)."""
    fit: Bools = (np.mod(kv_heads, tp) == 0) | (np.mod(tp, kv_heads) == 0)
    return fit


def terms_of(
    models: ModelArrays, chips: AcceleratorArrays, plans: Plans, global_batch: Floats
) -> Terms:
    """Return the terms of the given plans, one element per plan."""
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
        *(plans.recompute, plans.moe_recompute, plans.recompute_layers, plans.dispatcher),
        np.asarray(global_batch, dtype=np.float64),
    )
    return Terms(*(np.atleast_1d(column) for column in np.broadcast_arrays(*columns)))
