"""Worker pools: this process, processes of this machine, a Dask cluster, or another executor."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import contextmanager
from typing import Any

from clustersim import interrupts
from clustersim.errors import InputError, shown
from clustersim.processes import WorkerDied, Workers, cores
from clustersim.source_code import this_code
from clustersim.studies.base import Base, Run
from clustersim.studies.store import Outcome
from clustersim.studies.worker import make_run

__all__ = ["WorkerPool", "dask_worker_pool", "executor_worker_pool", "process_worker_pool"]

MOST_DEATHS = 3
"""A run fails after this many deaths of its worker process."""
GIVEN_UP = f"its worker process died {MOST_DEATHS} times or more (killed, or out of memory)"
QUEUED_BY_DASK = 1000
"""Number of runs submitted to Dask beyond its number of workers, for workers that join later."""
POLL_S = 0.2
"""Time (seconds) between checks for a signal while an executor makes runs."""
CONNECT_S = 10
"""Time limit (seconds) for a Dask scheduler to answer, and then for a worker to be available."""


class WorkerPool(ABC):
    """Makes runs; a few are submitted in advance, so that no worker has to wait.

    Parameters
    ----------
    most : int
        Largest number of runs that are queued or under way at a time.
    workers : int
        Number of runs that are made at the same time.
    """

    def __init__(self, most: int, workers: int) -> None:
        self._most = most
        self.workers = workers
        self._waiting: deque[Run] = deque()
        self._deaths: dict[str, int] = {}
        self._tree: dict[str, Any] = {}
        self._window: dict[str, Any] = {}

    def add(self, runs: list[Run]) -> None:
        """Add runs at the end of the queue."""
        self._waiting.extend(runs)

    @property
    def room(self) -> int:
        """Number of runs that can be added without queueing in this process."""
        return self._most - len(self._waiting) - self._under_way()

    def outcomes(self, base: Base) -> Iterator[tuple[Run, Outcome]]:
        """Yield runs with their outcomes until no run is left; runs may be added meanwhile.

        Parameters
        ----------
        base : Base
            The scenario that the runs change.

        Raises
        ------
        InputError
            If the workers are lost, or their processes cannot start.
        Interrupted
            If a signal asks this process to end while it waits for a run.
        """
        self._tree, self._window = dict(base.tree), base.measured
        while self._waiting or self._under_way():
            yield from self._some()

    @abstractmethod
    def stop(self) -> None:
        """Cancel all runs that are not done."""

    @abstractmethod
    def _under_way(self) -> int:
        """Return the number of runs that were submitted and are not done."""

    @abstractmethod
    def _some(self) -> Iterator[tuple[Run, Outcome]]:
        """Submit runs, wait, and yield the runs that are done with their outcomes."""

    def _arguments(self, run: Run) -> tuple[Any, ...]:
        return run.key, self._tree, run.written, self._window, run.files

    def _after_death(self, run: Run, deaths: int, error: str = GIVEN_UP) -> Outcome | None:
        """Queue a run again, ahead of others; after too many deaths, return a failed outcome."""
        self._deaths[run.key] = self._deaths.get(run.key, 0) + deaths
        if self._deaths[run.key] < MOST_DEATHS:
            self._waiting.appendleft(run)
            return None
        return Outcome(run.key, {}, error=error)


class SerialWorkerPool(WorkerPool):
    """Makes the runs in this process, one after another."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def stop(self) -> None:
        """See :meth:`WorkerPool.stop`."""

    def _under_way(self) -> int:
        return 0

    def _some(self) -> Iterator[tuple[Run, Outcome]]:
        run = self._waiting.popleft()
        with interrupts.allowed():
            outcome = make_run(*self._arguments(run))
        yield run, outcome


