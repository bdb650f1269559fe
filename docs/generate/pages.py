"""Pages generated when the site is built, so that no text is kept twice.

| page | made from |
|---|---|
| user guide | the sections of README.md |
| gallery of experiments | experiments/README.md and its figures |
| command line | the help texts of `clustersim COMMAND --help` |
| file formats | the JSON Schemas of `clustersim schema FORMAT` |
| Python | docstrings |
| notebooks | docs/notebooks, which are run |
| contributing, changes | CONTRIBUTING.md, CHANGELOG.md |

mkdocs calls `on_config`, `on_files` and `on_page_markdown`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import python  # noqa: E402
from commands import commands_page  # noqa: E402
from formats import format_page, quantities_page  # noqa: E402
from guide import linked, sections, slug  # noqa: E402
from notebooks import notebook_page  # noqa: E402

import clustersim  # noqa: E402
from clustersim.cli.main import make_parser  # noqa: E402
from clustersim.schemas import FORMATS  # noqa: E402
from clustersim.units import known_units  # noqa: E402

STARTING = ("Two commands", "Ten lines of Python")
"""Sections of the README on the page Getting started."""
ELSEWHERE = ("Releases", "Where to read on")
"""Sections of the README about the repository, which have separate pages on the site."""

_pages: dict[str, str] = {}
_pictures: dict[str, bytes] = {}
_titles: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Generate the pages, and add those with generated names to the navigation."""
    _pages.clear()
    _pictures.clear()
    guide = _guide()
    formats = _formats()
    interface = _interface()
    _pages["reference/command-line.md"] = commands_page(make_parser())
    above = {f"../{name}": page for name, page in _documents().items()}
    _pages["experiments.md"] = linked(
        _read("experiments/README.md"), {**above, **_figures("figures/")}
    )
    _pages["contributing.md"] = linked(_read("CONTRIBUTING.md"), _documents())
    _pages["changes.md"] = _read("CHANGELOG.md")
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        text, pictures = notebook_page(notebook)
        _pages[f"notebooks/{notebook.stem}.md"] = text
        _pictures.update({f"notebooks/{name}": content for name, content in pictures.items()})
    config.nav = _filled(
        config.nav, {"{guide}": guide, "{formats}": formats, "{python}": interface}
    )
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages and the figures of the experiments."""
    for name, text in _pages.items():
        files.append(File.generated(config, name, content=text))
    for name, content in _pictures.items():
        files.append(File.generated(config, name, content=content))
    for figure in sorted((ROOT / "experiments" / "figures").glob("*.png")):
        name = f"figures/{figure.name}"
        files.append(File.generated(config, name, abs_src_path=str(figure)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Redirect links from pages in docs/ to files above it to the pages generated from those."""
    if page.file.generated_by:
        return markdown
    above = {f"../{name}": target for name, target in _documents().items()}
    return linked(markdown, above, others=True)


def _guide() -> list[dict[str, str]]:
    """Generate the pages of the README; return their part of the navigation."""
    found = sections(_read("README.md"))
    absent = set(STARTING) - {section.title for section in found}
    if absent:
        raise KeyError(f"README.md has no section {absent}, which the page Getting started shows")
    entries = []
    starting = [f"# Getting started\n\n{found[0].text}"]
    for section in found[1:]:
        if section.title in STARTING:
            starting.append(f"## {section.title}\n\n{section.text}")
        elif section.title not in ELSEWHERE:
            page = f"guide/{slug(section.title)}.md"
            text = section.text.replace("\n### ", "\n## ")
            _pages[page] = linked(f"# {section.title}\n\n{text}", _documents("../"))
            entries.append({section.title: page})
    _pages["getting-started.md"] = linked("\n".join(starting), _documents())
    return entries


def _formats() -> list[Any]:
    descriptions = {}
    for name in FORMATS:
        schema = clustersim.schema(name)
        _pages[f"formats/{name}.md"] = format_page(name, schema)
        descriptions[name] = str(schema.get("description", "")).partition("\n\n")[0]
    _pages["formats/index.md"] = quantities_page(known_units(), descriptions)
    return ["formats/index.md", *({name: f"formats/{name}.md"} for name in FORMATS)]


def _interface() -> list[Any]:
    found = python.package_pages()
    _pages.update({f"python/{name}.md": text for name, text in found.items()})
    _pages["python/index.md"] = python.index_page(found)
    _pages["python/modules.md"] = python.modules_page()
    packages = [{name: f"python/{name}.md"} for name in found]
    return ["python/index.md", *packages, {"Modules": "python/modules.md"}]


def _documents(up: str = "") -> dict[str, str]:
    """Return the pages for the paths that texts at the top of the repository link to."""
    return {
        **{f"docs/{path.name}": up + path.name for path in (ROOT / "docs").glob("*.*")},
        **{
            f"docs/notebooks/{path.name}": f"{up}notebooks/{path.stem}.md"
            for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")
        },
        "README.md": f"{up}getting-started.md",
        **{
            f"README.md#{slug(section.title)}": f"{up}guide/{slug(section.title)}.md"
            for section in sections(_read("README.md"))
            if section.title not in (*STARTING, *ELSEWHERE)
        },
        "experiments/README.md": f"{up}experiments.md",
        "CONTRIBUTING.md": f"{up}contributing.md",
        "CHANGELOG.md": f"{up}changes.md",
        **_figures("experiments/figures/", up),
    }


def _figures(prefix: str, up: str = "") -> dict[str, str]:
    folder = ROOT / "experiments" / "figures"
    return {f"{prefix}{path.name}": f"{up}figures/{path.name}" for path in folder.glob("*.png")}


def _filled(nav: Any, parts: dict[str, list[Any]]) -> Any:
    """Insert generated entries at the placeholders of the navigation."""
    if isinstance(nav, list):
        entries = [_filled(entry, parts) for entry in nav]
        return [entry for entry in entries if entry is not None]
    if isinstance(nav, dict):
        ((title, target),) = nav.items()
        filled = _filled(target, parts)
        return None if filled is None else {title: filled}
    if nav in parts:
        return parts[nav]
    # The dictionary of columns becomes a page once its file exists.
    return None if nav == "columns.md" and not (ROOT / "docs" / nav).exists() else nav


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
