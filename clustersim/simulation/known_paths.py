"""Whether a scenario has the field that a dotted path names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from clustersim.catalogue.schema import AcceleratorEntry, ModelEntry
from clustersim.errors import InputError, nearest_hint
from clustersim.files import allowed_keys
from clustersim.simulation.changes import named_element, open_path
from clustersim.simulation.scenario import Scenario
from clustersim.topology import ClusterSpec
from clustersim.workload import WorkloadSpec

__all__ = ["check_path"]

_OPENED: dict[tuple[str, ...], type[BaseModel]] = {
    ("cluster",): ClusterSpec,
    ("workload", "generate"): WorkloadSpec,
}
"""Formats of the files that a path may lead into."""


def check_path(tree: Mapping[str, Any], path: str, folder: Path) -> None:
    """Check that a path leads to a field that the scenario has or may have.

    Parameters
    ----------
    tree : mapping
        Data of a scenario.
    path : str
        See :func:`~clustersim.simulation.changes.set_path`.
    folder : Path
        What names of files are relative to.

    Raises
    ------
    InputError
        Where the path leads nowhere, with the nearest name.
    """
    parts = path.split(".")
    if not all(part.strip() for part in parts):
        raise InputError(path, "is not a path; write for example workload.load")
    data = copy.deepcopy(dict(tree))
    here: Any = data
    model: type[BaseModel] = Scenario
    begin = 0
    if parts[0] == "catalogue" and len(parts) > 1:
        if len(parts) == 2:
            raise InputError(path, f"names no field of {parts[1]}, such as {path}.hbm_bandwidth")
        here, begin = open_path(data, parts[:2], folder, path), 2
        section = "accelerators" if "accelerators" in data["catalogue"][-1] else "models"
        model = AcceleratorEntry if section == "accelerators" else ModelEntry
    location: tuple[Any, ...] = ()
    for depth in range(begin, len(parts)):
        if tuple(parts[:depth]) in _OPENED:
            here = open_path(data, parts[:depth], folder, path)
            model, location = _OPENED[tuple(parts[:depth])], ()
        here, step = _step(here, parts[: depth + 1], model, location, path)
        location = (*location, step)


def _step(
    here: Any, parts: Sequence[str], model: type[BaseModel], location: tuple[Any, ...], path: str
) -> tuple[Any, Any]:
    """Go one part on; return what is there (nothing, where it may be but is not) and its key."""
    part = parts[-1]
    if isinstance(here, list):
        return named_element(here, part, parts, path), 0
    present = here if isinstance(here, dict) else {}
    if part in present:
        return present[part], part
    allowed = allowed_keys(model, location)
    if part in allowed:
        return {}, part
    where = ".".join(parts[:-1]) or "the scenario"
    names = list(dict.fromkeys([*map(str, present), *allowed]))
    raise InputError(path, f"no {part!r} in {where}; {nearest_hint(part, names)}")
