"""Worker processes on this machine that execute calls and end together with this process.

``concurrent.futures.ProcessPoolExecutor`` shares locks between threads and processes.  If a signal
raises an exception while such a lock is held, the lock is never released: the executor's thread
waits forever, and the interpreter waits for that thread at exit.  The executor also creates named
semaphores, which a killed process leaves in ``/dev/shm``.

Here each worker has a separate socket, and nothing is shared.  This process starts no thread and
waits only in ``select``, where an exception is harmless.  The workers run in a separate session, so
they receive no signals from a terminal, and they ignore interrupts.  They are forked from a single
process that has imported the required modules (:mod:`clustersim.worker_host`), and they are ended
by SIGKILL.
"""

from __future__ import annotations

import array
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from clustersim import interrupts
from clustersim.errors import ClusterSimError
from clustersim.worker_host import receive, send

__all__ = ["Call", "WorkerDied", "Workers", "cores", "run_calls"]

END_S = 2.0
"""Seconds that the workers have to end before the whole session is killed."""
AHEAD_BYTES = 32 * 1024
"""Largest call, in bytes, that is sent to a busy worker; it fits into the socket buffer."""
MOST_FAILED_STARTS = 5
"""Number of consecutive workers that may die before they can accept a call."""

Call = tuple[Callable[..., Any], Sequence[Any]]


class WorkerDied(ClusterSimError):
    """A worker process ended during a call."""


class _Worker:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.calls: deque[object] = deque()
        self.ready = False


class Workers:
    """Worker processes, started on first use.

    Parameters
    ----------
    count : int
        Largest number of calls that run at the same time.
    modules : sequence of str
        Modules to import before workers are forked.
    """

    def __init__(self, count: int, modules: Sequence[str] = ()) -> None:
        self.count = count
        self._modules = tuple(modules)
        self._host: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers: dict[int, _Worker] = {}
        self._failed_starts = 0

    @property
    def under_way(self) -> int:
        """Return the number of calls that were sent and have not been answered."""
        return sum(len(worker.calls) for worker in self._workers.values())

    def offer(self, token: object, call: Call) -> bool:
        """Send a call to a worker, and return whether a worker could accept it.

        Parameters
        ----------
        token : object
            Identifier of the call in :meth:`results`.
        call : tuple
            A function that can be imported, and its arguments.
        """
        if len(self._workers) < self.count and all(
            worker.calls for worker in self._workers.values()
        ):
            self._start()
        worker = min(self._workers.values(), key=lambda each: len(each.calls))
        if len(worker.calls) > 1:
            return False
        message = pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
        if worker.calls and len(message) > AHEAD_BYTES:
            return False
        worker.calls.append(token)
        with suppress(OSError), interrupts.allowed():  # OSError: it died, as results() will report
            send(worker.connection, message)
        return True

    def results(self) -> Iterator[tuple[object, bool, Any]]:
        """Wait until calls have ended, and yield each of them.

        Yields
        ------
        token : object
        ended : bool
            False if the call must be made again because its worker died.
        value : object
            The result, or the exception that the call raised.  If the call must be made again,
            this is True if the call was running, and False if it was waiting for another call.

        Raises
        ------
        WorkerDied
            If too many consecutive workers die before they can accept a call.
        """
        with interrupts.allowed():
            waiting = select.poll()
            for descriptor in self._workers:
                waiting.register(descriptor, select.POLLIN)
            ready = waiting.poll()
        for descriptor, _ in ready:
            worker = self._workers[descriptor]
            try:
                message = pickle.loads(receive(worker.connection))
            except EOFError:
                yield from self._after_death(descriptor)
                continue
            if not worker.ready:
                worker.ready, self._failed_starts = True, 0
                continue
            yield worker.calls.popleft(), True, _value(*message)

    def _after_death(self, descriptor: int) -> Iterator[tuple[object, bool, Any]]:
        worker = self._workers.pop(descriptor)
        worker.connection.close()
        self._failed_starts += not worker.ready
        if self._failed_starts > MOST_FAILED_STARTS:
            raise WorkerDied("the worker processes die as soon as they start")
        for number, token in enumerate(worker.calls):
            yield token, False, worker.ready and number == 0

    def _start(self) -> None:
        if self._host is not None and self._host.poll() is not None:
            self._end_host()
        if self._host is None:
            self._start_host()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        self._workers[ours.fileno()] = _Worker(ours)
        with theirs, suppress(OSError):  # the host died; the worker's end is then closed too
            descriptors = array.array("i", [theirs.fileno()])
            self._control.sendmsg([b"w"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])

    def _start_host(self) -> None:
        ours, theirs = socket.socketpair()
        code = f"import sys; sys.path[:] = {sys.path!r}; from clustersim.worker_host import serve; "
        code += f"serve({theirs.fileno()}, {self._modules!r})"
        with theirs:
            self._control = ours
            self._host = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _end_host(self) -> None:
        host, control = self._host, self._control
        if control is not None:
            control.close()
        if host is None:
            return
        self._host = self._control = None
        try:
            host.wait(END_S)
        except subprocess.TimeoutExpired:  # not reaped yet, so that its number is not reused
            os.killpg(host.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                host.wait(END_S)

    def stop(self) -> None:
        """End the workers, even in the middle of a call."""
        with interrupts.held():
            for worker in self._workers.values():
                worker.connection.close()
            self._workers.clear()
            self._end_host()


def _value(fine: bool, value: Any) -> Any:
    if not fine and not isinstance(value, Exception):
        return RuntimeError(f"{type(value).__name__}: {value}")
    return value


@contextmanager
def run_calls(count: int, modules: Sequence[str] = ()) -> Iterator[Callable[..., list[Any]]]:
    """Yield a function that makes calls on `count` workers and returns their results in order.

    The function takes the calls and, optionally, a callback that receives the index and the
    result of each call as soon as the result is available.

    Raises
    ------
    WorkerDied
        If a worker dies; this can also be raised inside the block.

    Examples
    --------
    >>> with run_calls(2) as run:
    ...     run([(pow, (2, 3)), (divmod, (7, 2))])
    [8, (3, 1)]
    """
    workers = Workers(count, modules)

    def run(calls: Sequence[Call], done: Callable[[Any, Any], None] | None = None) -> list[Any]:
        found: dict[object, Any] = {}
        waiting = deque(enumerate(calls))
        while len(found) < len(calls):
            while waiting and workers.offer(*waiting[0]):
                waiting.popleft()
            for token, ended, value in workers.results():
                if not ended:
                    raise WorkerDied("a worker process died (killed, or out of memory)")
                if isinstance(value, Exception):
                    raise value
                found[token] = value
                if done is not None:
                    done(token, value)
        return [found[number] for number in range(len(calls))]

    with interrupts.watched():
        try:
            yield run
        finally:
            workers.stop()


def cores() -> int:
    """Return the number of CPU cores available to this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
