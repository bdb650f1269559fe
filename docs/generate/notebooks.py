"""The pages of the notebooks in docs/notebooks: each is run, then written as Markdown.

The notebooks are kept without outputs.  What a page shows is computed when the site is built, so it
always belongs to the current code.  An error in a cell is an error of the build.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

__all__ = ["as_markdown", "executed", "notebook_page"]

LONGEST_CELL_S = 300
_STYLE = re.compile(r"<style scoped>.*?</style>", re.DOTALL)


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Run a notebook, and return its page and its pictures; see :func:`as_markdown`."""
    text, pictures = as_markdown(executed(path), path.stem)
    title, _, rest = text.partition("\n")
    return f"{title}\n\nThis page is also a notebook: [{path.name}]({path.name}).\n{rest}", pictures


def executed(path: Path) -> NotebookNode:
    """Return a notebook with its outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails or takes too long.
    """
    notebook = nbformat.read(path, as_version=4)
    # Without encryption, the kernel warns that others on the machine could listen.
    encrypted = Config({"KernelManager": {"transport_encryption": "auto"}})
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        options = {"timeout": LONGEST_CELL_S, "resources": place, "config": encrypted}
        NotebookClient(notebook, kernel_name="python3", **options).execute()
    return notebook


def as_markdown(notebook: NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown.

    Parameters
    ----------
    notebook : NotebookNode
        A notebook with outputs.
    name : str
        Start of the names of its pictures.

    Returns
    -------
    text : str
    pictures : dict of str to bytes
        PNG by file name.

    Raises
    ------
    ValueError
        If a cell prints a warning or a note, which readers of the page could not act on.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^#+ (?:\d+\. )?(.*)", cell.source, re.MULTILINE)
            heading = titles[-1] if titles else heading
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for kind, content, width in _outputs(cell):
            if kind == "image/png":
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode(content)
                size = f'{{ width="{width}" }}' if width else ""
                parts.append(f"![{heading}]({picture}){size}")
            elif kind == "text/html":
                table = _STYLE.sub("", content).replace(' border="1" class="dataframe"', "")
                parts.append(re.sub(r"\n\s*", "", table))
            else:
                parts.append(f"```text\n{content.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def _outputs(cell: NotebookNode) -> Iterator[tuple[str, str, int | None]]:
    """Yield the best form of each output of a cell: MIME type, content and width in pixels."""
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                raise ValueError(f"cell {cell.id} prints to stderr: {output.text}")
            yield "text/plain", output.text, None
        else:
            kinds = ("image/png", "text/html", "text/plain")
            kind = next(kind for kind in kinds if kind in output.data)
            yield kind, output.data[kind], output.metadata.get(kind, {}).get("width")
