"""Running a study: what is missing in its store is made, and kept as soon as it is done."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clustersim import interrupts
from clustersim.errors import InputError
from clustersim.files import read_yaml, yaml_text
from clustersim.notes import note
from clustersim.outputs import new_folder, replacing
from clustersim.source_code import changed_files, this_code
from clustersim.studies.base import Run
from clustersim.studies.executors import (
    WorkerPool,
    dask_worker_pool,
    executor_worker_pool,
    process_worker_pool,
)
from clustersim.studies.run_key import code_hash, scenario_hash
from clustersim.studies.run_requests import RunRequest, run_requests
from clustersim.studies.spec import Replications
from clustersim.studies.store import DRAFT, FILE, LOCK, Outcome, Store, open_store
from clustersim.studies.study import Study, define_study

__all__ = ["STUDY_FILE", "Progress", "make_runs"]

STUDY_FILE = "study.yaml"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is.

    Attributes
    ----------
    done, failed, planned : int
        Runs that are in the store (failed ones among them), those that failed, and all that are
        known to be needed (a search or a stopping rule may need more).
    reused : int
        Runs that were in the store before.
    elapsed_s : float
    kept_old : int
        Those of the reused runs that other code made.
    """

    done: int
    failed: int
    planned: int
    reused: int
    elapsed_s: float
    kept_old: int = 0

    @property
    def per_s(self) -> float:
        """Runs made a second."""
        return (self.done - self.reused) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float:
        """Seconds that the runs left will take at this rate; infinite before the first."""
        left = self.planned - self.done
        if left == 0:
            return 0.0
        return left / self.per_s if self.per_s > 0 else float("inf")


