"""The list of plot kinds, as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from clustersim.studies.plot_kinds import PLOT_KINDS, PlotKind

__all__ = ["plot_lines", "plot_rows"]

WIDTH, INDENT = 100, "    "


def plot_lines() -> Iterator[str]:
    """Yield the lines that ``clustersim plots`` prints."""
    yield "An entry of plots in a study has a kind, the fields of the kind, and an optional title."
    for file, kinds in groupby(PLOT_KINDS.items.values(), key=lambda kind: kind.file):
        yield ""
        yield f"Registered by {file}" if file else "Built in"
        for kind in kinds:
            yield f"  {kind.name} ({_fields(kind)}): {kind.title}"
            yield textwrap.fill(
                kind.description, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
            )


def _fields(kind: PlotKind) -> str:
    """Return the fields of a plot kind as text; optional fields are in brackets."""
    fields = [name if name in kind.needs else f"[{name}]" for name in kind.takes]
    return ", ".join(fields) or "no fields"


def plot_rows() -> list[dict[str, Any]]:
    """Return one dict per plot kind."""
    return [
        {
            "name": kind.name,
            "title": kind.title,
            "description": kind.description,
            "takes": list(kind.takes),
            "needs": list(kind.needs),
            "file": kind.file or None,
        }
        for kind in PLOT_KINDS.items.values()
    ]
