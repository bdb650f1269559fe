"""The pages of the Python interface: which docstrings they show, and in what order."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import defaultdict
from types import ModuleType
from typing import Any

import clustersim

__all__ = ["first_line", "index_page", "modules_page", "package_pages"]


def package_pages() -> dict[str, str]:
    """Return the page of each package with public names, by package name.

    The names of :data:`clustersim.__all__` come first, on the page of the package that defines
    them; the other exports of the package follow.
    """
    public = defaultdict(list)
    for name in clustersim.__all__:
        home = getattr(getattr(clustersim, name), "__module__", None)
        if home:
            public[_package(home)].append(name)
    pages = {}
    for package in [*_packages(), *_modules_at_the_top()]:
        exported = [] if package not in _packages() else _exports(package, public[package])
        if public[package] or exported:
            pages[package] = _page(package, public[package], exported)
    return pages


def _page(package: str, public: list[str], exported: list[str]) -> str:
    module = _import(package)
    paragraphs = (module.__doc__ or "").strip()
    lines = [f"# {package}\n", _roles_off(paragraphs) + "\n"]
    lines += [f"::: clustersim.{name}\n" for name in public]
    if exported:
        lines.append(f"## Within `clustersim.{package}` {{ #within-{package} }}\n")
        for name in exported:
            lines += [f"::: clustersim.{package}.{name}", "    options: {heading_level: 3}\n"]
    return "\n".join(lines)


def index_page(pages: dict[str, str]) -> str:
    """Return the page that lists the names of ``import clustersim``."""
    lines = [
        "# Python interface\n",
        "`import clustersim as cs` gives these names. Arrays and tables are numpy arrays and pandas"
        " DataFrames. Quantities are in SI units, with the unit in the name where a bare number"
        " would be ambiguous (`wait_s`, `power_w`).\n",
        "| name | purpose | defined in |",
        "|---|---|---|",
    ]
    for name in clustersim.__all__:
        if name == "__version__":
            continue
        value = getattr(clustersim, name)
        page = _package(value.__module__)
        if page not in pages:
            raise KeyError(f"clustersim.{name}: {value.__module__} has no page")
        summary = first_line(value)
        lines.append(f"| [`{name}`][clustersim.{name}] | {summary} | [{page}]({page}.md) |")
    return "\n".join(lines) + "\n"


def modules_page() -> str:
    """Return the page that states the purpose of each module."""
    lines = ["# Modules\n", "The first line of each module's docstring.\n"]
    lines += _module_table("clustersim", [_import(name) for name in _modules_at_the_top()])
    for package in _packages():
        found = _import(package)
        lines += [f"\n## {package}\n", _roles_off(found.__doc__ or "").partition("\n\n")[0] + "\n"]
        lines += _module_table(f"clustersim.{package}", _submodules(found))
    return "\n".join(lines) + "\n"


def _module_table(package: str, modules: list[ModuleType]) -> list[str]:
    rows = [
        f"| `{module.__name__.removeprefix(package + '.')}` | {first_line(module)} |"
        for module in modules
    ]
    return ["| module | purpose |", "|---|---|", *rows]


def _submodules(package: ModuleType) -> list[ModuleType]:
    names = [
        found.name
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if not found.name.endswith("__main__")
    ]
    return [module for module in map(_import_if_there, names) if module is not None]


def _import_if_there(name: str) -> ModuleType | None:
    """Import a module, unless it needs an extra that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("clustersim"):
            raise
        return None


def _packages() -> list[str]:
    return [found.name for found in pkgutil.iter_modules(clustersim.__path__) if found.ispkg]


def _modules_at_the_top() -> list[str]:
    return [found.name for found in pkgutil.iter_modules(clustersim.__path__) if not found.ispkg]


def _exports(package: str, already: list[str]) -> list[str]:
    """Return further exports of a package, without constants that need no explanation."""
    module = _import(package)
    shown = [getattr(clustersim, name) for name in already]
    return [
        name
        for name in getattr(module, "__all__", ())
        if not any(getattr(module, name) is value for value in shown)
    ]


def _import(name: str) -> ModuleType:
    return importlib.import_module(f"clustersim.{name}")


def _package(module: str) -> str:
    return module.split(".")[1]


def first_line(value: Any) -> str:
    """Return the first paragraph of a docstring as a table cell."""
    text = " ".join((value.__doc__ or "").strip().partition("\n\n")[0].split())
    return _roles_off(text).replace("|", "\\|").replace("<", "&lt;")


def _roles_off(text: str) -> str:
    return re.sub(r":[a-z]+:`~?([\w.]+)`", r"`\1`", text)
