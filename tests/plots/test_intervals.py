"""Intervals in pictures: open ends, and nothing that reaches the frame or a value below zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.plots.axis import Axis
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.parts.intervals import (
    CUT_BANDS,
    CUT_BARS,
    OPEN_BANDS,
    OPEN_BARS,
    Ends,
    ends_of_rows,
    near_ends,
)
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.what_if import plot_what_if
from tests.examples import examples
from tests.plots.study_tables import difference_table, index_table, point_table

LOAD, POLICY, WAIT = "workload.load", "scheduler.policy", "mean_wait_s"


def one_wait(value: float, low: float, high: float, replications: int = 9) -> pd.DataFrame:
    row = {POLICY: "easy", WAIT: value, f"{WAIT}_low": low, f"{WAIT}_high": high}
    return pd.DataFrame([{**row, "replications": replications, "overload": False}] * 2).assign(
        **{POLICY: ["fcfs", "easy"]}
    )


def heads(ax, marker: str) -> list:
    return [line for line in ax.lines if line.get_marker() == marker and line.get_ms() < 3.5]


@pytest.mark.parametrize(
    ("low", "high", "open_ends"),
    [
        (50.0, 200.0, ""),
        (0.0, 200.0, "v"),
        (-30.0, 200.0, "v"),
        (-np.inf, 200.0, "v"),
        (50.0, np.inf, "v^"),
        (0.01, 2000.0, "v^"),
        (0.0, np.inf, "v^"),
    ],
)
def test_an_end_without_a_limit_has_an_arrow_head(low, high, open_ends):
    ax = plot_curve(one_wait(100.0, low, high), POLICY, WAIT)
    assert "".join(marker for marker in "v^" if heads(ax, marker)) == open_ends
    assert (OPEN_BARS in ax.figure.caption) == bool(open_ends)
    (bars,) = ax.collections
    for path in bars.get_paths():
        bottom, top = sorted(path.vertices[:, 1])
        assert ax.get_ylim()[0] < bottom < 100.0 < top < ax.get_ylim()[1]
        assert "v" in open_ends or bottom == low
        assert "^" in open_ends or top == high


def test_few_runs_and_a_bound_determine_nothing():
    few, more = (ends_of_rows(one_wait(100.0, 0.0, 200.0, n), WAIT) for n in (3, 4))
    assert (few.open_low[0], few.open_high[0]) == (True, True)
    assert (more.open_low[0], more.open_high[0]) == (True, False)


def test_one_replication_has_no_interval():
    ax = plot_curve(one_wait(100.0, 0.0, np.inf, replications=1), POLICY, WAIT)
    assert not ax.collections
    assert "interval" not in ax.figure.caption


def test_a_wait_of_zero_is_exactly_zero():
    ends = ends_of_rows(one_wait(0.0, 0.0, 0.0), WAIT)
    assert not ends.is_open
    assert ends.closed.tolist() == [0.0] * 4


def test_a_share_is_open_toward_both_of_its_bounds():
    row = {"utilisation": [0.5], "utilisation_low": [0.0], "utilisation_high": [1.0]}
    ends = ends_of_rows(pd.DataFrame(row), "utilisation")
    assert (ends.open_low[0], ends.open_high[0]) == (True, True)
    assert len(ends.closed) == 0


@settings(max_examples=examples(40))
@given(st.floats(1.0, 1e6), st.floats(-1e6, 1e6), st.floats(0.0, 1e7), st.booleans(), st.booleans())
def test_no_band_of_a_positive_quantity_reaches_the_frame_or_zero(value, low, up, log, endless):
    points = point_table(("easy",), draw=False).query(f"`{LOAD}` < 0.75").assign(rising=False)
    points[WAIT] = value * np.array([1.0, 40.0 if log else 1.0, 2.0])
    points[f"{WAIT}_low"] = np.minimum(low, points[WAIT])
    points[f"{WAIT}_high"] = np.inf if endless else points[WAIT] + up
    ax = plot_curve(points, LOAD, WAIT)
    bottom, top = ax.get_ylim()
    low_ends, high_ends = points[f"{WAIT}_low"], points[f"{WAIT}_high"]
    wide = bool(((low_ends > 0) & (high_ends > 1000.0 * low_ends)).any())
    nothing = endless or wide
    for band in ax.collections:
        drawn = band.get_paths()[0].vertices[:, 1]
        assert drawn.max() < top
        least = 0.0 if nothing else max(0.0, min(points[f"{WAIT}_low"]))
        assert drawn.min() >= least or np.isclose(drawn.min(), least)
        if low <= 0:
            assert drawn.min() > bottom
    assert (OPEN_BANDS in ax.figure.caption) == (low <= 0 or nothing)


def test_a_wait_cannot_fall_by_more_than_all_of_it():
    table = difference_table().query(f"`{LOAD}` == 0.9 and system == 'easy'")
    wide = table.assign(relative_low=-1.577, relative_high=0.2)
    ax = plot_differences(wide, WAIT)
    assert len(heads(ax, "<")) == 1
    assert not heads(ax, ">")
    assert OPEN_BARS in ax.figure.caption
    assert ax.get_xlim()[0] > -1.0
    users = wide.assign(metric="own")
    assert not heads(plot_differences(users, "own"), "<"), "a metric that may be negative"


@pytest.mark.parametrize("x", [None, LOAD])
def test_an_open_end_of_a_difference_passes_no_difference(x):
    """An interval from below −100 % contains 0 even if the difference is large and positive."""
    table = difference_table().query(f"`{LOAD}` == 0.9 and system == 'easy'")
    wide = table.assign(relative=1.3, relative_low=-1.5, relative_high=4.1)
    ax = plot_differences(wide, WAIT, x=x)
    (head,) = heads(ax, "<" if x is None else "v")
    tip = (head.get_xdata() if x is None else head.get_ydata())[0]
    low = (ax.get_xlim() if x is None else ax.get_ylim())[0]
    assert low < tip < 0


def test_a_share_of_variance_stays_between_0_and_1():
    table = index_table()
    table.loc[0, ["first_low", "first_high", "total_high"]] = -1.7, 1.6, 2.3
    ax = plot_indices(table, "p95_wait_s")
    assert len(heads(ax, "<")) == 1
    assert sum(len(line.get_xdata()) for line in heads(ax, ">")) == 2
    low, high = ax.get_xlim()
    assert -0.2 < low < 0 < 1 < high < 1.2
    for bars in ax.collections:
        for path in bars.get_paths():
            assert low < path.vertices[:, 0].min() <= path.vertices[:, 0].max() < high
    (below,) = heads(ax, "<")
    assert below.get_xdata()[0] < 0, "the bar passes 0: there may be no influence"
    assert all(at > 1 for line in heads(ax, ">") for at in line.get_xdata())


def three(high: float, *, low: float = 5.0) -> Ends:
    """Return intervals of 5, 6 and 7: one below and above each, but for the ends of the second."""
    ends = np.array([[4.0, low, 6.0], [6.0, high, 8.0]])
    return Ends(np.array([5.0, 6.0, 7.0]), *ends, *np.zeros((2, 3), dtype=bool))


@pytest.mark.parametrize(
    ("ends", "left_out"),
    [
        (three(7.0), []),
        (three(20.0), []),  # from 4 to 8, and three times as much beyond it
        (three(20.1), [20.1]),
        (three(30.0, low=-9.0), [-9.0, 30.0]),
        (three(9.0)[[1]], []),  # nothing is left that it could squash
        (three(1000.0)[[1]], []),
    ],
)
def test_ends_far_from_the_values_are_left_out(ends, left_out):
    near = near_ends(ends, [], Axis("load"))
    assert sorted(set(ends.closed) - set(near)) == left_out


def test_a_logarithmic_axis_and_far_values_show_every_end():
    ends = three(90.0)
    assert near_ends(ends, [], Axis("load", logarithmic=True)).tolist() != ends.closed.tolist()
    assert near_ends(ends, [0.001, 100.0], Axis("load")).tolist() == ends.closed.tolist()
    wide = Ends(np.array([1.0, 1e4]), np.array([0.9, 9e3]), np.array([1e6, 1.1e4]),
                *np.zeros((2, 2), dtype=bool))  # fmt: skip
    log = near_ends(wide, [], Axis("load", logarithmic=True))
    assert log.tolist() == wide.closed.tolist()


def test_an_interval_without_ends_is_not_a_narrow_one():
    ends = three(90.0)
    ends.open_low[[0, 2]] = ends.open_high[[0, 2]] = True
    assert near_ends(ends, [], Axis("load")).tolist() == [5.0, 90.0]


def many_waits(high: float) -> pd.DataFrame:
    names = ["a", "b", "c", "d"]
    table = pd.DataFrame({POLICY: names, WAIT: [100.0, 110.0, 120.0, 130.0], "replications": 9})
    table = table.assign(**{f"{WAIT}_low": table[WAIT] - 5.0, f"{WAIT}_high": table[WAIT] + 5.0})
    table.loc[1, f"{WAIT}_high"] = high
    return table.assign(overload=False)


def test_a_very_wide_bar_is_cut_at_the_edge_and_the_caption_says_so():
    ax = plot_curve(many_waits(240.0), POLICY, WAIT)
    assert ax.get_ylim()[1] > 240.0
    assert CUT_BARS not in ax.figure.caption
    ax = plot_curve(many_waits(900.0), POLICY, WAIT)
    top = ax.get_ylim()[1]
    assert 135.0 < top < 150.0
    (head,) = heads(ax, "^")
    assert (head.get_ydata().tolist(), head.get_clip_on()) == ([top], False)
    assert max(path.vertices[:, 1].max() for path in ax.collections[0].get_paths()) == top
    assert CUT_BARS in ax.figure.caption
    assert OPEN_BARS not in ax.figure.caption


def test_a_very_wide_part_of_a_band_reaches_the_edge():
    table = many_waits(900.0).assign(**{LOAD: [0.5, 0.6, 0.7, 0.8]})
    ax = plot_curve(table, LOAD, WAIT)
    assert ax.get_ylim()[1] < 150.0
    assert CUT_BANDS in ax.figure.caption


@pytest.mark.parametrize("x", [None, LOAD])
def test_a_very_wide_difference_is_cut(x):
    table = difference_table().assign(metric="own")  # a metric without bounds
    own = table["relative"].abs().max()
    table.loc[table.index[0], "relative_high"] = 100.0 * own
    ax = plot_differences(table, "own", x=x)
    most = (ax.get_xlim() if x is None else ax.get_ylim())[1]
    assert most < 20.0 * own
    assert heads(ax, ">" if x is None else "^")
    assert CUT_BARS in ax.figure.caption


def test_a_very_wide_interval_of_a_group_is_cut():
    groups = pd.DataFrame({"kind": "partition", "group": list("abcd"), "w": [5.0, 6.0, 7.0, 8.0]})
    names = {"w": "now_p95_wait_s"}
    groups = groups.assign(now_p95_wait_s_low=groups["w"] - 1, now_p95_wait_s_high=groups["w"] + 1)
    groups.loc[2, "now_p95_wait_s_high"] = 500.0
    ax = plot_what_if(groups.rename(columns=names), {"now": "as it is"})
    assert ax.get_xlim()[1] < 12.0
    assert len(heads(ax, ">")) == 1
    assert CUT_BARS in ax.figure.caption
