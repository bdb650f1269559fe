"""Catalogue files of the option ``--catalogue``, in addition to those that a file lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clustersim.errors import check_kind
from clustersim.files import read_yaml
from clustersim.shipped import find_file

__all__ = ["catalogue_paths", "changes_with_files", "with_catalogue"]

KEY = "catalogue"


def catalogue_paths(files: Sequence[str | Path]) -> list[str]:
    """Return the full paths of catalogue files, relative to the current folder.

    Raises
    ------
    InputError
        If a file cannot be read.

    Examples
    --------
    >>> catalogue_paths([])
    []
    """
    check_kind(KEY, files, (list, tuple), "a list of files")
    found = [find_file(file) for file in files]
    for path in found:
        read_yaml(path)
    return [str(path.resolve()) for path in found]


def with_catalogue(data: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return the data of a scenario or plan with further catalogue files.

    They follow the files under ``catalogue``, also in each case that sets this key, and therefore
    take precedence over them.

    Examples
    --------
    >>> with_catalogue({"catalogue": ["ours.yaml"], "cases": {"a": {"seed": 1}}}, ["/mine.yaml"])
    {'catalogue': ['ours.yaml', '/mine.yaml'], 'cases': {'a': {'seed': 1}}}
    """
    if not paths:
        return dict(data)
    cases = data.get("cases")
    if isinstance(cases, Mapping):
        data = {**data, "cases": {name: _changed(own, paths) for name, own in cases.items()}}
    return {**data, KEY: _with_paths(data.get(KEY), paths)}


def changes_with_files(
    changes: Iterable[tuple[str, Any]], paths: Sequence[str]
) -> list[tuple[str, Any]]:
    """Return changes (path and value) in which a new list under ``catalogue`` ends with `paths`.

    Examples
    --------
    >>> changes_with_files([("seed", 1), ("catalogue", ["ours.yaml"])], ["/mine.yaml"])
    [('seed', 1), ('catalogue', ['ours.yaml', '/mine.yaml'])]
    """
    return [(key, _with_paths(value, paths) if key == KEY else value) for key, value in changes]


def _changed(case: Any, paths: Sequence[str]) -> Any:
    """Add files to the list that a case sets; what is not a mapping is left to the checks."""
    if not isinstance(case, Mapping):
        return case
    return dict(changes_with_files(case.items(), paths))


def _with_paths(value: Any, paths: Sequence[str]) -> Any:
    """Add files to a list; what is not a list is left to the checks."""
    own = [] if value is None else value
    return [*own, *paths] if paths and isinstance(own, list) else value
