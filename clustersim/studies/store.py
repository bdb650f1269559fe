"""The store of the runs of a study: one SQLite file in the study's folder.

SQLite is used instead of one Parquet file per run because a run is one small row, appended as soon
as it is done, and transactions are atomic even if a process is killed.  Ten thousand runs would be
ten thousand Parquet files to open.  One SQLite file of ten thousand rows opens in milliseconds, can
be searched by key, and can be read with any SQLite shell.  Only the process that executes the study
writes to it.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown
from clustersim.outputs import locked
from clustersim.simulation.result import PROVENANCE
from clustersim.source_code import Code
from clustersim.studies.run_key import code_hash
from clustersim.studies.store_check import (
    COLUMNS,
    KEYS,
    SQLITE_ERRORS,
    Total,
    checksum,
    damages,
    sound_rows,
    total_name,
)
from clustersim.workload.columns import shortened

__all__ = ["Outcome", "Store", "open_store"]

FILE, LOCK = "runs.sqlite", "study.lock"
DRAFT = ".runs.draft.sqlite"
"""Name of a store while it is being created, so that an incomplete store is never used."""
FORMAT = 5
"""Version of the tables; a store of another version is rejected."""

_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL)
WITHOUT ROWID;
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE, checksum INTEGER NOT NULL
);
CREATE TABLE runs (
    key TEXT PRIMARY KEY,
    study INTEGER NOT NULL REFERENCES studies,
    changes TEXT NOT NULL,
    metrics TEXT NOT NULL,
    series BLOB NOT NULL,
    error TEXT NOT NULL,
    wall_s REAL NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE wanted (
    study INTEGER NOT NULL REFERENCES studies,
    request INTEGER NOT NULL,
    changes TEXT NOT NULL,
    key TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (study, request, changes)
) WITHOUT ROWID;
CREATE TABLE codes (
    hash TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    files TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a run.

    Attributes
    ----------
    key : str
        Hash of the run.
    metrics : dict of str to float
        Empty for a run that failed.
    series : float64 array
        See :class:`~clustersim.analysis.measures.Measured`.
    error : str
        Why the run failed; empty if it did not fail.
    wall_s : float
        Duration of the run in seconds.
    stops : bool
        Whether a user-defined metric failed, which stops the study; not stored.
    """

    key: str
    metrics: Mapping[str, float]
    series: Floats = field(default_factory=lambda: np.empty(0))
    error: str = ""
    wall_s: float = 0.0
    stops: bool = False

    @property
    def failed(self) -> bool:
        """Whether the run failed; it then has no metrics."""
        return bool(self.error)


