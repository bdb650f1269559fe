"""The page of a plan from the content of its file, in a real browser."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.procurement.output import write_plan
from clustersim.report.cells import table_columns
from clustersim.report.page import Table, write_page
from clustersim.report.plan_page import plan_page, write_plan_page
from clustersim.report.sources import source_tables
from tests.procurement.files import planned, two_chips
from tests.report.browser import Browser

HOSTILE = "<script>window.hit = 1</script>"


def content():
    """A plan for two chips and two scenarios, as in its file."""
    purchases = [
        {
            "scenario": scenario,
            "quarter": quarter,
            "decided": "first" if quarter == 1 else "later",
            "chip": chip,
            "accelerator": "H20",
            "nodes": 10 * quarter,
            "chips": 80 * quarter,
            "spending_cny": 1e8 * quarter,
            "nodes_in_place": 20,
            "chips_in_place": 160,
        }
        for scenario in ("as planned", HOSTILE)
        for quarter in (1, 2)
        for chip in ("h20", "new")
    ]
    costs = [
        {
            "scenario": name,
            "probability": 0.5,
            "spending_cny": 6e8,
            "depreciation_cny": 1e8,
            "electricity_cny": 2e7,
            "unmet_cny": 0.0,
            "cost_cny": 1.2e8,
        }
        for name in ("as planned", HOSTILE)
    ]
    regret = [
        {"candidate": "this plan", "scenario": "as planned", "cost_cny": 1e8, "regret_cny": 1e7},
        {"candidate": "this plan", "scenario": HOSTILE, "cost_cny": 1e8, "regret_cny": "infinite"},
    ]
    answer = {
        "sentence": f"Buy 10 nodes of {HOSTILE}.",
        "label": "expected cost",
        "value": "120 million CNY",
        "interval": "range over 2 scenarios: 110 to 130 million CNY",
        "hinges_on": ["Supply."],
        "next_steps": ["Order."],
    }
    return {
        "question": {
            "name": HOSTILE,
            "question": "What?",
            "chips": {"h20": {"accelerator": "H20"}},
        },
        "versions": {"clustersim": "1", "code": "abc", "python": "3"},
        "answer": answer,
        "warnings": ["gangs have no room"],
        "notes": ["electricity is not counted"],
        "purchases": purchases,
        "costs": costs,
        "regret": regret,
        "command": "clustersim plan plan.yaml --out again",
    }


def test_what_the_page_says():
    page = plan_page(content())
    assert page.answer is not None
    assert page.answer.value == "120 million CNY"
    assert page.lead == ["Warning: gangs have no room."]
    titles = [section.title for section in page.sections]
    assert titles == [
        "Purchases",
        "Costs",
        "Limits and scenarios",
        "Assumptions and notes",
        "Reproduction",
    ]
    parts = [part for section in page.sections for part in section.parts]
    assert "Note: electricity is not counted." in parts
    assert page.footer.startswith("Computed with clustersim 1 (code abc), Python 3; page written ")


def test_a_catalogue_that_is_gone_is_named():
    facts = content()
    facts["question"]["catalogue"] = ["gone.yaml"]
    parts = [part for section in plan_page(facts).sections for part in section.parts]
    (line,) = (part for part in parts if "cannot be shown" in str(part))
    assert "gone.yaml" in line


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 420])
def test_the_page_in_a_browser(browser: Browser, tmp_path, width: int) -> None:
    browser.open(write_page(plan_page(content()), tmp_path / "report.html"), width=width)
    assert browser.overflow() <= 0
    assert (browser.messages(), browser.requests()) == ([], [])
    assert browser.run("return window.hit") is None
    assert browser.run("return document.querySelectorAll('img').length") == 3
    text = browser.run("return document.querySelector('.answer').innerText").replace("\xa0", " ")
    assert text.startswith(f"Buy 10 nodes of {HOSTILE}.")


def tables_of(page):
    parts = (part for section in page.sections for part in section.parts)
    return {part.title: part for part in parts if isinstance(part, Table)}


@pytest.mark.slow
def test_infinite_numbers_of_a_plan_are_numbers_and_names_are_names(tmp_path):
    """A scenario without later supply, whose name is that of the number in the file."""
    price = {"price_per_node": "1.4e6 CNY", "available": [2, 0]}
    fields = two_chips(
        chips={**two_chips()["chips"], "h20": {"accelerator": "H20", **price}},
        scenarios={
            "goes on": {"probability": 0.6},
            "inf": {"probability": 0.4, "available": {"h200": {"factor": [1, 0]}}},
        },
    )
    plan = planned(fields)
    write_plan(plan, tmp_path, ("png",))
    content = json.loads((tmp_path / "plan.json").read_text())
    assert "inf" in [row["regret_cny"] for row in content["regret"]]
    regret = tables_of(plan_page(content))["Regret"]
    # Candidates that buy the same are one decision; each has a row per scenario.
    decisions = {
        buys: (costs.tolist(), [name for name, own in pairs if own == buys])
        for pairs in [list(zip(plan.regret.candidates, plan.regret.buys, strict=True))]
        for buys, costs in reversed(list(zip(plan.regret.buys, plan.regret.regret, strict=True)))
    }
    assert len(decisions) < len(plan.regret.candidates)
    for buys, rows in regret.frame.groupby("first_purchases"):
        assert rows["regret_cny"].tolist() == decisions[buys][0]
        assert rows["candidate"].unique().tolist() == [", ".join(decisions[buys][1])]
    assert len(regret.frame) == 2 * len(decisions)
    assert math.inf in regret.frame["cost_cny"].tolist()
    assert set(regret.frame["scenario"]) == {"goes on", "inf"}
    columns = table_columns(regret.frame, labels={}, formats={}, intervals=False)
    (column,) = (each for each in columns if each.label.startswith("regret"))
    assert column.numeric
    assert "∞" in [cell.text for cell in column.cells]
    assert "∞" in write_plan_page(tmp_path).read_text(encoding="utf-8")
    assert (content["quick"], content["preview"]) == (False, None)
    assert "quick" not in str(plan_page(content).lead)


def test_rounds_and_limits_are_in_words():
    facts = content()
    facts["rounds"] = [
        {"round": number, "planning_utilisation": 0.7, "possible": True, "expected_cost_cny": 1e8,
         "scenario": "as planned", "quarter": 1, "jobs": 9, "metric": "p95_wait_s", "mean": mean,
         "low": low, "high": high, "outcome": "kept", "fresh": number == 2}
        for number, mean, low, high in ((1, 0.0, 0.0, 0.0), (2, 7200.0, -60.0, 14400.0))
    ]  # fmt: skip
    facts["shadow_prices"] = [
        {"constraint": "power", "of": "", "scenario": scenario, "quarter": 1, "unit": "MW",
         "saves_cny": saves}
        for scenario, saves in (("all", 5.0), ("a", 2.0), ("b", 3.0), ("c", 0.0))
    ]  # fmt: skip
    tables = tables_of(plan_page(facts))
    rounds = tables["Rounds of the simulation"]
    columns = table_columns(
        rounds.frame, labels=rounds.labels, formats=rounds.formats, intervals=True,
        prefixes=rounds.prefixes,
    )  # fmt: skip
    cells = {column.label: [cell.text for cell in column.cells] for column in columns}
    assert cells["round"] == ["1", "new"]
    assert cells["95th percentile of wait"] == ["0 h (0 to 0)", "2 h (up to 4)"]
    assert not {"metric", "low", "fresh", "possible"} & set(cells)
    prices = tables["Shadow prices"].frame
    assert prices[["binding in", "saves_cny"]].to_numpy().tolist() == [["a, b", 5.0]]


def test_planning_assumptions_have_words_and_no_empty_column():
    assumptions = load_catalogue().assumptions
    *_, table = source_tables([], assumptions)
    assert len(table.frame) == len(assumptions.sources)
    assert table.frame["assumption"].notna().all()
    assert not table.frame["assumption"].str.contains("_").any()
    assert "from" not in table.frame


@pytest.mark.slow
def test_the_pictures_and_the_page_of_a_quick_plan_are_marked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = {"gap": 0.01, "verify": {"rounds": 1, "replications": 2}, "quarters": 2}
    base = {"cluster": "mixed-small", "workload": {"generate": "philly-2017", "jobs": 1}}
    fields = two_chips(verify={"base": base, "rounds": 3}, quick=quick)
    Path("plan.yaml").write_text(json.dumps(fields))
    command = ["plan", "plan.yaml", "--workers", "1", "--format", "svg", "--quick"]
    assert main([*command, "--set", "verify=null", "--out", "out"]) == 0
    mark = "quick: 2 replications, 1 round"
    for name in ("purchases", "regret"):
        assert mark in Path(f"out/{name}.svg").read_text()
    content = json.loads(Path("out/plan.json").read_text())
    assert content["quick"] is True
    page = plan_page(content)
    (note,) = page.lead
    assert note == (
        "This is the quick version of the plan (--quick): 2 replications; 1 round; gap 0.01; "
        "quarters 2. Run the plan without --quick before you use its numbers."
    )
    pictures = [part for section in page.sections for part in section.parts if hasattr(part, "svg")]
    assert len(pictures) == 3
    assert all(mark in picture.svg for picture in pictures)
