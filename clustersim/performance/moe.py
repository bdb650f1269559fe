"""Mixture of experts: grouped products, and the exchange of tokens between ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_to_all_seconds,
    reduce_scatter_seconds,
)
from clustersim.network.corners import larger
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.matmul import matmul_seconds
from clustersim.performance.rates import Rates

__all__ = ["expert_exchange_seconds", "expert_seconds"]

Array = NDArray[np.float64]


def expert_seconds(
    tokens: Array, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Array:
    """Router, routed experts and shared experts of one layer, forward.

    A rank holds ``1 / etp`` of the columns of ``n_experts / ep`` experts, and computes for the
    tokens of ``ep etp`` ranks, of which each has ``tokens / tp`` of its own: ``tokens top_k etp /
    tp`` rows in all, divided among its experts, times the imbalance of the fullest rank. `expert_s`
    is the time of launches that a small expert's work does not cover. Router and top-k after
    Shazeer et al. 2017 (arXiv 1701.06538).
    """
    experts, etp = np.maximum(models.n_experts, 1.0), plans.expert_tp
    width = models.expert_ffn_hidden / etp
    local_experts = experts / plans.ep
    share = tokens * models.top_k / local_experts * coefficients.expert_imbalance
    rows = larger(share * (etp / plans.tp), 1.0, coefficients.corner)
    up = (models.mlp_matrices - 1.0) * width
    one = matmul_seconds(rows, up, models.hidden, rates, coefficients)
    one = one + matmul_seconds(rows, models.hidden, width, rates, coefficients)
    routed = local_experts * (coefficients.grouped_slowdown * one + coefficients.expert_s)
    shared_width = models.shared_experts * models.expert_ffn_hidden / plans.tp
    shared_up = (models.mlp_matrices - 1.0) * shared_width
    shared = matmul_seconds(tokens, shared_up, models.hidden, rates, coefficients)
    shared = shared + matmul_seconds(tokens, models.hidden, shared_width, rates, coefficients)
    router = matmul_seconds(tokens, experts, models.hidden, rates, coefficients) / plans.tp
    some = np.where(models.shared_experts > 0, shared, 0.0)
    return np.where(models.n_experts > 0, routed + some + router, 0.0)


def expert_exchange_seconds(
    tokens: Array, models: ModelArrays, plans: Plans, links: Links
) -> Array:
    """Exchange of one layer, forward: tokens to their experts and back.

    Each rank sends ``tokens top_k hidden`` elements of 2 bytes each way (GShard, arXiv
    2006.16668), its share of them where tensor-parallel ranks split the sequence. The ranks are
    neighbours: experts are laid over tensor- and data-parallel ranks alike, those that split an
    expert next to each other. What the `etp` ranks of an expert received is gathered among them,
    and their partial sums are scattered (``MoEAlltoAllTokenDispatcher`` of Megatron-Core; MoE
    parallel folding, arXiv 2504.14960). With `ep` of 1 nothing is sent, and a token is gathered
    once and not for each of its experts (the all-gather dispatcher); where `tp` ranks split the
    experts like any other matrix that is in
    :func:`clustersim.performance.parallel.tensor_seconds`.
    """
    own, etp = 2.0 * tokens * models.hidden / plans.tp, plans.expert_tp
    seconds = 2.0 * all_to_all_seconds(own * models.top_k, plans.ep, etp, links)
    gathered = (etp > 1) & ((plans.ep > 1) | (etp != plans.tp))
    if np.any(gathered):
        size, one = own * etp * np.where(plans.ep > 1, models.top_k, 1.0), np.ones(())
        both = all_gather_seconds(size, etp, one, links)
        both = both + reduce_scatter_seconds(size, etp, one, links)
        seconds = seconds + np.where(gathered, both, 0.0)
    return seconds
