"""Memory options of a row in the words of published tables."""

from __future__ import annotations

import pytest

from clustersim.estimation.memory_columns import read_memory_text
from clustersim.performance import MEMORY_OPTIONS


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("optimizer", "AdamW", "adamw"),
        ("optimizer", "Adam, distributed", "adamw"),
        ("optimizer", "AdamW on LoRA weights", "adamw"),
        ("optimizer", "AdamW, bf16 states", "adamw-bf16"),
        ("optimizer", "paged AdamW 8-bit", "adamw-8bit"),
        ("optimizer", "Muon, distributed", "muon"),
        ("optimizer", "something", None),
        ("weights", "bf16, frozen", "bf16"),
        ("weights", "nf4 4-bit, frozen", "nf4"),
        ("weights", "fp32 master", "fp32"),
        ("weights", "?", None),
        ("offload", "optimizer and weights to the host", "optimizer+weights"),
        ("offload", "optimizer to the host (all)", "optimizer"),
        ("offload", "activations of 30 layers, optimizer states", "activations:30+optimizer"),
        ("offload", "activation checkpoints", "activations"),
        ("offload", "optimizer to the host (50 %)", "optimizer:0.5"),
        ("optimizer", "AdamW, precision-aware, bf16 moments", "adamw-bf16-moments"),
        ("offload", "FSDP CPU offload", "optimizer+weights"),
        ("offload", "None", "none"),
        ("offload", "?", None),
        ("loss_fused", "Liger, fused linear", "linear"),
        ("loss_fused", "chunked", "linear"),
        ("loss_fused", "fused", "kernel"),
        ("loss_fused", "no", "n"),
        ("loss_fused", "perhaps", None),
        ("gradients", "float32", "fp32"),
    ],
)
def test_texts_of_published_tables(name, text, expected):
    assert read_memory_text(name, text) == expected
    assert name in MEMORY_OPTIONS
