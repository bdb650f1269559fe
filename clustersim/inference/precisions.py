"""Bytes of a weight in each precision, and the precision in which a chip multiplies."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

from clustersim.catalogue import Accelerator
from clustersim.files import FileModel, read_yaml, validate
from clustersim.units import FlopRate

__all__ = ["PRECISIONS", "Precision", "compute_peak", "precision_of"]

DATA = Path(__file__).parent / "data" / "chips.yaml"


class Precision(NamedTuple):
    """Bytes of one weight with its scales, and the products in order of preference."""

    weight_bytes: float
    products: tuple[str, ...]


PRECISIONS: dict[str, Precision] = {
    "bf16": Precision(2.0, ("bf16",)),
    "fp8": Precision(1.0, ("fp8", "bf16")),
    "int8": Precision(1.0, ("int8", "fp8", "bf16")),
    "fp4": Precision(0.5625, ("fp4", "bf16")),
    "mxfp4": Precision(0.53125, ("fp8", "bf16")),
    "int4": Precision(0.53, ("bf16",)),
    "w4a8": Precision(0.53, ("int8", "fp8", "bf16")),
}
"""NVFP4 has a scale of one byte for 16 weights, MXFP4 one for 32; int4 scales of two bytes for 64
to 128. Weights of four bits are multiplied in the precision of the activations: BF16, or eight bits
(W4A8; MXFP4 on chips with FP8). A chip without a precision computes in the next one."""

_NAMES = {
    "fp16": "bf16", "half": "bf16", "float16": "bf16", "bfloat16": "bf16", "16bit": "bf16",
    "w8a8": "int8", "int8": "int8", "8bit": "int8",
    "nvfp4": "fp4", "fp4": "fp4", "mxfp4": "mxfp4",
    "int4": "int4", "w4a16": "int4", "awq": "int4", "gptq": "int4", "4bit": "int4",
    "w4a8": "w4a8", "bf16": "bf16", "fp8": "fp8", "mxfp8": "fp8", "fp8blockwise": "fp8",
}  # fmt: skip


class ChipPeaks(FileModel):
    """Dense peaks of a chip that the catalogue does not have."""

    int8: FlopRate | None = None
    fp4: FlopRate | None = None
    source: str


class ChipFile(FileModel):
    """Content of ``data/chips.yaml``."""

    peaks: dict[str, ChipPeaks]


@functools.cache
def _peaks() -> dict[str, ChipPeaks]:
    return validate(ChipFile, read_yaml(DATA), DATA).peaks


def precision_of(text: str) -> str | None:
    """Return the key of :data:`PRECISIONS` that a word means, or None.

    Examples
    --------
    >>> [precision_of(word) for word in ("FP8", "NVFP4", "W8A8", "int4 (AWQ)", "ternary")]
    ['fp8', 'fp4', 'int8', 'int4', None]
    """
    squashed = re.sub(r"[^a-z0-9]", "", text.lower())
    if squashed in _NAMES:
        return _NAMES[squashed]
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        if word in _NAMES:
            return _NAMES[word]
    return None


def compute_peak(chip: Accelerator, precision: str) -> tuple[str, float]:
    """Return the precision in which a chip multiplies such weights, and its dense peak (FLOP/s).

    Examples
    --------
    >>> import clustersim as cs
    >>> chips = cs.load_catalogue()
    >>> compute_peak(chips.accelerator("A100-80GB"), "fp8")
    ('bf16', 312000000000000.0)
    """
    extra = _peaks().get(chip.name)
    for product in PRECISIONS[precision].products:
        peak = chip.peak_flops.get(product)
        if peak is None and extra is not None:
            peak = getattr(extra, product, None)
        if peak is not None:
            return product, float(peak)
    return "bf16", chip.peak_flops["bf16"]
