"""The throughput of one serving instance as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersim.text_table import table
from clustersim.units import format_count, format_duration, format_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clustersim.inference import ServingEstimate

__all__ = ["serving_text"]

PARTS = {
    "weights": "reading weights",
    "cache": "reading the cache",
    "products": "products",
    "scores": "attention",
    "network": "communication",
    "host": "host and launches",
}


def serving_text(found: ServingEstimate) -> str:
    """Format an estimate for a terminal."""
    head = (
        f"{found.model} ({found.weights}) on {found.count} {found.accelerator}: {found.plan}\n"
        f"{found.input_len:,.0f} tokens in, {found.output_len:,.0f} out"
    )
    if found.reason:
        return f"{head}\n\nNot possible: {found.reason}."
    rows = [
        (
            "prefill",
            _rate(found.prefill_tokens_per_s),
            _interval(found, found.prefill_tokens_per_s),
            found.prefill_binds,
        ),
        (
            "decode",
            _rate(found.decode_tokens_per_s),
            _interval(found, found.decode_tokens_per_s),
            found.decode_binds,
        ),
        (
            "output, chips that do both",
            _rate(found.output_tokens_per_s),
            _interval(found, found.output_tokens_per_s),
            "",
        ),
    ]
    batch = (
        f"{found.batch:,.0f} sequences at once ({format_count(round(found.memory_batch))} fit into "
        f"memory), {format_duration(found.tpot_s)} per output token, first token after "
        f"{format_duration(found.first_token_s)} without waiting"
    )
    parts = table(
        [
            (PARTS[name], _share(found.prefill_parts, name), _share(found.decode_parts, name))
            for name in PARTS
        ],
        ["part of a pass, before overlap", "prefill", "decode"],
    )
    rates = table(rows, ["phase", "tokens/s/chip", "90 % interval", "bound by"])
    notes = [f"Note: {note}" for note in found.notes]
    return "\n".join([head, "", rates, "", batch, "", parts, *notes])


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _interval(found: ServingEstimate, value: float) -> str:
    return f"{_rate(value * found.low)} to {_rate(value * found.high)}"


def _share(parts: Mapping[str, float], name: str) -> str:
    return format_percent(parts[name] / sum(parts.values()))
