"""The model of a row, its precision, and that of its cache."""

from __future__ import annotations

import re

import numpy as np

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.inference.engines import BINARY
from clustersim.inference.model_facts import known_model, with_given
from clustersim.inference.precisions import PRECISIONS, compute_peak, precision_of
from clustersim.inference.row_values import RowError, RowValues
from clustersim.inference.served_model import ServedModel, diffusion_by_size

__all__ = ["cache_bytes", "model_of_row", "weights_of_row"]

_COLUMNS = {
    "total_params_b": ("params", 1e9),
    "active_params_b": ("active_params", 1e9),
    "layers": ("layers", 1.0),
    "hidden": ("hidden", 1.0),
    "heads": ("heads", 1.0),
    "kv_heads": ("kv_heads", 1.0),
    "experts": ("n_experts", 1.0),
    "topk": ("top_k", 1.0),
}
LARGE = 2e11
"""Unlisted mixtures with at least this many parameters are taken to be served in 8 bits."""
ROOM = 0.85
FULL = 0.98
"""Share of the memory that weights take at most if their precision is assumed, and if it is stated
(so that some memory remains for the cache)."""


def model_of_row(row: RowValues, catalogue: Catalogue, *, images: bool) -> ServedModel:
    """Return the model of a row: what is known of its name, replaced by what the row says.

    Raises
    ------
    RowError
        If neither the name nor the row tells the size of the model.
    """
    name = row.text("model")
    known = known_model(name, catalogue) if name else None
    given = {}
    for column, (attribute, scale) in _COLUMNS.items():
        value = row.number(column)
        if np.isfinite(value):
            given[attribute] = value * scale
    if known is None and "params" not in given:
        given |= _size_of_name(row, name)
    if known is None:
        row.assume("shape", "The model is not listed; parts of its shape that are blank are usual.")
    if images and known is None:
        row.assume("passes", "Two passes in each step and a usual autoencoder are assumed.")
        video = "video" in row.text("measure").lower()
        return diffusion_by_size(f"{'video' if video else 'image'}-diffusion", given["params"])
    return with_given(known, given, row.text("attention"))


def _size_of_name(row: RowValues, name: str) -> dict[str, float]:
    """Return the size that a name such as ``Qwen9-40B-A4B`` states."""
    size = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?:-[aA](\d+(?:\.\d+)?)[bB])?\b", name)
    if size is None or not 0 < float(size[1]) < 1e5:
        which = f"{name!r} is not a known model" if name else "blank"
        raise RowError(f"model: {which}, and total_params_b is blank")
    row.assume("size", f"The size {size[0]} is that in the name of the model.")
    found = {"params": float(size[1]) * 1e9}
    if size[2]:
        found["active_params"] = float(size[2]) * 1e9
    return found


def weights_of_row(row: RowValues, chip: Accelerator, model: ServedModel, devices: float) -> str:
    """Return the precision of the weights: stated, or that of the release if it fits.

    Parameters
    ----------
    row : RowValues
    chip : Accelerator
    model : ServedModel
    devices : float
        Devices of the instance; nan if unknown.
    """
    text = row.text("weight_precision")
    found = precision_of(text) if text else None
    if text and found is None:
        row.notes.append(f"weight_precision: {text!r} is unknown.")
    if found is None:
        found = model.weights
        if model.name == "unknown" and model.n_experts and model.params >= LARGE:
            found = "fp8"
        if found == "fp8" and compute_peak(chip, "fp8")[0] != "fp8":
            # A chip without FP8 is served with weights converted to INT8, if it has that.
            found = "int8" if compute_peak(chip, "int8")[0] == "int8" else found
        if "submission" in row.text("engine").lower():
            # MLPerf's closed division allows FP8 and FP4, and submitters use what a chip has.
            own = [name for name in ("fp8", "fp4") if compute_peak(chip, name)[0] == name]
            found = own[-1] if own else found
        row.assume("precision", f"weight_precision: {found} is assumed.")
    room = ROOM if "precision" in row.guessed else FULL
    for narrower in ("fp8", "int4"):
        size = model.params * PRECISIONS[found].weight_bytes
        less = PRECISIONS[narrower].weight_bytes < PRECISIONS[found].weight_bytes
        if less and size > room * devices * chip.hbm_bytes * BINARY:
            row.assume("precision", f"Weights in {found} do not fit; {narrower} is assumed.")
            found = narrower
    if found == "int4" and chip.vendor.lower() == "huawei":
        return "w4a8"
    return found


def cache_bytes(row: RowValues, engine: str, weights: str) -> float:
    """Return the bytes of one element of the cache.

    It has 16 bits unless the row says otherwise; TensorRT-LLM keeps it in FP8 if the weights are in
    8 or 4 bits (its performance overview).
    """
    text = row.text("kv_precision")
    found = precision_of(text) if text else None
    if text and found is None:
        row.notes.append(f"kv_precision: {text!r} is unknown; 16 bits are assumed.")
    if found is not None:
        return PRECISIONS[found].weight_bytes
    return 1.0 if engine == "tensorrt-llm" and weights in ("fp8", "fp4") else 2.0
