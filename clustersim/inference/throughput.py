"""Throughput and latency of serving instances from the times of their passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.settings import Settings
from clustersim.inference.step import PassTime, attended, pass_seconds

__all__ = ["Service", "accepted_tokens", "batch_for_tpot", "memory_batch", "serve"]

USED = 0.9
"""Share of a chip's memory that engines use (``gpu_memory_utilization`` of vLLM)."""
RESERVED = 3e9
"""Bytes for activations, captured graphs and communication."""
HELD = 0.5
"""Mean share of its output that a running sequence holds in the cache."""
TAIL = 0.05
"""Share of a burst of requests that still runs while the longest outputs are finished."""
DRAFT_HOST = 0.5
"""Host time of one draft over that of a step."""
NODE = 8.0
"""Replicas of attention on this many chips share one front end."""
MOST_BATCH = 1e5
GRID = 150


@dataclass(frozen=True, slots=True)
class Service:
    """Throughput and latency of one replica of ``tp x pp`` chips.

    Attributes
    ----------
    batch : array
        Sequences that are decoded at once.
    memory_batch : array
        Sequences whose caches fit into memory; 0 if the weights do not fit.
    tokens : array
        Tokens that a sequence gains in one step.
    prefill_s : array
        Seconds of the replica for the prefill of one request, with its time on the host.
    decode_s : array
        Seconds of one decoding step.
    request_s : array
        Seconds of the replica for one whole request.
    prefill, decode : PassTime
        Parts of the two passes.
    """

    batch: Floats
    memory_batch: Floats
    tokens: Floats
    prefill_s: Floats
    decode_s: Floats
    request_s: Floats
    prefill: PassTime
    decode: PassTime


def memory_batch(settings: Settings) -> Floats:
    """Return how many sequences' caches fit into the memory of a replica; 0 or more."""
    models, plans = settings.models, settings.plans
    weights = models.weight_bytes * (
        models.dense_params / plans.tp + models.routed_params / plans.expert_chips
    )
    weights = (weights + models.embedding_bytes / plans.tp) / plans.pp
    free = USED * settings.chips.hbm_bytes - RESERVED - weights
    length = plans.input_len + HELD * plans.output_len
    # Sparse attention reads a part of the cache, but memory holds all of it.
    held = attended(length, models, sparse=False) * models.token_bytes
    states = (models.layers - models.attention_layers) * models.state_bytes
    split = np.minimum(plans.tp, models.kv_heads)
    return np.maximum(free, 0.0) / ((held + states) / split / plans.pp)


def accepted_tokens(settings: Settings, c: Coefficients) -> Floats:
    """Return the tokens of a step with speculative decoding: accepted drafts and one more.

    If each draft token is accepted with probability p after all before it were, n draft tokens give
    ``(1 - p^(n + 1)) / (1 - p)`` (Leviathan et al. 2023, arXiv 2211.17192).
    """
    plans = settings.plans
    p = c.draft / (1.0 + c.draft)
    usual = (1.0 - p ** (plans.draft + 1.0)) / (1.0 - p)
    return np.where(np.isnan(plans.accepted), usual, plans.accepted)


def serve(settings: Settings, c: Coefficients, batch: Floats | None = None) -> Service:
    """Return throughput and latency of every row.

    A replica serves requests one after another in the long run, so what counts is the time that it
    spends on each: its prefill, and its share of the decoding steps.

    Parameters
    ----------
    settings : Settings
    c : Coefficients
    batch : array, optional
        Sequences decoded at once (default: those in flight, as far as engine and memory allow).
    """
    plans = settings.plans
    fits = memory_batch(settings)
    if batch is None:
        asked = np.where(np.isnan(plans.batch), plans.sequences, plans.batch)
        batch = np.minimum(np.minimum(asked, plans.sequences), np.maximum(fits, 1.0))
        batch = np.maximum(batch, 1.0 / plans.replicas)
    tokens = accepted_tokens(settings, c)
    slower = _slower(settings, c)
    pace = c.decode * slower
    step, decode_s = _step(settings, c, batch)
    chunk_pass, prefill_s = _prefill(settings, c)
    prefill_s = c.prefill * slower * prefill_s
    beside = np.minimum(plans.replicas, np.maximum(NODE / plans.tp, 1.0))
    prefill_s = prefill_s + c.request_s * beside
    decoding = plans.output_len * pace * decode_s / (batch * tokens)
    saved = np.minimum(c.overlap, 1.0) * np.minimum(prefill_s, decoding)
    request_s = prefill_s + decoding - saved + pace * _tail(settings, c) / tokens
    return Service(batch, fits, tokens, prefill_s, pace * decode_s, request_s, chunk_pass, step)


