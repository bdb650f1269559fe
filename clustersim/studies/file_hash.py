"""Hashes of files that a scenario can only name by their path."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

__all__ = ["file_hash"]

HASHED_AGAIN = 2**20
"""Files of fewer bytes are hashed every time; a longer one when its time or size changes."""


def file_hash(path: str) -> str:
    """Hash of a file's bytes; its name, where it cannot be read (what reads it will say so)."""
    try:
        told = Path(path).stat()
        if told.st_size < HASHED_AGAIN:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return _hash_of(path, (told.st_mtime_ns, told.st_size))
    except OSError:
        return path


@lru_cache(maxsize=256)
def _hash_of(path: str, _stamp: tuple[int, int]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
