"""`clustersim plan`: its folder, its text, its exit codes."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from files import TWO_CHIPS, queue
from PIL import Image
from ruamel.yaml import YAML

import clustersim
from clustersim.cli.main import main
from clustersim.cli.texts.plan_text import plan_text
from clustersim.files import read_yaml
from clustersim.procurement.fleet import throughput
from clustersim.procurement.problem import problem_of
from clustersim.procurement.solve import Schedule, solve
from clustersim.scenario.run import run

EXAMPLE = Path(__file__).parents[2] / "experiments" / "plan_2026.yaml"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(fields: dict[str, Any], name: str = "plan.yaml") -> str:
    with Path(name).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(copy.deepcopy(fields), file)
    return name


def contents(folder: str) -> dict[str, bytes]:
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_folder_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Purchases, costs and regrets of the tables are those of the summary."""
    assert main(["plan", write(TWO_CHIPS), "--out", "out"]) == 0
    text = capsys.readouterr().out
    message = json.loads(Path("out/plan.json").read_text())
    tables = {path.stem: pd.read_csv(path) for path in Path("out").glob("*.csv")}
    assert set(tables) == {
        "purchases",
        "costs",
        "allocation",
        "assumptions",
        "inputs",
        "shadow_prices",
        "regret",
    }
    answer = message["answer"]
    limit, buy, _ = message["conclusion"].partition(" Buy ")
    assert buy
    assert answer["sentence"].startswith(f"{limit} Buy ")
    for sentence in (answer["sentence"], *answer["hinges_on"], *answer["next_steps"]):
        assert " ".join(sentence.split()) in " ".join(text.split())
    costs, purchases, regret = tables["costs"], tables["purchases"], tables["regret"]
    kinds = [
        "depreciation",
        "network_and_buildings",
        "interest",
        "operation",
        "electricity",
        "unmet",
    ]
    assert list(costs.columns[2:]) == [
        "spending_cny",
        *(f"{kind}_cny" for kind in kinds),
        "cost_cny",
    ]
    parts = costs[[f"{kind}_cny" for kind in kinds]]
    assert np.allclose(parts.sum(axis=1), costs["cost_cny"], rtol=1e-9)
    expected = (costs["cost_cny"] * costs["probability"]).sum()
    assert message["expected_cost_cny"] == pytest.approx(expected, rel=1e-9)
    assert message["lp_bound_cny"] <= message["expected_cost_cny"]
    spending = purchases.groupby("scenario", sort=False)["spending_cny"].sum()
    assert np.allclose(spending, costs["spending_cny"])
    assert (purchases["chips"] == 8 * purchases["nodes"]).all()
    own = regret[regret["candidate"] == "this plan"]
    assert np.allclose(own["cost_cny"], costs["cost_cny"], rtol=1e-9)
    done = tables["allocation"].groupby(["scenario", "quarter"])["tokens"].sum()
    assert np.allclose(done.unstack(), [5.0e12, 7.5e12], rtol=1e-7)
    assert message["purchases"] == json.loads(purchases.to_json(orient="records"))
    for picture in ("purchases", "regret"):
        with Image.open(f"out/{picture}.png") as image:
            assert image.width > 600


def test_the_same_plan_twice_is_the_same_bytes() -> None:
    file = write(queue(rounds=2, replications=2))
    for out in ("one", "two"):
        main(["plan", file, "--out", out, "--workers", "1"])
    assert contents("one") == contents("two")
    assert "scenarios/1-as-planned.parquet" in contents("one")


def test_the_simulated_scenario_can_be_run_again() -> None:
    """The first of the new replications of the plan, by itself."""
    main(["plan", write(queue(replications=1)), "--out", "out", "--workers", "1"])
    rounds = pd.read_csv("out/rounds.csv")
    jobs = run("out/scenarios/1-as-planned.yaml").jobs
    assert rounds[rounds["fresh"]]["value"].item() == pytest.approx(
        (jobs["start_s"] - jobs["submit_s"]).mean()
    )


