"""The JSON of a result, written after the result's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clustersim.console import write_json
from clustersim.interrupts import held

__all__ = ["write_last"]


def write_last(
    write: Callable[[], Path | None], content: Mapping[str, Any], folder: str | Path
) -> None:
    """Write the last files of a result, and then its JSON, which names the page.

    If `write` fails or is interrupted, the JSON is written without a page before the error goes on:
    the result itself is complete.

    Parameters
    ----------
    write : callable
        Writes the files and returns the path of the page; None if there is no page.
    content : mapping
        The result, for :func:`~clustersim.console.write_json`.
    folder : str or Path
        The folder of the result.
    """
    page = None
    try:
        page = write()
    finally:
        with held():
            write_json({**content, "folder": folder, "page": page})
