"""Find the table in a text: its header, its separator, its rows, and the lines that are none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.workload.readers.site_logs.column_names import english_key
from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.separators import (
    QUOTING,
    candidates,
    resources_joined,
    split_line,
)

__all__ = ["TextTable", "find_table"]

_RULE = re.compile(r"\s*-{2,}(?:\s+-+)*\s*")
_RULES = re.compile(r"[\s|+=-]+")
_COMMAND = re.compile(r"=|--\w|[$#>] \w|\s-\w\s")
"""What a command that was pasted with the output has and no name of a column."""
_LEAST_NAMES = 3
"""A line with this many known names of columns is a header."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d{10,13}\b")


@dataclass(slots=True)
class TextTable:
    """A table in a text.

    Attributes
    ----------
    table : pandas.DataFrame
        Cells as texts, without blanks around them; the index is the number of the line.
    noise, malformed : dict of int to str
        Lines that are no records, and records that cannot be split into cells.
    cut : bool
        Whether columns have a fixed width, in which long values are cut and end in ``+``.
    separator : str
        What separates the cells; a blank for columns of fixed width.
    """

    table: pd.DataFrame
    noise: dict[int, str]
    malformed: dict[int, str]
    cut: bool = False
    separator: str = " "


def find_table(
    content: Content, columns: Sequence[str] | None = None, needed: Sequence[str] = ()
) -> TextTable | None:
    """Find the table in a text.

    Parameters
    ----------
    content : Content
        The text.
    columns : sequence of str, optional
        Names of the columns of a file that has no header.
    needed : sequence of str
        Names that the header must have, if the user has given some.

    Returns
    -------
    TextTable or None
        None if no line is a header.
    """
    lines = content.lines
    if columns is not None:
        return _without_header(content, list(columns))
    for at, line in enumerate(lines[:2000]):
        if not line.strip():
            continue
        rule = lines[at + 1] if at + 1 < len(lines) else ""
        if _RULE.fullmatch(rule) and " " in rule.strip() and _is_header(line.split(), needed):
            return _fixed_width(content, at)
        for separator in candidates(line):
            if separator in line:
                names = _names(line, separator)
                if _is_header(names, needed) and _is_followed(lines, at, separator, len(names)):
                    return _separated(content, at, separator, names)
    return _by_blanks(content, needed)


def _is_header(names: Sequence[str], needed: Sequence[str]) -> bool:
    if needed:
        return set(needed) <= {name.strip() for name in names}
    if any(re.match(r"\d", name) or _COMMAND.search(name) for name in names):
        return False
    roles = recognise(list(dict.fromkeys(names)))
    known = len(set(roles.names.values()) | set(roles.factors))
    return known >= _LEAST_NAMES and known >= len(names) / 5


def _is_followed(lines: Sequence[str], at: int, separator: str, width: int) -> bool:
    """Return whether one of the next lines has as many cells as a header, or there are none."""
    following = [line for line in lines[at + 1 : at + 40] if line.strip()]
    if not following:
        return True
    edge = separator if separator == "|" else ""
    if separator in QUOTING and any('"' in line for line in following):
        widths = [len(row) for row in csv.reader(following, delimiter=separator)]
    else:
        widths = [len(line.strip(" ").strip(edge or None).split(separator)) for line in following]
    if any(abs(found - width) <= 1 for found in widths):
        return True
    return separator == "," and any(
        len(resources_joined(line.split(","))) == width for line in following
    )


def _names(line: str, separator: str) -> list[str]:
    quoted = '"' in line and separator in QUOTING
    cells = next(csv.reader([line], delimiter=separator), []) if quoted else line.split(separator)
    names = [cell.strip().strip('"').lstrip("#").strip().lstrip("\ufeff") for cell in cells]
    while names and not names[-1]:
        names.pop()
    if names and not names[0] and separator == "|":
        names = names[1:]
    return [name or f"column {place}" for place, name in enumerate(names, 1)]


