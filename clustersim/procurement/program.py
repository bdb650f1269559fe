"""The linear program of a plan with all scenarios (the extensive form), as a sparse matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from clustersim.array_types import Bools, Floats, Ints
from clustersim.procurement.problem import Problem

__all__ = ["Program", "Row", "build_program"]

LATER, LISTED = 1e-7, 1e-8
"""Small extra costs of a purchase, as shares of its price, which make the choice among plans of
equal cost unique.  The first is counted once for each quarter from the purchase to the end of the
plan, the second once for each chip that the plan lists before the purchased one."""


@dataclass(frozen=True, slots=True)
class Row:
    """Meaning of one constraint.

    Attributes
    ----------
    kind : {"budget", "available", "capacity", "power", "rack_units", "demand"}
    scenario : int or None
        None if the constraint applies to all scenarios, because it limits purchases that are
        decided first.
    quarter : int or None
        None for the whole plan.
    of : str
        The chip or class; empty for all.
    unit : float
        Size of the unit in which the constraint is stated, in yuan, nodes, watts, rack units or
        tokens.
    """

    kind: str
    scenario: int | None
    quarter: int | None
    of: str
    unit: float


@dataclass(frozen=True)
class Program:
    """A mixed-integer program: its cost, constraints, bounds, and the meaning of its columns.

    The program minimises ``cost @ x`` subject to ``matrix @ x <= limit`` (``==`` if `equal`) and
    the bounds.  Axes of arrays: S (scenarios), Q (quarters), C (classes) and K (chips).

    Attributes
    ----------
    lots : int array (S, Q, K)
        Column of the number of lots bought.  For the quarters that are decided first, the scenarios
        share columns.
    busy : int array (S, Q, C, K)
        Column of the number of nodes that work for a class; -1 if the chip cannot run the class.
    unmet : int array (S, Q, C)
        Column of the unmet demand, in `token_units`.
    token_units : float array (C,)
        Tokens per unit of unmet demand.
    cost, low, high : float array (columns,)
        Cost in `money_unit`, and lower and upper bounds.
    tie : float array (columns,)
        Small extra costs in `money_unit` that decide between plans of equal cost.
    integral : int array (columns,)
        1 if the column must be an integer (lots), otherwise 0.
    matrix : sparse array (rows, columns)
    limit : float array (rows,)
    equal : bool array (rows,)
    rows : list of Row
    """

    problem: Problem
    lots: Ints
    busy: Ints
    unmet: Ints
    token_units: Floats
    money_unit: float
    cost: Floats
    tie: Floats
    low: Floats
    high: Floats
    integral: Ints
    matrix: csr_array
    limit: Floats
    equal: Bools
    rows: list[Row]


@dataclass
class _Rows:
    """Collects the constraints of a program."""

    rows: list[Row] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    equal: list[bool] = field(default_factory=list)
    entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)

    def add(
        self, row: Row, parts: list[tuple[Ints, Floats]], limit: float, *, equal: bool = False
    ) -> None:
        number = len(self.rows)
        for columns, values in parts:
            columns, values = np.broadcast_arrays(columns, values)
            chosen = columns.ravel()
            self.entries.append((np.full(len(chosen), number), chosen, values.ravel() / row.unit))
        self.rows.append(row)
        self.limits.append(limit / row.unit)
        self.equal.append(equal)

    def matrix(self, columns: int) -> csr_array:
        at, of, values = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        made: Any = coo_array((values, (at, of)), shape=(len(self.rows), columns))
        return csr_array(made)


def build_program(problem: Problem, *, fixed: npt.ArrayLike | None = None) -> Program:
    """Formulate a plan as a mixed-integer linear program.

    Parameters
    ----------
    problem : Problem
    fixed : int array (first, K), optional
        Lots bought in the quarters that are decided first, if these purchases are fixed.
    """
    scenarios, quarters, classes, chips = problem.shape
    lots, n_lots = _lot_columns(problem)
    works = problem.node_tokens > 0
    busy = np.full((scenarios, quarters, classes, chips), -1, dtype=np.int64)
    n_busy = int(works.sum()) * scenarios * quarters
    busy[:, :, works] = (n_lots + np.arange(n_busy)).reshape(scenarios, quarters, -1)
    rest = n_lots + n_busy + np.arange(scenarios * quarters * classes)
    unmet = rest.reshape(scenarios, quarters, classes)
    n_columns = n_lots + n_busy + unmet.size
    largest = problem.demand.max(axis=1)
    token_units = np.maximum(largest, 1.0)
    cost, tie, money_unit = _costs(problem, lots, busy, unmet, token_units, n_columns)
    low, high = np.zeros(n_columns), np.full(n_columns, math.inf)
    most = (1 - problem.must_meet) * problem.demand / token_units[:, None]
    high[unmet] = most.T
    if fixed is not None:
        low[lots[0, : problem.first]] = high[lots[0, : problem.first]] = np.asarray(fixed)
    rows = _constraints(problem, lots, busy, unmet, token_units)
    integral = np.zeros(n_columns, dtype=np.int64)
    integral[:n_lots] = 1
    return Program(
        problem=problem,
        lots=lots,
        busy=busy,
        unmet=unmet,
        token_units=token_units,
        money_unit=money_unit,
        cost=cost,
        tie=tie,
        low=low,
        high=high,
        integral=integral,
        matrix=rows.matrix(n_columns),
        limit=np.array(rows.limits),
        equal=np.array(rows.equal),
        rows=rows.rows,
    )


def _lot_columns(problem: Problem) -> tuple[Ints, int]:
    """Return the columns of the lots and their number.

    The scenarios share the columns of the quarters that are decided first.
    """
    scenarios, quarters, _, chips = problem.shape
    shared = problem.first * chips
    later = (quarters - problem.first) * chips
    lots = np.empty((scenarios, quarters, chips), dtype=np.int64)
    lots[:, : problem.first] = np.arange(shared).reshape(-1, chips)
    own = shared + np.arange(scenarios * later)
    lots[:, problem.first :] = own.reshape(scenarios, -1, chips)
    return lots, shared + scenarios * later


def _costs(
    problem: Problem, lots: Ints, busy: Ints, unmet: Ints, token_units: Floats, n_columns: int
) -> tuple[Floats, Floats, float]:
    """Return the expected cost per unit of each column, the small extra costs, and the money unit.

    The money unit is chosen to suit the solver's tolerances.
    """
    _, quarters, _, chips = problem.shape
    cost, tie = np.zeros(n_columns), np.zeros(n_columns)
    left = quarters - np.arange(quarters)[:, None]
    lot = problem.lot * (problem.price * problem.capital[:, None] + problem.operating * left)
    lot_tie = problem.lot * problem.price * (LATER * left + LISTED * np.arange(chips))
    for scenario, probability in enumerate(problem.probability):
        np.add.at(cost, lots[scenario], probability * lot)
        np.add.at(tie, lots[scenario], probability * lot_tie)
        works = busy[scenario] >= 0
        energy = np.broadcast_to(problem.energy, works.shape)
        cost[busy[scenario][works]] = probability * energy[works]
        cost[unmet[scenario]] = probability * problem.value * token_units
    largest = float(cost[lots].max(initial=0.0)) or float(cost.max(initial=0.0))
    money_unit = largest / 1e3 if largest > 0 else 1.0
    return cost / money_unit, tie / money_unit, money_unit


def _constraints(
    problem: Problem, lots: Ints, busy: Ints, unmet: Ints, token_units: Floats
) -> _Rows:
    rows = _Rows()
    for quarter in range(problem.first):
        _add_purchase_limits(rows, problem, None, quarter, lots[0])
    if problem.first == problem.quarters:
        _add_budget(rows, problem, None, lots[0])
    for scenario in range(len(problem.scenarios)):
        bought = lots[scenario]
        if problem.first < problem.quarters:
            _add_budget(rows, problem, scenario, bought)
        for quarter in range(problem.first, problem.quarters):
            _add_purchase_limits(rows, problem, scenario, quarter, bought)
        for quarter in range(problem.quarters):
            _add_capacity(rows, problem, scenario, quarter, bought, busy)
            for index, name in enumerate(problem.classes):
                works = busy[scenario, quarter, index] >= 0
                unit = float(token_units[index])
                rows.add(
                    Row("demand", scenario, quarter, name, unit),
                    [
                        (busy[scenario, quarter, index][works], problem.node_tokens[index, works]),
                        (unmet[scenario, quarter, index], np.array(unit)),
                    ],
                    problem.demand[index, quarter],
                    equal=True,
                )
    return rows


def _add_budget(rows: _Rows, problem: Problem, scenario: int | None, bought: Ints) -> None:
    if math.isfinite(problem.budget):
        price = problem.lot * problem.price
        unit = float(price.max()) or 1.0
        rows.add(Row("budget", scenario, None, "", unit), [(bought, price)], problem.budget)


def _add_purchase_limits(
    rows: _Rows, problem: Problem, scenario: int | None, quarter: int, bought: Ints
) -> None:
    """Add the limits on the purchases of a quarter, in one scenario or (if None) in all of them."""
    price = problem.lot * problem.price
    if math.isfinite(problem.quarter_budget[quarter]):
        row = Row("budget", scenario, quarter, "", float(price.max()) or 1.0)
        rows.add(row, [(bought[quarter], price)], float(problem.quarter_budget[quarter]))
    _add_room(rows, problem, scenario, quarter, bought)
    supply = problem.available[:, quarter]
    least = supply.min(axis=0) if scenario is None else supply[scenario]
    for chip, name in enumerate(problem.chips):
        limit = float(least[chip])
        if math.isfinite(limit):
            row = Row("available", scenario, quarter, name, 1.0)
            column = bought[quarter, chip : chip + 1]
            rows.add(row, [(column, problem.lot[chip].astype(np.float64))], limit)


def _add_capacity(
    rows: _Rows, problem: Problem, scenario: int, quarter: int, bought: Ints, busy: Ints
) -> None:
    """Limit the working nodes to the planning utilisation of the nodes in place."""
    for chip, name in enumerate(problem.chips):
        columns = busy[scenario, quarter, :, chip]
        share = problem.utilisation
        rows.add(
            Row("capacity", scenario, quarter, name, 1.0),
            [
                (columns[columns >= 0], np.array(1.0)),
                (bought[: quarter + 1, chip], np.array(-share * problem.lot[chip])),
            ],
            share * problem.existing[chip],
        )


def _add_room(
    rows: _Rows, problem: Problem, scenario: int | None, quarter: int, bought: Ints
) -> None:
    """Limit the power and the rack units of the nodes in place."""
    for kind, each, limits in (
        ("power", problem.power, problem.power_limit),
        ("rack_units", problem.rack_units, problem.rack_limit),
    ):
        limit = float(limits[quarter])
        if math.isfinite(limit):
            left = limit - float((each * problem.existing).sum())
            unit = float((each * problem.lot).max()) or 1.0
            row = Row(kind, scenario, quarter, "", unit)
            rows.add(row, [(bought[: quarter + 1], each * problem.lot)], left)
