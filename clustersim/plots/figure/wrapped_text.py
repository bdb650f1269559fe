"""The width of text in a figure, and text broken into lines of a width."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

__all__ = ["text_width", "wrap"]


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal", family="DejaVu Sans")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def wrap(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Break text into lines of at most `width` points; split a word only if it alone is wider.

    Parameters
    ----------
    text : str
        Line breaks in the text are kept. A number stays on the same line as its unit.
    width, size : float
        Points.
    bold : bool

    Examples
    --------
    >>> wrap("mean wait of all jobs", 60.0, 7.5).splitlines()
    ['mean wait of', 'all jobs']
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in re.split(r"(?<!\d) +", paragraph):
            joined = f"{line} {word}".strip()
            if line and text_width(joined, size, bold=bold) > width:
                lines.append(line)
                joined = word
            while text_width(joined, size, bold=bold) > width and len(joined) > 1:
                head = _head(joined, width, size, bold)
                lines.append(head)
                joined = joined[len(head) :]
            line = joined
        lines.append(line)
    return "\n".join(lines)


def _head(word: str, width: float, size: float, bold: bool) -> str:
    """Return the part of a word for the first line: up to a separator, or an equal share."""
    most = next(
        (n - 1 for n in range(2, len(word) + 1) if text_width(word[:n], size, bold=bold) > width),
        len(word),
    )
    at = max(word.rfind(mark, 0, most) for mark in "._-/:")
    parts = math.ceil(len(word) / most)
    return word[: at + 1] if at >= 1 else word[: math.ceil(len(word) / parts)]
