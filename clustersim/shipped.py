"""Files that come with the package: topologies, experiments, and its own data.

A relative path such as ``experiments/mixed_small.yaml`` means the file below the working directory,
else the one that was installed.  In a clone the folders ``topologies`` and ``experiments`` are
beside the package; in a wheel they are in ``clustersim/resources``, where ``setup.py`` puts them.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path, PurePath

from clustersim.errors import InputError, check_kind
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
SUFFIXES = (".yaml", ".csv", ".json")
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
    That a path, or a name with its suffix, stands for a file of the package is said on stderr, once
    a command.  A bare name needs no such note.

    Examples
    --------
    >>> find_file("topologies/mixed-small.yaml").name
    'mixed-small.yaml'
    >>> find_file("mixed_small", within="experiments").name
    'mixed_small.yaml'
    """
    check_kind("file", name, (str, os.PathLike), "a path or name")
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
            if _is_path(name):
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

    The nearest name is suggested, also where only upper and lower case, ``.yml`` or a detour over
    ``..`` differ.  Where none is near, the files of the package that it may be (see
    :func:`find_file`) are listed.
    """
    path = PurePath(os.path.normpath(name) if str(name) else "")
    ending = path.suffix.lower() or suffix
    endings = _YAML if ending in _YAML else (ending,)
    bare = len(path.parts) == 1
    top = within if bare else path.parts[0].casefold() if len(path.parts) == 2 else None
    shipped = shipped_files(top, *endings) if top in FOLDERS else []
    listed = [file if bare else f"{top}/{file}" for file in shipped]
    near = _nearest(path, [*_beside(Path(folder), path, endings), *listed])
    if near is not None:
        return f"no such file; did you mean {near!r}?"
    if not listed:
        return "no such file"
    return f"no such file; the package has {', '.join(sorted(listed))}"


_YAML = (".yaml", ".yml")
_MOST_COMPARED = 200
"""Characters of a path that are compared with those of files."""


def _nearest(path: PurePath, names: list[str]) -> str | None:
    """Return the file that is meant by a path; None where none is near."""
    alike = {_plain(name): name for name in reversed(names)}
    text = _plain(str(path))
    if text in alike:
        return alike[text]
    near = difflib.get_close_matches(text[:_MOST_COMPARED], alike, n=1)
    return alike[near[0]] if near else None


def _plain(name: str) -> str:
    """A path without what a slip changes: its case, and the two endings of YAML."""
    plain = name.casefold()
    return f"{plain[:-4]}.yaml" if plain.endswith(".yml") else plain


def _beside(folder: Path, path: PurePath, endings: tuple[str, ...]) -> list[str]:
    """Paths of the files in the folder of a path, in whatever case its folders are written."""
    places = [(folder / path.anchor, PurePath(path.anchor))]
    for part in path.parent.parts[1 if path.anchor else 0 :]:
        places = [
            (place / name, shown / name)
            for place, shown in places
            for name in ([part] if part == ".." else _entries(place))
            if name.casefold() == part.casefold() and os.path.isdir(place / name)
        ]
    return [
        str(shown / name)
        for place, shown in places
        for name in _entries(place)
        if name.lower().endswith(endings)
    ]


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []


def _is_path(name: str | Path) -> bool:
    """Tell whether a name says where or of which kind a file is."""
    return len(PurePath(name).parts) > 1 or PurePath(name).suffix in SUFFIXES


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
