"""What each limit of a plan is worth: the shadow prices of its linear relaxation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clustersim.planning.program import Program

__all__ = ["UNITS", "shadow_prices"]

UNITS = {
    "budget": ("CNY", 1.0),
    "available": ("node", 1.0),
    "power": ("MW", 1e6),
    "rack_units": ("rack unit", 1.0),
    "demand": ("million tokens", 1e6),
}
"""Of which one more is priced, and how many SI units that is, by constraint."""


def shadow_prices(program: Program, solution: Any) -> pd.DataFrame:
    """Price one more of everything that limits a plan, in every scenario at once.

    Parameters
    ----------
    program : Program
    solution : scipy.optimize.OptimizeResult
        Of :func:`~clustersim.planning.solve.solve_relaxed`.

    Returns
    -------
    DataFrame
        A row a limit: ``constraint, of`` (chip or class), ``quarter`` (from 1; empty for all
        together), ``unit, saves_cny``: how much less the expected cost is for each unit more.
        Negative for demand, which costs.  It holds for small changes.
    """
    marginal = np.zeros(len(program.rows))
    marginal[~program.equal] = solution.ineqlin.marginals
    marginal[program.equal] = solution.eqlin.marginals
    prices: dict[tuple[str, str, int | None], float] = {}
    for row, value in zip(program.rows, marginal, strict=True):
        if row.kind not in UNITS:
            continue
        key = (row.kind, row.of, row.quarter)
        per_unit = float(value) * program.money_unit / row.unit
        if row.kind == "demand" and row.quarter is not None:
            per_unit += _of_the_bound(program, solution, row.scenario, row.quarter, row.of)
        prices[key] = prices.get(key, 0.0) - per_unit
    kinds = list(UNITS)
    ordered = sorted(
        prices, key=lambda key: (kinds.index(key[0]), -1 if key[2] is None else key[2])
    )
    return pd.DataFrame(
        {
            "constraint": [kind for kind, _, _ in ordered],
            "of": [of for _, of, _ in ordered],
            "quarter": pd.array(
                [None if quarter is None else quarter + 1 for _, _, quarter in ordered],
                dtype="Int64",
            ),
            "unit": [UNITS[kind][0] for kind, _, _ in ordered],
            "saves_cny": [prices[key] * UNITS[key[0]][1] + 0.0 for key in ordered],
        }
    )


def _of_the_bound(program: Program, solution: Any, scenario: int, quarter: int, name: str) -> float:
    """What more demand costs by letting more of it be left undone, per token."""
    index = program.problem.classes.index(name)
    column = program.unmet[scenario, quarter, index]
    share = 1.0 - program.problem.must_meet[index, quarter]
    marginal = float(solution.upper.marginals[column])
    return marginal * float(share) * program.money_unit / float(program.token_units[index])
