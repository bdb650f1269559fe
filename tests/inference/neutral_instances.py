"""Instances and coefficients with which every term can be worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import clustersim as cs
from clustersim.catalogue import Accelerator
from clustersim.inference import ServedModel
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.parameters import PARAMETERS
from clustersim.inference.settings import Chips, Instance, Settings

PEAK, ATTENTION, STREAM, MEMORY = 1e15, 5e14, 2e12, 80e9
"""FLOP/s of products and attention, bytes/s and bytes of the chip of :func:`settings_of`."""

DENSE = ServedModel(
    name="dense",
    kind="language",
    layers=10.0,
    hidden=1000.0,
    heads=8.0,
    kv_heads=2.0,
    head_dim=100.0,
    params=1.1e9,
    active_params=1.1e9,
    vocab=100_000.0,
    attention_layers=10.0,
)
"""1 billion parameters and an embedding of 0.1 billion; 2 x 2 x 100 elements of the cache."""

MIXTURE = dataclasses.replace(
    DENSE,
    name="mixture",
    params=8.9e9,
    active_params=1.9e9,
    n_experts=64.0,
    top_k=8.0,
    moe_layers=10.0,
)
"""Routed experts of 8 billion parameters: (8.9 - 1.9) / (1 - 8 / 64)."""


def coefficients_with(**values: float) -> Coefficients:
    """Return coefficients that leave the peaks as they are and add no time, but for `values`."""
    none = {"layer_s", "step_s", "sequence_s", "request_s", "mixture_s", "overlap", "hidden"}
    none |= {"narrow_expert", "few_rows"}
    neutral = {p.name: 0.0 if p.name in none else 1.0 for p in PARAMETERS}
    return Coefficients(**{name: np.full(1, v) for name, v in {**neutral, **values}.items()})


def instance_of(model: ServedModel = DENSE, **changes: Any) -> Instance:
    """Return an instance of one H100 in BF16 with 64 sequences of 1,000 tokens."""
    usual: dict[str, Any] = {
        "chip": cs.load_catalogue().accelerator("H100"),
        "model": model,
        "weights": "bf16",
        "kv_bytes": 2.0,
        "tp": 1.0,
        "pp": 1.0,
        "expert_chips": 1.0,
        "distributed": 0.0,
        "batch": 64.0,
        "input_len": 1000.0,
        "output_len": 1.0,
        "draft": 0.0,
        "accepted": np.nan,
        "sequences": 256.0,
        "chunk_tokens": 8192.0,
    }
    return Instance(**{**usual, **changes})


def settings_of(model: ServedModel = DENSE, **changes: Any) -> Settings:
    """Return the settings of one instance on a chip with the round numbers above."""
    settings = Settings.of([instance_of(model, **changes)])
    chips = dataclasses.replace(
        settings.chips,
        product_flops=np.full(1, PEAK),
        narrow=np.zeros(1),
        balance=np.ones(1),
        attention_flops=np.full(1, ATTENTION),
        stream_Bps=np.full(1, STREAM),
        hbm_bytes=np.full(1, MEMORY),
    )
    assert isinstance(chips, Chips)
    return dataclasses.replace(settings, chips=chips)


def faster(chip: Accelerator, *, flops: float = 1.0, bandwidth: float = 1.0) -> Accelerator:
    """Return a chip with higher peaks or bandwidth."""
    peaks = {name: flops * rate for name, rate in chip.peak_flops.items()}
    return chip.at(peak_flops=peaks, hbm_Bps=bandwidth * chip.hbm_Bps)
