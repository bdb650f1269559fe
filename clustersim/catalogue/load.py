"""Reading catalogues: the built-in data files and the user's own."""

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
        Those that are there only as references for published training runs have
        ``reference_only``.
    models : mapping of str to Model
    assumptions : PlanningAssumptions
        What all estimates of cost share.
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
        """Look an accelerator up by name or alias, with or without its vendor's name.

        The case of letters does not matter, and ``-``, ``_`` and blanks are alike.

        Raises
        ------
        InputError
            With the nearest names.

        Examples
        --------
        >>> load_catalogue().accelerator("nvidia_a100-sxm4 40GB").name
        'A100-40GB'
        """
        found = self._accelerator_index.get(_key(name))
        if found is None:
            raise InputError("catalogue", unknown_name("accelerator", name, self.accelerators))
        return found

    def has_accelerator(self, name: str) -> bool:
        """Whether :meth:`accelerator` finds one."""
        return _key(name) in self._accelerator_index

    def model(self, name: str) -> Model:
        """Look a model up by name or alias.

        The case of letters does not matter, and ``-``, ``_`` and blanks are alike.

        Raises
        ------
        InputError
            With the nearest names.
        """
        found = self._model_index.get(_key(name))
        if found is None:
            raise InputError("catalogue", unknown_name("model", name, self.models))
        return found

    def find(self, name: str) -> Accelerator | Model:
        """Look an accelerator or a model up.

        Raises
        ------
        InputError
            With the nearest names of both.
        """
        key = _key(name)
        found = self._accelerator_index.get(key) or self._model_index.get(key)
        if found is None:
            allowed = [*self.accelerators, *self.models]
            raise InputError("catalogue", unknown_name("accelerator or model", name, allowed))
        return found

    @cached_property
    def _accelerator_index(self) -> dict[str, Accelerator]:
        return _index(self.accelerators.values())

    @cached_property
    def _model_index(self) -> dict[str, Model]:
        return _index(self.models.values())

    def with_accelerator(self, accelerator: Accelerator) -> Catalogue:
        """Return a catalogue that also holds `accelerator` (in the place of one of its name)."""
        added = {**self.accelerators, accelerator.name: accelerator}
        return dataclasses.replace(self, accelerators=MappingProxyType(added))


def _key(name: object) -> str:
    """Reduce a name to what a look-up compares: no case, and one sign for all separators."""
    return "-".join(str(name).lower().replace("-", " ").replace("_", " ").split())


def _index(items: Iterable[Item]) -> dict[str, Item]:
    """Items by the keys of their spellings; a name goes before an alias, the vendor's last."""
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
    """Load the built-in catalogue and lay the user's entries over it, in order.

    Parameters
    ----------
    *sources : str, Path or mapping
        YAML files of the same format, or what such a file would hold. An entry replaces an
        earlier one of its name or, with ``extends: NAME``, takes what it does not say from the
        entry NAME. ``prices: {NAME: ...}`` replaces the price of a chip alone, ``assumptions:``
        those of :class:`PlanningAssumptions` that it says.

    Returns
    -------
    Catalogue

    Raises
    ------
    InputError
        With every problem of a file at once.

    Examples
    --------
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
        raise InputError(ASSUMPTIONS_FILE, [f"prices.{name}: no such chip" for name in prices])
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
    told = _with_prices(file.accelerators, file.prices, accelerators, problems)
    shaped = file.models
    if own:
        told, shaped = (
            {key: with_sources(entry, entry.source or source) for key, entry in entries.items()}
            for entries in (told, shaped)
        )
    new_chips = _resolve("accelerators", told, accelerators, problems)
    new_models = _resolve("models", shaped, models, problems)
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
    """Say of a chip whose price is not one of the built-in catalogue from which file it is."""
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
    """Lay the prices of a user's file over its own entries and those of the catalogue."""
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
    """Return the key of the entry that a spelling stands for; None if there is none."""
    for key, entry in pool.items():
        spellings = [key, *entry.aliases]
        if isinstance(entry, AcceleratorEntry):
            spellings += [f"{entry.vendor} {spelling}" for spelling in spellings]
        if _key(name) in map(_key, spellings):
            return key
    return None


def _clashes(section: str, items: Iterable[Item]) -> list[str]:
    """Names and aliases that stand for two entries (case and separators apart)."""
    owner: dict[str, str] = {}
    problems = []
    for item in items:
        for name in (item.name, *item.aliases):
            other = owner.setdefault(_key(name), item.name)
            if other != item.name:
                problems.append(
                    f"{section}.{item.name}: the name {name!r} already stands for {other!r}"
                )
    return problems


def _resolve(
    section: str, entries: dict[str, Entry], known: dict[str, Entry], problems: list[str]
) -> dict[str, Entry]:
    """Apply `extends`, also among the entries of one file; a cycle is a problem."""
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
                problems.append(f"{section}.{name}.extends: a circle: {circle}")
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
        4 to 6. Capacity and bandwidth follow from type and stacks.
    peak_bf16 : float, optional
        Dense BF16 peak in FLOP/s; the FP8 peak keeps its ratio to it.

    Raises
    ------
    InputError
        Outside the range of the scenario.

    Examples
    --------
    >>> seedchip(hbm_type="HBM2e", hbm_stacks=4).hbm_bytes
    64000000000.0
    """
    chip = load_catalogue().accelerator("SeedChip")
    stacks = hbm_stacks if hbm_stacks is not None else (chip.hbm_stacks or 4)
    if not 4 <= stacks <= 6:
        raise InputError("hbm_stacks", f"SeedChip has 4 to 6 stacks, found {stacks}")
    if hbm_type is not None or hbm_stacks is not None:
        chip = chip.with_hbm(hbm_type or chip.hbm_type, stacks)
    if peak_bf16 is not None:
        if not 0 < peak_bf16 <= 1e17:
            raise InputError("peak_bf16", f"must be in (0, 1e17] FLOP/s, found {peak_bf16:g}")
        ratio = peak_bf16 / chip.peak_flops["bf16"]
        peaks = {precision: peak * ratio for precision, peak in chip.peak_flops.items()}
        chip = dataclasses.replace(chip, peak_flops=peaks)
    return chip
