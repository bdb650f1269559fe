"""Stores of studies that are not done."""

from __future__ import annotations

from pathlib import Path

from clustersim.studies.store_file import open_store


def keep_runs(folder: Path, count: int) -> None:
    """Forget all runs of a study but the first that it wants, as if they had not been made yet."""
    with open_store(folder, write=True) as store, store._connection:
        study = store.study()
        assert study is not None
        wanted = sorted(study[1], key=lambda run: run[0])
        for _, _, key in wanted[count:]:
            store._write("runs", [], instead_of=("key = ?", (key,)))
