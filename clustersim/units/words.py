"""Words of texts: numbers with their nouns, lists, and sentences."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["capital", "counted", "listed"]


def capital(text: str) -> str:
    """Return a text with a capital first letter.

    Examples
    --------
    >>> capital("mean wait"), capital("")
    ('Mean wait', '')
    """
    return f"{text[:1].upper()}{text[1:]}"


def listed(names: Sequence[str]) -> str:
    """Return names as one text, such as ``a, b and c``.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the singular for 1.

    Examples
    --------
    >>> counted(1, "job"), counted(1200, "job"), counted(2, "job has", "jobs have")
    ('1 job', '1,200 jobs', '2 jobs have')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
