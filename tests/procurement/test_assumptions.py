"""One set of planning assumptions: what each consumer takes from it, and what overrides it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from files import two_chips

import clustersim
from clustersim.analysis.measures import fleet_facts
from clustersim.analysis.part import FleetView
from clustersim.catalogue.assumptions import (
    ASSUMPTIONS_FILE,
    BUILT_IN,
    AssumptionsSection,
    server_price_cny,
)
from clustersim.cli.main import main
from clustersim.cli.texts.plan_text import plan_text
from clustersim.errors import InputError
from clustersim.estimation.cost import Prices
from clustersim.estimation.estimate import estimate
from clustersim.files import read_yaml
from clustersim.procurement import define_plan, load_plan, plan_purchases
from clustersim.procurement.fleet import throughput
from clustersim.procurement.problem import problem_of
from clustersim.scenario.parameter_paths import check_path
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario, load_scenario
from clustersim.topology import load_cluster

REPOSITORY = Path(__file__).parents[2]
EXPERIMENTS, TOPOLOGIES = REPOSITORY / "experiments", REPOSITORY / "topologies"
YEAR_S = 365.25 * 86400.0
CHIPS = ("H200", "H20", "910B", "SeedChip", "H800")
OWN = {
    "assumptions": {
        "cny_per_usd": 7.0,
        "host_price": {"value": "20000 USD", "source": "an offer"},
        "life": "5 yr",
        "site_share": 0.5,
        "pue": 1.15,
        "electricity_per_kwh": "0.1 USD",
        "load_factor": 0.8,
        "host_busy": "2.4 kW",
    },
    "prices": {"H200": {"low": "24000 USD", "value": "26000 USD", "high": "30000 USD"}},
}


def one_job(chip: str, catalogue: list[Any]) -> dict[str, Any]:
    """A node of a chip on which one job runs all the time, with accounts."""
    return {
        "catalogue": catalogue,
        "cluster": {"name": "one", "pools": {"gpu": {"accelerator": chip, "nodes": 1}}},
        "workload": {
            "generate": {
                "name": "one",
                "arrivals": {"mean_interarrival": "1 s"},
                "classes": [
                    {
                        "name": "train",
                        "weight": 1,
                        "sizes": {8: 1},
                        "model": "llama3-8b",
                        "tokens": {"kind": "constant", "value": 1e9},
                    }
                ],
            },
            "jobs": 1,
        },
        "energy": {},
        "money": {},
    }


@pytest.mark.parametrize("catalogue", [[], [OWN]], ids=["built-in", "own file"])
@pytest.mark.parametrize("chip", CHIPS)
def test_estimate_run_study_and_plan_take_the_same_numbers(chip: str, catalogue: list[Any]) -> None:
    """The price of a chip with its server, its life, and what a job of the same length costs."""
    known = clustersim.load_catalogue(*catalogue)
    found = server_price_cny(known.accelerator(chip), known.assumptions)
    assert found is not None
    price = found[1]

    cost = estimate("llama3-8b", chip, 8, catalogue=known, tokens=1e9).cost
    assert cost is not None
    assert cost.prices.chip_cny == pytest.approx(price, rel=1e-12)

    loaded = define_scenario(one_job(chip, catalogue))
    fleet = resolve(loaded)
    result = run_scenario(fleet)
    shown = known.assumptions
    job = result.jobs.iloc[0]
    seconds = job["finish_s"] - job["start_s"]
    by_column = result.costs[result.costs["use"] == "allocated"].sum(numeric_only=True)
    assert by_column["depreciation_cny"] == pytest.approx(8 * price * seconds / shown.life)
    # The estimate of as long a job costs the same, kind by kind.
    share = seconds / cost.seconds
    for column, estimated in {
        "depreciation_cny": cost.chips_cny,
        "site_cny": cost.site_cny,
        "electricity_cny": cost.energy_cny,
        "cost_cny": cost.total_cny,
    }.items():
        assert estimated is not None
        assert by_column[column] == pytest.approx(estimated * share, rel=1e-9), column
    assert by_column["energy_j"] / 3.6e6 == pytest.approx(cost.energy_kwh * share, rel=1e-9)

    assert fleet_facts(FleetView(fleet))["fleet_cost_cny"] == pytest.approx(8 * price, rel=1e-12)

    question = define_plan(
        two_chips(
            catalogue=catalogue,
            chips={"a": {"accelerator": chip, "available": 20}},
            electricity={},
            scenarios=None,
        )
    )
    plan = problem_of(question, throughput(question))
    assert plan.price[0] == pytest.approx(8 * price, rel=1e-12)
    quarter_s = YEAR_S / 4
    assert plan.charge[-1] == pytest.approx(quarter_s / shown.life, rel=1e-12)
    a_quarter = quarter_s / cost.seconds
    capital = plan.price[0] * plan.capital[-1]
    assert capital == pytest.approx(a_quarter * ((cost.chips_cny or 0) + (cost.site_cny or 0)))
    assert plan.energy[0] == pytest.approx(a_quarter * cost.energy_cny, rel=1e-9)


def test_an_h200_with_its_server_by_hand() -> None:
    """1.5 million yuan a server of eight; four years; PUE 1.3; 855 W a chip with its host."""
    cost = estimate("llama3-8b", "H200", 8, tokens=1e12).cost
    assert cost is not None
    assert cost.chips_cny == pytest.approx(1.5e6 * cost.seconds / (4 * YEAR_S))
    assert cost.site_cny == pytest.approx(0.2 * cost.chips_cny)
    assert cost.energy_kwh == pytest.approx(8 * 0.855 * 1.3 * cost.seconds / 3600)


def test_every_assumption_has_a_source_and_a_consumer() -> None:
    """A number that nothing reads would be a second truth."""
    assert set(BUILT_IN.sources) == set(AssumptionsSection.model_fields)
    assert all(BUILT_IN.sources.values())
    sources = [
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "clustersim").rglob("*.py")
        if path.name != "assumptions.py"
    ]
    for key in BUILT_IN.sources:
        assert any(re.search(rf"\b{key}\b", text) for text in sources), key
    for name, price in read_yaml(ASSUMPTIONS_FILE)["prices"].items():
        assert price["source"], name


def test_interest_and_residual_value_in_an_estimate_by_hand() -> None:
    """Over the life a price of 1 falls to 0.1: it costs 0.9, and interest on 0.55 on average."""
    own = {"assumptions": {"interest_per_year": 0.1, "residual_share": 0.1, "site_share": 0}}
    cost = estimate(
        "llama3-8b", "H200", 8, tokens=1e9, catalogue=clustersim.load_catalogue(own)
    ).cost
    assert cost is not None
    years = cost.seconds / YEAR_S
    assert cost.chips_cny == pytest.approx(1.5e6 * 0.9 * years / 4)
    assert cost.interest_cny == pytest.approx(1.5e6 * 0.1 * 0.55 * years)


def test_a_saved_scenario_keeps_the_assumptions_that_it_ran_with() -> None:
    """Running what a result says of itself gives the same accounts, whatever the catalogue says."""
    result = run_scenario(define_scenario(one_job("H200", [OWN])))
    tree = result.provenance["scenario"]
    assert tree["energy"]["pue"] == 1.15
    assert tree["money"]["life"] == "157788000.0 s"
    again = run_scenario(define_scenario({**tree, "catalogue": [{"prices": OWN["prices"]}]}))
    pd.testing.assert_frame_equal(again.costs, result.costs)


def test_what_a_scenario_says_goes_before_the_catalogue() -> None:
    tree = one_job("H200", [OWN])
    tree["energy"] = {"pue": 1.5}
    result = run_scenario(define_scenario(tree))
    assert result.provenance["scenario"]["energy"]["pue"] == 1.5
    assert result.provenance["scenario"]["energy"]["load_factor"] == 0.8
    money, energy = result.provenance["assumptions"]
    # 26,000 USD at 7, and an eighth of the host's 20,000.
    assert "H200 199,500 CNY with its server" in money
    assert "life 5 years" in money
    assert "network and buildings 50 %" in money
    assert "PUE 1.5" in energy


def test_assumptions_can_be_changed_by_path() -> None:
    tree = one_job("H200", [])
    loaded = define_scenario(tree, {"catalogue.assumptions.pue": 1.1})
    assert run_scenario(loaded).provenance["scenario"]["energy"]["pue"] == 1.1
    check_path(tree, "catalogue.assumptions.life", Path())
    with pytest.raises(InputError, match="did you mean 'pue'"):
        check_path(tree, "catalogue.assumptions.puee", Path())


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"assumptions": {"pue": 0.9}}, r"assumptions\.pue: input should be greater than or equal"),
        ({"assumptions": {"host_price": "1e300 CNY"}}, r"assumptions\.host_price: must be at most"),
        ({"assumptions": {"host_price": 3}}, r"assumptions\.host_price: "),
        ({"assumptions": [1]}, r"assumptions: .*mapping"),
        ({"assumptions": {"lief": "4 yr"}}, r"assumptions\.lief: unknown key; did you mean 'life'"),
        ({"assumptions": {"idle_share": 0.95}}, r"idle_share \(0\.95\) is above load_factor"),
        (
            {"prices": {"H201": {"low": "1 CNY", "high": "2 CNY"}}},
            r"prices\.H201: unknown accelerator",
        ),
        (
            {"prices": {"H200": {"low": "1 CNY", "value": "3 CNY", "high": "2 CNY"}}},
            "must satisfy low <= value <= high",
        ),
    ],
)
def test_wrong_assumptions_are_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        clustersim.load_catalogue(own)


def test_the_site_takes_the_assumed_factors() -> None:
    """A node of H200 needs 5.6 kW x 1.8 x 1.3 = 13.1 kW; with a PUE of 1 10.1 kW."""
    tree = one_job("H200", [])
    tree["supply"] = {"site": {"limits": [{"power": "12 kW"}]}}
    with pytest.raises(InputError, match=r"PUE 1\.3, host_factor 1\.8"):
        run_scenario(define_scenario(tree))
    tree["catalogue"] = [{"assumptions": {"pue": 1}}]
    loaded = define_scenario(tree)
    assert run_scenario(loaded).jobs["finish_s"].notna().all()


def test_the_command_prints_assumptions_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "--assumptions"]) == 0
    text = capsys.readouterr().out
    for key, source in BUILT_IN.sources.items():
        assert re.search(rf"^{key} +\S", text, re.MULTILINE), key
        assert source.split()[0] in text
    assert re.search(r"^H200 +187,500 +175,000 +252,000 +in the price", text, re.MULTILINE)


def test_estimate_says_what_it_assumed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("assumptions: {pue: 1.11, site_share: 0.3}\n")
    job = ["estimate", "--model", "llama3-8b", "--accelerator", "H200", "--count", "8"]
    assert main([*job, "--catalogue", str(file)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "187,500 CNY per chip with its share of the server" in text
    assert "network and buildings 30 % of the servers" in text
    assert "times 1.11 (--pue)" in text
    assert "from your catalogue file: pue, site_share" in text
    assert main([*job, "--catalogue", str(file), "--pue", "1.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["pue"] == 1.2


def test_an_own_price_is_named_with_its_source(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "assumptions: {pue: 1.5, life: 3 yr}\n"
        "prices:\n  H200: {low: 200000 CNY, high: 200000 CNY}\n"
        "  H100: {low: 210000 CNY, high: 210000 CNY, source: our quote, with_host: true}\n"
    )
    own = ["--catalogue", str(file)]
    assert main(["catalogue", "--assumptions", *own]) == 0
    text = capsys.readouterr().out
    assert "  H200: assumption: own.yaml gives no source\n" in text
    assert "  H100: our quote\n" in text
    assert ": ;" not in text
    assert main(["catalogue", "H200", *own]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "price: without its server; assumption: own.yaml gives no source" in text
    job = ["estimate", "--model", "llama3-8b", "--accelerator", "H200", "--count", "8", *own]
    for more, named in (
        ([], "the price of H200, life, pue;"),
        (["--price", "5"], "life, pue;"),
        (["--pue", "1.2", "--depreciation", "2 yr"], "the price of H200;"),
    ):
        assert main([*job, *more]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert f"from your catalogue file: {named}" in text
    assert main([*job[:3], "--accelerator", "H20", *job[5:]]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "from your catalogue file: life, pue;" in text


def test_prices_by_option_leave_the_rest() -> None:
    prices = Prices.of(BUILT_IN, chip_cny=1e5)
    assert (prices.chip_cny, prices.pue, prices.depreciation_years) == (1e5, 1.3, 4.0)


# --- The published files ------------------------------------------------------------


def node_price(name: str) -> float:
    chip = clustersim.load_catalogue().accelerator(name)
    price = server_price_cny(chip, BUILT_IN)
    assert price is not None
    return chip.chips_per_node * price[1]


def test_fleets_of_2026_follow_from_the_same_prices() -> None:
    """Half of 160 billion yuan in H200; two fifths of the fleet trains; the same in the plan."""
    catalogue = clustersim.load_catalogue()
    whole = load_cluster(TOPOLOGIES / "bytedance-2026.yaml", catalogue).pools
    assert whole["h200"].nodes == math.floor(80e9 / node_price("H200"))
    assert whole["h20"].nodes == math.floor(2e9 / 13_500 / 8)
    price = catalogue.accelerator("H20").price
    assert price == pytest.approx(13_500 * BUILT_IN.cny_per_usd)
    assert (whole["910b"].nodes, whole["seedchip"].nodes) == (12_500, 12_500)

    changes = {"case": "as announced"}
    training = load_scenario(EXPERIMENTS / "fleet_2026.yaml", changes).scenario
    assert isinstance(training.cluster, dict)
    pools = {name: pool["nodes"] for name, pool in training.cluster["pools"].items()}
    for name in ("h200", "h20", "910b", "seedchip"):
        assert pools[name] == math.floor(0.4 * whole[name].nodes)

    for case, there in {"as announced": 12_500, "cap of 75,000": 3750}.items():
        plan = load_plan(EXPERIMENTS / "plan_2026.yaml", changes={"fleet.case": case})
        assert plan.spec.chips["h20"].existing == whole["h20"].nodes
        assert plan.spec.chips["910b"].existing == there
        problem = problem_of(plan, throughput(plan))
        shown = dict(zip(problem.chips, problem.price.tolist(), strict=True))
        for name, chip in {"h200": "H200", "910c": "910C", "seedchip": "SeedChip"}.items():
            assert shown[name] == pytest.approx(node_price(chip), rel=1e-12)
    assert problem.budget is not None


def test_the_plan_of_2026_has_the_supply_of_the_fleet() -> None:
    """75,000 H200 come in lots of 1,875 nodes, each a month late on average: on 31 August and
    30 September, and after the stop on 1 October no more; whatever their probability."""
    spec = load_plan(EXPERIMENTS / "plan_2026.yaml").spec
    assert spec.chips["h200"].available == [0, 0, 3750, 5625]
    assert spec.chips["910c"].available == [1666, 2500, 2500, 2500]
    scenarios = {name: each.available for name, each in spec.scenarios.items()}
    assert scenarios["status quo"] == {}
    assert scenarios["no H200"]["h200"].nodes == [0, 0, 0, 0]
    assert scenarios["H200 stopped"]["h200"].nodes == [0, 0, 3750, 0]
    assert not scenarios["H200 stopped"]["h200"].spare_parts
    assert set(scenarios["HBM halved"]) == {"seedchip"}
    fleet = read_yaml(EXPERIMENTS / "fleet_2026.yaml")["fleet"]["purchases"]
    given = fleet["probabilities"]
    chances = {name: each.probability for name, each in spec.scenarios.items()}
    assert chances["no H200"] == given["no H200"]
    assert chances["H200 stopped"] == given["cap of 75,000 stopped"]
    assert sum(chances.values()) == pytest.approx(1)
    assert spec.budget == (85e9, "CNY")
    assert spec.limits.power == [4e8, 5.6e8, 7.2e8, 8.8e8]


def test_what_a_plan_states_itself_comes_before_its_fleet() -> None:
    changes = {
        "chips.h200.available": [1, 2, 3, 4],
        "budget": "1e9 CNY",
        "fleet.set.'fleet.pools.h20.stock'": 80,
        "scenarios.no H200.probability": 0.2,
    }
    spec = load_plan(EXPERIMENTS / "plan_2026.yaml", changes=changes).spec
    assert spec.chips["h200"].available == [1, 2, 3, 4]
    assert spec.budget == (1e9, "CNY")
    assert spec.chips["h20"].existing == 10
    assert spec.scenarios["no H200"].probability == 0.2
    assert spec.scenarios["status quo"].probability == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fleet.file=fleet_2027.yaml", "did you mean 'fleet_2026.yaml'"),
        ("fleet.case=no H2000", "unknown case 'no H2000'; did you mean 'no H200'"),
        ("fleet.set={fleet.pools.h200.stok: 8}", "fleet.pools.h200.stok"),
        (
            "fleet.set={supply.retirements: [{pool: h20, nodes: 4, at: 5 d}]}",
            "supply.retirements: plans cannot take nodes out",
        ),
        (
            "fleet.set={fleet.purchases.probabilities: {HBM halved: 0.1}}",
            r"probabilities: unknown case 'no H200'.*scenario 'no H200' of the plan",
        ),
    ],
)
def test_mistakes_about_the_fleet_of_a_plan(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_plan(EXPERIMENTS / "plan_2026.yaml", changes=[change])


def test_cases_of_2026_spend_the_same_money() -> None:
    """910B and 910C for the money of the H200; H200 and SeedChip for the same money."""
    cases = read_yaml(EXPERIMENTS / "fleet_2026.yaml")["cases"]
    more = cases["all 910B"]["fleet.pools.910b.deliveries.more"]["chips"]
    assert more == 8 * math.floor(80e9 / node_price("910B"))
    more = cases["all 910C"]["fleet.pools.910c.deliveries.more.chips"]
    assert more == 8 * math.floor(80e9 / node_price("910C"))
    order = cases["950PR as ordered"]["fleet.pools.950pr.deliveries.order.chips"]
    assert order == 8 * math.floor(40e9 / node_price("910C"))
    chips = {
        "H200": "fleet.pools.h200.deliveries.H200.chips",
        "SeedChip": "fleet.pools.seedchip.made.SeedChip.chips",
    }
    shares = read_yaml(EXPERIMENTS / "fleet_2026_shares.yaml")["cases"]
    for name, case in shares.items():
        bought = {chip: case.get(path, 0) for chip, path in chips.items()}
        if name == "no H200":
            assert case["fleet.pools.h200.deliveries.H200"]["chips"] == bought["H200"] == 0
        if name == "H200 alone":
            assert case["fleet.pools.seedchip.made"] == {}
            bought["SeedChip"] = 0
        spent = sum(n / 8 * node_price(chip) for chip, n in bought.items())
        assert spent == pytest.approx(80e9, rel=1.5e-3), name


def test_published_files_repeat_no_planning_assumption() -> None:
    """Prices of chips, life, PUE and power of nodes have one source."""
    training = load_scenario(EXPERIMENTS / "fleet_2026.yaml").scenario
    assert training.money is not None
    assert training.money.model_fields_set == set()
    assert training.energy is not None
    assert training.energy.model_fields_set == {"price_cny_per_kwh"}
    hourly = training.energy.price_cny_per_kwh
    assert isinstance(hourly, list)
    assert sum(hourly) / 24 == pytest.approx(BUILT_IN.tariff_cny_per_kwh)
    plan = load_plan(EXPERIMENTS / "plan_2026.yaml")
    assert {
        "depreciation",
        "electricity.pue",
        "electricity.price_per_kwh",
        "host_price",
    } <= plan.assumed
    for chip in plan.spec.chips.values():
        assert chip.model_fields_set.isdisjoint(
            {"price_per_node", "price_per_chip", "power", "average_power"}
        )
    keys = re.compile(
        r"(^|[\s.{])(pue|life|interest_per_year|host_factor|host_price|site_share|price):"
    )
    for path in (*EXPERIMENTS.glob("*.yaml"), *TOPOLOGIES.glob("*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.split("#")[0]
            assert not keys.search(text), f"{path.name}: {line}"


# --- What a plan prints -------------------------------------------------------------


@pytest.mark.parametrize("scenarios", ["two", "none"])
def test_paid_and_charged_are_reported_apart(scenarios: str) -> None:
    """The table and the sentence call what is paid and what is charged by names of their own.

    Where a stop of H200 leads to other purchases both are ranges, without scenarios one sum each.
    """
    fields = {"scenarios": None} if scenarios == "none" else {}
    plan = plan_purchases(define_plan(two_chips(electricity={}, **fields)))
    schedule = plan.schedule
    assert schedule is not None
    text = " ".join(plan_text(plan).split())
    spent, charged = schedule.spending.sum(axis=1), schedule.costs()["depreciation"]
    assert spent == pytest.approx(schedule.bought.sum(axis=1) @ plan.problem.price)
    assert (charged < spent).all()
    # Of 4 years a purchase of the first quarter is charged for two, one of the second for one.
    quarters = schedule.bought * plan.problem.price * np.array([2.0, 1.0])[:, None]
    assert charged == pytest.approx(quarters.sum(axis=(1, 2)) / 16)
    amount = r"([\d.]+)(?: to ([\d.]+))? million CNY"
    said = re.search(
        f"[Tt]he price of all purchases is {amount} without network and buildings and {amount} "
        f"with them. The cost includes {amount} of the purchases, the "
        "depreciation within 2 quarters; the rest is the value left",
        text,
    )
    assert said is not None
    found = said.groups()
    ranges = (found[:2], spent), (found[2:4], 1.2 * spent), (found[4:], charged)
    for (low, high), amounts in ranges:
        assert float(low) == pytest.approx(amounts.min() / 1e6, rel=1e-3)
        assert (high is None) == (scenarios == "none")
        assert float(high or low) == pytest.approx(amounts.max() / 1e6, rel=1e-3)
    assert "probability depreciation network and buildings operation" in text
    assert "purchases of" not in text
    whole = plan_purchases(define_plan(two_chips(depreciation="0 s")))
    assert "which the cost includes in full" in " ".join(plan_text(whole).split())


def test_a_plan_says_what_it_assumed_and_where_from(tmp_path: Path) -> None:
    own = {"assumptions": {"pue": 1.11}}
    fields = two_chips(electricity={"price_per_kwh": "0.7 CNY"}, catalogue=[own], scenarios=None)
    plan = plan_purchases(define_plan(fields))
    plan.save(tmp_path / "plan")
    table = pd.read_csv(tmp_path / "plan" / "assumptions.csv").set_index("assumption")
    assert table.loc["PUE"].tolist() == ["1.11", "user's catalogue file"]
    assert table.loc["electricity"].tolist() == ["0.7 CNY/kWh", "plan file"]
    assert table.loc["depreciation"].tolist() == ["4 years", "planning assumptions"]
    assert table.loc["h200: node with its server"].tolist() == ["1,500,000 CNY", "plan file"]
    assert table.loc["planning utilisation"].tolist() == ["0.850", "default"]
    for value, origin in table.to_numpy():
        assert str(value) in plan_text(plan)
        assert str(origin) in plan_text(plan)


def test_a_plan_without_verification_says_so() -> None:
    notes = plan_purchases(define_plan(two_chips(planning_utilisation=0.6))).notes
    assert any(
        "planning utilisation of 0.6 comes from the plan file and is not" in n for n in notes
    )
    notes = plan_purchases(define_plan(two_chips())).notes
    assert any(
        "planning utilisation of 0.85 is the default and is not verified" in n for n in notes
    )
    assert any("electricity is not counted" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (
            "verify=null",
            "Compare this plan only with plans at the same planning utilisation, here 0.7",
        ),
        (
            "budget=null",
            "`budget` was removed (in the file: '85e9 CNY'); there is no limit on spending",
        ),
        ("ettr=null", "(in the file: 0.95); the default applies: 1.0"),
        ("planning_utilisation=null", "(in the file: 0.7); the default applies: 0.85"),
        (
            "electricity=null",
            "`electricity` was removed (in the file: a section); electricity is not counted",
        ),
        (
            "limits.power=null",
            "`limits.power` was removed (in the file: a section); there is no limit on power",
        ),
        ("chips.910c.available=null", "(in the file: a section); any number can be bought"),
        ("chips.910c.lot=null", "(in the file: 32); the default applies: 1"),
    ],
)
def test_what_a_change_takes_away_is_reported(change: str, shown: str) -> None:
    question = load_plan(EXPERIMENTS / "plan_2026.yaml", changes=[change])
    assert any(shown in note for note in question.notes), question.notes


def test_a_change_of_nothing_is_not_reported() -> None:
    assert load_plan(EXPERIMENTS / "plan_2026.yaml", changes=["depreciation=null"]).notes == ()
    assert load_plan(EXPERIMENTS / "plan_2026.yaml", changes=["budget=80e9 CNY"]).notes == ()


def test_a_reference_fleet_is_compared_and_explained(tmp_path: Path) -> None:
    """Chips at the end of the plan beside those of a topology, with the reason."""
    file = tmp_path / "fleet.yaml"
    pools = "{a: {accelerator: H200, nodes: 7}, b: {accelerator: H800, nodes: 2}}"
    file.write_text(f"name: other\npools: {pools}\n")
    fields = two_chips(reference_fleet={"cluster": str(file), "why": "another budget"})
    plan = plan_purchases(define_plan(fields))
    assert plan.schedule is not None
    assert plan.reference is not None
    table = plan.reference.set_index("accelerator")
    assert table["reference_chips"].to_dict() == {"H200": 56, "H20": 0, "H800": 16}
    nodes = plan.schedule.nodes[:, -1]
    assert table.loc["H200", "least_chips"] == 8 * nodes[:, 0].min()
    assert table.loc["H200", "most_chips"] == 8 * nodes[:, 0].max()
    assert "Note: another budget" in plan_text(plan)
    plan.save(tmp_path / "plan")
    assert (tmp_path / "plan" / "reference_fleet.csv").is_file()
    fields["reference_fleet"]["cluster"] = "no-such-fleet"
    question = define_plan(fields)
    with pytest.raises(InputError, match=r"reference_fleet\.cluster"):
        plan_purchases(question)


# --- What a study prints ------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "metric", "shown"),
    [
        ({}, "fleet_cost_cny", ["money assumes H200 187,500 CNY with its server"]),
        ({"money": {"life": "3 yr"}}, "cost_cny", ["life 3 years"]),
        ({"energy": {"pue": 1.4}}, "energy_j", ["energy assumes PUE 1.4"]),
        ({"money": {}, "energy": {}}, "utilisation", []),
    ],
)
def test_a_study_says_what_its_costs_assume(
    fields: dict[str, Any],
    metric: str,
    shown: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = {k: v for k, v in one_job("H200", []).items() if k not in ("money", "energy")}
    study = {
        "name": "s",
        "base": {**base, **fields},
        "parameters": {"scheduler.estimates": ["user", "exact"]},
        "replications": 1,
        "metrics": [metric],
        "window": {"warm_up": 0, "cool_down": 0},
    }
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    assert main(["study", str(file), "--out", str(tmp_path / "o"), "--workers", "1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(words in text for words in shown)
    assert ("assumes" in text) == bool(shown)
