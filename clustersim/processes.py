"""Worker processes of this machine that make calls, and end when this process does.

``concurrent.futures.ProcessPoolExecutor`` shares locks between threads and processes.  An exception
that a signal raises while such a lock is taken leaves it taken: the executor's thread then waits
for ever, and the interpreter waits for that thread when it exits.  It also makes named semaphores,
which a killed process leaves in ``/dev/shm``.

Here each worker has a socket of its own and nothing is shared.  This process starts no thread and
waits in ``select`` alone, where an exception harms nothing.  The workers belong to a session of
their own, so that no signal of a terminal reaches them, and ignore what would interrupt them.  They
are forked from one process that has imported what they need (:mod:`clustersim.worker_host`) and are
ended by SIGKILL.
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
"""How long workers may take to end before the whole session is killed."""
AHEAD_BYTES = 32 * 1024
"""Largest call that is sent to a worker that is not idle: it fits into the buffer of a socket."""
MOST_FAILED_STARTS = 5
"""Workers in a row that may die before they can take a call."""

Call = tuple[Callable[..., Any], Sequence[Any]]


class WorkerDied(ClusterSimError):
    """A worker process ended in the midst of a call."""


class _Worker:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.calls: deque[object] = deque()
        self.ready = False


class Workers:
    """Worker processes, started when they are first needed.

    Parameters
    ----------
    count : int
        How many calls are made at the same time.
    modules : sequence of str
        What is imported before workers are forked.
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
        """How many calls were sent and not answered."""
        return sum(len(worker.calls) for worker in self._workers.values())

    def offer(self, token: object, call: Call) -> bool:
        """Send a call to a worker; return whether one could take it.

        Parameters
        ----------
        token : object
            Stands for the call in what :meth:`results` tells.
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
        with suppress(OSError), interrupts.allowed():  # OSError: it died; results() tells
            send(worker.connection, message)
        return True

    def results(self) -> Iterator[tuple[object, bool, Any]]:
        """Wait for calls and iterate over those that ended.

        Yields
        ------
        token : object
        ended : bool
            False where the call has to be made again: its worker died.
        value : object
            The result, or an exception that the call raised.  Where it has to be made again,
            whether this call was the one under way, as against one that waited behind it.

        Raises
        ------
        WorkerDied
            If workers die before they can take a call.
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
            told = array.array("i", [theirs.fileno()])
            self._control.sendmsg([b"w"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, told)])

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
        except subprocess.TimeoutExpired:  # not waited for, so that its number is still its own
            os.killpg(host.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                host.wait(END_S)

    def stop(self) -> None:
        """End the workers, whatever they are at."""
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
    """Yield what makes calls on so many workers and returns their results in order.

    What is yielded takes the calls, and optionally a function that is called with the number and
    the result of each call as soon as it is known.

    Raises
    ------
    WorkerDied
        (also later, from within) If a worker dies.

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
    """Cores that this process may use, as far as the system tells."""
    told = getattr(os, "sched_getaffinity", None)
    return len(told(0)) if told else os.cpu_count() or 1
