"""Read catalogues: the built-in data files and the user's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from clustersim.catalogue.accelerator import Accelerator
from clustersim.catalogue.assumptions import ASSUMPTIONS_FILE
from clustersim.catalogue.build import build_accelerator, build_model, merge_entry
from clustersim.catalogue.catalogue import Catalogue, Item, key_of
from clustersim.catalogue.schema import (
    AcceleratorEntry,
    CatalogueEntry,
    CatalogueFile,
    ModelEntry,
    PriceRange,
)
from clustersim.catalogue.sourced import with_sources
from clustersim.errors import InputError, unknown_name
from clustersim.files import read_yaml, validate
from clustersim.shipped import find_file

__all__ = ["load_catalogue", "seedchip"]

DATA = Path(__file__).parent / "data"
BUILT_IN_FILES = (
    DATA / "accelerators.yaml",
    DATA / "reference_accelerators.yaml",
    DATA / "models.yaml",
)

Entry = TypeVar("Entry", bound=CatalogueEntry)


def load_catalogue(*sources: str | Path | Mapping[str, Any]) -> Catalogue:
    """Load the built-in catalogue and apply the user's entries to it, in order.

    Parameters
    ----------
    *sources : str, Path or mapping
        YAML files in the catalogue format, or the contents of such a file as a mapping. An entry
        replaces an earlier entry of the same name. With ``extends: NAME``, the entry NAME supplies
        the fields that it omits. ``prices: {NAME: ...}`` replaces only the price of a chip, and
        ``assumptions:`` replaces the given attributes of :class:`PlanningAssumptions`.

    Returns
    -------
    Catalogue

    Raises
    ------
    InputError
        If a file is invalid. The error lists all problems of the file.

    Examples
    --------
    >>> from clustersim import load_catalogue
    >>> catalogue = load_catalogue()
    >>> catalogue.accelerator("h200").hbm_bytes
    141000000000.0
    >>> catalogue.model("llama3-70b").layers
    80
    """
    accelerators, models, catalogue = _built_in()
    for source in sources:
        if isinstance(source, Mapping):
            file = validate(CatalogueFile, source, "catalogue")
            loaded = _add(file, "catalogue", "the scenario", accelerators, models, catalogue)
        else:
            loaded = _add_file(find_file(source), accelerators, models, catalogue)
        accelerators, models, catalogue = loaded
    return catalogue


Loaded = tuple[dict[str, AcceleratorEntry], dict[str, ModelEntry], Catalogue]


@lru_cache(maxsize=1)
def _built_in() -> Loaded:
    loaded: Loaded = ({}, {}, Catalogue(MappingProxyType({}), MappingProxyType({})))
    prices = validate(CatalogueFile, read_yaml(ASSUMPTIONS_FILE), ASSUMPTIONS_FILE).prices
    for path in BUILT_IN_FILES:
        file = validate(CatalogueFile, read_yaml(path), path)
        entries = {
            name: entry.model_copy(update={"price": prices.pop(name)}) if name in prices else entry
            for name, entry in file.accelerators.items()
        }
        file = file.model_copy(update={"accelerators": entries})
        loaded = _add(file, path, path.name, *loaded, own=False)
    if prices:
        problems = [f"prices.{name}: the catalogue has no such chip" for name in prices]
        raise InputError(ASSUMPTIONS_FILE, problems)
    return loaded


def _add_file(
    path: Path,
    accelerators: dict[str, AcceleratorEntry],
    models: dict[str, ModelEntry],
    catalogue: Catalogue,
) -> Loaded:
    file = validate(CatalogueFile, read_yaml(path), path)
    return _add(file, path, path.name, accelerators, models, catalogue)


def _add(
    file: CatalogueFile,
    path: str | Path,
    name: str,
    accelerators: dict[str, AcceleratorEntry],
    models: dict[str, ModelEntry],
    catalogue: Catalogue,
    *,
    own: bool = True,
) -> Loaded:
    problems: list[str] = []
    source = f"assumption: {name} gives no source"
    chip_entries = _with_prices(file.accelerators, file.prices, accelerators, problems)
    model_entries = file.models
    if own:
        chip_entries, model_entries = (
            {key: with_sources(entry, entry.source or source) for key, entry in entries.items()}
            for entries in (chip_entries, model_entries)
        )
    new_chips = _resolve("accelerators", chip_entries, accelerators, problems)
    new_models = _resolve("models", model_entries, models, problems)
    chips = [build_accelerator(name, entry, source, problems) for name, entry in new_chips.items()]
    if own:
        chips = [_with_price_of(chip, new_chips, str(name)) for chip in chips]
    shapes = [build_model(name, entry, source, problems) for name, entry in new_models.items()]
    all_chips = {**catalogue.accelerators, **{chip.name: chip for chip in chips if chip}}
    all_models = {**catalogue.models, **{shape.name: shape for shape in shapes if shape}}
    problems += _clashes("accelerators", all_chips.values())
    problems += _clashes("models", all_models.values())
    if problems:
        raise InputError(path, problems)
    assumptions = catalogue.assumptions
    if file.assumptions is not None:
        assumptions = assumptions.replaced(file.assumptions, str(name))
    merged = Catalogue(MappingProxyType(all_chips), MappingProxyType(all_models), assumptions)
    return {**accelerators, **new_chips}, {**models, **new_models}, merged


def _with_price_of(
    chip: Accelerator | None, entries: Mapping[str, AcceleratorEntry], file: str
) -> Accelerator | None:
    """Add the name of the user's file to a chip whose price is not from the built-in catalogue."""
    if chip is None or chip.price is None:
        return chip
    price = entries[chip.name].price
    built_in = (entry.price for entry in _built_in()[0].values())
    if any(price == known for known in built_in if known is not None):
        return chip
    return dataclasses.replace(chip, price_file=file)


