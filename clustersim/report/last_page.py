"""The page of a result is written last: if this fails, the result stays usable."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clustersim.interrupts import last_words

__all__ = ["explained", "printed_page"]


@contextmanager
def explained(state: str) -> Iterator[None]:
    """Print the state of the result on stderr if the block fails, is interrupted, or is killed.

    Parameters
    ----------
    state : str
        Where the result is, and how to write what is missing.
    """
    with last_words(state):
        try:
            yield
        except BaseException:
            print(state, file=sys.stderr)
            raise


def printed_page(folder: str | Path, write: Callable[[], Path]) -> Path:
    """Write the page of the result in a folder, print its path, and return it.

    Parameters
    ----------
    folder : str or Path
        Folder that contains the complete result.
    write : callable
        Writes the page and returns its path.

    Raises
    ------
    InputError
        If the page cannot be written.
    """
    with explained(f"the result is in {folder}; clustersim report {folder} writes the page"):
        page = write()
    print(f"page: {page}")
    return page
