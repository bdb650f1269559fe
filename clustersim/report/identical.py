"""Compared systems whose runs are identical to those of the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import is_constant
from clustersim.plots.study_axes import study_axes, system_name
from clustersim.studies.design import column_value
from clustersim.studies.study_result import StudyResult
from clustersim.units import find_quantity, format_duration, listed

__all__ = ["identical_systems", "without_effect"]


def without_effect(result: StudyResult) -> Iterator[str]:
    """Yield the systems that are identical to the baseline in every run."""
    same = identical_systems(result)
    if not same:
        return
    compare = result.study.spec.compare
    assert compare is not None
    axes = study_axes(result)
    names = [system_name(result, name, axes) for name in same]
    verb, what = (
        ("is", "This difference never takes")
        if len(names) == 1
        else ("are", "These differences never take")
    )
    baseline = system_name(result, column_value(compare.baseline), axes)
    horizon = find_quantity(result.study.base.tree.get("horizon"))
    within = f" (horizon {format_duration(horizon.value, whole=True)})" if horizon else ""
    yield (
        f"{listed(names)} {verb} identical to {baseline} in every run and every metric. {what} "
        f"effect within these runs{within}, so the study cannot show the effect of "
        f"{'it' if len(names) == 1 else 'them'}."
    )


def identical_systems(result: StudyResult) -> list[Any]:
    """Return the compared systems that have the same metrics as the baseline in every run."""
    compare, runs = result.study.spec.compare, result.runs
    if compare is None or compare.of not in runs:
        return []
    runs = runs[runs["status"] == "finished"]
    keys = [name for name in (*result.parameters, "draw", "replication") if name != compare.of]
    metrics = [
        name
        for name in map(str, runs.columns)
        if name not in (*keys, compare.of, "run", "point", "status", "code", "error")
        and pd.api.types.is_numeric_dtype(runs[name])
        and not is_constant(name)
    ]
    if not set(keys) <= set(runs.columns) or not metrics:
        return []

    def of(value: Any) -> pd.DataFrame:
        own = runs[runs[compare.of] == value].drop_duplicates(keys)
        table: pd.DataFrame = own.set_index(keys)[metrics].sort_index()
        return table

    theirs = of(column_value(compare.baseline))
    return [
        system
        for system in runs[compare.of].unique()
        if system != column_value(compare.baseline)
        and len(ours := of(system))
        and ours.equals(theirs)
    ]
