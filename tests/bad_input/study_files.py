"""A small study, and the same with something wrong in it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.bad_input.conftest import TINY

STUDY: dict[str, Any] = {
    "name": "small",
    "base": TINY,
    "parameters": {"workload.load": [0.5, 0.7]},
    "replications": 2,
}
RUN = ["study", "study.yaml", "--out", "out", "--workers", "1"]


def write_study(edits: dict[str, Any], file: str = "study.yaml") -> None:
    """Write the study with values at paths ("base/workload/jobs") replaced; None removes."""
    tree = copy.deepcopy(STUDY)
    for path, value in edits.items():
        here: Any = tree
        *above, last = path.split("/")
        for part in above:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        if value is None:
            del here[last]
        else:
            here[int(last) if isinstance(here, list) else last] = copy.deepcopy(value)
    with Path(file).open("w", encoding="utf-8") as text:
        YAML(typ="safe", pure=True).dump(tree, text)


def assert_one_line(message: str) -> None:
    """Check that one problem is reported in one line (beside notes)."""
    assert "problems" not in message, message
    shown = [line for line in message.splitlines() if not line.startswith("Note: ")]
    assert len(shown) == 1, message
