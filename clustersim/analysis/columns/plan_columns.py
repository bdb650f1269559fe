"""The columns of the tables of plans (``clustersim plan``)."""

from __future__ import annotations

import math
from fractions import Fraction

from clustersim.analysis.columns.column import Column, Table
from clustersim.units import format_money, format_number, format_percent, format_rate

__all__ = ["PLAN_TABLES", "amount_text", "scale_text"]

_LARGEST_DENOMINATOR = 1000

_SCENARIO = Column("scenario", "name of the scenario")
_QUARTER = Column("quarter", "quarter of the plan, from 1")
_LIMIT = (
    Column("constraint", "kind of the limit"),
    Column("of", "chip or job class of the limit; empty for all"),
)
_ANY_QUARTER = Column("quarter", "quarter of the plan, from 1; empty for the whole plan")

PURCHASES = (
    _SCENARIO,
    _QUARTER,
    Column("decided", "`first`, or `later` if the purchase is decided once the scenario is known"),
    Column("chip", "name of the chip in the plan file"),
    Column("accelerator", "name of the chip in the catalogue"),
    Column("nodes", "nodes bought", "count"),
    Column("chips", "accelerators bought", "count"),
    Column("spending_cny", "price of the purchases", "money"),
    Column("nodes_in_place", "nodes that can work in this quarter", "count"),
    Column("chips_in_place", "accelerators that can work in this quarter", "count"),
)
COSTS = (
    _SCENARIO,
    Column("probability", "probability of the scenario", "share"),
    Column("spending_cny", "price of all purchases, which is not part of the cost", "money"),
    Column("depreciation_cny", "depreciation of the purchases within the plan", "money"),
    Column(
        "network_and_buildings_cny",
        "depreciation of network and buildings within the plan",
        "money",
    ),
    Column("interest_cny", "interest on the capital tied up", "money"),
    Column("operation_cny", "operation of the nodes", "money"),
    Column("electricity_cny", "cost of electricity", "money"),
    Column("unmet_cny", "value of the unmet demand", "money"),
    Column("cost_cny", "sum of all these costs except the spending", "money"),
)
ALLOCATION = (
    _SCENARIO,
    _QUARTER,
    Column("job_class", "class of jobs"),
    Column("chip", "name of the chip; `unmet` for unmet demand"),
    Column("busy_nodes", "average number of nodes that work for the class", "count"),
    Column("tokens", "tokens that these nodes process, or tokens of the unmet demand", "count"),
)
ASSUMPTIONS = (
    Column("assumption", "name of the assumed quantity"),
    Column("value", "value with its unit, as text"),
    Column("origin", "plan file, planning assumptions, user's catalogue file, or default"),
)
INPUTS = (
    Column("input", "name of the input in the plan file"),
    Column("of", "chip, job class or scenario; empty for all"),
    Column("value", "value with its unit, by quarter, as text"),
    Column("source", "source in the plan file; empty if the file has none"),
)
REFERENCE_FLEET = (
    Column("chip", "name of the chip in the plan file; empty if the plan file does not have it"),
    Column("accelerator", "name of the chip in the catalogue"),
    Column("reference_chips", "accelerators of the reference fleet", "count"),
    Column(
        "least_chips",
        "smallest number of accelerators at the end of the plan in any scenario",
        "count",
    ),
    Column(
        "most_chips",
        "largest number of accelerators at the end of the plan in any scenario",
        "count",
    ),
)
SHADOW_PRICES = (
    *_LIMIT,
    Column(
        "scenario",
        "scenario in which the limit is raised; `all` for every scenario (the sum of the rows of "
        "single scenarios, if there are any)",
    ),
    _ANY_QUARTER,
    Column("unit", "unit of the limit"),
    Column("saves_cny", "decrease of the expected cost per additional unit", "money"),
)
REGRET = (
    Column("candidate", "candidate for the first purchases"),
    Column(
        "first_purchases",
        "nodes of each chip that the candidate buys before the scenario is known, as text",
    ),
    Column("scenario", "scenario that occurs after the first purchases"),
    Column("cost_cny", "cost of the candidate in the scenario", "money"),
    Column("regret_cny", "this cost minus the cost of the best plan for the scenario", "money"),
)
SHORTFALL = (
    Column("grows", "limit that is raised alone, or `together`"),
    *_LIMIT,
    _ANY_QUARTER,
    Column(
        "amount",
        "amount missing, in CNY, nodes, W or rack units; for demand, the tokens by "
        "which it must fall",
    ),
    Column("relative", "the amount divided by the limit", "ratio"),
    Column("helps", "whether raising the limit makes a plan possible; empty if unknown"),
    Column("note", "remark on the search"),
)
ROUNDS = (
    Column("round", "number of the round, from 1"),
    Column("fresh", "whether it is the last round, with new replications"),
    Column("planning_utilisation", "planning utilisation of the round", "share"),
    Column("possible", "whether a plan exists"),
    Column("expected_cost_cny", "expected cost of the plan", "money"),
    _SCENARIO,
    _QUARTER,
    Column("jobs", "number of jobs that were submitted", "count"),
    Column("metric", "name of the metric of the objective"),
    Column("value", "the metric over the jobs of all replications together"),
    Column("low", "lower end of its 95 % interval; empty with one replication"),
    Column(
        "high",
        "upper end of its 95 % interval; empty with one replication, infinite if it is not "
        "determined",
    ),
    Column("outcome", "`kept`, `missed` or `undecided`; empty without jobs"),
)
_POSSIBLE = "if a plan exists"
PLAN_TABLES = (
    Table("purchases", "purchases.csv", "scenario, quarter and chip", PURCHASES, _POSSIBLE),
    Table("costs of a plan", "costs.csv", "scenario", COSTS, _POSSIBLE),
    Table(
        "allocation",
        "allocation.csv",
        "scenario, quarter, job class and chip",
        ALLOCATION,
        _POSSIBLE,
    ),
    Table("inputs", "inputs.csv", "input", INPUTS),
    Table("assumptions", "assumptions.csv", "assumption", ASSUMPTIONS),
    Table(
        "reference_fleet",
        "reference_fleet.csv",
        "chip",
        REFERENCE_FLEET,
        "with `reference_fleet`",
    ),
    Table("shadow_prices", "shadow_prices.csv", "limit", SHADOW_PRICES, _POSSIBLE),
    Table("regret", "regret.csv", "candidate and scenario", REGRET, _POSSIBLE),
    Table("shortfall", "shortfall.csv", "limit that is raised", SHORTFALL, "if no plan exists"),
    Table("rounds", "rounds.csv", "round, scenario and quarter", ROUNDS, "with `verify`"),
)


def amount_text(constraint: str, amount: float) -> str:
    """Format an amount of the table of missing amounts in the unit of its constraint.

    Examples
    --------
    >>> amount_text("power", 2.5e7), amount_text("available", 64.0)
    ('25 MW', '64 nodes')
    """
    if constraint == "budget":
        return format_money(amount)
    if constraint == "power":
        return format_rate(amount, "W")
    if constraint == "available":
        return f"{format_number(amount)} nodes" if amount < 1e4 else f"{amount:,.0f} nodes"
    if constraint == "rack_units":
        return f"{amount:,.0f} rack units"
    if amount >= 1e12:
        return f"{format_number(amount / 1e12)} trillion tokens"
    return f"{format_number(amount)} tokens"


def scale_text(scale: float) -> str:
    """Return a scale of the simulation as a fraction or in percent.

    Examples
    --------
    >>> scale_text(0.0625), scale_text(0.37)
    ('1/16', '37.0 %')
    """
    fraction = Fraction(scale).limit_denominator(_LARGEST_DENOMINATOR)
    if fraction.numerator == 1 and math.isclose(float(fraction), scale, rel_tol=1e-9):
        return str(fraction)
    return format_percent(scale)
