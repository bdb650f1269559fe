"""Verification runs of a plan that are done, kept until the plan is complete.

One line of JSON a run, appended as soon as the run is done: whatever ends the process, and when,
the lines before it are in the file.  Each line has a checksum, so that a damaged one is simulated
again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clustersim.notes import note
from clustersim.planning import trial as trial_module
from clustersim.planning.trial import Service, Trial
from clustersim.source_code import this_code
from clustersim.studies.file_hash import file_hash
from clustersim.studies.run_key import run_key

__all__ = ["FILE", "KeptRuns"]

FILE = "verification.jsonl"
FIELDS = ("run", "scenario", "replication", "values", "jobs")
DIGITS = 16


class KeptRuns:
    """Runs by what they simulate: the scenario with its files, the replication, and the code.

    Parameters
    ----------
    path : Path, optional
        Where they are kept; its runs are read.  Without it they are held in memory alone.

    Attributes
    ----------
    found : int
        How many runs the file held.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._runs: dict[str, Service] = {}
        if path is not None and path.exists():
            self._runs.update(_read(path))
        self.found = len(self._runs)

    def get(self, trial: Trial, replication: int) -> Service | None:
        """Return a run that is done; None if it is not."""
        return self._runs.get(_key(trial, replication))

    def add(self, trial: Trial, replication: int, service: Service) -> None:
        """Keep a run; it is in the file when this returns."""
        key = _key(trial, replication)
        self._runs[key] = service
        if self._path is None:
            return
        fields = (key, trial.scenario, replication, service.values, service.jobs)
        row = dict(zip(FIELDS, fields, strict=True))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "checksum": _checksum(row)}) + "\n")


def _key(trial: Trial, replication: int) -> str:
    tree = trial.tree
    named = [str(name) for name in tree.get("catalogue", ()) if isinstance(name, str)]
    named += [
        str(name).rpartition(":")[0] or str(name)
        for section in ("performance", "scheduler")
        for name in tree.get(section, {}).values()
        if isinstance(name, str)
    ]
    identity: dict[str, Any] = {
        "tree": tree,
        "workloads": trial.workloads,
        "metric": trial.metric,
        "replication": replication,
        "files": {name: file_hash(name) for name in named},
        "trial": file_hash(str(trial_module.__file__)),
    }
    return run_key(json.loads(json.dumps(identity, default=str)), this_code())


def _checksum(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:DIGITS]


def _read(path: Path) -> Iterator[tuple[str, Service]]:
    bad = 0
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            told = row.pop("checksum")
            if told != _checksum(row):
                raise ValueError
            yield row["run"], Service(row["values"], row["jobs"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            bad += 1
    if bad:
        note(f"{path}: {bad} of its lines are damaged or incomplete; these runs are made again")