class ProcessWorkerPool(WorkerPool):
    """Makes runs in processes of this machine; replaces processes that die.

    Parameters
    ----------
    workers : int
        Number of runs that are made at the same time.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(2 * workers, workers)
        self._workers = Workers(workers, ["clustersim.studies.worker"])

    def stop(self) -> None:
        """See :meth:`WorkerPool.stop`."""
        self._workers.stop()

    def _under_way(self) -> int:
        return self._workers.under_way

    def _some(self) -> Iterator[tuple[Run, Outcome]]:
        while self._waiting:
            run = self._waiting[0]
            if not self._workers.offer(run, (make_run, self._arguments(run))):
                break
            self._waiting.popleft()
        try:
            for token, ended, value in self._workers.results():
                assert isinstance(token, Run)
                outcome = self._outcome_of(token, ended, value)
                if outcome is not None:
                    self._deaths.pop(token.key, None)
                    yield token, outcome
        except WorkerDied as error:
            raise InputError("workers", str(error)) from None

    def _outcome_of(self, run: Run, ended: bool, value: Any) -> Outcome | None:
        """Return the outcome of a run; None if it must be made again."""
        if not ended:
            return self._after_death(run, int(value))
        if isinstance(value, Outcome):
            return value
        # An exception of the run itself is in its outcome; here the result was lost in transfer.
        return self._after_death(run, 1, f"{type(value).__name__}: {value}")


class ExecutorWorkerPool(WorkerPool):
    """Makes runs with an executor given by the caller.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    workers : int
        Number of runs that it makes at the same time.
    ahead : int
        Number of additional runs submitted, so that no worker has to wait.
    """

    def __init__(self, executor: Executor, workers: int, *, ahead: int = 0) -> None:
        super().__init__(workers + ahead, workers)
        self._executor = executor
        self._futures: dict[Future[Outcome], Run] = {}

    def stop(self) -> None:
        """See :meth:`WorkerPool.stop`."""
        for future in self._futures:
            future.cancel()

    def _under_way(self) -> int:
        return len(self._futures)

    def _some(self) -> Iterator[tuple[Run, Outcome]]:
        try:
            self._submit()
            yield from self._collect()
        except BrokenExecutor as error:
            raise InputError("executor", f"broke: {error}; finished runs are kept") from None

    def _submit(self) -> None:
        # After a death, the runs that were under way are made one by one, to find the cause.
        suspected = any(run.key in self._deaths for run in self._waiting)
        most = 1 if suspected else self._most
        while self._waiting and len(self._futures) < most:
            run = self._waiting[0]
            future = self._executor.submit(make_run, *self._arguments(run))
            self._waiting.popleft()
            self._futures[future] = run

    def _collect(self) -> Iterator[tuple[Run, Outcome]]:
        done: set[Future[Outcome]] = set()
        while not done:
            # An exception within wait() could leave a lock of the executor acquired.
            done, _ = wait(self._futures, timeout=POLL_S, return_when=FIRST_COMPLETED)
            interrupts.check()
        for future in sorted(done, key=_has_no_result):  # no result is lost if the executor breaks
            run = self._futures[future]
            outcome = self._outcome_of(future, run)
            del self._futures[future]
            if outcome is not None:
                self._deaths.pop(run.key, None)
                yield run, outcome

    def _outcome_of(self, future: Future[Outcome], run: Run) -> Outcome | None:
        """Return the outcome of a run; None if it must be made again."""
        try:
            return future.result()
        except BrokenExecutor:
            raise
        except CancelledError:
            problem = "lost its workers or their scheduler; finished runs are kept"
            raise InputError("executor", problem) from None
        except Exception as error:
            # An error of the run itself is in its outcome; here run or result was lost in transfer.
            if type(error).__name__ == "KilledWorker":
                # From Dask, after several deaths; another run may have been the cause.
                return self._after_death(run, MOST_DEATHS - 1)
            return self._after_death(run, 1, f"{type(error).__name__}: {error}")


def _has_no_result(future: Future[Outcome]) -> bool:
    return future.cancelled() or future.exception() is not None


@contextmanager
def process_worker_pool(workers: int | None = None) -> Iterator[WorkerPool]:
    """Yield a pool of processes on this machine; with one worker, this process makes the runs.

    Parameters
    ----------
    workers : int, optional
        Number of processes; by default one per core that this process may use.
    """
    count = workers or cores()
    pool = SerialWorkerPool() if count == 1 else ProcessWorkerPool(count)
    try:
        yield pool
    finally:
        pool.stop()


@contextmanager
def executor_worker_pool(
    executor: Executor, workers: int | None = None, *, ahead: int | None = None
) -> Iterator[WorkerPool]:
    """Yield a pool that uses an executor given by the caller, who must shut it down.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    workers : int, optional
        Number of runs that it makes at the same time; by default the executor's own number of
        workers, else one per core.
    ahead : int, optional
        Number of additional runs submitted; by default equal to the number of workers.
    """
    known = int(workers or getattr(executor, "_max_workers", None) or cores())
    pool = ExecutorWorkerPool(executor, known, ahead=known if ahead is None else ahead)
    try:
        yield pool
    finally:
        pool.stop()


@contextmanager
def dask_worker_pool(address: str) -> Iterator[WorkerPool]:
    """Yield a pool of the workers of a Dask cluster.

    Parameters
    ----------
    address : str
        Address of its scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        If Dask is not installed, no scheduler answers, or the scheduler has no workers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--dask", "needs Dask; install it with: pip install 'clustersim[cluster]'"
        ) from None
    if not re.fullmatch(r"(\w+://)?\S+:\d+", address):
        problem = (
            f"must be a scheduler's address such as tcp://10.0.0.1:8786, found {shown(address)}"
        )
        raise InputError("--dask", problem)
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
        with executor_worker_pool(executor, threads, ahead=QUEUED_BY_DASK) as pool:
            yield pool


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Silence loggers of libraries; relevant errors are raised, or are in the outcome of a run."""
    loggers = [log for name in names if not (log := logging.getLogger(name)).disabled]
    for log in loggers:
        log.disabled = True
    try:
        yield
    finally:
        for log in loggers:
            log.disabled = False


def _check_versions(client: Any) -> None:
    """Check that the workers of a Dask cluster have the same code as this process."""
    try:
        versions = set(client.run(_version).values())
    except Exception as error:
        problem = f"the workers cannot use clustersim: {type(error).__name__}: {error}"
        raise InputError("--dask", problem) from None
    if versions != {_version()}:
        found = ", ".join(sorted(versions))
        raise InputError(
            "--dask",
            f"the workers have {found}, but this process has {_version()}; use the same code",
        )


def _version() -> str:
    return str(this_code())
