"""The file of a store of runs: its creation, opening, checks and repair.

Every row has a checksum, so damage is found when a store is opened.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from clustersim.errors import InputError
from clustersim.outputs import locked
from clustersim.simulation.result import PROVENANCE
from clustersim.studies.store import Store
from clustersim.studies.store_check import COLUMNS, SQLITE_ERRORS, checksum, damages, sound_rows

__all__ = ["DRAFT", "FILE", "LOCK", "open_store"]

FILE, LOCK = "runs.sqlite", "study.lock"
DRAFT = ".runs.draft.sqlite"
"""Name of a store while it is being created, so that an incomplete store is never used."""
FORMAT = 6
"""Version of the tables; a store of another version is rejected."""


@contextmanager
def open_store(folder: Path, *, write: bool = False) -> Iterator[Store]:
    """Open the store of a study's folder.

    Parameters
    ----------
    folder : Path
        The study's folder.
    write : bool
        Whether to add runs.  The file is created if it does not exist.  No other process can write
        to this folder until the store is closed or the process has ended.

    Every row has a checksum, so damage is found when a store is opened.  With `write`, a damaged
    store is repaired: damaged rows are removed, so that their runs are made again, and the damaged
    file is kept beside the new one.

    Raises
    ------
    InputError
        If there is no store, it is damaged or has another format, another process writes to it, or
        it cannot be read or written (also later, within the context), for example because the disk
        is full.
    """
    path = folder / FILE
    if not write and not _is_file(path):
        what = "is it the folder of a study?"
        if (Path(folder) / PROVENANCE).is_file():
            what = "this is the folder of a run, not of a study"
        raise InputError(folder, f"has no {FILE}; {what}")
    busy = "another study is running here (process {owner}); wait for it or stop it"
    with locked(folder / LOCK, busy, shows_owner=True) if write else nullcontext():
        with _problems(path, "is not a usable store of runs", _UNUSABLE):
            if write:
                _prepare(path)
            connection = _connect(path, write)
        message = f"cannot be {'written' if write else 'read'}"
        with closing(connection), _problems(path, message):
            try:
                yield Store(path, connection)
            finally:
                if write:
                    _finish(connection)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None


_UNUSABLE = (
    "; if it was the store of this study, move it away and use --resume, which makes all runs again"
)


_NO_DAMAGE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""Codes of errors that do not concern the content of the file."""


def _prepare(path: Path) -> None:
    """Create a store if there is none; repair it if it is damaged."""
    draft = path.with_name(DRAFT)
    draft.unlink(missing_ok=True)
    if not path.exists():
        _make(draft)
        os.replace(draft, path)
        return
    with closing(_open(path, "rw")) as connection:
        _check_format(path, connection)
        problems = _found(connection)
        if not problems:
            return
        studies, codes, runs = (
            sound_rows(connection, table) for table in ("studies", "codes", "runs")
        )
    known = {row[0] for row in studies}
    place = COLUMNS["runs"].index("study")
    kept = [*{row[0]: row for row in runs}.values()]
    lost = sum(row[place] not in known for row in kept)
    again = f"; the study of {lost:,} of them was lost and is recorded again" if lost else ""
    aside = _unused(path.with_name("runs.damaged.sqlite"))
    _make(draft, {"studies": studies, "codes": codes, "runs": kept})
    shutil.copy2(path, aside)
    os.replace(draft, path)
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    print(
        f"Note: {path} was damaged: {'; '.join(problems)}. {len(kept):,} runs are kept and the "
        f"others are made again{again}. The damaged file was saved as {aside}.",
        file=sys.stderr,
    )


def _unused(path: Path) -> Path:
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _make(path: Path, rows: Mapping[str, Sequence[tuple[Any, ...]]] | None = None) -> None:
    """Create a store with the given rows by table; the file contains all of them on return."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        Store(path, connection).fill(rows or {}, version=FORMAT)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    if path.is_file() and path.stat().st_size == 0:
        raise sqlite3.DatabaseError("the file is empty")
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    connection = _open(path, "rw" if write else "ro")
    try:
        if write:
            # Write-ahead log: a transaction is one append; kill -9 loses no finished transaction.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        else:
            _check_format(path, connection)
            if problems := _found(connection):
                advice = "continue the study with --resume, which makes the damaged runs again"
                raise InputError(path, f"is damaged: {'; '.join(problems)}; {advice}")
    except BaseException:
        connection.close()
        raise
    return connection


def _found(connection: sqlite3.Connection) -> list[str]:
    """Return descriptions of the damage in a store of the present format."""
    try:
        return damages(connection)
    except SQLITE_ERRORS as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NO_DAMAGE:
            raise
        return [f"it cannot be read ({error})"]


def _finish(connection: sqlite3.Connection) -> None:
    """Merge the write-ahead log into the store, so it can be read from a read-only folder."""
    with suppress(sqlite3.DatabaseError):  # a reader may prevent it; the next study retries
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _problems(path: Path, message: str, hint: str = "") -> Iterator[None]:
    """Convert errors of SQLite in this block into errors that name the file."""
    try:
        yield
    except SQLITE_ERRORS as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NO_DAMAGE:
            hint = ""
        raise InputError(path, f"{message}: {error}{hint}") from None
    except OSError as error:
        if error.filename is None or Path(error.filename).parent != path.parent:
            raise
        raise InputError(error.filename, f"cannot be written: {error.strerror}") from None


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
    if row is not None and row[0] == str(FORMAT):
        return
    with suppress(sqlite3.OperationalError):  # older formats have no checksums
        sums = connection.execute("SELECT name, value, checksum FROM about").fetchall()
        if row is None or any(checksum(each[:2]) != each[2] for each in sums):
            return  # damaged, not of another format
    found = "unknown" if row is None else row[0]
    raise InputError(
        path,
        f"has format {found}, but this version reads format {FORMAT}; another version of "
        "clustersim made it, so run the study in a new folder",
    )
