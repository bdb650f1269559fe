"""The binding limits of a plan in a sentence, with what an additional unit saves."""

from __future__ import annotations

import pandas as pd

from clustersim.procurement.purchases_text import listed
from clustersim.procurement.shadow_prices import ALL
from clustersim.units import counted, format_money

__all__ = ["LIMIT_NAMES", "limits_text"]

LIMIT_NAMES = {"available": "supply", "rack_units": "space", "power": "power", "budget": "budget"}
_MOST_LIMITS = 2
_MOST_PLACES = 2
"""Number of quarters (and, for supply, scenarios) to name for one limit."""


def limits_text(prices: pd.DataFrame) -> str:
    """Return the binding limits with the largest saving per additional unit; "" without any.

    Parameters
    ----------
    prices : DataFrame
        From :func:`~clustersim.procurement.shadow_prices.shadow_prices`.

    Returns
    -------
    str
        Limits in which quarters and scenarios bind, and the decrease of the expected cost in yuan
        per additional unit.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["constraint", "of", "scenario", "quarter", "unit", "saves_cny"]
    >>> rows = [("power", "", "all", 1, "MW", 5e6), ("available", "h200", "late", 2, "node", 3e5)]
    >>> limits_text(pd.DataFrame(rows, columns=columns))  # doctest: +NORMALIZE_WHITESPACE
    "Limits, with the saving in expected cost per additional unit: power is binding in Q1 in every
    scenario (5 million CNY per MW); supply of h200 is binding in Q2
    in 'late' (300,000 CNY per node)."
    """
    worth = prices[(prices["saves_cny"] > 0) & (prices["constraint"] != "demand")]
    names = prices.loc[prices["scenario"] != ALL, "scenario"].nunique()
    found = []
    for (constraint, of), group in worth.groupby(["constraint", "of"], sort=False):
        places = _places(group, names)
        chosen = sorted(places, key=lambda place: -place[0])[:_MOST_PLACES]
        name = LIMIT_NAMES.get(str(constraint), str(constraint)) + (f" of {of}" if of else "")
        unit = group["unit"].iloc[0]
        where = [
            f"{when} ({format_money(saves)}{f' per {unit}' if number == 0 else ''})"
            for number, (saves, when) in enumerate(place for place in places if place in chosen)
        ]
        left = len(places) - len(where)
        less = f" (less in {counted(left, 'other case')})" if left else ""
        found.append((max(saves for saves, _ in places), name, f"{listed(where)}{less}"))
    if not found:
        return ""
    largest = sorted(found, key=lambda each: -each[0])
    texts = [
        " ".join(f"{name} is binding {where}".split()) for _, name, where in largest[:_MOST_LIMITS]
    ]
    if others := [name for _, name, _ in largest[_MOST_LIMITS:]]:
        verb = "is" if len(others) == 1 else "are"
        texts.append(f"{listed(others)} {verb} binding too, see the table of shadow prices")
    return f"Limits, with the saving in expected cost per additional unit: {'; '.join(texts)}."


def _places(group: pd.DataFrame, names: int) -> list[tuple[float, str]]:
    """Return the saving per unit and the quarter and scenarios in which one limit binds."""
    places = []
    for quarter, own in group.groupby("quarter", sort=False, dropna=False):
        whole, single = own[own["scenario"] == ALL], own[own["scenario"] != ALL]
        when = "" if pd.isna(quarter) else f"in Q{int(own['quarter'].iloc[0])} "
        if whole.empty:
            places += [
                (float(row["saves_cny"]), f"{when}in {row['scenario']!r}")
                for row in single.to_dict("records")
            ]
            continue
        scenarios = [repr(str(name)) for name in single["scenario"]]
        where = "in every scenario" if names else ""
        if len(scenarios) not in (0, names):
            where = f"in {listed(scenarios)}"
        places.append((float(whole["saves_cny"].sum()), f"{when}{where}".strip()))
    return places
