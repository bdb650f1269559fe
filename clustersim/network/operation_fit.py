"""Fit the factors of operations to measured collectives, and compare the model with all rows.

The constants of the links are fitted to the rings, trees and reductions of one file
(:mod:`clustersim.network.fit`). The rows of the later file check them, and both files together
determine :class:`~clustersim.network.operations.OperationFactors`. Each factor has few rows from
few sources, and its rows are weighted alike: the factor is the one with the smallest largest error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.network.constants import FABRICS, GENERATIONS, fitted_values
from clustersim.network.fit import (
    MeasuredCollectives,
    fit_links,
    predicted_seconds,
    read_collectives,
)
from clustersim.network.operations import OperationFactors, fitted_factors

__all__ = [
    "FILES",
    "Accuracy",
    "all_measured",
    "errors_of_all_rows",
    "errors_without_own_source",
    "fit_factors",
    "source_name",
]

FILES = ("collectives.csv", "collectives_2026.csv")
"""Files of measured rows; the constants of the links are fitted to the first."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Errors of the rows: predicted divided by measured time, minus 1.

    Attributes
    ----------
    rows : MeasuredCollectives
    error : array
    """

    rows: MeasuredCollectives
    error: Floats

    def groups(self) -> dict[tuple[str, str], Floats]:
        """Return the errors by accelerator and operation, in alphabetical order."""
        keys = list(zip(self.rows.accelerator, self.rows.collective, strict=True))
        return {
            key: self.error[[other == key for other in keys]] for key in sorted(dict.fromkeys(keys))
        }


def all_measured() -> MeasuredCollectives:
    """Return the rows of all files."""
    parts = [read_collectives(name) for name in FILES]
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(MeasuredCollectives):
        values = [getattr(part, field.name) for part in parts]
        joined = sum(values, ()) if isinstance(values[0], tuple) else np.concatenate(values)
        columns[field.name] = joined
    return MeasuredCollectives(**columns)


def chosen_rows(rows: MeasuredCollectives, chosen: Bools | Ints) -> MeasuredCollectives:
    """Return some of the rows, chosen by a mask or by indices."""
    index = np.arange(len(rows.id))[chosen]
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(MeasuredCollectives):
        column = getattr(rows, field.name)
        taken = tuple(column[i] for i in index) if isinstance(column, tuple) else column[index]
        columns[field.name] = taken
    return MeasuredCollectives(**columns)


def source_name(text: str) -> str:
    """Return the publication of a row: its source without the place in it.

    Examples
    --------
    >>> source_name("NVIDIA/nccl-tests issue 309 (second cluster)")
    'NVIDIA/nccl-tests issue 309'
    >>> source_name("stas00/ml-engineering network/README.md @744d01e")
    'stas00/ml-engineering'
    """
    words = text.partition(" (")[0].split()
    return " ".join(words if "issue" in words else words[:1])


def fit_factors(
    rows: MeasuredCollectives | None = None, values: Mapping[Key, float] | None = None
) -> OperationFactors:
    """Fit the factors, with the constants of the links held fixed.

    Parameters
    ----------
    rows : MeasuredCollectives, optional
        Default: the rows of all files. A factor without rows is 1.
    values : mapping, optional
        Constants of the links (default: the fitted ones).
    """
    from scipy.optimize import minimize_scalar

    measured = all_measured() if rows is None else rows
    links = fitted_values() if values is None else values
    kind = np.array(measured.collective)
    mesh = measured.generation == GENERATIONS.index("mesh")
    used = {
        "mesh_all_reduce": mesh & (kind == "all_reduce"),
        "all_to_all": kind == "all_to_all",
        "token_exchange": kind == "token_exchange",
    }
    found = {}
    for name, mask in used.items():
        if not np.any(mask):
            continue
        part = chosen_rows(measured, mask)

        def largest(log_factor: float, name: str = name, part: MeasuredCollectives = part) -> float:
            factors = OperationFactors(**{name: float(np.exp(log_factor))})
            seconds = predicted_seconds(part, links, factors)
            return float(np.abs(np.log(seconds / part.seconds)).max())

        best = minimize_scalar(
            largest, bounds=(-2.0, 0.5), method="bounded", options={"xatol": 1e-10}
        )
        found[name] = float(np.exp(best.x))
    return OperationFactors(**found)


def errors_of_all_rows() -> Accuracy:
    """Return the errors of all rows with the stored constants and factors."""
    rows = all_measured()
    return Accuracy(
        rows, predicted_seconds(rows, fitted_values(), fitted_factors()) / rows.seconds - 1
    )


def errors_without_own_source() -> Accuracy:
    """Return the errors of all rows, each predicted by a fit without its own publication.

    The error is nan for a row whose type of link, fabric or benchmark only one publication
    measured: no other row could predict it.
    """
    rows = all_measured()
    in_first = np.isin(rows.id, read_collectives(FILES[0]).id)
    sources = np.array([source_name(text) for text in rows.source])
    kinds = _kinds(rows)
    others = np.array([len(set(sources[kinds == kind])) > 1 for kind in kinds], dtype=bool)
    error = np.full(len(rows.id), np.nan)
    for source in dict.fromkeys(sources[others].tolist()):
        own = (sources == source) & others
        values: Mapping[Key, float] = fitted_values()
        if np.any(own & in_first):
            fit = fit_links(chosen_rows(rows, in_first & ~own))
            values = {key: constant.value for key, constant in fit.constants.items()}
        factors = fit_factors(chosen_rows(rows, ~own), values)
        part = chosen_rows(rows, own)
        error[own] = predicted_seconds(part, values, factors) / part.seconds - 1.0
    return Accuracy(rows, error)


def _kinds(rows: MeasuredCollectives) -> NDArray[np.str_]:
    """Return what determines the constants of each row."""
    exchange = np.isin(rows.collective, ("all_to_all", "token_exchange"))
    across = rows.nodes > 1
    columns = zip(rows.fabric, rows.generation, across, exchange, rows.collective, strict=True)
    names = [
        f"{FABRICS[fabric] if far else GENERATIONS[link]} {what if moved else ''}"
        for fabric, link, far, moved, what in columns
    ]
    mesh = rows.generation == GENERATIONS.index("mesh")
    summed = np.array(rows.collective) == "all_reduce"
    return np.array(
        [
            f"{name} {'bench' if bench else ''} {'sum' if m and s else ''}"
            for name, bench, m, s in zip(names, rows.bench, mesh, summed, strict=True)
        ]
    )
