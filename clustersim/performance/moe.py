"""Mixture of experts: grouped products, and the exchange of tokens between ranks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import (
    Links,
    Transfer,
    all_gather,
    all_to_all,
    token_exchange,
)
from clustersim.network.corners import larger
from clustersim.performance.arrays import DISPATCHERS, ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.matmul import matmul_seconds
from clustersim.performance.rates import Rates

__all__ = ["Exchange", "exchange_of", "expert_exchange_seconds", "expert_seconds"]


ALL_GATHER = float(DISPATCHERS.index("allgather"))
ONCE_PER_DOMAIN = float(DISPATCHERS.index("deepep"))


def expert_seconds(
    tokens: Floats, models: ModelArrays, plans: Plans, rates: Rates, coefficients: Coefficients
) -> Floats:
    """Return the forward time of one layer's router, routed experts and shared experts in seconds.

    A rank holds ``1 / etp`` of the columns of ``n_experts / ep`` experts. It processes the tokens
    of ``ep etp`` ranks, each of which has ``tokens / tp`` tokens. These are ``tokens top_k etp /
    tp`` rows in total. They are divided among its experts and multiplied by the imbalance of the
    most loaded rank. `expert_s` is the launch time that the work of a small expert does not hide.
    Router and top-k follow Shazeer et al. 2017 (arXiv 1701.06538).
    """
    experts, etp = np.maximum(models.n_experts, 1.0), plans.expert_tp
    width = models.expert_ffn_hidden / etp
    local_experts = experts / plans.ep
    share = tokens * models.top_k / local_experts * coefficients.expert_imbalance
    rows = larger(share * (etp / plans.tp), 1.0, coefficients.corner)
    up = (models.mlp_matrices - 1.0) * width
    one = matmul_seconds(rows, up, models.hidden, rates, coefficients, grouped=True)
    one = one + matmul_seconds(rows, models.hidden, width, rates, coefficients, grouped=True)
    routed = local_experts * (one + coefficients.expert_s)
    shared_width = models.shared_experts * models.expert_ffn_hidden / plans.tp
    shared_up = (models.mlp_matrices - 1.0) * shared_width
    shared = matmul_seconds(tokens, shared_up, models.hidden, rates, coefficients)
    shared = shared + matmul_seconds(tokens, models.hidden, shared_width, rates, coefficients)
    router = matmul_seconds(tokens, experts, models.hidden, rates, coefficients) / plans.tp
    some = np.where(models.shared_experts > 0, shared, 0.0)
    return np.where(models.n_experts > 0, routed + some + router, 0.0)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Transfers of one layer's token exchange in the forward pass, each there and back.

    Attributes
    ----------
    plain : Transfer
        All-to-all among the `ep` ranks.
    plain_links : Links
        Links with the share of the bandwidth that `plain` reaches.
    once, whole : Transfer or None
        What replaces `plain` with the dispatchers ``deepep`` and ``allgather``; None if no plan has
        the dispatcher.
    is_once, is_whole : array of bool
        The plans for which they do.
    split : Transfer or None
        All-gather among the ranks of an expert; None if no plan needs it.
    is_split : array of bool
        The plans that need it.
    """

    plain: Transfer
    plain_links: Links
    once: Transfer | None
    is_once: Bools
    whole: Transfer | None
    is_whole: Bools
    split: Transfer | None
    is_split: Bools


def exchange_of(
    tokens: Floats,
    models: ModelArrays,
    plans: Plans,
    links: Links,
    coefficients: Coefficients,
) -> Exchange:
    """Return the transfers of one layer's token exchange: to the experts and back.

    With a plain all-to-all, each rank sends ``tokens top_k hidden`` elements of 2 bytes each way
    (GShard, arXiv 2006.16668), or its share of them if tensor-parallel ranks split the sequence;
    `exchange_factor` is the share of the network bandwidth that it reaches. With the dispatcher
    ``deepep``, a token is sent once to each scale-up domain
    (:func:`clustersim.network.collectives.token_exchange`). With ``allgather``, all tokens are
    gathered on all ranks, and partial sums are reduced and scattered.

    The ranks are neighbours: experts are spread over tensor- and data-parallel ranks alike, and the
    ranks that split an expert are adjacent. The `etp` ranks of an expert gather the tokens that
    each of them received, and their partial sums are reduced and scattered
    (``MoEAlltoAllTokenDispatcher`` of Megatron-Core; MoE parallel folding, arXiv 2504.14960). With
    an `ep` of 1, no tokens are exchanged, and a token is gathered only once, not once for each of
    its experts (the all-gather dispatcher). If `tp` ranks split the experts like any other matrix,
    the communication is part of :func:`clustersim.performance.parallel.tensor_transfer`.
    """
    own, etp = 2.0 * tokens * models.hidden / plans.tp, plans.expert_tp
    way = np.where(plans.dispatcher > 0, plans.dispatcher, coefficients.dispatcher)
    is_once, is_whole = way == ONCE_PER_DOMAIN, way == ALL_GATHER
    once = whole = split = None
    if np.any(is_once):
        once = token_exchange(own, models.top_k, plans.ep, etp, links)
    if np.any(is_whole):
        whole = all_gather(own * plans.ep, plans.ep, etp, links)
    is_split = (etp > 1) & ((plans.ep > 1) | (etp != plans.tp))
    if np.any(is_split):
        copies = np.where(is_whole, plans.ep, models.top_k)
        size = own * etp * np.where(plans.ep > 1, copies, 1.0)
        split = all_gather(size, etp, np.ones(()), links)
    return Exchange(
        plain=all_to_all(own * models.top_k, plans.ep, etp, links),
        plain_links=dataclasses.replace(
            links, nic_Bps=links.nic_Bps * coefficients.exchange_factor
        ),
        once=once,
        is_once=is_once,
        whole=whole,
        is_whole=is_whole,
        split=split,
        is_split=is_split,
    )


def expert_exchange_seconds(
    tokens: Floats,
    models: ModelArrays,
    plans: Plans,
    links: Links,
    coefficients: Coefficients,
) -> Floats:
    """Return the forward time in seconds of one layer's token exchange (:func:`exchange_of`)."""
    exchange = exchange_of(tokens, models, plans, links, coefficients)
    seconds = 2.0 * exchange.plain.seconds(exchange.plain_links)
    if exchange.once is not None:
        seconds = np.where(exchange.is_once, 2.0 * exchange.once.seconds(links), seconds)
    if exchange.whole is not None:
        seconds = np.where(exchange.is_whole, 2.0 * exchange.whole.seconds(links), seconds)
    if exchange.split is not None:
        both = 2.0 * exchange.split.seconds(links)
        seconds = seconds + np.where(exchange.is_split, both, 0.0)
    return seconds
