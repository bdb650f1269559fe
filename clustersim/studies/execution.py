"""Execution of a study: makes the runs that are not in its store, and stores their outcomes."""

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
from clustersim.studies.objective import NEEDED
from clustersim.studies.points import is_control
from clustersim.studies.run_key import code_hash, scenario_hash
from clustersim.studies.run_requests import RunRequest, run_requests
from clustersim.studies.spec import Replications
from clustersim.studies.store import Outcome, Store
from clustersim.studies.store_file import DRAFT, FILE, LOCK, open_store
from clustersim.studies.study import Study, define_study
from clustersim.studies.time_left import UNKNOWN, RequestState, TimedRun, TimeLeft, time_left

__all__ = ["STUDY_FILE", "Progress", "make_runs"]

STUDY_FILE = "study.yaml"
ESTIMATE_EVERY_S, ESTIMATE_SHARE = 0.5, 0.02
"""Time between estimates of the time left, and the largest share of time that they take."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a study.

    Attributes
    ----------
    done, failed, planned : int
        Runs in the store (including failed ones), failed runs, and runs known to be needed (a
        search or a stopping rule may need more).
    reused : int
        Runs that were already in the store.
    elapsed_s : float
    kept_old : int
        Reused runs that were made by other code.
    more : int
        Largest number of further runs that searches and stopping rules may need, by an estimate.
    left : TimeLeft
        Estimated range of the time that the remaining runs need.

    Examples
    --------
    >>> from clustersim.studies import Progress
    >>> Progress(done=30, failed=0, planned=120, reused=10, elapsed_s=8.0).per_s
    2.5
    """

    done: int
    failed: int
    planned: int
    reused: int
    elapsed_s: float
    kept_old: int = 0
    more: int = 0
    left: TimeLeft = UNKNOWN

    @property
    def text(self) -> str:
        """The progress as one line.

        Examples
        --------
        >>> Progress(28, 1, 48, 0, 12.0, more=66, left=TimeLeft(20.0, 93.0)).text
        '28 of 48 to 114 runs, 1 failed, 20 s to 93 s left'
        """
        most = f" to {self.planned + self.more:,}" if self.more else ""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} of {self.planned:,}{most} runs{failed}, {self.left.text}"

    @property
    def per_s(self) -> float:
        """Runs made per second."""
        return (self.done - self.reused) / self.elapsed_s if self.elapsed_s > 0 else 0.0


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
    """Make the runs of a study that are not in its folder yet.

    Parameters
    ----------
    study : Study, str, Path or mapping
        As for :func:`~clustersim.studies.study.define_study`.
    out : str or Path
        Folder of the store.  It must be new or, with `resume`, the folder of an earlier execution
        of this study.  The study may have changed since; runs with the same hash are reused.
    workers : int, optional
        Number of processes on this machine; by default one per core.  With an `executor`, the
        number of runs that it makes at the same time.
    executor : concurrent.futures.Executor, optional
        Executor that makes the runs instead of processes on this machine.
    dask : str, optional
        Address of a Dask scheduler whose workers make the runs.
    resume : bool
        Whether to continue the study in the folder.  Runs made by other code (another version or
        changed files of clustersim) are made again; a note lists the changes.
    keep_old : bool
        Whether to keep runs made by other code; the column ``code`` of the tables marks them.
    progress : callable, optional
        Function that is called after each run.

    Returns
    -------
    bool
        Whether all runs were made; False after an interrupt.

    Raises
    ------
    InputError
        If the folder cannot be used: it exists and `resume` is not set, it contains another study,
        or another process is running a study in it.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.studies import make_runs
    >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
    >>> base = {"cluster": "mixed-small", "workload": jobs}
    >>> changes = {"scheduler.policy": ["fcfs"]}
    >>> study = {"name": "one point", "base": base, "parameters": changes, "replications": 1}
    >>> make_runs(study, "out", workers=1)
    True
    >>> cs.load_result("out").runs["status"].unique().tolist()
    ['finished']
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
        raise InputError(folder, "exists and is not the folder of a study; choose a new folder")
    name = "?"
    if STUDY_FILE in names:
        name = str(read_yaml(folder / STUDY_FILE).get("name", "?"))
    if not resume:
        raise InputError(
            folder,
            f"contains the study {name!r}; continue it with --resume, or choose a new folder",
        )
    if name not in (study.spec.name, "?"):
        raise InputError(
            folder,
            f"contains the study {name!r}, not {study.spec.name!r}; choose another folder",
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
    """Write the resolved study atomically."""
    with replacing(path) as draft:
        draft.write_text(yaml_text(study.document()), encoding="utf-8")


def _old_runs(store: Store, stored: set[str], *, keep: bool) -> dict[str, str]:
    """Report runs made by other code; if they are kept, return the newest of each scenario.

    Runs that this code has also made are not reported.
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
            f"but this is {now}; differences: {what}. Runs that the study needs are "
            + (
                "kept because of --keep-old; the column code of the tables marks them."
                if keep
                else "made again; use --keep-old to keep them."
            )
        )
    return {scenario_hash(key): key for key in old} if keep else {}


