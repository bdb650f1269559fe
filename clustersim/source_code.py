"""The identity of the code: which package files produced a result.

The version number distinguishes releases; the hash changes with every change to a file.  The hash
covers the paths and bytes of the modules and data files on which the result of a run may depend.  A
wheel, an sdist, a clone and an editable installation of the same files therefore have the same
hash, in every process and on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from clustersim.version import __version__

__all__ = ["Code", "changed_files", "this_code"]

PACKAGE = Path(__file__).resolve().parent
SUFFIXES = (".csv", ".json", ".py", ".yaml")
NOT_IN_A_RUN = ("calibration/data", "cli", "procurement", "plots", "report", "resources")
"""Folders on which no run of a scenario depends: commands, purchase plans, figures, report pages,
and the measurements from which the built-in calibration was fitted (the calibration file itself is
part of the hash).  The contents of topologies and scenarios, including those in ``resources``, are
part of each run."""
DIGITS = 8
MOST_NAMED = 8


@dataclass(frozen=True)
class Code:
    """The clustersim files that produce runs.

    Attributes
    ----------
    version : str
    files : dict of str to str
        SHA-256 of the files, by their path in the package.
    """

    version: str
    files: Mapping[str, str]

    @cached_property
    def hash(self) -> str:
        """Hash of all files and the version, 8 hexadecimal digits."""
        digest = hashlib.sha256(self.version.encode())
        for path in sorted(self.files):
            digest.update(f"\n{path}\0{self.files[path]}".encode())
        return digest.hexdigest()[:DIGITS]

    @property
    def label(self) -> str:
        """Version and hash as one word for tables, such as ``0.1.0+1f2e3d4c``."""
        return f"{self.version}+{self.hash}"

    def modules_hash(self, *folders: str) -> str:
        """Hash of the modules in the given folders of the package, 8 hexadecimal digits."""
        within = tuple(f"{folder}/" for folder in folders)
        files = {
            path: digest
            for path, digest in self.files.items()
            if path.startswith(within) and path.endswith(".py")
        }
        return Code("", files).hash

    def __str__(self) -> str:
        """Return version and hash, such as ``clustersim 0.1.0 (code 1f2e3d4c)``."""
        return f"clustersim {self.version} (code {self.hash})"


@lru_cache(maxsize=1)
def this_code() -> Code:
    """Return the installed code; its files are read once per process.

    Examples
    --------
    >>> this_code().hash == this_code().hash
    True
    >>> "engine/engine.py" in this_code().files
    True
    """
    return code_in(PACKAGE)


def code_in(package: Path) -> Code:
    """Return the code in a package folder."""
    files = {
        path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _files(package, package)
    }
    return Code(__version__, files)


def _files(folder: Path, package: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            if path.relative_to(package).as_posix() not in NOT_IN_A_RUN:
                yield from _files(path, package)
        elif path.suffix in SUFFIXES:
            yield path


def changed_files(before: Code, now: Code) -> str:
    """Describe the differences between two versions of the code.

    Examples
    --------
    >>> old = Code("0.1", {"a.py": "1", "b.py": "2"})
    >>> changed_files(old, Code("0.2", {"a.py": "3", "c.py": "2"}))
    'version 0.1 -> 0.2; changed a.py; new c.py; removed b.py'
    """
    found = [] if before.version == now.version else [f"version {before.version} -> {now.version}"]
    kinds = {
        "changed": {path for path in before.files.keys() & now.files.keys()
                    if before.files[path] != now.files[path]},
        "new": now.files.keys() - before.files.keys(),
        "removed": before.files.keys() - now.files.keys(),
    }  # fmt: skip
    for kind, paths in kinds.items():
        if paths:
            named = ", ".join(sorted(paths)[:MOST_NAMED])
            more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
            found.append(f"{kind} {named}{more}")
    return "; ".join(found) or "nothing"
