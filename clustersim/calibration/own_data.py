"""The project's own tables of published runs, microbenchmarks and published kernels."""

from __future__ import annotations

import re
from importlib import resources

import pandas as pd

__all__ = ["link_of", "own_table", "published_kernels", "shipped_microbenchmarks"]


def link_of(source: str) -> str:
    """Return the link to a source of the project's table.

    A source names an arXiv paper, or begins with the name of a GitHub repository. Any other source
    is returned unchanged.

    Examples
    --------
    >>> link_of("MegaScale NSDI24 (arXiv 2402.15627) Table 1")
    'https://arxiv.org/abs/2402.15627'
    >>> link_of("modelscope/ms-swift examples/megatron/fp8/benchmark.sh")
    'https://github.com/modelscope/ms-swift'
    >>> link_of("our own cluster")
    'our own cluster'
    """
    if paper := re.search(r"arXiv (\d{4}\.\d{4,5})", source):
        return f"https://arxiv.org/abs/{paper[1]}"
    if repository := re.match(r"([\w-]+/[\w.-]+)(?: |$)", source):
        return f"https://github.com/{repository[1]}"
    return source


def own_table() -> pd.DataFrame:
    """Return the project's table of published runs (``data/training.csv``), with links."""
    data = resources.files("clustersim.calibration") / "data" / "training.csv"
    with data.open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=str)
    return table.assign(link=table["source"].map(link_of))


def shipped_microbenchmarks() -> dict[str, pd.DataFrame]:
    """Return the project's own microbenchmarks by chip (``data/microbenchmarks/*.csv``)."""
    folder = resources.files("clustersim.calibration") / "data" / "microbenchmarks"
    tables = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".csv"):
            with entry.open(encoding="utf-8") as file:
                tables[entry.name.removesuffix(".csv")] = pd.read_csv(file, dtype=str)
    return tables


def published_kernels() -> pd.DataFrame:
    """Return published times of matrix products and attention (``data/kernels.csv``)."""
    data = resources.files("clustersim.calibration") / "data" / "kernels.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str)
