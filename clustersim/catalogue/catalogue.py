"""A catalogue: chips and models, which are found by their names and aliases."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from clustersim.brief import Brief
from clustersim.catalogue.accelerator import Accelerator
from clustersim.catalogue.assumptions import BUILT_IN, PlanningAssumptions
from clustersim.catalogue.model import Model
from clustersim.errors import InputError, unknown_name

__all__ = ["Catalogue", "Item", "key_of"]

LISTED_BY = "clustersim catalogue --all"
"""Command that lists all names."""

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
        found = self._accelerator_index.get(key_of(name))
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
        return key_of(name) in self._accelerator_index

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
            if key_of(name).endswith(key := key_of(alias)) and key_of(meant.name).startswith(key)
        )
        return [
            chip
            for chip in self.accelerators
            if short and chip != meant.name and key_of(chip).startswith(short)
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
        found = self._model_index.get(key_of(name))
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
        key = key_of(name)
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


def key_of(name: object) -> str:
    """Normalise a name for look-ups: lower case, with hyphens as the only separators."""
    return "-".join(str(name).lower().replace("-", " ").replace("_", " ").split())


def _index(items: Iterable[Item]) -> dict[str, Item]:
    """Return the items by their normalised spellings.

    A name takes precedence over an alias, and an alias over a spelling with the vendor's name.
    """
    known = list(items)
    by_vendor = {
        key_of(f"{item.vendor} {name}"): item
        for item in known
        if isinstance(item, Accelerator)
        for name in (item.name, *item.aliases)
    }
    by_alias = {key_of(alias): item for item in known for alias in item.aliases}
    return by_vendor | by_alias | {key_of(item.name): item for item in known}
