"""Chips that jobs list in the column ``accelerators`` but that the cluster or catalogue lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Ints
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import nearest_name
from clustersim.units import counted, listed

__all__ = ["chips_in", "lacking_chips_notes", "unknown_chip_problems"]

_MOST_NAMED = 3


def chips_in(text: str) -> list[str]:
    """Return the chips of a cell of the column ``accelerators``, in the order of preference.

    Examples
    --------
    >>> chips_in("H200, H20")
    ['H200', 'H20']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def unknown_chip_problems(jobs: pd.DataFrame, catalogue: Catalogue) -> list[str]:
    """Return the chips that jobs list and the catalogue lacks, each with its first row.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [7], "accelerators": ["H200,H2O"]})
    >>> unknown_chip_problems(jobs, load_catalogue())[0].split("; did")[0]
    "accelerators: row 1 (job 7): unknown accelerator 'H2O'"
    """
    problems = []
    for name, rows in _rows_of(jobs).items():
        if not catalogue.has_accelerator(name):
            near = nearest_name(name, catalogue.accelerators)
            hint = "" if near is None else f"did you mean {near!r}? "
            problems.append(
                f"accelerators: {_where(jobs, rows[0])}: unknown accelerator {name!r}; {hint}"
                f"`clustersim catalogue --all` lists all {len(catalogue.accelerators)} names"
            )
    return problems


def lacking_chips_notes(jobs: pd.DataFrame, accelerators: Sequence[str]) -> list[str]:
    """Return a note on jobs that list chips of the cluster and chips that it lacks.

    A job that lists only chips that the cluster lacks can never run, and is reported with this
    reason.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    accelerators : sequence of str
        The chips of the cluster.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [7, 8], "accelerators": ["H200,H2O", "H200"]})
    >>> lacking_chips_notes(jobs, ["H200", "H20"])
    ["accelerators: 1 job also lists chips that the cluster lacks and does not run on them: 'H2O' \
(row 1 (job 7); did you mean 'H20'?)"]
    """
    known = load_catalogue()

    def key(name: str) -> str:
        return (known.accelerator(name).name if known.has_accelerator(name) else name).lower()

    own = {key(name) for name in accelerators}
    rows_of = _rows_of(jobs)
    has = {row for name, rows in rows_of.items() if key(name) in own for row in rows.tolist()}
    named, affected = [], set()
    for name, rows in rows_of.items():
        mixed = [row for row in rows.tolist() if row in has]
        if key(name) in own or not mixed:
            continue
        affected.update(mixed)
        near = None if known.has_accelerator(name) else nearest_name(name, accelerators)
        hint = "" if near is None else f"; did you mean {near!r}?"
        named.append(f"{name!r} ({_where(jobs, mixed[0])}{hint})")
    if not named:
        return []
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    do, run = ("lists", "does") if len(affected) == 1 else ("list", "do")
    return [
        f"accelerators: {counted(len(affected), 'job')} also {do} chips that the cluster lacks and "
        f"{run} not run on them: {listed([*named[:_MOST_NAMED], *more])}"
    ]


def _rows_of(jobs: pd.DataFrame) -> dict[str, Ints]:
    """Return the rows of the jobs that list each chip, in the order of the first row."""
    if "accelerators" not in jobs:
        return {}
    column = jobs["accelerators"].astype(object)
    texts = column.where(column.notna(), "").astype(str).to_numpy(dtype=str)
    lists, list_of = np.unique(texts, return_inverse=True)
    using: dict[str, list[int]] = {}
    for index, text in enumerate(lists):
        for name in chips_in(str(text)):
            using.setdefault(name, []).append(index)
    rows = {name: np.flatnonzero(np.isin(list_of, own)) for name, own in using.items()}
    return dict(sorted(rows.items(), key=lambda item: (int(item[1][0]), item[0])))


def _where(jobs: pd.DataFrame, row: int) -> str:
    name = f" (job {jobs['job_id'].iloc[row]})" if "job_id" in jobs else ""
    return f"row {row + 1}{name}"
