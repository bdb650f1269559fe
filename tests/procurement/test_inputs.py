"""What the card and the page say about inputs, scale, limits and prices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from files import planned, queue, two_chips

from clustersim.catalogue import load_catalogue
from clustersim.cli.texts.plan_text import plan_text
from clustersim.files import read_yaml
from clustersim.plots.purchases import draw_purchases, draw_regret
from clustersim.procurement import define_plan
from clustersim.procurement.answer import plan_answer
from clustersim.procurement.fleet import throughput
from clustersim.procurement.input_table import input_table
from clustersim.procurement.limits_text import limits_text
from clustersim.procurement.output import plan_content
from clustersim.procurement.problem import problem_of
from clustersim.report.cells import table_columns
from clustersim.report.page import Table
from clustersim.report.plan_page import plan_page

REPOSITORY = Path(__file__).parents[2]


def inputs_of(fields: dict) -> pd.DataFrame:
    question = define_plan(fields)
    return input_table(question, problem_of(question, throughput(question)))


def test_the_inputs_that_decide_are_in_a_table_with_their_sources() -> None:
    fields = two_chips(
        budget={"total": "60e6 CNY", "by_quarter": ["50e6 CNY", "20e6 CNY"]},
        limits={"power": ["0.4 MW", "1.2 MW"], "source": "a contract"},
        sources={"budget": "the board", "probabilities": "a guess", "penalty": "a rent"},
    )
    fields["demand"]["tuning"] |= {"must_meet": 0.3, "value_per_exaflop": "20 CNY"}
    fields["scenarios"]["stopped"]["source"] = "a rule"
    fields["chips"]["h200"] |= {"operating_cost": "40000 CNY"}
    table = inputs_of(fields)
    rows = {
        (row["input"], row["of"]): (row["value"], row["source"]) for row in table.to_dict("records")
    }
    budget = "budget for purchases, without network and buildings"
    assert rows[budget, ""] == ("60 million CNY", "the board")
    assert rows[f"{budget}, by quarter", ""][0] == "50 million CNY in Q1, 20 in Q2"
    power = rows["limit of the power of all nodes, without cooling", ""]
    assert power == ("0.4 MW in Q1, 1.2 in Q2", "a contract")
    assert rows["probability", "stopped"] == ("40 %", "a guess")
    assert rows["supply, nodes, if 'goes on' occurs", "h200"][0] == "20 in each quarter"
    assert rows["supply, nodes, if 'stopped' occurs", "h200"] == ("20 in Q1, 0 in Q2", "a rule")
    assert rows["supply, nodes", "h20"][0] == "any number in each quarter"
    assert rows["nodes in place at the start", "h20"][0] == "4"
    assert rows["chips per node", "h200, h20"][0] == "8"
    assert rows["operating cost of a node and year", "h200"][0] == "40,000 CNY"
    assert rows["demand", "tuning"][0] == "5 trillion tokens in Q1, 7.5 in Q2"
    assert rows["share of the demand that must be met", "tuning"][0] == "30 %"
    penalty = rows["penalty for unmet demand", "tuning"]
    assert penalty == ("20 CNY per 1e18 model FLOPs", "a rent")


def test_the_floor_of_the_demand_is_named_as_such() -> None:
    """Unmet demand costs less than electricity, so only the floor is met."""
    fields = two_chips(chips={"h200": two_chips()["chips"]["h200"]}, electricity={})
    fields["demand"]["tuning"] |= {"must_meet": 0.3, "value_per_million_tokens": "1e-6 CNY"}
    lines = plan_answer(planned(fields))
    assert "in Q2, 30 % (the least that must be met) of the demand" in lines["sentence"]
    (met,) = (line for line in lines["hinges_on"] if line.startswith("Demand met"))
    assert "30 % of tuning (the least that must be met)" in met
    fields["demand"]["tuning"] |= {"must_meet": 0}
    assert "must be met" not in str(plan_answer(planned(fields)))


def test_the_price_says_what_it_contains_and_nodes_are_also_chips() -> None:
    plan = planned(two_chips())
    assert plan.schedule is not None
    answer, first = plan_answer(plan), float(plan.schedule.spending[0, 0])
    assert answer["label"] == "price of the first purchases, without network and buildings"
    paid = f"{first / 1e6:.4g} million CNY"
    whole = f"{1.2 * first / 1e6:.4g} million CNY"
    assert f"for {paid} ({whole} with network and buildings)" in answer["sentence"]
    assert answer["interval"].startswith(f"{whole} with them; with all later purchases")
    nodes = int(plan.schedule.bought[0, 0, 0])
    assert f"{nodes} nodes of h200 ({8 * nodes} chips)" in answer["sentence"]
    assert plan.purchases is not None
    assert "A node has 8 chips." in draw_purchases(plan.purchases).caption
    free = two_chips(catalogue=[{"assumptions": {"site_share": 0}}])
    assert "network and buildings" not in str(plan_answer(planned(free))["sentence"])


def test_limits_name_scenarios_and_the_largest_shadow_prices() -> None:
    columns = ["constraint", "of", "scenario", "quarter", "unit", "saves_cny"]
    rows = [
        ("power", "", "all", 1, "MW", 9e6),
        ("power", "", "all", 4, "MW", 8e6),
        ("power", "", "good", 4, "MW", 8e6),
        ("power", "", "bad", 4, "MW", 0.0),
        ("available", "h200", "bad", 2, "node", 2e5),
        ("available", "h200", "bad", 3, "node", 1e5),
        ("available", "h200", "good", 3, "node", 1e3),
        ("available", "h20", "bad", 3, "node", 1e2),
        ("demand", "tuning", "all", 1, "million tokens", -0.2),
    ]
    assert limits_text(pd.DataFrame(rows, columns=columns)) == (
        "Limits, with the saving in expected cost per additional unit: power is binding in Q1 in "
        "every scenario (9 million CNY per MW) and in Q4 in 'good' (8 million CNY); supply of h200 "
        "is binding in Q2 in 'bad' (200,000 CNY per node) and in Q3 in 'bad' (100,000 CNY) (less "
        "in 1 other case); supply of h20 is binding too, see the table of shadow prices."
    )
    assert limits_text(pd.DataFrame(rows[-1:], columns=columns)) == ""


def test_the_numbers_in_the_picture_of_regret_are_those_of_the_table() -> None:
    rows = [("this plan", "a", 92.18e6), ("this plan", "b", 0.0), ("other", "a", 439.4e6)]
    rows.append(("other", "b", 151.4e6))
    regret = pd.DataFrame(rows, columns=["candidate", "scenario", "regret_cny"])
    (cells,) = table_columns(regret[["regret_cny"]], labels={}, formats={}, intervals=False)
    table = {cell.text.split()[0] for cell in cells.cells}
    drawn = {text.get_text() for text in draw_regret(regret).panels[0].texts}
    assert table == drawn == {"92.2", "0", "439", "151"}


def test_the_scale_of_the_simulation_is_named_and_waits_have_one_unit() -> None:
    """A plan at half the scale whose waits are seconds to minutes, with an objective in hours."""
    fields = queue(scale="1/2", replications=2, rounds=1)
    fields["planning_utilisation"] = 0.5
    fields["chips"]["h200"]["lot"] = 20
    fields["verify"]["objective"]["at_most"] = "3 h"
    plan = planned(fields)
    answer = plan_answer(plan)
    assert "(at 1/2 of the fleet and the demand)" in answer["sentence"]
    (service,) = (line for line in answer["hinges_on"] if line.startswith("Service"))
    assert "at 1/2 of the fleet and the demand, with jobs of full size" in service
    parts = (part for part in plan_page(plan_content(plan)).sections)
    tables = {t.title: t for part in parts for t in part.parts if isinstance(t, Table)}
    rounds = tables["Rounds of the simulation"]
    assert "scaled to 1/2" in rounds.caption
    columns = table_columns(
        rounds.frame, labels=rounds.labels, formats=rounds.formats, intervals=True,
        prefixes=rounds.prefixes,
    )  # fmt: skip
    (waits,) = (column for column in columns if column.label == "mean wait")
    assert all(" h" in cell.text for cell in waits.cells)
    assert not any(unit in cell.text for cell in waits.cells for unit in (" s", " min"))
    printed = plan_text(plan).partition("simulated results")[2].partition("Answer")[0]
    assert " h " in printed
    assert not re.search(r"\d (s|min) ", printed)
    value = inputs_of(fields).set_index("input")["value"]
    assert value["scale of the simulation, of fleet and demand"] == "1/2"


def test_electricity_has_one_range_of_prices() -> None:
    source = load_catalogue().assumptions.sources["electricity_per_kwh"]
    prices = read_yaml(REPOSITORY / "experiments/fleet_2026.yaml")["energy"]["price_cny_per_kwh"]
    stated = [float(number) for number in re.findall(r"\d\.\d", source)]
    assert stated == [min(prices), max(prices)]
    assert np.mean(prices) == pytest.approx(load_catalogue().assumptions.tariff_cny_per_kwh)
