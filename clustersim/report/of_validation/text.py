"""The tables of a validation for the terminal."""

from __future__ import annotations

import math

from clustersim.report.amounts import percent
from clustersim.text_table import table
from clustersim.units import format_duration, format_number
from clustersim.validation.result import Validation
from clustersim.validation.together import Trial

__all__ = ["mechanisms_text", "policies_text", "reduction_text"]

_MOST_ROWS, _MOST_TOGETHER = 12, 6
_NONE = 0.0005
"""A smaller change of the distance is none."""


def policies_text(found: Validation) -> str:
    """Return the log and the policies as a table."""
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
    return table(rows, header)


def mechanisms_text(found: Validation) -> str:
    """Return the mechanisms, and those granted together, as tables; "" if none was tested."""
    if not found.tested:
        return ""
    header = ["policy", "mechanism granted", "distance", "less", "in the log", "in the replay"]
    rows = [
        [each.policy, each.name, _time(each.distance_s), reduction_text(each.explained),
         _share(each.recorded), _share(each.simulated)]
        for each in found.tested[:_MOST_ROWS]
        if not each.untested
    ]  # fmt: skip
    lines = [table(rows, header)]
    untested: dict[str, dict[str, None]] = {}
    for each in found.tested:
        if each.untested:
            untested.setdefault(each.untested, {})[each.name] = None
    if tried := [each for each in found.trials if each.was_tried]:
        lines += ["", _together(tried)]
    lines += [f"not tested: {'; '.join(names)}: {reason}" for reason, names in untested.items()]
    return "\n".join(lines)


def _together(tried: list[Trial]) -> str:
    """Return the table of the mechanisms that were granted on top of others, the nearest first."""
    header = ["policy", "granted, with", "granted on top", "distance", "less", "counts"]
    rows = []
    for each in sorted(tried, key=lambda one: one.added.distance_s)[:_MOST_TOGETHER]:
        keys = " + ".join(one.key.replace("_", " ") for one in each.before)
        rows.append(
            [each.before[-1].policy, keys, each.added.name, _time(each.added.distance_s),
             reduction_text(each.added.explained), "no" if each.refused else "yes"]
        )  # fmt: skip
    return table(rows, header)


def reduction_text(explained: float) -> str:
    """Return how much less the distance is with a mechanism granted.

    Examples
    --------
    >>> reduction_text(0.25), reduction_text(-7.02), reduction_text(-1e-9)
    ('25 %', 'worse', '0 %')
    """
    worse = math.isfinite(explained) and explained < -_NONE
    return "worse" if worse else _share(max(explained, 0.0))


def _time(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else ""


def _share(value: float) -> str:
    return percent(value).replace("−", "-") if math.isfinite(value) else ""
