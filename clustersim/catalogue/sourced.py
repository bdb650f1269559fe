"""Add a source to each field of an entry, so that `extends` preserves the sources."""

from __future__ import annotations

from typing import Any

from clustersim.catalogue.schema import AcceleratorEntry, CatalogueEntry, ModelEntry

__all__ = ["with_sources"]

_NUMBERS = (
    *("hbm_capacity", "hbm_bandwidth", "scaleup_bandwidth", "nic_bandwidth", "power", "price"),
)
_OF_TEXTS = {
    "hbm_stacks": "hbm_stacks_source",
    "scaleup_shape": "scaleup_source",
    "scaleup_size": "scaleup_source",
    "chips_per_node": "chips_per_node_source",
    "export_status": "export_source",
}
"""For each field that is not a quantity, the field that contains its source."""
_NO_SHAPE = {"extends", "aliases", "source", "sources"}


def with_sources(entry: CatalogueEntry, source: str) -> Any:
    """Return a copy of an entry in which every field that is set has a source.

    Each field then keeps its source if the entry extends another entry or is extended.

    Parameters
    ----------
    entry : AcceleratorEntry or ModelEntry
    source : str
        Source of the fields without a source.
    """
    if isinstance(entry, AcceleratorEntry):
        return entry.model_copy(update=_of_accelerator(entry, source))
    if isinstance(entry, ModelEntry):
        given = {
            name: source
            for name in type(entry).model_fields
            if name not in _NO_SHAPE and getattr(entry, name) is not None
        }
        return entry.model_copy(update={"sources": {**given, **entry.sources}})
    return entry


def _of_accelerator(entry: AcceleratorEntry, source: str) -> dict[str, Any]:
    update: dict[str, Any] = {}
    for name in _NUMBERS:
        number = getattr(entry, name)
        if number is not None and number.source is None:
            update[name] = number.model_copy(update={"source": source})
    if entry.peak_flops is not None:
        update["peak_flops"] = {
            key: peak if peak.source else peak.model_copy(update={"source": source})
            for key, peak in entry.peak_flops.items()
        }
    links, memory = (
        update.get(name, getattr(entry, name)) for name in ("scaleup_bandwidth", "hbm_capacity")
    )
    beside = {
        "scaleup_source": source if links is None else links.source,
        "hbm_stacks_source": source if memory is None else memory.source,
    }
    beside["chips_per_node_source"] = entry.scaleup_source or beside["scaleup_source"]
    for name, where in _OF_TEXTS.items():
        if getattr(entry, name) is not None and getattr(entry, where) is None:
            update[where] = beside.get(where, source)
    return update
