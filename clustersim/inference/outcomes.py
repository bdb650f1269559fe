"""What a row measures, from throughput and latency of its instance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Floats
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.settings import Settings
from clustersim.inference.throughput import Service

__all__ = ["outcome", "request_share"]

NODE = 8.0


def request_share(service: Service, settings: Settings, c: Coefficients) -> tuple[Floats, Floats]:
    """Return the seconds of a replica for the prefill of one request, and for all of it.

    A mixed step reads the weights once for prefill and decoding, and saves a share of the shorter.
    """
    plans = settings.plans
    beside = np.minimum(plans.replicas, np.maximum(NODE / plans.tp, 1.0))
    prefill = service.prefill_s + service.first_s * beside
    decode = plans.output_len * service.decode_s / (service.batch * service.tokens)
    whole = prefill + decode - np.minimum(c.overlap, 0.9) * np.minimum(prefill, decode) + service.tail_s
    return prefill, whole


def outcome(
    measures: Sequence[str],
    phases: Sequence[str],
    devices: Floats,
    beams: Floats,
    service: Service,
    settings: Settings,
    c: Coefficients,
) -> Floats:
    """Return the value of each row's own measure."""
    plans = settings.plans
    prefill, whole = request_share(service, settings, c)
    chips = plans.tp * plans.pp / devices
    kind, phase = np.asarray(measures), np.asarray(phases)
    waiting = np.where(np.isnan(plans.batch), 1.0, np.maximum(plans.batch, 1.0))
    alone = phase == "decode"
    decode_rate = service.batch * service.tokens / service.decode_s
    per_token = np.where(alone, service.decode_s / service.tokens, service.batch * whole / plans.output_len)
    first = np.where(phase == "prefill", waiting, (waiting + 1.0) / 2.0) * prefill
    return np.select(
        [
            kind == "output tokens/s/chip",
            kind == "prefill tokens/s/chip",
            kind == "total tokens/s/chip",
            kind == "TPOT ms",
            kind == "TTFT ms",
        ],
        [
            np.where(alone, decode_rate, plans.output_len / whole) / chips,
            plans.input_len / prefill / chips,
            (plans.input_len + plans.output_len) / whole / chips,
            1e3 * per_token,
            1e3 * first,
        ],
        1.0 / whole / chips,
    )
