"""The chip of the catalogue that a site's name of an accelerator type means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, shown, unknown_name

__all__ = ["STAND_IN", "ChipGuess", "guess_chip", "named_chips"]

STAND_IN = "A100-80GB"
"""Chip that stands in for a type that is not known."""
_VENDORS = re.compile(r"\b(?:nvidia|tesla|geforce|quadro|amd|instinct|huawei|ascend|intel|hygon)\b")
_SLICE = re.compile(r"(?:^|[^a-z0-9])(?:mig[-_.])?\d+(?:g|c)[._-]?\d*(?:gb)?(?:[._+]|$)|^mig")
_FAMILIES = (
    ("gb300", "GB300"),
    ("gb200", "GB200"),
    ("b300", "B300"),
    ("b200", "B200"),
    ("gh200", "GH200"),
    ("h200.*nvl", "H200-NVL"),
    ("h200", "H200"),
    ("h100.*nvl", "H100-NVL"),
    ("h100.*pci", "H100-PCIe"),
    ("h100.*96", "H100-96GB"),
    ("h100", "H100"),
    ("h800", "H800"),
    ("h20.*(?:141|3e)", "H20-141GB"),
    (r"h20(?!\d)", "H20"),
    ("a100.*pci.*40", "A100-PCIe-40GB"),
    ("a100.*pci", "A100-PCIe-80GB"),
    ("a100.*40", "A100-40GB"),
    ("a100", "A100-80GB"),
    ("a800", "A800"),
    ("l40s", "L40S"),
    (r"l40(?!\d)", "L40"),
    (r"l20(?!\d)", "L20"),
    (r"(?<![a-z])a40(?!\d)", "A40"),
    ("a6000", "RTX-A6000"),
    ("v100.*32|v100l|v100d", "V100-SXM2-32GB"),
    ("v100", "V100-SXM2-16GB"),
    ("4090", "RTX-4090"),
    ("3090", "RTX-3090"),
    ("mi355", "MI355X"),
    ("mi325", "MI325X"),
    ("mi300x", "MI300X"),
    ("mi250", "MI250X"),
    ("910b1", "910B1"),
    ("910b3", "910B3"),
    ("910b4", "910B4"),
    ("910_?b", "910B2"),
    ("910_?c|910_?93", "910C"),
    ("910a", "910A"),
    ("p800", "P800"),
    ("810e|ppu", "810E"),
    ("gaudi-?3", "Gaudi3"),
    ("gaudi-?2", "Gaudi2"),
    ("trainium-?2|trn2", "Trainium2"),
    ("trainium|trn1", "Trainium1"),
    ("tpu.*v6e", "TPU-v6e"),
    ("tpu.*v5p", "TPU-v5p"),
    ("tpu.*v5", "TPU-v5e"),
    ("tpu.*v4", "TPU-v4"),
    ("tpu.*v3", "TPU-v3"),
)
"""Patterns of types as sites write them, in lower case, and the chip of the catalogue."""
_INSTANCES = (
    (r"^(?:ml\.)?p5e", "H200"),
    (r"^(?:ml\.)?p5\.", "H100"),
    (r"^(?:ml\.)?p4de\.", "A100-80GB"),
    (r"^(?:ml\.)?p4d\.", "A100-40GB"),
    (r"^(?:ml\.)?p3dn\.", "V100-SXM2-32GB"),
    (r"^(?:ml\.)?p3\.", "V100-SXM2-16GB"),
    (r"^(?:ml\.)?g6e\.", "L40S"),
    (r"^a4x-highgpu", "GB200"),
    (r"^a4-highgpu", "B200"),
    (r"^a3-ultragpu", "H200"),
    (r"^a3-(?:high|mega|edge)gpu", "H100"),
    (r"^a2-ultragpu", "A100-80GB"),
    (r"^a2-(?:high|mega)gpu", "A100-40GB"),
    (r"^standard-nd96amsr", "A100-80GB"),
    (r"^standard-nd96asr", "A100-40GB"),
)
"""Machine types of AWS, Google and Azure as their documentation lists them, and their chip."""
_ALONE = r"(?:(?<![a-z\d])|(?<=tesla)|(?<=nvidia)|(?<=gpu))"
"""Before a short name of a chip, so that ``rack20`` is not K20."""
_NEAREST = (
    (r"mi308|mi300a|mi30\d", "MI300X"),
    (r"mi2\d\d|mi1\d\d", "MI250X"),
    (r"ascend.*910|^910", "910B2"),
    (rf"{_ALONE}h\d00(?!\d)", "H100"),
    (rf"a6000.*ada|6000.*ada|{_ALONE}l4(?!\d)|^(?:ml\.)?g6\.|^g2-standard", "L20"),
    (rf"a5000|a4500|{_ALONE}a[13]0(?!\d)|(?<!\d)30[78]0(?!\d)|^(?:ml\.)?g5\.", "A40"),
    (r"(?<!\d)(?:5090|4080)(?!\d)", "RTX-4090"),
    (
        rf"{_ALONE}(?:p100|p40|k80|k40|k20|t4|m40)(?!\d)|titan|rtx.?8000|rtx.?6000"
        r"|(?<!\d)[12]080(?!\d)|^(?:ml\.)?(?:g4dn|p2)\.",
        "V100-SXM2-16GB",
    ),
)
"""Types that are not in the catalogue, also as machine types, and the nearest chip that is."""


@dataclass(frozen=True, slots=True)
class ChipGuess:
    """The chip that a type means.

    Attributes
    ----------
    name : str
        Name in the catalogue.
    basis : {"named", "type", "hint", "nearest", "unknown"}
        Whether the user named it, the type says it, another text about the node says it, it is the
        nearest chip to one that is not in the catalogue, or it is a stand-in.
    why : str
        The reason, for a comment.
    is_slice : bool
        Whether the type is a slice of a chip (MIG), which counts as the scheduler counts it.
    mark : str
        The part of another text about the node that names a chip to which it is the nearest; empty
        for others.
    """

    name: str
    basis: Literal["named", "type", "hint", "nearest", "unknown"]
    why: str
    is_slice: bool = False
    mark: str = ""


def named_chips(pairs: Iterable[str], catalogue: Catalogue) -> dict[str, str]:
    """Return the chips that the user names, as ``TYPE=CHIP``.

    Raises
    ------
    InputError
        If a pair has no ``=``, or the chip is not in the catalogue.

    Examples
    --------
    >>> import clustersim as cs
    >>> named_chips(["gpu=V100-SXM2-32GB"], cs.load_catalogue())
    {'gpu': 'V100-SXM2-32GB'}
    """
    named = {}
    for pair in pairs:
        kind, equals, chip = pair.partition("=")
        if not equals or not kind.strip():
            raise InputError("--accelerator", f"must be TYPE=CHIP, found {shown(pair)}")
        if not catalogue.has_accelerator(chip.strip()):
            raise InputError(
                "--accelerator",
                unknown_name("accelerator", chip.strip(), catalogue.accelerators),
            )
        named[kind.strip().lower()] = catalogue.accelerator(chip.strip()).name
    return named


def guess_chip(
    kind: str,
    hints: Iterable[str],
    catalogue: Catalogue,
    named: Mapping[str, str] | None = None,
) -> ChipGuess:
    """Return the chip of the catalogue that a type as written most likely means.

    A type that names a chip comes before other texts, even if the chip is not in the catalogue.

    Parameters
    ----------
    kind : str
        The type, such as ``a100l``, ``910b``, ``NVIDIA-H100-80GB-HBM3`` or ``gpu``.
    hints : iterable of str
        Other texts about the nodes, such as their features and partitions.
    catalogue : Catalogue
    named : mapping, optional
        Chips by type, as :func:`named_chips` returns them.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> [guess_chip(kind, [], catalogue).name for kind in ("a100l", "910b3", "mi308x")]
    ['A100-80GB', '910B3', 'MI300X']
    >>> guess_chip("gpu", ["v100"], catalogue).basis, guess_chip("gpu", [], catalogue).basis
    ('hint', 'unknown')
    """
    shown = kind.lower()
    is_slice = bool(_SLICE.search(shown))
    if named and shown in named:
        return ChipGuess(named[shown], "named", f"type {kind!r} as named", is_slice)
    every = shown == "ascend910"  # the name of a resource for several chips
    chip = None if every else _of_text(kind, catalogue)
    if chip is not None:
        return ChipGuess(chip, "type", f"from the type {kind!r}", is_slice)
    if not every and (found := _nearest(kind, catalogue)):
        return ChipGuess(found[0], "nearest", _STANDS_IN.format(kind), is_slice)
    hints = [hint for hint in hints if hint]
    for hint in hints:
        chip = _of_text(hint, catalogue)
        if chip is not None:
            return ChipGuess(chip, "hint", f"from {hint!r} (the type is {kind!r})", is_slice)
    if every:
        why = "for 'Ascend910', the name of the resource for 910A, 910B and 910C alike"
        return ChipGuess(catalogue.accelerator("910B2").name, "nearest", why)
    for hint in hints:
        if found := _nearest(hint, catalogue):
            return ChipGuess(found[0], "nearest", _STANDS_IN.format(hint), is_slice, found[1])
    why = f"for {kind!r}, which names no chip; to name it: --accelerator {kind}=CHIP"
    return ChipGuess(STAND_IN, "unknown", why, is_slice)


_STANDS_IN = "for {!r}, which is not in the catalogue: the nearest chip stands in"


def _nearest(text: str, catalogue: Catalogue) -> tuple[str, str] | None:
    """Return the nearest chip to one that is not in the catalogue, and the part that names it."""
    for pattern, nearest in _NEAREST:
        found = re.search(pattern, text.lower())
        if found and catalogue.has_accelerator(nearest):
            return nearest, found[0].removeprefix("ml.").strip(".")
    return None


def _of_text(text: str, catalogue: Catalogue) -> str | None:
    plain = " ".join(_VENDORS.sub(" ", re.sub(r"[_\s]+", "-", text.lower())).split("-")).strip()
    for each in (text, plain):
        if each.strip() and catalogue.has_accelerator(each):
            return catalogue.accelerator(each).name
    squashed = text.lower().replace(" ", "-").replace("_", "-")
    for pattern, name in (*_FAMILIES, *_INSTANCES):
        if re.search(pattern, squashed) and catalogue.has_accelerator(name):
            return catalogue.accelerator(name).name
    return None
