"""Read catalogues: the built-in data files and the user's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from clustersim.brief import Brief
from clustersim.catalogue.accelerator import Accelerator
from clustersim.catalogue.assumptions import ASSUMPTIONS_FILE, BUILT_IN, PlanningAssumptions
from clustersim.catalogue.build import build_accelerator, build_model, merge_entry
from clustersim.catalogue.model import Model
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

__all__ = ["Catalogue", "load_catalogue", "seedchip"]

DATA = Path(__file__).parent / "data"
LISTED_BY = "clustersim catalogue --all"
"""Command that lists all names."""
BUILT_IN_FILES = (
    DATA / "accelerators.yaml",
    DATA / "reference_accelerators.yaml",
    DATA / "models.yaml",
)

Entry = TypeVar("Entry", bound=CatalogueEntry)
Item = TypeVar("Item", bound=Accelerator | Model)


@dataclass(frozen=True, repr=False)
class Catalogue(Brief):
    """Accelerators and models by name.

    Attributes
    ----------
    accelerators : mapping of str to Accelerator
        Chips that are listed only to predict published training runs have `reference_only` set.
    models : mapping of str to Model
    assumptions : PlanningAssumptions
        Assumptions shared by all cost estimates.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> catalogue.model("llama3-8b").layers
    32
    >>> sorted(catalogue.accelerators)[:3]
    ['810E', '910A', '910B1']
    """

    accelerators: Mapping[str, Accelerator]
    models: Mapping[str, Model]
    assumptions: PlanningAssumptions = BUILT_IN

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        own = [name for name, chip in self.accelerators.items() if not chip.reference_only]
        return "Catalogue", {
            "accelerators": f"{len(self.accelerators)} ({', '.join(own)})",
            "models": f"{len(self.models)} ({', '.join(self.models)})",
        }

    def accelerator(self, name: str) -> Accelerator:
        """Look up an accelerator by name or alias, with or without its vendor's name.

        Case is ignored, and ``-``, ``_`` and blanks are equivalent.

        Raises
        ------
        InputError
            If there is no such accelerator. The message suggests the nearest names.

        Examples
        --------
        >>> from clustersim.catalogue import load_catalogue
        >>> load_catalogue().accelerator("nvidia_a100-sxm4 40GB").name
        'A100-40GB'
        """
        found = self._accelerator_index.get(_key(name))
        if found is None:
            raise InputError(
                "catalogue",
                unknown_name("accelerator", name, self.accelerators, listed_by=LISTED_BY),
            )
        return found

    def has_accelerator(self, name: str) -> bool:
        """Return whether :meth:`accelerator` finds an accelerator of this name.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> catalogue.has_accelerator("H200"), catalogue.has_accelerator("H2000")
        (True, False)
        """
        return _key(name) in self._accelerator_index

    def namesakes(self, name: str) -> list[str]:
        """Return the other chips that an alias could mean, because their names begin with it.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> catalogue.namesakes("Ascend 910B"), catalogue.namesakes("H100")
        (['910B1', '910B3', '910B4'], [])
        """
        meant = self.accelerator(name)
        short = tuple(
            key
            for alias in meant.aliases
            if _key(name).endswith(key := _key(alias)) and _key(meant.name).startswith(key)
        )
        return [
            chip
            for chip in self.accelerators
            if short and chip != meant.name and _key(chip).startswith(short)
        ]

    def model(self, name: str) -> Model:
        """Look up a model by name or alias.

        Case is ignored, and ``-``, ``_`` and blanks are equivalent.

        Raises
        ------
        InputError
            If there is no such model. The message suggests the nearest names.

        Examples
        --------
        >>> import clustersim as cs
        >>> cs.load_catalogue().model("Llama3 8B").name
        'llama3-8b'
        """
        found = self._model_index.get(_key(name))
        if found is None:
            raise InputError(
                "catalogue", unknown_name("model", name, self.models, listed_by=LISTED_BY)
            )
        return found

    def find(self, name: str) -> Accelerator | Model:
        """Look up an accelerator or a model by name or alias.

        Raises
        ------
        InputError
            If there is no such accelerator or model. The message suggests the nearest names.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> catalogue.find("h200").name, catalogue.find("Llama3 8B").name
        ('H200', 'llama3-8b')
        """
        key = _key(name)
        found = self._accelerator_index.get(key) or self._model_index.get(key)
        if found is None:
            allowed = [*self.accelerators, *self.models]
            raise InputError(
                "catalogue",
                unknown_name("accelerator or model", name, allowed, listed_by=LISTED_BY),
            )
        return found

    @cached_property
    def _accelerator_index(self) -> dict[str, Accelerator]:
        return _index(self.accelerators.values())

    @cached_property
    def _model_index(self) -> dict[str, Model]:
        return _index(self.models.values())

    def with_accelerator(self, accelerator: Accelerator) -> Catalogue:
        """Return a catalogue with `accelerator`, which replaces an accelerator of the same name.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> cool = catalogue.accelerator("H200").at(power_w=600.0)
        >>> catalogue.with_accelerator(cool).accelerator("H200").power_w
        600.0
        """
        added = {**self.accelerators, accelerator.name: accelerator}
        return dataclasses.replace(self, accelerators=MappingProxyType(added))


def _key(name: object) -> str:
    """Normalise a name for look-ups: lower case, with hyphens as the only separators."""
    return "-".join(str(name).lower().replace("-", " ").replace("_", " ").split())


def _index(items: Iterable[Item]) -> dict[str, Item]:
    """Return the items by their normalised spellings.

    A name takes precedence over an alias, and an alias over a spelling with the vendor's name.
    """
    known = list(items)
    by_vendor = {
        _key(f"{item.vendor} {name}"): item
        for item in known
        if isinstance(item, Accelerator)
        for name in (item.name, *item.aliases)
    }
    by_alias = {_key(alias): item for item in known for alias in item.aliases}
    return by_vendor | by_alias | {_key(item.name): item for item in known}


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
        if _key(name) in map(_key, spellings):
            return key
    return None


def _clashes(section: str, items: Iterable[Item]) -> list[str]:
    """Return a problem for each name that two entries share, ignoring case and separators."""
    owner: dict[str, str] = {}
    problems = []
    for item in items:
        for name in (item.name, *item.aliases):
            other = owner.setdefault(_key(name), item.name)
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
