"""Files that a contributor meets before the code: hooks, citation, templates."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clustersim.files import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(name: str) -> str:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{name} is part of the repository, not of the sdist")
    return path.read_text(encoding="utf-8")


def test_hooks_are_those_of_the_environment_and_download_nothing() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib")
    read(".pre-commit-config.yaml")
    config = clientlib.load_config(ROOT / ".pre-commit-config.yaml")
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    programs = {shlex.split(hook["entry"])[0] for hook in hooks}
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports"}
    packages = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]["dev"]
    names = {re.split("[>=]", package)[0] for package in packages}
    assert {"ruff", "mypy", "import-linter", "pre-commit"} <= names


def test_the_citation_names_the_newest_release() -> None:
    citation: Any = parse_yaml(read("CITATION.cff"))
    released = re.findall(r"^## (\d+\.\d+\.\d+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert citation["version"] == released[0]
    assert citation["license"] == tomllib.loads(read("pyproject.toml"))["project"]["license"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_issue_templates_ask_for_something(path: Path) -> None:
    template: Any = parse_yaml(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert template == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= template.keys()
    fields = template["body"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_pins_cover_what_the_extras_name() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    pins = {_name(line) for line in read("constraints.txt").split()}
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(name for extra in extras for name in extra)]
    assert {_name(text) for text in asked} <= pins


def _name(requirement: str) -> str:
    """Name of a package, in the one spelling that all are compared by."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;, ]", requirement)[0]).lower()
