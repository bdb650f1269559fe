"""How bad input is tried: one clear message, exit code 2, nothing written."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim.cli.main import main

TINY: dict[str, Any] = {
    "name": "tiny",
    "cluster": {"name": "tiny", "pools": {"a": {"accelerator": "H20", "nodes": 2}}},
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "60 s"},
            "classes": [
                {
                    "name": "train",
                    "weight": 1,
                    "sizes": {8: 1.0},
                    "duration": {"kind": "constant", "value": "10 min"},
                }
            ],
        },
        "jobs": 5,
    },
    "scheduler": {"policy": "fcfs"},
    "seed": 1,
}


def write_edited(fields: dict[str, Any], edits: dict[str, Any], file: str) -> None:
    """Write fields with values at paths ("a/b/0/c") replaced; None removes."""
    tree = copy.deepcopy(fields)
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


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, so that messages show plain names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write_scenario() -> Callable[..., None]:
    """Write the tiny scenario with values at paths ("a/b/0/c") replaced; None removes."""

    def write(edits: dict[str, Any], file: str = "scenario.yaml") -> None:
        write_edited(TINY, edits, file)

    return write


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Try a command that must be refused; return its message."""

    def refuse(arguments: list[str], *words: str) -> str:
        before = contents()
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse
            code = left.code if isinstance(left.code, int) else 1
        message = capsys.readouterr().err
        assert code == 2, message
        assert "error: " in message
        assert "Traceback" not in message
        for word in words:
            assert word in message
        assert contents() == before, "something was written"
        return message

    return refuse


def contents() -> dict[str, bytes]:
    """Files and folders here; what Python compiles does not count."""
    paths = (path for path in Path().rglob("*") if "__pycache__" not in path.parts)
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(paths)}
