"""Lets the tests of this folder import the modules beside them, and count the runs they make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import clustersim.studies.executors
from clustersim.studies.worker import make_run

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hashes of the runs that this process makes."""
    made: list[str] = []

    def counted(key: str, *rest: Any) -> Any:
        made.append(key)
        return make_run(key, *rest)

    monkeypatch.setattr(clustersim.studies.executors, "make_run", counted)
    return made
