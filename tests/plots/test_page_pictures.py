"""What pictures show of few values, small intervals and gains, and how they stand on a page."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.figure import study_figure
from clustersim.plots.gains import plot_gains
from clustersim.plots.parts.intervals import ends_of_rows
from clustersim.plots.parts.numbers import interval_text
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.periods import plot_periods
from clustersim.plots.purchases import draw_costs
from clustersim.plots.runs import draw_run, plot_size_waits
from clustersim.plots.series import axis_for
from clustersim.plots.style import svg_text
from tests.plots.study_tables import difference_table, period_table, point_table
from tests.plots.test_study_legibility import assert_legible

LOAD, POLICY = "workload.load", "scheduler.policy"
GAINS = pd.DataFrame(
    {
        "system": ["10,000 more chips", "another policy"],
        "baseline": "mixed fleet",
        "pairs": 8,
        "gain": [123.4, -59.3],
        "gain_low": [105.0, -70.2],
        "gain_high": [142.0, -48.3],
        "note": ["", "overload begins at a capacity: bounds, not a 95 % interval"],
    }
)


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_visible()]


def view_box(svg: str) -> list[float]:
    return [float(number) for number in re.search(r'viewBox="([^"]*)"', svg)[1].split()]


def test_two_numbers_are_points_with_bars_beside_each_other():
    points = point_table(("fcfs", "easy"), draw=False)
    two = points[points[LOAD].isin(sorted(points[LOAD].unique())[:2])]
    ax = plot_curve(two, LOAD, "mean_wait_s", by=POLICY)
    drawn = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert [line.get_linestyle() for line in drawn] == ["None"] * len(drawn)
    places = [line.get_transform().transform((0.0, 1.0))[0] for line in drawn]
    assert abs(places[0] - places[1]) > 3.0
    assert len(ax.get_xticklabels()) == 2
    assert_legible(ax.figure)


def test_wide_rows_have_their_numbers():
    figure = study_figure(1, width=7.0)
    table = difference_table().query(f"`{LOAD}` == 0.6")
    table = table.assign(relative=-0.0086, relative_low=-0.0138, relative_high=-0.0035)
    ax = plot_differences(table, "mean_wait_s", ax=figure.panels[0])
    assert texts(ax).count("−0.86 (−1.38 to −0.35)") == 3
    assert_legible(figure)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (-1.0, 20.0, "+5.0 (−1.0 to 20.0)"),
        (np.nan, 20.0, "+5"),
        (-np.inf, 20.0, "+5.0 (up to 20.0)"),
    ],
)
def test_a_number_has_its_interval(low, high, shown):
    rows = pd.DataFrame({"gain": [5.0], "gain_low": [low], "gain_high": [high]})
    ends = ends_of_rows(rows, "gain", bounds=(-np.inf, np.inf))
    assert interval_text(axis_for("workload.jobs_per_day", None), ends, 0, 5.0) == shown


def test_gains_are_the_table_with_zero_and_their_numbers():
    ax = plot_gains(GAINS, searched="workload.jobs_per_day")
    (line,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(line.get_ydata(), GAINS["gain"])
    assert {"+123", "−59.3"} <= set(texts(ax))
    assert ax.get_ylim()[0] < -70.2
    assert "paired" in ax.figure.caption
    assert "another policy: overload begins" in ax.figure.caption
    assert_legible(ax.figure)


def test_a_value_of_few_runs_is_not_joined_and_gaps_say_so():
    table = period_table(("a",))
    for period, left in ((1, 0.0), (2, 0.3), (3, 5 / 6), (4, np.nan)):
        table[f"p95_wait_s@{period}"] = np.nan if period == 4 else 3600.0 * period
        table[f"p95_wait_s@{period}_left_out"] = left
    ax = plot_periods(table, "p95_wait_s", ["Q1", "Q2", "Q3", "Q4"])
    joined = next(
        line for line in ax.lines if line.get_linestyle() == "-" and line.get_marker() == "o"
    )
    assert list(np.isfinite(joined.get_ydata())) == [True, True]
    hollow = next(line for line in ax.lines if line.get_markerfacecolor() == "white")
    assert list(hollow.get_xdata()) == [1, 2]
    assert texts(ax).count("no value") == 1


def test_a_line_that_ends_inside_has_no_leader_and_overloaded_lines_are_first():
    figure = study_figure(1, width=7.0)
    ax = figure.panels[0]
    ax.set(xlim=(0, 4), ylim=(0, 10))
    label_ends(
        ax,
        [
            EndLabel("low", 4.0, 5.0, "#000000"),
            EndLabel("late", 3.0, 4.0, "#000000", above=True),
            EndLabel("early", 2.0, 1.0, "#000000", above=True),
        ],
    )
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert heights["early"] > heights["late"] > heights["low"]
    leaders = [each for each in ax.collections if each.get_zorder() == 1.5]
    assert all(len(each.get_segments()) == 0 for each in leaders)


def test_equal_quantiles_do_not_hide_each_other():
    equal = {f"{name}_wait_s": 60.0 for name in ("median", "p90", "p95", "most")}
    ax = plot_size_waits(pd.DataFrame({"size": ["1"], "jobs": [100], **equal}))
    drawn = [line for line in ax.lines if np.isfinite(line.get_ydata()).all()]
    assert len(drawn) == 3
    places = sorted(float(line.get_xdata()[0]) for line in drawn)
    assert np.diff(places).min() > 0.1


def test_a_queue_that_is_always_empty_is_not_drawn():
    used = pd.DataFrame({"time_s": [0.0, 10.0], "pool": "a", "allocated": 1, "installed": 2})
    for jobs, panels in ((0, 1), (3, 2)):
        figure = draw_run(pd.DataFrame({"time_s": [0.0, 10.0], "jobs": jobs}), used)
        assert len(figure.panels) == panels
        assert ("No job waits" in figure.caption) == (panels == 1)


@pytest.mark.parametrize(
    ("title", "mark"), [("", ""), ("A title", ""), ("A title", "quick: 2 runs")]
)
def test_a_page_shows_title_and_caption_once(title, mark):
    figure = study_figure(1, width=7.0, title=title, mark=mark, caption="What the bars are.")
    figure.panels[0].set_title("A panel", loc="left")
    whole = svg_text(figure)
    shown = view_box(page_picture(figure, whole))
    assert page_picture(figure) == page_picture(figure, whole)
    renderer = FigureCanvasAgg(figure).get_renderer()
    height = view_box(whole)[3]
    scale = height / figure.bbox.height

    def top_and_bottom(text):
        box = text.get_window_extent(renderer)
        return height - scale * box.y1, height - scale * box.y0

    above = figure._suptitle if title else figure.panels[0]._left_title
    assert shown[1] + shown[3] <= top_and_bottom(figure._supxlabel)[0]
    assert top_and_bottom(above)[0] < shown[1]
    middle = sum(top_and_bottom(above)) / 2
    assert (shown[1] <= middle + 1.0) if mark else (shown[1] >= middle)


@pytest.mark.parametrize("title", ["A title", "A title of many words" + " and more" * 12])
def test_the_cut_is_between_the_lines_of_the_title_and_of_the_mark(title):
    mark = "quick: 2 runs"
    figure = study_figure(1, width=7.0, title=title, mark=mark)
    svg = svg_text(figure)
    shown, height = view_box(page_picture(figure, svg)), view_box(svg)[3]
    renderer = FigureCanvasAgg(figure).get_renderer()
    heading = figure._suptitle
    bottom = heading.get_window_extent(renderer).y0
    whole = heading.get_text()
    heading.set_text(mark)  # the mark alone, at the top edge of the heading
    tall = heading.get_window_extent(renderer).height
    heading.set_text(whole)
    scale = height / figure.bbox.height
    top_of_mark = height - scale * (bottom + tall)
    bottom_of_title = top_of_mark - scale * 0.2 * tall
    assert bottom_of_title - 0.01 <= shown[1] <= top_of_mark + 0.01


def test_a_legend_above_a_title_stays_on_the_page():
    costs = pd.DataFrame({"scenario": ["a"], "rent_cny": 1e9, "unmet_cny": 2e9, "cost_cny": 3e9})
    figure = draw_costs(costs)
    svg = svg_text(figure)
    shown, height = view_box(page_picture(figure, svg)), view_box(svg)[3]
    box = figure.panels[0].get_legend().get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert shown[1] <= height * (1.0 - box.y1 / figure.bbox.height)
    assert "Unmet" in figure.caption
    assert_legible(figure)
