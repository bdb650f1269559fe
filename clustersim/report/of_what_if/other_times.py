"""How other times of the jobs move than the one that an answer about a log is about."""

from __future__ import annotations

import math

from clustersim.report.amounts import common_unit, in_unit
from clustersim.report.of_what_if.doubts import verb_of
from clustersim.whatif.groups import TIMES
from clustersim.whatif.result import WhatIf

__all__ = ["moved_text", "other_way_text"]

_STAYS = "stays"


def moved_text(found: WhatIf, metric: str) -> str:
    """Return how a time of the jobs of the answer changes; "" if one side has none."""
    before, after = _sides(found, metric)
    if not (math.isfinite(before) and math.isfinite(after)):
        return ""
    verb, unit = verb_of(before, after), common_unit((before, after))
    if verb == _STAYS:
        return f"stays at {in_unit([after], unit)}"
    return f"{verb} from {in_unit([before, after], unit)}"


def other_way_text(found: WhatIf) -> str:
    """Return the sentence on a mean that moves unlike the percentile of the answer, or vice versa.

    The sentence is "" if both move alike, or the other one stays.
    """
    statistic, _, time = found.metric.partition("_")
    other = f"{'mean' if statistic == 'p95' else 'p95'}_{time}"
    verbs = [verb_of(*_sides(found, metric)) for metric in (found.metric, other)]
    moved = moved_text(found, other)
    if not moved or verbs[1] in (verbs[0], _STAYS):
        return ""
    return f" The {TIMES[other]}, however, {moved}."


def _sides(found: WhatIf, metric: str) -> tuple[float, float]:
    """Return a time before and after the change, in the log as it happened."""
    waits = found.waits(metric)
    before, after = (waits[system.key][0] for system in found.question.compared)
    return float(before), float(after)
