"""What a change costs, in the sentence that answers a question about a log."""

from __future__ import annotations

import math

from clustersim.units import format_money
from clustersim.whatif.result import WhatIf

__all__ = ["cost_text"]


def cost_text(found: WhatIf) -> str:
    """Return what the change costs or saves, as the end of a sentence; "" if it is not computed.

    What lasts is scaled to a year.  Maintenance and reservations happen once, so their cost is that
    of the run; if something else changes with them, the cost is that of the period of the log.
    """
    cost, when = _cost_and_period(found)
    if not math.isfinite(cost):
        return ""
    if abs(cost) < 1:
        return "" if found.stops else " at no cost"  # time lost is no money, but it is a price
    amount = format_money(abs(cost))
    one, other = (
        [system.tree.get(name) for name in ("cluster", "catalogue", "money")]
        for system in found.question.compared
    )
    if one != other and found.question.replaced:
        way = "more" if cost > 0 else "less"
        return (
            f" at {amount} {when} {way} for purchase and electricity, if the chips that are "
            "replaced cost nothing from then on"
        )
    spent = "electricity" if one == other else "purchase and electricity"
    what = f"{amount} of {spent} {when}"
    return f" at {what}" if cost > 0 else f" and saves {what}"


def _cost_and_period(found: WhatIf) -> tuple[float, str]:
    """Return what the change costs, CNY, and the period in which it does."""
    if found.question.happens_once:
        return found.once_cny, "once"
    if found.question.plans_windows:
        return found.cost_cny, "over the period of the log"
    return found.cost_cny_per_year, "a year"
