"""A study's folder and page from end to end, the page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from clustersim.analysis.metric_estimates import difference_text, estimate_text
from clustersim.cli.main import main
from clustersim.plots.axis import axis_of
from clustersim.plots.study_axes import study_axes
from clustersim.report import run_study, write_report
from clustersim.report.answer_parts import signed
from clustersim.report.findings import findings, findings_table, warnings
from clustersim.report.study_answer import study_answer
from clustersim.report.study_figures import draw_plots
from clustersim.report.study_page import study_page
from clustersim.studies import define_study, load_result
from tests.report.browser import Browser
from tests.study_stores import keep_runs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study page")]

METRICS = ["mean_wait_s", "utilisation"]
FIELDS = {
    "name": "two policies",
    "question": "Which policy carries <more>?",
    "base": {
        "cluster": {"name": "one", "pools": {"h20": {"accelerator": "H20", "nodes": 2}}},
        "workload": {
            "generate": {
                "arrivals": {"mean_interarrival": "1 min"},
                "classes": [
                    {
                        "name": "job",
                        "weight": 1,
                        "sizes": {1: 3, 4: 2, 8: 1},
                        "duration": {"kind": "exponential", "average": "10 min"},
                    }
                ],
            },
            "jobs": 400,
            "load": 0.5,
        },
        "scheduler": {"policy": "fcfs"},
        "seed": 3,
    },
    "parameters": {"scheduler.policy": ["fcfs", "easy"], "workload.load": [0.5, 0.7]},
    "replications": 3,
    "objective": {"metric": "mean_wait_s", "at_most": "5 min"},
    "capacity": {"between": [0.3, 1.0], "tolerance": 0.1},
    "compare": {"of": "scheduler.policy", "baseline": "fcfs"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study with a capacity search and a comparison."""
    out = tmp_path_factory.mktemp("report") / "study"
    assert run_study(define_study(FIELDS), out, workers=1, report=True)
    return out


def test_tables_and_pictures_lie_in_the_folder(folder: Path) -> None:
    result = load_result(folder)
    for name in ("runs", "points", "capacities", "gains", "differences", "findings"):
        kept = pd.read_parquet(folder / f"{name}.parquet")
        made = findings_table(result) if name == "findings" else getattr(result, name)
        pd.testing.assert_frame_equal(kept, made, check_exact=True, check_dtype=name != "findings")
        assert len(pd.read_csv(folder / f"{name}.csv")) == len(kept)
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {"1-capacity.png", "2-differences.png", "3-curve.png", "4-warm-up.png"}


def with_minus(sentence: str) -> str:
    """A finding as the page shows it."""
    return re.sub(r"(?<=[ (])-(?=\d)", "−", sentence)


def test_the_findings_say_what_the_tables_hold(folder: Path) -> None:
    result = load_result(folder)
    message = findings(result)
    for row in result.capacities.to_dict("records"):
        (sentence,) = [
            s for s in message if s.startswith(f"{row['scheduler.policy']}: mean wait ≤ 5")
        ]
        for name in ("capacity", "capacity_low", "capacity_high"):
            assert f"{row[name]:.3f}" in sentence
        assert f"{row['runs']} runs" in sentence
    gain = result.gains.iloc[0]
    assert any(f"easy carries {gain['gain']:.3g} more offered load than fcfs" in s for s in message)
    differences = result.differences.to_dict("records")
    assert len(differences) == 2 * 3  # two loads of the grid, three metrics
    assert warnings(result) == [s for s in warnings(result) if "failed" not in s]


def test_the_page_in_a_browser(folder: Path, browser: Browser) -> None:
    page = write_report(folder)
    browser.open(page, width=1280)
    assert browser.messages() == []
    assert browser.requests() == []
    assert browser.overflow() <= 0
    text = browser.run("return document.body.innerText").replace("\xa0", " ")
    assert "Which policy carries <more>?" in text
    for sentence in findings(load_result(folder)):
        assert with_minus(sentence) in text
    for words in (
        "seed of the scenario is 3",
        "clustersim run --from",
        "Capacity at the objective",
    ):
        assert words in browser.run("return document.body.textContent")
    assert browser.run("return document.querySelectorAll('img').length") == 4
    header = "document.querySelectorAll('table')[0].querySelectorAll('th')[1]"
    cells = (
        "[...document.querySelectorAll('table')[0].tBodies[0].rows].map(r=>r.cells[1].innerText)"
    )
    browser.run(f"({header}.querySelector('button') || {header}).click()")
    rising = browser.run(f"return {cells}")
    browser.run(f"({header}.querySelector('button') || {header}).click()")
    assert browser.run(f"return {cells}") == rising[::-1]
    browser.open(page, width=400)
    assert browser.overflow() <= 0


