"""Throughput and latency of serving instances from the times of their passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.settings import Settings
from clustersim.inference.step import PassTime, pass_seconds

__all__ = ["Service", "memory_batch", "serve"]

USED = 0.9
"""Share of a chip's memory that engines use (``gpu_memory_utilization`` of vLLM)."""
RESERVED = 3e9
"""Bytes for activations, graphs and communication."""
HELD = 0.5
"""Mean share of the output that a running sequence holds in the cache."""


@dataclass(frozen=True, slots=True)
class Service:
    """Throughput and latency per replica of ``tp x pp`` chips.

    Attributes
    ----------
    batch : array
        Sequences that are decoded at once.
    prefill_s : array
        Seconds of the replica for the prefill of one request.
    first_s : array
        Seconds of the host for one request, one after another.
    decode_s : array
        Seconds of one decoding step.
    tokens : array
        Tokens that a sequence gains in one step.
    prefill, decode : PassTime
    """

    batch: Floats
    tail_s: Floats
    prefill_s: Floats
    first_s: Floats
    decode_s: Floats
    tokens: Floats
    prefill: PassTime
    decode: PassTime
    memory_batch: Floats


def memory_batch(settings: Settings) -> Floats:
    """Return how many sequences' caches fit into the memory of a replica (0 or more)."""
    models, plans = settings.models, settings.plans
    weights = models.weight_bytes * (
        models.dense_params / plans.tp + models.routed_params / plans.expert_chips
    )
    weights = (weights + models.embedding_bytes / plans.tp) / plans.pp
    free = USED * settings.chips.hbm_bytes - RESERVED - weights
    length = plans.input_len + HELD * plans.output_len
    split = np.minimum(plans.tp, models.kv_heads)
    windowed = np.minimum(models.windowed_layers, models.attention_layers)
    tokens = (models.attention_layers - windowed) * length
    tokens = tokens + windowed * np.minimum(length, np.where(windowed > 0, models.window, 0.0))
    linear = models.layers - models.attention_layers
    each = (tokens * models.token_bytes + linear * models.state_bytes) / split / plans.pp
    return np.maximum(free, 0.0) / each


def accepted_tokens(settings: Settings, c: Coefficients) -> Floats:
    """Return the tokens of a step with speculative decoding: accepted drafts and one more.

    With probability p for each draft token, if all before it were accepted, n draft tokens give
    ``(1 - p^(n + 1)) / (1 - p)`` (Leviathan et al. 2023, arXiv 2211.17192).
    """
    plans = settings.plans
    p = c.draft / (1.0 + c.draft)
    usual = (1.0 - p ** (plans.draft + 1.0)) / (1.0 - p)
    return np.where(np.isnan(plans.accepted), usual, plans.accepted)


def serve(settings: Settings, c: Coefficients, batch: Floats | None = None) -> Service:
    """Return throughput and latency of every row.

    Parameters
    ----------
    settings : Settings
    c : Coefficients
    batch : array, optional
        Sequences decoded at once (default: those in flight, as far as engine and memory allow).
    """
    models, plans = settings.models, settings.plans
    fits = np.maximum(memory_batch(settings), 1.0)
    if batch is None:
        asked = np.where(np.isnan(plans.batch), plans.sequences, plans.batch)
        batch = np.maximum(np.minimum(np.minimum(asked, plans.sequences), fits), 1.0 / plans.replicas)
    context = plans.input_len + HELD * plans.output_len
    part = batch / plans.pp
    step = pass_seconds(part * (1.0 + plans.draft), part, context, settings, c, decode=True)
    layers = models.layers
    draft_s = plans.draft * (step.total / layers + 0.5 * c.step_s)
    slow = plans.slower * np.where(np.isnan(plans.burst), 1.0, c.burst)
    decode_s = c.decode * slow * plans.pp * (step.total + draft_s)
    # A burst ends with its longest request: the fixed part of a step is paid until then.

    few = np.maximum(0.05 * np.nan_to_num(plans.burst, nan=1.0), 1.0 / plans.replicas)
    lone = pass_seconds(few, few, context, settings, c, decode=True)
    longer = np.where(plans.varied > 0, c.longest - 1.0, 0.0)
    tail_s = np.where(np.isnan(plans.burst), 0.0, c.decode * slow * plans.pp * lone.total * longer * plans.output_len / np.maximum(plans.burst, 1.0))
    waiting = np.where(np.isnan(plans.batch), plans.sequences, plans.batch) * plans.input_len
    chunk = np.maximum(np.minimum(plans.chunk_tokens, waiting), 1.0)
    chunk = np.where(plans.input_len < plans.chunk_tokens, np.maximum(chunk, plans.input_len), chunk)
    begin = plans.input_len / 2.0
    first = pass_seconds(chunk, chunk / plans.input_len, begin, settings, c, decode=False)
    prefill_s = c.prefill * slow * first.total * plans.input_len / chunk / plans.pp
    return Service(
        batch, tail_s, prefill_s, c.request_s, decode_s, accepted_tokens(settings, c), first, step, fits
    )
