"""The page of a plan from the content of its file, in a real browser."""

from __future__ import annotations

import pytest

from clustersim.report.page import write_page
from clustersim.report.plan_page import plan_page
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
    assert page.footer == "clustersim 1 (code abc), Python 3"


def test_a_catalogue_that_is_gone_is_named():
    facts = content()
    facts["question"]["catalogue"] = ["gone.yaml"]
    parts = [part for section in plan_page(facts).sections for part in section.parts]
    (line,) = (part for part in parts if "cannot be shown" in str(part))
    assert "gone.yaml" in line


@pytest.mark.parametrize("width", [1200, 420])
def test_the_page_in_a_browser(browser: Browser, tmp_path, width: int) -> None:
    browser.open(write_page(plan_page(content()), tmp_path / "report.html"), width=width)
    assert browser.overflow() <= 0
    assert (browser.messages(), browser.requests()) == ([], [])
    assert browser.run("return window.hit") is None
    assert browser.run("return document.querySelectorAll('img').length") == 3
    text = browser.run("return document.querySelector('.answer').innerText").replace("\xa0", " ")
    assert text.startswith(f"Buy 10 nodes of {HOSTILE}.")
