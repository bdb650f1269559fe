"""The page of a result is written last: if this fails, the result stays usable."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clustersim.interrupts import last_words

__all__ = ["explained", "page_later", "printed_page"]


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


def page_later(folder: str | Path) -> str:
    """Return where a result is, and the command that writes its page.

    Examples
    --------
    >>> page_later("my runs")
    "the result is in my runs; clustersim report 'my runs' writes the page"
    """
    return (
        f"the result is in {folder}; clustersim report {shlex.quote(str(folder))} writes the page"
    )


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
    with explained(page_later(folder)):
        page = write()
    print(f"page: {page}")
    return page
