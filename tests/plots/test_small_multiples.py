"""Studies with three parameters: panels with shared axes, groups of rows, one unit, one metric."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.plots.axis import axis_of, value_texts
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.figure import study_figure
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.periods import plot_periods
from clustersim.plots.scatter import plot_scatter
from clustersim.report.of_study.default_plots import default_plots
from clustersim.report.study_figures import draw_plots
from clustersim.studies.plot_kinds import find_plot_kind
from clustersim.studies.spec import Plot
from clustersim.studies.study import define_study
from clustersim.studies.study_result import StudyResult
from tests.plots.study_tables import capacity_table, difference_table, period_table, point_table
from tests.plots.test_study_legibility import assert_legible

LOAD, POLICY, NODES = "workload.load", "scheduler.policy", "cluster.pools.seedchip.nodes"
POLICIES = ("fcfs", "easy", "easy_sjbf")
QUARTERS = ("Q1", "Q2", "Q3", "Q4")


def at_nodes(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table for three sizes of a pool; the given columns are smaller in larger pools."""
    parts = [
        table.assign(**{NODES: nodes, **{name: table[name] * 8 / nodes for name in columns}})
        for nodes in (8, 32, 64)
    ]
    return pd.concat(parts, ignore_index=True)


WAITS = at_nodes(point_table(POLICIES), *(f"mean_wait_s{end}" for end in ("", "_low", "_high")))
PANELS = {
    "curve": lambda ax, n: plot_curve(
        WAITS, LOAD, "mean_wait_s", by=POLICY, objective=3600.0, only=(NODES, n), ax=ax
    ),
    "utilisation": lambda ax, n: plot_curve(
        WAITS, LOAD, "utilisation", by=POLICY, only=(NODES, n), ax=ax
    ),
    "scatter": lambda ax, n: plot_scatter(
        WAITS, LOAD, "mean_wait_s", by=POLICY, only=(NODES, n), ax=ax
    ),
    "heat map": lambda ax, n: plot_heat_map(
        WAITS, LOAD, POLICY, "mean_wait_s", objective=600.0, only=(NODES, n), ax=ax
    ),
    "rows": lambda ax, n: plot_differences(
        at_nodes(difference_table()), "mean_wait_s", only=(NODES, n), ax=ax
    ),
    "differences": lambda ax, n: plot_differences(
        at_nodes(difference_table()), "mean_wait_s", x=LOAD, only=(NODES, n), ax=ax
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("curve", "rows") else pytest.param(name, marks=pytest.mark.slow)
        for name in PANELS
    ],
)
def test_panels_share_axes_and_are_legible(name):
    figure = study_figure(3, width=7.0, columns=3, mark="quick: 300 jobs")
    for ax, nodes in zip(figure.panels, (8, 32, 64), strict=True):
        PANELS[name](ax, nodes)
    first, *others = figure.panels
    assert all(ax.get_xlim() == first.get_xlim() for ax in others)
    assert all(ax.get_ylim() == first.get_ylim() for ax in others)
    titles = [ax.get_title(loc="left").replace("\n", " ") for ax in figure.panels]
    assert titles == [f"Nodes of pool seedchip {nodes}" for nodes in (8, 32, 64)]
    assert "ean wait" in figure.heading or name == "utilisation"
    assert figure._suptitle.get_text().endswith("quick: 300 jobs")
    assert first.yaxis.get_tick_params()["labelleft"]
    assert not any(ax.yaxis.get_tick_params()["labelleft"] for ax in others)
    assert not any(ax.yaxis.label.get_visible() for ax in others)
    assert_legible(figure)


