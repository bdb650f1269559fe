"""Files that come with the package: topologies, experiments, and its own data.

A relative path such as ``experiments/mixed_small.yaml`` means the file below the working directory,
else the one that was installed.  In a clone the folders ``topologies`` and ``experiments`` are
beside the package; in a wheel they are in ``clustersim/resources``, where ``setup.py`` puts them.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path, PurePath

from clustersim.errors import InputError
from clustersim.notes import note

__all__ = [
    "existing_file",
    "find_file",
    "missing_file",
    "shipped_files",
    "shipped_folder",
]

FOLDERS = ("topologies", "experiments")
"""Folders of the project that a wheel has too."""
SUFFIXES = (".yaml", ".csv")
"""Of the files in them that a wheel has; scripts and pictures are in the clone only."""
PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path | None:
    """Return the folder of the installation for one of `FOLDERS`; None where it has none."""
    clone = PACKAGE.parent
    candidates = [PACKAGE / "resources" / name]
    if (clone / "pyproject.toml").is_file():
        candidates.append(clone / name)
    return next((folder for folder in candidates if folder.is_dir()), None)


def shipped_files(folder: str, *suffixes: str) -> list[str]:
    """Return the names of the files of one of `FOLDERS`, such as ``mixed-small.yaml``."""
    place = shipped_folder(folder)
    if place is None:
        return []
    return sorted(path.name for path in place.iterdir() if path.suffix in (suffixes or SUFFIXES))


def find_file(
    name: str | Path, folder: str | Path = ".", *, within: str | None = None, suffix: str = ".yaml"
) -> Path:
    """Return the file that a name stands for: the user's own, else the one of the package.

    Parameters
    ----------
    name : str or Path
        A path.  One that begins with ``topologies/``, ``experiments/`` or ``clustersim/`` may be a
        file of the package.
    folder : str or Path
        What the path is relative to: the folder of the file that names it.
    within : str, optional
        One of `FOLDERS`.  A bare name, with `suffix` or without, may then be a file there.
    suffix : str

    Returns
    -------
    Path
        Where nothing is found, the place where the user's own file would be.

    Notes
    -----
    The use of a file of the package is announced on stderr, once a command.

    Examples
    --------
    >>> find_file("topologies/mixed-small.yaml").name
    'mixed-small.yaml'
    >>> find_file("mixed_small", within="experiments").name
    'mixed_small.yaml'
    """
    own = Path(folder) / name
    if os.path.isfile(own):
        return own
    meanings = _meanings(PurePath(name), within, suffix)
    for relative in meanings:
        if os.path.isfile(relative):
            return Path(relative)
    for relative in meanings:
        shipped = _shipped(relative)
        if shipped is not None:
            note(f"{name} is not a file here; using the one of the package, {shipped}")
            return shipped
    return own


def existing_file(
    name: str | Path, folder: str | Path = ".", *, within: str, suffix: str = ".yaml"
) -> Path:
    """Return the file that a name stands for; see :func:`find_file`.

    Raises
    ------
    InputError
        If there is none, with the names of those that the package has.
    """
    path = find_file(name, folder, within=within, suffix=suffix)
    if not os.path.exists(path):
        raise InputError(path, missing_file(name, folder, within=within, suffix=suffix))
    return path


def missing_file(
    name: str | Path,
    folder: str | Path = ".",
    *,
    within: str | None = None,
    suffix: str = ".yaml",
) -> str:
    """Say of a name that stands for no file which files there are.

    The nearest name is suggested.  Where it may be a file of the package (see :func:`find_file`),
    those of the package are listed.
    """
    path = PurePath(name)
    ending = path.suffix or suffix
    bare = len(path.parts) == 1
    top = within if bare else path.parts[0] if len(path.parts) == 2 else None
    shipped = shipped_files(top, ending) if top in FOLDERS else []
    listed = [file if bare else f"{top}/{file}" for file in shipped]
    beside = _names((Path(folder) / name).parent, ending)
    own = [str(path.with_name(file)) for file in beside]
    near = difflib.get_close_matches(str(path), [*own, *listed], n=1)
    said = f"no such file; did you mean {near[0]!r}?" if near else "no such file"
    if not listed:
        return said
    return f"{said}{'' if near else ';'} the package has {', '.join(sorted(listed))}"


def _names(folder: Path, suffix: str) -> list[str]:
    """Names of the files of a folder that end so."""
    try:
        return [entry.name for entry in folder.iterdir() if entry.suffix == suffix]
    except OSError:
        return []


def _meanings(name: PurePath, within: str | None, suffix: str) -> list[PurePath]:
    """Return the relative paths of the project that a name may stand for."""
    if name.is_absolute() or ".." in name.parts or not name.name:
        return []
    names = [name] if name.suffix == suffix else [name, PurePath(f"{name}{suffix}")]
    if len(name.parts) > 1:
        return names if name.parts[0] in (*FOLDERS, PACKAGE.name) else []
    if within is None:
        return []
    return [place / each for place in (PurePath(within), PurePath()) for each in names]


def _shipped(relative: PurePath) -> Path | None:
    """Return the file of the package at a relative path of the project."""
    top, *rest = relative.parts
    base = PACKAGE if top == PACKAGE.name else shipped_folder(top) if top in FOLDERS else None
    if base is None or not rest or relative.suffix not in SUFFIXES:
        return None
    path = base.joinpath(*rest)
    return path if os.path.isfile(path) else None
