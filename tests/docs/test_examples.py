"""Examples of the public interface: everything has one, and each can be copied and run."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import clustersim

PACKAGES = (
    *("calibration", "catalogue", "estimation", "performance", "plots", "procurement", "report"),
    *("scheduling", "studies", "topology", "workload"),
)


def exported() -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions.

    The models of file formats are left out: their docstrings are texts of the JSON Schemas, and
    examples of files are in the user guide.
    """
    seen = set()
    for module in (clustersim, *(getattr(clustersim, name) for name in PACKAGES)):
        for name in module.__all__:
            value = getattr(module, name)
            file_format = inspect.isclass(value) and issubclass(value, BaseModel)
            if (inspect.isclass(value) or inspect.isroutine(value)) and not file_format:
                if value not in seen:
                    yield f"{module.__name__}.{name}", value
                seen.add(value)


EXPORTED = dict(exported())


def test_the_packages_are_those_with_public_names() -> None:
    found = {
        name
        for name in clustersim._PACKAGES
        if getattr(importlib.import_module(f"clustersim.{name}"), "__all__", [])
    }
    assert found == set(PACKAGES)
    assert len(EXPORTED) > 120


@pytest.mark.parametrize("name", EXPORTED)
def test_every_public_name_has_an_example_that_can_be_copied(name: str) -> None:
    text = inspect.getdoc(EXPORTED[name]) or ""
    _, heading, section = text.partition("\nExamples\n--------\n")
    assert heading, f"{name} has no section Examples"
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(section))
    assert code, f"{name} has no example with >>>"
    assert not undefined(code), f"the example of {name} does not define what it uses"


def undefined(code: str) -> set[str]:
    """Return the names that a program uses but neither defines nor imports."""
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            known.add(node.name or "")
    return {node.id for node in names} - known - set(dir(builtins))


def test_names_that_an_example_lacks_are_found() -> None:
    code = "import numpy as np\ndef f(x):\n    return np.sin(x)\ny = f(1)\nprint(y, z, math.pi)\n"
    assert undefined(code) == {"z", "math"}
