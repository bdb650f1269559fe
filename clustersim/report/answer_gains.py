"""The answer card of a study that compares the capacities of systems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import system_name
from clustersim.report.amounts import signed, signed_amounts
from clustersim.report.answer_parts import CHECK, Quantity, failures, full_version
from clustersim.report.identical import identical_systems, without_effect
from clustersim.report.of_study.draws_words import over_draws
from clustersim.report.page import Answer
from clustersim.report.words.irreplaceable import longer_log
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, listed

__all__ = ["answer_of_gains", "has_gains", "is_clear_gain"]

_UNSURE = "Add replications (replications: N, then --resume): a difference may be 0."


def has_gains(result: StudyResult) -> bool:
    """Return whether each system has one gain of capacity, with an interval."""
    table, compare = result.gains, result.study.spec.compare
    if compare is None or table is None or table.empty or result.capacities is None:
        return False
    ends = table[["gain", "gain_low", "gain_high"]].to_numpy(dtype=np.float64)
    return bool(table["system"].is_unique and np.isfinite(ends).all())


def answer_of_gains(result: StudyResult, axes: Mapping[str, Axis], limit: str) -> Answer:
    """Return the answer of a study whose capacities are compared with that of a baseline.

    Parameters
    ----------
    result : StudyResult
        It must have gains (:func:`has_gains`).
    axes : mapping of str to Axis
    limit : str
        The objective as text.
    """
    spec, table, capacities = result.study.spec, result.gains, result.capacities
    assert spec.capacity is not None
    assert spec.compare is not None
    assert table is not None
    assert capacities is not None
    searched = axes.get(spec.capacity.of, axis_of(spec.capacity.of))
    more = spec.capacity.more_is == "worse"
    rows = table.sort_values("gain", ascending=not more, kind="stable").to_dict("records")
    own = capacities[capacities[spec.compare.of] == rows[0]["baseline"]]
    axis = axes.get("capacity", searched)
    quantity = Quantity(own, "capacity", axis, [], more)
    of_baseline = own.to_dict("records")[0]
    base = float(of_baseline["capacity"])
    texts = _Texts(result, axes, searched, base)
    baseline, best = texts.name(rows[0]["baseline"]), rows[0]
    gains = "; ".join(f"{texts.name(row['system'])} {texts.gain(row)}" for row in rows)
    identical = identical_systems(result)
    alike = best["system"] in identical
    sure = all(is_clear_gain(row) for row in rows if row["system"] not in identical)
    return Answer(
        f"At the objective ({limit}), {searched.label} of {baseline}: "
        f"{quantity.texts(base)[0]}. Difference from it: {gains}.",
        f"{searched.label} at the objective, {texts.name(best['system'])} against {baseline}",
        "0" if alike else f"{texts.numbers(best)[0]}{texts.share(best)}",
        "the same in every run" if alike else texts.interval(best),
        (
            *without_effect(result),
            *texts.best_two(rows),
            *_chance(result, rows, of_baseline, quantity, baseline),
            *_over_draws(result, capacities, quantity, axes),
            *_notes(result, capacities, axes),
            *failures(result),
        ),
        tuple(full_version(result) or [CHECK if sure else longer_log(result.runs) or _UNSURE]),
    )


@dataclass(frozen=True)
class _Texts:
    """Gains as text, each with its interval and its share of the capacity of the baseline."""

    result: StudyResult
    axes: Mapping[str, Axis]
    searched: Axis
    base: float

    def name(self, value: Any) -> str:
        return system_name(self.result, value, self.axes)

    def numbers(self, row: Mapping[Any, Any]) -> list[str]:
        values = [float(row[name]) for name in ("gain", "gain_low", "gain_high")]
        return signed_amounts(values, self.searched)

    def gain(self, row: Mapping[Any, Any]) -> str:
        if row["system"] in identical_systems(self.result):
            return "none: it is identical in every run"
        share = self.share(row).strip(" ()")
        unsure = "" if is_clear_gain(row) else ", so it may be 0"
        inner = f"{self.interval(row)}{unsure}{f'; {share}' if share else ''}"
        return f"{self.numbers(row)[0]} ({inner})"

    def share(self, row: Mapping[Any, Any]) -> str:
        """Return a gain relative to the capacity of the baseline; "" without one."""
        known = math.isfinite(self.base) and self.base > 0
        return f" ({signed(float(row['gain']) / self.base)})" if known else ""

    def interval(self, row: Mapping[Any, Any]) -> str:
        _, low, high = self.numbers(row)
        if row["note"]:
            return f"between {low} and {high}, because overload begins at a capacity"
        return f"95 % interval {low} to {high}"

    def best_two(self, rows: list[dict[Any, Any]]) -> list[str]:
        """Return whether the two best systems differ from each other, from their pairs of runs."""
        if len(rows) < 2:
            return []
        first, second = rows[:2]
        table = self.result.gains_over(second["system"])
        if table is None or table.empty:
            return []
        found = [row for row in table.to_dict("records") if row["system"] == first["system"]]
        ends = ("gain", "gain_low", "gain_high")
        if not found or not all(math.isfinite(found[0][end]) for end in ends):
            return []
        (row,) = found
        verb = "differs clearly from" if is_clear_gain(row) else "does not clearly differ from"
        return [
            f"The two best: {self.name(first['system'])} {verb} {self.name(second['system'])}: "
            f"{self.numbers(row)[0]} ({self.interval(row)}; paired)."
        ]


def is_clear_gain(row: Mapping[Any, Any]) -> bool:
    """Return whether the interval of a gain excludes 0."""
    return bool(row["gain_low"] > 0 or row["gain_high"] < 0)


def _chance(
    result: StudyResult,
    rows: list[dict[Any, Any]],
    of_baseline: Mapping[Any, Any],
    quantity: Quantity,
    baseline: str,
) -> list[str]:
    pairs = min(int(row["pairs"]) for row in rows)
    interval = quantity.interval(result, of_baseline)
    text = f"Chance: {counted(pairs, 'replication')}, with the same random numbers for all systems"
    if interval:
        text += f"; of {baseline} itself: {interval}"
    return [f"{text}."]


def _over_draws(
    result: StudyResult, table: pd.DataFrame, quantity: Quantity, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield the capacities over draws; gains are not computed for single draws."""
    compare = result.study.spec.compare
    assert compare is not None
    rows = [(system_name(result, row[compare.of], axes), row) for row in table.to_dict("records")]
    for sentence in over_draws(result, rows, "capacity", quantity.texts):
        yield (
            f"{sentence} These are capacities; no range over draws is computed for a difference."
            if "capacity_draw_low" in table
            else sentence
        )


def _notes(result: StudyResult, table: pd.DataFrame, axes: Mapping[str, Axis]) -> Iterator[str]:
    """Yield the notes on capacities, each with the systems to which it applies."""
    compare = result.study.spec.compare
    assert compare is not None
    names: dict[str, list[str]] = {}
    for row in table.to_dict("records"):
        if row["note"]:
            name = system_name(result, row[compare.of], axes)
            names.setdefault(str(row["note"]), []).append(name)
    for note, own in names.items():
        which = "all" if len(own) == len(table) else listed(own)
        yield f"Note on {'all capacities' if which == 'all' else which}: {note}."
