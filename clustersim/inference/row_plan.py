"""The plan of a row: devices of an instance, and how they share attention and experts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from clustersim.catalogue import Accelerator
from clustersim.inference.engines import BINARY
from clustersim.inference.precisions import PRECISIONS
from clustersim.inference.row_values import RowValues
from clustersim.inference.served_model import ServedModel

__all__ = ["DIES", "Layout", "device_of", "layout_of_row", "size_of_plan"]

DIES = {"910C": 2.0}
"""Packages of which an engine sees each die as a device (Atlas A3)."""
FULL = 0.6
"""Share of the memory that weights take at most if the plan is chosen here."""
NODE = 8.0
WIDE = 32.0
"""Devices of an instance of a large mixture whose size is unknown."""


class Layout(NamedTuple):
    """Plan of an instance, in devices."""

    devices: float
    tp: float
    pp: float
    expert_chips: float
    distributed: bool


def device_of(chip: Accelerator) -> tuple[Accelerator, float]:
    """Return the device that an engine sees, and how many of them a chip has.

    Examples
    --------
    >>> import clustersim as cs
    >>> die, count = device_of(cs.load_catalogue().accelerator("910C"))
    >>> die.hbm_bytes, count
    (64000000000.0, 2.0)
    """
    count = DIES.get(chip.name, 1.0)
    if count == 1.0:
        return chip, 1.0
    die = chip.at(
        peak_flops={name: rate / count for name, rate in chip.peak_flops.items()},
        hbm_bytes=chip.hbm_bytes / count,
        hbm_Bps=chip.hbm_Bps / count,
        scaleup_Bps=chip.scaleup_Bps / count,
        nic_Bps=chip.nic_Bps / count,
    )
    return dataclasses.replace(die, scaleup_size=int(count) * chip.scaleup_size), count


def size_of_plan(sizes: Mapping[str, float]) -> float:
    """Return the devices that the sizes of a plan need; 1 if none is given."""
    tp, pp, dp, ep = (np.nan_to_num(sizes[name], nan=1.0) for name in ("tp", "pp", "dp", "ep"))
    return float(max(tp * dp * pp, ep))


def layout_of_row(
    row: RowValues,
    n_chips: float,
    chip: Accelerator,
    model: ServedModel,
    weights: str,
    *,
    count: float,
    engine: str,
    apart: bool,
) -> Layout:
    """Return the plan of a row; sizes that are blank are chosen so that the weights fit.

    Parameters
    ----------
    row : RowValues
    n_chips : float
        Chips of the instance; nan if unknown.
    chip : Accelerator
        The device that the engine sees.
    model : ServedModel
    weights : str
    count : float
        Devices of one chip.
    engine : str
    apart : bool
        Whether prefill and decoding run on instances of their own. Large mixtures then usually
        spread their experts widely.
    """
    sizes = {name: row.number(name, whole=True) for name in ("tp", "pp", "dp", "ep")}
    least = model.params * PRECISIONS[weights].weight_bytes / (FULL * chip.hbm_bytes * BINARY)
    devices = n_chips * count
    if np.isnan(devices):
        devices = size_of_plan(sizes)
        if devices == 1.0:
            devices = 2.0 ** np.ceil(np.log2(max(1.0, least)))
            if model.n_experts > 0 and devices >= NODE and apart:
                devices = max(devices, WIDE)
        row.assume("plan", f"n_chips: {devices / count:g} is assumed.")
    elif count > 1 and size_of_plan(sizes) <= n_chips:
        # The plan counts packages, each of which is a tensor-parallel group of its dies.
        name = "ep" if np.isnan(sizes["tp"]) and np.isfinite(sizes["ep"]) else "tp"
        sizes[name] = (
            np.nan_to_num(sizes[name], nan=1.0) * count if size_of_plan(sizes) > 1 else np.nan
        )
    devices = max(1.0, devices)
    whole, pp = sizes["tp"] * sizes["dp"], np.nan_to_num(sizes["pp"], nan=1.0)
    if whole * pp > devices and np.nan_to_num(sizes["tp"], nan=1.0) <= devices:
        # SGLang's count: attention is replicated within the tensor-parallel group.
        sizes["ep"] = max(sizes["tp"], np.nan_to_num(sizes["ep"], nan=1.0))
        sizes["tp"] = max(1.0, devices / sizes["dp"] / pp)
    elif size_of_plan(sizes) > devices:
        row.notes.append(f"The plan needs more than {n_chips:g} chips; the chips it needs count.")
        devices = size_of_plan(sizes)
    return _layout(row, devices, sizes, model, least, engine)


def _layout(
    row: RowValues,
    devices: float,
    sizes: Mapping[str, float],
    model: ServedModel,
    least: float,
    engine: str,
) -> Layout:
    tp, dp, ep = (sizes[name] for name in ("tp", "dp", "ep"))
    pp = float(np.nan_to_num(sizes["pp"], nan=1.0))
    stage = max(1.0, devices / pp)
    mixture = model.n_experts > 0
    wide = bool(mixture and np.isfinite(ep) and ep > 1)
    if np.isnan(tp):
        if np.isfinite(dp):
            tp = max(1.0, stage / dp)
        elif wide:
            tp = 1.0
        else:
            tp = min(stage, NODE)
            if engine == "tensorrt-llm":
                tp = min(tp, 2.0 ** np.ceil(np.log2(max(1.0, least / pp))))
            if mixture and stage > NODE:
                wide, ep = True, stage
            if devices > 1:
                row.assume("plan", f"tp: {tp:g} is assumed.")
    expert_chips = tp
    if wide:
        expert_chips = max(tp, min(ep, stage))
    said = row.text("notes").lower()
    if mixture and any(words in said for words in ("attention data-parallel", "dp attention")):
        # TensorRT-LLM combines this with expert parallelism, SGLang by default does not.
        wide = wide or engine == "tensorrt-llm"
        expert_chips, tp = max(expert_chips, tp), 1.0
    if mixture and expert_chips * pp < FULL * least and expert_chips < stage:
        row.notes.append("The replicas share one set of experts, because each cannot hold it.")
        expert_chips = stage
    return Layout(devices, float(tp), pp, float(expert_chips), wide)
