"""Names of output folders."""

from __future__ import annotations

import itertools
from pathlib import Path

__all__ = ["unused_folder"]


def unused_folder(path: str | Path) -> Path:
    """Return `path`, or `path` with the first unused numeric suffix if it exists.

    Examples
    --------
    >>> from clustersim.report import unused_folder
    >>> unused_folder("no-such-folder").name
    'no-such-folder'
    """
    path = Path(path)
    if not path.exists():
        return path
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(candidate for candidate in numbered if not candidate.exists())