def test_lines_keep_their_colours_and_are_named_once():
    figure = study_figure(3, width=7.0, columns=3)
    table = WAITS[(WAITS[POLICY] != "fcfs") | (WAITS[NODES] == 64)]
    for ax, nodes in zip(figure.panels, (8, 32, 64), strict=True):
        plot_curve(table, LOAD, "utilisation", by=POLICY, only=(NODES, nodes), ax=ax)
    inks = [
        {line.get_marker(): line.get_color() for line in ax.lines if len(line.get_xdata())}
        for ax in figure.panels
    ]
    assert inks[0].items() < inks[2].items()
    named = ["easy" in "".join(text.get_text() for text in ax.texts) for ax in figure.panels]
    assert named == [False, False, True]


def test_a_panel_shows_its_rows():
    ax = plot_curve(WAITS, LOAD, "utilisation", by=POLICY, only=(NODES, 32))
    rows = WAITS[(WAITS[NODES] == 32) & (WAITS[POLICY] == "fcfs")]
    line = max(
        (line for line in ax.lines if line.get_marker() == "o"), key=lambda it: len(it.get_xdata())
    )
    np.testing.assert_allclose(line.get_ydata(), rows["utilisation"])
    ax = plot_capacity(
        at_nodes(capacity_table().drop(columns=NODES).drop_duplicates(POLICY)),
        POLICY,
        only=(NODES, 8),
    )
    assert ax.get_title(loc="left") == "Nodes of pool seedchip 8"


def test_points_of_a_period_are_at_its_middle():
    """No line is beside the others: a shift by a part of a quarter reads as a date."""
    ax = plot_periods(period_table(("a", "b", "c")), "useful_flop_per_s", QUARTERS, by="case")
    drawn = [line for line in ax.lines if line.get_marker() in ("o", "s", "^")]
    assert len(drawn) == 3
    for line in drawn:
        x = line.get_transform().transform(np.column_stack((line.get_xdata(), line.get_ydata())))
        expected = ax.transData.transform(np.column_stack((range(4), line.get_ydata())))
        np.testing.assert_allclose(x, expected)
    assert "Shaded" in ax.figure.caption
    assert "Bars" not in ax.figure.caption


def test_a_panel_of_a_case_shows_the_others_in_grey():
    cases = ("a", "b", "c", "d")
    table = period_table(cases)
    ax = plot_periods(table, "useful_flop_per_s", QUARTERS, by="case", only=("case", "b"))
    grey = [line for line in ax.lines if line.get_gid() == "context"]
    assert len(grey) == 4
    shown = [line for line in ax.lines if line.get_marker() in ("o", "s", "^", "D")]
    assert [line.get_marker() for line in shown] == ["s"]
    expected = [table.loc[1, f"useful_flop_per_s@{k}"] for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(shown[0].get_ydata(), expected)
    assert ax.get_title(loc="left") == "b", "a name has no capital letter"


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [
        ("failures.checkpoints.interval", [1800.0, 7200.0], {"0.5 h", "2 h"}),
        ("money.life", [86400.0, 1800.0], {"24 h", "0.5 h"}),
        ("cluster.pools.a.price", [5e5, 2e9], {"0.0005 billion CNY", "2 billion CNY"}),
    ],
)
def test_the_values_of_a_parameter_have_one_unit(column, values, shown):
    label = axis_of(column).label
    texts = value_texts(column, values, None).values()
    assert {text.removeprefix(f"{label} ") for text in texts} == shown


def test_ticks_and_the_objective_have_the_unit_of_the_axis():
    points = point_table(("easy",)).assign(mean_wait_s=[10.0, 60.0, 600.0, 7200.0, 2e5, 3e5, 4e5])
    ax = plot_curve(points.assign(overload=False), LOAD, "mean_wait_s", objective=3600.0)
    ax.figure.draw_without_rendering()
    assert ax.get_ylabel() == "mean wait (log above 0.1 min), min"
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["0", "0.1", "1", "10", "100", "1,000", "10,000"][: len(labels)]
    (objective,) = [text for text in ax.texts if "objective" in text.get_text()]
    assert objective.get_text().replace("\n", " ") == "objective: 60 min"


BASE = {
    "cluster": "mixed-small",
    "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
}


