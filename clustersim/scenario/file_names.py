"""Full paths of the files that a scenario names."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustersim.shipped import SUFFIXES, find_file

__all__ = ["FILE_FIELDS", "beside", "full_path", "full_paths", "path_of_change"]


def full_paths(data: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """Return a scenario's data with the full path of every file that it names.

    Parameters
    ----------
    data : mapping
        A scenario as plain data.
    folder : str or Path
        Folder to which the scenario's file names are relative.
    """
    named = copy.deepcopy(dict(data))
    named["catalogue"] = [full_path(folder, own) for own in named["catalogue"]]
    if named.get("plugins"):
        named["plugins"] = [full_path(folder, own) for own in named["plugins"]]
    for field in FILE_FIELDS:
        *sections, name = field.split(".")
        part = named
        for section in sections:
            part = part.get(section, {})
        if name in part:
            part[name] = full_path(folder, part[name])
    return named


FILE_FIELDS = (
    "cluster",
    "workload.trace",
    "workload.generate",
    "performance.calibration",
    "scheduler.policy",
    "scheduler.placement",
    "scheduler.options.quotas",
)
"""Fields of a scenario that may name a file, besides its catalogue and plugins."""


def full_path(folder: str | Path, value: Any) -> Any:
    """Return ``FILE`` or ``FILE:NAME`` with the full path if the file exists.

    Parameters
    ----------
    folder : str or Path
        Folder to which the file is relative.
    value : object
        A text of one of these forms; any other value is returned unchanged.
    """
    if not isinstance(value, str):
        return value
    file, colon, name = value.partition(":")
    path = Path(beside(Path(folder), file))
    return f"{path.resolve()}{colon}{name}" if file and os.path.isfile(path) else value


def path_of_change(folder: str | Path, field: str, value: Any) -> Any:
    """Return the new value of a field, with the full path of a file in the current folder.

    A relative path in a change refers to the folder of the scenario. If the file is not in this
    folder, the path refers to the current folder.

    Parameters
    ----------
    folder : str or Path
        Folder of the scenario.
    field : str
        The changed field; only ``catalogue`` and the fields in :data:`FILE_FIELDS` can name files.
    value : object
        The new value; returned unchanged if it does not name a file in the current folder.
    """
    if field == "catalogue" and isinstance(value, list):
        return [_path_here(folder, each) for each in value]
    return _path_here(folder, value) if field in FILE_FIELDS else value


def _path_here(folder: str | Path, value: Any) -> Any:
    """Return the full path of a file that is in the current folder and not in `folder`.

    Any other value is returned unchanged.
    """
    if not isinstance(value, str):
        return value
    file, colon, name = value.partition(":")
    if not Path(file).suffix or os.path.isfile(Path(folder) / file) or not os.path.isfile(file):
        return value
    return f"{Path(file).resolve()}{colon}{name}"


def beside(folder: Path, name: str) -> str | Path:
    """Return the file `name` in the scenario's folder, the current folder, or the package.

    If there is no such file, return the name unchanged.
    """
    found = find_file(name, folder, within="experiments" if name.endswith(SUFFIXES) else None)
    if os.path.isfile(found):
        return found
    return name
