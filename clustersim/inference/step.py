"""Time of one pass of a model over a batch: of a prefill chunk or of a decoding step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.settings import Models, Settings
from clustersim.network.collectives import all_reduce_seconds, token_exchange

__all__ = ["PassTime", "attended", "expert_share", "pass_seconds"]

CORNER = 3.0
"""Exponent of the smooth maximum of compute and memory time."""
ACTIVATION = 2.0
"""Bytes of an activation."""


@dataclass(frozen=True, slots=True)
class PassTime:
    """Seconds of one pass, by what takes them.

    `weights` and `cache` are memory time, `products` and `scores` compute time; `work` is the
    smooth maximum of memory and compute by part; `network` is communication, and `host` launches.
    """

    weights: Floats
    products: Floats
    cache: Floats
    scores: Floats
    work: Floats
    network: Floats
    host: Floats

    @property
    def total(self) -> Floats:
        """Seconds of the pass."""
        return self.work + self.network + self.host


def expert_share(tokens: Floats, models: Models) -> Floats:
    """Return the expected share of a layer's experts that a batch of tokens needs.

    Each token chooses `top_k` of `n_experts`; all miss an expert with the probability ``(1 - top_k
    / n_experts)^tokens``. A dense model counts as one expert that every token needs.
    """
    missed = np.maximum(1.0 - models.top_k / models.n_experts, 0.0)
    return np.asarray(1.0 - missed**tokens)


def attended(context: Floats, models: Models, *, sparse: bool = True) -> Floats:
    """Return the tokens that a query attends to, summed over all layers with a growing cache.

    Parameters
    ----------
    context : array
        Tokens before the query.
    models : Models
    sparse : bool
        Whether sparse attention leaves tokens out; otherwise the tokens that the cache holds.
    """
    limited = sparse & (models.sparse_tokens > 0)
    whole = np.where(limited, np.minimum(context, models.sparse_tokens), context)
    windowed = np.minimum(models.windowed_layers, models.attention_layers)
    inside = np.where(windowed > 0, np.minimum(context, models.window), 0.0)
    return np.asarray((models.attention_layers - windowed) * whole + windowed * inside)


def pass_seconds(
    tokens: Floats,
    sequences: Floats,
    context: Floats,
    settings: Settings,
    c: Coefficients,
    *,
    decode: bool,
) -> PassTime:
    """Return the time of one pass of all layers.

    Parameters
    ----------
    tokens, sequences : array
        Tokens and sequences of the pass, in each replica of attention.
    context : array
        Mean number of tokens before a token of the pass.
    settings : Settings
    c : Coefficients
    decode : bool
        Whether queries read the cache (and, with MLA, meet the compressed keys).
    """
    models = settings.models
    products, weights = _product_seconds(tokens, settings, c)
    cache, scores = _attention_seconds(tokens, sequences, context, settings, c, decode=decode)
    work = sum(_larger(f, r) for f, r in zip(products, weights, strict=True))
    work = np.asarray(work + _larger(cache, scores))
    return PassTime(
        weights=weights[0] + weights[1],
        products=products[0] + products[1],
        cache=cache,
        scores=scores,
        work=work,
        network=_network_seconds(tokens, work, settings, c),
        host=c.step_s
        + c.sequence_s * sequences
        + c.layer_s * models.layers
        + c.mixture_s * models.moe_layers,
    )


Pair = tuple[Floats, Floats]
"""Seconds of the dense part of a model, and of its experts."""


def _product_seconds(tokens: Floats, settings: Settings, c: Coefficients) -> tuple[Pair, Pair]:
    """Return the times to multiply and to read the weights."""
    chips, models, plans = settings.chips, settings.models, settings.plans
    rate, stream = chips.product_flops * c.product, chips.stream_Bps * c.weight_read
    slower = c.narrow**-chips.narrow
    dense = models.dense_params / plans.tp
    dense_s = (1.0 + (slower - 1.0) * chips.balance) * 2.0 * tokens * dense / rate
    every = tokens * plans.replicas
    whole = plans.distributed > 0
    load = np.where(whole & (plans.balanced == 0), c.imbalance, 1.0)
    split = np.where(
        whole, np.maximum(plans.expert_chips / models.n_experts, 1.0), plans.expert_chips
    )
    share = models.top_k / models.n_experts
    used = expert_share(every, models)
    rows = np.maximum(every, 1e-9) * share / np.maximum(used, 1e-12)
    tiles = (1.0 + c.narrow_expert * split / models.expert_width) * (1.0 + c.few_rows / rows)
    grouped = 1.0 + (c.grouped * tiles * slower - 1.0) * chips.balance
    routed = models.routed_params / plans.expert_chips
    routed_s = grouped * load * 2.0 * every * share * routed / rate
    read = models.weight_bytes / stream
    return (dense_s, routed_s), (dense * read, used * routed * read)


def _attention_seconds(
    tokens: Floats,
    sequences: Floats,
    context: Floats,
    settings: Settings,
    c: Coefficients,
    *,
    decode: bool,
) -> tuple[Floats, Floats]:
    """Return the times to read the cache and to compute scores and values."""
    chips, models, plans = settings.chips, settings.models, settings.plans
    pairs = tokens * attended(context, models) / plans.tp
    if not decode:
        rate = chips.attention_flops * c.attention
        return np.zeros_like(pairs), 2.0 * pairs * models.prefill_width / rate
    # The state of linear attention is read and written; a cache is only read.
    states = 2.0 * (models.layers - models.attention_layers) * models.state_bytes
    held = attended(context, models) * models.token_bytes + states
    split = np.minimum(plans.tp, models.kv_heads)
    cache = sequences * held / split / (chips.stream_Bps * c.cache_read)
    rate = chips.attention_flops * np.where(models.absorbed > 0, c.absorbed, 1.0)
    return cache, 2.0 * pairs * models.decode_width / rate


def _network_seconds(tokens: Floats, work: Floats, settings: Settings, c: Coefficients) -> Floats:
    """Return the time of communication in all layers.

    Tensor parallelism sums the activations twice a layer. If the experts are shared by several
    replicas of attention, tokens travel to their experts and back instead of the second sum.
    """
    models, plans, links = settings.models, settings.plans, settings.chips.links
    size = tokens * models.hidden * ACTIVATION
    one = np.ones_like(size)
    start = all_reduce_seconds(one, plans.tp, one, links)
    moved = np.maximum(all_reduce_seconds(size, plans.tp, one, links) - start, 0.0)
    reduced = np.where(plans.tp > 1, c.start_up * start + c.collective * moved, 0.0)
    shared = plans.replicas > 1
    sums = np.where(shared, models.layers, 2.0 * models.layers)
    copies = np.minimum(models.top_k, plans.expert_chips)
    there = token_exchange(size / plans.tp, copies, plans.expert_chips, one, links).seconds(links)
    exchanged = np.where(shared, 1.5 * there * models.moe_layers, 0.0)
    exchanged = c.exchange * exchanged
    behind = np.minimum(c.hidden, 1.0) * np.minimum(exchanged, work)
    return np.asarray(sums * reduced + exchanged - behind)


def _larger(first: Floats, second: Floats) -> Floats:
    """Return a smooth maximum, at most 26 % above the larger value."""
    big = np.maximum(first, second)
    small = np.minimum(first, second)
    ratio = small / np.maximum(big, 1e-300)
    return big * (1.0 + ratio**CORNER) ** (1.0 / CORNER)
