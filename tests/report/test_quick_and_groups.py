"""The quick version of a study marks its pictures and its page; tables group their rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.plots.parts.quick_mark import quick_mark, quick_note
from clustersim.report.grouped import grouped, repeats
from clustersim.report.points_text import points_text
from clustersim.report.study_figures import draw_plots
from clustersim.studies.study import define_study, load_study
from clustersim.studies.study_result import StudyResult, load_result
from tests.plots.test_small_multiples import LOAD, NODES, POLICY, three_parameters
from tests.plots.test_study_legibility import assert_legible
from tests.report.test_study_report import FIELDS

EMPTY = pd.DataFrame({"code": []})
STUDY = {
    **{name: FIELDS[name] for name in ("name", "base", "compare")},
    "parameters": {POLICY: ["fcfs", "easy"], LOAD: [0.5, 0.7]},
    "replications": 4,
    "plots": [{"kind": "curve", "x": LOAD, "y": "utilisation"}],
}


def quick(section: dict, tmp_path: Path, **changes) -> StudyResult:
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps({**STUDY, **changes, "quick": section}))
    return StudyResult(load_study(path, quick=True), EMPTY)


@pytest.mark.parametrize(
    ("section", "mark"),
    [
        ({"replications": 2}, "quick: 2 replications"),
        (
            {"replications": {"at_least": 2, "at_most": 3, "relative_width": 0.1}},
            "quick: 2 to 3 replications",
        ),
        ({"set": {"workload.jobs": 1}, "replications": 1}, "quick: 1 job, 1 replication"),
        ({"set": {"cluster.pools.h20.nodes": 5}}, "quick: 40 chips"),
        ({"parameters": {LOAD: [0.6]}}, "quick version"),
    ],
)
def test_the_mark_says_what_the_section_changed(section, mark, tmp_path):
    assert quick_mark(quick(section, tmp_path)) == mark


def test_chips_and_days_come_first(tmp_path):
    section = {
        "set": {
            "workload.jobs": 100,
            "cluster.pools.h20.nodes": 1000,
            "horizon": "120 d",
            "scheduler.placement": "spread",
        },
        "replications": 2,
        "parameters": {LOAD: [0.6]},
    }
    result = quick(section, tmp_path)
    assert quick_mark(result) == "quick: 8,000 chips, 120 days, 100 jobs, 2 replications"
    (sentence,) = quick_note(result)
    assert "8,000 chips; 120 days; 100 jobs; 2 replications; " in sentence
    assert "placement spread; only offered load 0.6" in sentence
    assert sentence.endswith("Run the study without --quick before you use its numbers.")


def test_the_mark_is_stored_with_the_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = {"set": {"workload.jobs": 20}, "replications": 2}
    Path("study.yaml").write_text(json.dumps({**STUDY, "quick": section}))
    command = ["study", "study.yaml", "--out", "out", "--workers", "1", "--format", "svg"]
    assert main([*command, "--quick"]) == 0
    sentence = "This is the quick version of the study (--quick): 20 jobs; 2 replications."
    text = capsys.readouterr().out
    assert sentence in " ".join(text.split())
    _, last = text.split("Quick version (20 jobs, 2 replications): to try the script, not for ")
    assert last.startswith("conclusions\n")
    assert "easy" in last
    mark = "quick: 20 jobs, 2 replications"
    assert mark in Path("out/1-curve.svg").read_text()
    assert main(["report", "out"]) == 0
    assert sentence in Path("out/report.html").read_text()
    result = load_result("out")
    (figure,), _ = draw_plots(result)
    assert figure.title == "Utilisation by policy"
    assert figure.figure._suptitle.get_text() == f"Utilisation by policy\n{mark}"
    assert not figure.figure.panels[0].get_title(loc="left")
    assert_legible(figure.figure)
    # The same study, from the file in its folder.
    again = define_study(result.study.document())
    assert again.spec.preview == result.study.spec.preview


def test_a_full_study_has_no_mark(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps({**STUDY, "quick": {"replications": 2}}))
    study = load_study(path)
    assert "preview" not in study.document()
    result = StudyResult(study, EMPTY)
    assert (quick_mark(result), quick_note(result)) == ("", [])


def test_rows_of_three_parameters_are_grouped_with_the_systems_inside():
    result = three_parameters()
    table, groups = grouped(result, result.points)
    assert (list(table)[:3], groups) == ([LOAD, NODES, POLICY], 2)
    assert table[POLICY].tolist() == ["fcfs", "easy", "sjf"] * 12
    assert sorted(table["point"]) == sorted(result.points["point"])
    same = repeats(table, groups)
    assert same[0][:4] == [False, True, True, True]
    assert same[1][:4] == [False, True, True, False]
    # A value that repeats in the next group begins that group.
    assert not same[1][9] or not same[0][9]
    lines = points_text(result)
    first, second = lines[2].split(), lines[3].split()
    assert first[:3] == ["0.6", "8", "fcfs"]
    assert second[0] == "easy"


def test_rows_of_differences_are_grouped_too():
    result = three_parameters()
    rows = result.differences.query("metric == 'mean_wait_s'")
    table, groups = grouped(result, rows)
    assert (list(table)[:3], groups) == ([LOAD, NODES, "system"], 2)
    assert table["system"].tolist() == ["easy", "sjf"] * 12


def test_two_parameters_are_not_grouped():
    result = three_parameters(parameters={POLICY: ["fcfs", "easy"], NODES: [8, 32]})
    table, groups = grouped(result, result.points)
    assert groups == 0
    pd.testing.assert_frame_equal(table, result.points)