class _Agenda:
    """Bookkeeping of an execution: pending requests, runs under way, and known outcomes."""

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
        self._noted: dict[int, list[str]] = {}
        self._wanted_by: dict[str, set[int]] = {}
        self._ready: deque[Run] = deque()
        self._done = self._failed = self._reused = self._kept_old = 0
        self._began = time.perf_counter()
        self._timed: dict[int, list[TimedRun]] = {}
        self._totals: dict[int, int] = {}
        self._left, self._more, self._estimate_at = UNKNOWN, 0, 0.0
        rule = study.spec.replications
        objective = study.spec.objective
        self._keeps_samples = bool(study.spec.capacity) or isinstance(rule, Replications)
        self._keeps_controls = isinstance(rule, Replications) and not study.spec.capacity
        self._kept = {
            *NEEDED,
            *([rule.metric] if isinstance(rule, Replications) else []),
            *([objective.metric] if objective else []),
        }

    def work(self, pool: WorkerPool) -> None:
        """Make all runs that are missing."""
        self._hand_over(pool)
        self._report(pool)
        for run, outcome in pool.outcomes(self._study.base):
            if outcome.stops:
                raise InputError(f"run {run.key}", f"{outcome.error}; finished runs are kept")
            self._store.add(outcome, study=self._number, changes=run.changes)
            self._done += 1
            self._failed += outcome.failed
            self._note(outcome)
            timed = TimedRun(time.perf_counter() - outcome.wall_s, outcome.wall_s)
            for number in sorted(self._wanted_by.pop(run.key)):
                self._timed.setdefault(number, []).append(timed)
                self._missing[number].discard(run.key)
                if not self._missing[number]:
                    self._ask(number)
            self._hand_over(pool)
            self._report(pool)

    def _hand_over(self, pool: WorkerPool) -> None:
        self._fill(pool.room)
        pool.add([self._ready.popleft() for _ in range(min(len(self._ready), max(0, pool.room)))])

    def _fill(self, room: int) -> None:
        """Ask the requests for runs, in order, until the given number of runs is ready."""
        while len(self._ready) < room and self._requests:
            request = self._requests.popleft()
            self._unasked -= request.at_least()
            number, self._asked = self._asked, self._asked + 1
            self._open[number], self._missing[number] = request, set()
            self._ask(number)

    def _ask(self, number: int) -> None:
        """Ask a request for runs until an outcome is missing; drop a request that is complete."""
        while True:
            interrupts.check()
            wanted = self._open[number].wanted(self._known)
            keys = [run.key for run in wanted]
            if self._noted.get(number) != keys:
                for part, runs in self._open[number].parts(wanted):
                    pairs = ((run.changes, self._key_in_store(run)) for run in runs)
                    self._store.want(self._number, part, pairs)
                self._noted[number] = keys
            fresh = [run for run in wanted if run.key not in self._known]
            if not fresh:
                self._totals[number] = len(wanted)
                del self._open[number], self._missing[number], self._noted[number]
                return
            missing = [run for run in fresh if self._is_missing(run, number)]
            if missing:
                return

    def _is_missing(self, run: Run, number: int) -> bool:
        """Return whether a run is missing; schedule a missing run, and note a stored outcome."""
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
        """Return the hash under which a run is stored, possibly made by other code (`keep_old`)."""
        if run.key in self._stored:
            return run.key
        return self._old.get(scenario_hash(run.key), run.key)

    def _note(self, outcome: Outcome) -> None:
        """Keep only the metrics of an outcome that requests need; the store has the rest."""
        names = self._kept & outcome.metrics.keys()
        if self._keeps_controls:
            names |= set(filter(is_control, outcome.metrics))
        kept = {name: outcome.metrics[name] for name in sorted(names)}
        samples = outcome.samples if self._keeps_samples else {}
        self._known[outcome.key] = Outcome(
            outcome.key, kept, error=outcome.error[:1], samples=samples
        )

    def _report(self, pool: WorkerPool) -> None:
        if self._progress is None:
            return
        least = sum(self._least_more(number) for number in self._open)
        planned = self._done + len(self._wanted_by) + self._unasked + least
        now = time.perf_counter()
        if now >= self._estimate_at or not self._open:
            states = self._states()
            self._left = time_left(states, workers=pool.workers)
            self._more = sum(state.most - state.total for state in states)
            cost_s = time.perf_counter() - now
            self._estimate_at = now + max(ESTIMATE_EVERY_S, cost_s / ESTIMATE_SHARE)
        self._progress(
            Progress(
                done=self._done,
                failed=self._failed,
                planned=planned,
                reused=self._reused,
                elapsed_s=time.perf_counter() - self._began,
                kept_old=self._kept_old,
                more=self._more,
                left=self._left,
            )
        )

    def _least_more(self, number: int) -> int:
        """Return how many runs an open request needs at least, beyond those that it wants now."""
        return max(0, self._open[number].at_least() - len(self._noted.get(number, ())))

    def _states(self) -> list[RequestState]:
        """Return the state of each request, for the estimate of the time left."""
        states = []
        for number in range(self._asked):
            runs = self._timed.get(number, [])
            if number not in self._open:
                total = self._totals[number]
                states.append(RequestState(runs, total, 0, total))
                continue
            more = self._least_more(number)
            total = len(self._noted.get(number, ())) + more
            most = max(total, self._open[number].at_most())
            states.append(RequestState(runs, total, len(self._missing[number]) + more, most))
        for request in self._requests:
            least = request.at_least()
            states.append(RequestState([], least, least, max(least, request.at_most())))
        return states
