"""The version and the changes agree, whoever bumps one of them."""

from __future__ import annotations

import re
from pathlib import Path

from clustersim.version import __version__

CHANGES = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def test_the_version_is_that_of_the_newest_changes() -> None:
    heading = re.search(
        r"^## (\d+\.\d+\.\d+)( \(unreleased\))?$", CHANGES.read_text(), re.MULTILINE
    )
    assert heading is not None
    number, unreleased = heading.groups()
    assert __version__ == (f"{number}.dev0" if unreleased else number)
