"""The answer of a plan, and its page."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from files import TWO_CHIPS
from files import two_chips as small_plan
from ruamel.yaml import YAML

from clustersim.cli.main import main
from clustersim.plots.purchases import draw_shortfall
from clustersim.procurement import define_plan, plan_purchases
from clustersim.procurement.answer import _missing, plan_answer
from clustersim.units import format_money

HOSTILE = "<script>window.hit = 1</script>"


def planned(folder: Path, fields: dict, *options: str) -> tuple[int, dict, str]:
    """Make a plan; give back its exit code, its file and the text of its page."""
    file = folder / "plan.yaml"
    YAML(typ="safe", pure=True).dump(json.loads(json.dumps(fields)), file)
    code = main(["plan", str(file), "--out", str(folder / "out"), "--format", "svg", *options])
    content = json.loads((folder / "out" / "plan.json").read_text())
    page = folder / "out" / "report.html"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    assert HOSTILE not in text
    return code, content, html.unescape(re.sub(r"<[^>]+>", "", text)).replace("\xa0", " ")


@pytest.fixture(scope="module")
def two_chips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict, str]:
    """The folder, exit code, file and text of the page of a plan."""
    folder = tmp_path_factory.mktemp("plan")
    return folder / "out", *planned(folder, {**TWO_CHIPS, "question": f"What {HOSTILE}?"})


def test_the_answer_is_first_on_the_page(two_chips: tuple[Path, int, dict, str]) -> None:
    _, code, content, text = two_chips
    assert code == 0
    answer, costs = content["answer"], content["costs"]
    assert " limits this plan most" in answer["sentence"].partition(" Buy ")[0]
    assert f"for {answer['value']}" in answer["sentence"]
    number = float(answer["value"].split()[0].replace(",", ""))
    scale = {"million": 1e6, "billion": 1e9}.get(answer["value"].split()[1], 1.0)
    spent = [row["spending_cny"] for row in costs]
    assert 0 < number * scale <= 1.001 * min(spent)
    (expected,) = (line for line in answer["hinges_on"] if line.startswith("Expected cost ("))
    assert "It consists of" in expected
    assert answer["label"].startswith("price of the")
    assert any(line.startswith("Price: the price of all purchases") for line in answer["hinges_on"])
    assert any("Add a section verify" in line for line in answer["next_steps"])
    words = [
        f"What {HOSTILE}?",
        answer["sentence"],
        "What the answer hinges on",
        "What to do next",
        "Chips bought by quarter",
        "Inputs of the plan file",
        "Cost by scenario",
        "Prices, power and time",
        "From the catalogue",
        "This command makes the same plan",
        "clustersim plan",
    ]
    places = [text.index(each) for each in words]
    assert places == sorted(places)
    assert "--out again" in text
    assert f"(code {content['versions']['code']})" in text


def test_the_card_has_the_first_order_all_chips_and_the_demand_met() -> None:
    """Of three scenarios, the first two are the same; supply ends in the third."""
    supply = {"h200": {"factor": [1, 0]}}
    fields = small_plan(
        scenarios={
            "goes on": {"probability": 0.5},
            "also": {"probability": 0.3},
            "stopped": {"probability": 0.2, "available": supply},
        }
    )
    fields["demand"]["tuning"] |= {"must_meet": 0, "value_per_million_tokens": "0.2 CNY"}
    fields["chips"]["h20"]["available"] = 0
    plan = plan_purchases(define_plan(fields))
    schedule = plan.schedule
    assert schedule is not None
    answer = plan_answer(plan)
    first = float(schedule.spending[0, 0])
    assert " limits this plan most" in answer["sentence"].partition(" Buy ")[0]
    assert f"for {format_money(first)}" in answer["sentence"]
    lines = answer["hinges_on"]
    assert "Purchases of h20: none in any scenario, because none can be bought." in lines
    assert "Scenarios 'goes on' and 'also' have the same purchases and the same cost." in lines
    (h200,) = (line for line in lines if line.startswith("Purchases of h200"))
    later = int(schedule.bought[0, 1, 0])
    assert f"{later} nodes in Q2 if 'goes on' or 'also' occurs; no more otherwise" in h200
    met = 1 - schedule.unmet[:, 1, 0] / plan.problem.demand[0, 1]
    assert met[2] < met[0] == met[1]
    share, most = (f"{100 * each:.0f} %" for each in met[[2, 0]])
    assert f"in Q2, {share} (if 'stopped' occurs) to {most} of the demand" in answer["sentence"]
    (demand,) = (line for line in lines if line.startswith("Demand met in Q2"))
    assert f"{share} of tuning if 'stopped' occurs" in demand


def test_no_plan_and_no_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, content, text = planned(tmp_path, {**TWO_CHIPS, "budget": "0 CNY"})
    assert code == 1
    assert f"page: {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().out
    assert content["answer"]["sentence"] == "No plan satisfies the limits."
    assert "The smallest amount missing: budget" in content["answer"]["hinges_on"][0]
    assert "Missing amounts" in text
    (tmp_path / "b").mkdir()
    assert planned(tmp_path / "b", {**TWO_CHIPS, "budget": "0 CNY"}, "--no-report")[2] == ""


def test_an_impossible_plan_has_a_number_and_a_picture(tmp_path: Path) -> None:
    """The card has the smallest change that is enough; the picture has all that are known."""
    _, content, text = planned(tmp_path, {**TWO_CHIPS, "budget": "5e6 CNY"})
    answer, table = content["answer"], pd.DataFrame(content["shortfall"])
    (budget,) = table[(table["grows"] == "budget") & table["helps"]].to_dict("records")
    assert answer["label"] == "missing budget"
    assert answer["value"] == format_money(budget["amount"])
    share = f"{100 * budget['relative']:.0f} % of the limit"
    assert answer["interval"] == f"{share}; this alone is enough"
    assert f"{answer['label']} {answer['value']}" in " ".join(text.split())
    figure = draw_shortfall(table)
    assert figure is not None
    (ax,) = figure.panels
    widths = [bar.get_width() for bar in ax.patches]
    helps = table[table["helps"].eq(True) & (table["grows"] != "together")]
    falls = helps["constraint"] == "demand"
    signed = helps["relative"].where(~falls, -helps["relative"])
    assert sorted(widths) == pytest.approx(sorted(signed))
    assert f"+{answer['value']}" in [label.get_text() for label in ax.texts]
    assert [label.get_text() for label in ax.get_yticklabels()].count("budget") == 1


def test_an_impossible_plan_without_a_single_change_names_all_of_them() -> None:
    rows = [("together", "power", 3e5, 1.2), ("together", "available", 23.0, 0.5)]
    table = pd.DataFrame(rows, columns=["grows", "constraint", "amount", "relative"])
    table = table.assign(of="", quarter=1, helps=True)
    assert _missing(table) == (
        "missing power in Q1", "300 kW", "120 % of the limit; other limits must rise too"
    )  # fmt: skip
    none = table.assign(helps=False)
    assert _missing(none) == ("", "", "")
    assert draw_shortfall(none) is None
    both = draw_shortfall(table)
    assert both is not None
    assert len(both.panels[0].patches) == 2


def test_the_page_of_a_folder_of_an_earlier_version(
    two_chips: tuple[Path, int, dict, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    shutil.copytree(two_chips[0], out)
    before = (out / "report.html").read_bytes()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_bytes() == before
    content = json.loads((out / "plan.json").read_text())
    old = {key: value for key, value in content.items() if key not in ("answer", "command")}
    (out / "plan.json").write_text(json.dumps(old))
    assert main(["report", str(out)]) == 0
    text = (out / "report.html").read_text(encoding="utf-8")
    assert html.escape(content["conclusion"][:40], quote=False) in text
    assert "clustersim plan plan.yaml --out again" in text
    (out / "plan.json").write_text("{}")
    assert main(["report", str(out)]) == 2
    assert "is not the file of a plan" in capsys.readouterr().err
