"""A report as one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from clustersim.outputs import replacing, write_errors
from clustersim.report.cells import Cell, Column, Format, table_columns
from clustersim.report.grouped import repeats

__all__ = [
    "Answer",
    "Figure",
    "Listing",
    "Page",
    "Section",
    "Table",
    "answer_text",
    "render_page",
    "wrapped_answer",
    "write_page",
]

_SCROLLED_ROWS = 25
"""A table with more rows scrolls in a separate frame and has a filter."""
_PRINTED_CHARACTERS, _WRAPPED = 122, 16
"""In print, a row that needs more characters than the first number is shown as labelled values
below each other.  Texts of more characters than the second one are wrapped."""
_NARROW, _ENLARGED = 480.0, 1.7
"""A picture narrower than this (CSS pixels) is enlarged by this factor; others fill the page."""
_WIDE, _SHRUNK = 800.0, 0.7
"""A picture wider than this (CSS pixels) shrinks to this share at most; then it scrolls."""


@dataclass(frozen=True)
class Answer:
    """The card at the top of a page: the answer to its question.

    Parameters
    ----------
    sentence : str
        The answer in one sentence.
    label, value, interval : str
        Name of the number that carries the answer, the number with its unit, and its interval or
        range with the words that say which one it is.  Without a number, all three are empty.
    hinges_on : sequence of str
        What the answer depends on, one sentence each, the most important first.
    next_steps : sequence of str
        What to do next, one sentence each.

    Examples
    --------
    >>> answer = Answer("Half of the jobs wait.", "share of jobs that waited", "50 %", "40 to 60 %")
    >>> print(*answer_text(answer), sep="\\n")
    Answer: Half of the jobs wait.
      share of jobs that waited: 50 % (40 to 60 %)
    """

    sentence: str
    label: str = ""
    value: str = ""
    interval: str = ""
    hinges_on: Sequence[str] = ()
    next_steps: Sequence[str] = ()


def answer_text(answer: Answer) -> list[str]:
    """Return an answer as lines for the terminal."""
    lines = [f"Answer: {answer.sentence}"]
    if answer.value:
        interval = f" ({answer.interval})" if answer.interval else ""
        lines.append(f"  {answer.label}: {answer.value}{interval}")
    lines += [f"  hinges on: {text}" for text in answer.hinges_on]
    return lines + [f"  next: {text}" for text in answer.next_steps]


def wrapped_answer(answer: Answer, width: int = 100) -> str:
    """Return an answer as text for the terminal, with lines of at most `width` characters.

    Examples
    --------
    >>> print(wrapped_answer(Answer("Half of the jobs wait for an hour."), width=30))
    Answer: Half of the jobs wait
      for an hour.
    """
    indents = (("    " if line.startswith(" ") else "  ", line) for line in answer_text(answer))
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=own, break_on_hyphens=False)
        for own, line in indents
    )


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Parameters
    ----------
    title, caption : str
        What the figure shows, and what to note in it.
    svg : str
        The text of an SVG file written by matplotlib.
    """

    title: str
    svg: str
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a report, which a reader can sort.

    Parameters
    ----------
    title, caption : str
        What the table contains, and how to read it.
    frame : pandas.DataFrame
        Rows and columns, quantities in SI.
    labels : mapping of str to str
        Headings by column; by default the column's name without its unit.  One mapping may
        serve several tables: names of other columns are ignored, here and in `formats`.
    formats : mapping of str to callable
        Functions that format a finite number, by column.  By default the suffix of the column
        name gives the unit (``_s, _w, _bytes, _Bps, _cny``); other numbers get three digits.
    intervals : bool
        Whether to join ``m``, ``m_low`` and ``m_high`` in one cell, ``"12.3 min (11 to 14)"``.
    most_rows : int
        Maximum number of rows on the page, from the first row.
    file : str
        File with all rows, in the folder of the page; a link to it is below the table.
    groups : int
        Number of first columns whose equal values make groups of rows; repeated values are pale.
    hints : mapping of str to str
        Texts that appear over the headings, by column.
    printed : bool
        Whether print shows the rows; if not, it shows only the link to the file.
    prefixes, endless : mapping
        See :func:`~clustersim.report.cells.table_columns`.
    """

    title: str
    frame: pd.DataFrame
    caption: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, Format] = field(default_factory=dict)
    intervals: bool = True
    most_rows: int = 200
    file: str = ""
    groups: int = 0
    hints: Mapping[str, str] = field(default_factory=dict)
    printed: bool = True
    prefixes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    endless: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The text of a file, or commands, collapsed under a title.

    Without `printed`, print leaves it out, because other text of the page defines it.
    """

    title: str
    text: str
    printed: bool = True


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Parameters
    ----------
    title : str
        Heading, and entry in the table of contents.
    parts : sequence of str, Figure, Table or Listing
        Contents from top to bottom; a str is a paragraph.
    """

    title: str
    parts: Sequence[str | Figure | Table | Listing]


@dataclass(frozen=True)
class Page:
    """The contents of a report.

    Parameters
    ----------
    title, question : str
        Name of the study, run or plan, and the question that it answers.
    lead : sequence of str
        What a reader must know to judge the answer, one plain sentence each.
    sections : sequence of Section
        Evidence for the answer.
    footer : str
        Origin of the numbers: versions, seed.
    answer : Answer, optional
        The card at the top; None if there is no result yet.
    """

    title: str
    question: str
    lead: Sequence[str]
    sections: Sequence[Section]
    footer: str = ""
    answer: Answer | None = None


def render_page(page: Page) -> str:
    """Return the HTML text of a report; the same page gives the same text."""
    counts: Counter[str] = Counter()
    sections = [
        {
            "id": f"section-{number}",
            "title": section.title,
            "parts": [_view(part, counts) for part in section.parts],
        }
        for number, section in enumerate(page.sections, start=1)
    ]
    script = _data("page.js")
    digest = hashlib.sha256(script.encode()).digest()
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            sections=sections,
            css=Markup(_data("page.css")),
            script=Markup(script),
            script_hash=base64.b64encode(digest).decode(),
        )
    )


def write_page(page: Page, path: str | Path) -> Path:
    """Write a report atomically, so that readers never see a partial file.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    text = render_page(page).encode("utf-8", errors="xmlcharrefreplace")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(text)
    return path