def _slower(settings: Settings, c: Coefficients) -> Floats:
    """Return the factor of time by the kind of run and of deployment."""
    plans = settings.plans
    burst = np.where(np.isnan(plans.burst), 1.0, c.burst)
    return plans.slower * burst * np.where(plans.tuned > 0, c.tuned, 1.0)


def _step(settings: Settings, c: Coefficients, batch: Floats) -> tuple[PassTime, Floats]:
    """Return one decoding step and its seconds with drafts, before the fitted factors.

    With pipeline stages, as many parts of the batch are under way, each in another stage. Every
    part gains a token in the time of one part in all stages.
    """
    plans = settings.plans
    part = batch / plans.pp
    context = plans.input_len + HELD * plans.output_len
    step = pass_seconds(part * (1.0 + plans.draft), part, context, settings, c, decode=True)
    draft_s = plans.draft * (step.total / settings.models.layers + DRAFT_HOST * c.step_s)
    return step, step.total + draft_s


def _prefill(settings: Settings, c: Coefficients) -> tuple[PassTime, Floats]:
    """Return the pass of one chunk, and the seconds of a request, before the fitted factors."""
    plans = settings.plans
    waiting = np.where(np.isnan(plans.batch), plans.sequences, plans.batch) * plans.input_len
    chunk = np.minimum(plans.chunk_tokens, np.maximum(waiting, plans.input_len))
    one = pass_seconds(
        chunk, chunk / plans.input_len, plans.input_len / 2.0, settings, c, decode=False
    )
    return one, one.total * plans.input_len / chunk / plans.pp


def _tail(settings: Settings, c: Coefficients) -> Floats:
    """Return the seconds that the longest outputs of a burst add to each of its requests.

    While the last requests of a burst finish, a step decodes only a few sequences.
    """
    plans = settings.plans
    burst = np.where(np.isnan(plans.burst), 1.0, np.maximum(plans.burst, 1.0))
    few = np.maximum(TAIL * burst, 1.0 / plans.replicas)
    step, _ = _step(settings, c, few)
    steps = np.maximum(c.longest - 1.0, 0.0) * plans.output_len
    applies = (plans.varied > 0) & ~np.isnan(plans.burst)
    return np.where(applies, steps * step.total / burst, 0.0)


def batch_for_tpot(settings: Settings, c: Coefficients, tpot_s: Floats) -> Floats:
    """Return the largest batch whose time per output token is at most `tpot_s`.

    A step takes longer with every sequence, so the batch is interpolated on a grid (in logarithms,
    with 8 % between its points).

    Returns
    -------
    array
        Sequences of a replica, limited by the memory; 0 if one sequence takes longer.
    """
    least = 1.0 / settings.plans.replicas
    grid = np.linspace(np.zeros_like(least), np.log(MOST_BATCH / least), GRID)
    batches = least * np.exp(grid)
    _, seconds = _step(settings, c, batches)
    pace = c.decode * _slower(settings, c)
    late = np.log(pace * seconds / accepted_tokens(settings, c)) - np.log(tpot_s)
    above = np.argmax(late > 0, axis=0)
    above = np.where(np.any(late > 0, axis=0), above, GRID - 1)
    rows = np.arange(len(least))
    below = np.maximum(above - 1, 0)
    first, second = late[below, rows], late[above, rows]
    share = np.clip(-first / np.where(second > first, second - first, 1.0), 0.0, 1.0)
    found = np.exp(grid[below, rows] + share * (grid[above, rows] - grid[below, rows])) * least
    fits = memory_batch(settings)
    return np.where(late[0] > 0, 0.0, np.minimum(found, fits))
