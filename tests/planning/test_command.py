"""`clustersim plan`: its folder, its text, its exit codes."""

from __future__ import annotations

import copy
import json
import math
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
from clustersim.simulation.run import run

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
    told = json.loads(Path("out/plan.json").read_text())
    tables = {path.stem: pd.read_csv(path) for path in Path("out").glob("*.csv")}
    assert set(tables) == {"purchases", "costs", "allocation", "shadow_prices", "regret"}
    assert told["conclusion"].split()[0] == "Buy"
    assert " ".join(told["conclusion"].split()) in " ".join(text.split())
    costs, purchases, regret = tables["costs"], tables["purchases"], tables["regret"]
    parts = costs[[f"{kind}_cny" for kind in ("purchases", "operation", "electricity", "unmet")]]
    assert np.allclose(parts.sum(axis=1), costs["cost_cny"], rtol=1e-9)
    expected = (costs["cost_cny"] * costs["probability"]).sum()
    assert told["expected_cost_cny"] == pytest.approx(expected, rel=1e-9)
    assert told["lp_bound_cny"] <= told["expected_cost_cny"]
    spending = purchases.groupby("scenario", sort=False)["spending_cny"].sum()
    assert np.allclose(spending, costs["spending_cny"])
    assert (purchases["chips"] == 8 * purchases["nodes"]).all()
    own = regret[regret["candidate"] == "this plan"]
    assert np.allclose(own["cost_cny"], costs["cost_cny"], rtol=1e-9)
    done = tables["allocation"].groupby(["scenario", "quarter"])["tokens"].sum()
    assert np.allclose(done.unstack(), [5.0e12, 7.5e12], rtol=1e-7)
    assert told["purchases"] == json.loads(purchases.to_json(orient="records"))
    for picture in ("purchases", "regret"):
        with Image.open(f"out/{picture}.png") as image:
            assert image.width > 600


def test_the_same_plan_twice_is_the_same_bytes() -> None:
    file = write(queue(rounds=3))
    for out in ("one", "two"):
        main(["plan", file, "--out", out, "--workers", "1"])
    assert contents("one") == contents("two")
    assert "scenarios/1-as-planned.parquet" in contents("one")


def test_the_simulated_scenario_can_be_run_again() -> None:
    """The first replication of the last round of the plan, by itself."""
    main(["plan", write(queue(replications=1)), "--out", "out", "--workers", "1"])
    rounds = pd.read_csv("out/rounds.csv")
    told = json.loads(Path("out/plan.json").read_text())
    kept = rounds[rounds["planning_utilisation"] == told["planning_utilisation"]]
    jobs = run("out/scenarios/1-as-planned.yaml").jobs
    assert kept["mean"].item() == pytest.approx((jobs["start_s"] - jobs["submit_s"]).mean())


def test_no_plan_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the folder says what is missing."""
    file = write({**TWO_CHIPS, "budget": "0 CNY"})
    assert main(["plan", file, "--out", "out"]) == 1
    text = capsys.readouterr().out
    assert "The limits leave no plan. The least that is missing: budget: " in text
    assert sorted(contents("out")) == ["plan.json", "shortfall.csv"]
    table = pd.read_csv("out/shortfall.csv")
    missing = table[table["grows"] == "budget"]["amount"].item()
    assert main(["plan", file, "--out", "more", "--set", f"budget={missing + 1} CNY"]) == 0
    assert main(["plan", file, "--out", "less", "--set", f"budget={missing * 0.99} CNY"]) == 1


def test_a_missed_objective_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", write(queue(rounds=1)), "--out", "out", "--workers", "1"]) == 1
    assert "misses 60 min" in " ".join(capsys.readouterr().out.split())
    assert "purchases.csv" in contents("out")


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/mine").write_text("x")
    assert main(["plan", write(TWO_CHIPS), "--out", "out"]) == 2
    assert "out: exists already" in capsys.readouterr().err
    assert sorted(contents("out")) == ["mine"]


def test_in_python() -> None:
    plan = clustersim.make_plan(clustersim.load_plan(write(TWO_CHIPS)))
    assert isinstance(plan, clustersim.Plan)
    assert plan.schedule is not None
    assert plan.schedule.bought.sum() > 0


def test_the_example_without_a_supply_that_stops_buys_less_first() -> None:
    """H200 is bought ahead because it may be stopped: without that scenario less of it is."""
    question = clustersim.load_plan(EXAMPLE, changes={"verify": None})
    calm = clustersim.load_plan(
        EXAMPLE,
        changes={
            "verify": None,
            "scenarios": {"status quo": {"probability": 1.0}},
            "decide_first": 1,
        },
    )
    ahead, usual = (clustersim.make_plan(each).schedule for each in (question, calm))
    assert ahead is not None
    assert usual is not None
    assert ahead.bought[0, 0, 0] > usual.bought[0, 0, 0]
    assert (ahead.bought[1, 1:, 0] == 0).all()
    assert math.isclose(ahead.gap, 0.0, abs_tol=1e-6)
