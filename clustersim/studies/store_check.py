"""Integrity of a store of runs: checksums of its rows, and recovery of sound rows.

SQLite detects a malformed page.  It does not detect a changed number in a row, or a missing row.
So each row has a checksum over all its columns, and each table has a total: the number of its rows
and the sum of their checksums.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = [
    "COLUMNS",
    "KEYS",
    "SQLITE_ERRORS",
    "Total",
    "checksum",
    "damages",
    "sound_rows",
    "total_name",
]

COLUMNS = {
    "about": ("name", "value"),
    "studies": ("id", "document"),
    "runs": ("key", "study", "changes", "metrics", "series", "error", "wall_s"),
    "wanted": ("study", "request", "changes", "key"),
    "codes": ("hash", "version", "files"),
}
"""Columns of each table, in the order in which the checksum covers them."""
KEYS = {"studies": "id", "runs": "key", "wanted": "request", "codes": "hash"}
"""Tables that have a total, with the column that identifies a row in messages."""
MOST_NAMED = 3
SQLITE_ERRORS = (sqlite3.Error, MemoryError, OverflowError, UnicodeError)
"""Errors that reading a damaged file can raise."""


def checksum(values: Sequence[Any]) -> int:
    """Return the checksum of a row: the first 64 bits of BLAKE2b over its values and their types.

    Examples
    --------
    >>> checksum(("a", 1)) == checksum(("a", 1.0))
    False
    """
    digest = hashlib.blake2b(digest_size=8)
    for value in values:
        if isinstance(value, str):
            content = b"t" + value.encode("utf-8", "surrogatepass")
        elif isinstance(value, bytes):
            content = b"b" + value
        elif isinstance(value, float):
            content = b"f" + struct.pack("<d", value)
        else:
            content = b"i" + repr(value).encode()
        digest.update(struct.pack("<q", len(content)) + content)
    return int.from_bytes(digest.digest(), "little", signed=True)


@dataclass(frozen=True, slots=True)
class Total:
    """The number of rows of a table, and the sum of their checksums modulo 2**64."""

    count: int = 0
    sum: int = 0

    def changed(self, *, added: Sequence[int] = (), removed: Sequence[int] = ()) -> Total:
        """Return the total after adding and removing rows with these checksums."""
        count = self.count + len(added) - len(removed)
        return Total(count, (self.sum + sum(added) - sum(removed)) % 2**64)

    def __str__(self) -> str:
        return f"{self.count} {self.sum}"

    @classmethod
    def read(cls, text: str) -> Total:
        """Create a total from the output of ``str``."""
        count, total = text.split()
        return cls(int(count), int(total))


def total_name(table: str) -> str:
    """Return the name of the row of `about` that contains the total of a table."""
    return f"total of {table}"


def damages(connection: sqlite3.Connection) -> list[str]:
    """Return descriptions of the damage in a store; empty if the store is intact.

    Raises
    ------
    sqlite3.DatabaseError
        If the store cannot be read at all.
    """
    connection.execute("BEGIN")  # a consistent snapshot, even while another process writes
    try:
        return [*_damages(connection)]
    finally:
        connection.rollback()


def _damages(connection: sqlite3.Connection) -> Iterator[str]:
    about = {}
    for sound, name, value in _rows(connection, "about"):
        if not sound:
            yield f"the entry {name} of the table about"
        about[name] = value
    if "format" not in about:
        yield "the entry format of the table about"
    for table, key in KEYS.items():
        place = COLUMNS[table].index(key)
        bad, sums = [], []
        for sound, *values in _rows(connection, table):
            sums.append(checksum(values))
            if not sound:
                bad.append(str(values[place]))
        if bad:
            named = ", ".join(bad[:MOST_NAMED])
            more = f" and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
            yield f"{len(bad)} of {len(sums)} rows of the table {table} ({named}{more})"
        elif str(found := Total().changed(added=sums)) != (
            recorded := about.get(total_name(table))
        ):
            with suppress(ValueError, AttributeError):
                written = Total.read(str(recorded)).count
                if written != found.count:
                    yield f"the table {table} has {found.count} rows, but {written} were written"
                    continue
            yield f"the checksum of all rows of the table {table}"
    begun = about.get("study")
    known = {str(row[0]) for row in connection.execute("SELECT id FROM studies")}
    if known and begun not in known:
        yield "the entry study of the table about"
    for (line,) in connection.execute("PRAGMA integrity_check(1)"):
        if line != "ok":
            yield f"the structure of the file ({' '.join(str(line).split())})"


def _rows(connection: sqlite3.Connection, table: str, order: str = "") -> Iterator[tuple[Any, ...]]:
    """Yield, for each row of a table, whether it is sound, followed by its columns."""
    columns = ", ".join(COLUMNS[table])
    for row in connection.execute(f"SELECT {columns}, checksum FROM {table} {order}"):
        yield checksum(row[:-1]) == row[-1], *row[:-1]


def sound_rows(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table that can be read and have the right checksum.

    If a page cannot be read, the rows before and after it are returned.
    """
    found: dict[tuple[Any, ...], None] = {}
    backwards = "ORDER BY rowid DESC" if table != "codes" else "ORDER BY hash DESC"
    for order in ("", backwards, f"ORDER BY {KEYS[table]}", f"ORDER BY {KEYS[table]} DESC"):
        with suppress(*SQLITE_ERRORS):
            for sound, *values in _rows(connection, table, order):
                if sound:
                    found[tuple(values)] = None
    return [*found]
