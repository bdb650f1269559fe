"""The pages of the user guide, made from the sections of the README."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Section", "linked", "sections", "slug"]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


@dataclass(frozen=True)
class Section:
    """A section of a Markdown text: its title and what follows."""

    title: str
    text: str


def sections(text: str) -> list[Section]:
    """Split a Markdown text at its headings of the second level; the first is what precedes them.

    Examples
    --------
    >>> [section.title for section in sections("# A\\n\\nText\\n\\n## B\\n\\nMore\\n")]
    ['A', 'B']
    """
    fenced = [(block.start(), block.end()) for block in _FENCE.finditer(text)]
    heads = [
        head
        for head in re.finditer(r"^##? (.+)$", text, re.MULTILINE)
        if not any(begin <= head.start() < end for begin, end in fenced)
    ]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        Section(head[1].strip(), text[head.end() : end].strip() + "\n")
        for head, end in zip(heads, ends, strict=True)
    ]


def slug(title: str) -> str:
    """Return the name of the page of a section.

    Examples
    --------
    >>> slug("How long does a step take, and how sure is that?")
    'how-long-does-a-step-take-and-how-sure-is-that'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def linked(text: str, places: dict[str, str], *, others: bool = False) -> str:
    """Let the links of a text lead to pages of the site.

    Parameters
    ----------
    text : str
        Markdown.
    places : dict
        Page or picture of the site by the path in the text.
    others : bool
        Whether other links stay as they are.

    Raises
    ------
    KeyError
        If a link leads to a file that is not part of the site, unless `others`.
    """

    def place(link: re.Match[str]) -> str:
        target = places.get(link[2], link[2]) if others else places[link[2]]
        return link[1] + target + (link[3] or "") + link[4]

    return _LINK.sub(place, text)