def make_runs(
    study: str | Path | Mapping[str, Any] | Study,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    dask: str | None = None,
    resume: bool = False,
    keep_old: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> bool:
    """Make the runs of a study that its folder does not have yet.

    Parameters
    ----------
    study : Study, str, Path or mapping
        What :func:`~clustersim.studies.study.define_study` takes.
    out : str or Path
        A folder for the store: new, or with `resume` that of an earlier run of this study (also of
        one that was changed since: runs whose hash is the same are taken from it).
    workers : int, optional
        Processes of this machine; by default one a core.  With an `executor`, how many runs it
        makes at the same time.
    executor : concurrent.futures.Executor, optional
        Where runs are made instead.
    dask : str, optional
        Address of a Dask scheduler whose workers make the runs instead.
    resume : bool
        Whether to continue the study in the folder.  Runs that other code made (another version
        of clustersim, or changed files of it) are made again; a note says what changed.
    keep_old : bool
        Whether to keep such runs; the column ``code`` of the tables marks them.
    progress : callable, optional
        Called after each run.

    Returns
    -------
    bool
        Whether all runs are there; False after an interrupt.

    Raises
    ------
    InputError
        If the folder cannot be used: it exists and `resume` was not given, holds another study, or
        another process is running a study in it.
    """
    study = define_study(study)
    if workers is not None and workers < 1:
        raise InputError("workers", f"must be 1 or more, found {workers}")
    folder = Path(out)
    with interrupts.watched():
        if folder.exists():
            _check_folder(folder, study, resume=resume)
            return _conduct(
                study, folder, _worker_pool(workers, executor, dask), progress, keep_old
            )
        with new_folder(folder):
            return _conduct(
                study, folder, _worker_pool(workers, executor, dask), progress, keep_old
            )


def _worker_pool(
    workers: int | None, executor: Executor | None, dask: str | None
) -> AbstractContextManager[WorkerPool]:
    if dask is not None:
        return dask_worker_pool(dask)
    return (
        process_worker_pool(workers)
        if executor is None
        else executor_worker_pool(executor, workers)
    )


def _check_folder(folder: Path, study: Study, *, resume: bool) -> None:
    if not folder.is_dir():
        raise InputError(folder, "exists and is not a folder")
    names = {entry.name for entry in folder.iterdir()}
    if not names - {LOCK, DRAFT}:
        return
    if not names & {FILE, STUDY_FILE}:
        raise InputError(folder, "exists and is not the folder of a study; name a new one")
    name = "?"
    if STUDY_FILE in names:
        name = str(read_yaml(folder / STUDY_FILE).get("name", "?"))
    if not resume:
        raise InputError(
            folder, f"holds the study {name!r}; continue it with --resume, or name a new folder"
        )
    if name not in (study.spec.name, "?"):
        raise InputError(
            folder, f"holds the study {name!r}, not {study.spec.name!r}; name another folder"
        )


def _conduct(
    study: Study,
    folder: Path,
    pool: AbstractContextManager[WorkerPool],
    progress: Callable[[Progress], None] | None,
    keep_old: bool,
) -> bool:
    with pool as made_by, interrupts.held(), open_store(folder, write=True) as store:
        _write_study(study, folder / STUDY_FILE)
        try:
            _Agenda(study, store, progress, keep_old=keep_old).work(made_by)
        except KeyboardInterrupt:
            interrupts.taken()
            return False
    return True


def _write_study(study: Study, path: Path) -> None:
    """Write the study as it is resolved, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(yaml_text(study.document()), encoding="utf-8")


def _old_runs(store: Store, stored: set[str], *, keep: bool) -> dict[str, str]:
    """Tell of runs that other code made; return the newest of each scenario, if they are kept.

    Those that were also made by this code are not told of.
    """
    now = this_code()
    renewed = {scenario_hash(key) for key in stored if code_hash(key) == now.hash}
    old = [k for k in store.made_by_other_code(now) if scenario_hash(k) not in renewed]
    known = store.codes()
    for made_by, count in Counter(map(code_hash, old)).items():
        before = known.get(made_by)
        what = "unknown" if before is None else changed_files(before, now)
        note(
            f"{count:,} runs in {store.path.parent} were made by {before or f'code {made_by}'}, "
            f"and this is {now}; changed since: {what}. Those that the study needs are "
            + (
                "kept, as --keep-old says; the column code of the tables marks them."
                if keep
                else "made again; --keep-old would keep them."
            )
        )
    return {scenario_hash(key): key for key in old} if keep else {}


class _Agenda:
    """What is to be done, what is under way, and what is known."""

    def __init__(
        self,
        study: Study,
        store: Store,
        progress: Callable[[Progress], None] | None,
        *,
        keep_old: bool,
    ) -> None:
        self._study, self._store, self._progress = study, store, progress
        self._number = store.begin_study(study.document())
        self._requests = deque(run_requests(study.spec, study.base, study.points))
        self._unasked = sum(request.at_least() for request in self._requests)
        self._stored = store.finished()
        self._old = _old_runs(store, self._stored, keep=keep_old)
        store.note_code(this_code())
        self._known: dict[str, Outcome] = {}
        self._asked = 0
        self._open: dict[int, RunRequest] = {}
        self._missing: dict[int, set[str]] = {}
        self._noted: dict[int, int] = {}
        self._wanted_by: dict[str, set[int]] = {}
        self._ready: deque[Run] = deque()
        self._done = self._failed = self._reused = self._kept_old = 0
        self._began = time.perf_counter()
        rule = study.spec.replications
        objective = study.spec.objective
        self._kept = {
            "backlog_growth",
            "offered_load",
            *([rule.metric] if isinstance(rule, Replications) else []),
            *([objective.metric] if objective else []),
        }

    def work(self, pool: WorkerPool) -> None:
        """Make all runs that are missing."""
        self._hand_over(pool)
        self._report()
        for run, outcome in pool.outcomes(self._study.base):
            if outcome.stops:
                raise InputError(f"run {run.key}", f"{outcome.error}; what was done is kept")
            self._store.add(outcome, study=self._number, changes=run.changes)
            self._done += 1
            self._failed += outcome.failed
            self._note(outcome)
            for number in sorted(self._wanted_by.pop(run.key)):
                self._missing[number].discard(run.key)
                if not self._missing[number]:
                    self._ask(number)
            self._hand_over(pool)
            self._report()

    def _hand_over(self, pool: WorkerPool) -> None:
        self._fill(pool.room)
        pool.add([self._ready.popleft() for _ in range(min(len(self._ready), max(0, pool.room)))])

    def _fill(self, room: int) -> None:
        """Ask requests, one after the other, until so many runs are ready."""
        while len(self._ready) < room and self._requests:
            request = self._requests.popleft()
            self._unasked -= request.at_least()
            number, self._asked = self._asked, self._asked + 1
            self._open[number], self._missing[number] = request, set()
            self._ask(number)

    def _ask(self, number: int) -> None:
        """Ask a request what it wants until that is not known yet; forget it if all is."""
        while True:
            interrupts.check()
            wanted = self._open[number].wanted(self._known)
            if self._noted.get(number) != len(wanted):
                pairs = ((run.changes, self._key_in_store(run)) for run in wanted)
                self._store.want(self._number, number, pairs)
                self._noted[number] = len(wanted)
            fresh = [run for run in wanted if run.key not in self._known]
            if not fresh:
                del self._open[number], self._missing[number], self._noted[number]
                return
            missing = [run for run in fresh if self._is_missing(run, number)]
            if missing:
                return

    def _is_missing(self, run: Run, number: int) -> bool:
        """Take a run from the store, or have it made."""
        key = self._key_in_store(run)
        if key in self._stored:
            outcome = self._store.get(key)
            assert outcome is not None, "a run of the store is in it"
            self._note(replace(outcome, key=run.key))
            self._done += 1
            self._reused += 1
            self._kept_old += key != run.key
            return False
        self._missing[number].add(run.key)
        if run.key not in self._wanted_by:
            self._ready.append(run)
        self._wanted_by.setdefault(run.key, set()).add(number)
        return True

    def _key_in_store(self, run: Run) -> str:
        """Hash under which a run is in the store: its own, or that of other code that is kept."""
        if run.key in self._stored:
            return run.key
        return self._old.get(scenario_hash(run.key), run.key)

    def _note(self, outcome: Outcome) -> None:
        """Remember of an outcome what requests ask for; the rest is in the store."""
        kept = {name: outcome.metrics[name] for name in self._kept & outcome.metrics.keys()}
        self._known[outcome.key] = Outcome(outcome.key, kept, error=outcome.error[:1])

    def _report(self) -> None:
        if self._progress is None:
            return
        planned = self._done + len(self._wanted_by) + self._unasked
        self._progress(
            Progress(
                done=self._done,
                failed=self._failed,
                planned=planned,
                reused=self._reused,
                elapsed_s=time.perf_counter() - self._began,
                kept_old=self._kept_old,
            )
        )
