"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference_data import data_folder, reference_data


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of traces and schedules, which is not part of the project."""
    folder = reference_data()
    if folder is None:
        pytest.skip(f"no reference data at {data_folder()}; set CLUSTERSIM_DATA to have it checked")
    return folder