def test_no_plan_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the folder says what is missing."""
    file = write({**TWO_CHIPS, "budget": "0 CNY"})
    assert main(["plan", file, "--out", "out"]) == 1
    text = capsys.readouterr().out
    assert "No plan satisfies the limits. The smallest amount missing: budget: " in text
    assert sorted(contents("out")) == [
        "assumptions.csv",
        "inputs.csv",
        "plan.json",
        "report.html",
        "shortfall.csv",
    ]
    table = pd.read_csv("out/shortfall.csv")
    missing = table[table["grows"] == "budget"]["amount"].item()
    assert main(["plan", file, "--out", "more", "--set", f"budget={missing + 1} CNY"]) == 0
    assert main(["plan", file, "--out", "less", "--set", f"budget={missing * 0.99} CNY"]) == 1


def test_a_missed_objective_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    objective = {"metric": "mean_wait_s", "at_most": "1 min"}
    fields = queue(rounds=1, replications=6, objective=objective)
    assert main(["plan", write(fields), "--out", "out", "--workers", "1"]) == 1
    assert json.loads(Path("out/plan.json").read_text())["verified"]["outcome"] == "missed"
    assert "in simulations of 'as planned', the mean wait misses the objective of 60 s" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "purchases.csv" in contents("out")


def test_a_plan_of_nothing_is_written() -> None:
    fields = queue()
    fields["demand"]["tuning"] |= {"must_meet": 0, "value_per_million_tokens": "0 CNY"}
    assert main(["plan", write(fields), "--out", "out", "--workers", "1"]) == 0
    assert {"plan.json", "rounds.csv"} <= set(contents("out"))
    assert not [name for name in contents("out") if name.startswith("scenarios")]


def test_money_is_reported_in_the_unit_of_its_size() -> None:
    """Nodes of 1.5 and 0.8 million yuan."""
    plan = clustersim.plan_purchases(clustersim.load_plan(write(TWO_CHIPS)))
    text = plan_text(plan)
    assert plan.schedule is not None
    spent = float(plan.schedule.spending.max())
    assert 1e6 < spent < 1e9
    assert "chips  paid, million CNY\n" in text
    assert f"  {spent / 1e6:.3f}\n" in text
    assert "cost charged to the plan, million CNY\n" in text


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/mine").write_text("x")
    assert main(["plan", write(TWO_CHIPS), "--out", "out"]) == 2
    assert "out: exists already" in capsys.readouterr().err
    assert sorted(contents("out")) == ["mine"]


def test_in_python() -> None:
    plan = clustersim.plan_purchases(clustersim.load_plan(write(TWO_CHIPS)))
    assert isinstance(plan, clustersim.PurchasePlan)
    assert plan.schedule is not None
    assert plan.schedule.bought.sum() > 0
    plan.save("out", formats=("svg",))
    assert {"plan.json", "purchases.csv", "purchases.svg"} <= set(contents("out"))


@lru_cache
def example(site_share: float | None = None, **changes: None) -> Schedule | None:
    """The plan of the example at its first planning utilisation, without some of its fields."""
    own = {} if site_share is None else {"catalogue": [{"assumptions": {"site_share": site_share}}]}
    question = clustersim.load_plan(EXAMPLE, changes={"verify": None, **own, **changes})
    return solve(problem_of(question, throughput(question)))


NEEDED = [
    ("h200", None, 0.2),
    ("h20", None, np.inf),
    ("910b", None, 0.1),
    ("910c", None, 0.05),
    ("seedchip", None, 0.0003),
    ("seedchip", 0.0, 0.001),
]
"""By how much the cost rises at least without a chip, at a share of network and buildings beside
the price; infinite where what must be met is not (the gap of the search is 1e-6 at most)."""


@pytest.mark.parametrize(("chip", "site_share", "least"), NEEDED)
def test_the_example_hangs_on_each_chip(chip: str, site_share: float | None, least: float) -> None:
    """Without a chip type more is left undone, or what must be met is not."""
    changed = [
        f"scenarios.{name}.available.{chip}"
        for name, scenario in clustersim.load_plan(EXAMPLE).spec.scenarios.items()
        if chip in scenario.available
    ]
    without = dict.fromkeys([f"chips.{chip}", *changed])
    whole, less = example(site_share), example(site_share, **without)
    assert whole is not None
    assert (less is None) == np.isinf(least)
    assert less is None or less.expected_cost > whole.expected_cost * (1.0 + least)


def test_the_example_buys_ahead_because_supply_may_stop() -> None:
    """If H200 were sure to come, less 910C would be bought before that is known."""
    sure = {f"scenarios.{name}.available": None for name in ("no H200", "H200 stopped")}
    ahead, calm = example(), example(**sure)
    assert ahead is not None
    assert calm is not None
    h200, c910 = (ahead.problem.chips.index(name) for name in ("h200", "910c"))
    assert ahead.bought[0, :2, c910].sum() > calm.bought[0, :2, c910].sum()
    stopped = ahead.problem.scenarios.index("H200 stopped")
    assert (ahead.bought[stopped, 3:, h200] == 0).all()
    assert calm.bought[stopped, 3:, h200].any()


@pytest.mark.parametrize(
    ("replications", "worth"),
    [
        (None, "this is a preview (--quick); before a decision, run"),
        (1, "a preview (--quick) with 1 replication of each simulated scenario, so it has no"),
        (
            4,
            "a preview (--quick) with 4 replications of each simulated scenario, so its intervals",
        ),
    ],
)
def test_a_quick_plan_says_what_it_is_worth(replications: int | None, worth: str) -> None:
    fields = read_yaml(EXAMPLE)
    small = {"verify": None} if replications is None else {"verify": {"replications": replications}}
    name = write({**fields, "quick": small, "verify": {**fields["verify"], "base": "mixed_fleet"}})
    (message,) = (
        note for note in clustersim.load_plan(name, quick=True).notes if "preview" in note
    )
    assert worth in message
    assert message.endswith(
        "; before a decision, run clustersim plan plan.yaml --out DIR without --quick"
    )
    assert not any("preview" in note for note in clustersim.load_plan(name).notes)


def test_one_replication_has_no_interval_in_the_table_of_rounds() -> None:
    from clustersim.cli.texts.plan_text import _rounds

    row = {"round": 1, "planning_utilisation": 0.6, "possible": True, "fresh": False, "jobs": 9}
    row |= {"scenario": "base", "quarter": 1, "metric": "p95_wait_s", "outcome": "undecided"}
    ends = ((60.0, np.nan, np.nan), (60.0, 30.0, 90.0), (np.inf, np.inf, np.inf))
    cells = [
        _rounds(pd.DataFrame([{**row, "value": value, "low": low, "high": high}]), None)
        .splitlines()[-1]
        .split("  ")
        for value, low, high in ends
    ]
    shown = [[cell.strip() for cell in line if cell.strip()][4:7] for line in cells]
    assert shown[0] == ["60 s", "-", "-"]
    assert shown[1] == ["60 s", "30 s", "90 s"]
    assert "-" not in shown[2]


def test_the_tornado_says_which_assumptions_change_the_purchases(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = write(TWO_CHIPS)
    assert main(["plan", plan, "--out", "out", "--format", "svg", "--tornado", "0.1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    table = pd.read_csv("out/tornado.csv")
    assert set(table["factor"]) == {0.9, 1.1}
    assert "With each assumption 10 % lower or higher" in text
    cost = table.groupby("assumption", sort=False)["cost_change_cny"].apply(lambda c: c.abs().max())
    assert cost.is_monotonic_decreasing
    assert "--tornado 0.1" in json.loads(Path("out/plan.json").read_text())["command"]
    assert main(["plan", plan, "--out", "other", "--tornado", "1.5"]) == 2
    assert "must be between 0 and 1, found 1.5" in capsys.readouterr().err
