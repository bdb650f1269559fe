"""The layers of docs/architecture.md: imports point downward, and none go round in circles.

The contracts are in pyproject.toml, under ``tool.importlinter``.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_MODULES = 30
LINT = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)


def lint(folder: Path) -> tuple[int, str]:
    """Check the contracts of a tree; return the exit code and what was printed."""
    ended = subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the modules and the contracts, in which imports may be planted."""
    folder = tmp_path_factory.mktemp("tree")
    for path in (ROOT / "clustersim").rglob("*.py"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def test_imports_point_downward_without_circles(tree: Path) -> None:
    code, printed = lint(tree)
    assert code == 0, printed
    assert "3 kept, 0 broken" in printed


PLANTED = {
    "upward": ({"topology/planted.py": "from clustersim.studies import spec\n"}, "Layers BROKEN"),
    "upward in a function": (
        {"topology/planted.py": "def late():\n    import clustersim.cli.main\n"},
        "clustersim.topology.planted -> clustersim.cli.main",
    ),
    "upward from the lowest layer": (
        {"errors.py": "\n\ndef late():\n    from clustersim.files import read_yaml\n"},
        "Layers BROKEN",
    ),
    "between neighbours": (
        {"topology/planted.py": "import clustersim.network.collectives\n"},
        "clustersim.topology.planted -> clustersim.network.collectives",
    ),
    "circle of modules": (
        {
            "topology/planted.py": "from clustersim.topology import planted_too\n",
            "topology/planted_too.py": "def late():\n    import clustersim.topology.planted\n",
        },
        "No cycles are allowed in clustersim.topology",
    ),
    "package without a layer": ({"planted/__init__.py": ""}, "clustersim.planted"),
    "SimPy outside of the engine": (
        {"studies/planted.py": "def late():\n    import simpy\n"},
        "clustersim.studies.planted -> simpy",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_what_breaks_a_rule_is_found(case: str, tree: Path) -> None:
    files, expected = PLANTED[case]
    before = {name: _plant(tree, name, text) for name, text in files.items()}
    code, printed = lint(tree)
    for name, text in before.items():
        _restore(tree, name, text)
    assert code == 1, printed
    assert expected in printed


def test_imports_for_types_alone_do_not_count(tree: Path) -> None:
    text = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import clustersim.cli.main\n"
    _plant(tree, "topology/planted.py", text)
    code, printed = lint(tree)
    _restore(tree, "topology/planted.py", None)
    assert code == 0, printed


def _plant(tree: Path, name: str, text: str) -> str | None:
    """Append a text to a module; return what it was before, None if it was not there."""
    path = tree / "clustersim" / name
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text((before or "") + text)
    return before


def _restore(tree: Path, name: str, before: str | None) -> None:
    path = tree / "clustersim" / name
    if before is None:
        path.unlink()
    else:
        path.write_text(before)
    if name.startswith("planted/"):
        path.parent.rmdir()


def test_no_folder_has_too_many_modules() -> None:
    folders = Counter(path.parent for path in _modules() if path.name != "__init__.py")
    crowded = {str(folder): n for folder, n in folders.items() if n > MOST_MODULES}
    assert crowded == {}
    assert len(folders) > 15


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in _modules()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def _modules() -> list[Path]:
    return list((ROOT / "clustersim").rglob("*.py"))


def test_the_page_and_its_picture_show_the_layers_of_the_contract() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "generate" / "floors.py"))
    levels = drawing["layers"]((ROOT / "pyproject.toml").read_text())
    assert (ROOT / "docs" / "floors.svg").read_text() == drawing["picture"](levels)
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = re.search(r"^\| layer \|.*?\n\n", page, re.MULTILINE | re.DOTALL)
    assert table is not None
    rows = [line.split("|")[2] for line in table[0].splitlines()[2:] if line]
    assert [re.findall("`([a-z_]+)`", row) for row in rows] == levels