@cache
def _data(name: str) -> str:
    return resources.files("clustersim.report").joinpath("data", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_data),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> str:
    """Keep each percent sign on the same line as its number."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _view(part: str | Figure | Table | Listing, counts: Counter[str]) -> dict[str, Any]:
    """Return the data of a part for the template; `counts` numbers the parts of each kind."""
    if isinstance(part, str):
        return {"kind": "paragraph", "text": part}
    kind = type(part).__name__.lower()
    counts[kind] += 1
    view: dict[str, Any] = {"kind": kind, "id": f"{kind}-{counts[kind]}", "part": part}
    if isinstance(part, Figure):
        view["source"] = _data_uri(part.svg)
        view["width"], view["least"] = _shown_widths(part.svg)
    elif isinstance(part, Table):
        view |= _table_view(part)
    return view


def _data_uri(svg: str) -> str:
    """Return a figure as the data URI of an image, which cannot run scripts or load anything."""
    data = svg.encode("utf-8", errors="xmlcharrefreplace")
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


def _shown_widths(svg: str) -> tuple[int, int]:
    """Return the width and the least width at which to show a picture (CSS pixels).

    The width is 0 if the picture fills the page, and the least width if that of the page will do.
    """
    found = re.search(r'<svg[^>]*? width="([\d.]+)(pt)?"', svg)
    if found is None:
        return 0, 0
    width = float(found[1]) * (4.0 / 3.0 if found[2] else 1.0)
    return (
        round(_ENLARGED * width) if width < _NARROW else 0,
        round(_SHRUNK * width) if width > _WIDE else 0,
    )


def _table_view(table: Table) -> dict[str, Any]:
    shown = table.frame.head(table.most_rows)
    columns = table_columns(
        shown,
        labels=table.labels,
        formats=table.formats,
        intervals=table.intervals,
        prefixes={name: texts[: len(shown)] for name, texts in table.prefixes.items()},
        endless=table.endless,
    )
    for place, same in enumerate(repeats(shown, table.groups)):
        pairs = zip(columns[place].cells, same, strict=True)
        columns[place] = replace(columns[place], cells=[replace(c, same=s) for c, s in pairs])
    return {
        "columns": [
            (_breakable(column.label), column.numeric, table.hints.get(column.name, ""))
            for column in columns
        ],
        "names": [_css_string(column.label) for column in columns],
        "spread": _print_width(columns) > _PRINTED_CHARACTERS,
        "rows": list(zip(*(column.cells for column in columns), strict=True)),
        "count": len(table.frame),
        "long": len(shown) > _SCROLLED_ROWS,
        "href": quote(table.file),
    }


def _print_width(columns: Sequence[Column]) -> int:
    """Return the characters that a row needs in print; long texts can be wrapped."""
    return sum(
        2
        + max(
            *(len(word) for word in ["", *column.label.split()]),
            *(min(len(cell.text), _WRAPPED) for cell in [Cell(""), *column.cells]),
        )
        for column in columns
    )


def _css_string(text: str) -> Markup:
    """Return a text as a string of CSS inside a style element."""
    safe = "".join(c if c.isalnum() or c in " .,-" else f"\\{ord(c):x} " for c in _prose(text))
    return Markup(f'"{safe}"')


def _breakable(label: str) -> Markup:
    """Return a heading that may be wrapped after the dots of a path."""
    return Markup(".<wbr>").join(escape(_prose(part)) for part in label.split("."))
