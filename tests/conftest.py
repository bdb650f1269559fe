"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of traces and schedules, which is not part of the project."""
    folder = Path(os.environ.get("CLUSTERSIM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no folder of reference data at {folder}; set CLUSTERSIM_DATA to have it checked"
        )
    return folder
