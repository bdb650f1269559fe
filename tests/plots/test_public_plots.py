"""The plots of `clustersim.plots`: they load late, take axes, and take results of studies."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import clustersim as cs
from clustersim.plots.figure import study_figure
from clustersim.studies.execution import make_runs
from tests.studies.conducted import QUEUE

LOAD, POLICY, WAIT = "workload.load", "scheduler.policy", "mean_wait_s"
PLOTS = [name for name in cs.plots.__all__ if name.startswith("plot_")]

STUDY = {
    "name": "loads",
    "base": QUEUE,
    "parameters": {LOAD: [0.5, 0.8], POLICY: ["fcfs", "easy"]},
    "replications": 3,
    "metrics": [WAIT, "utilisation"],
    "objective": {"metric": WAIT, "at_most": "1 min"},
    "compare": {"of": POLICY, "baseline": "fcfs"},
    "labels": {LOAD: "work offered"},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> cs.StudyResult:
    folder = tmp_path_factory.mktemp("study")
    make_runs(cs.define_study(STUDY), folder / "out", workers=1)
    return cs.load_result(folder / "out")


def lines_of(ax: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]


def test_nothing_is_drawn_before_a_plot_is_asked_for() -> None:
    code = (
        "import sys, clustersim as cs, clustersim.plots\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules\n"
        "assert cs.plots is clustersim.plots\n"
        "cs.plots.plot_curve\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_takes_axes_and_returns_them(name: str) -> None:
    signature = inspect.signature(getattr(cs.plots, name))
    assert signature.parameters["ax"].default is None
    assert signature.return_annotation == "Axes"
    assert signature.parameters["ax"].annotation == "Axes | None"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("curve", "plot_curve"),
        ("plot_heatmap", "plot_heat_map"),
        ("savefig", "save_figure"),
    ],
)
def test_an_unknown_name_gives_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"'{wrong}'; did you mean '{meant}'"):
        getattr(cs.plots, wrong)
    with pytest.raises(AttributeError, match="'plot'; did you mean 'plots'"):
        _ = cs.plot
    assert not hasattr(cs.plots, "__wrapped__")


def test_a_curve_of_a_study_is_that_of_its_table(result: cs.StudyResult) -> None:
    (ax,) = study_figure().panels
    assert cs.plots.plot_curve(result, LOAD, WAIT, ax=ax) is ax
    by_hand = cs.plots.plot_curve(
        result.points, LOAD, WAIT, by=POLICY, objective=(60.0, "objective 60 s")
    )
    assert lines_of(ax) == lines_of(by_hand)
    # The labels of the study are those of the plot, unless others are given.
    assert ax.get_xlabel() == "work offered"
    own = {LOAD: cs.plots.Axis("load")}
    assert cs.plots.plot_curve(result, LOAD, WAIT, axes=own).get_xlabel() == "load"
    other = cs.plots.plot_curve(result, LOAD, WAIT, objective=30.0)
    assert lines_of(other) != lines_of(ax)


def test_other_plots_of_a_study(result: cs.StudyResult) -> None:
    assert result.differences is not None
    for drawn, by_hand in (
        (
            cs.plots.plot_heat_map(result, LOAD, POLICY, "utilisation"),
            cs.plots.plot_heat_map(result.points, LOAD, POLICY, "utilisation"),
        ),
        (
            cs.plots.plot_differences(result, WAIT, x=LOAD, relative=False),
            cs.plots.plot_differences(result.differences, WAIT, x=LOAD, relative=False),
        ),
        (
            cs.plots.plot_pareto(result, "utilisation", WAIT, by=POLICY),
            cs.plots.plot_pareto(result.points, "utilisation", WAIT, by=POLICY),
        ),
        (
            cs.plots.plot_scatter(result, LOAD, "utilisation", by=POLICY),
            cs.plots.plot_scatter(result.points, LOAD, "utilisation", by=POLICY),
        ),
    ):
        assert lines_of(drawn) == lines_of(by_hand)
        assert [t.get_text() for t in drawn.texts] == [t.get_text() for t in by_hand.texts]
    shown = cs.plots.plot_warm_up(result)
    # A thin line for each replication, their mean, and the moving average.
    assert len([line for line in shown.lines if len(line.get_xdata()) > 2]) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda r: cs.plots.plot_curve(r, "workload.lod", WAIT),
            r"x: .*did you mean 'workload\.load'",
        ),
        (lambda r: cs.plots.plot_curve(r, LOAD, "mean_wait"), "y: .*did you mean 'mean_wait_s'"),
        (lambda r: cs.plots.plot_curve(r, LOAD, WAIT, by="policy"), "by: .*'scheduler.policy'"),
        (lambda r: cs.plots.plot_curve(r, LOAD, "p95_wait_s"), "unknown column 'p95_wait_s'"),
        (lambda r: cs.plots.plot_curve(r.points, LOAD, "mean_wait"), "'mean_wait_s'"),
        (lambda r: cs.plots.plot_differences(r, "p99"), "metric: unknown metric 'p99'"),
        (lambda r: cs.plots.plot_capacity(r, POLICY), "a capacity plot needs a `capacity` search"),
        (lambda r: cs.plots.plot_indices(r, WAIT), "needs sample"),
        (lambda r: cs.plots.plot_periods(r, WAIT), "needs window"),
        (lambda r: cs.plots.plot_periods(r, WAIT, ["Q1"]), "names: a study result has the names"),
        (lambda r: cs.plots.plot_periods(r.points, WAIT), "names: a table needs the names"),
    ],
)
def test_what_a_study_lacks_is_named(result: cs.StudyResult, call, message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        call(result)


def test_purchases_of_a_plan_and_of_its_table() -> None:
    plan = cs.plan_purchases(
        {
            "name": "one chip",
            "quarters": 2,
            "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
            "demand": {
                "tuning": {
                    "model": "llama3-8b",
                    "accelerators": 8,
                    "job_tokens": 1.0e9,
                    "tokens": [1.0e13, 2.0e13],
                    "must_meet": 1,
                }
            },
        }
    )
    table = plan.purchases
    assert table is not None
    ax = cs.plots.plot_purchases(plan)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == table["chips"].to_list()
    assert sum(heights) == 8 * plan.schedule.bought.sum()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["h200"]
    two = pd.concat([table.assign(scenario="early"), table.assign(scenario="late")])
    with pytest.raises(cs.InputError, match="scenario: must be one of early, late"):
        cs.plots.plot_purchases(two)
    with pytest.raises(cs.InputError, match="did you mean 'early'"):
        cs.plots.plot_purchases(two, scenario="erly")
    assert cs.plots.plot_purchases(two, scenario="late").get_title(loc="left") == "Late"


def test_a_log_is_drawn_as_its_jobs(tmp_path: Path) -> None:
    days = np.arange(0, 8 * 86400, 3600.0)
    jobs = {"job_id": range(len(days)), "submit_s": days, "n_accelerators": 8, "duration_s": 60.0}
    pd.DataFrame(jobs).to_csv(tmp_path / "jobs.csv", index=False)
    log = cs.read_jobs(tmp_path / "jobs.csv")
    for plot in (cs.plots.plot_sizes, cs.plots.plot_arrivals, cs.plots.plot_week):
        of_log, of_table = plot(log), plot(log.jobs)
        assert [p.get_height() for p in of_log.patches if hasattr(p, "get_height")] == [
            p.get_height() for p in of_table.patches if hasattr(p, "get_height")
        ]
    ax = Figure().subplots()
    assert cs.plots.plot_durations(log, ax=ax) is ax


def test_unknown_measures_and_coefficients_are_named() -> None:
    with pytest.raises(cs.InputError, match="did you mean 'step_time_s'"):
        cs.plots.plot_chips(pd.DataFrame(), "step_time")
    calibration = cs.performance.default_calibration()
    with pytest.raises(cs.InputError, match="did you mean 'matmul_efficiency'"):
        cs.plots.plot_coefficient(calibration, "matmul_eficiency", "architecture")
    with pytest.raises(cs.InputError, match="unknown level 'chips'"):
        cs.plots.plot_coefficient(calibration, "matmul_efficiency", "chips")
