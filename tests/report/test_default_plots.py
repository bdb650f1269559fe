"""A study whose file requests no plots has a picture of its first metric all the same."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from clustersim.plots.figure import study_figure
from clustersim.report.of_study.default_plots import default_plots
from clustersim.report.study_page import study_page
from clustersim.studies.plot_kinds import find_plot_kind
from clustersim.studies.spec import Plot, Preview
from tests.report.test_study_answer import result_of

PLACEMENT, POLICY, LOAD = "scheduler.placement", "scheduler.policy", "workload.load"
JOBS = "workload.jobs"


def result_with(parameters):
    names = list(parameters)
    places = list(itertools.product(*parameters.values()))
    points = pd.DataFrame(places, columns=names).assign(
        replications=4, overload=False, rising=False
    )
    points.insert(0, "point", range(len(points)))
    points["failed"] = 0
    points["mean_wait_s"] = 60.0 + points["point"]
    points["utilisation"] = 0.5 + 0.001 * points["point"]
    fields = {"parameters": parameters, "metrics": ["mean_wait_s", "utilisation"]}
    result = result_of(fields, points=points)
    result.runs["utilisation"] = 0.5
    return result


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({POLICY: ["fcfs", "easy", "sjf"]}, "curve"),
        ({LOAD: [0.1 * k for k in range(1, 10)], JOBS: [*range(20, 29)]}, "heat-map"),
        (
            {
                POLICY: ["fcfs", "easy", "sjf", "conservative"],
                PLACEMENT: ["consolidate", "spread"],
                LOAD: [0.1, 0.2, 0.3, 0.4, 0.5],
                JOBS: [20, 21, 22, 23],
                "scheduler.wait_for_best": [False, True],
                "scheduler.choose": ["fastest", "listed"],
            },
            "trade-off",
        ),
    ],
)
def test_the_first_metric_always_has_a_picture(parameters, kind):
    result = result_with(parameters)
    plots = default_plots(result)
    assert [plot.kind for plot in plots] == [kind, "warm-up"]
    shown = [plots[0].value, *plots[0].ys]
    assert "mean_wait_s" in shown
    found = find_plot_kind(kind)
    assert found.drawn_panels(result, plots[0])


def test_a_quick_page_says_so_in_its_title(tmp_path):
    result = result_with({POLICY: ["fcfs", "easy"]})
    preview = Preview(changes={"set": {"workload.jobs": 100}, "replications": 2})
    object.__setattr__(result.study.spec, "preview", preview)
    (tmp_path / "study.yaml").write_text("name: by hand\n")
    result.runs["run"], result.runs["draw"], result.runs["point"] = "a", -1, 0
    for name in ("warm_up_reached", "unfinished", "censored"):
        result.runs[name] = 0.0
    title = study_page(result, tmp_path, []).title
    assert title == "by hand (quick: 100 jobs, 2 replications)"


def test_the_warm_up_of_a_flagged_point_comes_first_with_the_verdict_of_its_test():
    result = result_with({POLICY: ["fcfs", "easy"]})
    count = len(result.points)
    runs = pd.DataFrame({"point": np.repeat(range(count), 3), "status": "finished", "draw": -1})
    runs["replication"], runs["warm_up_jobs"], runs["jobs_submitted"] = 0, 3.0, 10.0
    runs["warm_up_reached"] = 1.0
    runs["mean_wait_s"] = np.where(runs["point"] == 0, 900.0, 60.0)
    runs["wait_rise_s"] = [-60.0, 60.0, 30.0] * (count - 1) + [120.0, 180.0, 240.0]
    result.__dict__["runs"] = runs
    object.__setattr__(result, "series_of", lambda point: np.ones((3, 20)))
    for flagged, shown, verdict in (
        (count - 1, "Shown: the only point whose waits still rise, of", "Yes: the later half"),
        (-1, "Shown: the point with the longest mean wait of", "No, not clearly: the later half"),
    ):
        points = result.points.assign(rising=[k == flagged for k in range(count)], overload=False)
        result.__dict__["points"] = points
        figure = study_figure()
        find_plot_kind("warm-up").drawn_panels(result, Plot(kind="warm-up"))[0](ax=figure.panels[0])
        assert shown in figure.caption
        assert f"Do waits still rise after the warm-up? {verdict}" in figure.caption
    assert "half of the measured jobs waits on average 0.167 min longer" in figure.caption
