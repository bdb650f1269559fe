"""The numeric form of a plan, from which the linear program is built."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.catalogue import Accelerator
from clustersim.catalogue.assumptions import (
    PlanningAssumptions,
    busy_power_w,
    full_power_w,
    server_price_cny,
)
from clustersim.estimation.cost import JOULES_PER_KWH
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.procurement.fleet import Throughput
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.spec import QUARTER_S, Budget, ChipSpec, PlanSpec, by_quarter
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["Problem", "problem_of"]


@dataclass(frozen=True)
class Problem:
    """A plan in numbers: money in yuan, power in watts, chips as numbers of nodes.

    Attributes
    ----------
    chips, classes, scenarios : tuple of str
        Names of the K chips, C demand classes and S scenarios.
    quarters, first : int
        Number of quarters (Q), and number of quarters at the start whose purchases are decided
        before the scenario is known.
    probability : float array (S,)
        Probability of each scenario.
    lot : int array (K,)
        Nodes per lot.
    price : float array (K,)
        Price of a node.
    charge : float array (Q,)
        Share of the price that is charged to the plan, by quarter of the purchase.
    interest : float array (Q,)
        Interest on the capital not yet written off, as a share of the price, by quarter of the
        purchase.
    site_share : float
        Price of network and buildings relative to the price of the nodes; charged in the same way.
    drawn : float array (K,)
        Average power of a working node, which determines the cost of electricity.
    operating : float array (K,)
        Operating cost per quarter of a node in place.
    energy : float array (K,)
        Cost of the electricity of a node that works for a whole quarter.
    existing : float array (K,)
        Nodes in place at the start.
    available : float array (S, Q, K)
        Nodes that can be bought; may be infinite.
    node_tokens : float array (C, K)
        Tokens that a fully busy node processes in a quarter; 0 if it cannot run the class.
    demand : float array (C, Q)
        Tokens demanded.
    must_meet : float array (C, Q)
        Share of the demand that must be met.
    value : float array (C,)
        Cost per token of unmet demand.
    budget : float
    quarter_budget : float array (Q,)
    power, rack_units : float array (K,)
        Largest power and rack units of a node.
    power_limit, rack_limit : float array (Q,)
    utilisation : float
        Planning utilisation: largest share of the nodes in place that may work on average.
    """

    chips: tuple[str, ...]
    classes: tuple[str, ...]
    scenarios: tuple[str, ...]
    quarters: int
    first: int
    probability: Floats
    lot: Ints
    price: Floats
    charge: Floats
    operating: Floats
    energy: Floats
    existing: Floats
    available: Floats
    node_tokens: Floats
    demand: Floats
    must_meet: Floats
    value: Floats
    budget: float
    quarter_budget: Floats
    power: Floats
    rack_units: Floats
    power_limit: Floats
    rack_limit: Floats
    utilisation: float
    interest: Floats | None = None
    site_share: float = 0.0
    drawn: Floats | None = None

    @property
    def capital(self) -> Floats:
        """Charged share of a price, including network, buildings and interest, by quarter."""
        interest = 0.0 if self.interest is None else self.interest
        return np.asarray((self.charge + interest) * (1.0 + self.site_share), dtype=np.float64)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of scenarios (S), quarters (Q), classes (C) and chips (K)."""
        return len(self.scenarios), self.quarters, len(self.classes), len(self.chips)

    @property
    def fixed_cost(self) -> float:
        """Operating cost of the existing nodes in yuan, which does not depend on purchases."""
        return float((self.existing * self.operating).sum()) * self.quarters

    def only(self, scenario: int) -> Problem:
        """Return the problem in which the given scenario is the only one."""
        return dataclasses.replace(
            self,
            scenarios=(self.scenarios[scenario],),
            probability=np.ones(1),
            available=self.available[scenario : scenario + 1],
        )

    def expected(self) -> Problem:
        """Return the problem with a single scenario, whose supply is the mean of all scenarios."""
        weights = self.probability[:, None, None]
        return dataclasses.replace(
            self,
            scenarios=("expected",),
            probability=np.ones(1),
            available=(weights * self.available).sum(axis=0, keepdims=True),
        )

    def at(self, utilisation: float) -> Problem:
        """Return the problem with the given planning utilisation."""
        return dataclasses.replace(self, utilisation=utilisation)


