"""Format the catalogue as rows of text for tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clustersim.catalogue.accelerator import Accelerator
from clustersim.catalogue.assumptions import (
    PlanningAssumptions,
    chip_price_cny,
    server_price_cny,
)
from clustersim.catalogue.catalogue import Catalogue
from clustersim.catalogue.model import Model
from clustersim.units import format_money, format_rate

__all__ = [
    "ACCELERATOR_HEADERS",
    "ASSUMPTION_HEADERS",
    "FIELD_HEADERS",
    "MODEL_FIELD_HEADERS",
    "MODEL_HEADERS",
    "PRICE_HEADERS",
    "accelerator_fields",
    "accelerator_rows",
    "assumption_rows",
    "assumptions_data",
    "model_fields",
    "model_rows",
    "price_rows",
    "price_source",
]

ACCELERATOR_HEADERS = (
    "accelerator", "year", "BF16 TFLOP/s", "FP8", "HBM GB", "TB/s", "type", "link GB/s", "shape",
    "net Gb/s", "node", "W", "kCNY",
)  # fmt: skip
MODEL_HEADERS = (
    "model", "kind", "params", "active", "layers", "hidden", "heads", "KV", "FFN", "experts",
    "vocab", "tokens", "batch",
)  # fmt: skip
FIELD_HEADERS = ("field", "value", "low", "high", "confidence")
ASSUMPTION_HEADERS = ("assumption", "value", "from")
PRICE_HEADERS = ("accelerator", "CNY with server", "low", "high", "server's share")
MODEL_FIELD_HEADERS = ("field", "value", "basis")

Row = tuple[str, ...]
_UNITS = {"life": "s", "host_busy": "W", "host_idle": "W", "carbon_g_per_kwh": "g/kWh"}


def accelerator_rows(accelerators: Iterable[Accelerator]) -> list[Row]:
    """Return one row per chip for ``ACCELERATOR_HEADERS``; ``*`` marks a hypothetical chip."""
    return [
        (
            chip.name + ("*" if chip.hypothetical else ""),
            str(chip.year),
            f"{chip.peak_flops['bf16'] / 1e12:.4g}",
            f"{chip.peak_flops['fp8'] / 1e12:.4g}" if "fp8" in chip.peak_flops else "",
            f"{chip.hbm_bytes / 1e9:.4g}",
            f"{chip.hbm_Bps / 1e12:.3g}",
            chip.hbm_type,
            f"{chip.scaleup_Bps / 1e9:.4g}",
            chip.scaleup_shape,
            f"{chip.nic_Bps * 8 / 1e9:.4g}",
            str(chip.chips_per_node),
            f"{chip.power_w:.4g}",
            _price(chip),
        )
        for chip in accelerators
    ]


def _price(chip: Accelerator) -> str:
    if chip.price_low is None or chip.price_high is None:
        return ""
    return f"{chip.price_low / 1e3:.0f}-{chip.price_high / 1e3:.0f}"


def model_rows(models: Iterable[Model]) -> list[Row]:
    """Return one row per model for ``MODEL_HEADERS``."""
    return [
        (
            model.name,
            model.kind,
            f"{model.params / 1e9:.4g}",
            f"{model.active_params / 1e9:.4g}",
            str(model.layers),
            str(model.hidden),
            str(model.heads),
            str(model.kv_heads),
            str(model.ffn_hidden if model.moe_layers < model.layers else model.expert_ffn_hidden),
            f"{model.top_k} of {model.n_experts}" if model.n_experts else "",
            str(model.vocab),
            str(model.seq_len),
            str(model.global_batch),
        )
        for model in models
    ]


def accelerator_fields(chip: Accelerator) -> list[tuple[Row, str]]:
    """Return, for each field of a chip, a row for ``FIELD_HEADERS`` and the source."""
    quantities = [
        *((f"peak_flops.{key}", peak, "FLOP/s") for key, peak in chip.peak_flops.items()),
        ("hbm_bytes", chip.hbm_bytes, "B"),
        ("hbm_Bps", chip.hbm_Bps, "B/s"),
        ("scaleup_Bps", chip.scaleup_Bps, "B/s"),
        ("nic_Bps", chip.nic_Bps, "B/s"),
        ("power_w", chip.power_w, "W"),
    ]
    fields: list[tuple[Row, str]] = []
    for key, value, unit in quantities:
        low, high = chip.ranges.get(key, (None, None))
        shown = [format_rate(v, unit) if v is not None else "" for v in (value, low, high)]
        fields.append(((key, *shown, chip.confidence.get(key, "")), chip.sources.get(key, "")))
    plain = ["hbm_type", "hbm_stacks", "scaleup_shape", "scaleup_size", "chips_per_node"]
    for key in plain:
        value = getattr(chip, key)
        text = "unknown" if value is None else str(value)
        fields.append(((key, text, "", "", ""), chip.sources.get(key, "")))
    low, high = chip.price_low, chip.price_high
    if low is not None and high is not None:
        shown = [format_money(v) for v in (chip.price, low, high) if v is not None]
        host = "with" if chip.price_with_host else "without"
        source = f"{host} its server; {price_source(chip)}"
        fields.append((("price", *shown, chip.confidence.get("price", "")), source))
    return fields


def assumption_rows(assumptions: PlanningAssumptions) -> list[Row]:
    """Return one row per assumption for ``ASSUMPTION_HEADERS``, followed by the source."""
    return [
        (key, assumptions.text(key), "user file" if key in assumptions.own else "", source)
        for key, source in assumptions.sources.items()
    ]


def assumptions_data(catalogue: Catalogue) -> dict[str, Any]:
    """Return planning assumptions and prices as plain data, each with its source.

    Money is in CNY.  A price includes the chip's share of its server.
    """
    assumptions = catalogue.assumptions
    rows = []
    for name, source in assumptions.sources.items():
        value, unit = getattr(assumptions, name), _UNITS.get(name)
        if isinstance(value, tuple):
            value, unit = assumptions.cny(value), "CNY"
        own = name in assumptions.own
        rows.append({"name": name, "value": value, "unit": unit, "own": own, "source": source})
    prices = []
    for chip in catalogue.accelerators.values():
        price = server_price_cny(chip, assumptions)
        if price is not None:
            low, middle, high = price
            numbers = {"price_cny": middle, "price_low_cny": low, "price_high_cny": high}
            prices.append({"accelerator": chip.name, **numbers, "source": price_source(chip)})
    return {"assumptions": rows, "prices": prices}


def price_rows(catalogue: Catalogue) -> list[Row]:
    """Return one row per chip with a price for ``PRICE_HEADERS``, followed by the source.

    The price includes the chip's share of its server.
    """
    rows: list[Row] = []
    for chip in catalogue.accelerators.values():
        quoted = chip_price_cny(chip, catalogue.assumptions)
        price = server_price_cny(chip, catalogue.assumptions)
        if quoted is not None and price is not None:
            host = "in the price" if chip.price_with_host else f"{price[1] - quoted[1]:,.0f}"
            numbers = (f"{value:,.0f}" for value in (price[1], price[0], price[2]))
            source = price_source(chip)
            rows.append((chip.name, *numbers, host, source))
    return rows


def price_source(chip: Accelerator) -> str:
    """Return the basis and the source of the price of a chip; empty if neither is given."""
    return "; ".join(filter(None, (chip.price_basis, chip.sources.get("price", ""))))


def model_fields(model: Model) -> list[tuple[Row, str]]:
    """Return, for each field of a model, a row for ``MODEL_FIELD_HEADERS`` and the source."""
    fields: list[tuple[Row, str]] = []
    for key, source in model.sources.items():
        value = getattr(model, key)
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        basis = "assumption" if source.startswith("assumption:") else "source"
        fields.append(((key, text, basis), source))
    return fields
