"""Tables that commands print: with bars, tabs, commas, or in columns of blanks."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["TextTable", "find_table", "plain_name"]

_DASHES = re.compile(r"[-=+\s|]+$")
_LONG_TAIL = re.compile(r"reason|nodelist|features|comment|command", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table in a text.

    Attributes
    ----------
    names : tuple of str
        Column names as :func:`plain_name` gives them.
    rows : list of dict
        Cells by column name.
    malformed : list of str
        Lines that do not have the columns of the header.
    """

    names: tuple[str, ...]
    rows: list[dict[str, str]]
    malformed: list[str]


def plain_name(name: str) -> str:
    """Return a column name in lower case without blanks, bars and notes in parentheses.

    Examples
    --------
    >>> plain_name("NODELIST(REASON)"), plain_name("CPUS(A/I/O/T)"), plain_name("Tres-Per-Node")
    ('nodelistreason', 'cpusaiot', 'trespernode')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_table(
    text: str, known: Collection[str], columns: Sequence[str] = (), *, least: int = 2
) -> TextTable | None:
    """Return the table in a text; None if no line is a header.

    Parameters
    ----------
    text : str
        Lines before the header are ignored, and so are repeated headers.
    known : collection of str
        Plain names of columns; a header has at least `least` of them.
    columns : sequence of str
        Names of the columns of a text without a header.

    Examples
    --------
    >>> table = find_table("$ sinfo\\nNODELIST STATE\\ngpu01    idle\\n", {"nodelist", "state"})
    >>> table.rows
    [{'nodelist': 'gpu01', 'state': 'idle'}]
    """
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    if columns:
        header, names = -1, [plain_name(name) for name in columns]
        separator = _separator(lines[0]) if lines else None
    else:
        header, names, separator = _header(lines, known, least)
        if header < 0:
            return None
    body = [
        line
        for line in lines[header + 1 :]
        if not _DASHES.fullmatch(line) and _plain(line, separator) != names
    ]
    rows, malformed = [], []
    spans = _spans(lines[header], body, len(names)) if separator is None and header >= 0 else None
    for line in body:
        cells = _cells(line, separator, names, spans)
        if cells is None:
            malformed.append(line)
        else:
            rows.append(dict(zip(names, cells, strict=True)))
    return TextTable(tuple(names), rows, malformed)


def _header(
    lines: Sequence[str], known: Collection[str], least: int
) -> tuple[int, list[str], str | None]:
    for at, line in enumerate(lines):
        for separator in ("|", "\t", ",", ";", None):
            if separator is not None and separator not in line:
                continue
            names = _plain(line, separator)
            if sum(name in known for name in names) >= min(least, len(names)) and len(
                set(names) & set(known)
            ) * 2 >= len(names):
                return at, names, separator
    return -1, [], None


def _separator(line: str) -> str | None:
    return next((each for each in ("|", "\t", ",", ";") if each in line), None)


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    if separator == ",":
        return [cell.strip() for cell in next(csv.reader([line]))]
    cells = [cell.strip() for cell in line.split(separator)]
    return cells[:-1] if cells and not cells[-1] and line.rstrip().endswith(separator) else cells


def _plain(line: str, separator: str | None) -> list[str]:
    return [plain_name(name) for name in _split(line, separator)]


def _cells(
    line: str, separator: str | None, names: Sequence[str], spans: list[tuple[int, int]] | None
) -> list[str] | None:
    cells = _split(line, separator)
    if separator == "|" and len(cells) == len(names) + 1 and not cells[0]:
        cells = cells[1:]
    if len(cells) == len(names):
        return cells
    if separator is not None and len(cells) == len(names) - 1 and line.endswith(separator):
        return [*cells, ""]  # the last cell is empty
    if spans is not None:
        cut = [line[begin:end].strip() for begin, end in spans]
        return cut if any(cut) else None
    if len(cells) > len(names) and _LONG_TAIL.search(names[-1]):
        parts = (
            line.split(None, len(names) - 1)
            if separator is None
            else line.split(separator, len(names) - 1)
        )
        return [part.strip() for part in parts]
    return None


_USUAL_WIDTH = 20
"""Width of each column of ``sinfo -O`` and ``squeue -O``, which cuts values that are longer."""


def _regular(words: Sequence[tuple[int, int]], width: int) -> list[tuple[int, int]] | None:
    """Return columns of the usual width, if the header has them; None if not."""
    begins = [begin for begin, _ in words]
    if len(begins) < 2 or any(begin % _USUAL_WIDTH for begin in begins):
        return None
    return list(zip(begins, [*begins[1:], width], strict=True))


def _spans(header: str, body: Sequence[str], n_names: int) -> list[tuple[int, int]] | None:
    """Return where each column of a table in columns of blanks begins and ends.

    Columns are divided where every line has a blank; a gap under no gap of the header is in a cell.
    """
    width = max(map(len, [header, *body]), default=0)
    used = [False] * width
    for line in [header, *body]:
        for at, letter in enumerate(line):
            used[at] = used[at] or not letter.isspace()
    words = [found.span() for found in re.finditer(r"\S+", header)]
    if len(words) != n_names:
        return None
    begins = [0]
    for (_, end), (begin, _) in itertools.pairwise(words):
        gaps = [at for at in range(end, begin) if not used[at]]
        if not gaps:
            return _regular(words, width)
        begins.append(gaps[-1] + 1 if len(gaps) == begin - end else gaps[0] + 1)
    return list(zip(begins, [*begins[1:], width], strict=True))
