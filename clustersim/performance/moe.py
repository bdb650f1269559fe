"""Mixture of experts: grouped products, and the exchange of tokens between ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.network.collectives import Links, all_to_all_seconds
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.matmul import matmul_seconds

__all__ = ["expert_exchange_seconds", "expert_seconds"]

Array = NDArray[np.float64]


def expert_seconds(
    tokens: Array,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    coefficients: Coefficients,
) -> Array:
    """Router, routed experts and shared experts of one layer, forward.

    A rank holds ``n_experts / ep`` experts and computes for the tokens of all `ep` ranks:
    ``tokens top_k`` rows in all, ``tokens top_k ep / n_experts`` to each of its experts (the rows
    of its grouped product), times the imbalance of the fullest rank. Router and top-k after
    Shazeer et al. 2017 (arXiv 1701.06538).
    """
    experts = np.maximum(models.n_experts, 1.0)
    width = models.expert_ffn_hidden / plans.tp
    params = models.mlp_matrices * models.hidden * width
    local_experts = experts / plans.ep
    rows = tokens * models.top_k / local_experts * coefficients.expert_imbalance
    routed = local_experts * matmul_seconds(rows, width, models.hidden, params, chips, coefficients)
    shared_params = models.shared_experts * params
    shared = matmul_seconds(tokens, width, models.hidden, shared_params, chips, coefficients)
    router_params = models.hidden * models.n_experts
    router = matmul_seconds(tokens, experts, models.hidden, router_params, chips, coefficients)
    return np.where(models.n_experts > 0, routed + shared + router / plans.tp, np.zeros(()))


def expert_exchange_seconds(
    tokens: Array, models: ModelArrays, plans: Plans, links: Links
) -> Array:
    """All-to-all of one layer, forward: tokens to their experts and back.

    Each rank sends ``tokens top_k hidden`` elements of 2 bytes each way (GShard, arXiv
    2006.16668), its share of them where tensor-parallel ranks split the sequence.
    """
    size = 2.0 * tokens * models.top_k * models.hidden / plans.tp
    return 2.0 * all_to_all_seconds(size, plans.ep, plans.tp * plans.cp, links)
