"""Shadow prices of the limits of a plan, from its linear relaxation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clustersim.procurement.program import Program, Row

__all__ = ["ALL", "UNITS", "shadow_prices"]

UNITS = {
    "budget": ("CNY", 1.0),
    "power": ("MW", 1e6),
    "rack_units": ("rack unit", 1.0),
    "available": ("node", 1.0),
    "demand": ("million tokens", 1e6),
}
"""Unit to which the price of each constraint refers, and its size in the units of the problem."""
ALL = "all"
"""Value of the column ``scenario`` if the limit is raised in every scenario."""
NOTHING = 1e-7
"""Prices below this value (in the units of the program) are treated as 0."""


def shadow_prices(program: Program, solution: Any) -> pd.DataFrame:
    """Return the shadow price of each limit: the cost saved by raising the limit by one unit.

    Parameters
    ----------
    program : Program
    solution : scipy.optimize.OptimizeResult
        Result of :func:`~clustersim.procurement.solve.solve_relaxed`.

    Returns
    -------
    DataFrame
        One row per limit: ``constraint, of`` (chip or class), ``scenario`` in which the limit is
        raised (``all`` for every scenario), ``quarter`` (from 1; empty for the whole plan), ``unit,
        saves_cny`` (decrease of the expected cost per unit).  The price of demand is negative,
        because more demand costs more.  Prices are valid for small changes.  In the quarters that
        are decided first, supply has a price only for all scenarios together.  If a limit is the
        same in all scenarios, its price for ``all`` is the sum over the scenarios.
    """
    marginal = np.zeros(len(program.rows))
    marginal[~program.equal] = solution.ineqlin.marginals
    marginal[program.equal] = solution.eqlin.marginals
    names = program.problem.scenarios
    prices: dict[tuple[str, int | None, str, str], float] = {}
    for row, value in zip(program.rows, marginal, strict=True):
        if row.kind not in UNITS:
            continue
        scaled = float(value)
        if row.kind == "demand":
            scaled += _of_the_bound(program, solution, row)
        saves = 0.0 if abs(scaled) < NOTHING else -scaled * program.money_unit / row.unit
        places = []
        if row.scenario is None or len(names) == 1 or row.kind != "available":
            places.append(ALL)
        if row.scenario is not None and len(names) > 1:
            places.append(names[row.scenario])
        for place in places:
            key = (row.kind, row.quarter, row.of, place)
            prices[key] = prices.get(key, 0.0) + saves
    kinds = list(UNITS)
    ordered = sorted(
        prices, key=lambda key: (kinds.index(key[0]), -1 if key[1] is None else key[1])
    )
    return pd.DataFrame(
        {
            "constraint": [kind for kind, _, _, _ in ordered],
            "of": [of for _, _, of, _ in ordered],
            "scenario": [scenario for _, _, _, scenario in ordered],
            "quarter": pd.array(
                [None if quarter is None else quarter + 1 for _, quarter, _, _ in ordered],
                dtype="Int64",
            ),
            "unit": [UNITS[kind][0] for kind, _, _, _ in ordered],
            "saves_cny": [prices[key] * UNITS[key[0]][1] for key in ordered],
        }
    )


def _of_the_bound(program: Program, solution: Any, row: Row) -> float:
    """Return the part of the marginal cost of demand that is due to the bound on unmet demand.

    The bound is a share of the demand, so it rises with the demand.
    """
    assert row.scenario is not None, "demand is met in each scenario"
    assert row.quarter is not None, "demand is met in its quarter"
    index = program.problem.classes.index(row.of)
    column = program.unmet[row.scenario, row.quarter, index]
    share = 1.0 - program.problem.must_meet[index, row.quarter]
    return float(solution.upper.marginals[column]) * float(share)