def _separated(content: Content, at: int, separator: str, names: list[str]) -> TextTable:
    if '"' in content.text and separator in QUOTING:
        rows, numbers = _quoted_rows(content, separator)
        return _sorted_rows(rows, numbers, names, separator, header=at + 1)
    return _plain_rows(content, names, separator, header=at + 1)


def _plain_rows(content: Content, names: list[str], separator: str, header: int = 0) -> TextTable:
    """Read rows without quotes: those that look like the header fast, the others one by one."""
    head = content.lines[header - 1].strip() if header else ""
    width = content.lines[header - 1].count(separator) if header else len(names) - 1
    good: list[str] = []
    places: list[int] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    first_name = names[0].lower()
    for number, line in enumerate(content.lines, 1):
        above = number < header and not _TIME.search(line)  # a command, a title
        if (
            not above
            and line.count(separator) == width
            and line[:1]
            not in (
                "#",
                separator,
                " ",
                '"',
                first_name[:1],
                first_name[:1].upper(),
            )
        ):
            good.append(line)
            places.append(number)
        elif line and not line.isspace():
            rows.append(line.split(separator))
            numbers.append(number)
    slow = _sorted_rows(rows, numbers, names, separator, header=header)
    if not good:
        return slow
    surplus = width + 1 - len(names)  # an empty cell after the last separator
    if surplus < 0 or (header and head and surplus > 1) or len(separator.encode()) > 1:
        return _sorted_rows(
            [*rows, *(line.split(separator) for line in good)],
            [*numbers, *places],
            names,
            separator,
            header=header,
        )
    table = pd.read_csv(
        io.StringIO("\n".join(good)),
        sep=separator,
        header=None,
        names=range(width + 1),
        dtype=object,
        quoting=csv.QUOTE_NONE,
        na_filter=False,
        index_col=False,
    ).iloc[:, : len(names)]
    table.columns = pd.Index(_distinct(names))
    table.index = pd.Index(places, name="line")
    if re.search(rf"\s{re.escape(separator)}|{re.escape(separator)}[^\S\n\t]", "\n".join(good)):
        for name in table:
            table[name] = table[name].str.strip()
    if len(slow.table):
        table = pd.concat([table, slow.table]).sort_index()
    return TextTable(table, slow.noise, slow.malformed, separator=separator)


def _quoted_rows(content: Content, separator: str) -> tuple[list[list[str]], list[int]]:
    """Return the cells of all lines that are not blank, and the numbers of the lines."""
    rows, numbers, before = [], [], 0
    reader = csv.reader(content.lines, delimiter=separator)
    for row in reader:
        if row and any(cell.strip() for cell in row):
            rows.append(row)
            numbers.append(before + 1)
        before = reader.line_num
    return rows, numbers


def _sorted_rows(
    rows: list[list[str]], numbers: list[int], names: list[str], separator: str, header: int = 0
) -> TextTable:
    """Sort lines into records, records that cannot be split, and lines that are no records."""
    width = len(names)
    edge = separator == "|"
    head, first_name = tuple(english_key(name) for name in names), names[0].lower()
    resources = separator == "," and any("TRES" in name.upper() for name in names)
    good: list[list[str]] = []
    places: list[int] = []
    noise: dict[int, str] = {}
    malformed: dict[int, str] = {}
    for number, row in _rejoined(rows, numbers, width):
        if number == header or (
            number == header + 1 and _RULES.fullmatch(separator.join(row).replace(":", ""))
        ):
            continue
        cells = resources_joined(row) if resources and len(row) > width else row
        if edge and len(cells) > width and not cells[-1].strip():
            cells = cells[:-1]
        if edge and len(cells) == width + 1 and not cells[0].strip():
            cells = cells[1:]
        if separator != "|" and len(cells) > width and not any(cells[width:]):
            cells = cells[:width]
        first = cells[0].strip()
        above = number < header and not _TIME.search(separator.join(row))
        if len(cells) == width and not first.startswith("#") and not above:
            again = first.strip('"#').lower() == first_name
            if again and tuple(english_key(cell) for cell in cells) == head:
                noise[number] = f"line {number}"
            else:
                good.append(cells)
                places.append(number)
        elif not above and _is_record(cells, width, separator.join(row)):
            malformed[number] = first
        else:
            noise[number] = f"line {number}"
    table = pd.DataFrame(
        good, columns=_distinct(names), index=pd.Index(places, name="line"), dtype=object
    )
    for name in table:
        table[name] = table[name].str.strip()
    return TextTable(table, noise, malformed, separator=separator)


