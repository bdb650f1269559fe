"""The page of a forecast and its command, with dates, constraints and what was assumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.plots import plot_forecast
from clustersim.report.of_forecast.answer import forecast_answer
from clustersim.report.of_forecast.page import forecast_page
from clustersim.report.page import Figure, Table, render_page
from clustersim.sites.queue import QueuedJob, QueueState

HOUR = 3600.0
CALENDAR = {"start": "2026-03-28T18:00:00+01:00", "time_zone": "Europe/Zurich"}


def queue(*, partitions: int = 1) -> QueueState:
    jobs = []
    for k in range(partitions):
        name = f"p{k}" if partitions > 1 else ""
        jobs.append(QueuedJob(f"r{k}", "running", 8, elapsed_s=60.0, time_limit_s=HOUR,
                              partition=name))  # fmt: skip
        jobs.append(QueuedJob(f"w{k}", "waiting", 8, time_limit_s=HOUR, partition=name))
        jobs.append(QueuedJob(f"h{k}", "waiting", 8, held="JobHeldUser", partition=name))
    return QueueState("queue.txt", "squeue", tuple(jobs), len(jobs), left_out=(("9", "finished"),))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    jobs = pd.DataFrame(
        {"job_id": np.arange(60), "submit_s": 900.0 * np.arange(60), "n_accelerators": 4,
         "duration_s": HOUR + 60.0 * (np.arange(60) % 7), "estimate_s": 2 * HOUR,
         "user": "ann"}
    )  # fmt: skip
    result = cs.replay(
        jobs, policy="fcfs", accelerators=12,
        provenance={"calendar": {**CALENDAR, "source": "scenario"},
                    "replay": {"policy": "fcfs", "accelerators": 12}},
    )  # fmt: skip
    return result.save(tmp_path_factory.mktemp("forecast") / "run")


def parts(found: cs.Forecast, kind: type) -> list[object]:
    return [
        part
        for section in forecast_page(found).sections
        for part in section.parts
        if isinstance(part, kind)
    ]


def test_a_page_has_a_figure_for_each_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustersim.report.of_forecast.page._MOST_PARTITIONS", 2)
    found = cs.forecast(
        queue(partitions=4), accelerators={f"p{k}": 8 for k in range(4)}, replications=3
    )
    figures = parts(found, Figure)
    assert [figure.title for figure in figures if isinstance(figure, Figure)] == [
        f"Partition p{k}" for k in range(2)
    ]
    text = render_page(forecast_page(found, "clustersim forecast queue.txt"))
    assert "Not drawn: 2 partitions with fewer waiting jobs" in text
    assert "No log of the site is given" in text
    assert "row 9: finished" in text


def test_constraints_are_counted_and_held_jobs_are_not_drawn() -> None:
    found = cs.forecast(queue(), accelerators=8, replications=3)
    tables = {table.title: table.frame for table in parts(found, Table) if isinstance(table, Table)}
    assert tables["Constraints"][["constraint", "jobs"]].values.tolist() == [
        ["accelerators", 1], ["held", 1],
    ]  # fmt: skip
    labels = [text.get_text() for text in plot_forecast(found.jobs).get_yticklabels()]
    assert labels == ["w0, 8"]
    answer = forecast_answer(found)
    assert "1 cannot be forecast" in answer.sentence
    assert any("--history" in step for step in answer.next_steps)
    assert any("Release 1 job" in step for step in answer.next_steps)


def test_jobs_that_start_now_are_counted_and_not_drawn() -> None:
    found = cs.forecast(queue(), accelerators=16, replications=3)
    assert not parts(found, Figure)
    assert "1 job can start now in almost all replications" in render_page(forecast_page(found))


def test_the_command_takes_a_date_and_writes_a_page_with_dates(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    # The clock is put forward in the night: 05:00 is 10 hours after 18:00.
    words = ["forecast", str(saved), "--at", "2026-03-29T05:00", "--replications", "5"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["now"] == "2026-03-29T05:00:00+02:00"
    assert data["state"]["format"] == "saved run at 10 h"
    assert data["page"] == str(out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "start after 2026-03-29 05:00?" in page
    assert "not before (5" in page
    assert "forecast.parquet" in page
    assert "--at 2026-03-29T05:00 --replications 5 --out again" in page
    assert main([*words, "--out", str(tmp_path / "none"), "--no-report"]) == 0
    assert not (tmp_path / "none" / "report.html").exists()


def test_dates_that_cannot_be_used_are_refused(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forecast", str(saved), "--at", "2026-03-01"]) == 2
    assert "is before the start" in capsys.readouterr().err
    table = tmp_path / "jobs.csv"
    table.write_text("job_id,submit_s,n_accelerators\n1,0,8\n")
    assert main(["forecast", str(table), "--accelerators", "8", "--at", "2026-03-01"]) == 2
    assert "the date of time 0 is not known" in capsys.readouterr().err
    assert main(["trace", str(table), "--since", "2026-03-01"]) == 2


def test_the_command_checks_a_saved_run(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["forecast", str(saved), "--check", "3", "--replications", "10"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "forecast at 3 times; 90 % are expected" in text
    assert "mean over times" in text
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert 0 <= data["by_job"] <= 1
    assert [row["jobs"] > 0 for row in data["times"]] == [True] * 3
    assert main([*words, "--at", "3 h"]) == 2
    assert "--check: is not allowed with --at" in capsys.readouterr().err


def test_a_page_says_what_is_not_drawn_and_shows_first_what_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clustersim.report.of_forecast.page.MOST_ROWS", 3)
    jobs = [QueuedJob("r", "running", 8, elapsed_s=60.0, time_limit_s=HOUR)]
    jobs += [QueuedJob(f"w{k}", "waiting", 8, time_limit_s=HOUR) for k in range(5)]
    found = cs.forecast(
        QueueState("q", "squeue", tuple(jobs), len(jobs)), accelerators=8, replications=3
    )
    page = forecast_page(found, first=["w4"])
    figure, table = page.sections[0].parts
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert "asked about come first. Drawn are the first 3 of 5 jobs; the other 2" in figure.caption
    assert "forecast.parquet" in figure.caption
    assert table.frame["job_id"].tolist() == ["w4", "w0", "w1", "w2", "w3"]
    plain = forecast_page(found).sections[0].parts[1]
    assert isinstance(plain, Table)
    assert plain.frame["job_id"].tolist() == [f"w{k}" for k in range(5)]
