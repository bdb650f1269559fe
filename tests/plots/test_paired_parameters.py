"""Figures of studies in which several parameters advance together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

import clustersim as cs
from clustersim.plots.study_lines import with_lines
from clustersim.report.study_figures import draw_plots

H200, H20 = "cluster.pools.h200.nodes", "cluster.pools.h20.nodes"
POLICY, LOAD = "scheduler.policy", "workload.load"
STUDY: dict[str, Any] = {
    "name": "together",
    "base": {
        "cluster": {
            "name": "c",
            "pools": {
                "h200": {"accelerator": "H200", "nodes": 4},
                "h20": {"accelerator": "H20", "nodes": 4},
            },
        },
        "workload": {"generate": "philly-2017", "jobs": 20, "load": 0.7},
        "scheduler": {"policy": "easy"},
    },
    "parameters": {LOAD: [0.5, 0.8]},
    "paired": [{POLICY: ["easy", "sjf"], H200: [8, 4], H20: [2, 6]}],
    "metrics": ["mean_jct_s"],
    "replications": 1,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> cs.StudyResult:
    folder = tmp_path_factory.mktemp("study") / "out"
    cs.run_study(STUDY, folder, workers=1)
    return cs.load_result(folder)


def test_each_line_names_all_parameters_that_advance_together(result: cs.StudyResult) -> None:
    names = [
        "easy, 8 nodes of pool h200, 2 nodes of pool h20",
        "sjf, 4 nodes of pool h200, 6 nodes of pool h20",
    ]
    for by in (None, POLICY, H20):
        lines = with_lines(result, result.points, [LOAD], by)
        assert lines.panel is None
        assert lines.by is not None
        assert list(dict.fromkeys(lines.table[lines.by])) == names
        label = "policy, nodes of pool h200 and nodes of pool h20"
        assert lines.axes[lines.by].label == label


def test_what_follows_from_the_axis_is_named_there(result: cs.StudyResult) -> None:
    lines = with_lines(result, result.points, [H200], None)
    assert (lines.by, lines.panel) == (LOAD, None)
    assert lines.axes[H200].label == "nodes of pool h200 (with policy and nodes of pool h20)"


def test_the_figure_labels_every_line(result: cs.StudyResult) -> None:
    figures, problems = draw_plots(result)
    assert not problems
    own = next(each.figure for each in figures if "curve" in each.name)
    texts = " ".join(text.get_text() for text in own.findobj(Text))
    for name in ("easy", "sjf", "nodes of pool"):
        assert name in texts.replace("\n", " ")


def test_a_comparison_needs_points_that_differ_in_it_alone(tmp_path: Path) -> None:
    tree = {**STUDY, "compare": {"of": POLICY, "baseline": "easy", "metrics": ["mean_jct_s"]}}
    with pytest.raises(cs.InputError, match=r"compare\.of: no two points differ in scheduler"):
        cs.run_study(tree, tmp_path / "out", workers=1)
    pairs = [{POLICY: ["easy", "easy", "sjf", "sjf"], H200: [8, 4, 8, 4]}]
    assert cs.run_study({**tree, "paired": pairs}, tmp_path / "out", workers=1)
    assert cs.load_result(tmp_path / "out").differences is not None
