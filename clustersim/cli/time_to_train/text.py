"""The time to train as text for the terminal."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from clustersim.console import wrapped_note
from clustersim.text_table import table
from clustersim.units import (
    format_count,
    format_duration,
    format_number,
    format_percent,
    format_quantity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clustersim.training.largest import LargestModel
    from clustersim.training.result import TimeToTrain
    from clustersim.training.training import Training

__all__ = ["largest_text", "time_text"]

WIDTH = 100
CLOSE = 0.9
"""A plan fits only just if the probability is lower."""
MOSTLY = 0.99
"""A model with a larger share of active parameters is called dense."""
MILLION = 1e6
DAY_S = 86400.0


def time_text(found: TimeToTrain) -> str:
    """Format the time to train for a terminal of 100 columns.

    Examples
    --------
    >>> import clustersim as cs
    >>> text = time_text(cs.time_to_train("llama3-8b", "H200", 64, tokens=1e12))
    >>> text.splitlines()[0]
    'llama3-8b (8.03 billion parameters) on 1,000 billion tokens'
    """
    rows = [
        {str(name): value for name, value in row.items()} for row in found.table.to_dict("records")
    ]
    sections = [_head(found), _table(rows), _answer(found)]
    reasons = [_reason(row) for row in rows if row["reason"]]
    plans = [f"  {_where(row)}: {row['plan']}" for row in rows if row["plan"]]
    if reasons:
        sections.append("\n".join(["Why no plan fits", *map(_indented, reasons)]))
    if plans:
        sections.append("\n".join(["Plans", *map(_indented, plans)]))
    sections.append("\n".join(map(wrapped_note, found.notes)))
    return "\n\n".join(section for section in sections if section)


def _head(found: TimeToTrain) -> str:
    training = found.training
    lines = [
        _trained(training),
        f"batch  {format_count(training.batch)} sequences of "
        f"{format_count(training.model.seq_len)} tokens, {format_count(training.steps)} steps",
    ]
    return "\n".join([*lines, *([f"start  {found.at}"] if found.at else [])])


def _trained(training: Training) -> str:
    model = training.model
    params = f"{format_quantity(model.params, 'count', 3)} parameters"
    if model.active_params < MOSTLY * model.params:
        params += f", {format_quantity(model.active_params, 'count', 3)} active"
    tokens = format_quantity(training.tokens, "count", 4)
    return f"{model.name} ({params}) on {tokens} tokens"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Format a row for each gang."""
    fleet = "pool" in rows[0]
    first = ("pool", "there") if fleet else ("chip",)
    unsure = fleet and any(row["chance"] < 1 for row in rows)
    close = [0 < _or_zero(row["fit_probability"]) < CLOSE for row in rows]
    failures = () if fleet else ("fails",)
    headers = (
        *(*first, "chips", "days", "90 % interval", "MFU", "ETTR", *failures, "GWh", "M CNY"),
    )
    cells = []
    for row in rows:
        start = (row["pool"], _range(row, "chips_there")) if fleet else (row["accelerator"],)
        numbers = ("does not fit", *[""] * (len(headers) - len(first) - 2))
        if row["fits"]:
            numbers = (
                _number(row["days"]),
                f"{_number(row['days_lo'])} to {_number(row['days_hi'])}",
                "" if math.isnan(row["mfu"]) else format_percent(row["mfu"]),
                format_percent(row["ettr"]),
                *(_number(row["interruptions"]) for _ in failures),
                _number(row["energy_mwh"] / 1000),
                _number(row["cost_cny"] / MILLION),
            )
        chance = (format_percent(row["chance"], 0),) if unsure else ()
        cells.append((*start, format_count(row["count"]), *numbers, *chance))
    lines = table(cells, (*headers, *(("chance",) if unsure else ()))).splitlines()
    marks = ["", "", *(" *" if each else "" for each in close)]
    shown = [line + mark for line, mark in zip(lines, marks, strict=True)]
    if any(close):
        shown.append("* fits only just; see fit_probability in the table of --out")
    return "\n".join(shown)


def _answer(found: TimeToTrain) -> str:
    best = found.fastest
    if best is None:
        return ""
    low, high = _number(best["days_lo"]), _number(best["days_hi"])
    return textwrap.fill(
        f"Fastest: {_where(best)}, {_number(best['days'])} days (90 % interval {low} to {high}).",
        WIDTH,
    )


def _where(row: dict[str, Any]) -> str:
    return f"{format_count(row['count'])} {row['accelerator']}" + (
        f" of pool {row['pool']}" if "pool" in row and "+" not in row["pool"] else ""
    )


def _reason(row: dict[str, Any]) -> str:
    text = f"  {row['pool'] if 'pool' in row else _where(row)}: {row['reason']}"
    nearest = row.get("nearest_count")
    if nearest is None or nearest != nearest:
        return text
    return f"{text}; the nearest number on which a plan fits is {format_count(nearest)}"


def _range(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_lo"], row[f"{name}_hi"]
    if low == high:
        return format_count(row[name])
    return f"{format_count(row[name])} ({format_count(low)} to {format_count(high)})"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return "never" if math.isinf(value) else format_number(value, 3)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _indented(text: str) -> str:
    return textwrap.fill(
        text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def largest_text(found: LargestModel) -> str:
    """Format the largest model for a terminal of 100 columns.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.largest_model("llama3-405b", days=1, accelerators="H20", counts=8)
    >>> largest_text(found)[:42]
    'No model of this family trains within 24 h'
    """
    if found.model is None or found.time is None:
        return textwrap.fill(f"{found.reason[0].upper()}{found.reason[1:]}.", WIDTH)
    model = found.model
    low, high = (_size(each) for each in (found.params_lo, found.params_hi))
    limit = {
        "time": "larger models take longer",
        "memory": "larger models do not fit in memory",
        "range": "larger models were not tried",
    }[found.limited_by]
    rule = (
        f"{format_number(found.tokens_per_parameter)} tokens per parameter"
        if found.tokens_per_parameter is not None
        else "the same number of tokens for every model"
    )
    answer = (
        f"The largest {found.family} that trains within {format_duration(DAY_S * found.days)} has "
        f"{_size(model.params)} parameters (90 % interval {low} to {high}), "
        f"{_size(model.active_params)} active: {model.layers} layers of width "
        f"{format_count(model.hidden)}, {rule}; {limit}."
    )
    return "\n\n".join([textwrap.fill(answer, WIDTH), time_text(found.time)])


def _size(params: float) -> str:
    if math.isnan(params):
        return "none"
    return "more than was tried" if math.isinf(params) else format_quantity(params, "count", 3)
