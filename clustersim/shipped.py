"""Files that come with the package: topologies, experiments, and data.

A relative path such as ``experiments/mixed_small.yaml`` means the file below the working directory
if there is one, otherwise the installed file.  In a clone, the folders ``topologies`` and
``experiments`` are next to the package; in a wheel they are in ``clustersim/resources``, where
``setup.py`` puts them.
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
"""Project folders that are also in a wheel."""
SUFFIXES = (".yaml", ".csv", ".json", ".txt")
"""Suffixes of the files that a wheel includes; scripts and figures are only in a clone."""
PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path | None:
    """Return the installed folder for one of `FOLDERS`; None if there is none."""
    clone = PACKAGE.parent
    candidates = [PACKAGE / "resources" / name]
    if (clone / "pyproject.toml").is_file():
        candidates.append(clone / name)
    return next((folder for folder in candidates if folder.is_dir()), None)


def shipped_files(folder: str, *suffixes: str) -> list[str]:
    """Return the file names in one of `FOLDERS`, such as ``mixed-small.yaml``."""
    place = shipped_folder(folder)
    if place is None:
        return []
    return sorted(path.name for path in place.iterdir() if path.suffix in (suffixes or SUFFIXES))


def find_file(
    name: str | Path, folder: str | Path = ".", *, within: str | None = None, suffix: str = ".yaml"
) -> Path:
    """Return the file that a name refers to: the user's file, otherwise the packaged one.

    Parameters
    ----------
    name : str or Path
        A path.  If it begins with ``topologies/``, ``experiments/`` or ``clustersim/``, it may
        refer to a packaged file.
    folder : str or Path
        Base of relative paths: the folder of the file that contains the name.
    within : str, optional
        One of `FOLDERS`.  A bare name, with or without `suffix`, may refer to a file in it.
    suffix : str

    Returns
    -------
    Path
        The path of the file.  If nothing is found, it is the path where the user's file would be.

    Notes
    -----
    If a path, or a name with its suffix, refers to a packaged file, a note on stderr says so, once
    per command.  A bare name needs no such note.

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
                note(f"{name} does not exist here; using the packaged file {shipped}")
            return shipped
    return own


def existing_file(
    name: str | Path, folder: str | Path = ".", *, within: str, suffix: str = ".yaml"
) -> Path:
    """Return the existing file that a name refers to; see :func:`find_file`.

    Raises
    ------
    InputError
        If there is no such file; the message suggests a name or lists the packaged files.
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
    """Return a message, with a suggestion, about a name that refers to no file.

    The message suggests the nearest name.  Upper and lower case, the suffixes ``.yml`` and
    ``.yaml``, and detours through ``..`` make no difference.  If no name is near, the message lists
    the packaged files to which the name could refer (see :func:`find_file`).
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
"""Maximum number of characters of a path that are compared with file paths."""


def _nearest(path: PurePath, names: list[str]) -> str | None:
    """Return the name that is most likely meant by a path; None if no name is near."""
    alike = {_plain(name): name for name in reversed(names)}
    text = _plain(str(path))
    if text in alike:
        return alike[text]
    near = difflib.get_close_matches(text[:_MOST_COMPARED], alike, n=1)
    return alike[near[0]] if near else None


def _plain(name: str) -> str:
    """Normalise a path: lower case, and one spelling of the YAML suffix."""
    plain = name.casefold()
    return f"{plain[:-4]}.yaml" if plain.endswith(".yml") else plain


def _beside(folder: Path, path: PurePath, endings: tuple[str, ...]) -> list[str]:
    """Return the files next to a path with one of `endings`; the case of folders is ignored."""
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
    """Return whether a name contains a folder or a suffix."""
    return len(PurePath(name).parts) > 1 or PurePath(name).suffix in SUFFIXES


def _meanings(name: PurePath, within: str | None, suffix: str) -> list[PurePath]:
    """Return the relative project paths that a name may refer to."""
    if name.is_absolute() or ".." in name.parts or not name.name:
        return []
    names = [name] if name.suffix == suffix else [name, PurePath(f"{name}{suffix}")]
    if len(name.parts) > 1:
        return names if name.parts[0] in (*FOLDERS, PACKAGE.name) else []
    if within is None:
        return []
    return [place / each for place in (PurePath(within), PurePath()) for each in names]


def _shipped(relative: PurePath) -> Path | None:
    """Return the packaged file at a relative project path; None if there is none."""
    top, *rest = relative.parts
    base = PACKAGE if top == PACKAGE.name else shipped_folder(top) if top in FOLDERS else None
    if base is None or not rest or relative.suffix not in SUFFIXES:
        return None
    path = base.joinpath(*rest)
    return path if os.path.isfile(path) else None
