"""Cases of one test, of which all but the first run with the full counts only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["REPEATED", "first_of"]

REPEATED = (pytest.mark.slow, pytest.mark.full)
"""Marks of a case that only `make verify FULL=1` runs."""


def first_of(cases: Iterable[Any]) -> list[Any]:
    """Return parameters of which `make test` runs the first, and `make verify FULL=1` the others.

    For cases that take the same way through the code and seconds each.
    """
    first, *others = cases
    return [first, *(pytest.param(case, marks=REPEATED) for case in others)]
