"""The columns of the tables of plans (``clustersim plan``)."""

from __future__ import annotations

from clustersim.analysis.columns import Column, Table

__all__ = ["PLAN_TABLES"]

_SCENARIO = Column("scenario", "name of the scenario")
_QUARTER = Column("quarter", "quarter of the plan, from 1 on")
_LIMIT = (
    Column("constraint", "kind of the limit"),
    Column("of", "chip or job class of the limit; empty for all"),
)
_ANY_QUARTER = Column("quarter", "quarter of the plan, from 1 on; empty for all together")

PURCHASES = (
    _SCENARIO,
    _QUARTER,
    Column("decided", "`first`, or `later` where the scenario is known by then"),
    Column("chip", "name of the chip in the plan file"),
    Column("accelerator", "its name in the catalogue"),
    Column("nodes", "nodes that are bought", "count"),
    Column("chips", "accelerators that are bought", "count"),
    Column("spending_cny", "price of the purchases", "money"),
    Column("nodes_in_place", "nodes that work in this quarter", "count"),
    Column("chips_in_place", "accelerators that work in this quarter", "count"),
)
COSTS = (
    _SCENARIO,
    Column("probability", "probability of the scenario", "share"),
    Column("spending_cny", "price of all purchases, which is not part of the cost", "money"),
    Column("depreciation_cny", "part of the purchases that falls within the plan", "money"),
    Column("network_and_buildings_cny", "the same of network and buildings", "money"),
    Column("interest_cny", "interest on what is tied up", "money"),
    Column("operation_cny", "operation of the nodes", "money"),
    Column("electricity_cny", "electricity", "money"),
    Column("unmet_cny", "value of the demand that is not met", "money"),
    Column("cost_cny", "sum of all but the spending", "money"),
)
ALLOCATION = (
    _SCENARIO,
    _QUARTER,
    Column("job_class", "class of jobs"),
    Column("chip", "name of the chip; `unmet` for demand that is not met"),
    Column("busy_nodes", "nodes that work for the class, on average", "count"),
    Column("tokens", "tokens that they process, or that are not processed", "count"),
)
ASSUMPTIONS = (
    Column("assumption", "what is assumed"),
    Column("value", "its value with the unit, as text"),
    Column("origin", "plan file, planning assumptions, own catalogue file, or default"),
)
REFERENCE_FLEET = (
    Column("chip", "name of the chip in the plan file; empty where it is not in it"),
    Column("accelerator", "its name in the catalogue"),
    Column("reference_chips", "accelerators of the reference fleet", "count"),
    Column("least_chips", "fewest accelerators at the end of the plan, over scenarios", "count"),
    Column("most_chips", "most accelerators at the end of the plan, over scenarios", "count"),
)
SHADOW_PRICES = (
    *_LIMIT,
    Column("scenario", "scenario in which there is one more; `all` for every one"),
    _ANY_QUARTER,
    Column("unit", "unit of the limit"),
    Column("saves_cny", "how much less the expected cost is for each unit more", "money"),
)
REGRET = (
    Column("candidate", "what is bought"),
    Column("scenario", "scenario that then comes true"),
    Column("cost_cny", "cost of the candidate in it", "money"),
    Column("regret_cny", "that cost less that of the best plan for the scenario", "money"),
)
SHORTFALL = (
    Column("grows", "limit that grows alone, or `together`"),
    *_LIMIT,
    _ANY_QUARTER,
    Column("amount", "how much more: CNY, nodes, W, rack units; or how many tokens less to be met"),
    Column("relative", "the amount over the limit", "ratio"),
    Column("helps", "whether more of it makes a plan possible; empty where it is not known"),
    Column("note", "what is to be known of the search"),
)
ROUNDS = (
    Column("round", "number of the round, from 1 on"),
    Column("fresh", "whether it is the last round, with new replications"),
    Column("planning_utilisation", "planning utilisation of the round", "share"),
    Column("possible", "whether there is a plan"),
    Column("expected_cost_cny", "its expected cost", "money"),
    _SCENARIO,
    _QUARTER,
    Column("jobs", "jobs that were submitted", "count"),
    Column("metric", "name of the metric of the objective"),
    Column("mean", "its mean over replications"),
    Column("low", "lower end of its 95 % interval"),
    Column("high", "upper end of its 95 % interval"),
    Column("outcome", "`kept`, `missed` or `undecided`; empty without jobs"),
)
_POSSIBLE = "where there is a plan"
PLAN_TABLES = (
    Table("purchases", "purchases.csv", "a scenario, quarter and chip", PURCHASES, _POSSIBLE),
    Table("costs of a plan", "costs.csv", "a scenario", COSTS, _POSSIBLE),
    Table(
        "allocation",
        "allocation.csv",
        "a scenario, quarter, job class and chip",
        ALLOCATION,
        _POSSIBLE,
    ),
    Table("assumptions", "assumptions.csv", "an assumption", ASSUMPTIONS),
    Table(
        "reference_fleet",
        "reference_fleet.csv",
        "a chip",
        REFERENCE_FLEET,
        "with `reference_fleet`",
    ),
    Table("shadow_prices", "shadow_prices.csv", "a limit", SHADOW_PRICES, _POSSIBLE),
    Table("regret", "regret.csv", "a candidate and a scenario", REGRET, _POSSIBLE),
    Table("shortfall", "shortfall.csv", "a limit that grows", SHORTFALL, "where there is no plan"),
    Table("rounds", "rounds.csv", "a round, scenario and quarter", ROUNDS, "with `verify`"),
)
