"""Where runs are made: this process, processes of this machine, a Dask cluster, anything else."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from typing import Any

from clustersim.errors import InputError
from clustersim.source_code import this_code
from clustersim.studies.base import Base, Run
from clustersim.studies.store import Outcome
from clustersim.studies.worker import make_run

__all__ = ["Crew", "dask_crew", "executor_crew", "process_crew"]

MOST_DEATHS = 3
"""A run whose worker dies so often is given up."""
GIVEN_UP = f"its worker process died {MOST_DEATHS} times or more (killed, or out of memory)"
QUEUED_BY_DASK = 1000
"""Runs that Dask's scheduler has beyond its workers, so that workers that join later have some."""
CONNECT_S = 10
"""How long a Dask scheduler may take to answer, and to have a worker."""


class SerialExecutor(Executor):
    """Makes each run at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn` and return a future that is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Crew:
    """Makes runs on an executor, a few ahead of what its workers are at.

    Parameters
    ----------
    start : callable
        Returns an executor, also again after one broke (a worker was killed).
    workers : int
        How many runs are made at the same time.
    ahead : int
        How many more are handed to the executor, so that no worker waits for the next.
    started : multiprocessing.Event, optional
        Set by a worker process as it starts.  With it, a broken executor is replaced by a new one;
        without it, the executor is the caller's.
    """

    def __init__(
        self,
        start: Callable[[], Executor],
        workers: int,
        *,
        ahead: int = 0,
        started: Event | None = None,
    ) -> None:
        self._start = start
        self._most = workers + ahead
        self._started = started
        self._executor = start()
        self._waiting: deque[Run] = deque()
        self._under_way: dict[Future[Outcome], Run] = {}
        self._deaths: dict[str, int] = {}
        self._tree: dict[str, Any] = {}
        self._window: dict[str, Any] = {}

    def add(self, runs: list[Run]) -> None:
        """Have these runs made after those added before."""
        self._waiting.extend(runs)

    @property
    def room(self) -> int:
        """How many more runs it can take without any waiting here."""
        return self._most - len(self._waiting) - len(self._under_way)

    def outcomes(self, base: Base) -> Iterator[tuple[Run, Outcome]]:
        """Iterate over runs as they are done, until there are none left (more may be added).

        Parameters
        ----------
        base : Base
            The scenario that the runs change.

        Raises
        ------
        InputError
            If the executor is lost, or its processes cannot start.
        """
        self._tree, self._window = dict(base.tree), base.window.measured
        while self._waiting or self._under_way:
            try:
                self._submit()
                yield from self._collect()
            except BrokenExecutor as error:
                yield from self._after_a_break(error)

    def stop(self) -> None:
        """Give up what is not done."""
        for future in self._under_way:
            future.cancel()
        if self._started is not None:
            _end(self._executor)

    def _submit(self) -> None:
        # After a death, runs that were under way are made one by one: the next death tells which.
        suspected = any(run.key in self._deaths for run in self._waiting)
        most = 1 if suspected else self._most
        while self._waiting and len(self._under_way) < most:
            run = self._waiting[0]
            future = self._executor.submit(
                make_run, run.key, self._tree, run.written, self._window, run.files
            )
            self._waiting.popleft()
            self._under_way[future] = run

    def _collect(self) -> Iterator[tuple[Run, Outcome]]:
        done, _ = wait(self._under_way, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=_has_no_result):  # so that a break costs no result
            run = self._under_way[future]
            outcome = self._outcome_of(future, run)
            del self._under_way[future]
            if outcome is not None:
                self._deaths.pop(run.key, None)
                yield run, outcome

    def _outcome_of(self, future: Future[Outcome], run: Run) -> Outcome | None:
        """Return what became of a run; None if it is to be made again."""
        try:
            return future.result()
        except BrokenExecutor:
            raise
        except CancelledError:
            told = "is gone, with its workers or their scheduler; what was done is kept"
            raise InputError("executor", told) from None
        except Exception as error:
            # Not the run's own, which is in its outcome: it or its result was lost on the way.
            if type(error).__name__ == "KilledWorker":
                # Dask's, after several deaths, maybe beside the run that was to blame.
                return self._after_death(run, MOST_DEATHS - 1)
            return self._after_death(run, 1, f"{type(error).__name__}: {error}")

    def _after_a_break(self, error: BrokenExecutor) -> Iterator[tuple[Run, Outcome]]:
        """Start again with what was under way; give a run up that has killed its worker often."""
        if self._started is None:
            raise InputError("executor", f"broke: {error}; what was done is kept") from None
        if not self._started.is_set():
            raise InputError(
                "workers",
                "the worker processes die as soon as they start; a Python script that makes a "
                'study needs `if __name__ == "__main__":` around it, or workers=1',
            ) from None
        lost = list(self._under_way.values())
        self._under_way.clear()
        _end(self._executor)
        self._executor = self._start()
        for run in reversed(lost):
            outcome = self._after_death(run, 1)
            if outcome is not None:
                yield run, outcome

    def _after_death(self, run: Run, deaths: int, told: str = GIVEN_UP) -> Outcome | None:
        """Have a run made again, before others; or give it up, and tell why."""
        self._deaths[run.key] = self._deaths.get(run.key, 0) + deaths
        if self._deaths[run.key] < MOST_DEATHS:
            self._waiting.appendleft(run)
            return None
        return Outcome(run.key, {}, error=told)


def _has_no_result(future: Future[Outcome]) -> bool:
    return future.cancelled() or future.exception() is not None


@contextmanager
def process_crew(workers: int | None = None) -> Iterator[Crew]:
    """Yield a crew of processes of this machine; of this process alone for one worker.

    Parameters
    ----------
    workers : int, optional
        By default one a core that this process may use.
    """
    count = workers or _cores()
    if count == 1:
        yield Crew(SerialExecutor, 1)
        return
    context = _context()
    started = context.Event()
    crew = Crew(lambda: _processes(count, context, started), count, ahead=count, started=started)
    try:
        yield crew
    finally:
        crew.stop()


@contextmanager
def executor_crew(
    executor: Executor, workers: int | None = None, *, ahead: int | None = None
) -> Iterator[Crew]:
    """Yield a crew on an executor of the caller's, who ends it.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    workers : int, optional
        How many runs it makes at the same time; by default what it says of itself, else one a core.
    ahead : int, optional
        How many more it is given; by default as many.
    """
    known = int(workers or getattr(executor, "_max_workers", None) or _cores())
    crew = Crew(lambda: executor, known, ahead=known if ahead is None else ahead)
    try:
        yield crew
    finally:
        crew.stop()


@contextmanager
def dask_crew(address: str) -> Iterator[Crew]:
    """Yield a crew of the workers of a Dask cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        If Dask is not installed, no scheduler answers, or it has no workers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--dask", "needs Dask; install it with: pip install 'clustersim[cluster]'"
        ) from None
    if not re.fullmatch(r"(\w+://)?\S+:\d+", address):
        told = f"must be a scheduler's address such as tcp://10.0.0.1:8786, found {address!r}"
        raise InputError("--dask", told)
    connect: Any = Client  # distributed has no types
    try:
        client = connect(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError("--dask", f"no scheduler answers at {address!r}: {error}") from None
    with _silent("distributed.client", "tornado.application"), client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            raise InputError("--dask", f"the scheduler at {address} has no workers") from None
        _check_versions(client)
        threads = sum(client.nthreads().values())
        executor = client.get_executor(pure=False)
        with executor_crew(executor, threads, ahead=QUEUED_BY_DASK) as crew:
            yield crew


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Keep loggers of libraries still: what matters is raised, or in the outcome of a run."""
    loggers = [log for name in names if not (log := logging.getLogger(name)).disabled]
    for log in loggers:
        log.disabled = True
    try:
        yield
    finally:
        for log in loggers:
            log.disabled = False


def _check_versions(client: Any) -> None:
    """Check that workers of a Dask cluster have the code by whose hash runs are kept."""
    try:
        versions = set(client.run(_version).values())
    except Exception as error:
        told = f"its workers cannot use clustersim: {type(error).__name__}: {error}"
        raise InputError("--dask", told) from None
    if versions != {_version()}:
        found = ", ".join(sorted(versions))
        raise InputError("--dask", f"its workers have {found}, this is {_version()}")


def _version() -> str:
    return str(this_code())


def _cores() -> int:
    """Cores that this process may use, as far as the system tells."""
    told = getattr(os, "sched_getaffinity", None)
    return len(told(0)) if told else os.cpu_count() or 1


def _context() -> BaseContext:
    """Processes that inherit nothing but what they import: safe beside threads, quick to start."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clustersim.studies.worker"])
    return context


def _processes(workers: int, context: BaseContext, started: Event) -> ProcessPoolExecutor:
    started.clear()
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(started,)
    )


def _begin_worker(started: Event) -> None:
    """Leave an interrupt to the process that conducts the study, and end with it."""
    started.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def end_with_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _end(executor: Executor) -> None:
    """Stop an executor's processes without waiting for the runs under way."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
