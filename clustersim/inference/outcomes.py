"""The measures of a table: what a row's value would be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Floats
from clustersim.inference.settings import Settings
from clustersim.inference.throughput import Service

__all__ = ["LANGUAGE_MEASURES", "MEASURES", "PHASES", "language_values"]

LANGUAGE_MEASURES = (
    *("output tokens/s/chip", "prefill tokens/s/chip", "total tokens/s/chip"),
    *("TPOT ms", "TTFT ms", "samples/s/chip"),
)
MEASURES = (*LANGUAGE_MEASURES, "seconds/video", "seconds/image", "images/s/chip")
PHASES = ("prefill", "decode", "both", "offline")


def language_values(
    measures: Sequence[str],
    phases: Sequence[str],
    devices: Floats,
    service: Service,
    settings: Settings,
) -> Floats:
    """Return the value of each row's own measure.

    Parameters
    ----------
    measures, phases : sequence of str
        From :data:`LANGUAGE_MEASURES` and :data:`PHASES`.
    devices : array
        Devices of one chip of the table; 2 for the dies of a 910C.
    service : Service
    settings : Settings
    """
    plans = settings.plans
    chips = plans.tp * plans.pp / devices
    measure, phase = np.asarray(measures), np.asarray(phases)
    alone = phase == "decode"
    decoded = np.where(
        alone,
        service.batch * service.tokens / service.decode_s,
        plans.output_len / service.request_s,
    )
    # By Little's law, a batch gains a token in the time of its requests, divided by their length.
    token_s = np.where(
        alone,
        service.decode_s / service.tokens,
        service.batch * service.request_s / plans.output_len,
    )
    # A batch that is prefilled at once, a burst that is served in turn, or, in the long run, the
    # prefill of another request with the probability that one is under way, and one step.
    waiting = np.where(np.isnan(plans.batch), 1.0, np.maximum(plans.batch, 1.0))
    in_turn = np.where(np.isnan(plans.burst), 1.0, (waiting + 1.0) / 2.0) * service.prefill_s
    busy = np.minimum(service.prefill_s / service.request_s, 1.0) * service.prefill_s
    steady = in_turn + np.where(np.isnan(plans.burst), busy + service.decode_s, 0.0)
    first_s = np.where(phase == "prefill", waiting * service.prefill_s, steady)
    return np.select(
        [measure == name for name in LANGUAGE_MEASURES],
        [
            decoded / chips,
            plans.input_len / service.prefill_s / chips,
            (plans.input_len + plans.output_len) / service.request_s / chips,
            1e3 * token_s,
            1e3 * first_s,
            1.0 / service.request_s / chips,
        ],
        np.nan,
    )
