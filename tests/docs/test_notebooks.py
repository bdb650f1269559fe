"""Notebooks of the documentation: how they are kept, and how their pages are written."""

from __future__ import annotations

import ast
import base64
import json
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

from nbformat.v4 import (  # noqa: E402
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)

from tests.docs.test_pages import ROOT, generator  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PNG = base64.b64encode(b"picture").decode()
notebooks = generator("notebooks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    assert notebook.cells[0].source.startswith("# ")


def test_the_first_study_goes_from_a_chip_to_a_plan() -> None:
    (path,) = NOTEBOOKS
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    headings = [source.splitlines()[0] for source in sources if source.startswith("## ")]
    assert [heading.partition(". ")[2] for heading in headings[:-1]] == [
        *("Chips", "Step time", "Jobs", "Cluster", "One run", "Capacity", "Purchase plan")
    ]


def test_a_page_by_hand() -> None:
    table = '<div>\n<style scoped>\n  th {}\n</style>\n<table border="1" class="dataframe">\n</div>'
    shown = {"image/png": PNG, "text/plain": "<Figure>"}
    wide = {"image/png": {"width": 300, "height": 200}}
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Title\n\nText."),
            new_code_cell("1 + 1", outputs=[new_output("execute_result", {"text/plain": "2"})]),
            new_markdown_cell("## 3. Jobs"),
            new_code_cell("table", outputs=[new_output("display_data", {"text/html": table})]),
            new_code_cell("plot()", outputs=[new_output("display_data", shown, metadata=wide)]),
        ]
    )
    text, pictures = notebooks.as_markdown(notebook, "first")
    assert pictures == {"first-1.png": b"picture"}
    assert text.split("\n\n") == [
        "# Title",
        "Text.",
        "```python\n1 + 1\n```",
        "```text\n2\n```",
        "## 3. Jobs",
        "```python\ntable\n```",
        "<div><table></div>",
        "```python\nplot()\n```",
        '![Jobs](first-1.png){ width="300" }\n',
    ]


def test_a_cell_may_not_print_a_note() -> None:
    said = new_output("stream", name="stderr", text="Note: no file")
    notebook = new_notebook(cells=[new_code_cell("f()", id="run", outputs=[said])])
    with pytest.raises(ValueError, match="cell run prints to stderr: Note: no file"):
        notebooks.as_markdown(notebook, "first")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_name_of_clustersim_in_a_notebook_exists(path: Path) -> None:
    import clustersim as cs

    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(
        line
        for cell in cells
        if cell.cell_type == "code"
        for line in cell.source.splitlines()
        if not line.startswith("%")
    )
    attributes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    used = {name for name in map(ast.unparse, attributes) if re.fullmatch(r"cs(\.\w+)+", name)}
    assert len(used) > 10
    for name in used:
        value = cs
        for part in name.split(".")[1:]:
            value = getattr(value, part)
            if callable(value):
                break
