"""Cases of other schedulers, found by pattern in ``schedulers/peers`` below ``CLUSTERSIM_DATA``.

Nothing else of that folder has to be there. A set of cases that is absent gives one test that is
skipped with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reference_data import data_folder

__all__ = ["cases", "folders", "parametrised"]


def peers() -> Path:
    """Return the folder of the cases."""
    return data_folder() / "schedulers" / "peers"


def folders(pattern: str) -> list[Path]:
    """Return the folders of `peers` whose name matches a pattern, such as ``gavel_*``."""
    return sorted(path for path in peers().glob(pattern) if path.is_dir())


def cases(pattern: str) -> Iterator[dict[str, Any]]:
    """Yield the cases of all files that match a pattern, such as ``kueue*.json``."""
    for path in sorted(peers().glob(pattern)):
        yield from json.loads(path.read_text(encoding="utf-8"))["cases"]


def parametrised(
    pattern: str, chosen: Callable[[dict[str, Any]], bool] = lambda case: True
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test with each chosen case as its argument ``case``.

    Parameters
    ----------
    pattern : str
        Which files of the folder.
    chosen : callable
        Which of their cases, by their content.
    """
    found = [case for case in cases(pattern) if chosen(case)]
    if not found:
        absent = pytest.mark.skip(reason=f"no case of {pattern} in {peers()}")
        return pytest.mark.parametrize("case", [pytest.param(None, marks=absent, id="none")])
    return pytest.mark.parametrize("case", found, ids=[str(case["id"]) for case in found])
