"""The plan file: budget, prices, supply, scenarios, limits and demand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from clustersim.array_types import Floats
from clustersim.catalogue.assumptions import BUILT_IN
from clustersim.costs.money import MOST_CNY
from clustersim.files import FileModel, not_required
from clustersim.scenario.sections import Performance
from clustersim.studies.search_spec import Objective
from clustersim.topology import PoolName
from clustersim.units import SECONDS_PER_YEAR, Duration, Money, Power, format_number
from clustersim.workload.arrival_gaps import Batch, Hyperexponential, Poisson
from clustersim.workload.distributions import NumberDistribution

__all__ = [
    "MOST_TOKENS",
    "QUARTER_S",
    "Budget",
    "ChipSpec",
    "DemandClass",
    "Electricity",
    "FleetOfPlan",
    "Growth",
    "Limits",
    "PlanSpec",
    "ReferenceFleet",
    "ScenarioSpec",
    "ScenarioSupply",
    "Verification",
    "by_quarter",
]

QUARTER_S = SECONDS_PER_YEAR / 4
"""Seconds in a quarter."""
MOST_BUDGET_CNY = 1e15
MOST_TOKENS = 1e20
"""Largest number of tokens that a class may demand per quarter."""

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$")]
ScenarioName = Annotated[str, Field(min_length=1, max_length=64)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Factor = Annotated[float, Field(ge=0, le=1000)]
Share = Annotated[float, Field(ge=0.01, le=1)]
Tokens = Annotated[float, Field(ge=0, le=MOST_TOKENS)]
RackUnits = Annotated[float, Field(ge=0, le=1e9)]
Value = TypeVar("Value")


def _fraction(value: Any) -> Any:
    """Convert a fraction such as ``1/16`` to a number; return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value.replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"must be a number or a fraction such as 1/16, found {value!r}") from None


Scale = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema(
        {"type": ["number", "string"], "description": "number or fraction, such as 0.0625 or 1/16"}
    ),
]


def _at_most(most: float) -> AfterValidator:
    """Return a validator that refuses amounts of money above `most`."""

    def check(money: tuple[float, str]) -> tuple[float, str]:
        if money[0] > most:
            found = f"{format_number(money[0], 6)} {money[1]}"
            raise ValueError(f"must be at most {format_number(most, 6)}, found {found}")
        return money

    return AfterValidator(check)


Price = Annotated[Money, _at_most(MOST_CNY)]
BudgetMoney = Annotated[Money, _at_most(MOST_BUDGET_CNY)]


class Budget(FileModel):
    """Limits on the spending on purchases."""

    total: BudgetMoney | None = Field(None, description="limit for all quarters together")
    by_quarter: list[BudgetMoney] | None = Field(
        None, description="limit for each quarter; unspent money is not carried over"
    )

    @model_validator(mode="after")
    def _some_limit(self) -> Budget:
        if self.total is None and self.by_quarter is None:
            raise ValueError("needs total, by_quarter or both; omit `budget` for no limit")
        return self


class FleetOfPlan(FileModel):
    """The fleet file from which a plan takes what it does not state itself."""

    file: Text = Field(description="scenario with a section `fleet`")
    case: Text | None = Field(None, description="case of the file; by default none")
    set: dict[Text, Any] = Field(
        default_factory=dict, description="further changes to the file, by path"
    )


class Electricity(FileModel):
    """Cost of the electricity of working nodes; the defaults are the planning assumptions."""

    price_per_kwh: Price = Field(
        BUILT_IN.electricity_per_kwh, description=BUILT_IN.sources["electricity_per_kwh"]
    )
    pue: float = Field(BUILT_IN.pue, ge=1, le=5, description=BUILT_IN.sources["pue"])


