"""Cases of one test, of which all but the first run with the full counts only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["REPEATED", "first_of"]

REPEATED = (pytest.mark.slow, pytest.mark.full)
"""Marks of a case that only `make verify FULL=1` runs."""


def first_of(cases: Iterable[Any], count: int = 1) -> list[Any]:
    """Return parameters of which `make test` runs the first `count`, and `make verify FULL=1` all.

    For cases that take the same way through the code and seconds each. A tuple has the values of
    several names.
    """
    listed = list(cases)
    values = (case if isinstance(case, tuple) else (case,) for case in listed[count:])
    return [*listed[:count], *(pytest.param(*each, marks=REPEATED) for each in values)]
