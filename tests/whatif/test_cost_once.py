"""The cost of maintenance and reservations, which happen once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.report.of_what_if.answer import what_if_answer

CLUSTER: dict[str, Any] = {
    "name": "lab",
    "pools": {"gpu": {"accelerator": "H200", "nodes": 2, "chips_per_node": 8}},
}
HOUR = 3600.0
MAINTENANCE = ("gpu@4h+3h",)
TARIFF = [0.2] * 8 + [2.0] * 16
"""Work that is postponed past the eighth hour costs more."""


def days_of_jobs(days: int) -> pd.DataFrame:
    """Every six hours, a job that takes one node for five hours."""
    count = 4 * days
    jobs = pd.DataFrame({"job_id": range(count), "submit_s": [6 * HOUR * k for k in range(count)]})
    return jobs.assign(n_accelerators=8, duration_s=5 * HOUR)


def asked(days: int, **changes: Any) -> Any:
    changes = {"maintenance": MAINTENANCE, **changes}
    changes["assume"] = {"energy.price_cny_per_kwh": TARIFF, **changes.get("assume", {})}
    return cs.what_if(days_of_jobs(days), cluster=CLUSTER, replications=0, workers=1, **changes)


def sentence(found: Any) -> str:
    return what_if_answer(found).sentence


def test_both_sides_count_until_the_last_job_of_either_has_ended() -> None:
    found = asked(1, maintenance=("gpu@20h+3h",))
    days_of_jobs(1).to_csv("log.csv", index=False)
    trees = {
        system.key: {**system.tree, "workload": {"trace": "log.csv"}}
        for system in found.question.compared
    }
    ends_s = [cs.run(tree).utilisation["time_s"].max() for tree in trees.values()]
    assert ends_s[1] > ends_s[0]
    longest = {"horizon": f"{max(ends_s)} s"}
    cost = {
        key: float(cs.run({**tree, **longest}).costs["cost_cny"].sum())
        for key, tree in trees.items()
    }
    assert found.once_cny == pytest.approx(cost["after"] - cost["before"], rel=1e-9)


def test_a_longer_log_does_not_change_what_happens_once() -> None:
    short, long = asked(2), asked(8)
    assert short.once_cny == pytest.approx(long.once_cny, rel=1e-6)
    assert short.once_cny > 1
    for found in (short, long):
        assert "of electricity once" in sentence(found)
        assert "a year" not in sentence(found)


def test_the_cost_of_what_changes_with_a_window_is_that_of_the_log() -> None:
    found = asked(2, add_nodes=1)
    assert math.isnan(found.once_cny)
    assert found.question.plans_windows
    assert not found.question.happens_once
    assert "of purchase and electricity over the period of the log" in sentence(found)


def test_windows_on_both_sides_and_other_changes_are_still_of_a_year() -> None:
    window = {"pools": ["gpu"], "at": "4 h", "duration": "3 h"}
    found = asked(2, maintenance=(), add_nodes=1, assume={"windows.maintenance": [window]})
    assert not found.question.plans_windows
    assert "of purchase and electricity a year" in sentence(found)
    heroes = asked(2, maintenance=(), changes={"windows.heroes": {"share": 0.5}})
    assert not heroes.question.plans_windows


def test_the_page_says_so_and_can_be_made_again(tmp_path: Path) -> None:
    found = asked(2)
    cs.write_what_if(found, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "because the change happens once" in page
    assert "cost per year" not in page
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
