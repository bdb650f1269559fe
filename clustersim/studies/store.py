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
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.analysis.samples import Sample, pack, unpack
from clustersim.array_types import Floats
from clustersim.errors import InputError, shown
from clustersim.source_code import Code
from clustersim.studies.run_key import code_hash
from clustersim.studies.store_check import (
    COLUMNS,
    KEYS,
    Total,
    checksum,
    total_name,
)
from clustersim.workload.columns import shortened

__all__ = ["Outcome", "Store"]

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
    samples BLOB NOT NULL,
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
    series, samples
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
    samples: Mapping[str, Sample] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the run failed; it then has no metrics."""
        return bool(self.error)


class Store:
    """The runs of a study; see :func:`~clustersim.studies.store_file.open_store`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def fill(self, rows: Mapping[str, Sequence[tuple[Any, ...]]], *, version: int) -> None:
        """Create the tables of a new store, with the given rows by table, in one transaction."""
        self._connection.executescript(_TABLES)
        self._connection.execute("BEGIN")
        self._note("format", str(version))
        for table in KEYS:
            self._note(total_name(table), str(Total()))
            self._write(table, rows.get(table, ()))
        begun = [row[0] for row in rows.get("studies", ())]
        if begun:
            self._note("study", str(max(begun)))
        self._connection.execute("COMMIT")

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

        Only the repair of a damaged store leaves such runs.  Their hash alone identifies them.
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
            pack(outcome.samples),
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
        found = self._connection.execute(f"SELECT {_OUTCOME} FROM runs WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else _outcome(row)

    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcomes of all runs by hash."""
        found = self._connection.execute(f"SELECT {_OUTCOME} FROM runs")
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


_OUTCOME = "key, metrics, series, samples, error, wall_s"


def _outcome(row: tuple[Any, ...]) -> Outcome:
    key, metrics, series, samples, error, wall_s = row
    try:
        numbers = np.frombuffer(series, dtype="<f8")
        found = unpack(samples)
        return Outcome(key, json.loads(metrics), numbers, error, wall_s, samples=found)
    except (TypeError, ValueError, zlib.error):
        raise sqlite3.DatabaseError(f"the row of run {key} is damaged") from None
