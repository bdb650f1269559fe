"""Check whether a scenario has the field to which a dotted path refers."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from clustersim.catalogue.assumptions import AssumptionsSection
from clustersim.catalogue.schema import AcceleratorEntry, ModelEntry
from clustersim.errors import InputError, nearest_hint
from clustersim.json_schema import Place
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
"""Formats of the files into which a path may lead, by the path of the file's field."""


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
        If the scenario format has no such field; the message suggests the nearest name.
    """
    parts = split_path(path)
    data = copy.deepcopy(dict(tree))
    here: Any = data
    place = Place.top(Scenario)
    begin = 0
    if parts[0] == "catalogue" and len(parts) > 1:
        here, begin = open_path(data, parts[:2], folder, path), 2
        chips = data["catalogue"][-1].get("accelerators", {}).values()
        place = Place.top(AcceleratorEntry if any(e is here for e in chips) else ModelEntry)
        if parts[1] == ASSUMPTIONS:
            place = Place.top(AssumptionsSection)
    above: Any = None
    for depth in range(begin, len(parts)):
        if tuple(parts[:depth]) in _OPENED:
            here = open_path(data, parts[:depth], folder, path)
            place = Place.top(_OPENED[tuple(parts[:depth])])
        above = here
        here, place = _step(here, place, parts[: depth + 1], path)
    if isinstance(above, list) or len(parts) == begin:
        raise InputError(path, f"names no field of {parts[-1]}; {nearest_hint('', place.fields)}")
    return here


def removal_notes(changes: Iterable[tuple[str, Any]]) -> list[str]:
    """Return a note on each change that removes a field (value None), with the field's default.

    Examples
    --------
    >>> removal_notes([("workload.load", None), ("seed", 3)])
    ["Note: workload.load was removed: by default the model's own arrival rate"]
    """
    notes = []
    for path, value in changes:
        if value is not None:
            continue
        place, text = Place.top(Scenario), ""
        for part in split_path(path):
            place = place.at(part)
            text = next(
                (str(node["description"]) for node in place.nodes if "description" in node), ""
            )
        default = re.search(r"[Bb]y default [^.;]*", text)
        rule = "its default applies" if default is None else default[0].replace("By", "by", 1)
        notes.append(f"Note: {path} was removed: {rule}")
    return notes


def _step(here: Any, place: Place, parts: Sequence[str], path: str) -> tuple[Any, Place]:
    """Follow the last part of a path; return the value and its place in the file format."""
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
    # A new user-defined name is allowed if it has a plain value, but not if it has fields.
    if not fields and (held is not None or not named.fields):
        return held, named
    names = fields or [str(key) for key in present]
    raise InputError(path, f"no {part!r} in {where}; {nearest_hint(part, names)}")