def _rejoined(
    rows: list[list[str]], numbers: list[int], width: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the numbers of their lines; a row that an end of line divides is one again.

    ``sacct`` prints the ends of line that a comment or a command has.
    """
    at = 0
    while at < len(rows):
        row, after = rows[at], at + 1
        while (
            1 < len(row) < width
            and row[0][:1].isdigit()
            and after < len(rows)
            and numbers[after] == numbers[after - 1] + 1
            and len(row) + len(rows[after]) - 1 <= width
        ):
            row = [*row[:-1], f"{row[-1]} {rows[after][0]}", *rows[after][1:]]
            after += 1
        if len(row) == width and after > at + 1:
            yield numbers[at], row
            at = after
        else:
            yield numbers[at], rows[at]
            at += 1


def _is_record(cells: list[str], width: int, line: str) -> bool:
    """Return whether a line that has too many or too few cells is a record, not a message."""
    if cells[0].lstrip().startswith("#") or not cells[0].strip():
        return False
    alike = len(cells) > max(2, width / 2)
    return alike and bool(_TIME.search(line)) and bool(re.search(r"\d", cells[0]))


def _distinct(names: list[str]) -> list[str]:
    """Give a number to the second and later columns with the same name."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return found


def _fixed_width(content: Content, at: int) -> TextTable:
    """Read columns of fixed width by the rule of dashes under the header."""
    lines = content.lines
    spans = [match.span() for match in re.finditer(r"-+", lines[at + 1])]
    head, rule = lines[at].rstrip(), lines[at + 1].rstrip()
    names = [_slice(lines[at], span, spans, place).strip() for place, span in enumerate(spans)]
    numbers, texts, noise = [], [], {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or number in (at + 1, at + 2):
            continue
        if number < at + 1 or line.rstrip() in (head, rule) or not _fits_spans(line, spans):
            noise[number] = f"line {number}"
        else:
            numbers.append(number)
            texts.append(line)
    body = pd.Series(texts, index=pd.Index(numbers, name="line"), dtype=object)
    table = pd.DataFrame(
        {
            name: body.str.slice(start, end if place < len(spans) - 1 else None).str.strip()
            for place, (name, (start, end)) in enumerate(zip(_distinct(names), spans, strict=True))
        },
        index=body.index,
    )
    return TextTable(table, noise, {}, cut=True)


def _slice(line: str, span: tuple[int, int], spans: list[tuple[int, int]], place: int) -> str:
    return line[span[0] : span[1] if place < len(spans) - 1 else None]


def _fits_spans(line: str, spans: list[tuple[int, int]]) -> bool:
    """Return whether a line has blanks between the columns, as all records have."""
    if len(line.rstrip()) <= spans[0][1] and len(spans) > 1:
        return False
    gaps = [end for _, end in spans[:-1]]
    return all(line[gap : gap + 1] in (" ", "") for gap in gaps)


def _without_header(content: Content, names: list[str]) -> TextTable | None:
    """Read a table whose columns the user has named."""
    best: tuple[int, str] = (0, "")
    separators = dict.fromkeys(
        text for line in content.head[:20] for text in candidates(line) if line.strip()
    )
    for separator in separators:
        counts = [
            len(split_line(line.rstrip("|" if separator == "|" else ""), separator))
            for line in content.head
        ]
        fitting = sum(count == len(names) for count in counts)
        if fitting > best[0] and len(names) > 1:
            best = (fitting, separator)
    if best[0]:
        if '"' in content.text and best[1] in QUOTING:
            rows, numbers = _quoted_rows(content, best[1])
            return _sorted_rows(rows, numbers, names, best[1])
        return _plain_rows(content, names, best[1])
    texts = [(number, line.split()) for number, line in enumerate(content.lines, 1) if line.strip()]
    if all(len(cells) == len(names) for _, cells in texts):
        return _sorted_rows([cells for _, cells in texts], [n for n, _ in texts], names, " ")
    return _by_occupancy(content, names)


def _by_occupancy(content: Content, names: list[str]) -> TextTable | None:
    """Read columns of fixed width without a header: blanks in every line are between columns."""
    pairs = [(n, line) for n, line in enumerate(content.lines, 1) if line.strip()]
    lengths = pd.Series([len(line.rstrip("\n")) for _, line in pairs])
    usual = int(lengths.mode().iloc[0])
    body = [(n, line) for n, line in pairs if abs(len(line) - usual) <= 2 and _TIME.search(line)]
    if not body:
        return None
    width = max(len(line) for _, line in body)
    filled = np.zeros(width + 1, dtype=bool)
    for _, line in body:
        filled[: len(line)] |= np.frombuffer(line.encode("utf-32-le"), dtype=np.uint32) != 32
    edges = np.flatnonzero(np.diff(np.concatenate([[False], filled]).astype(int)))
    spans = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    numbers = [n for n, _ in body]
    if len(spans) == len(names):
        rows = [[line[first:last].strip() for first, last in spans] for _, line in body]
    else:
        rows = [re.sub(r"(CANCELLED) by \S+", r"\1", line).split() for _, line in body]
    noise = {n: f"line {n}" for n, _ in pairs if n not in set(numbers)}
    found = _sorted_rows(rows, numbers, names, " ")
    return TextTable(found.table, {**noise, **found.noise}, found.malformed, cut=True)


def _by_blanks(content: Content, needed: Sequence[str]) -> TextTable | None:
    """Read a table whose cells are separated by blanks.

    If most rows do not split into as many cells as the header has, since cells have blanks in them
    or are empty, cells begin where the names in the header begin.
    """
    for at, line in enumerate(content.lines[:2000]):
        names = line.split()
        if len(names) < _LEAST_NAMES or not _is_header(names, needed):
            continue
        texts = [(n, row) for n, row in enumerate(content.lines, 1) if row.strip()]
        rows = [re.split(r"\s{2,}", row.strip()) for _, row in texts]
        fitting = sum(len(row) == len(names) for row in rows)
        blanks = [row.split() for _, row in texts]
        if (split := sum(len(row) == len(names) for row in blanks)) >= fitting:
            rows = blanks
        if max(split, fitting) <= len(texts) / 2 and (spans := _left_aligned(line, texts)):
            rows = [[row[begin:end].strip() for begin, end in spans] for _, row in texts]
        return _sorted_rows(rows, [n for n, _ in texts], names, " ", header=at + 1)
    return None


def _left_aligned(header: str, texts: Sequence[tuple[int, str]]) -> list[tuple[int, int]] | None:
    """Return where columns begin and end, if most lines have a blank before the names above."""
    begins = [found.start() for found in re.finditer(r"\S+", header)]
    aligned = sum(all(row[at - 1 : at] in ("", " ") for at in begins if at) for _, row in texts)
    if aligned < 0.9 * len(texts):
        return None
    width = max(len(row) for _, row in texts)
    return list(zip(begins, [*begins[1:], max(width, begins[-1] + 1)], strict=True))
