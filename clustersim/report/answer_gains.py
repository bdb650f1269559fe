"""The answer card of a study that compares the capacities of systems."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustersim.plots.axis import Axis, axis_of
from clustersim.report.answer_parts import Quantity, failures, signed
from clustersim.report.page import Answer
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted

__all__ = ["answer_of_gains", "has_gains"]

_SURE = "Check the assumptions below; then vary the ones that you doubt in a further study."
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
    baseline = str(rows[0]["baseline"])
    own = capacities[capacities[spec.compare.of].map(str) == baseline]
    axis = axes.get("capacity", searched)
    quantity = Quantity(own, "capacity", axis, [], more)
    of_baseline = own.to_dict("records")[0]
    base = float(of_baseline["capacity"])
    gains = "; ".join(f"{row['system']} {_gain(row, base)}" for row in rows)
    best = rows[0]
    return Answer(
        f"At the objective ({limit}), {searched.label} of {baseline}: "
        f"{quantity.texts(float(of_baseline['capacity']))[0]}. Difference from it: {gains}.",
        f"{searched.label} at the objective, {best['system']} against {baseline}",
        f"{_numbers(best)[0]}{_share(best, base)}",
        _interval(best),
        (
            *_best_two(result, rows),
            *_hinges(result, rows, of_baseline, quantity, baseline),
            *failures(result),
        ),
        (_SURE if all(map(_is_clear, rows)) else _UNSURE,),
    )


def _gain(row: Mapping[Any, Any], base: float) -> str:
    gain, share = _numbers(row)[0], _share(row, base).strip(" ()")
    unsure = "" if _is_clear(row) else ", so it may be 0"
    return f"{gain} ({f'{share}; ' if share else ''}{_interval(row)}{unsure})"


def _share(row: Mapping[Any, Any], base: float) -> str:
    """Return a gain relative to the capacity of the baseline, in parentheses; "" without one."""
    known = math.isfinite(base) and base > 0
    return f" ({signed(float(row['gain']) / base)})" if known else ""


def _best_two(result: StudyResult, rows: list[dict[Any, Any]]) -> list[str]:
    """Return whether the two best systems differ from each other, from their pairs of runs."""
    if len(rows) < 2:
        return []
    first, second = rows[:2]
    table = result.gains_over(second["system"])
    if table is None or table.empty:
        return []
    found = [row for row in table.to_dict("records") if str(row["system"]) == str(first["system"])]
    if not found or not all(math.isfinite(found[0][f"gain{end}"]) for end in ("", "_low", "_high")):
        return []
    (row,) = found
    verb = "differs clearly from" if _is_clear(row) else "does not clearly differ from"
    return [
        f"The two best: {first['system']} {verb} {second['system']}: {_numbers(row)[0]} "
        f"({_interval(row)}; paired)."
    ]


def _interval(row: Mapping[Any, Any]) -> str:
    _, low, high = _numbers(row)
    if row["note"]:
        return f"between {low} and {high}, because overload begins at a capacity"
    return f"95 % interval {low} to {high}"


def _numbers(row: Mapping[Any, Any]) -> list[str]:
    """Return a gain and the ends of its interval, signed and with the same number of decimals."""
    values = [float(row[name]) for name in ("gain", "gain_low", "gain_high")]
    largest = max(map(abs, values)) or 1.0
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    return [f"{'−' if value < 0 else '+'}{abs(value):,.{decimals}f}" for value in values]


def _is_clear(row: Mapping[Any, Any]) -> bool:
    return bool(row["gain_low"] > 0 or row["gain_high"] < 0)


def _hinges(
    result: StudyResult,
    rows: list[dict[Any, Any]],
    of_baseline: Mapping[Any, Any],
    quantity: Quantity,
    baseline: str,
) -> list[str]:
    """Return what the answer hinges on: chance, and notes on the capacities."""
    pairs = min(int(row["pairs"]) for row in rows)
    interval = quantity.interval(result, of_baseline)
    text = f"Chance: {counted(pairs, 'replication')}, with the same random numbers for all systems"
    if interval:
        text += f"; of {baseline} itself: {interval}"
    hinges = [f"{text}."]
    table = result.capacities
    assert table is not None
    notes = [note for note in table["note"].map(str) if note]
    for note in dict.fromkeys(notes):
        count = notes.count(note)
        which = "all" if count == len(table) else f"{count} of {len(table)}"
        hinges.append(f"Note on {which} capacities: {note}.")
    return hinges