class Limits(FileModel):
    """Limits on all nodes in place, including existing ones; one number, or one per quarter.

    Existing nodes are never retired or switched off, so no plan exists if they exceed a limit.
    """

    power: Power | list[Power] | None = Field(
        None,
        description="sum of the largest power of all nodes, without cooling (no PUE); by default "
        "no limit",
    )
    rack_units: RackUnits | list[RackUnits] | None = Field(
        None, description="rack units in each quarter; by default no limit"
    )
    source: str = Field("", description="source of the numbers, or `assumption`")


class ChipSpec(FileModel):
    """A chip type that exists at the start or can be bought."""

    model_config = not_required("accelerator")

    accelerator: Text = Field(description="a chip in the catalogue")
    price_per_node: Price | None = Field(None, description="price of a node, including the server")
    price_per_chip: Price | None = Field(
        None,
        description="price of a chip without the server; host_price is added. By default the price "
        "in the catalogue, plus host_price if that price excludes the server",
    )
    existing: Count = Field(
        0, description="nodes in place from the start; they stay and count towards all limits"
    )
    available: Count | list[Count] | None = Field(
        None, description="nodes that can be bought in each quarter; by default any number"
    )
    lot: int = Field(
        1, ge=1, le=1_000_000, description="nodes are bought in multiples of this number"
    )
    chips_per_node: int | None = Field(
        None, ge=1, le=100_000, description="chips per node; by default as in the catalogue"
    )
    power: Power | None = Field(
        None,
        description="largest power of a node, counted by limits.power; by default the thermal "
        "design power of its chips x host_factor of the planning assumptions",
    )
    average_power: Power | None = Field(
        None,
        description="average power of a working node, for electricity; by default load_factor x "
        "the design power of its chips + host_busy of the planning assumptions",
    )
    rack_units: RackUnits = Field(0, description="rack units of a node")
    operating_cost: Price = Field(
        "0 CNY", validate_default=True, description="operating cost per year of a node in place"
    )
    source: str = Field("", description="source of the numbers, or `assumption`")


class Growth(FileModel):
    """A demand that grows by the same factor each quarter."""

    first: Tokens = Field(description="tokens in the first quarter")
    growth: float = Field(1.0, gt=0, le=100, description="factor from each quarter to the next")


class DemandClass(FileModel):
    """One class of training jobs."""

    model: Text = Field(description="a model in the catalogue")
    accelerators: int = Field(ge=1, le=10**8, description="chips per job (its gang)")
    tokens: Tokens | list[Tokens] | Growth = Field(description="tokens demanded in each quarter")
    job_tokens: Annotated[float, Field(gt=0, le=1e20)] | NumberDistribution = Field(
        description="tokens of one job in the simulation"
    )
    must_meet: float = Field(
        0.0, ge=0, le=1, description="share of the demand that must be met in every scenario"
    )
    value_per_million_tokens: Price | None = Field(
        None, description="cost of a million tokens of unmet demand"
    )
    value_per_exaflop: Price | None = Field(
        None, description="cost of unmet demand per 1e18 model FLOPs, without recomputation"
    )
    chips: list[Text] | None = Field(
        None,
        min_length=1,
        description="chips that the class may use; by default all on which its jobs fit",
    )
    source: str = Field("", description="source of the numbers, or `assumption`")


