"""Texts and numbers of one row of a table of serving measurements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["RowError", "RowValues"]

_BLANK = {"", "nan", "none", "null", "na", "n/a", "-", "?", "unknown"}
_NUMBER = re.compile(r"(?:about|ca\.?|~|≈|>|<)?\s*([0-9][0-9,_]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\D*")
MOST = 1e15


class RowError(ValueError):
    """Why a row cannot be predicted, as one sentence."""


class RowValues:
    """One row; what cannot be read is ignored with a note.

    Attributes
    ----------
    notes : list of str
        Assumptions and values that are ignored.
    guessed : set of str
        What was assumed, by key of :data:`clustersim.inference.intervals.GUESSES`.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.notes: list[str] = []
        self.guessed: set[str] = set()

    def text(self, name: str) -> str:
        """Return a cell as text; empty if it is blank."""
        value = self.values.get(name)
        text = "" if value is None else str(value).strip()
        return "" if text.lower() in _BLANK else text

    def number(self, name: str, *, whole: bool = False) -> float:
        """Return a positive number; nan if the cell is blank or holds something else.

        Examples
        --------
        >>> row = RowValues({"tp": "8", "pp": "", "tpot_ms": "about 50"})
        >>> row.number("tp"), row.number("pp"), row.number("tpot_ms")
        (8.0, nan, 50.0)
        """
        text = self.text(name)
        if not text:
            return np.nan
        found = _NUMBER.fullmatch(text.lower())
        value = float(re.sub("[,_]", "", found[1])) if found else np.nan
        if not (0.0 < value < MOST) or (whole and value % 1):
            kind = "a whole number" if whole else "a number"
            self.notes.append(f"{name}: {text!r} is ignored; {kind} above 0 is expected.")
            return np.nan
        return value

    def assume(self, kind: str, text: str) -> None:
        """Record an assumption that widens the interval."""
        self.guessed.add(kind)
        self.notes.append(text)
