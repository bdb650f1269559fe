"""The page, the CSV files and the further tables of `clustersim run` and `clustersim replay`."""

from __future__ import annotations

import base64
import copy
import html
import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim import InputError, Result, plots, replay
from clustersim.analysis.columns.column_page import TABLES
from clustersim.analysis.size_waits import waits_by_size
from clustersim.calendar import Calendar
from clustersim.cli.main import main
from clustersim.report.amounts import durations_text
from clustersim.report.page import Page, Table
from clustersim.report.run_page import run_page
from clustersim.report.words.definitions import policy_terms
from clustersim.scheduling.policies import POLICIES
from clustersim.simulation.metrics import wait_s
from clustersim.time_zones import parse_zone
from tests.report.browser import Browser

HOSTILE = "<script>window.hit = 1</script>=cmd"
SCENARIO = {
    "name": HOSTILE,
    "description": f"About {HOSTILE}",
    "start": "2026-03-01",
    "time_zone": "Europe/Berlin",
    "cluster": {
        "name": "two",
        "pools": {
            "h20": {"accelerator": "H20", "nodes": 1},
            "h200": {"accelerator": "H200", "nodes": 1},
        },
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "job",
                    "weight": 1,
                    "sizes": {1: 3, 8: 1},
                    "duration": {"kind": "exponential", "average": "20 min"},
                }
            ],
        },
        "jobs": 400,
    },
    "seed": 3,
}
LOG = pd.DataFrame(
    {
        "job_id": [1, 2, 3, 4],
        "submit_s": [0, 0, 10, 20],
        "n_accelerators": [8, 8, 1, 1],
        "duration_s": [100, 100, 50, 50],
        "start_s": [0, 150, 300, 400],
        "user": ["ann", HOSTILE, "=1+1", "bo"],
    }
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a calendar, with CSV files."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "s.yaml").write_text(json.dumps(SCENARIO))
    assert main(["run", str(folder / "s.yaml"), "--out", str(folder / "out"), "--csv"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay of a log that recorded starts, with CSV files."""
    folder = tmp_path_factory.mktemp("replayed")
    LOG.to_csv(folder / "log.csv", index=False)
    words = ["replay", str(folder / "log.csv"), "--policy", "fcfs", "--accelerators", "8"]
    assert main([*words, "--out", str(folder / "out"), "--csv"]) == 0
    return folder / "out"


def shown(folder: Path) -> str:
    """The text of the page, without pictures."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", body)).replace("\xa0", " ")


def test_the_csv_files_hold_the_tables_with_waits_and_dates(ran: Path) -> None:
    result = Result.load(ran)
    for name in ("jobs", "allocations", "utilisation", "summary", "queue_length", "waits_by_size"):
        csv, parquet = pd.read_csv(ran / f"{name}.csv"), pd.read_parquet(ran / f"{name}.parquet")
        more = [name for name in csv if name not in parquet]
        assert [name for name in csv if name not in more] == list(parquet.columns)
        assert len(csv) == len(parquet)
        for column in parquet.select_dtypes("number"):
            assert np.allclose(csv[column], parquet[column], equal_nan=True, rtol=1e-12)
    jobs = pd.read_csv(ran / "jobs.csv")
    more = ["submit_local", "start_local", "finish_local"]
    assert [name for name in jobs if name not in result.jobs] == more
    assert list(jobs.columns).index("wait_s") == list(jobs.columns).index("start_local") + 1
    assert np.allclose(jobs["wait_s"], wait_s(result.jobs))
    for local, time in (("submit_local", "submit_s"), ("finish_local", "finish_s")):
        assert jobs[local].tolist() == [result.calendar.iso(each) for each in result.jobs[time]]
    assert jobs["submit_local"][0].endswith("+01:00")
    queue = pd.read_csv(ran / "queue_length.csv")
    assert list(queue.columns) == ["time_s", "time_local", "jobs", "accelerators"]
    assert queue["time_local"][0] == "2026-03-01T00:00:00+01:00"


def test_dates_across_a_clock_change_are_those_of_the_calendar() -> None:
    calendar = Calendar(datetime(2026, 3, 28, 18, tzinfo=parse_zone("Europe/Berlin")))
    times = np.array([0.0, 25199.9, 25200.0, 28800.0, np.nan, np.inf, 2e7])
    texts = calendar.iso_texts(times).tolist()
    assert texts == [calendar.iso(t) if np.isfinite(t) else "" for t in times]
    assert texts[3] == "2026-03-29T03:00:00+02:00"
    beyond = Calendar(datetime(9999, 12, 31)).iso_texts([0.0, 1e6]).tolist()
    assert beyond == ["9999-12-31T00:00:00", ""]
    assert Calendar().iso_texts([0.0]).tolist() == [""]


def test_the_tables_are_those_of_the_dictionary(replayed: Path) -> None:
    for name in ("queue_length", "waits_by_size", "recorded_waits"):
        known = [column.name for column in TABLES[name.replace("_", " ")].columns]
        assert known == list(pd.read_parquet(replayed / f"{name}.parquet").columns)


def test_without_options_there_are_no_csv_files_and_without_report_no_page(tmp_path: Path) -> None:
    LOG.to_csv(tmp_path / "log.csv", index=False)
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--accelerators", "8"]
    assert main([*words, "--out", str(tmp_path / "out"), "--no-report"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {name for name in names if not name.endswith(".parquet")} == {
        "left_out.csv",
        "provenance.json",
        "summary.json",
    }
    assert {"queue_length.parquet", "waits_by_size.parquet", "recorded_waits.parquet"} <= names


def test_recorded_waits_by_hand(replayed: Path) -> None:
    """FCFS on 8 accelerators: the starts are 0, 100, 200 and 200 s."""
    table = pd.read_csv(replayed / "recorded_waits.csv").set_index("size")
    assert table["jobs"].to_dict() == {"all": 4, "1": 2, "5-8": 2}
    # Recorded waits: 0 and 150 s (8 accelerators), 290 and 380 s (1). Simulated: 0, 100, 190, 180.
    assert table.loc["5-8", "recorded_median_wait_s"] == 75.0
    assert table.loc["5-8", "simulated_median_wait_s"] == 50.0
    assert table.loc["1", "recorded_p90_wait_s"] == pytest.approx(371.0)
    assert table.loc["1", "simulated_p90_wait_s"] == pytest.approx(189.0)
    assert table.loc["all", "recorded_p95_wait_s"] == pytest.approx(366.5)
    assert table.loc["all", "simulated_p95_wait_s"] == pytest.approx(188.5)
    jobs = pd.read_csv(replayed / "jobs.csv")
    assert jobs["wait_s"].tolist() == [0.0, 100.0, 190.0, 180.0]
    assert not [name for name in jobs if name.endswith("_local")]
    assert jobs["user"].tolist()[2] == "'=1+1"
    text = shown(replayed)
    assert (
        "Agreement with the log: the longest wait is 3.17 min in the simulation and 6.33 min in "
        "the log (4 jobs compared)."
    ) in text
    assert "Find out why simulated and recorded waits differ" in text
    assert "--policy fcfs --accelerators 8 --out again" in text


def test_the_answer_comes_first_and_says_what_the_tables_hold(ran: Path) -> None:
    result = Result.load(ran)
    text = shown(ran)
    p95 = np.quantile(wait_s(result.jobs), 0.95)
    order = [
        text.index(words)
        for words in (
            "How long do 400 jobs wait under the policy",
            "of the jobs start at once and 95 % within",
            "95th percentile of the wait",
            "What the answer hinges on",
            "What to do next",
            "Waits by job size",
            "Waits until the first start",
            "Utilisation and queue length over time",
            "Scenario: About",
            "This command makes the same tables",
        )
    ]
    assert order == sorted(order)
    page = run_page(result)
    assert page.answer is not None
    number, unit = page.answer.value.split()
    assert float(number) * {"s": 1, "min": 60, "h": 3600}[unit] == pytest.approx(p95, rel=0.01)
    assert page.answer.interval.startswith("no 95 % interval: too few independent jobs")
    used = result.provenance["versions"]
    assert f"clustersim {used['clustersim']} (code {used['code']}), Python" in page.footer
    assert page.footer.endswith("seed 3")
    assert "--out again" in text
    assert "s.yaml" in text
    # Each number of a chip has its source beside it.
    (sources,) = (table for table in _tables(page) if table.title == "Chips")
    assert set(sources.frame["chip"]) == {"H20", "H200"}
    assert (sources.frame["source"].str.len() > 5).all()


def test_the_card_of_few_jobs_counts_them_and_names_idle_accelerators(tmp_path: Path) -> None:
    """A job of the whole pool blocks two later ones under FCFS, and the pool is mostly idle."""
    log = pd.DataFrame({"job_id": range(5), "submit_s": [0, 5, 10, 20, 40]})
    log["n_accelerators"], log["duration_s"] = [1, 2, 8, 1, 1], [1000, 90, 100, 50, 50]
    log.to_csv(tmp_path / "log.csv", index=False)
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--accelerators", "8"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    result = Result.load(tmp_path / "out")
    waits = wait_s(result.jobs)
    assert waits.tolist() == [0, 0, 990, 1080, 1060]
    page = run_page(result)
    assert page.answer is not None
    # Allocated: 1000 + 180 + 800 + 100 of 8 x 1150 accelerator-seconds.
    assert page.answer.sentence == (
        "2 of 5 jobs start at once and 4 within 17.7 min; the longest waits 18 min. Jobs use 23 % "
        "of the fleet's accelerator time until the last job ends (after 19.2 min)."
    )
    assert (page.answer.label, page.answer.value) == ("longest wait", "18 min")
    (idle,) = (line for line in page.answer.hinges_on if line.startswith("Idle accelerators"))
    assert "for 18.2 min at least one job waited" in idle
    # The policy keeps the order: while the second job waits, the fourth would fit.
    assert "The job that waits longest is 3 (1 accelerator on pool): 18 min," in idle
    assert "because its gang fitted, but the policy started other jobs or let it wait." in idle
    assert any("the fleet is empty at time 0" in line for line in page.answer.hinges_on)
    sizes = next(table for table in _tables(page) if table.file == "waits_by_size.parquet")
    assert sizes.frame["p95_wait_s"].isna().all()
    pools = next(table for table in _tables(page) if table.title == "Pools")
    assert pools.frame["scope"].tolist() == ["all"]


def _idle_hinge(folder: Path) -> str:
    page = run_page(Result.load(folder))
    assert page.answer is not None
    (idle,) = (line for line in page.answer.hinges_on if line.startswith("Idle accelerators"))
    return idle


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        (
            {"after_ok": ["", "A", ""]},
            "jobs for which it waited had not ended (dependency on job A (after_ok), until",
        ),
        ({"not_before_s": [0, 3600, 0]}, "its earliest time had not come (not before"),
        ({"array": ["x", "x", "y"], "array_limit": 1}, "as many tasks of its array as are allowed"),
    ],
)
def test_the_card_names_what_holds_a_job_while_accelerators_are_idle(
    tmp_path: Path, columns: dict[str, list[object]], cause: str
) -> None:
    """Half of the accelerators are free throughout, so no job waits for accelerators."""
    log = pd.DataFrame({"job_id": list("ABC"), "submit_s": [0, 10, 20], "n_accelerators": 8})
    log = log.assign(duration_s=[3600, 100, 50], **columns)
    log.to_csv(tmp_path / "log.csv", index=False)
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "easy", "--accelerators", "16"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    idle = _idle_hinge(tmp_path / "out")
    assert "is B (8 accelerators on pool): 59.8 min, 100 % of it because" in idle
    assert cause in idle


def test_the_card_names_a_spent_budget(tmp_path: Path) -> None:
    """A budget of 0.3 accelerator-hours pays the first job of 8 x 100 s, and renews at 1000 s."""
    log = pd.DataFrame({"job_id": list("AB"), "submit_s": [0, 10], "n_accelerators": 8})
    log.assign(duration_s=100, user="ann").to_csv(tmp_path / "log.csv", index=False)
    quotas = tmp_path / "budget.yaml"
    quotas.write_text("budgets: {user: {ann: {accelerator_hours: 0.3, period: 1000 s}}}\n")
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--accelerators", "16"]
    words += ["--option", f"quotas={quotas}", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "the budget of user ann is spent" in _idle_hinge(tmp_path / "out")


def test_the_card_states_no_cause_if_the_cluster_is_not_known(tmp_path: Path) -> None:
    pools = {name: {"accelerator": "H200", "nodes": 1} for name in ("a", "b")}
    cluster = tmp_path / "two.yaml"
    cluster.write_text(json.dumps({"name": "two", "pools": pools}))
    log = pd.DataFrame({"job_id": list("AB"), "submit_s": [0, 10], "n_accelerators": 8})
    log.assign(duration_s=100, after_ok=["", "A"]).to_csv(tmp_path / "log.csv", index=False)
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--cluster", str(cluster)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "had not ended" in _idle_hinge(tmp_path / "out")
    cluster.unlink()
    idle = _idle_hinge(tmp_path / "out")
    assert "waits longest" not in idle
    assert "because" not in idle


def test_the_page_has_the_fleet_the_offered_load_and_the_terms(ran: Path, replayed: Path) -> None:
    result = Result.load(ran)
    facts = copy.deepcopy(dict(result.provenance))
    facts["scenario"]["workload"]["load"], facts["arrival_rate_per_s"] = 0.9, 100 / 86400
    page = run_page(replace(result, provenance=facts))
    assert page.answer is not None
    fleet = next(table for table in _tables(page) if table.title == "Fleet")
    assert fleet.frame.to_dict("records") == [
        {"pool": "h20", "chip": "H20", "accelerators": 8},
        {"pool": "h200", "chip": "H200", "accelerators": 8},
        {"pool": "all", "chip": "", "accelerators": 16},
    ]
    words = "offered load is 0.9 (100 jobs per day arrive at a fleet of 16 accelerators at time 0)."
    assert fleet.caption.endswith(words)
    assert f"The load: the {words}" in page.answer.hinges_on
    assert "JCT: job completion time" in _prose_of(page)
    assert "offered load: arriving work" in _prose_of(page)
    # A log has no offered load.
    replay = run_page(Result.load(replayed))
    assert next(table for table in _tables(replay) if table.title == "Fleet").caption == ""
    assert "offered load" not in _prose_of(replay)


def _prose_of(page: Page) -> str:
    """The sentences between the tables and figures of a page."""
    return " ".join(part for own in page.sections for part in own.parts if isinstance(part, str))


def test_every_policy_has_a_definition() -> None:
    assert [line.partition(":")[0] for line in policy_terms(POLICIES)] == [*POLICIES]


def _tables(page: Page) -> list[Table]:
    return [part for section in page.sections for part in section.parts if isinstance(part, Table)]


def test_the_users_texts_are_escaped(ran: Path, replayed: Path) -> None:
    for folder in (ran, replayed):
        text = (folder / "report.html").read_text(encoding="utf-8")
        assert "<script>window.hit" not in text
    assert HOSTILE in shown(ran)


def test_the_page_is_the_same_again_and_by_the_command(ran: Path, replayed: Path) -> None:
    for folder in (ran, replayed):
        before = (folder / "report.html").read_bytes()
        assert main(["report", str(folder)]) == 0
        assert (folder / "report.html").read_bytes() == before


def test_a_result_of_an_earlier_version_has_a_page(ran: Path, tmp_path: Path) -> None:
    """Without a command in its provenance, and without tables beside it."""
    result = Result.load(ran)
    facts = {key: value for key, value in result.provenance.items() if key != "command"}
    old = Result(result.jobs, result.allocation_ranges, result.utilisation, result.summary, facts)
    old.save(tmp_path / "old")
    assert main(["report", str(tmp_path / "old")]) == 0
    assert "clustersim run scenario.yaml --out again" in shown(tmp_path / "old")


def test_one_period_for_all_utilisations_of_the_card(ran: Path) -> None:
    result = Result.load(ran)
    page = run_page(result, folder=ran)
    assert page.answer is not None
    (pools,) = (table for table in _tables(page) if table.title == "Pools")
    if "utilisation_of_arrivals" in pools.frame:
        whole = pools.frame["utilisation_of_arrivals"].iloc[0]
        assert f"jobs use {100 * whole:.0f} %" in page.answer.sentence
    assert pools.file == "summary.csv"
    assert not [table.file for table in _tables(page) if table.file.endswith(".parquet")]


def test_no_job_can_run_and_no_job_waits(tmp_path: Path, capsys) -> None:
    for size, code, words in (
        (64, 1, "No job can run"),
        (8, 0, "No job waits, and jobs use 100 %"),
    ):
        log = LOG.head(1).assign(n_accelerators=size).drop(columns="start_s")
        log.to_csv(tmp_path / "log.csv", index=False)
        out = str(tmp_path / f"out{size}")
        words_of = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--accelerators", "8"]
        assert main([*words_of, "--out", out]) == code
        assert words in shown(Path(out))
    assert "no interval: these are the jobs of the log" in shown(Path(out))
    assert "0 to 0 s" not in shown(Path(out))


def test_a_log_with_both_columns_of_recorded_waits_has_its_tables(tmp_path: Path) -> None:
    """The jobs get `wait_s` in CSV files; no column of the log is lost or doubled."""
    log = LOG.drop(columns="start_s").assign(wait_s=[0, 1, 2, 3], recorded_wait_s=[9, 8, 7, 6])
    log.to_csv(tmp_path / "log.csv", index=False)
    words = ["replay", str(tmp_path / "log.csv"), "--policy", "fcfs", "--accelerators", "8"]
    assert main([*words, "--csv", "--out", str(tmp_path / "out")]) == 0
    jobs = pd.read_csv(tmp_path / "out" / "jobs.csv")
    assert jobs["wait_s"].tolist() == [0.0, 100.0, 190.0, 180.0]
    assert jobs["recorded_wait_s"].tolist() == [0, 1, 2, 3]
    assert jobs["recorded_recorded_wait_s"].tolist() == [9, 8, 7, 6]
    compared = pd.read_csv(tmp_path / "out" / "recorded_waits.csv").set_index("size")
    assert compared.loc["all", "recorded_most_wait_s"] == 3
    assert compared.loc["all", "simulated_most_wait_s"] == 190


def test_a_run_that_ends_before_its_jobs_says_so(tmp_path: Path, capsys) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps({**SCENARIO, "horizon": "1 s"}), encoding="utf-8")
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Answer: No job is submitted before the run ends (after" in printed
    assert "Extend the horizon" in printed
    assert "nan" not in printed
    assert "No job can run" not in printed
    page = run_page(Result.load(tmp_path / "out"))
    assert "No job that can run was submitted before the end" in str(page.sections[0].parts)
    assert "No job waits, so the queue is not drawn." in str(page.sections[1].parts[0])


def test_few_jobs_have_a_longest_wait_and_no_high_percentile() -> None:
    """Sizes of 2, 5 and 30 jobs: the longest; median and longest; median and two percentiles."""
    sizes = {1: 2, 2: 5, 8: 30}
    jobs = pd.DataFrame(
        [(float(k), float(n)) for n, count in sizes.items() for k in range(count)],
        columns=["start_s", "n_accelerators"],
    ).assign(submit_s=0.0, outcome="finished")
    waits = waits_by_size(jobs, 100.0)
    ax = plots.plot_size_waits(waits)
    drawn = {str(line.get_marker()): np.isfinite(line.get_ydata()) for line in ax.lines}
    assert {marker: own.tolist() for marker, own in drawn.items()} == {
        "o": [False, True, True],
        "s": [False, False, True],
        "^": [False, False, True],
        "X": [True, True, False],
    }
    (longest,) = (line for line in ax.lines if line.get_marker() == "X")
    assert longest.get_ydata()[:2].tolist() == [1.0, 4.0]
    words = plots.runs.draw_size_waits(waits).caption
    assert "Cross: longest wait, for sizes with fewer than 20 jobs." in words
    assert words.endswith("Sizes with fewer than 3 jobs have only the cross.")
    assert "only the cross" not in plots.runs.draw_size_waits(waits[waits["jobs"] >= 5]).caption


def test_a_sentence_has_one_unit() -> None:
    assert durations_text(5880.0, 56520.0) == ["1.63 h", "15.7 h"]
    assert durations_text(120.0, 118800.0) == ["2 min", "1,980 min"]
    assert durations_text(0.0, 0.0) == ["0 s", "0 s"]


def test_plots_of_a_result_are_those_of_its_tables(ran: Path, replayed: Path) -> None:
    result, other = Result.load(ran), Result.load(replayed)
    dated = {"calendar": result.calendar}
    for drawn, by_hand in (
        (plots.plot_queue(result), plots.plot_queue(table(ran, "queue_length"), **dated)),
        (plots.plot_utilisation(result), plots.plot_utilisation(result.utilisation, **dated)),
        (plots.plot_size_waits(result), plots.plot_size_waits(table(ran, "waits_by_size"))),
        (
            plots.plot_size_waits(other, kinds=("recorded", "simulated")),
            plots.plot_size_waits(
                table(replayed, "recorded_waits"), kinds=("recorded", "simulated")
            ),
        ),
    ):
        assert drawn.get_xlabel() == by_hand.get_xlabel()
        for ours, theirs in zip(drawn.lines + drawn.patches, by_hand.lines + by_hand.patches,
                                strict=True):  # fmt: skip
            vertices = (ours.get_path().vertices, theirs.get_path().vertices)
            assert np.array_equal(*vertices, equal_nan=True)
    assert plots.plot_queue(other).get_xlabel().startswith("simulated time")
    with pytest.raises(InputError, match="kinds: the log of this result has no recorded starts"):
        plots.plot_size_waits(result, kinds=("recorded", "simulated"))


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def test_a_study_or_an_unknown_folder_is_told_apart(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == 2
    assert "is it the folder of a study" in capsys.readouterr().err


@pytest.mark.parametrize("width", [1200, 420])
def test_pages_in_a_browser(ran: Path, replayed: Path, browser: Browser, width: int) -> None:
    for folder, pictures in ((ran, 2), (replayed, 3)):
        browser.open(folder / "report.html", width=width)
        assert browser.overflow() <= 0
        assert (browser.messages(), browser.requests()) == ([], [])
        assert browser.run("return window.hit") is None
        assert browser.run("return document.querySelectorAll('img').length") == pictures
        top = browser.run(
            "return ['.answer', 'img', 'table'].map(s => document.querySelector(s)"
            ".getBoundingClientRect().top)"
        )
        assert top == sorted(top)
        frames = browser.run(
            "return [...document.querySelectorAll('.picture')].map(p => [p.clientWidth,"
            "p.querySelector('img').clientWidth, getComputedStyle(p).paddingLeft])"
        )
        for frame, picture, padding in frames:
            assert picture >= frame - 2 * float(padding.removesuffix("px")) - 1


def test_a_page_can_be_printed(ran: Path, browser: Browser) -> None:
    browser.open(ran / "report.html", width=1200)
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = browser.run("return getComputedStyle(document.querySelector('nav')).display")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert hidden == "none"


def test_the_page_says_which_team_got_what(tmp_path: Path) -> None:
    jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": 0, "n_accelerators": [8, 8, 4]})
    jobs = jobs.assign(duration_s=[60, 20, 20], team=["vision", "vision", "speech"], lab="here")
    result = replay(jobs, policy="fcfs", accelerators=8)
    [section] = [own for own in run_page(result).sections if own.title == "Who got what"]
    rule, table = section.parts
    assert "quotas" not in str(rule)
    assert isinstance(table, Table)
    assert table.title == "Teams"
    assert table.frame["name"].tolist() == ["vision", "speech"]
    facts = {**result.provenance, "replay": {"option": ["quotas=file.yaml"]}}
    page = run_page(result.with_provenance(facts))
    [section] = [own for own in page.sections if own.title == "Who got what"]
    assert "does not follow from the quotas" in str(section.parts[0])
