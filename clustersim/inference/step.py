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

    Each token chooses `top_k` of `n_experts`; an expert is missed by all with the probability
    ``(1 - top_k / n_experts)^tokens``.

    Examples
    --------
    A dense model has one expert, which every token needs; see ``tests/inference``.
    """
    return 1.0 - np.maximum(1.0 - models.top_k / models.n_experts, 0.0) ** tokens


def attended(context: Floats, models: Models) -> Floats:
    """Return the tokens that a query attends to, summed over all layers with a growing cache."""
    most = np.where(models.sparse_tokens > 0, models.sparse_tokens, np.inf)
    whole = np.minimum(context, most)
    windowed = np.minimum(models.windowed_layers, models.attention_layers)
    inside = np.where(windowed > 0, np.minimum(context, models.window), 0.0)
    return (models.attention_layers - windowed) * whole + windowed * inside


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
    chips, models, plans = settings.chips, settings.models, settings.plans
    rate = chips.product_flops * c.product
    slower = c.narrow**-chips.narrow
    stream = chips.stream_Bps * c.weight_read
    dense_flops = (1.0 + (slower - 1.0) * chips.balance) * 2.0 * tokens * models.dense_params / plans.tp / rate
    dense_read = models.dense_params * models.weight_bytes / plans.tp / stream
    every = tokens * plans.replicas
    load = np.where((plans.distributed > 0) & (plans.balanced == 0), c.imbalance, 1.0)
    share = models.top_k / models.n_experts
    routed = models.routed_params / plans.expert_chips
    split = np.where(plans.distributed > 0, np.maximum(plans.expert_chips / models.n_experts, 1.0), plans.expert_chips)
    tiles = 1.0 + c.narrow_expert * split / models.expert_width
    grouped = 1.0 + (c.grouped * tiles * slower - 1.0) * chips.balance
    routed_flops = grouped * load * 2.0 * every * share * routed / rate
    routed_read = expert_share(every, models) * routed * models.weight_bytes / stream
    pairs = tokens * attended(context, models) / plans.tp
    if decode:
        split = np.minimum(plans.tp, models.kv_heads)
        linear = models.layers - models.attention_layers
        held = attended(context, models) * models.token_bytes + 2.0 * linear * models.state_bytes
        cache = sequences * held / split / (chips.stream_Bps * c.cache_read)
        speed = chips.attention_flops * np.where(models.absorbed > 0, c.absorbed, 1.0)
        scores = 2.0 * pairs * models.decode_width / speed
    else:
        cache = np.zeros_like(pairs)
        scores = 2.0 * pairs * models.prefill_width / (chips.attention_flops * c.attention)
    work = (
        _larger(dense_flops, dense_read)
        + _larger(routed_flops, routed_read)
        + _larger(cache, scores)
    )
    return PassTime(
        weights=dense_read + routed_read,
        products=dense_flops + routed_flops,
        cache=cache,
        scores=scores,
        work=work,
        network=_network_seconds(tokens, work, settings, c),
        host=c.step_s + c.sequence_s * sequences + c.layer_s * models.layers + c.mixture_s * models.moe_layers,
    )


def _network_seconds(tokens: Floats, work: Floats, settings: Settings, c: Coefficients) -> Floats:
    """Return the time of communication in all layers.

    Tensor parallelism sums the activations twice a layer. If the experts are shared by several
    replicas of attention, tokens travel to their experts and back instead of the second sum.
    """
    models, plans, links = settings.models, settings.plans, settings.chips.links
    size = tokens * models.hidden * ACTIVATION
    one = np.ones_like(size)
    reduced = np.where(plans.tp > 1, all_reduce_seconds(size, plans.tp, one, links), 0.0)
    shared = plans.replicas > 1
    sums = np.where(shared, models.layers, 2.0 * models.layers)
    copies = np.minimum(models.top_k, plans.expert_chips)
    there = token_exchange(size / plans.tp, copies, plans.expert_chips, one, links).seconds(links)
    exchanged = np.where(shared, 1.5 * there * models.moe_layers, 0.0)
    exchanged = c.exchange * exchanged
    behind = np.minimum(c.hidden, 1.0) * np.minimum(exchanged, work)
    return c.collective * sums * reduced + exchanged - behind


def _larger(first: Floats, second: Floats) -> Floats:
    """Return a smooth maximum, at most 26 % above the larger value."""
    big = np.maximum(first, second)
    small = np.minimum(first, second)
    ratio = small / np.maximum(big, 1e-300)
    return big * (1.0 + ratio**CORNER) ** (1.0 / CORNER)
