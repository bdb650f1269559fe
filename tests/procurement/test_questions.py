"""From the plan file to the numbers of the program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from files import BASE, two_chips

from clustersim.catalogue import load_catalogue
from clustersim.costs.money import MoneySpec, purchase_price_cny
from clustersim.performance import ModelArrays, best_plans
from clustersim.performance.step_time import model_flops_per_token
from clustersim.procurement import define_plan, plan_purchases
from clustersim.procurement.fleet import open_base_scenario, throughput
from clustersim.procurement.problem import Problem, problem_of
from clustersim.procurement.spec import QUARTER_S
from clustersim.topology import compile_cluster, resolve_cluster


def problem(**fields: Any) -> Problem:
    question = define_plan(two_chips(**fields))
    return problem_of(question, throughput(question, open_base_scenario(question)))


def test_units_and_defaults() -> None:
    chips = {
        "h200": {
            "accelerator": "H200",
            "price_per_chip": "25000 USD",
            "available": [3, 4],
            "lot": 2,
            "operating_cost": "40000 CNY",
            "power": "10.2 kW",
            "average_power": "7 kW",
            "rack_units": 8,
        },
        "h20": {"accelerator": "h20", "existing": 4},
    }
    found = problem(
        chips=chips,
        budget={"total": "1e9 CNY", "by_quarter": ["1e8 USD", "5e8 CNY"]},
        electricity={"price_per_kwh": "0.5 CNY", "pue": 1.2},
        limits={"power": ["1 MW", "2 MW"], "rack_units": 400},
        depreciation="1 yr",
        scenarios={
            "a": {"probability": 0.25, "available": {"h200": {"nodes": [7, 8]}}},
            "b": {"probability": 0.75, "available": {"h200": {"factor": 0.5}}},
        },
    )
    host = 32010 * 7.2
    assert found.price == pytest.approx([8 * 25000 * 7.2 + host, 8 * 13500 * 7.2 + host])
    assert found.available[0, :, 0].tolist() == [7, 8]
    assert found.available[1, :, 0].tolist() == [1.5, 2]
    assert np.isinf(found.available[:, :, 1]).all()
    assert found.operating.tolist() == [10000, 0]
    assert found.power == pytest.approx([10200, 8 * 400 * 1.8])
    # A quarter is 2191.5 h, of which a kW at a PUE of 1.2 costs 0.6 CNY each.
    assert found.energy == pytest.approx([7 * 2191.5 * 0.6, (8 * 0.36 + 1.8) * 2191.5 * 0.6])
    assert (found.budget, found.quarter_budget.tolist()) == (1e9, [7.2e8, 5e8])
    assert found.power_limit.tolist() == [1e6, 2e6]
    assert found.rack_limit.tolist() == [400, 400]
    assert found.charge == pytest.approx([0.5, 0.25])
    assert found.demand[0] == pytest.approx([5.0e12, 7.5e12])
    assert found.must_meet.tolist() == [[1, 1]]


def test_the_whole_price_is_charged_where_the_file_says_so() -> None:
    assert problem(depreciation="0 s").charge.tolist() == [1, 1]


def test_a_plan_without_depreciation_takes_the_assumed_life() -> None:
    """Two quarters of four years, and one."""
    found = problem()
    assert found.charge == pytest.approx([2 / 16, 1 / 16])
    assert found.site_share == 0.2
    assert found.capital == pytest.approx([1.2 * 2 / 16, 1.2 / 16])


def test_interest_and_residual_value_by_hand() -> None:
    """Over a year of four quarters a price of 1 falls evenly to 0.2: its mean is 0.6."""
    message = {"assumptions": {"interest_per_year": 0.1, "residual_share": 0.2, "life": "1 yr"}}
    found = problem(catalogue=[message], quarters=8, scenarios=None, budget=None)
    assert found.interest is not None
    # Bought at the start of 8 quarters: a year at a mean of 0.6 and one at 0.2. In the last quarter
    # it falls by 0.2 to 0.8, 0.9 on average.
    assert found.interest[[0, 4, 7]] == pytest.approx([0.08, 0.06, 0.1 * 0.9 / 4])
    assert found.charge[[0, 4, 7]] == pytest.approx([0.8, 0.8, 0.2])


@pytest.mark.parametrize("rate", [7.0, 14.0])
def test_prices_of_the_catalogue_are_those_of_the_accounts(rate: float) -> None:
    """Dollars at the file's rate; the server comes to them but where it is in the price (H800)."""
    names = ["H200", "910B", "SeedChip", "H800"]
    chips = {name: {"accelerator": name} for name in names}
    found = problem(chips=chips, scenarios=None, cny_per_usd=rate)
    pools = compile_cluster(
        resolve_cluster(
            {"name": "one each", "pools": {n: {"accelerator": n, "nodes": 1} for n in names}},
            load_catalogue(),
        )
    ).pools
    spec = MoneySpec(cny_per_usd=rate)
    known = [load_catalogue().accelerator(name) for name in names]
    message = [
        pool.chips_per_node * purchase_price_cny(spec, pool, chip)
        for pool, chip in zip(pools, known, strict=True)
    ]
    assert found.price == pytest.approx(message, rel=1e-12)
    # The H200's price is in yuan and has its server; the 910B's is in dollars and has none.
    assert found.price[:2] == pytest.approx([1.5e6, rate * (8 * 16_000 + 32_010)])


