"""What an estimate assumes where it is not told, in words."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.catalogue import Accelerator, hypothetical_note
from clustersim.errors import nearest_name
from clustersim.performance import Calibration, default_stack, product_of
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.plan_rules import precision_note
from clustersim.performance.stacks import PRODUCTS
from clustersim.units import format_memory

__all__ = [
    "PRECISIONS",
    "chip_notes",
    "memory_notes",
    "precision_used",
    "stack_used",
    "unmeasured_notes",
]

PRECISIONS = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "mxfp8": "fp8", "fp32": "bf16"}
"""Words for a precision, with the one whose peak and bytes count."""

NAMES_SHOWN = 12


def precision_used(chip: Accelerator, word: str, notes: list[str]) -> str:
    """Return the precision in which a chip computes where `word` of :data:`PRECISIONS` is asked."""
    precision = PRECISIONS[word]
    if precision != word:
        notes.append(f"{word.upper()} is taken for {precision.upper()}.")
    told = precision_note(chip, precision)
    if not told:
        return precision
    notes.append(told)
    return "bf16"


def stack_used(
    chip: Accelerator,
    stack: str | None,
    calibration: Calibration,
    notes: list[str],
) -> str:
    """Return the stack by its known spelling; note what is assumed of one that was not measured.

    An unknown name is noted, with the nearest known one, and not refused: tables of other people's
    runs name stacks of their own, and all entries give the same answer.
    """
    if stack is None:
        assumed = default_stack(chip.family)
        if not assumed:
            notes.append(
                f"No software stack is known for {chip.name}: mean of all stacks, and their spread "
                "in the interval."
            )
            return ""
        notes.append(f"No software stack was named; {assumed} is assumed.")
        return assumed
    releases = sorted({label for _, level, label in calibration.keys if level == "release"})
    by_lower = {name.lower(): name for name in releases}
    if stack.lower() in by_lower:
        return by_lower[stack.lower()]
    product = product_of(stack)
    if product in calibration.stacks:
        notes.append(f"No run of the release {stack!r} is known; it is taken for a {product}.")
        return stack
    spread = "mean of all stacks, and their spread in the interval"
    if stack.lower() == UNKNOWN:
        notes.append(f"The software stack is unknown: {spread}.")
        return stack.lower()
    near = nearest_name(stack, [*releases, *calibration.stacks, *(name for name, _ in PRODUCTS)])
    hint = "" if near is None else f"did you mean {near!r}? "
    known = f"{', '.join(releases[:NAMES_SHOWN])} and {len(releases) - NAMES_SHOWN} more"
    notes.append(
        f"No run of the software stack {stack!r} is known: {spread}; {hint}known: {known}."
    )
    return stack


def memory_notes(options: Mapping[str, str]) -> list[str]:
    """Say what the options of the memory leave out of the step time."""
    if options.get("offload", "none") == "none":
        return []
    return ["Transfers to and from the host's memory are not timed."]


def unmeasured_notes(chip: Accelerator, calibration: Calibration) -> list[str]:
    """Say that no run on a chip is in the calibration; nothing where one is, or none can be."""
    measured = {label for _, level, label in calibration.keys if level == "chip"}
    if chip.hypothetical or chip.name in measured:
        return []
    return [
        f"No run on {chip.name} is in the calibration; its efficiencies are those of its "
        "relatives, with their spread."
    ]


def chip_notes(chip: Accelerator, memory_bytes: float) -> list[str]:
    """Say of a hypothetical chip that it is one, and what its range does to a plan."""
    note = hypothetical_note([chip])
    if note is None:
        return []
    notes = [
        note.removeprefix("Note: "),
        f"The interval includes the range of its specification: {_range_text(chip)}.",
    ]
    low, high = (
        BINARY_GIGABYTE * size
        for size in chip.ranges.get("hbm_bytes", (chip.hbm_bytes, chip.hbm_bytes))
    )
    if low < memory_bytes <= high:
        notes.append(
            f"The plan needs {format_memory(memory_bytes)}; at the low end of its memory, "
            f"{format_memory(low)}, it would not fit."
        )
    return notes


def _range_text(chip: Accelerator) -> str:
    units = {
        "peak_flops.bf16": ("peak in BF16", 1e12, "TFLOP/s"),
        "hbm_Bps": ("memory", 1e12, "TB/s"),
        "scaleup_Bps": ("scale-up link", 1e9, "GB/s"),
        "nic_Bps": ("network", 1e9 / 8, "Gb/s"),
    }
    return ", ".join(
        f"{name} {chip.ranges[key][0] / unit:g} to {chip.ranges[key][1] / unit:g} {text}"
        for key, (name, unit, text) in units.items()
        if key in chip.ranges
    )
