"""The tables of a validation for the terminal."""

from __future__ import annotations

import math

from clustersim.report.amounts import percent
from clustersim.text_table import table
from clustersim.units import format_duration, format_number
from clustersim.validation.result import Validation

__all__ = ["validation_text"]

_MOST_ROWS = 12


def validation_text(found: Validation) -> str:
    """Return the policies and the mechanisms of a validation as two tables."""
    header = ["waits", "mean", "median", "p95", "over 1 h", "over 1 d", "distance", "rank corr."]
    rows = []
    for row in found.policies.to_dict("records"):
        times = [_time(row[f"{name}_wait_s"]) for name in ("mean", "median", "p95")]
        shares = [_share(row[f"over_{name}"]) for name in ("1_h", "1_d")]
        rank = row.get("spearman", math.nan)
        rows.append(
            [row["waits"], *times, *shares, _time(row["distance_s"]),
             "" if math.isnan(rank) else format_number(rank, 2)]
        )  # fmt: skip
    text = table(rows, header)
    if not found.tested:
        return text
    header = ["policy", "mechanism granted", "distance", "less", "in the log", "in the replay"]
    rows = [
        [each.policy, each.name, _time(each.distance_s), _share(each.explained),
         _share(each.recorded), _share(each.simulated)]
        for each in found.tested[:_MOST_ROWS]
        if not each.untested
    ]  # fmt: skip
    lines = [text, "", table(rows, header)]
    untested = {each.name: each.untested for each in found.tested if each.untested}
    lines += [f"not tested: {name}: {reason}" for name, reason in untested.items()]
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else ""


def _share(value: float) -> str:
    return percent(value).replace("−", "-") if math.isfinite(value) else ""