class Store:
    """The runs of a study; see :func:`open_store`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def begin_study(self, document: Mapping[str, Any]) -> int:
        """Record the current study; return the number by which its runs refer to it."""
        text = json.dumps(document)
        with self._connection as connection:
            found = connection.execute("SELECT id FROM studies WHERE document = ?", (text,))
            row = found.fetchone()
            if row is None:
                last = connection.execute("SELECT coalesce(max(id), 0) FROM studies").fetchone()[0]
                row = (int(last) + 1,)
                self._write("studies", [(row[0], text)])
            self._note("study", str(row[0]))
            self._adopt_runs(int(row[0]))
        return int(row[0])

    def _adopt_runs(self, study: int) -> None:
        """Assign runs to this study if the record of their own study was lost to damage.

        Only a repair (:func:`_prepare`) leaves such runs.  They are identified by their hash alone.
        """
        lost = "study NOT IN (SELECT id FROM studies)"
        columns = COLUMNS["runs"]
        place = columns.index("study")
        found = self._connection.execute(f"SELECT {', '.join(columns)} FROM runs WHERE {lost}")
        rows = [(*row[:place], study, *row[place + 1 :]) for row in found]
        if rows:
            self._write("runs", rows, instead_of=(lost, ()))

    def note_code(self, code: Code) -> None:
        """Record the code that makes runs, so that a later version can list what has changed."""
        row = (code.hash, code.version, json.dumps(dict(code.files)))
        with self._connection:
            self._write("codes", [row], instead_of=("hash = ?", (code.hash,)))

    def codes(self) -> dict[str, Code]:
        """Return all versions of the code that made runs in this store, by hash."""
        found = self._connection.execute("SELECT hash, version, files FROM codes")
        return {key: Code(version, json.loads(files)) for key, version, files in found}

    def want(self, study: int, request: int, runs: Iterable[tuple[Mapping[str, Any], str]]) -> None:
        """Record which runs (changes and hash) a request of a study needs, finished or not.

        Earlier records of the same request are deleted, because a search may take another path once
        a file that its runs read has changed.
        """
        rows = [(study, request, json.dumps(changes), key) for changes, key in runs]
        with self._connection:
            self._write(
                "wanted",
                list({row[:3]: row for row in rows}.values()),
                instead_of=("study = ? AND request = ?", (study, request)),
            )

    def study(self) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any], str]]] | None:
        """Return the latest study, and the runs that it needs: request, changes and hash.

        Return None if the store has no study.
        """
        found = self._connection.execute(
            "SELECT id, document FROM studies JOIN about ON name = 'study' AND id = value"
        ).fetchone()
        if found is None:
            return None
        rows = self._connection.execute(
            "SELECT request, changes, key FROM wanted WHERE study = ?", (found[0],)
        )
        wanted = [(request, json.loads(changes), key) for request, changes, key in rows]
        return json.loads(found[1]), wanted

    def add(self, outcome: Outcome, *, study: int, changes: Mapping[str, Any]) -> None:
        """Store a run, replacing an earlier attempt; the file contains the run on return."""
        row = (
            outcome.key,
            study,
            json.dumps(changes),
            json.dumps(outcome.metrics),
            np.asarray(outcome.series, dtype="<f8").tobytes(),
            outcome.error,
            float(outcome.wall_s),
        )
        with self._connection:
            self._write("runs", [row], instead_of=("key = ?", (outcome.key,)))

    def _write(
        self,
        table: str,
        rows: Sequence[tuple[Any, ...]],
        *,
        instead_of: tuple[str, tuple[Any, ...]] = ("0", ()),
    ) -> None:
        """Write rows with their checksums in place of some others, and update the table's total."""
        where, values = instead_of
        found = self._connection.execute(f"SELECT checksum FROM {table} WHERE {where}", values)
        removed = [each for (each,) in found]
        added = [checksum(row) for row in rows]
        self._connection.execute(f"DELETE FROM {table} WHERE {where}", values)
        places = ", ".join("?" * (len(COLUMNS[table]) + 1))
        complete = ((*row, each) for row, each in zip(rows, added, strict=True))
        self._connection.executemany(f"INSERT INTO {table} VALUES ({places})", complete)
        name = total_name(table)
        before = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,))
        total = Total.read(before.fetchone()[0])
        self._note(name, str(total.changed(added=added, removed=removed)))

    def _note(self, name: str, value: str) -> None:
        row = (name, value, checksum((name, value)))
        self._connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?, ?)", row)

    def get(self, key: str) -> Outcome | None:
        """Return the outcome of a run by its hash; None if the store does not have it."""
        columns = "key, metrics, series, error, wall_s"
        found = self._connection.execute(f"SELECT {columns} FROM runs WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else _outcome(row)

    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcomes of all runs by hash."""
        found = self._connection.execute("SELECT key, metrics, series, error, wall_s FROM runs")
        return {row[0]: _outcome(row) for row in found}

    def any_failed(self) -> bool:
        """Whether a run that the latest study needs has failed."""
        found = self._connection.execute(
            "SELECT 1 FROM wanted JOIN runs USING (key) JOIN about "
            "ON about.name = 'study' AND about.value = wanted.study WHERE runs.error != '' LIMIT 1"
        )
        return found.fetchone() is not None

    def finished(self) -> set[str]:
        """Return the hashes of finished runs."""
        return {key for (key,) in self._connection.execute("SELECT key FROM runs WHERE error = ''")}

    def made_by_other_code(self, code: Code) -> list[str]:
        """Return the hashes of finished runs that other code made, oldest first."""
        rows = self._connection.execute("SELECT key FROM runs WHERE error = '' ORDER BY rowid")
        return [key for (key,) in rows if code_hash(key) != code.hash]

    def run_named(self, start: str) -> str:
        """Return the full hash of a run, given its first characters.

        Raises
        ------
        InputError
            If no hash or more than one hash begins with these characters; the message lists
            candidates.
        """
        found = self._connection.execute(
            "SELECT key FROM runs WHERE substr(key, 1, ?) = ? ORDER BY key", (len(start), start)
        )
        keys = [str(key) for (key,) in found] if start else []
        if start in keys:
            return start
        if len(keys) == 1:
            return keys[0]
        if keys:
            problem = f"{len(keys):,} runs begin with {start!r}: {shortened(keys, 6)}"
            raise InputError(self.path.parent, f"{problem}; give more characters")
        raise InputError(self.path.parent, self._no_run(start))

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
        keys = [str(found) for (found,) in self._connection.execute("SELECT key FROM runs")]
        near = difflib.get_close_matches(key[:_MOST_COMPARED], sorted(keys)[:_MOST_COMPARED_RUNS])
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        elif keys:
            hint = f"its runs are {shortened(sorted(keys), 3)}; see the column `run` of runs.csv"
        else:
            hint = "it has no runs yet"
        return f"has no run {shown(key)}; {hint}"


_MOST_COMPARED, _MOST_COMPARED_RUNS = 64, 2000
"""Limits on the characters of an unknown hash and on the runs that are compared to find a match."""


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
    busy = "another study is running here (process {owner}); wait or stop it"
    with locked(folder / LOCK, busy, shows_owner=True) if write else nullcontext():
        with _problems(path, "is not a usable store of runs", UNUSABLE):
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


UNUSABLE = (
    "; if it was the store of this study, move it away and use --resume, which makes all runs again"
)


NO_DAMAGE = {
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
        connection.executescript(_TABLES)
        store = Store(path, connection)
        connection.execute("BEGIN")
        store._note("format", str(FORMAT))
        for table in KEYS:
            store._note(total_name(table), str(Total()))
            store._write(table, (rows or {}).get(table, ()))
        begun = [row[0] for row in (rows or {}).get("studies", ())]
        if begun:
            store._note("study", str(max(begun)))
        connection.execute("COMMIT")


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
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in NO_DAMAGE:
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
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in NO_DAMAGE:
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
