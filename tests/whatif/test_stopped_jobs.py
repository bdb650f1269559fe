"""Answers about policies that stop jobs: waits over all attempts, completion times, time lost."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.metrics import METRICS
from clustersim.cli.main import main
from clustersim.report.of_what_if.answer import what_if_answer
from clustersim.report.of_what_if.text import what_if_text
from clustersim.topology import resolve_cluster
from clustersim.whatif.groups import TIMES

ONE: dict[str, Any] = {"name": "one", "pools": {"h200": {"accelerator": "H200", "nodes": 1}}}
HOUR_S = 3600.0


def two(**columns: Any) -> pd.DataFrame:
    jobs = {"job_id": ["L1", "L2"], "submit_s": [0.0, 60.0], "n_accelerators": 8}
    return pd.DataFrame({**jobs, "duration_s": 10 * HOUR_S, **columns})


def compiled() -> Any:
    return cs.compile_cluster(resolve_cluster(ONE, cs.load_catalogue()))


def sliced(**options: Any) -> Any:
    """Two jobs of 10 h take turns, and each turn costs a restart of 60 s."""
    changes = {"scheduler.policy": "max_min_fairness", "scheduler.options.cost": 60}
    return cs.what_if(two(), cluster=ONE, changes=changes, replications=0, **options)


@pytest.mark.parametrize("metric", ["mean_wait_s", "mean_total_wait_s"])
def test_wait_of_preempted_jobs_is_that_over_all_attempts(metric: str) -> None:
    """One after the other, the jobs wait 0 and 10 h less 60 s; in turns, one waits for another."""
    found = sliced(metric=metric)
    run = cs.replay(two(), cluster=compiled(), policy="max_min_fairness", options={"cost": 60})
    row = found.row
    assert found.metric == "mean_total_wait_s"
    assert row["before_mean_total_wait_s"] == (10 * HOUR_S - 60) / 2
    assert row["after_mean_total_wait_s"] == run.jobs["total_wait_s"].mean()
    assert row["after_mean_jct_s"] == (run.jobs["finish_s"] - run.jobs["submit_s"]).mean()
    assert row["after_mean_wait_s"] < row["before_mean_wait_s"]
    attempts = run.attempts
    assert attempts is not None
    lost_s = (attempts["lost_s"] + attempts["restart_s"]).sum()
    held_s = (attempts["end_s"] - attempts["start_s"]).sum()
    assert found.fleet["time_lost"].tolist() == pytest.approx([0.0, lost_s / held_s])
    sentence = what_if_answer(found).sentence
    assert "the mean wait over all attempts rises from 4.99 h to 11.5 h" in sentence
    assert "until the first start, the mean wait falls from 4.99 to 0.342 h" in sentence
    assert "The mean job completion time rises from 15 to 23.4 h" in sentence
    assert "Lost work and restarts take 15.7 %" in sentence
    assert "at no cost" not in sentence
    assert "mean wait over all attempts" in what_if_text(found)


def test_default_of_preempted_jobs_is_the_percentile_over_all_attempts() -> None:
    assert sliced().metric == "p95_total_wait_s"


def test_completion_time_is_asked_for() -> None:
    sentence = what_if_answer(sliced(metric="mean_jct_s")).sentence
    assert "the mean job completion time rises from 15 h to 23.4 h" in sentence
    assert sentence.count("completion time") == 1
    assert "until the first start" not in sentence


def test_completion_time_without_stops() -> None:
    """Two jobs of 10 h on one node, then on two: the second no longer waits."""
    found = cs.what_if(two(), cluster=ONE, add_nodes=1, metric="mean_jct_s.5-8", replications=0)
    assert found.row["change_mean_jct_s"] == -(10 * HOUR_S - 60) / 2
    assert not found.stops
    assert "stopped" not in what_if_answer(found).sentence


def test_cancelled_jobs_are_counted() -> None:
    jobs = two(priority=[1, 9], duration_s=[1000.0, 100.0], submit_s=[0.0, 300.0])
    found = cs.what_if(
        jobs,
        cluster=ONE,
        changes={"scheduler.policy": "priority", "scheduler.options.preempt_by": "cancel"},
        replications=0,
    )
    assert found.fleet["unfinished"].tolist() == [0, 1]
    assert "1 job did not finish (0 before)" in what_if_answer(found).sentence


def test_labels_are_those_of_the_metrics() -> None:
    assert {name: METRICS.items[name].label for name in TIMES} == dict(TIMES)


def test_page_says_which_wait_it_is(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    page = cs.write_what_if(sliced(metric="mean_wait_s"), folder)
    assert page is not None
    text = page.read_text(encoding="utf-8")
    for title in (
        "Mean wait over all attempts by group",
        "95th percentile of wait over all attempts",
        "Mean wait until the first start",
        "Mean job completion time",
        "time lost",
    ):
        assert title in text
    assert main(["report", str(folder)]) == 0
    assert page.read_text(encoding="utf-8") == text


def test_page_of_an_earlier_version_says_so(tmp_path: Any, capsys: Any) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    cs.write_what_if(sliced(), folder)
    fleets = pd.read_csv(folder / "fleets.csv").drop(columns="stops")
    fleets.to_csv(folder / "fleets.csv", index=False)
    assert main(["report", str(folder)]) == 2
    assert "earlier version: run `clustersim what-if` again" in capsys.readouterr().err
