"""The output of a command: text for people, or one JSON document for programs.

A command prints its text with ``print``.  ``--json`` and ``--quiet`` drop this text: within
:func:`printing`, everything that is printed on stdout is discarded, including what a policy or
metric of the user prints.  Stdout then contains the JSON document and nothing else.  Errors, notes
(:func:`~clustersim.notes.note`), and what :func:`warn` and :func:`repeat` print still reach the
user, on stderr.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TextIO

from clustersim.json_values import plain

__all__ = [
    "plain_notes",
    "printing",
    "repeat",
    "shows_progress",
    "warn",
    "wrapped_note",
    "write_document",
    "write_json",
]

_WIDTH = 100
"""Characters of a line on the terminal."""


@dataclass(frozen=True, slots=True)
class _Mode:
    stdout: TextIO | None = None
    text: bool = True
    json: bool = False
    quiet: bool = False


_mode = _Mode()


@contextmanager
def printing(*, json: bool = False, quiet: bool = False) -> Iterator[None]:
    """Set what the commands and reports within the block print.

    Parameters
    ----------
    json : bool
        Whether :func:`write_json` writes on stdout.  The text is dropped.
    quiet : bool
        Whether to drop the text and to show no progress.

    Examples
    --------
    >>> with printing(json=True):
    ...     print("2 jobs, waits of 60 s")
    ...     write_json({"jobs": 2, "mean_wait_s": 60.0})
    {
      "jobs": 2,
      "mean_wait_s": 60.0
    }
    """
    global _mode
    before = _mode
    _mode = _Mode(sys.stdout, text=not (json or quiet), json=json, quiet=quiet)
    try:
        if _mode.text:
            yield
        else:
            with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
                yield
    finally:
        _mode = before


def shows_progress() -> bool:
    """Return whether progress may be shown on stderr; not with ``--quiet``."""
    return not _mode.quiet


def warn(text: str) -> None:
    """Print a text about something wrong: with the other text, or on stderr if that is dropped."""
    print(text, file=None if _mode.text else sys.stderr, flush=True)


def repeat(text: str) -> None:
    """Print a part of the text, about something wrong, again on stderr if the text is dropped."""
    if not _mode.text:
        print(text, file=sys.stderr, flush=True)


def wrapped_note(text: str) -> str:
    """Return a note to the user as lines for the terminal.

    Examples
    --------
    >>> wrapped_note("no cost: the price of the chip is not known")
    'Note: no cost: the price of the chip is not known'
    """
    return textwrap.fill(f"Note: {text}", _WIDTH, subsequent_indent="  ")


def plain_notes(lines: Iterable[str]) -> list[str]:
    """Return notes for the JSON: each on one line, without the word that marks it in the text.

    Examples
    --------
    >>> plain_notes(["Note: the load was changed\\n  by --set"])
    ['the load was changed by --set']
    """
    return [" ".join(line.split()).removeprefix("Note: ") for line in lines]


def write_json(content: Any) -> None:
    """Write the result of a command on stdout if the user asked for JSON; otherwise do nothing.

    Parameters
    ----------
    content : object
        Any value that :func:`~clustersim.json_values.plain` accepts.
    """
    if _mode.json:
        text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
        print(text, file=_mode.stdout, flush=True)


def write_document(text: str) -> None:
    """Write a document, such as a schema, on stdout, also with ``--quiet``."""
    print(text, end="", file=_mode.stdout, flush=True)
