"""Keeps messages of a solver away from standard output."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_output"]

_STDOUT = 1


def _flush() -> None:
    """Write out what C code has printed so far."""
    try:
        ctypes.CDLL(None).fflush(None)
    except (OSError, TypeError, AttributeError):  # no such library on this system
        return


@contextmanager
def without_output() -> Iterator[None]:
    """Discard what is printed to standard output, by C code as well.

    HiGHS prints a line of its own now and then, whatever its options say, which would end up in
    the middle of a command's output.

    Examples
    --------
    >>> import os
    >>> from clustersim.scheduling.programs.quiet import without_output
    >>> with without_output():
    ...     written = os.write(1, b"unwanted")
    >>> written
    8
    """
    try:
        _flush()
        kept = os.dup(_STDOUT)
    except OSError:  # there is no standard output
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDOUT)
        yield
    finally:
        _flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)
        os.close(nowhere)
