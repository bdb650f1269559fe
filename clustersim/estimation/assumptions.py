"""Notes on what an estimate assumes if an input is missing or was not measured."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.catalogue import Accelerator, Catalogue, hypothetical_note
from clustersim.errors import nearest_name
from clustersim.performance import Calibration, default_stack, product_of
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.memory_overhead import CLOSE
from clustersim.performance.optimizer import HOST_CHIPS, host_s_per_param
from clustersim.performance.plan_rules import precision_note
from clustersim.performance.stacks import PRODUCTS, same_release, similar_releases
from clustersim.units import counted, format_bytes, format_memory, format_percent, format_rate

__all__ = [
    "PRECISIONS",
    "chip_notes",
    "close_notes",
    "memory_notes",
    "name_notes",
    "precision_used",
    "size_notes",
    "stack_used",
    "unmeasured_notes",
]

PRECISIONS = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "mxfp8": "fp8", "fp32": "bf16"}
"""Names of precisions, each with the precision whose peak and bytes are used for it."""


MOST_TOKENS = 1e9
"""Tokens of a step above which a note asks whether the batch was meant in tokens."""
COMPRESSED = ("fp8", "int8", "nf4")


def precision_used(chip: Accelerator, word: str, notes: list[str]) -> str:
    """Return the precision in which a chip computes for `word`, a key of :data:`PRECISIONS`."""
    precision = PRECISIONS[word]
    if precision != word:
        notes.append(f"{word.upper()} is treated as {precision.upper()}.")
    instead = precision_note(chip, precision)
    if not instead:
        return precision
    notes.append(instead)
    return "bf16"


def stack_used(
    chip: Accelerator,
    stack: str | None,
    calibration: Calibration,
    notes: list[str],
) -> str:
    """Return the stack in its known spelling; add a note if it was not measured or not given.

    For an unknown name, the note suggests the nearest known name. An unknown name is not an error,
    because tables of published runs name many other stacks, and the command, the table and the
    function must behave alike.
    """
    if stack is None:
        assumed = default_stack(chip.family)
        if not assumed:
            notes.append(
                f"No software stack is known for {chip.name}: the mean of all stacks is used, and "
                "the interval includes their spread."
            )
            return ""
        notes.append(f"No software stack is given; {assumed} is assumed.")
        return assumed
    releases = sorted({label for _, level, label in calibration.keys if level == "release"})
    by_lower = {name.lower(): name for name in releases}
    product = product_of(stack)
    if stack.lower() in by_lower:
        found = by_lower[stack.lower()]
        if product.lower() == stack.lower():
            runs = counted(calibration.runs.on(release=found), "run")
            notes.append(
                f"The release of {found} is unknown: it is treated like that of the {runs} whose "
                "source gives none."
            )
        return found
    if release := same_release(stack, releases):
        notes.append(f"The software stack {stack!r} is treated as {release!r}.")
        return release
    if product.lower() == stack.lower() and product in calibration.stacks:
        notes.append(f"The release of {product} is unknown: the mean of its releases is used.")
        return stack
    if product in calibration.stacks:
        similar = similar_releases(stack, releases)
        measured = (
            f"{stack!r} names {len(similar)} measured releases, such as {similar[-1]!r}"
            if similar
            else f"No run of the release {stack!r} was measured"
        )
        notes.append(f"{measured}; it is treated as {product}, the mean of its releases.")
        return stack
    spread = "the mean of all stacks is used, and the interval includes their spread"
    if stack.lower() == UNKNOWN:
        notes.append(f"The software stack is unknown: {spread}.")
        return stack.lower()
    near = nearest_name(stack, [*releases, *calibration.stacks, *(name for name, _ in PRODUCTS)])
    hint = "" if near is None or near.lower() == stack.lower() else f"Did you mean {near!r}? "
    products = sorted({label for _, level, label in calibration.keys if level == "product"})
    notes.append(
        f"No run of the software stack {stack!r} was measured: {spread}. {hint}Measured stacks are "
        f"releases of {', '.join(products)}."
    )
    return stack


def memory_notes(options: Mapping[str, str]) -> list[str]:
    """Return notes on effects of the memory options that the step time does not include."""
    offload = options.get("offload", "none")
    notes = []
    if "optimizer" in offload:
        alone, shared = (1e-9 / host_s_per_param(chips) for chips in (1.0, HOST_CHIPS))
        notes.append(
            f"The optimizer on the host is timed at {alone:.2g} billion parameters a second and "
            f"chip if one chip uses a host, and at {shared:.2g} if {HOST_CHIPS:.0f} do; the "
            "interval does not include its uncertainty."
        )
    if "activations" in offload or "weights" in offload:
        notes.append("Transfers of activations and weights to and from the host are not timed.")
    if offload not in ("none", ""):
        notes.append("Whether the memory of the hosts suffices is not checked.")
    if options.get("weights") in COMPRESSED:
        notes.append("The conversion of compressed weights for each product is not timed.")
    return notes


def name_notes(name: str, catalogue: Catalogue) -> list[str]:
    """Return a note if the name of a chip could also mean others.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> name_notes("910B", load_catalogue())
    ["'910B' is read as 910B2; it could also mean 910B1, 910B3, 910B4."]
    """
    others = catalogue.namesakes(name)
    if not others:
        return []
    meant = catalogue.accelerator(name).name
    return [f"{name!r} is read as {meant}; it could also mean {', '.join(others)}."]


def size_notes(batch: float, seq_len: float) -> list[str]:
    """Return a note on a step of so many tokens that the batch is hardly in sequences.

    Examples
    --------
    >>> size_notes(4_194_304, 8192)
    ['A step has 34.4 billion tokens; the batch is in sequences, not in tokens.']
    """
    tokens = batch * seq_len
    if not tokens > MOST_TOKENS:
        return []
    return [
        f"A step has {tokens / 1e9:.3g} billion tokens; the batch is in sequences, not in tokens."
    ]


def close_notes(probability: float, *, fits: bool) -> tuple[str, ...]:
    """Return a note on a plan that is said to fit but fits only just."""
    if not fits or probability >= CLOSE:
        return ()
    return (
        f"The plan fits only just: with a probability of {format_percent(probability)} its peak is "
        "at most the memory of the chip.",
    )


def unmeasured_notes(chip: Accelerator, calibration: Calibration) -> list[str]:
    """Return a note if no run on a chip is in the calibration.

    The interval of a hypothetical chip with ranges is explained by `chip_notes`.
    """
    measured = {label for _, level, label in calibration.keys if level == "chip"}
    if (chip.hypothetical and _range_text(chip)) or chip.name in measured:
        return []
    return [
        f"No run on {chip.name} is in the calibration; its efficiencies are those of related "
        "chips, and the interval includes their spread."
    ]


def chip_notes(chip: Accelerator, memory_bytes: float) -> list[str]:
    """Return notes on derived or hypothetical values, and on what their range means for a plan."""
    notes = []
    if chip.memory_from_stacks:
        notes.append(
            f"The memory of {chip.name} follows from its {chip.hbm_stacks} stacks of "
            f"{chip.hbm_type}: {format_bytes(chip.hbm_bytes)} at {format_rate(chip.hbm_Bps)}. To "
            "override it, give hbm_capacity and hbm_bandwidth."
        )
    note = hypothetical_note([chip])
    if note is None:
        return notes
    notes.append(note.removeprefix("Note: "))
    if ranges := _range_text(chip):
        notes.append(
            f"The interval includes the range of the specification of {chip.name}: {ranges}."
        )
    low, high = (
        BINARY_GIGABYTE * size
        for size in chip.ranges.get("hbm_bytes", (chip.hbm_bytes, chip.hbm_bytes))
    )
    if low < memory_bytes <= high:
        notes.append(
            f"The plan needs {format_memory(memory_bytes)}; with the lowest memory of the range, "
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
