"""Files that extend other files, and their quick versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustersim.errors import InputError, shown
from clustersim.files import read_yaml
from clustersim.shipped import find_file, missing_file

__all__ = ["merged", "read_extended", "read_version"]

DEEPEST_EXTENDS = 20


def read_extended(path: Path, trail: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML file and the files that it `extends`.

    Raises
    ------
    InputError
        If one of the files cannot be read, or they extend each other in a circle.
    """
    if path.resolve() in trail or len(trail) > DEEPEST_EXTENDS:
        circle = " -> ".join(file.name for file in (*trail, path))
        raise InputError(path, f"extends: the files extend each other in a circle: {circle}")
    data = read_yaml(path)
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise InputError(path, f"extends: must be the name of a file, found {shown(base)}")
    beside = find_file(base, path.parent, within="experiments")
    if not beside.is_file():
        problem = (
            "is not a file"
            if beside.exists()
            else missing_file(base, path.parent, within="experiments")
        )
        raise InputError(path, f"extends: {beside}: {problem}")
    return merged(read_extended(beside, (*trail, path.resolve())), data)


def read_version(path: Path, *, quick: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read a YAML file and the files that it `extends`, with or without its ``quick`` section.

    Returns
    -------
    fields : dict
        The requested version.
    other : dict or None
        The quick version if it exists but was not requested, so that it can be checked too.

    Raises
    ------
    InputError
        If a file cannot be read, if ``quick`` is not a mapping, or if the quick version is
        requested but missing.
    """
    fields = read_extended(path)
    small = fields.pop("quick", None)
    if small is not None and not isinstance(small, dict):
        raise InputError(path, f"quick: must be a mapping of keys, found {shown(small)}")
    if quick and small is None:
        raise InputError(path, "quick: the file has no `quick:` section")
    other = None if small is None else merged(fields, small)
    return (other, None) if quick and other is not None else (fields, other)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with the keys of `over`; nested mappings are merged key by key."""
    both = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            both[key] = merged(base[key], value)
        else:
            both[key] = value
    return both
