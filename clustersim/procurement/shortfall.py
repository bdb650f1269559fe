"""Why no plan satisfies the limits: which limits are too low, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, hstack

from clustersim.procurement.problem import Problem
from clustersim.procurement.program import Program, build_program
from clustersim.procurement.solve import INFEASIBLE, OPTIMAL, Effort

__all__ = ["CANNOT", "TOGETHER", "find_shortfall"]

Key = tuple[str, str, int | None]
TOGETHER = "together"
CANNOT = "raising it is not enough"
KINDS = ("budget", "available", "power", "rack_units", "demand")
NOTHING = 1e-9
"""Amounts below this share of their limit count as 0."""


def find_shortfall(problem: Problem, effort: Effort | None = None) -> pd.DataFrame:
    """Find the amounts by which limits must be raised to make a plan possible.

    First, all limits can be raised together, and the sum of the amounts relative to their limits is
    minimised.  Then each limit is raised alone, by the smallest amount that is enough.  Lots remain
    integers.

    Parameters
    ----------
    problem : Problem
        A problem whose limits no plan satisfies.
    effort : Effort, optional

    Returns
    -------
    DataFrame
        ``grows`` (``together``, or the limit that is raised alone), ``constraint, of, quarter``
        (from 1; empty for the whole plan), ``amount`` (yuan, nodes, watts, rack units, or tokens by
        which the demand falls), ``relative`` (to the limit), ``helps`` (whether raising it makes a
        plan possible; empty if the search did not decide), ``note``.
    """
    effort = effort or Effort()
    program = build_program(problem)
    keys = list(dict.fromkeys(_key(row) for row in program.rows if row.kind in KINDS))
    scale = {key: _scale(program, key) for key in keys}
    groups: dict[str, list[Key]] = {TOGETHER: [key for key in keys if key[0] != "demand"]}
    for key in sorted(keys, key=lambda key: KINDS.index(key[0])):
        if key[0] == "available":
            groups.setdefault("supply of all chips", []).append(key)
        groups.setdefault(_group(key), []).append(key)
    records = []
    for group, chosen in groups.items():
        found = _least(program, chosen, scale, effort) if chosen else None
        if found is None or found.x is None:
            kind = chosen[0][0] if chosen else ""
            cannot = found is None or found.status == INFEASIBLE
            note = CANNOT if found is None or cannot else f"unknown: {found.message}"
            helps = False if cannot else None
            record = _record(group, (kind, "", None), math.nan, math.nan)
            records.append({**record, "helps": helps, "note": note})
            continue
        note = "" if found.status == OPTIMAL else f"less may be enough: {found.message}"
        for key, share in zip(chosen, found.x[program.matrix.shape[1] :], strict=True):
            if share > NOTHING:
                record = _record(group, key, share * scale[key], share)
                records.append({**record, "helps": True, "note": note})
    table = pd.DataFrame(records)
    return table.astype({"quarter": "Int64", "helps": "boolean"})


def _key(row: Any) -> Key:
    return row.kind, row.of, row.quarter


def _group(key: Key) -> str:
    """Return the name of a limit that is raised alone, such as ``supply of h200``."""
    words = {"available": "supply", "rack_units": "rack units"}
    kind = words.get(key[0], key[0])
    return f"{kind} of {key[1]}" if key[1] else kind


def _record(group: str, key: Key, amount: float, relative: float) -> dict[str, Any]:
    kind, of, quarter = key
    return {
        "grows": group,
        "constraint": kind,
        "of": of,
        "quarter": None if quarter is None else quarter + 1,
        "amount": amount,
        "relative": relative,
    }


def _scale(program: Program, key: Key) -> float:
    """Return the reference value for the amount by which a limit is raised.

    This value is the limit itself or, if the limit is 0, the largest limit of the same kind.
    """
    problem = program.problem
    kind, of, quarter = key
    if kind == "budget":
        own = problem.budget if quarter is None else float(problem.quarter_budget[quarter])
        others = problem.quarter_budget
    elif kind == "available":
        own = float(problem.available[:, quarter, problem.chips.index(of)].min())
        others = problem.available
    elif kind == "demand":
        own = float(problem.demand[problem.classes.index(of), quarter])
        others = problem.demand
    else:
        limits = problem.power_limit if kind == "power" else problem.rack_limit
        own, others = float(limits[quarter or 0]), limits
    largest = float(others[np.isfinite(others)].max(initial=0.0))
    return own or largest or 1.0


def _least(program: Program, keys: Sequence[Key], scale: dict[Key, float], effort: Effort) -> Any:
    """Minimise the sum of the relative amounts by which the limits `keys` are raised."""
    place = {key: number for number, key in enumerate(keys)}
    at, of, by = [], [], []
    for number, row in enumerate(program.rows):
        if _key(row) in place:
            at.append(number)
            of.append(place[_key(row)])
            sign = 1.0 if row.kind == "demand" else -1.0
            by.append(sign * scale[_key(row)] / row.unit)
    shape = (len(program.rows), len(keys))
    grown: Any = coo_array((by, (at, of)), shape=shape)
    columns = program.matrix.shape[1]
    cost = np.concatenate([np.zeros(columns), np.ones(len(keys))])
    most = [math.inf if key[0] != "demand" else _met(program, key) / scale[key] for key in keys]
    return milp(
        cost,
        integrality=np.concatenate([program.integral, np.zeros(len(keys), dtype=np.int64)]),
        bounds=Bounds(
            np.concatenate([program.low, np.zeros(len(keys))]),
            np.concatenate([program.high, most]),
        ),
        constraints=LinearConstraint(
            hstack([program.matrix, grown], format="csr"),
            np.where(program.equal, program.limit, -math.inf),
            program.limit,
        ),
        options={"mip_rel_gap": effort.gap, "node_limit": effort.nodes},
    )


def _met(program: Program, key: Key) -> float:
    """Return the number of tokens of a class that must be processed in a quarter."""
    problem, (_, of, quarter) = program.problem, key
    index = problem.classes.index(of)
    return float(problem.must_meet[index, quarter] * problem.demand[index, quarter])
