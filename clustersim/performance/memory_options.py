"""Memory options that a job can change: their names, their values, and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from clustersim.errors import InputError, nearest_hint, shown

__all__ = ["MEMORY_OPTIONS", "is_memory_option", "offloads_of", "parse_memory"]


LOSSES = ("n", "kernel", "linear")
GRADIENTS = {"bf16": 2.0, "fp32": 4.0}
OPTIMIZERS = {"adamw": 8.0, "adamw-8bit": 2.0, "adamw-bf16": 4.0, "adamw-bf16-moments": 4.0,
              "muon": 4.0, "lion": 4.0, "sgd": 4.0, "adafactor": 0.0}  # fmt: skip
"""Bytes per parameter for the optimizer's moments. Muon, Lion and SGD keep one moment; Adafactor
keeps only row and column statistics. ``adamw-bf16`` has no main weights: weights, gradients and
moments are all BF16; ``adamw-bf16-moments`` keeps main weights in FP32."""
WEIGHTS = {"bf16": 2.0, "fp32": 6.0, "fp8": 1.0, "int8": 1.0, "nf4": 4.5 / 8.0}
"""Bytes per frozen weight. NF4 keeps one FP32 scale for every 64 weights (QLoRA, arXiv 2305.14314).
For FP32 weights, the backward pass also keeps the 16-bit copies that autocast makes (torch.amp)."""
OFFLOADS = ("none", "activations", "optimizer", "weights")
OFFLOAD_WORDS = (
    "none, or any of activations, optimizer and weights, joined by +; optimizer:0.5 offloads half "
    "of the optimizer, and activations:30 offloads 30 layers of a stage"
)

MEMORY_OPTIONS: Mapping[str, str] = {
    "loss_fused": "n: logits and loss are separate; kernel: fused loss on stored logits; linear: "
    "loss fused with the output layer or computed in chunks, so that logits are never stored",
    "gradients": f"precision of gradients: {', '.join(GRADIENTS)}",
    "optimizer": f"{', '.join(OPTIMIZERS)}",
    "weights": f"precision of frozen weights if adapters are trained: {', '.join(WEIGHTS)}",
    "offload": f"data kept in the memory of the host: {OFFLOAD_WORDS}",
}
"""Memory options of a job. By default, the values of its software stack apply."""


def parse_memory(
    memory: str | Mapping[str, object] | None, source: str = "memory"
) -> dict[str, str]:
    """Parse memory options such as ``"loss_fused=linear,offload=activations+optimizer"``.

    Parameters
    ----------
    memory : str or mapping, optional
        Options from :data:`MEMORY_OPTIONS` (default: those of the stack).
    source : str
        Name of the input in error messages.

    Raises
    ------
    InputError
        If keys or values are unknown. All problems are reported at once.

    Examples
    --------
    >>> from clustersim.performance import parse_memory
    >>> parse_memory("loss_fused=linear, gradients=fp32")
    {'loss_fused': 'linear', 'gradients': 'fp32'}
    """
    if memory is None:
        return {}
    problems: list[str] = []
    items: list[tuple[str, object]] = []
    if isinstance(memory, str):
        for part in memory.replace(" ", "").strip(",").split(","):
            key, equals, value = part.partition("=")
            if not equals:
                problems.append(
                    f"{part!r}: must be written as key=value, for example loss_fused=linear"
                )
            items += [(key, value)] if equals else []
    else:
        items = list(memory.items())
    found: dict[str, str] = {}
    for key, given in items:
        name, value = key.lower(), str(given).lower()
        allowed = _allowed(name)
        if not allowed:
            hint = nearest_hint(key, MEMORY_OPTIONS, most=len(MEMORY_OPTIONS))
            problems.append(f"{key}: unknown memory option; {hint}")
        elif name in found:
            problems.append(f"{key}: is given more than once")
        elif not is_memory_option(name, value):
            must = OFFLOAD_WORDS if name == "offload" else f"one of {', '.join(allowed)}"
            problems.append(f"{name}: must be {must}, found {shown(value)}")
        else:
            found[name] = value
    if problems:
        raise InputError(source, problems)
    return found


def is_memory_option(name: str, value: str) -> bool:
    """Whether a text is an allowed value of a memory option.

    Examples
    --------
    >>> is_memory_option("gradients", "fp32"), is_memory_option("gradients", "fp64")
    (True, False)
    >>> is_memory_option("offload", "optimizer:0.5+weights")
    True
    """
    return _is_offload(value) if name == "offload" else value in _allowed(name)


def offloads_of(text: str) -> dict[str, float]:
    """Return the number of layers of activations, or the share of the optimizer, that is offloaded.

    For everything, and for weights, the value is inf.

    Parameters
    ----------
    text : str
        A value of the option ``offload``.

    Examples
    --------
    >>> offloads_of("activations:30+optimizer:0.5")
    {'activations': 30.0, 'optimizer': 0.5}
    >>> offloads_of("weights"), offloads_of("none")
    ({'weights': inf}, {})
    """
    found = {}
    for part in text.split("+"):
        name, _, layers = part.partition(":")
        if name != "none":
            found[name] = float(layers) if layers else math.inf
    return found


def _allowed(name: str) -> tuple[str, ...]:
    """Return the values of an option; empty for an unknown one."""
    return {
        "loss_fused": LOSSES,
        "gradients": tuple(GRADIENTS),
        "optimizer": tuple(OPTIMIZERS),
        "weights": tuple(WEIGHTS),
        "offload": OFFLOADS,
    }.get(name, ())


def _is_offload(value: str) -> bool:
    """Whether a text is a value of the option ``offload``."""
    parts = value.split("+")
    whole = all(
        re.fullmatch(r"optimizer(:0?\.\d{1,6})?|weights|activations(:[1-9]\d{0,5})?", p)
        for p in parts
    )
    return value == "none" or (whole and len({p.split(":")[0] for p in parts}) == len(parts))
