"""Checks whether a scenario has the field that a dotted path names."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from clustersim.catalogue.assumptions import AssumptionsSection
from clustersim.catalogue.schema import AcceleratorEntry, ModelEntry
from clustersim.errors import InputError, nearest_hint
from clustersim.scenario.changes import (
    ASSUMPTIONS,
    key_of,
    named_element,
    open_path,
    split_path,
)
from clustersim.scenario.scenario import Scenario
from clustersim.topology import ClusterSpec
from clustersim.workload import WorkloadSpec

__all__ = ["check_path", "removal_notes"]

_OPENED: dict[tuple[str, ...], type[BaseModel]] = {
    ("cluster",): ClusterSpec,
    ("workload", "generate"): WorkloadSpec,
}
"""Formats of the files into which a path may lead."""


def check_path(tree: Mapping[str, Any], path: str, folder: Path) -> Any:
    """Check that a path leads to a field that the scenario has or may have.

    Parameters
    ----------
    tree : mapping
        Data of a scenario.
    path : str
        See :func:`~clustersim.scenario.changes.set_path`.
    folder : Path
        Folder to which file names are relative.

    Returns
    -------
    object
        The value in the scenario; None if the field is absent.

    Raises
    ------
    InputError
        If the field does not exist; the message suggests the nearest name.
    """
    parts = split_path(path)
    data = copy.deepcopy(dict(tree))
    here: Any = data
    place = _Place.top(Scenario)
    begin = 0
    if parts[0] == "catalogue" and len(parts) > 1:
        here, begin = open_path(data, parts[:2], folder, path), 2
        chips = data["catalogue"][-1].get("accelerators", {}).values()
        place = _Place.top(AcceleratorEntry if any(e is here for e in chips) else ModelEntry)
        if parts[1] == ASSUMPTIONS:
            place = _Place.top(AssumptionsSection)
    above: Any = None
    for depth in range(begin, len(parts)):
        if tuple(parts[:depth]) in _OPENED:
            here = open_path(data, parts[:depth], folder, path)
            place = _Place.top(_OPENED[tuple(parts[:depth])])
        above = here
        here, place = _step(here, place, parts[: depth + 1], path)
    if isinstance(above, list) or len(parts) == begin:
        raise InputError(path, f"names no field of {parts[-1]}; {nearest_hint('', place.fields)}")
    return here


def removal_notes(changes: Iterable[tuple[str, Any]]) -> list[str]:
    """Describe the defaults that apply after changes that remove a field (value None).

    Examples
    --------
    >>> removal_notes([("workload.load", None), ("seed", 3)])
    ["Note: workload.load was removed: by default the model's own arrival rate"]
    """
    notes = []
    for path, value in changes:
        if value is not None:
            continue
        place, text = _Place.top(Scenario), ""
        for part in split_path(path):
            place = place.at(part)
            text = next(
                (str(node["description"]) for node in place.nodes if "description" in node), ""
            )
        default = re.search(r"[Bb]y default [^.;]*", text)
        rule = "its default applies" if default is None else default[0].replace("By", "by", 1)
        notes.append(f"Note: {path} was removed: {rule}")
    return notes


@dataclass(frozen=True, slots=True)
class _Place:
    """What a file format allows at a place: the alternatives of its JSON Schema there."""

    definitions: Mapping[str, Any]
    nodes: Sequence[Mapping[str, Any]]

    @classmethod
    def top(cls, model: type[BaseModel]) -> _Place:
        """Return the whole of a format."""
        schema = _schema(model)
        return cls(schema.get("$defs", {}), [schema])

    @property
    def fields(self) -> list[str]:
        """Keys that the format names."""
        names: dict[str, None] = {}
        for node in self._alternatives():
            names |= dict.fromkeys(node.get("properties", {}))
            names |= dict.fromkeys(node.get("propertyNames", {}).get("enum", ()))
        return list(names)

    def at(self, field: str) -> _Place:
        """Return what may stand at one of the fields."""
        below = (node.get("properties", {}).get(field) for node in self._alternatives())
        found = [node for node in below if node is not None]
        return _Place(self.definitions, found) if found else self.of_names

    @property
    def of_names(self) -> _Place:
        """What may stand at a key that the user chooses."""
        found = []
        for node in self._alternatives():
            below = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
            found += [child for child in below if isinstance(child, dict)]
        return _Place(self.definitions, found)

    @property
    def of_elements(self) -> _Place:
        """What may stand in a list."""
        items = (node.get("items") for node in self._alternatives())
        return _Place(self.definitions, [node for node in items if isinstance(node, dict)])

    def _alternatives(self) -> Iterator[Mapping[str, Any]]:
        waiting = list(self.nodes)
        while waiting:
            node = waiting.pop(0)
            if "$ref" in node:
                waiting.insert(0, self.definitions[node["$ref"].rsplit("/", 1)[1]])
                continue
            yield node
            for kind in ("anyOf", "oneOf", "allOf"):
                waiting += node.get(kind, ())


@lru_cache(maxsize=8)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _step(here: Any, place: _Place, parts: Sequence[str], path: str) -> tuple[Any, _Place]:
    """Go one part further; return the value there and the place in the format."""
    part, where = parts[-1], ".".join(parts[:-1]) or "the scenario"
    if isinstance(here, list):
        return named_element(here, part, parts, path), place.of_elements
    if here is not None and not isinstance(here, dict):
        raise InputError(path, f"{where} is {here!r} and has no fields")
    present = here or {}
    held = present.get(key_of(present, part))
    fields, named = place.fields, place.of_names
    if part in fields:
        return held, place.at(part)
    if not fields and not named.nodes:
        raise InputError(path, f"{where} has no fields")
    # A user-defined name may be new if it holds a value, but not if it holds fields.
    if not fields and (held is not None or not named.fields):
        return held, named
    names = fields or [str(key) for key in present]
    raise InputError(path, f"no {part!r} in {where}; {nearest_hint(part, names)}")