def test_the_server_is_in_the_price_of_a_node_and_not_in_that_of_a_chip() -> None:
    chips = {
        "h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"},
        "h20": {"accelerator": "H20", "price_per_chip": "1e5 CNY"},
    }
    found = problem(chips=chips, scenarios=None, host_price="2e5 CNY")
    assert found.price.tolist() == [1.5e6, 1.0e6]


def test_a_value_by_flops() -> None:
    """Of the model, as where costs of useful work are accounted for."""
    demand = two_chips()["demand"]
    demand["tuning"] |= {"must_meet": 0, "value_per_exaflop": "10 CNY"}
    found = problem(demand=demand)
    model = ModelArrays.of([load_catalogue().model("llama3-8b")])
    assert found.value.item() == pytest.approx(
        10 * model_flops_per_token(model).item() / 1e18, rel=1e-12
    )


def test_speeds_are_those_of_the_performance_core() -> None:
    question = define_plan(two_chips(ettr=0.9))
    catalogue = question.catalogue
    chips = [catalogue.accelerator(name) for name in ("H200", "H20")]
    model = catalogue.model("llama3-8b")
    message = best_plans([model, model], chips, [8, 8], draw=question.draw).tokens_per_s
    found = problem(ettr=0.9)
    assert found.node_tokens[0] == pytest.approx(0.9 * QUARTER_S * message, rel=1e-12)


def test_a_draw_from_the_posterior_changes_the_speeds() -> None:
    mean, drawn = problem(), problem(performance={"draw": 4})
    ratio = drawn.node_tokens / mean.node_tokens
    assert (ratio != 1).all()
    assert np.abs(ratio - 1).max() > 1e-3
    assert (np.abs(ratio - 1) < 0.5).all()


def test_the_network_of_the_base_counts() -> None:
    """A gang of 64 is slower where the base scenario's pool has a slow network."""
    demand = two_chips()["demand"]
    demand["tuning"]["accelerators"] = 64
    pool = {"accelerator": "H200", "nodes": 1, "nic": "10 Gb/s"}
    base = {**BASE, "cluster": {"name": "base", "pools": {"any": pool}}}
    slow = problem(demand=demand, verify={"base": base}).node_tokens
    fast = problem(demand=demand).node_tokens
    assert slow[0, 0] < 0.9 * fast[0, 0]
    assert slow[0, 1] == fast[0, 1]


MIXED: dict[str, Any] = {
    "h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY", "available": [3, 2]},
    "h20": {"accelerator": "H20", "price_per_node": "0.8e6 CNY", "existing": 4, "available": 2},
    "910b": {"accelerator": "910B", "price_per_node": "0.9e6 CNY", "available": 4},
    "seedchip": {"accelerator": "SeedChip", "price_per_node": "0.5e6 CNY", "available": [0, 6]},
}
"""All of each is needed: the demand leaves some tokens unmet even so."""


def mixed_plan(chips: dict[str, Any], **fields: Any) -> Any:
    demand = two_chips()["demand"]
    demand["tuning"] |= {
        "tokens": 6.0e13,
        "must_meet": 0,
        "value_per_million_tokens": "5 CNY",
    }
    return plan_purchases(define_plan(two_chips(chips=chips, demand=demand, budget=None, **fields)))


@pytest.mark.parametrize("name", list(MIXED))
def test_each_chip_type_matters(name: str) -> None:
    """Without a chip type the plan is another: all that it did is left undone, which costs more."""
    whole = mixed_plan(MIXED)
    less = mixed_plan({key: chip for key, chip in MIXED.items() if key != name}, scenarios=None)
    fair = mixed_plan(MIXED, scenarios=None)
    place = list(MIXED).index(name)
    assert whole.schedule.busy[..., place].sum() > 0
    assert less.schedule.unmet.sum() > fair.schedule.unmet.sum()
    assert less.schedule.expected_cost > fair.schedule.expected_cost


def test_a_stop_of_supply_matters() -> None:
    """Without its scenario H200 is bought in both quarters; with it not in the second."""
    whole = mixed_plan(MIXED)
    assert whole.schedule.bought[:, 1, 0].tolist() == [2, 0]
    assert whole.schedule.cost[1] > whole.schedule.cost[0]


def test_memory_of_the_chip_matters() -> None:
    """SeedChip with less memory is another chip: the plan takes its catalogue's word."""
    small = {"accelerators": {"SeedChip": {"extends": "SeedChip", "hbm_stacks": 2}}}
    fields = {"scenarios": None}
    usual, less = mixed_plan(MIXED, **fields), mixed_plan(MIXED, **fields, catalogue=[small])
    place = list(MIXED).index("seedchip")
    assert less.problem.node_tokens[0, place] < usual.problem.node_tokens[0, place]
    assert less.schedule.expected_cost > usual.schedule.expected_cost
