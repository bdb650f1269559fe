"""What all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Workers that share the cores would wait for each other's threads in every small product.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.examples import REGULAR
from tests.reference_data import data_folder, reference_data

# Another one is chosen with --hypothesis-profile, before test modules are read.
settings.load_profile(REGULAR)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes, so that no worker is left alone with one."""
    long = ("coverage", "xdist_group")
    items.sort(key=lambda item: not any(map(item.get_closest_marker, long)))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let interrupts reach this process, also if a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of traces and schedules, which is not part of the project."""
    folder = reference_data()
    if folder is None:
        pytest.skip(f"no reference data at {data_folder()}; set CLUSTERSIM_DATA to have it checked")
    return folder
