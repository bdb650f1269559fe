"""Finished verification runs of a plan, kept until the plan is complete.

The file has one line of JSON per run, which is appended as soon as the run is done.  Finished runs
are therefore never lost, even if the process is killed.  The first line contains the question of
the plan and the hashes of the code that makes the runs, so the plan can be continued without its
other files.  Each line has a checksum; runs on damaged lines are repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clustersim.analysis.samples import Sample
from clustersim.notes import note
from clustersim.outputs import locked
from clustersim.procurement.simulated_check import Service, SimulatedCheck
from clustersim.source_code import Code, changed_files, this_code
from clustersim.studies.file_hash import file_hash
from clustersim.studies.run_key import code_hash, run_key

__all__ = ["FILE", "KeptRuns", "question_of"]

FILE = "verification.jsonl"
DIGITS = 16


@dataclass(slots=True)
class _Kept:
    """A finished run: its result, the files and code behind it, and whether it was requested."""

    service: Service
    files: Mapping[str, str] = field(default_factory=dict)
    code: Code | None = None
    used: bool = False


class KeptRuns:
    """Finished runs, identified by the scenario with its files, the replication, and the code.

    Parameters
    ----------
    path : Path, optional
        File from which runs are read and to which new runs are appended.  Without a file, runs are
        kept only in memory.
    question : mapping, optional
        The question of the plan as plain data, which is stored in the file.
    """

    def __init__(self, path: Path | None = None, question: Mapping[str, Any] | None = None) -> None:
        self._path, self._question = path, question
        self._file: BinaryIO | None = None
        self._stack = ExitStack()
        self._runs: dict[str, _Kept] = {}
        if path is not None and path.exists():
            self._runs.update(_read(path))

    def close(self) -> None:
        """Release the file for other processes."""
        self._stack.close()
        self._file = None

    def begin(self) -> None:
        """Create the file, or open it to append runs; from then on, the plan can be resumed.

        Raises
        ------
        InputError
            If another process is using the file.
        """
        if self._path is None or self._file is not None:
            return
        with ExitStack() as stack:
            file = stack.enter_context(self._path.open("a+b"))
            busy = "another process is making this plan; wait for it or stop it"
            stack.enter_context(locked(self._path, busy))
            self._stack = stack.pop_all()
        self._file = file
        if file.seek(0, 2):
            file.seek(-1, 2)
            if file.read(1) != b"\n":  # an interrupt came within a line
                self._append(b"\n")
        code = _code()
        self._write(
            {"question": self._question, "version": code.version, "files": dict(code.files)}
        )

    def get(self, check: SimulatedCheck, replication: int) -> Service | None:
        """Return the service measured in a finished run; None if the run is not available."""
        run = self._runs.get(_key(check, replication))
        if run is None:
            return None
        run.used = True
        return run.service

    def add(self, check: SimulatedCheck, replication: int, service: Service) -> None:
        """Add a finished run, and write it to the file before returning."""
        key = _key(check, replication)
        self._runs[key] = _Kept(service, used=True)
        if self._path is None:
            return
        self.begin()
        row = {
            "run": key,
            "scenario": check.scenario,
            "replication": replication,
            "values": service.values,
            "jobs": service.jobs,
            "samples": [[own.count, own.values.tolist(), own.mean] for own in service.samples],
            "read": _files(check),
        }
        self._write(row)

    def explain_unused(self) -> None:
        """Print notes on why the unused runs of the file cannot be reused.

        This method is called when a run is missing.  Runs are made round by round, so the file has
        no runs of later rounds, and every unused run is one that cannot be reused.
        """
        unused = {key: run for key, run in self._runs.items() if not run.used}
        reasons = Counter(_reason(key, run) for key, run in unused.items())
        for reason, count in reasons.items():
            what = "1 run is" if count == 1 else f"{count:,} runs are"
            note(f"{self._path}: {what} repeated: {reason}")
        for run in unused.values():
            run.used = True

    def _write(self, row: Mapping[str, Any]) -> None:
        row = json.loads(json.dumps(row))
        self._append(json.dumps({**row, "checksum": _checksum(row)}).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line)
        self._file.flush()


def question_of(path: Path) -> Mapping[str, Any] | None:
    """Return the question of the plan to which a file of runs belongs; None if it is unknown."""
    rows = [row for row in _rows(path) if row is not None and "question" in row]
    question = rows[-1]["question"] if rows else None
    return question if isinstance(question, dict) else None


def _key(check: SimulatedCheck, replication: int) -> str:
    identity: dict[str, Any] = {
        "tree": check.tree,
        "workloads": check.workloads,
        "metric": check.metric,
        "replication": replication,
        "files": _files(check),
        "check": file_hash(str(Path(__file__).with_name("simulated_check.py"))),
    }
    return run_key(json.loads(json.dumps(identity, default=str)), this_code())


def _files(check: SimulatedCheck) -> dict[str, str]:
    """Return the hashes of the files that a run reads, by file name."""
    tree = check.tree
    named = [str(name) for name in tree.get("catalogue", ()) if isinstance(name, str)]
    named += [
        str(name).rpartition(":")[0] or str(name)
        for section in ("performance", "scheduler")
        for name in tree.get(section, {}).values()
        if isinstance(name, str)
    ]
    return {name: file_hash(name) for name in named}


def _code() -> Code:
    """Return the code that makes the runs, including the modules of this package."""
    code, folder = this_code(), Path(__file__).parent
    own = {f"procurement/{path.name}": file_hash(str(path)) for path in sorted(folder.glob("*.py"))}
    return Code(code.version, {**code.files, **own})


def _reason(key: str, run: _Kept) -> str:
    """Return why a run cannot be reused, that is, what has changed since it was made."""
    changed = [name for name, before in run.files.items() if file_hash(name) != before]
    if changed:
        return f"these files have changed: {', '.join(changed)}"
    now = this_code()
    if code_hash(key) != now.hash or (run.code is not None and run.code != _code()):
        what = "unknown" if run.code is None else changed_files(run.code, _code())
        by = run.code.version if run.code is not None else ""
        return (
            f"the code has changed from clustersim {by}".rstrip()
            + f" (code {code_hash(key)}) to {now}; differences: {what}"
        )
    return "the scenario or a file that it reads has changed"


def _checksum(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:DIGITS]


def _read(path: Path) -> Iterator[tuple[str, _Kept]]:
    bad, code = 0, None
    for row in _rows(path):
        try:
            if row is None:
                raise ValueError
            if "question" in row:
                code = Code(row["version"], row["files"])
                continue
            service = Service(row["values"], row["jobs"], [*_samples(row)])
            yield row["run"], _Kept(service, row.get("read", {}), code)
        except (ValueError, KeyError, TypeError):
            bad += 1
    if bad:
        note(f"{path}: damaged or incomplete lines: {bad}; these runs are repeated")


def _samples(row: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the distributions of a run; files of earlier versions have none."""
    for count, values, mean in row.get("samples", ()):
        yield Sample(count, np.array(values, dtype=np.float64), mean)


def _rows(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the content of each line of a file; None for a damaged line."""
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            recorded = row.pop("checksum")
            yield row if recorded == _checksum(row) else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield None
