"""A browser for the tests of reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.report.browser import Browser, chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One headless Chromium for all tests; skipped where there is none."""
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
