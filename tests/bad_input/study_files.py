"""A small study, and the same with something wrong in it."""

from __future__ import annotations

from typing import Any

from tests.bad_input.conftest import TINY, write_edited

STUDY: dict[str, Any] = {
    "name": "small",
    "base": TINY,
    "parameters": {"workload.load": [0.5, 0.7]},
    "replications": 2,
}
RUN = ["study", "study.yaml", "--out", "out", "--workers", "1"]


def write_study(edits: dict[str, Any], file: str = "study.yaml") -> None:
    """Write the study with values at paths ("base/workload/jobs") replaced; None removes."""
    write_edited(STUDY, edits, file)


def assert_one_line(message: str) -> None:
    """Check that one problem is reported in one line (beside notes)."""
    assert "problems" not in message, message
    shown = [line for line in message.splitlines() if not line.startswith("Note: ")]
    assert len(shown) == 1, message
