"""Where the runs of a study are kept: one SQLite file in the study's folder.

SQLite rather than Parquet parts: a run is one small row, appended as soon as it is done, and a
transaction is in the file whole or not at all, whatever is killed and when.  Ten thousand parts
would be ten thousand files to open; one file of ten thousand rows opens in milliseconds, is
searched by its key, and can be read with any SQLite shell.  Only the process that conducts the
study writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from clustersim.errors import InputError

__all__ = ["Outcome", "Store", "open_store"]

FILE = "runs.sqlite"
FORMAT = 1
"""Version of the tables; a store of another one is refused."""

_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE studies (id INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
    key TEXT PRIMARY KEY,
    study INTEGER NOT NULL REFERENCES studies,
    changes TEXT NOT NULL,
    metrics TEXT NOT NULL,
    series BLOB NOT NULL,
    error TEXT NOT NULL,
    wall_s REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    key : str
        Hash of the run.
    metrics : dict of str to float
        Empty for a run that failed.
    series : float64 array
        See :class:`~clustersim.studies.measures.Measured`.
    error : str
        Why it failed; empty if it did not.
    wall_s : float
        How long it took.
    """

    key: str
    metrics: Mapping[str, float]
    series: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    error: str = ""
    wall_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether there are no metrics."""
        return bool(self.error)


class Store:
    """The runs of a study; see :func:`open_store`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def begin_study(self, document: Mapping[str, Any]) -> int:
        """Note the study as it is now; return the number that its runs refer to."""
        text = json.dumps(document, sort_keys=True)
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO studies (document) VALUES (?)", (text,))
        found = self._connection.execute("SELECT id FROM studies WHERE document = ?", (text,))
        return int(found.fetchone()[0])

    def add(self, outcome: Outcome, *, study: int, changes: Mapping[str, Any]) -> None:
        """Keep a run, in the place of an earlier attempt at it.

        Raises
        ------
        InputError
            If the disk is full or the file cannot be written.
        """
        row = (
            outcome.key,
            study,
            json.dumps(changes),
            json.dumps(outcome.metrics),
            np.asarray(outcome.series, dtype="<f8").tobytes(),
            outcome.error,
            outcome.wall_s,
        )
        try:
            with self._connection as connection:
                connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            raise InputError(self.path, f"cannot be written: {error}") from None

    def get(self, key: str) -> Outcome | None:
        """Return a run by its hash."""
        columns = "key, metrics, series, error, wall_s"
        found = self._connection.execute(f"SELECT {columns} FROM runs WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else _outcome(row)

    def outcomes(self) -> dict[str, Outcome]:
        """Return all runs by their hash."""
        found = self._connection.execute("SELECT key, metrics, series, error, wall_s FROM runs")
        return {row[0]: _outcome(row) for row in found}

    def finished(self) -> set[str]:
        """Hashes of the runs that did not fail."""
        return {key for (key,) in self._connection.execute("SELECT key FROM runs WHERE error = ''")}

    def origin(self, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the study that a run was made for and the run's changes of its base scenario.

        Raises
        ------
        InputError
            If there is no such run.
        """
        found = self._connection.execute(
            "SELECT document, changes FROM runs JOIN studies ON id = study WHERE key = ?", (key,)
        ).fetchone()
        if found is None:
            raise InputError(self.path.parent, self._no_run(key))
        return json.loads(found[0]), json.loads(found[1])

    def _no_run(self, key: str) -> str:
        begun = self._connection.execute(
            "SELECT key FROM runs WHERE key LIKE ? LIMIT 3", (f"{key[:4]}%",)
        )
        near = ", ".join(found for (found,) in begun)
        hint = f"did you mean {near}?" if near else "see the column run of its runs.csv"
        return f"has no run {key!r}; {hint}"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _outcome(row: tuple[Any, ...]) -> Outcome:
    key, metrics, series, error, wall_s = row
    return Outcome(key, json.loads(metrics), np.frombuffer(series, dtype="<f8"), error, wall_s)


@contextmanager
def open_store(folder: Path, *, write: bool = False) -> Iterator[Store]:
    """Open the store of a study's folder.

    Parameters
    ----------
    folder : Path
        The study's folder.
    write : bool
        Whether runs are to be added: the file is made if absent, and no other process may do the
        same in this folder until it is closed (or the process is gone).

    Raises
    ------
    InputError
        If there is no store, it is broken or of another format, or another process writes to it.
    """
    path = folder / FILE
    if not write and not path.is_file():
        raise InputError(folder, f"has no {FILE}; is it the folder of a study?")
    with _lock(folder) if write else _unlocked():
        try:
            connection = _connect(path, write)
        except sqlite3.DatabaseError as error:
            raise InputError(path, f"is not a usable store of runs: {error}") from None
        store = Store(path, connection)
        try:
            yield store
        finally:
            store.close()


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    if not write:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    else:
        connection = sqlite3.connect(path)
        # A write-ahead log: a transaction is one append; kill -9 loses none that was made.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.executescript(
                f"BEGIN; {_TABLES} INSERT INTO about VALUES ('format', '{FORMAT}'); COMMIT;"
            )
    try:
        told = connection.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        raise InputError(path, f"is not a store of runs: {error}") from None
    if told is None or told[0] != str(FORMAT):
        connection.close()
        found = "none" if told is None else told[0]
        raise InputError(path, f"is of format {found}; this version reads format {FORMAT}")
    return connection


@contextmanager
def _unlocked() -> Iterator[None]:
    yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other studies out of the folder; the system gives the lock back whatever happens."""
    path = folder / "study.lock"
    try:
        file: TextIO = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(folder, f"cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise InputError(
                folder, f"another study is running here (process {owner}); wait or stop it"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