def test_the_answer_comes_first(folder: Path) -> None:
    """On the page that the study wrote, before the figures, and nothing is lost below."""
    result = load_result(folder)
    answer = study_answer(result)
    assert answer is not None
    (gain,) = result.gains.to_dict("records")
    fcfs = result.capacities.set_index("scheduler.policy").loc["fcfs"]
    assert answer.sentence.startswith(
        f"At the objective (mean wait ≤ 5 min), offered load of fcfs: {fcfs['capacity']:.3f}. "
        f"Difference from it: easy {gain['gain']:+.3f} ("
    )
    share = gain["gain"] / fcfs["capacity"]
    assert answer.value == f"{gain['gain']:+.3f} ({signed(share)})"
    page = study_page(result, folder, [])
    titles = [section.title for section in page.sections]
    assert titles[0] == "Main figure"
    (listed,) = (s for s in page.sections if s.title == "All findings")
    shown = listed.parts[0].frame["finding"].tolist()
    assert shown == [with_minus(sentence) for sentence in findings(result)]
    assert not any(" -" in sentence for sentence in shown)
    text = (folder / "report.html").read_text(encoding="utf-8")
    places = [text.index(words) for words in ('class="answer"', "<main", "<img", "<table")]
    assert places == sorted(places)


def test_headings_name_the_statistic_and_the_interval(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    hints = {
        html.unescape(hint).replace("\xa0", " ") for hint in re.findall(r'title="([^"]+)"', page)
    }
    assert {estimate_text(name) for name in METRICS} < hints
    assert {difference_text("mean_wait_s", relative=True), difference_text("utilisation")} < hints


def test_the_page_is_the_same_again(folder: Path) -> None:
    page = write_report(folder)
    before = page.read_bytes()
    assert write_report(folder).read_bytes() == before


def test_the_page_and_the_files_beside_it_agree(folder: Path, tmp_path: Path) -> None:
    """A report writes tables and pictures again, in the formats that are there."""
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    table, picture = (old / "points.csv").read_bytes(), old / "1-capacity.png"
    drawn = picture.read_bytes()
    (old / "points.csv").write_text("of an earlier version\n")
    picture.write_bytes(b"of an earlier version")
    (old / "notes.csv").write_text("mine\n")
    for path in old.glob("*.svg"):
        path.unlink()
    write_report(old)
    assert (old / "points.csv").read_bytes() == table
    assert picture.read_bytes() == drawn
    assert not [*old.glob("*.svg")]
    assert (old / "notes.csv").read_text() == "mine\n"


def test_a_part_of_a_study_has_a_page(folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for name in ("study.yaml", "runs.sqlite"):
        (half / name).write_bytes((folder / name).read_bytes())
    keep_runs(half, 5)
    assert "runs.csv" in write_report(half).read_text(encoding="utf-8")
    keep_runs(half, 0)
    assert "There are no runs yet." in write_report(half).read_text(encoding="utf-8")


def test_the_commands(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    study = {**FIELDS, "capacity": None, "objective": None, "replications": 2, "compare": None}
    study = {key: value for key, value in study.items() if value is not None}
    Path("study.yaml").write_text(json.dumps(study))
    assert main(["study", "study.yaml", "--out", "out", "--workers", "1", "--format", "pdf"]) == 0
    printed = capsys.readouterr().out
    assert "8 runs in" in printed
    assert "Answer: Best: " in printed
    assert "page: out/report.html" in printed
    # A row for each point, with the numbers of points.csv.
    points = pd.read_csv("out/points.csv")
    rows = [line.split() for line in printed.splitlines() if line.startswith(("fcfs ", "easy "))]
    assert [row[:2] for row in rows] == [
        ["fcfs", "0.5"], ["fcfs", "0.7"], ["easy", "0.5"], ["easy", "0.7"]
    ]  # fmt: skip
    assert f"{points['mean_bounded_slowdown'][3]:.2f} (" in printed
    assert "In parentheses: 95 % interval." in printed
    assert Path("out/1-curve.pdf").read_bytes().startswith(b"%PDF")
    assert main(["study", "study.yaml", "--out", "out", "--workers", "1", "--resume"]) == 0
    assert "8 runs, 8 of them reused" in capsys.readouterr().out
    assert main(["report", "out"]) == 0
    assert Path("out/report.html").is_file()
    key = load_result("out").runs["run"][3]
    assert main(["run", "--from", "out", "--run", key, "--out", "redone"]) == 0
    assert (Path("redone") / "jobs.parquet").is_file()


def test_a_picture_that_cannot_be_drawn_costs_nothing_else(tmp_path: Path, capsys) -> None:
    fields = {name: FIELDS[name] for name in ("name", "base")}
    fields["replications"] = 2
    fields["parameters"] = {
        "workload.load": [0.3, 0.4],
        "workload.jobs": list(range(20, 29)),
    }
    fields["plots"] = [{"kind": "curve", "x": "workload.load"}, {"kind": "warm-up"}]
    assert run_study(define_study(fields), tmp_path / "out", workers=1, report=True)
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if re.match(r" *0\.[34] ", line)]) == 12
    assert "points.csv has 6 more points" in printed
    assert printed.count("not drawn: plot 1 (curve): plots: 9 lines are too many for one") == 1
    assert (tmp_path / "out" / "2-warm-up.png").is_file()
    assert (tmp_path / "out" / "points.csv").is_file()


@pytest.mark.full
def test_nodes_that_are_needed_are_less_the_better(tmp_path: Path, capsys) -> None:
    """SJF keeps the objective with fewer nodes: it needs less, and the front is below."""
    model = {"mean_interarrival": "90 s"}
    base = json.loads(json.dumps(FIELDS["base"]))
    base["workload"].pop("load")
    base["workload"]["generate"]["arrivals"] = model
    of = "cluster.pools.h20.nodes"
    fields = {
        "name": "nodes",
        "base": base,
        "parameters": {"scheduler.policy": ["fcfs", "sjf"], "workload.jobs": [300, 400]},
        "replications": 3,
        "objective": {"metric": "mean_wait_s", "at_most": "2 min"},
        "capacity": {"of": of, "between": [1, 12], "more_is": "better"},
        "compare": {"of": "scheduler.policy", "baseline": "fcfs"},
        "plots": [{"kind": "trade-off", "x": "jobs_per_day", "y": "capacity"}],
    }
    assert run_study(define_study(fields), tmp_path / "out", workers=1, report=True)
    result = load_result(tmp_path / "out")
    message = capsys.readouterr().out
    assert (result.gains["gain"] < 0).all()
    assert f"sjf needs {-result.gains['gain'][0]:.2f} fewer" in message
    assert "carries" not in message
    axis = study_axes(result)["capacity"]
    assert (axis.label, axis.better) == ("nodes of pool h20 at the objective", "less")
    (figure,), _ = draw_plots(result)
    (ax,) = figure.figure.panels
    filled = [line for line in ax.lines if line.get_markerfacecolor() not in ("white", "none")]
    shown = [y for line in filled if line.get_marker() != "None" for y in line.get_ydata()]
    assert min(shown) == result.capacities["capacity"].min()


def test_values_of_which_some_are_no_numbers(tmp_path: Path, capsys) -> None:
    """Beyond what is checked beforehand: those runs fail, and all others are reported and drawn."""
    fields = {
        "name": "nodes",
        "base": FIELDS["base"],
        "parameters": {"cluster.pools.h20.nodes": [*range(2, 70), -1, "x"]},
        "metrics": ["chips"],
    }
    study = define_study({**fields, "replications": 1, "set": {"workload.jobs": 20}})
    assert run_study(study, tmp_path / "out", workers=1, report=True)
    assert "2 of 70 runs failed" in capsys.readouterr().out
    points = pd.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["cluster.pools.h20.nodes"].tolist()[-2:] == ["-1", "x"]
    assert main(["report", str(tmp_path / "out")]) == 0


def test_differences_of_more_than_one_other_parameter(tmp_path: Path) -> None:
    fields = {name: FIELDS[name] for name in ("name", "base", "compare")}
    fields["parameters"] = {
        "scheduler.policy": ["fcfs", "easy"],
        "scheduler.placement": ["consolidate", "spread"],
        "workload.load": [0.5, 0.7],
    }
    fields["replications"] = 2
    fields["metrics"] = METRICS
    assert run_study(define_study(fields), tmp_path / "out", workers=1, report=True)
    result = load_result(tmp_path / "out")
    figures, problems = draw_plots(result)
    assert not problems
    # One sentence for each metric and system, over all points; the first metric comes first.
    labels = [study_axes(result).get(name, axis_of(name)).label for name in METRICS[:2]]
    sentences = findings(result)
    assert [f"easy against fcfs: {label}" in each for label, each in
            zip(labels, sentences, strict=True)] == [True, True]  # fmt: skip
    assert "1-differences" in [figure.name for figure in figures]


@pytest.mark.full
def test_values_that_a_draw_alone_tried_are_not_in_a_curve(tmp_path: Path) -> None:
    fields = json.loads(json.dumps({**FIELDS, "draws": 2, "replications": 2}))
    fields["base"]["workload"]["generate"]["classes"][0] = {
        "name": "job", "weight": 1, "sizes": {8: 1}, "model": "llama3-8b",
        "tokens": {"kind": "lognormal", "median": 3e7, "sigma": 0.8},
    }  # fmt: skip
    fields["plots"] = [{"kind": "curve", "x": "workload.load", "y": "mean_wait_s"}]
    assert run_study(define_study(fields), tmp_path / "out", workers=1, report=True)
    result = load_result(tmp_path / "out")
    points = result.points
    tried = set(result.runs["workload.load"])
    alone = tried - set(points["workload.load"])
    assert alone
    assert (points["replications"] > 0).all()
    drawn = result.runs[result.runs["draw"] >= 0]
    draws = drawn.groupby("point")["draw"].nunique().reindex(points["point"], fill_value=0)
    assert points["mean_wait_s_draw_low"].isna().tolist() == (draws < 2).tolist()
    listed = points[points["workload.load"].isin([0.5, 0.7])]
    assert listed["replications"].tolist() == [2] * 4
    (figure,), _ = draw_plots(result)
    (ax,) = figure.figure.panels
    assert "no result" not in ax.figure.caption
    shown = {float(x) for line in ax.lines for x in line.get_xdata()}
    assert not shown & alone


def test_a_share_that_rests_on_one_pair_is_reported_without_an_interval(tmp_path: Path) -> None:
    """In one of two replications no job waits, in neither case."""
    of = "workload.generate.classes.job.duration.average"
    base = {
        **FIELDS["base"],
        "cluster": {"name": "one", "pools": {"gpu": {"accelerator": "H200", "nodes": 1}}},
        "workload": {
            "generate": {
                "arrivals": {"mean_interarrival": "60 min"},
                "classes": [
                    {
                        "name": "job",
                        "weight": 1,
                        "sizes": {8: 1},
                        "duration": {"kind": "exponential", "average": "30 min"},
                    }
                ],
            },
            "jobs": 3,
        },
        "seed": 1,
    }
    fields = {
        "name": "rare waits",
        "base": base,
        "parameters": {of: ["10 min", "12 min"]},
        "replications": 2,
        "metrics": ["mean_wait_s"],
        "window": {"warm_up": 0, "cool_down": 0},
        "compare": {"of": of, "baseline": "10 min"},
    }
    one = {**fields, "replications": 1, "base": {**base, "seed": 2}}
    assert run_study(define_study(one), tmp_path / "one", workers=1, report=True)
    (message,) = (line for line in findings(load_result(tmp_path / "one")) if "against" in line)
    assert message.endswith("shows no difference (1 pair; no interval: one pair has no spread).")
    assert run_study(define_study(fields), tmp_path / "study", workers=1, report=True)
    result = load_result(tmp_path / "study")
    waits = result.runs.groupby("replication")["mean_wait_s"].max()
    assert sorted(waits > 0) == [False, True]
    (message,) = (line for line in findings(result) if "against" in line)
    share = result.differences["relative"].item()
    assert message.endswith(
        f"mean wait: no clear difference (+{100 * share:.0f} %; 2 pairs; no interval: without one "
        "of the pairs, it is 0 for a system)."
    )
    assert message.startswith("average 12 min against average 10 min: ")
