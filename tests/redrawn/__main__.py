"""Run experiments again and list the figures and numbers of the documents that differ.

``python -m tests.redrawn [NAME ...] [--from DIR]``: each experiment (default: all) runs in full.
Its pictures are compared with those in ``experiments/figures``, byte by byte, and the numbers of
its section of ``experiments/README.md`` are searched for in its tables. Those not found are listed
as candidates: a difference of two values, for example, is in no table. ``--from DIR`` compares the
output of an earlier run. Exit code 1 means that a picture differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tests.redrawn.texts import missing_numbers, section_of

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
FIGURES = EXPERIMENTS / "figures"


def main() -> int:
    """Run the experiments that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = sorted(path.stem for path in EXPERIMENTS.glob("*.py"))
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="NAME")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR")
    asked = parser.parse_args()
    if asked.folder is not None and len(asked.names) != 1:
        parser.error("--from needs one NAME")
    readme = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    same = True
    for name in asked.names or names:
        with tempfile.TemporaryDirectory() as made:
            folder, started = asked.folder or Path(made) / name, time.monotonic()
            if asked.folder is None and not _run(name, folder):
                print(f"{name}: the run failed", flush=True)
                same = False
                continue
            took = time.monotonic() - started
            pictures = list(_different(name, folder))
            missing = missing_numbers(section_of(readme, name), _values(folder))
            same = same and not pictures
            numbers = ", ".join(each.text for each in missing) or "none"
            print(
                f"{name} ({took:.0f} s): pictures that differ: {', '.join(pictures) or 'none'}; "
                f"numbers in no table: {numbers}",
                flush=True,
            )
    return 0 if same else 1


def _run(name: str, folder: Path) -> bool:
    command = [sys.executable, str(EXPERIMENTS / f"{name}.py"), "--out", str(folder)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0


def _different(name: str, folder: Path) -> Iterator[str]:
    """Yield the figures of an experiment that none of its pictures equals."""
    drawn = {path.read_bytes() for path in folder.rglob("*.png")}
    for figure in sorted(FIGURES.glob(f"{name.replace('_', '-')}*.png")):
        if figure.read_bytes() not in drawn:
            yield figure.name


def _values(folder: Path) -> np.ndarray:
    """Return all numbers in the tables of a run."""
    tables = (pd.read_csv(path) for path in folder.rglob("*.csv"))
    parts = [table.select_dtypes("number").to_numpy(dtype=np.float64).ravel() for table in tables]
    return np.concatenate([*parts, np.empty(0)])


if __name__ == "__main__":
    sys.exit(main())
