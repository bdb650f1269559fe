"""Table columns that describe the memory use of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clustersim.estimation.assumptions import memory_notes
from clustersim.estimation.row import Row
from clustersim.performance.memory_options import MEMORY_OPTIONS, is_memory_option

__all__ = ["MEMORY_COLUMNS", "read_memory", "read_memory_text"]

MEMORY_COLUMNS: Mapping[str, str] = {
    **{name: f"{meaning} (default: that of the stack)" for name, meaning in
       MEMORY_OPTIONS.items()},
    "chip_memory_gb": "nominal memory of the chip in binary gigabytes (default: the chip's)",
}  # fmt: skip

_READ_AS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "loss_fused": (
        (r".*(linear|chunk|liger|tiled).*", "linear"),
        (r".*(kernel|fused).*", "kernel"),
        (r"n|no|none|full|0|false", "n"),
    ),
    "gradients": ((r"(fp|float)32.*", "fp32"), (r"(bf|fp|float)16.*", "bf16")),
    "optimizer": (
        (r".*8-?bit.*|.*\bfp8 (moments?|states?).*", "adamw-8bit"),
        (r".*(precision[- ]aware|bf16 moments?|moments? in bf16).*", "adamw-bf16-moments"),
        (r".*bf16.*", "adamw-bf16"),
        (r".*muon.*", "muon"),
        (r".*lion.*", "lion"),
        (r".*sgd.*", "sgd"),
        (r".*adafactor.*", "adafactor"),
        (r".*adam.*", "adamw"),
    ),
    "weights": (
        (r".*(nf4|4-?bit|int4|fp4).*", "nf4"),
        (r".*(8-?bit|int8).*", "int8"),
        (r".*fp8.*", "fp8"),
        (r".*(fp|float)32.*", "fp32"),
        (r".*(bf|fp|float)16.*", "bf16"),
    ),
}
"""Patterns of published texts for each option, and the value that each means; the first match is
used. The option ``offload`` has rules of its own."""


def read_memory(row: Row, kind: str, notes: list[str]) -> dict[str, str]:
    """Read the memory options of one row.

    Parameters
    ----------
    row : Row
    kind : str
        Kind of training; QLoRA freezes weights in NF4.
    notes : list of str
        A note is appended for each value that is not understood; the value is ignored.

    Returns
    -------
    dict of str to str
        As returned by :func:`clustersim.performance.parse_memory`.
    """
    found = {"weights": "nf4"} if kind == "qlora" else {}
    for name in MEMORY_OPTIONS:
        text = row.text(name)
        if not text:
            continue
        value = read_memory_text(name, text)
        if value is None:
            notes.append(f"{name} {text!r} is not understood and is ignored.")
        else:
            found[name] = value
    notes += memory_notes(found)
    return found


def read_memory_text(name: str, text: str) -> str | None:
    """Parse one option in the words of published tables; return None if it is not understood.

    Examples
    --------
    >>> read_memory_text("optimizer", "AdamW, bf16 states")
    'adamw-bf16'
    >>> read_memory_text("offload", "optimizer and weights to the host")
    'optimizer+weights'
    """
    said = " ".join(text.lower().split())
    if is_memory_option(name, said):
        return said
    if name == "offload":
        return _offload_in(said)
    return next((value for seen, value in _READ_AS[name] if re.fullmatch(seen, said)), None)


def _offload_in(said: str) -> str | None:
    """Return what a description says is offloaded to the host; None if it is not understood."""
    found = [
        word
        for word, seen in (
            ("activations", r"activation|checkpoint"),
            ("optimizer", r"optimi[sz]er|zero-?offload"),
            ("weights", r"weight|param"),
        )
        if re.search(seen, said)
    ]
    if not found and re.search(r"\b(all|cpu|host)\b", said):
        found = ["optimizer", "weights"]
    layers = re.search(r"\b([1-9]\d{0,5}) layers", said)
    share = re.search(r"\b([1-9]\d?) ?%", said)
    if share and "optimizer" in found:
        found[found.index("optimizer")] += f":{int(share[1]) / 100:g}"
    if layers and found[:1] == ["activations"]:
        found[0] += f":{layers[1]}"
    return "+".join(found) or ("none" if said in ("no", "n", "0", "false") else None)
