"""The plan file: budget, prices, supply, scenarios, limits, and the demand to meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from clustersim.catalogue.assumptions import BUILT_IN
from clustersim.costs.money import MOST_CNY
from clustersim.files import FileModel
from clustersim.scenario.scenario import Performance
from clustersim.studies.spec import Objective
from clustersim.topology import PoolName
from clustersim.units import SECONDS_PER_YEAR, Duration, Money, Power, format_number
from clustersim.workload.arrivals import Batch, Hyperexponential, Poisson
from clustersim.workload.distributions import NumberDistribution

__all__ = [
    "MOST_TOKENS",
    "QUARTER_S",
    "Budget",
    "ChipSpec",
    "DemandClass",
    "Electricity",
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
"""Seconds of a quarter."""
MOST_BUDGET_CNY = 1e15
MOST_TOKENS = 1e20
"""In a quarter."""

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
    """Read ``1/16`` as well as 0.0625."""
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value.replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"must be a number or a fraction such as 1/16, found {value!r}") from None


Scale = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema({"type": ["number", "string"], "description": "such as 0.0625 or 1/16"}),
]


def _at_most(most: float) -> AfterValidator:
    """Refuse more money than is sensible."""

    def check(money: tuple[float, str]) -> tuple[float, str]:
        if money[0] > most:
            found = f"{format_number(money[0], 6)} {money[1]}"
            raise ValueError(f"must be at most {format_number(most, 6)}, found {found}")
        return money

    return AfterValidator(check)


Price = Annotated[Money, _at_most(MOST_CNY)]
BudgetMoney = Annotated[Money, _at_most(MOST_BUDGET_CNY)]


class Budget(FileModel):
    """What may be spent on purchases."""

    total: BudgetMoney | None = Field(None, description="in all quarters together")
    by_quarter: list[BudgetMoney] | None = Field(
        None, description="in each; what is not spent does not go over to the next"
    )

    @model_validator(mode="after")
    def _some_limit(self) -> Budget:
        if self.total is None and self.by_quarter is None:
            raise ValueError("needs total, by_quarter or both; leave budget out for no limit")
        return self


class Electricity(FileModel):
    """Of nodes that work; what it does not say is taken from the planning assumptions."""

    price_per_kwh: Price = Field(
        BUILT_IN.electricity_per_kwh, description=BUILT_IN.sources["electricity_per_kwh"]
    )
    pue: float = Field(BUILT_IN.pue, ge=1, le=5, description=BUILT_IN.sources["pue"])


class Limits(FileModel):
    """Room for nodes that are in place, existing ones included; a number or one a quarter.

    Existing nodes are neither retired nor switched off: a limit below what they take leaves no
    plan.
    """

    power: Power | list[Power] | None = Field(
        None, description="of all nodes at their full power, without cooling (no PUE)"
    )
    rack_units: RackUnits | list[RackUnits] | None = Field(
        None, description="rack units in each quarter; by default no limit"
    )
    source: str = Field("", description="where the numbers are from, or assumption")


class ChipSpec(FileModel):
    """A chip type that is there or can be bought."""

    accelerator: Text = Field(description="a chip of the catalogue")
    price_per_node: Price | None = Field(None, description="of the whole server")
    price_per_chip: Price | None = Field(
        None,
        description="of the chip alone; host_price is added. By default the catalogue's price, "
        "with host_price where that excludes the server",
    )
    existing: Count = Field(
        0, description="nodes that are there at the start; they stay, and count in all limits"
    )
    available: Count | list[Count] | None = Field(
        None, description="nodes that can be bought in each quarter; by default any number"
    )
    lot: int = Field(1, ge=1, le=1_000_000, description="nodes are bought in multiples of this")
    chips_per_node: int | None = Field(None, ge=1, le=100_000, description="by default catalogue's")
    power: Power | None = Field(
        None,
        description="the most that a node draws, which limits.power counts; by default the thermal "
        "design power of its chips x host_factor of the planning assumptions",
    )
    average_power: Power | None = Field(
        None,
        description="of a node that works, for electricity; by default load_factor x the design "
        "power of its chips + host_busy of the planning assumptions",
    )
    rack_units: RackUnits = Field(0, description="that a node takes")
    operating_cost: Price = Field(
        "0 CNY", validate_default=True, description="of a node for a year in place"
    )
    source: str = Field("", description="where the numbers are from, or assumption")


class Growth(FileModel):
    """A demand that grows by the same factor each quarter."""

    first: Tokens = Field(description="tokens in the first quarter")
    growth: float = Field(1.0, gt=0, le=100, description="factor from each quarter to the next")


class DemandClass(FileModel):
    """Training work of one kind."""

    model: Text = Field(description="a model of the catalogue")
    accelerators: int = Field(ge=1, le=10**8, description="chips of a job (its gang)")
    tokens: Tokens | list[Tokens] | Growth = Field(description="to be processed in each quarter")
    job_tokens: Annotated[float, Field(gt=0, le=1e20)] | NumberDistribution = Field(
        description="of one job, in the simulation"
    )
    must_meet: float = Field(0.0, ge=0, le=1, description="share that must be met in every case")
    value_per_million_tokens: Price | None = Field(
        None, description="what a million tokens that are not processed cost"
    )
    value_per_exaflop: Price | None = Field(
        None, description="the same by 1e18 FLOPs of the model, without those computed twice"
    )
    chips: list[Text] | None = Field(
        None, min_length=1, description="that it may run on; by default all on which it fits"
    )
    source: str = Field("", description="where the numbers are from, or assumption")


class ScenarioSupply(FileModel):
    """What a scenario does to the supply of a chip type: a number for all quarters, or each."""

    factor: Factor | list[Factor] | None = Field(None, description="of what is available")
    nodes: Count | list[Count] | None = Field(None, description="available instead")
    spare_parts: bool = Field(
        True,
        description="in the simulation, whether nodes are repaired from the quarter on from which "
        "none can be bought any more",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ScenarioSupply:
        if (self.factor is None) == (self.nodes is None):
            raise ValueError("needs either factor or nodes")
        return self


class ScenarioSpec(FileModel):
    """One of the ways in which the supply may turn out."""

    probability: float = Field(gt=0, le=1, description="of this scenario; together they are 1")
    available: dict[Text, ScenarioSupply] = Field(
        default_factory=dict,
        description="by chip; others stay as they are. What is decided first is limited by the "
        "least of all scenarios, however improbable: a plan orders nothing that may not come",
    )
    source: str = Field("", description="where the numbers are from, or assumption")


class Verification(FileModel):
    """How a plan is tried by simulation."""

    base: Text | dict[str, Any] = Field(
        description="a scenario whose scheduler, failures, software, seed and, by chip type, "
        "network are taken; nothing else of it is, such as its supply, horizon, replication or "
        "catalogue, which are the plan's"
    )
    set: dict[Text, Any] = Field(default_factory=dict, description="changes of it by path")
    objective: Objective = Objective()
    replications: int = Field(
        3, ge=1, le=1000, description="of each round; as many new ones try the plan that is chosen"
    )
    scale: Scale = Field(
        1.0,
        gt=0,
        le=1,
        description="of fleet and demand in the simulation; gangs keep their size, so that a pool "
        "of the first plan must still have room for them",
    )
    rounds: int = Field(6, ge=1, le=50, description="of planning and simulating at most")
    tolerance: float = Field(
        0.02, gt=0, lt=1, description="how well the planning utilisation is to be known"
    )
    lowest_utilisation: float = Field(
        0.2, ge=0.01, lt=1, description="of the planning utilisations that are tried"
    )
    scenarios: list[Text] | None = Field(
        None, min_length=1, description="that are simulated; by default all"
    )
    arrivals: Annotated[Poisson | Hyperexponential | Batch, Field(discriminator="kind")] = Poisson()
    routing: Literal["planned", "any"] = Field(
        "planned",
        description="planned: jobs run on the chips that the plan uses for their class in that "
        "quarter; any: on all that their class allows",
    )


class ReferenceFleet(FileModel):
    """A topology whose chips are set beside those of the plan."""

    cluster: Text = Field(description="a topology: a name or a file")
    why: Text = Field(description="why the plan differs from it, which is printed with both")


class PlanSpec(FileModel):
    """A question about purchases, and what it depends on."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="name of the plan, also that of its folder"
    )
    question: str = Field("", description="what the plan is to answer, in a sentence")
    catalogue: list[Text | dict[str, Any]] = Field(
        default_factory=list, description="accelerators and models of one's own, as in a scenario"
    )
    performance: Performance = Performance()
    quarters: int = Field(ge=1, le=40, description="how many quarters the plan covers")
    decide_first: int = Field(
        1, ge=0, description="quarters whose purchases are decided before the scenario is known"
    )
    budget: BudgetMoney | Budget | None = Field(None, description="by default no limit")
    cny_per_usd: float = Field(
        BUILT_IN.cny_per_usd,
        gt=0,
        le=1000,
        description="of all prices in dollars, the catalogue's too; by default that of the "
        "planning assumptions",
    )
    host_price: Price = Field(
        BUILT_IN.host_price, description=f"of {BUILT_IN.sources['host_price'].removeprefix('a ')}"
    )
    depreciation: Duration | None = Field(
        None,
        ge=0,
        description="over which a price is charged, evenly from the purchase on; what is left at "
        "the end of the plan is not charged. By default the life of the planning assumptions; 0 s "
        "charges the whole price with the purchase",
    )
    electricity: Electricity | None = Field(
        None, description="by default not counted; {} takes the planning assumptions"
    )
    limits: Limits = Limits()
    planning_utilisation: Share = Field(
        0.85,
        description="share of the nodes that the plan counts on; queues need room. With verify the "
        "search begins here and ends where the simulated service meets the objective; without "
        "verify nothing tests it",
    )
    ettr: Share = Field(
        1.0, description="of a job's time that is kept where nodes fail; by default no failures"
    )
    reference_fleet: ReferenceFleet | None = Field(
        None, description="a fleet with which the planned one is compared in the output"
    )
    chips: dict[PoolName, ChipSpec] = Field(min_length=1)
    demand: dict[Name, DemandClass] = Field(min_length=1)
    scenarios: dict[ScenarioName, ScenarioSpec] = Field(
        default_factory=lambda: {"as planned": ScenarioSpec(probability=1.0)}, min_length=1
    )
    gap: float = Field(
        1e-6, ge=0, le=0.5, description="how far from the optimum a plan may be, of its cost"
    )
    search_nodes: int = Field(
        200_000, ge=1, description="of branch and bound after which the best plan found is taken"
    )
    verify: Verification | None = None
    sources: dict[Text, str] = Field(
        default_factory=dict, description="where numbers come from, by a name of your choice"
    )

    def in_cny(self, money: tuple[float, str]) -> float:
        """An amount of money in yuan."""
        amount, currency = money
        return amount * (self.cny_per_usd if currency == "USD" else 1.0)

    def tokens_of(self, demand: DemandClass) -> list[float]:
        """Tokens demanded in each quarter."""
        if isinstance(demand.tokens, Growth):
            told = demand.tokens
            return [told.first * told.growth**quarter for quarter in range(self.quarters)]
        return by_quarter(demand.tokens, self.quarters)

    def available_in(self, scenario: ScenarioSpec) -> npt.NDArray[np.float64]:
        """Nodes that can be bought in a scenario, (quarters, chips); infinite for any number."""
        columns = []
        for name, chip in self.chips.items():
            changed = scenario.available.get(name)
            told: Any = chip.available
            factor = by_quarter(1.0, self.quarters)
            if changed is not None and changed.nodes is not None:
                told = changed.nodes
            elif changed is not None and changed.factor is not None:
                factor = by_quarter(changed.factor, self.quarters)
            nodes = by_quarter(math.inf if told is None else told, self.quarters)
            columns.append(np.array(nodes, dtype=np.float64) * factor)
        return np.stack(columns, axis=1)

    def lists_by_quarter(self) -> Mapping[str, Any]:
        """Return what is said for each quarter, by field."""
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
    """Return a value for each quarter, of one for all or a list."""
    return list(value) if isinstance(value, list) else [value] * quarters
