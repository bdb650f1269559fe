"""The process from which worker processes are forked; see :mod:`clustersim.processes`.

This process imports the modules that workers need and then forks a worker for each socket that it
receives, so the modules are imported only once.  The process has a single thread.  When its parent
process ends, the socket between the two closes, and this process ends with its workers.
"""

from __future__ import annotations

import array
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from clustersim import interrupts

__all__ = ["receive", "send", "serve"]

LENGTH = struct.Struct("!Q")
"""Header of each message: its number of bytes."""


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message."""
    connection.sendall(LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket) -> bytes:
    """Receive one message.

    Raises
    ------
    EOFError
        If the other end is closed.
    """
    return _exactly(connection, LENGTH.unpack(_exactly(connection, LENGTH.size))[0])


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts, left = [], size
    while left:
        try:
            part = connection.recv(min(left, 2**20))
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def serve(descriptor: int, modules: Sequence[str]) -> None:
    """Fork a worker for each received socket; end all workers when the sender is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for name in modules:
        import_module(name)
    control = socket.socket(fileno=descriptor)
    children: set[int] = set()
    while (worker := _next_socket(control, children)) is not None:
        child = os.fork()
        if child == 0:
            control.close()
            _work(socket.socket(fileno=worker))
        os.close(worker)
        children.add(child)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def _next_socket(control: socket.socket, children: set[int]) -> int | None:
    """Return the descriptor of the next socket; None if the sender is gone."""
    while True:
        for child in [*children]:
            if os.waitpid(child, os.WNOHANG)[0]:
                children.discard(child)
        if select.select([control], [], [], 1.0 if children else None)[0]:
            break
    size = array.array("i").itemsize
    data, ancillary, _, _ = control.recvmsg(1, socket.CMSG_LEN(size))
    return array.array("i", ancillary[0][2][:size])[0] if data and ancillary else None


def _work(connection: socket.socket) -> None:
    """Answer calls until the other end is gone; this function never returns."""
    interrupts.own_process()
    try:
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        send(connection, pickle.dumps(os.getpid()))
        while True:
            function, arguments = pickle.loads(receive(connection))
            answer = _answer(function, arguments)
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            send(connection, answer)
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _answer(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    """Return the result of a call, or the exception that it raised, as bytes."""
    try:
        return pickle.dumps((True, function(*arguments)), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        try:
            message = pickle.dumps((False, error))
            pickle.loads(message)
        except Exception:
            message = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return message


def _end_with(connection: socket.socket) -> None:
    """End this process when the other end of its socket is gone, even during a call."""
    gone = select.poll()
    gone.register(connection, 0)  # reports a hang-up only, no data
    gone.poll()
    os._exit(0)
