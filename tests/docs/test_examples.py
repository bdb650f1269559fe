"""Examples of the public interface: everything has one, and each can be copied and run."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import clustersim

PACKAGES = (
    *("calibration", "catalogue", "estimation", "performance", "plots", "procurement", "report"),
    *("forecasting", "scheduling", "sites", "studies", "topology", "workload"),
)
HEADING = "\nExamples\n--------\n"


def exported() -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions."""
    seen = set()
    for module in (clustersim, *(getattr(clustersim, name) for name in PACKAGES)):
        for name in module.__all__:
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isroutine(value)) and value not in seen:
                yield f"{module.__name__}.{name}", value
                seen.add(value)


def methods(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods of a class, without those of other packages.

    Of a method that overrides others, the first one with an example is yielded, if there is one.
    """
    for method in dir(cls):
        value = getattr(cls, method)
        written_here = str(getattr(value, "__module__", "")).startswith("clustersim")
        if method.startswith("_") or not written_here or not callable(value):
            continue
        found = [getattr(base, method) for base in cls.__mro__ if method in vars(base)]
        with_example = (each for each in found if HEADING in (inspect.getdoc(each) or ""))
        yield f"{name}.{method}", next(with_example, found[0])


EXPORTED = dict(exported())
METHODS = {
    name: method
    for owner, cls in EXPORTED.items()
    if inspect.isclass(cls)
    for name, method in methods(owner, cls)
}
FILE_FORMATS = {
    name: value
    for name, value in EXPORTED.items()
    if inspect.isclass(value) and issubclass(value, BaseModel)
}


def test_the_packages_are_those_with_public_names() -> None:
    found = {
        name
        for name in clustersim._PACKAGES
        if getattr(importlib.import_module(f"clustersim.{name}"), "__all__", [])
    }
    assert found == set(PACKAGES)
    assert len(EXPORTED) > 130
    assert len(METHODS) > 140
    assert "clustersim.Result.save" in METHODS


@pytest.mark.parametrize("name", [*EXPORTED, *METHODS])
def test_every_public_name_has_an_example_that_can_be_copied(name: str) -> None:
    text = inspect.getdoc({**EXPORTED, **METHODS}[name]) or ""
    _, heading, section = text.partition(HEADING)
    assert heading, f"{name} has no section Examples"
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(section))
    assert code, f"{name} has no example with >>>"
    assert not undefined(code), f"the example of {name} does not define what it uses"


@pytest.mark.parametrize("name", FILE_FORMATS)
def test_json_schemas_have_no_examples_in_python(name: str) -> None:
    schema = json.dumps(FILE_FORMATS[name].model_json_schema())
    assert "Examples" not in schema
    assert ">>>" not in schema


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