def three_parameters(**changes) -> StudyResult:
    """A study of three parameters whose runs are made up."""
    fields = {
        "name": "three",
        "base": BASE,
        "parameters": {
            POLICY: ["fcfs", "easy", "sjf"],
            LOAD: [0.6, 0.8, 0.9, 1.0],
            NODES: [8, 32, 64],
        },
        "replications": 3,
        "metrics": ["mean_wait_s", "utilisation"],
        "compare": {"of": POLICY, "baseline": "fcfs"},
        **changes,
    }
    study = define_study(fields, check=False)
    rng = np.random.default_rng(4)
    rows = []
    for point in study.points:
        values = point.columns
        for replication in range(3):
            wait = 600 * (1 + values.get(LOAD, 0.5)) * 8 / values[NODES] * rng.uniform(0.8, 1.2)
            rows.append(
                {
                    "point": point.index, "run": f"{point.index}-{replication}", **values,
                    "draw": -1, "replication": replication, "status": "finished", "code": "a",
                    "mean_wait_s": wait, "utilisation": 0.5 * rng.uniform(0.9, 1.1),
                    "wait_rise_s": 0.0, "backlog_growth": 0.0, "offered_load": 0.5,
                    "warm_up_jobs": 10, "jobs_submitted": 50, "warm_up_reached": 1,
                    "jobs_per_day": 100.0, "error": "",
                }
            )  # fmt: skip
    runs = pd.DataFrame(rows)
    series = dict.fromkeys(runs["run"], np.full(20, 600.0))
    return StudyResult(study, runs, series)


def test_three_parameters_have_a_panel_for_each_value_of_the_third():
    result = three_parameters()
    plots = default_plots(result)
    assert [(plot.kind, plot.ys) for plot in plots] == [
        ("differences", ["mean_wait_s"]), ("curve", ["mean_wait_s"]), ("warm-up", [])
    ]  # fmt: skip
    figures, problems = draw_plots(result)
    assert not problems
    assert [figure.name for figure in figures] == ["1-differences", "2-curve", "3-warm-up"]
    for figure in figures[:2]:
        assert len(figure.figure.panels) == 3
        assert_legible(figure.figure)
    rows = [label.get_text() for label in figures[0].figure.panels[0].get_yticklabels()]
    loads = ["offered load 0.6", "offered load 0.8", "offered load 0.9", "offered load 1"]
    assert rows == [name for load in loads for name in (load, "easy", "sjf")]


def test_each_picture_has_one_metric():
    result = three_parameters()
    entry = Plot(kind="curve", x=LOAD, y=["mean_wait_s", "utilisation"])
    kind = find_plot_kind("curve")
    assert [plot.ys for plot in kind.drawn_pictures(result, entry)] == [
        ["mean_wait_s"], ["utilisation"]
    ]  # fmt: skip
    plots = [{"kind": "curve", "x": LOAD, "y": ["mean_wait_s", "utilisation"], "title": "Both"}]
    figures, problems = draw_plots(three_parameters(plots=plots))
    assert not problems
    assert [figure.name for figure in figures] == ["1-curve-mean_wait_s", "1-curve-utilisation"]
    assert [figure.title for figure in figures] == ["Both: mean wait", "Both: utilisation"]


def test_a_fourth_parameter_gives_a_panel_for_each_pair():
    parameters = {
        POLICY: ["fcfs", "easy"],
        LOAD: [0.6, 0.9],
        NODES: [8, 32],
        "scheduler.choose": ["fastest", "listed"],
    }
    plots = [{"kind": "curve", "x": LOAD, "y": "mean_wait_s"}]
    (figure,), problems = draw_plots(three_parameters(parameters=parameters, plots=plots))
    assert not problems
    titles = [ax.get_title(loc="left").replace("\n", " ") for ax in figure.figure.panels]
    assert titles[0] == "nodes of pool seedchip 8, fastest"
    assert len(titles) == 4
