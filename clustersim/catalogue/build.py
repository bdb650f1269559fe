"""Build accelerators and models from validated file entries, collecting all problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from clustersim.catalogue.accelerator import Accelerator
from clustersim.catalogue.assumptions import CNY_PER_USD
from clustersim.catalogue.hbm import HBM_GENERATIONS
from clustersim.catalogue.model import Model
from clustersim.catalogue.schema import (
    AcceleratorEntry,
    CatalogueEntry,
    ModelEntry,
    PriceRange,
    Sourced,
)
from clustersim.errors import nearest_hint

__all__ = ["build_accelerator", "build_model", "merge_entry"]

Entry = TypeVar("Entry", bound=CatalogueEntry)


def merge_entry(base: Entry, change: Entry, *, keep_aliases: bool) -> Entry:
    """Return `base` with the fields that `change` sets.

    Peaks and sources are merged by key. `reference_only` is not inherited. If `change` sets the
    memory type or the number of stacks of an accelerator, capacity and bandwidth are derived again
    unless `change` sets them too. The same applies to the parameter counts of a model whose shape
    changes.
    """
    update = _overrides(base, change)
    if not keep_aliases:
        update.setdefault("aliases", [])
    return base.model_copy(update=update)


_NOT_SHAPE = {
    "extends", "sources", "source", "aliases", "global_batch", "seq_len", "params", "active_params",
}  # fmt: skip


def _overrides(base: CatalogueEntry, change: CatalogueEntry) -> dict[str, Any]:
    update = {name: getattr(change, name) for name in change.model_fields_set - {"extends"}}
    if isinstance(base, AcceleratorEntry):
        update.setdefault("reference_only", False)
        if update.get("peak_flops"):
            update["peak_flops"] = {**(base.peak_flops or {}), **update["peak_flops"]}
        if {"hbm_type", "hbm_stacks"} & update.keys():
            for derived in ("hbm_capacity", "hbm_bandwidth", "hbm_stacks_source"):
                update.setdefault(derived, None)
    if isinstance(base, ModelEntry):
        update["sources"] = {**base.sources, **update.get("sources", {})}
        if change.model_fields_set - _NOT_SHAPE:
            for derived in ("params", "active_params", "attention_params_per_layer"):
                update.setdefault(derived, None)
    return update


_NOT_STATED = "not stated in the sources that were read"
_QUANTITIES = {
    "hbm_capacity": "hbm_bytes",
    "hbm_bandwidth": "hbm_Bps",
    "scaleup_bandwidth": "scaleup_Bps",
    "nic_bandwidth": "nic_Bps",
    "power": "power_w",
}


def build_accelerator(
    name: str, entry: AcceleratorEntry, default_source: str, problems: list[str]
) -> Accelerator | None:
    """Return the accelerator that an entry describes, or add to `problems` and return None."""
    where = f"accelerators.{name}"
    fallback = entry.source or default_source
    entry = _with_derived_memory(entry, where, problems)
    if found := _absent_fields(entry, where):
        problems.extend(found)
        return None
    # The type checker does not see the checks above.
    assert entry.vendor is not None
    assert entry.year is not None
    assert entry.peak_flops is not None
    assert entry.scaleup_shape is not None
    assert entry.chips_per_node is not None
    numbers: dict[str, Sourced] = {
        **{f"peak_flops.{precision}": peak for precision, peak in entry.peak_flops.items()},
        **{attribute: getattr(entry, key) for key, attribute in _QUANTITIES.items()},
    }
    confidence = {key: number.confidence for key, number in numbers.items()}
    price_low, price_value, price_high = _price_cny(entry.price)
    if entry.price is not None:
        confidence["price"] = entry.price.confidence
    return Accelerator(
        name=name,
        vendor=entry.vendor,
        year=entry.year,
        family=(entry.family or "other").lower(),
        peak_flops={precision: peak.value for precision, peak in entry.peak_flops.items()},
        hbm_type=entry.hbm_type or "unknown",
        hbm_stacks=entry.hbm_stacks,
        scaleup_shape=entry.scaleup_shape,
        scaleup_size=entry.scaleup_size or entry.chips_per_node,
        chips_per_node=entry.chips_per_node,
        price_low=price_low,
        price_high=price_high,
        price_value=price_value,
        price_basis=entry.price.basis if entry.price else "",
        price_currency=entry.price.low[1] if entry.price else "CNY",
        price_with_host=entry.price is not None and entry.price.with_host,
        export_status=entry.export_status or "unknown",
        hypothetical=entry.hypothetical,
        reference_only=entry.reference_only,
        confidence=dict(confidence),
        ranges={key: low_high for key, number in numbers.items() if (low_high := _range(number))},
        sources=_sources(entry, numbers, fallback),
        aliases=tuple(entry.aliases),
        hbm_bytes=numbers["hbm_bytes"].value,
        hbm_Bps=numbers["hbm_Bps"].value,
        scaleup_Bps=numbers["scaleup_Bps"].value,
        nic_Bps=numbers["nic_Bps"].value,
        power_w=numbers["power_w"].value,
    )


def _sources(
    entry: AcceleratorEntry, numbers: Mapping[str, Sourced], fallback: str
) -> dict[str, str]:
    """Return the source of each attribute of an accelerator.

    `numbers` are those that can have sources of their own, by attribute.
    """
    sources = {key: number.source or fallback for key, number in numbers.items()}
    sources["hbm_type"] = sources["hbm_bytes"]
    stacks = sources["hbm_bytes"] if entry.hbm_stacks else _NOT_STATED
    sources["hbm_stacks"] = entry.hbm_stacks_source or stacks
    sources["scaleup_shape"] = entry.scaleup_source or sources["scaleup_Bps"]
    sources["scaleup_size"] = sources["scaleup_shape"]
    sources["chips_per_node"] = entry.chips_per_node_source or sources["scaleup_shape"]
    export = fallback if entry.export_status else _NOT_STATED
    sources["export_status"] = entry.export_source or export
    if entry.price is not None:
        sources["price"] = entry.price.source or fallback
    return sources


def _absent_fields(entry: AcceleratorEntry, where: str) -> list[str]:
    required = ("vendor", "year", "peak_flops", "scaleup_shape", "chips_per_node", *_QUANTITIES)
    absent = [key for key in required if getattr(entry, key) is None]
    if entry.peak_flops is not None and "bf16" not in entry.peak_flops:
        absent.append("peak_flops.bf16")
    return [f"{where}.{key}: is required but absent" for key in absent]


def _range(number: Sourced) -> tuple[float, float] | None:
    if number.low is None and number.high is None:
        return None
    low = number.value if number.low is None else number.low
    return low, number.value if number.high is None else number.high


def _price_cny(price: PriceRange | None) -> tuple[float | None, float | None, float | None]:
    if price is None:
        return None, None, None
    rate = CNY_PER_USD if price.low[1] == "USD" else 1.0
    value = None if price.value is None else price.value[0] * rate
    return price.low[0] * rate, value, price.high[0] * rate


def _with_derived_memory(
    entry: AcceleratorEntry, where: str, problems: list[str]
) -> AcceleratorEntry:
    """Derive a missing capacity or bandwidth from the memory type and the number of stacks."""
    if entry.hbm_capacity is not None and entry.hbm_bandwidth is not None:
        return entry
    if entry.hbm_type is None or entry.hbm_stacks is None:
        return entry
    generation = HBM_GENERATIONS.get(entry.hbm_type)
    if generation is None:
        hint = nearest_hint(entry.hbm_type, HBM_GENERATIONS)
        problems.append(
            f"{where}.hbm_type: {entry.hbm_type!r} is not a known memory generation, so "
            f"hbm_capacity and hbm_bandwidth must be given; {hint}"
        )
        return entry
    stacks = entry.hbm_stacks
    source = f"{stacks} stacks of {generation.name}: {generation.source}"

    update = {
        "hbm_capacity": _quantity(
            source,
            stacks * generation.stack_bytes,
            stacks * generation.stack_bytes,
            stacks * generation.stack_bytes_high,
        ),
        "hbm_bandwidth": _quantity(
            source,
            stacks * generation.stack_Bps,
            stacks * generation.stack_Bps_low,
            stacks * generation.stack_Bps_high,
        ),
    }
    return entry.model_copy(
        update={key: value for key, value in update.items() if getattr(entry, key) is None}
    )


def _quantity(source: str, value: float, low: float, high: float) -> Sourced:
    return Sourced(value=value, low=low, high=high, source=source)


_MODEL_REQUIRED = ("kind", "layers", "hidden", "heads", "ffn_hidden", "seq_len", "global_batch")
_MODEL_FIELDS = (
    "kind", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "gated_mlp", "vocab",
    "tied_embeddings", "seq_len", "sliding_window", "windowed_layers", "n_experts", "top_k",
    "shared_experts", "moe_layers",
    "expert_ffn_hidden", "attention_params_per_layer", "params", "active_params", "global_batch",
)  # fmt: skip


def build_model(
    name: str, entry: ModelEntry, default_source: str, problems: list[str]
) -> Model | None:
    """Return the model that an entry describes, or add to `problems` and return None."""
    where = f"models.{name}"
    found = _check_model_field(entry, where)
    if found:
        problems.extend(found)
        return None
    # The type checker does not see the checks above.
    assert entry.kind is not None
    assert entry.layers is not None
    assert entry.hidden is not None
    assert entry.heads is not None
    assert entry.ffn_hidden is not None
    assert entry.seq_len is not None
    assert entry.global_batch is not None
    kv_heads = entry.kv_heads or entry.heads
    head_dim = entry.head_dim or max(1, entry.hidden // entry.heads)
    n_experts = entry.n_experts or 0
    moe_layers = (
        entry.moe_layers if entry.moe_layers is not None else entry.layers * (n_experts > 0)
    )
    found = _check_shape(where, entry, kv_heads, n_experts, moe_layers)
    if found:
        problems.extend(found)
        return None
    projections = 2.0 * entry.hidden * head_dim * (entry.heads + kv_heads)
    fallback = entry.source or default_source
    model = Model(
        name=name,
        kind=entry.kind,
        layers=entry.layers,
        hidden=entry.hidden,
        heads=entry.heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn_hidden=entry.ffn_hidden,
        gated_mlp=True if entry.gated_mlp is None else entry.gated_mlp,
        vocab=entry.vocab or 0,
        tied_embeddings=bool(entry.tied_embeddings),
        seq_len=entry.seq_len,
        sliding_window=entry.sliding_window or 0,
        windowed_layers=_windowed_layers(entry),
        document_tokens=entry.document_tokens or 0,
        n_experts=n_experts,
        top_k=entry.top_k or 0,
        shared_experts=entry.shared_experts or 0,
        moe_layers=moe_layers,
        expert_ffn_hidden=entry.expert_ffn_hidden or 0,
        attention_params_per_layer=entry.attention_params_per_layer or projections,
        params=entry.params or 0.0,
        active_params=entry.active_params or 0.0,
        global_batch=entry.global_batch,
        sources={
            key: entry.sources.get(key, fallback)
            for key in (*_MODEL_FIELDS, *(("document_tokens",) if entry.document_tokens else ()))
        },
        aliases=tuple(entry.aliases),
    )
    return _with_counted_params(model, entry, where, problems)


def _windowed_layers(entry: ModelEntry) -> int:
    if not entry.sliding_window:
        return 0
    return (entry.layers or 0) if entry.windowed_layers is None else entry.windowed_layers


def _check_model_field(entry: ModelEntry, where: str) -> list[str]:
    allowed = (*_MODEL_FIELDS, "document_tokens")
    found = [
        f"{where}.{key}: is required but absent"
        for key in (*_MODEL_REQUIRED, *(("vocab",) if entry.kind == "language" else ()))
        if getattr(entry, key) is None
    ]
    found += [
        f"{where}.sources.{key}: unknown field; {nearest_hint(key, allowed)}"
        for key in entry.sources
        if key not in allowed
    ]
    return found


def _check_shape(
    where: str, entry: ModelEntry, kv_heads: int, n_experts: int, moe_layers: int
) -> list[str]:
    found = []
    if entry.heads and entry.heads % kv_heads:
        found.append(f"{where}.kv_heads: must divide heads ({entry.heads}), found {kv_heads}")
    if moe_layers > (entry.layers or 0):
        found.append(
            f"{where}.moe_layers: must be at most layers ({entry.layers}), found {moe_layers}"
        )
    if (entry.windowed_layers or 0) > (entry.layers or 0):
        found.append(
            f"{where}.windowed_layers: must be at most layers ({entry.layers}), "
            f"found {entry.windowed_layers}"
        )
    if entry.windowed_layers and not entry.sliding_window:
        found.append(f"{where}.windowed_layers: can only be set together with sliding_window")
    if n_experts:
        if not 1 <= (entry.top_k or 0) <= n_experts:
            found.append(
                f"{where}.top_k: must be 1 to n_experts ({n_experts}), found {entry.top_k or 0}"
            )
        if not entry.expert_ffn_hidden:
            found.append(f"{where}.expert_ffn_hidden: is required if n_experts is set")
        if not moe_layers:
            found.append(f"{where}.moe_layers: must be 1 or more if n_experts is set")
    else:
        found += [
            f"{where}.{key}: can only be set together with n_experts"
            for key in ("top_k", "shared_experts", "moe_layers", "expert_ffn_hidden")
            if getattr(entry, key)
        ]
    if entry.kind == "language" and not entry.vocab:
        found.append(f"{where}.vocab: must be 1 or more for a language model, found {entry.vocab}")
    return found


MOST_STORED = 2.5
"""Largest accepted ratio of a diffusion transformer's parameters to those that process a token."""


def _with_counted_params(
    model: Model, entry: ModelEntry, where: str, problems: list[str]
) -> Model | None:
    """Return the model with parameter counts from its shape; given counts may differ by 25 %.

    A diffusion transformer may have up to :data:`MOST_STORED` times the counted parameters: some
    have separate weights for text and image tokens, of which a token uses one half.
    """
    total, active = model.count_params()
    found = [
        f"{where}.{key}: {given:.4g} differs by more than 25 % from {counted:.4g}, the count that "
        "follows from the shape"
        for key, given, counted in (
            ("params", entry.params, total),
            ("active_params", entry.active_params, active),
        )
        if given is not None
        and abs(given / counted - 1) > 0.25
        and not (model.kind != "language" and key == "params" and 1 < given / counted < MOST_STORED)
    ]
    problems.extend(found)
    if found:
        return None
    return dataclasses.replace(
        model, params=entry.params or total, active_params=entry.active_params or active
    )