class ScenarioSupply(FileModel):
    """The supply of a chip type in a scenario; one number, or one per quarter."""

    factor: Factor | list[Factor] | None = Field(
        None, description="factor by which the available nodes of the chip are multiplied"
    )
    nodes: Count | list[Count] | None = Field(
        None, description="available nodes, which replace `available` of the chip"
    )
    spare_parts: bool = Field(
        True,
        description="whether the simulation still repairs nodes once no more nodes can be bought",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ScenarioSupply:
        if (self.factor is None) == (self.nodes is None):
            raise ValueError("needs either `factor` or `nodes`, not both")
        return self


class ScenarioSpec(FileModel):
    """One possible development of the supply."""

    model_config = not_required("probability")

    case: Text | None = Field(
        None,
        description="case of the fleet file; its changes come after those of `fleet.case`, and its "
        "probability is the one that the fleet file states; the scenario without a case and a "
        "probability has the rest",
    )
    probability: float = Field(
        gt=0, le=1, description="probability of this scenario; all probabilities sum to 1"
    )
    available: dict[Text, ScenarioSupply] = Field(
        default_factory=dict,
        description="supply by chip; other chips are unchanged. Purchases that are decided first "
        "are limited by the smallest supply of all scenarios, even improbable ones",
    )
    source: str = Field("", description="source of the numbers, or `assumption`")


class Verification(FileModel):
    """Settings for the verification of a plan by simulation."""

    base: Text | dict[str, Any] = Field(
        description="scenario from which scheduler, failures, software, seed and, by chip type, "
        "network are taken. Everything else, such as supply, horizon, replication and catalogue, "
        "comes from the plan"
    )
    set: dict[Text, Any] = Field(
        default_factory=dict, description="changes to the base scenario, by path"
    )
    objective: Objective = Objective()
    replications: int = Field(
        3,
        ge=1,
        le=1000,
        description="replications per round; the chosen plan is tested with as many new ones",
    )
    scale: Scale = Field(
        1.0,
        gt=0,
        le=1,
        description="scale of fleet and demand in the simulation. Gangs keep their size, so the "
        "pools of the first plan must still have room for them",
    )
    rounds: int = Field(
        6, ge=1, le=50, description="largest number of rounds of planning and simulation"
    )
    tolerance: float = Field(0.02, gt=0, lt=1, description="tolerance of the planning utilisation")
    lowest_utilisation: float = Field(
        0.2, ge=0.01, lt=1, description="smallest planning utilisation to try"
    )
    scenarios: list[Text] | None = Field(
        None, min_length=1, description="scenarios to simulate; by default all"
    )
    arrivals: Annotated[Poisson | Hyperexponential | Batch, Field(discriminator="kind")] = Poisson()
    routing: Literal["planned", "any"] = Field(
        "planned",
        description="planned: jobs run on the chips that the plan uses for their class in that "
        "quarter; any: jobs run on all chips that their class allows",
    )


class ReferenceFleet(FileModel):
    """A topology with which the planned fleet is compared."""

    cluster: Text = Field(description="a topology: a name or a file")
    why: Text = Field(description="why the plan differs from it; printed with the comparison")


class PlanSpec(FileModel):
    """A question about purchases, with the data that are needed to answer it."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="name of the plan and of its folder"
    )
    question: str = Field("", description="the question that the plan answers, in one sentence")
    catalogue: list[Text | dict[str, Any]] = Field(
        default_factory=list,
        description="user-defined accelerators and models, as in a scenario",
    )
    performance: Performance = Performance()
    fleet: FleetOfPlan | None = Field(
        None,
        description="fleet file that supplies, by pool, missing chip types, existing and available "
        "nodes, and also budget, power and probabilities",
    )
    quarters: int = Field(ge=1, le=40, description="number of quarters that the plan covers")
    decide_first: int = Field(
        1,
        ge=0,
        description="number of quarters at the start whose purchases are decided before the "
        "scenario is known",
    )
    budget: BudgetMoney | Budget | None = Field(
        None, description="limit on the spending on purchases; by default no limit"
    )
    cny_per_usd: float = Field(
        BUILT_IN.cny_per_usd,
        gt=0,
        le=1000,
        description="exchange rate for all prices in dollars, including those in the catalogue; by "
        "default the rate of the planning assumptions",
    )
    host_price: Price = Field(
        BUILT_IN.host_price,
        description=f"price of {BUILT_IN.sources['host_price'].removeprefix('a ')}",
    )
    depreciation: Duration | None = Field(
        None,
        ge=0,
        description="time over which a price is charged evenly, from the purchase. The value "
        "left at the end of the plan is not charged. By default the life of the planning "
        "assumptions; 0 s charges the whole price at the purchase",
    )
    electricity: Electricity | None = Field(
        None,
        description="electricity of the nodes; by default it is not counted, and `{}` uses "
        "the planning assumptions",
    )
    limits: Limits = Limits()
    planning_utilisation: Share = Field(
        0.85,
        description="share of the nodes that the plan counts on; the rest keeps queues short. With "
        "`verify`, the search starts here and ends when the simulated service meets the objective. "
        "Without `verify`, this value is not tested",
    )
    ettr: Share = Field(
        1.0, description="effective training time ratio under failures; by default no failures"
    )
    reference_fleet: ReferenceFleet | None = Field(
        None, description="fleet with which the output compares the planned fleet"
    )
    chips: dict[PoolName, ChipSpec] = Field(min_length=1)
    demand: dict[Name, DemandClass] = Field(min_length=1)
    scenarios: dict[ScenarioName, ScenarioSpec] = Field(
        default_factory=lambda: {"as planned": ScenarioSpec(probability=1.0)}, min_length=1
    )
    gap: float = Field(
        1e-6, ge=0, le=0.5, description="allowed distance from the optimum, relative to the cost"
    )
    search_nodes: int = Field(
        200_000,
        ge=1,
        description="branch-and-bound nodes after which the best plan found is used",
    )
    verify: Verification | None = None
    sources: dict[Text, str] = Field(
        default_factory=dict,
        description="sources of the numbers, by a name of your choice. The table of inputs has "
        "those named budget, demand, operating_cost, penalty and probabilities",
    )

    def in_cny(self, money: tuple[float, str]) -> float:
        """Return an amount of money in yuan."""
        amount, currency = money
        return amount * (self.cny_per_usd if currency == "USD" else 1.0)

    def tokens_of(self, demand: DemandClass) -> list[float]:
        """Return the tokens demanded in each quarter."""
        if isinstance(demand.tokens, Growth):
            growth = demand.tokens
            return [growth.first * growth.growth**quarter for quarter in range(self.quarters)]
        return by_quarter(demand.tokens, self.quarters)

    def available_in(self, scenario: ScenarioSpec) -> Floats:
        """Return the number of nodes that can be bought in a scenario.

        The result is an array of shape (quarters, chips). The number is infinite for a chip without
        a limit.
        """
        columns = []
        for name, chip in self.chips.items():
            changed = scenario.available.get(name)
            available: Any = chip.available
            factor = by_quarter(1.0, self.quarters)
            if changed is not None and changed.nodes is not None:
                available = changed.nodes
            elif changed is not None and changed.factor is not None:
                factor = by_quarter(changed.factor, self.quarters)
            nodes = by_quarter(math.inf if available is None else available, self.quarters)
            columns.append(np.array(nodes, dtype=np.float64) * factor)
        return np.stack(columns, axis=1)

    def lists_by_quarter(self) -> Mapping[str, Any]:
        """Return the values that are lists with one element per quarter, by path of the field."""
        fields: dict[str, Any] = {
            "limits.power": self.limits.power,
            "limits.rack_units": self.limits.rack_units,
        }
        if isinstance(self.budget, Budget):
            fields["budget.by_quarter"] = self.budget.by_quarter
        for name, chip in self.chips.items():
            fields[f"chips.{name}.available"] = chip.available
        for name, demand in self.demand.items():
            fields[f"demand.{name}.tokens"] = demand.tokens
        for name, scenario in self.scenarios.items():
            for chip_name, supply in scenario.available.items():
                where = f"scenarios.{name}.available.{chip_name}"
                fields[f"{where}.factor"] = supply.factor
                fields[f"{where}.nodes"] = supply.nodes
        return {field: value for field, value in fields.items() if isinstance(value, list)}


def by_quarter(value: Value | list[Value], quarters: int) -> list[Value]:
    """Return one value per quarter, from a single value or a list."""
    return list(value) if isinstance(value, list) else [value] * quarters
