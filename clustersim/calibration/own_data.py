"""The project's own tables of published runs, microbenchmarks and published kernels."""

from __future__ import annotations

from importlib import resources

import pandas as pd

__all__ = ["own_table", "published_kernels", "shipped_microbenchmarks"]


def own_table() -> pd.DataFrame:
    """Return the project's table of published runs (``data/training.csv``)."""
    data = resources.files("clustersim.calibration") / "data" / "training.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str)


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