def problem_of(question: PlanQuestion, speed: Throughput) -> Problem:
    """Convert a plan and the speeds of its chips to numeric form.

    Parameters
    ----------
    question : PlanQuestion
    speed : Throughput
        Result of :func:`~clustersim.procurement.fleet.throughput`.
    """
    spec = question.spec
    quarters, chips, classes = spec.quarters, spec.chips.values(), spec.demand.values()
    known = [question.catalogue.accelerator(chip.accelerator) for chip in chips]
    per_chip = speed.gang_tokens_per_s / np.array([[d.accelerators] for d in classes])
    assumptions = dataclasses.replace(
        question.catalogue.assumptions, cny_per_usd=spec.cny_per_usd, host_price=spec.host_price
    )
    nodes = list(zip(chips, known, speed.chips_per_node.tolist(), strict=True))
    prices = [
        _price_of_a_node(spec, chip, found, count, assumptions) for chip, found, count in nodes
    ]
    power = [
        full_power_w(found, assumptions, chips_per_node=count) if chip.power is None else chip.power
        for chip, found, count in nodes
    ]
    drawn = [
        count * busy_power_w(found, assumptions, chips_per_node=count)
        if chip.average_power is None
        else chip.average_power
        for chip, found, count in nodes
    ]
    assert spec.depreciation is not None, "it is filled when the file is read"
    residual, charged_at_once = assumptions.residual_share, spec.depreciation == 0
    budget, quarter_budget = _budgets(question)
    return Problem(
        chips=tuple(spec.chips),
        classes=tuple(spec.demand),
        scenarios=tuple(spec.scenarios),
        quarters=quarters,
        first=spec.decide_first,
        probability=np.array([each.probability for each in spec.scenarios.values()]),
        lot=np.array([chip.lot for chip in chips], dtype=np.int64),
        price=np.array(prices, dtype=np.float64),
        charge=_charge(spec.depreciation, quarters, residual),
        interest=np.zeros(quarters)
        if charged_at_once
        else assumptions.interest_per_year * _held(spec.depreciation, quarters, residual),
        site_share=assumptions.site_share,
        drawn=np.array(drawn, dtype=np.float64),
        operating=np.array([spec.in_cny(chip.operating_cost) / 4 for chip in chips]),
        energy=np.array(drawn) * _price_of_a_watt(question),
        existing=np.array([chip.existing for chip in chips], dtype=np.float64),
        available=np.stack([spec.available_in(each) for each in spec.scenarios.values()]),
        node_tokens=per_chip * speed.chips_per_node * QUARTER_S * spec.ettr,
        demand=np.array([spec.tokens_of(demand) for demand in classes], dtype=np.float64),
        must_meet=np.repeat([[demand.must_meet] for demand in classes], quarters, axis=1),
        value=_values(question),
        budget=budget,
        quarter_budget=quarter_budget,
        power=np.array(power, dtype=np.float64),
        rack_units=np.array([chip.rack_units for chip in chips], dtype=np.float64),
        power_limit=_limit(spec.limits.power, quarters),
        rack_limit=_limit(spec.limits.rack_units, quarters),
        utilisation=spec.planning_utilisation,
    )


def _price_of_a_node(
    spec: PlanSpec,
    chip: ChipSpec,
    found: Accelerator,
    count: int,
    assumptions: PlanningAssumptions,
) -> float:
    """Return the price in yuan of a node with `count` chips, including the server."""
    if chip.price_per_node is not None:
        return spec.in_cny(chip.price_per_node)
    if chip.price_per_chip is not None:
        return count * spec.in_cny(chip.price_per_chip) + spec.in_cny(spec.host_price)
    price = server_price_cny(found, assumptions, chips_per_node=count)
    assert price is not None, "checked with the file"
    return count * price[1]


def _limit(given: float | list[float] | None, quarters: int) -> Floats:
    return np.array(by_quarter(math.inf if given is None else given, quarters), dtype=np.float64)


def _charge(depreciation_s: float, quarters: int, residual: float) -> Floats:
    """Return the share of a price that is charged, by quarter of the purchase."""
    if depreciation_s == 0:
        return np.ones(quarters)
    left_s = QUARTER_S * (quarters - np.arange(quarters))
    written_off = np.minimum(1.0, left_s / depreciation_s)
    return np.asarray((1.0 - residual) * written_off, dtype=np.float64)


def _held(depreciation_s: float, quarters: int, residual: float) -> Floats:
    """Return the share of a price not yet written off, integrated over the plan, in years.

    The value falls linearly to the residual value.  The result has one element per quarter of
    purchase.
    """
    left_s = QUARTER_S * (quarters - np.arange(quarters))
    young_s = np.minimum(left_s, depreciation_s)
    fallen = (1.0 - residual) * young_s / depreciation_s
    held_s = young_s * (1.0 - 0.5 * fallen) + residual * (left_s - young_s)
    return np.asarray(held_s / SECONDS_PER_YEAR, dtype=np.float64)


def _price_of_a_watt(question: PlanQuestion) -> float:
    """Return the cost in yuan of drawing one watt for a quarter, including the PUE."""
    electricity = question.spec.electricity
    if electricity is None:
        return 0.0
    per_joule = question.spec.in_cny(electricity.price_per_kwh) / JOULES_PER_KWH
    return per_joule * QUARTER_S * electricity.pue


def _budgets(question: PlanQuestion) -> tuple[float, Floats]:
    spec, budget = question.spec, question.spec.budget
    unlimited = np.full(spec.quarters, math.inf)
    if budget is None:
        return math.inf, unlimited
    if not isinstance(budget, Budget):
        return spec.in_cny(budget), unlimited
    total = math.inf if budget.total is None else spec.in_cny(budget.total)
    if budget.by_quarter is None:
        return total, unlimited
    return total, np.array([spec.in_cny(money) for money in budget.by_quarter])


def _values(question: PlanQuestion) -> Floats:
    """Return the cost in yuan per token of unmet demand, by class."""
    spec = question.spec
    values = []
    for demand in spec.demand.values():
        value = 0.0
        if demand.value_per_million_tokens is not None:
            value = spec.in_cny(demand.value_per_million_tokens) / 1e6
        elif demand.value_per_exaflop is not None:
            model = ModelArrays.of([question.catalogue.model(demand.model)])
            flops = float(model_flops_per_token(model)[0])
            value = spec.in_cny(demand.value_per_exaflop) * flops / 1e18
        values.append(value)
    return np.array(values, dtype=np.float64)
