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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from clustersim.errors import InputError
from clustersim.source_code import Code
from clustersim.studies.run_key import code_hash

__all__ = ["Outcome", "Store", "open_store"]

FILE, LOCK = "runs.sqlite", "study.lock"
FORMAT = 3
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
);
CREATE TABLE wanted (
    study INTEGER NOT NULL REFERENCES studies,
    demand INTEGER NOT NULL,
    changes TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (study, demand, changes)
) WITHOUT ROWID;
CREATE TABLE codes (
    hash TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    files TEXT NOT NULL
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
        text = json.dumps(document)
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO studies (document) VALUES (?)", (text,))
            found = connection.execute("SELECT id FROM studies WHERE document = ?", (text,))
            number = int(found.fetchone()[0])
            connection.execute("INSERT OR REPLACE INTO about VALUES ('study', ?)", (str(number),))
        return number

    def note_code(self, code: Code) -> None:
        """Note the code that makes runs, so that later code can tell what it changed."""
        row = (code.hash, code.version, json.dumps(dict(code.files)))
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO codes VALUES (?, ?, ?)", row)

    def codes(self) -> dict[str, Code]:
        """Return all code that made runs here, by its hash."""
        found = self._connection.execute("SELECT hash, version, files FROM codes")
        return {key: Code(version, json.loads(files)) for key, version, files in found}

    def want(self, study: int, demand: int, runs: Iterable[tuple[Mapping[str, Any], str]]) -> None:
        """Note which runs, as changes and hash, a demand of a study wants, made or not.

        Those that it wanted before are forgotten: a search may go another way once a file that its
        runs read was changed.
        """
        rows = [(study, demand, json.dumps(changes), key) for changes, key in runs]
        with self._connection as connection:
            asked = (study, demand)
            connection.execute("DELETE FROM wanted WHERE study = ? AND demand = ?", asked)
            connection.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?)", rows)

    def study(self) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any], str]]] | None:
        """Return the study that was begun last, and what it wants: demand, changes and hash.

        None where none was begun.
        """
        found = self._connection.execute(
            "SELECT id, document FROM studies JOIN about ON name = 'study' AND id = value"
        ).fetchone()
        if found is None:
            return None
        rows = self._connection.execute(
            "SELECT demand, changes, key FROM wanted WHERE study = ?", (found[0],)
        )
        wanted = [(demand, json.loads(changes), key) for demand, changes, key in rows]
        return json.loads(found[1]), wanted

    def add(self, outcome: Outcome, *, study: int, changes: Mapping[str, Any]) -> None:
        """Keep a run, in the place of an earlier attempt at it; in the file when this returns."""
        row = (
            outcome.key,
            study,
            json.dumps(changes),
            json.dumps(outcome.metrics),
            np.asarray(outcome.series, dtype="<f8").tobytes(),
            outcome.error,
            outcome.wall_s,
        )
        with self._connection as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)

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

    def any_failed(self) -> bool:
        """Whether a run that the study begun last wants has failed."""
        found = self._connection.execute(
            "SELECT 1 FROM wanted JOIN runs USING (key) JOIN about "
            "ON about.name = 'study' AND about.value = wanted.study WHERE runs.error != '' LIMIT 1"
        )
        return found.fetchone() is not None

    def finished(self) -> set[str]:
        """Hashes of the runs that did not fail."""
        return {key for (key,) in self._connection.execute("SELECT key FROM runs WHERE error = ''")}

    def made_by_other_code(self, code: Code) -> list[str]:
        """Hashes of the runs that did not fail and that other code made, the oldest first."""
        rows = self._connection.execute("SELECT key FROM runs WHERE error = '' ORDER BY rowid")
        return [key for (key,) in rows if code_hash(key) != code.hash]

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


def _outcome(row: tuple[Any, ...]) -> Outcome:
    key, metrics, series, error, wall_s = row
    try:
        return Outcome(key, json.loads(metrics), np.frombuffer(series, dtype="<f8"), error, wall_s)
    except (TypeError, ValueError):
        raise sqlite3.DatabaseError(f"the row of run {key} is damaged") from None


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
        If there is no store, it is broken or of another format, another process writes to it, or
        (also later, from within) it cannot be read or written: the disk is full, say.
    """
    path = folder / FILE
    if not write and not path.is_file():
        raise InputError(folder, f"has no {FILE}; is it the folder of a study?")
    with _lock(folder) if write else nullcontext():
        with _faults(path, "is not a usable store of runs"):
            connection = _connect(path, write)
        with closing(connection), _faults(path, f"cannot be {'written' if write else 'read'}"):
            try:
                yield Store(path, connection)
            finally:
                if write:
                    _finish(connection)


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    mode = "rwc" if write else "ro"
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)
    try:
        if write and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.executescript(
                f"BEGIN; {_TABLES} INSERT INTO about VALUES ('format', '{FORMAT}'); COMMIT;"
            )
        _check_format(path, connection)
        if write:
            # A write-ahead log: a transaction is one append; kill -9 loses none that was made.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _finish(connection: sqlite3.Connection) -> None:
    """Leave one file alone, which can be read where nothing may be written."""
    with suppress(sqlite3.DatabaseError):  # such as a reader: the next study will do it
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _faults(path: Path, told: str) -> Iterator[None]:
    """Say of which file a fault of SQLite is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InputError(path, f"{told}: {error}") from None


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    told = connection.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
    if told is None or told[0] != str(FORMAT):
        found = "none" if told is None else told[0]
        told = "another version of clustersim made it; make the study in a new folder"
        raise InputError(path, f"is of format {found}; this version reads format {FORMAT}: {told}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other studies out of the folder; the system gives the lock back whatever happens."""
    path = folder / LOCK
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
        except OSError as error:
            raise InputError(path, f"cannot be locked: {error.strerror}") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
