"""What separates the cells of tables in text."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

__all__ = ["QUOTING", "candidates", "resources_joined", "split_line"]

_USUAL = ("|", "\t", ";", ",", "^", "~", "!")
_UNUSUAL = re.compile(r"(?<=[\w\])])(?:[^\w\s\"'()\[\].,+:/=-]+|\s*_\|_\s*|\x1f|::)(?=[\w\[(])")
"""Separators that ``sacct --delimiter`` and ``condor_history -af:`` can be given besides."""
_RESOURCE = re.compile(r"[a-z][\w/:.-]*=\S+")
"""An entry of Slurm's TRES, which a list of TRES separates by commas."""
QUOTING = ("\t", ";", ",")
"""Separators of tables in which cells may be in quotes."""


def candidates(line: str) -> list[str]:
    """Return what may separate the cells of a line: the usual separators, then others."""
    found = _UNUSUAL.findall(line[:2000])
    others = [text for text in dict.fromkeys(found) if text not in _USUAL]
    others.sort(key=lambda text: -found.count(text))
    return [*(text for text in others if len(text) > 1), *_USUAL, *others]


def resources_joined(cells: Sequence[str]) -> list[str]:
    """Join the entries of Slurm's TRES, which commas divide like the columns.

    Examples
    --------
    >>> resources_joined(["7", "cpu=8", "gres/gpu=4", "cpu=16", "x"])
    ['7', 'cpu=8,gres/gpu=4', 'cpu=16', 'x']
    """
    joined: list[str] = []
    keys: set[str] = set()
    for cell in cells:
        key = cell.partition("=")[0] if _RESOURCE.fullmatch(cell) else ""
        if key and keys and key not in keys:
            joined[-1] += f",{cell}"
        else:
            joined.append(cell)
            keys = set()
        if key:
            keys.add(key)
    return joined


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of a line, with quotes and lists of TRES kept together."""
    if '"' in line and separator in QUOTING:
        cells = next(csv.reader([line], delimiter=separator), [])
    else:
        cells = line.split(separator)
    return resources_joined(cells) if separator == "," else cells
