"""The pages of the user guide, generated from the sections of the README."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Section", "linked", "sections", "slug"]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


@dataclass(frozen=True)
class Section:
    """A section of a Markdown text: its title and its text."""

    title: str
    text: str


def sections(text: str) -> list[Section]:
    """Split a Markdown text at its second-level headings; the first part precedes them all.

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
    """Return the page name of a section.

    Examples
    --------
    >>> slug("How long does a step take, and how certain is the estimate?")
    'how-long-does-a-step-take-and-how-certain-is-the-estimate'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def linked(text: str, places: dict[str, str], *, others: bool = False) -> str:
    """Redirect the links of a text to pages of the site.

    Parameters
    ----------
    text : str
        Markdown.
    places : dict of str to str
        Page or picture of the site by the path in the text, which may include an anchor.
    others : bool
        Whether other links are left unchanged.

    Raises
    ------
    KeyError
        If a link points to a file that is not part of the site, unless `others`.
    """

    def place(link: re.Match[str]) -> str:
        anchor = link[3] or ""
        if link[2] + anchor in places:
            return link[1] + places[link[2] + anchor] + link[4]
        target = places.get(link[2], link[2]) if others else places[link[2]]
        return link[1] + target + anchor + link[4]

    return _LINK.sub(place, text)
