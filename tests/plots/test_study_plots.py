"""Plots of studies draw what their tables say: lines, bands, marks, and words about them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from clustersim.errors import InputError
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import difference_rows, plot_differences
from clustersim.plots.figure import study_figure
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.pareto import plot_pareto, staircase
from clustersim.plots.scatter import plot_scatter
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.style import new_figure
from clustersim.plots.warm_up import moving_average, plot_warm_up
from tests.plots.study_tables import (
    capacity_table,
    difference_table,
    fleet_table,
    index_table,
    point_table,
    wait_series,
)

LOAD, POLICY, NODES = "workload.load", "scheduler.policy", "cluster.pools.seedchip.nodes"


def lines_with(ax, marker: str):
    return [line for line in ax.lines if line.get_marker() == marker]


def strips(ax):
    return [line for line in ax.lines if line.get_gid() == "strip"]


def texts(ax) -> str:
    return "\n".join(text.get_text() for text in ax.texts if text.get_visible())


def caption(ax) -> str:
    return ax.figure.caption


def band_edges(ax, index: int) -> np.ndarray:
    return ax.collections[index].get_paths()[0].vertices


def test_a_curve_is_the_table():
    points = point_table(("fcfs", "easy"), draw=False)
    ax = plot_curve(points.iloc[::-1], LOAD, "mean_wait_s", by=POLICY)
    for policy, marker in (("easy", "o"), ("fcfs", "s")):
        rows = points[(points[POLICY] == policy) & ~points["overload"]]
        line = max(lines_with(ax, marker), key=lambda line: len(line.get_xdata()))
        np.testing.assert_allclose(line.get_xdata(), rows[LOAD])
        np.testing.assert_allclose(line.get_ydata(), rows["mean_wait_s"])
        assert policy in texts(ax)


def test_a_band_is_the_interval():
    points = point_table(("easy",), draw=False)
    rows = points[~points["overload"]]
    ax = plot_curve(points, LOAD, "mean_wait_s")
    edges = band_edges(ax, 0)
    for at, low, high in rows[[LOAD, "mean_wait_s_low", "mean_wait_s_high"]].to_numpy():
        drawn = edges[np.isclose(edges[:, 0], at), 1]
        assert drawn.min() == pytest.approx(low)
        assert drawn.max() == pytest.approx(high)
    assert caption(ax).startswith("Shaded: 95 % interval over replications.")
    assert "calibration" not in caption(ax)


def test_the_two_kinds_of_bands_look_different_and_are_named():
    points = point_table(("easy",), draw=True)
    ax = plot_curve(points, LOAD, "mean_wait_s")
    hatched = [band for band in ax.collections if band.get_hatch()]
    shaded = [band for band in ax.collections if len(band.get_facecolor()) and not band.get_hatch()]
    assert len(hatched) == 1
    assert len(shaded) >= 1
    rows = points[~points["overload"]]
    edges = hatched[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(rows["mean_wait_s_draw_high"].max())
    assert "Shaded: 95 % interval over replications." in caption(ax)
    hatch = "Hatched, dashed edge: 5th to 95th percentile over draws of the calibration"
    assert hatch in caption(ax)


def test_overload_is_marked_and_not_drawn_as_a_wait():
    points = point_table(("fcfs", "easy"))
    points.loc[points["overload"], "mean_wait_s"] = 1e6
    ax = plot_curve(points, LOAD, "mean_wait_s", by=POLICY)
    assert max(np.nanmax(line.get_ydata()) for line in lines_with(ax, "o")) < 1e6
    # A bar per line, from halfway before its first overloaded load to the end of the axis.
    for bar, policy in zip(strips(ax), ("fcfs", "easy"), strict=True):
        rows = points[points[POLICY] == policy]
        first = rows.loc[rows["overload"], LOAD].min()
        assert bar.get_xdata() == pytest.approx([first - 0.05, ax.get_xlim()[1]])
        assert bar.get_color() == lines_with(ax, {"fcfs": "o", "easy": "s"}[policy])[0].get_color()
    assert "overloaded" in texts(ax).split("\n")
    assert "Overloaded: more work arrives than the fleet can do" in caption(ax)
    assert "begins somewhere between two simulated values; its mark begins halfway" in caption(ax)


def test_values_and_ticks_stay_out_of_the_strips():
    points = point_table(("fcfs", "easy"))
    ax = plot_curve(points, LOAD, "mean_bounded_slowdown", by=POLICY)
    to_axes = ax.transScale + ax.transLimits
    lowest = min(bar.get_ydata()[0] for bar in strips(ax))
    finite = points["mean_bounded_slowdown"][np.isfinite(points["mean_bounded_slowdown"])]
    ticks = [tick for tick in ax.get_yticks() if tick <= ax.get_ylim()[1]]
    for value in [*finite, *ticks]:
        assert to_axes.transform((0.5, value))[1] < lowest


def test_a_fully_overloaded_range_is_shaded_and_named_once():
    points = point_table(("easy",))
    ax = plot_curve(points, LOAD, "mean_wait_s")
    assert not strips(ax)
    assert texts(ax).split("\n").count("overloaded") == 1
    last, first = points[LOAD][~points["overload"]].max(), points[LOAD][points["overload"]].min()
    between = f"between {last:g} and {first:g}; its mark begins halfway."
    assert between in caption(ax)


def test_utilisation_has_a_value_in_overload():
    points = point_table(("easy",))
    ax = plot_curve(points, LOAD, "utilisation")
    np.testing.assert_allclose(lines_with(ax, "o")[0].get_ydata(), points["utilisation"])
    assert not strips(ax)


def test_all_overloaded_has_no_line_but_says_so():
    points = point_table(("fcfs", "easy"))
    ax = plot_curve(points[points["overload"]], LOAD, "p95_wait_s", by=POLICY)
    assert all(len(line.get_xdata()) == 0 for line in lines_with(ax, "o"))
    assert "overloaded" in texts(ax)
    assert "fcfs" in texts(ax)


def test_a_missing_point_leaves_a_gap_and_a_bar_with_words():
    points = point_table(("easy",))
    points.loc[2, ["mean_wait_s", "mean_wait_s_low", "mean_wait_s_high"]] = np.nan
    ax = plot_curve(points, LOAD, "mean_wait_s")
    assert np.isnan(lines_with(ax, "o")[0].get_ydata()[2])
    (bar,) = strips(ax)
    assert np.mean(bar.get_xdata()) == pytest.approx(points.loc[2, LOAD])
    assert "no result" in texts(ax)


def test_one_replication_is_drawn_without_a_band():
    points = point_table(("easy",), draw=False)
    points["mean_wait_s_low"], points["mean_wait_s_high"], points["replications"] = 0.0, np.inf, 1
    ax = plot_curve(points, LOAD, "mean_wait_s")
    assert "interval" not in caption(ax)
    assert np.isfinite(ax.get_ylim()).all()


def test_an_objective_is_a_named_dashed_line():
    ax = plot_curve(point_table(("easy",)), LOAD, "mean_wait_s", objective=3600.0)
    assert any(set(line.get_ydata()) == {3600.0} for line in ax.lines)
    assert "objective: 60 min" in texts(ax).replace("\n", " "), "in the unit of the axis"
    ax = plot_curve(point_table(("easy",)), LOAD, "mean_wait_s", objective=(3600.0, "promise"))
    assert "promise" in texts(ax)


def test_an_objective_of_many_lines_is_named_below():
    policies = ("fcfs", "easy", "sjf", "easy_sjbf", "conservative")
    ax = plot_curve(
        point_table(policies), LOAD, "mean_wait_s", by=POLICY, objective=(600.0, "objective 10 min")
    )
    assert "Dashed line across: objective 10 min." in caption(ax)
    assert "objective" not in texts(ax)


def test_names_along_x_are_points_with_bars():
    points = point_table(("fcfs", "easy", "sjf"))
    rows = points[np.isclose(points[LOAD], 0.7)]
    ax = plot_curve(rows, POLICY, "mean_wait_s")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fcfs", "easy", "sjf"]
    line = lines_with(ax, "o")[0]
    assert line.get_linestyle() == "None"
    np.testing.assert_allclose(line.get_ydata(), rows["mean_wait_s"])


def test_a_metric_can_be_along_x():
    table = fleet_table()
    table = table[(table[POLICY] == "easy") & (table["cluster.pools.h200.nodes"] == 16)]
    ax = plot_curve(table, "chips", "utilisation")
    np.testing.assert_allclose(lines_with(ax, "o")[0].get_xdata(), table["chips"])
    assert ax.get_xlabel() == "chips of the fleet"


def test_capacity_is_the_table_and_its_reasons_are_reported():
    table = capacity_table()
    ax = plot_capacity(table, NODES, by=POLICY, objective="a mean wait of 1 h")
    rows = table[table[POLICY] == "fcfs"]
    drawn = lines_with(ax, "o")[0]
    np.testing.assert_allclose(drawn.get_ydata(), rows["capacity"].dropna())
    kept, missed = strips(ax)
    assert kept.get_xdata() == pytest.approx([96.0, ax.get_xlim()[1]])
    assert missed.get_xdata() == pytest.approx([ax.get_xlim()[0], 8.0])
    assert kept.get_ydata()[0] > 0.8
    assert missed.get_ydata()[0] < 0.2
    assert "objective met at every load tried" in texts(ax)
    assert "objective missed at every load tried" in texts(ax)
    assert "missed at every value from 0.3" in caption(ax)
    assert "kept at every value up to 1" in caption(ax)
    assert "Capacity at a mean wait of 1 h" in ax.get_title(loc="left").replace("\n", " ")
    assert ax.get_ylabel() == "offered load at the objective"


def test_jobs_a_day_have_their_own_intervals():
    table = capacity_table()
    table = table[table[POLICY] == "easy"]
    ax = plot_capacity(table, NODES, value="jobs_per_day")
    finite = table[np.isfinite(table["jobs_per_day"])]
    np.testing.assert_allclose(lines_with(ax, "o")[0].get_ydata(), finite["jobs_per_day"])
    shaded = next(band for band in ax.collections if not band.get_hatch() and band.get_alpha())
    assert shaded.get_paths()[0].vertices[:, 1].max() == finite["jobs_per_day_high"].max()


@pytest.mark.parametrize(("metric", "word"), [("mean_wait_s", "less wait: better")])
@pytest.mark.parametrize("x", [None, LOAD])
def test_the_better_side_of_a_difference_is_named(metric, word, x):
    table = difference_table()
    ax = plot_differences(table, metric, x=x)
    assert word in texts(ax)
    assert "more wait: better" not in texts(ax)
    more = table.assign(metric="utilisation")
    assert "more utilisation: better" in texts(plot_differences(more, "utilisation", x=x))


def test_plain_estimates_beside_controlled_ones_do_not_make_groups():
    table = difference_table()
    table["relative_plain"] = table["relative"].where(table["system"] == "easy")
    table["relative_explained"] = table["relative_plain"].abs()
    groups = difference_rows(table, "mean_wait_s")["group"]
    assert list(groups) == list(difference_rows(difference_table(), "mean_wait_s")["group"])


def test_differences_are_the_table():
    table = difference_table()
    rows = table[table["system"] == "easy"]
    ax = plot_differences(table, "mean_wait_s", x=LOAD)
    np.testing.assert_allclose(lines_with(ax, "o")[0].get_ydata(), rows["relative"])
    ax = plot_differences(table, "mean_wait_s", x=LOAD, relative=False)
    np.testing.assert_allclose(lines_with(ax, "o")[0].get_ydata(), rows["difference"])
    ax = plot_differences(table, "mean_wait_s")
    names = [label.get_text() for label in ax.get_yticklabels()]
    systems = ["easy", "easy_sjbf", "conservative"]
    assert names == [
        name for load in (0.6, 0.75, 0.9) for name in (f"offered load {load}", *systems)
    ]
    weights = [label.get_fontweight() for label in ax.get_yticklabels()]
    assert weights == ["bold", "normal", "normal", "normal"] * 3
    assert "no number" in texts(ax)
    ax = plot_differences(table[table["system"] == "easy"], "mean_wait_s")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["offered load 0.6", "offered load 0.75", "offered load 0.9"]
    assert "easy compared with fcfs" in ax.get_title(loc="left")


def test_a_staircase_goes_through_the_worse_of_two_neighbours():
    np.testing.assert_allclose(
        staircase([1.0, 3.0], [2.0, 5.0], more_y=True), [[1, 2], [3, 2], [3, 5]]
    )
    np.testing.assert_allclose(
        staircase([1.0, 3.0], [5.0, 2.0], more_x=True, more_y=True), [[1, 5], [1, 2], [3, 2]]
    )
    assert staircase([], []).shape == (0, 2)


def test_the_front_is_drawn_and_what_is_not_is_counted():
    table = fleet_table()
    ax = plot_pareto(table, "fleet_cost_cny", "p95_wait_s", by=POLICY)
    drawn = sum(len(line.get_xdata()) for mark in "os" for line in lines_with(ax, mark))
    assert drawn == np.isfinite(table["p95_wait_s"]).sum()
    assert "Not shown: 2 of 20 points, overloaded or failed." in caption(ax)
    assert "nodes of pool h200" in caption(ax)


def test_heat_map_cells_hold_the_values():
    table = fleet_table().query("`scheduler.policy` == 'fcfs'").reset_index(drop=True)
    table.loc[6, "p95_wait_s"] = np.nan
    ax = plot_heat_map(table, NODES, "cluster.pools.h200.nodes", "p95_wait_s", objective=7200.0)
    mesh = next(found for found in ax.collections if hasattr(found, "get_coordinates"))
    grid = mesh.get_array()
    assert grid.shape == (2, 5)
    for row in table.itertuples():
        at = {16: 0, 32: 1}[row[3]], {8: 0, 16: 1, 32: 2, 64: 3, 128: 4}[row[2]]
        if np.isfinite(row.p95_wait_s):
            assert grid[at] == row.p95_wait_s
        else:
            assert grid.mask[at]
    assert texts(ax).split("\n").count("×") == 1
    assert "Grey: overloaded" in caption(ax)
    assert "at most 120 min" in caption(ax), "in the unit of the cells"


def test_rising_cells_of_a_heat_map_are_marked():
    loads = [0.5, 0.5 + 0.4 / 3, 0.9]
    table = pd.DataFrame({LOAD: loads * 2, NODES: [1] * 3 + [2] * 3, "mean_wait_s": range(6)})
    table["rising"] = [False, False, True, False, True, False]
    ax = plot_heat_map(table, LOAD, NODES, "mean_wait_s")
    (marks,) = lines_with(ax, "o")
    assert np.round(marks.get_xydata()).tolist() == [[2, 0], [1, 1]]
    assert "Circles: jobs that arrive late wait longer than early ones" in caption(ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "0.633", "0.9"]
    assert not lines_with(plot_heat_map(table, LOAD, NODES, "rising"), "o")


def test_drawn_values_of_two_systems_have_a_mean_each():
    values = np.linspace(0.0, 1.0, 16)
    parts = [
        pd.DataFrame({LOAD: values, POLICY: name, "utilisation": level, "overload": False})
        for name, level in (("fcfs", 0.2), ("easy", 0.6))
    ]
    ax = plot_scatter(pd.concat(parts), LOAD, "utilisation", by=POLICY)
    means = [line for line in ax.lines if line.get_marker() == "None"]
    assert [set(line.get_ydata()) for line in means] == [{0.2}, {0.6}]
    assert len({to_hex(line.get_color()) for line in means}) == 2
    assert "fcfs" in texts(ax)
    assert "easy" in texts(ax)


def test_the_heavy_line_parts_kept_cells_from_broken_ones():
    waits = {(0.5, 1): 10.0, (0.7, 1): 90.0, (0.9, 1): np.inf}
    waits |= {(0.5, 2): 5.0, (0.7, 2): 50.0, (0.9, 2): np.nan}
    table = pd.DataFrame(
        [{LOAD: load, NODES: nodes, "mean_wait_s": wait} for (load, nodes), wait in waits.items()]
    )
    ax = plot_heat_map(table, LOAD, NODES, "mean_wait_s", objective=60.0)
    drawn = {tuple(map(tuple, line.get_xydata())) for line in ax.lines}
    assert drawn == {((0.5, -0.5), (0.5, 0.5)), ((0.5, 0.5), (1.5, 0.5))}
    assert "at most 60 s" in caption(ax)


def test_indices_are_sorted_and_named():
    ax = plot_indices(index_table(), "p95_wait_s")
    names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert names[:2] == ["offered load", "HBM bandwidth of SeedChip"]
    totals = lines_with(ax, "D")[0].get_xdata()
    assert list(totals) == sorted(totals, reverse=True)


def test_welch_plot_is_the_series_and_its_mean():
    series = wait_series()
    ax = plot_warm_up(series, warm_up=[0.1, 0.3, 0.2])
    drawn = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == series.shape[1]]
    np.testing.assert_allclose(drawn[: len(series)], series)
    np.testing.assert_allclose(drawn[len(series)], series.mean(axis=0))
    assert "the first 20 % of the jobs" in caption(ax)
    assert "no steady state found" in texts(plot_warm_up(series, warm_up=0.5, reached=False))


def test_moving_average_of_a_straight_line_is_itself():
    np.testing.assert_allclose(moving_average(np.arange(9.0), 3), np.arange(9.0))
    assert moving_average([1.0, np.nan, 3.0], 1)[1] == 2.0


def test_plots_draw_into_the_axes_they_are_given():
    ax = new_figure().subplots()
    assert plot_curve(point_table(("easy",)), LOAD, "mean_wait_s", ax=ax) is ax
    figure = study_figure(2, width=7.0)
    assert plot_warm_up(wait_series(), ax=figure.panels[1]) is figure.panels[1]


def test_series_are_reported_apart_without_colour():
    ax = plot_curve(point_table(("a", "b", "c", "d")), LOAD, "utilisation", by=POLICY)
    looks = {(line.get_marker(), line.get_linestyle()) for line in ax.lines}
    curves = {look for look in looks if look[0] in "os^D" and look[1] != "None"}
    assert len({marker for marker, _ in curves}) == 4
    assert len({dashes for _, dashes in curves}) == 4
    assert len({to_hex(line.get_color()) for line in ax.lines}) >= 4


@pytest.mark.parametrize(
    ("draw", "nearest"),
    [
        (lambda: plot_curve(point_table(("easy",)), "workload.laod", "mean_wait_s"), LOAD),
        (lambda: plot_curve(point_table(("easy",)), LOAD, "mean_wait"), "mean_wait_s"),
        (lambda: plot_capacity(capacity_table(), NODES, by="scheduler.polcy"), POLICY),
        (lambda: plot_capacity(capacity_table(), NODES, value="capactiy"), "capacity"),
        (lambda: plot_differences(difference_table(), "mean_wiat_s"), "mean_wait_s"),
        (lambda: plot_pareto(fleet_table(), "fleet_cost", "p95_wait_s"), "fleet_cost_cny"),
        (lambda: plot_heat_map(fleet_table(), NODES, POLICY, "p95_wait"), "p95_wait_s"),
        (lambda: plot_indices(index_table(), "p95_wait"), "p95_wait_s"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(draw, nearest):
    with pytest.raises(InputError, match=f"did you mean '{nearest}'"):
        draw()


def test_other_bad_input_is_refused():
    points = point_table(("fcfs", "easy"))
    with pytest.raises(InputError, match=r"several rows have workload.load 0\.5"):
        plot_curve(points, LOAD, "mean_wait_s")
    with pytest.raises(InputError, match="no rows"):
        plot_curve(points.iloc[:0], LOAD, "mean_wait_s")
    with pytest.raises(InputError, match="replications, bins"):
        plot_warm_up([1.0, 2.0])
    with pytest.raises(InputError, match="between 0 and 1"):
        plot_warm_up(wait_series(), warm_up=25.0)
    with pytest.raises(InputError, match="too narrow"):
        study_figure(3, width=3.3, columns=3)
