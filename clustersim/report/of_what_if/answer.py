"""The answer to a question about a log, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustersim.analysis.steady import LARGE_BACKLOG
from clustersim.report.amounts import in_one_unit
from clustersim.report.page import Answer
from clustersim.units import capital, counted, format_duration, format_money, format_percent
from clustersim.whatif.question import LOAD
from clustersim.whatif.result import WhatIf

__all__ = ["metric_label", "what_if_answer"]

_SAME = 0.01
"""A wait that changes by less than this share of it stays."""
_LEAST_S = 1.0
_MOST_HINGES = 5


def metric_label(found: WhatIf) -> str:
    """Return the name of the wait that the answer compares."""
    return "95th percentile of wait" if found.metric == "p95_wait_s" else "mean wait"


def what_if_answer(found: WhatIf) -> Answer:
    """Return the answer card of a question."""
    row = found.groups.iloc[0]
    before, after = (system.key for system in found.question.compared)
    metric = found.metric
    hinges = [*_hinges(found)]
    first = f"; {_first_hinge(found)}" if len(found.hinges) else ""
    cost = _cost(found)
    texts = [_with_interval(row, f"{key}_{metric}") for key in (before, after)]
    verb = _verb(float(row[f"{before}_{metric}"]), float(row[f"{after}_{metric}"]))
    moved = f"stays at {texts[1]}" if verb == "stays" else f"{verb} from {texts[0]} to {texts[1]}"
    low, high = (float(row[f"change_{metric}_{end}"]) for end in ("low", "high"))
    chance = verb != "stays" and low < 0.0 < high
    doubt = "; this may be chance, as the interval of the change contains 0" if chance else ""
    sentence = f"With {_changed(found)} the {metric_label(found)} {moved}{cost}{first}{doubt}."
    label = f"change of the {metric_label(found)}"
    value, interval = _change(row, f"change_{metric}")
    return Answer(sentence, label, value, interval, tuple(hinges), tuple(_next_steps(found)))


def _changed(found: WhatIf) -> str:
    """Return the change in words, and the load at which it is made."""
    systems = found.question.systems
    words = found.question.changed
    if len(systems) > 2:
        load = next(system.name for system in systems if system.key == LOAD)
        return f"{words}, at {load},"
    return words


def _verb(before: float, after: float) -> str:
    if abs(after - before) <= max(_LEAST_S, _SAME * before):
        return "stays"
    return "falls" if after < before else "rises"


def _with_interval(row: pd.Series, name: str) -> str:
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not math.isfinite(high - low):
        return format_duration(value)
    if low == high:
        return f"{format_duration(value)} (in all replications)"
    (high_text, low_text, text), unit = in_one_unit([high, low, value], "duration")
    if value > 0 and text in ("0", "0.0"):
        return f"{format_duration(value)} ({format_duration(low)} to {format_duration(high)})"
    return f"{text} {unit} ({low_text} to {high_text} {unit})"


def _change(row: pd.Series, name: str) -> tuple[str, str]:
    """Return the change with its sign, and its interval."""
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return "", ""
    if not math.isfinite(high - low):
        return _signed(value), "no interval: the log is too short to draw its days again"
    return _signed(value), f"95 % interval {_signed(low)} to {_signed(high)}, from paired runs"


def _signed(seconds: float) -> str:
    sign = "−" if seconds < 0 else "+" if seconds > 0 else ""
    return f"{sign}{format_duration(abs(seconds))}"


def _cost(found: WhatIf) -> str:
    cost = found.cost_cny_per_year
    if not math.isfinite(cost):
        return ""
    amount = format_money(abs(cost))
    if abs(cost) < 1:
        return " at no cost"
    return f" at {amount} a year" if cost > 0 else f" and saves {amount} a year"


def _first_hinge(found: WhatIf) -> str:
    """Return what moves the answer most, and by how much."""
    row = found.hinges.iloc[0]
    usual = _usual(found)
    if abs(float(row["moves_s"])) <= max(_LEAST_S, _SAME * usual):
        return f"none of the {len(found.hinges)} alternatives that were tried moves this"
    new, old = format_duration(float(row["after_s"])), format_duration(usual)
    return f"this hinges on {row['key']} ({row['what']}: {new} instead of {old})"


def _usual(found: WhatIf) -> float:
    after = found.question.compared[1].key
    return float(found.groups.iloc[0][f"{after}_{found.metric}"])


def _hinges(found: WhatIf) -> Iterator[str]:
    """Yield what the answer depends on, the most important first."""
    usual = _usual(found)
    for row in found.hinges.head(_MOST_HINGES).to_dict("records"):
        before, after = float(row["before_s"]), float(row["after_s"])
        key = str(row["key"])
        yield (
            f"{capital(key)}: with {row['what']}, {format_duration(before)} before and "
            f"{format_duration(after)} after (instead of {format_duration(usual)})."
        )
    fleet = found.fleet
    left = fleet["backlog_at_end"].to_numpy(dtype=np.float64)
    if left.max() > LARGE_BACKLOG:
        most = fleet.iloc[int(left.argmax())]
        share = format_percent(float(most["backlog_at_end"]))
        yield (
            f"The end of the log: {share} of its work waits when its last job is submitted "
            f"({most['system']}); a longer log could show longer waits."
        )
    never = fleet[fleet["never"] > 0]
    for row in never.to_dict("records"):
        jobs = counted(int(row["never"]), "job")
        yield f"Jobs that are left out ({row['system']}): {jobs} can never run on this fleet."


def _next_steps(found: WhatIf) -> Iterator[str]:
    first = found.hinges.iloc[0] if len(found.hinges) else None
    if first is not None and first["key"] == "the policy":
        yield "Check which policy the site uses, and give it with --policy."
    elif first is not None and first["key"] == "the run-time estimates":
        yield "Give the log a column estimate_s with the time limits of the jobs."
    elif first is not None and first["key"] == "the nodes in service":
        yield "Find out how many nodes are in service on average, and give the cluster that size."
    elif first is not None:
        yield "Ask with several loads (--load): the growth of the demand decides."
    yield (
        "before.yaml and after.yaml are scenarios: clustersim run shows every job, and a study can "
        "search the number of nodes at which an objective is met."
    )
