"""Hashes of files that a scenario can only name by their path."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

__all__ = ["file_hash"]

HASHED_AGAIN = 2**20
"""Size (bytes) from which a file is hashed again only if its modification time or size changes."""


def file_hash(path: str) -> str:
    """Return the SHA-256 hash of a file, or its path if it cannot be read (reported later)."""
    try:
        stat = Path(path).stat()
        if stat.st_size < HASHED_AGAIN:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return _hash_of(path, (stat.st_mtime_ns, stat.st_size))
    except OSError:
        return path


@lru_cache(maxsize=256)
def _hash_of(path: str, _stamp: tuple[int, int]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