def _with_prices(
    entries: Mapping[str, AcceleratorEntry],
    prices: Mapping[str, PriceRange],
    known: Mapping[str, AcceleratorEntry],
    problems: list[str],
) -> dict[str, AcceleratorEntry]:
    """Return the entries of a file after its section `prices` is applied.

    A price of a chip that only the catalogue contains adds an entry that extends this chip.
    """
    found = dict(entries)
    for name, price in prices.items():
        own, there = _canonical(name, entries), _canonical(name, known)
        if own is not None:
            found[own] = entries[own].model_copy(update={"price": price})
        elif there is not None:
            found[there] = AcceleratorEntry(
                extends=there, price=price, reference_only=known[there].reference_only
            )
        else:
            hint = unknown_name("accelerator", name, [*known, *entries])
            problems.append(f"prices.{name}: {hint}")
    return found


def _canonical(name: str, pool: Mapping[str, CatalogueEntry]) -> str | None:
    """Return the key of the entry that a spelling refers to; None if there is no such entry."""
    for key, entry in pool.items():
        spellings = [key, *entry.aliases]
        if isinstance(entry, AcceleratorEntry):
            spellings += [f"{entry.vendor} {spelling}" for spelling in spellings]
        if key_of(name) in map(key_of, spellings):
            return key
    return None


def _clashes(section: str, items: Iterable[Item]) -> list[str]:
    """Return a problem for each name that two entries share, ignoring case and separators."""
    owner: dict[str, str] = {}
    problems = []
    for item in items:
        for name in (item.name, *item.aliases):
            other = owner.setdefault(key_of(name), item.name)
            if other != item.name:
                problems.append(
                    f"{section}.{item.name}: the name {name!r} is already used by {other!r}"
                )
    return problems


def _resolve(
    section: str, entries: dict[str, Entry], known: dict[str, Entry], problems: list[str]
) -> dict[str, Entry]:
    """Return the entries with `extends` applied, also between entries of one file.

    A cycle of entries that extend each other is an error.
    """
    resolved: dict[str, Entry] = {}

    def resolve(name: str, trail: tuple[str, ...]) -> Entry | None:
        if name in resolved:
            return resolved[name]
        entry = entries[name]
        if entry.extends is None:
            resolved[name] = entry
            return entry
        here, there = _canonical(entry.extends, entries), _canonical(entry.extends, known)
        base: Entry | None
        if here is not None and here != name:
            if here in trail:
                circle = " -> ".join((*trail, here))
                problems.append(f"{section}.{name}.extends: entries extend each other: {circle}")
                return None
            base = resolve(here, (*trail, here))
        elif there is not None:
            base = known[there]
            base = with_sources(base, base.source) if base.source else base
        else:
            hint = unknown_name("name", entry.extends, [*known, *(n for n in entries if n != name)])
            problems.append(f"{section}.{name}.extends: {hint}")
            return None
        if base is None:
            return None
        resolved[name] = merge_entry(base, entry, keep_aliases=here == name)
        return resolved[name]

    for name in entries:
        resolve(name, (name,))
    return resolved


def seedchip(
    *, hbm_type: str | None = None, hbm_stacks: int | None = None, peak_bf16: float | None = None
) -> Accelerator:
    """Return the hypothetical SeedChip with some of its assumptions replaced.

    Parameters
    ----------
    hbm_type : str, optional
        ``HBM2e``, ``HBM3`` or ``HBM3E``.
    hbm_stacks : int, optional
        Number of stacks, 4 to 6. Capacity and bandwidth are derived from the type and this number.
    peak_bf16 : float, optional
        Dense BF16 peak in FLOP/s; the FP8 peak scales with it.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> from clustersim.catalogue import seedchip
    >>> seedchip(hbm_type="HBM2e", hbm_stacks=4).hbm_bytes
    64000000000.0
    """
    chip = load_catalogue().accelerator("SeedChip")
    stacks = hbm_stacks if hbm_stacks is not None else (chip.hbm_stacks or 4)
    if not 4 <= stacks <= 6:
        raise InputError("hbm_stacks", f"must be 4 to 6 for SeedChip, found {stacks}")
    if hbm_type is not None or hbm_stacks is not None:
        chip = chip.with_hbm(hbm_type or chip.hbm_type, stacks)
    if peak_bf16 is not None:
        if not 0 < peak_bf16 <= 1e17:
            raise InputError(
                "peak_bf16", f"must be above 0 and at most 1e17 FLOP/s, found {peak_bf16:g}"
            )
        ratio = peak_bf16 / chip.peak_flops["bf16"]
        peaks = {precision: peak * ratio for precision, peak in chip.peak_flops.items()}
        chip = dataclasses.replace(chip, peak_flops=peaks)
    return chip
