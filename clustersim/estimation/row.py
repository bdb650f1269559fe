"""One row of a table of training configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clustersim.units import MOST_CHIPS, format_number

__all__ = ["Row"]

MOST = 1e9
MOST_OF = dict.fromkeys(("n_accelerators", "global_batch", "seq_len"), float(MOST_CHIPS))
"""Upper limits by column, the same as for the estimate of one job."""
FLAGS = {"true": 1.0, "false": 0.0}
"""Words for the values of a switch."""
DENIALS = {"not", "no", "non", "without"}


class Row:
    """One row of a table, with the problems found in it.

    Attributes
    ----------
    values : mapping
        Texts or numbers by column.
    problems : list of str
        One line for each value that cannot be used.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        """Return a value as text; empty if it is missing."""
        value = self.values.get(name)
        if value is None or (isinstance(value, float) and np.isnan(value)):
            return ""
        return str(value).strip()

    def number(
        self,
        name: str,
        default: float | None = None,
        *,
        least: float = 1.0,
        most: float | None = None,
        whole: bool = True,
    ) -> float:
        """Read a number; if it is missing, return `default` or add a problem."""
        text = self.text(name)
        if not text:
            if default is None:
                self.problems.append(f"{name}: missing")
                return np.nan
            return default
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value) or value < least or (whole and value % 1):
            kind = "a whole number" if whole else "a number"
            self.problems.append(
                f"{name}: must be {kind} of at least {format_number(least, 6)}, found {text!r}"
            )
            return np.nan
        most = MOST_OF.get(name, MOST) if most is None else most
        if value > most:
            self.problems.append(
                f"{name}: must be at most {format_number(most, 6)}, found {text!r}"
            )
            return np.nan
        return value

    def flag(self, name: str, default: float) -> float:
        """Read a switch, given as 1, 0 or a word from :data:`FLAGS`."""
        text = self.text(name).lower()
        if text in FLAGS:
            return FLAGS[text]
        if text in ("0", "1", "0.0", "1.0", ""):
            return float(text) if text else default
        self.problems.append(f"{name}: must be 0 or 1, found {text!r}")
        return default

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """Read one of the allowed words; in a longer text, the last one counts (``bf16 + fp8``).

        A longer text must contain the whole word and no negation (``not full``).
        """
        text = self.text(name).lower() or default
        if text in allowed:
            return text
        said = _words(text)
        held = [word for word in allowed if f" {_words(word)} " in f" {said} "]
        if held and not set(said.split()) & DENIALS:
            return held[-1]
        self.problems.append(f"{name}: must be one of {', '.join(allowed)}, found {text!r}")
        return default


def _words(text: str) -> str:
    """Return the words of a text, separated by single spaces."""
    return " ".join(re.findall(r"[a-z0-9]+", text))
